//! Kubernetes Services: the three that every Canary has, and the switch of one of them for blue-green releases without
//! any other data plane.

use delivery_core::port::Traffic;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::Router;
use super::object::{Kind, Objects, Pods, Subject, Unroutable, set, unreconciled};
use crate::api::Metadata;
use crate::provider::{self, Provider};

const KIND: Kind = Kind {
    api_version: "v1",
    kind: "Service",
    plural: "services",
};

/// Traffic stays where the [`services`] send it: to the primary. What is judged gets none of it, and plans for this
/// router never ask for any.
pub(super) const SERVICE: Router = Router {
    provider: Provider {
        names: &["kubernetes"],
        traffic: provider::Traffic::Switch,
        ..Provider::SPLITS
    },
    writes: &[],
    objects: |_, routing| match routing.traffic {
        Traffic::PRIMARY => Ok(Vec::new()),
        other => Err(Unroutable::new(
            "spec.provider",
            format!("kubernetes cannot divide requests ({other})"),
        )),
    },
    observe,
};

/// The Services of a Canary: of the canary, of the primary, and the one that users call, which selects the primary.
pub fn services(subject: &Subject<'_>) -> [Value; 3] {
    let pods = subject.pods;
    let service = subject.service;
    let primary = format!("{}-primary", pods.value);
    [
        one(
            subject,
            pods,
            &subject.canary_service,
            &pods.value,
            service.canary.as_ref(),
        ),
        one(
            subject,
            pods,
            &subject.primary,
            &primary,
            service.primary.as_ref(),
        ),
        one(subject, pods, &subject.apex, &primary, service.apex.as_ref()),
    ]
}

fn one(subject: &Subject<'_>, pods: &Pods, name: &str, selects: &str, metadata: Option<&Metadata>) -> Value {
    let service = subject.service;
    let mut metadata = unreconciled(metadata.cloned().unwrap_or_default());
    metadata.labels.insert(pods.label.clone(), name.into());
    // A target port of 0 is none.
    let target = service
        .target_port
        .clone()
        .filter(|port| !matches!(port, IntOrString::Int(0)));
    let target = target.filter(|port| !matches!(port, IntOrString::String(text) if text == "0"));
    let port_name = service
        .port_name
        .as_deref()
        .filter(|name| !name.is_empty())
        .unwrap_or("http");
    let mut port = json!({ "name": port_name, "port": subject.port, "protocol": "TCP" });
    port["targetPort"] = target.map_or_else(|| json!(subject.port), |target| json!(target));
    set(
        &mut port,
        "appProtocol",
        service
            .app_protocol
            .as_ref()
            .filter(|protocol| !protocol.is_empty()),
    );
    let others = pods
        .ports
        .iter()
        .filter(|_| service.port_discovery.unwrap_or(false));
    let others = others
        .map(|(name, port)| json!({ "name": name, "port": port, "protocol": "TCP", "targetPort": port }));
    let ports: Vec<Value> = std::iter::once(port).chain(others).collect();
    let mut spec =
        json!({ "type": "ClusterIP", "selector": { pods.label.as_str(): selects }, "ports": ports });
    if service.headless.unwrap_or(false) {
        spec["clusterIP"] = json!("None");
    }
    set(&mut spec, "trafficDistribution", &service.traffic_distribution);
    subject.object(KIND, name, Some(&metadata), &spec)
}

/// What the Service that users call selects.
fn observe(subject: &Subject<'_>, objects: &Objects) -> Option<Traffic> {
    let selector = |name: &str| {
        objects.get(KIND.kind, name)?["spec"]["selector"]
            .as_object()
            .cloned()
    };
    (selector(&subject.apex)? == selector(&subject.primary)?).then_some(Traffic::PRIMARY)
}
