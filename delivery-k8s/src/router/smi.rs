//! The Service Mesh Interface, as Linkerd and OSM have it: a `TrafficSplit` divides the requests.

use delivery_core::port::{Routing, Traffic};
use serde_json::{Value, json};

use super::Router;
use super::object::{Kind, Objects, Subject, Unroutable, percent, share};
use crate::provider::Provider;

const ALPHA_1: Kind = Kind {
    api_version: "split.smi-spec.io/v1alpha1",
    kind: "TrafficSplit",
    plural: "trafficsplits",
};
const ALPHA_2: Kind = Kind {
    api_version: "split.smi-spec.io/v1alpha2",
    ..ALPHA_1
};
const ALPHA_3: Kind = Kind {
    api_version: "split.smi-spec.io/v1alpha3",
    ..ALPHA_1
};

/// Weights stand in `spec.backends[].weight`; in this version they are quantities, written as texts.
pub(super) const TRAFFIC_SPLIT_1: Router = Router {
    provider: Provider {
        names: &["linkerd", "smi:v1alpha1"],
        ..Provider::SPLITS
    },
    writes: &[ALPHA_1],
    objects: |subject, routing| split(subject, routing, ALPHA_1, |weight| json!(weight.to_string())),
    observe,
};

/// Weights stand in `spec.backends[].weight`.
pub(super) const TRAFFIC_SPLIT_2: Router = Router {
    provider: Provider {
        names: &["osm", "smi:v1alpha2"],
        ..Provider::SPLITS
    },
    writes: &[ALPHA_2],
    objects: |subject, routing| split(subject, routing, ALPHA_2, |weight| json!(weight)),
    observe,
};

/// Weights stand in `spec.backends[].weight`.
pub(super) const TRAFFIC_SPLIT_3: Router = Router {
    provider: Provider {
        names: &["smi:v1alpha3"],
        ..Provider::SPLITS
    },
    writes: &[ALPHA_3],
    objects: |subject, routing| split(subject, routing, ALPHA_3, |weight| json!(weight)),
    observe,
};

fn split(
    subject: &Subject<'_>,
    routing: &Routing,
    kind: Kind,
    written: fn(u16) -> Value,
) -> Result<Vec<Value>, Unroutable> {
    let Traffic::Split(canary) = routing.traffic else {
        return Err(Unroutable::new(
            "spec.provider",
            format!(
                "a TrafficSplit has weights alone ({} is asked for)",
                routing.traffic
            ),
        ));
    };
    let canary = percent(canary);
    // The mesh splits what is sent to this name.
    let root = subject.service.hosts.first().unwrap_or(&subject.apex);
    let spec = json!({
        "service": root,
        "backends": [
            { "service": subject.canary_service, "weight": written(canary) },
            { "service": subject.primary, "weight": written(100_u16.saturating_sub(canary)) }
        ]
    });
    Ok(vec![subject.object(kind, &subject.apex, None, &spec)])
}

/// Meshes report nothing on it: what it says counts.
fn observe(subject: &Subject<'_>, objects: &Objects) -> Option<Traffic> {
    let backends = objects.get(ALPHA_1.kind, &subject.apex)?["spec"]["backends"].as_array()?;
    let weight = |side: &str| {
        let weight = &backends.iter().find(|backend| backend["service"] == side)?["weight"];
        weight.as_u64().or_else(|| weight.as_str()?.parse().ok())
    };
    share(weight(&subject.primary)?, weight(&subject.canary_service)?).map(Traffic::Split)
}
