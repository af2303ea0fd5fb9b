//! The objects' definitions for the API server, made from the types.
//!
//! They let through whatever Flagger's definitions let through; where these have a fixed set of names or a form, so have
//! ours, so that a mistake is told when the object is applied.

use kube::CustomResourceExt;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{AlertProvider, Canary, MetricTemplate};

/// The definitions of all three objects, as JSON.
///
/// The types take more than the definitions let through, so that one odd object never keeps the others from being read;
/// what no Canary can do without is asked for here.
pub fn crds() -> [Value; 3] {
    [crd::<Canary>(), crd::<MetricTemplate>(), crd::<AlertProvider>()]
}

/// What an object of these fields needs, by kind and path.
const REQUIRED: &[(&str, &str, &[&str])] = &[
    ("Canary", "spec", &["targetRef", "analysis"]),
    ("Canary", "spec.targetRef", &["apiVersion", "kind", "name"]),
    ("Canary", "spec.autoscalerRef", &["apiVersion", "kind", "name"]),
    ("Canary", "spec.ingressRef", &["apiVersion", "kind", "name"]),
    ("Canary", "spec.routeRef", &["apiVersion", "kind", "name"]),
    ("Canary", "spec.upstreamRef", &["apiVersion", "kind", "name"]),
    ("Canary", "spec.service", &["port"]),
    ("Canary", "spec.service.gatewayRefs[]", &["name"]),
    ("Canary", "spec.service.mirror[].backendRef", &["name"]),
    ("Canary", "spec.analysis.metrics[]", &["name"]),
    ("Canary", "spec.analysis.metrics[].templateRef", &["name"]),
    ("Canary", "spec.analysis.alerts[]", &["name", "providerRef"]),
    ("Canary", "spec.analysis.alerts[].providerRef", &["name"]),
    ("Canary", "spec.analysis.webhooks[]", &["name", "url"]),
    ("Canary", "spec.analysis.sessionAffinity", &["cookieName"]),
    ("MetricTemplate", "spec", &["provider", "query"]),
    ("MetricTemplate", "spec.provider", &["type"]),
];

fn crd<K: CustomResourceExt>() -> Value {
    let mut crd = json!(K::crd());
    let kind = crd["spec"]["names"]["kind"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    for version in crd["spec"]["versions"].as_array_mut().into_iter().flatten() {
        let root = &mut version["schema"]["openAPIV3Schema"];
        // Flagger's definition lets an object without a spec through, which nobody can read.
        root.as_object_mut().map(|root| root.remove("required"));
        for (_, path, names) in REQUIRED.iter().filter(|(of, ..)| *of == kind) {
            at(root, path)["required"] = json!(names);
        }
        if kind == "Canary" {
            // Exactly one way to give a new revision its traffic.
            let rising = ["iterations", "stepWeight", "stepWeights"]
                .map(|field| json!({ "required": ["interval", "threshold", field] }));
            let ways = rising.into_iter().chain([json!({ "required": ["steps"] })]);
            at(root, "spec.analysis")["oneOf"] = ways.collect();
        }
    }
    crd
}

/// The schema at a path; where the types have none, a place that nobody reads.
fn at<'s>(schema: &'s mut Value, path: &str) -> &'s mut Value {
    path.split('.').fold(schema, |schema, part| {
        let (name, list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        let field = &mut schema["properties"][name];
        if list { &mut field["items"] } else { field }
    })
}

/// What is true of an object, or not: in Flagger's types, and never written by it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Conditions {
    /// The conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<super::CanaryCondition>,
}

/// A text out of a fixed set.
fn one_of(names: &[&str]) -> Schema {
    json_schema!({ "type": "string", "enum": names })
}

pub(super) fn provider(_: &mut SchemaGenerator) -> Schema {
    let names = crate::provider::Provider::all().flat_map(|provider| provider.names.iter().copied());
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    one_of(&names)
}

pub(super) fn scaler_kind(_: &mut SchemaGenerator) -> Schema {
    one_of(&["HorizontalPodAutoscaler", "ScaledObject"])
}

pub(super) fn severity(_: &mut SchemaGenerator) -> Schema {
    one_of(&["", "info", "warn", "error"])
}

pub(super) fn webhook_type(_: &mut SchemaGenerator) -> Schema {
    one_of(&[
        "",
        "confirm-rollout",
        "pre-rollout",
        "rollout",
        "confirm-traffic-increase",
        "confirm-promotion",
        "rollback",
        "post-rollout",
        "event",
    ])
}

pub(super) fn same_site(_: &mut SchemaGenerator) -> Schema {
    one_of(&["Strict", "Lax", "None"])
}

pub(super) fn traffic_distribution(_: &mut SchemaGenerator) -> Schema {
    one_of(&["PreferClose", "PreferSameZone", "PreferSameNode"])
}

pub(super) fn h2_upgrade(_: &mut SchemaGenerator) -> Schema {
    one_of(&["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"])
}

pub(super) fn simple_balancer(_: &mut SchemaGenerator) -> Schema {
    one_of(&[
        "ROUND_ROBIN",
        "LEAST_CONN",
        "RANDOM",
        "PASSTHROUGH",
        "LEAST_REQUEST",
    ])
}

pub(super) fn tls_mode(_: &mut SchemaGenerator) -> Schema {
    one_of(&["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"])
}

pub(super) fn phase(_: &mut SchemaGenerator) -> Schema {
    one_of(&[
        "",
        "Initializing",
        "Initialized",
        "Waiting",
        "Progressing",
        "WaitingPromotion",
        "Promoting",
        "Finalising",
        "RollingBack",
        "Succeeded",
        "Failed",
        "Terminating",
        "Terminated",
    ])
}

pub(super) fn interval(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[0-9]+(m|s)" })
}

pub(super) fn max_age(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "number", "default": 86_400 })
}

pub(super) fn one_or_more(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "minimum": 1 })
}

pub(super) fn date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

/// An object whose fields are checked when the Canary is compiled.
pub(super) fn open_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A list of such objects.
pub(super) fn open_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
    })
}
