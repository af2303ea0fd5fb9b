//! The Canary: what is rolled out, how, and how far it went.
#![allow(
    clippy::duplicated_attributes,
    reason = "the columns of a table have the same fields each"
)]

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::crd;
use super::service::{Service, StringMatch};

/// A rollout: `flagger.app/v1beta1` Canary.
///
/// Every field of Flagger's is here, with its meaning. The fields that Flagger does not know are optional, and leaving
/// them out changes nothing: `analysis.steps`, `sequential`, `expected`, `consecutive`, `inconclusive`, `errors`,
/// `onNothing`; of a metric `minSample`, `baseline`, `compare`, `objective` and `mannWhitney`; of a webhook `deadline`,
/// `default` and `every`.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "flagger.app",
    version = "v1beta1",
    kind = "Canary",
    namespaced,
    category = "all",
    status = "CanaryStatus",
    derive = "PartialEq",
    printcolumn(name = "Status", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Weight", type_ = "string", json_path = ".status.canaryWeight"),
    printcolumn(
        name = "Suspended",
        type_ = "boolean",
        json_path = ".spec.suspend",
        priority = 1
    ),
    printcolumn(
        name = "FailedChecks",
        type_ = "string",
        json_path = ".status.failedChecks",
        priority = 1
    ),
    printcolumn(
        name = "Interval",
        type_ = "string",
        json_path = ".spec.analysis.interval",
        priority = 1
    ),
    printcolumn(
        name = "Mirror",
        type_ = "boolean",
        json_path = ".spec.analysis.mirror",
        priority = 1
    ),
    printcolumn(
        name = "StepWeight",
        type_ = "string",
        json_path = ".spec.analysis.stepWeight",
        priority = 1
    ),
    printcolumn(
        name = "StepWeights",
        type_ = "string",
        json_path = ".spec.analysis.stepWeights",
        priority = 1
    ),
    printcolumn(
        name = "MaxWeight",
        type_ = "string",
        json_path = ".spec.analysis.maxWeight",
        priority = 1
    ),
    printcolumn(
        name = "LastTransitionTime",
        type_ = "string",
        json_path = ".status.lastTransitionTime"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct CanarySpec {
    /// Which router moves the traffic, and whose built-in queries are used; default: the controller's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::provider")]
    pub provider: Option<String>,
    /// The Prometheus for built-in metrics and for those with a `query` of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_server: Option<String>,
    /// How many seconds a workload may be not available; default 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_deadline_seconds: Option<f64>,
    /// What is rolled out.
    pub target_ref: ObjectRef,
    /// What scales it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaler_ref: Option<AutoscalerRef>,
    /// The Ingress, for the providers `nginx` and `skipper`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress_ref: Option<ObjectRef>,
    /// The ApisixRoute, for the provider `apisix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_ref: Option<ObjectRef>,
    /// The Gloo Upstream whose settings are copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_ref: Option<UpstreamRef>,
    /// How the workload is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// Whether a new revision is promoted without analysis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_analysis: Option<bool>,
    /// Whether the cluster is put back as it was when the Canary is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert_on_deletion: Option<bool>,
    /// Whether everything stays where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// How a new revision is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
    /// The older name of `analysis`; used where that is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub canary_analysis: Option<Analysis>,
}

/// An object of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Its API group and version, such as `apps/v1`.
    #[serde(default)]
    pub api_version: String,
    /// Its kind.
    #[serde(default)]
    pub kind: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// A name in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalRef {
    /// The name.
    pub name: String,
}

/// A name, in the Canary's namespace unless told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CrossRef {
    /// The name.
    #[serde(default)]
    pub name: String,
    /// The namespace; default: the Canary's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What scales the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutoscalerRef {
    /// `autoscaling/v2` or `keda.sh/v1alpha1`.
    #[serde(default)]
    pub api_version: String,
    /// `HorizontalPodAutoscaler` or `ScaledObject`.
    #[serde(default)]
    #[schemars(schema_with = "crd::scaler_kind")]
    pub kind: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The queries of the primary's ScaledObject, by the name of its trigger.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub primary_scaler_queries: BTreeMap<String, String>,
    /// Between how many pods the primary is scaled, where it is not between as many as the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_scaler_replicas: Option<ScalerReplicas>,
}

/// Between how many pods something is scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalerReplicas {
    /// At least so many; 1 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::one_or_more")]
    pub min_replicas: Option<i32>,
    /// At most so many; 1 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::one_or_more")]
    pub max_replicas: Option<i32>,
}

impl Eq for ScalerReplicas {}

/// A Gloo Upstream, in any namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamRef {
    /// Its API group and version.
    #[serde(default)]
    pub api_version: String,
    /// `Upstream`.
    #[serde(default)]
    pub kind: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its namespace; default: the Canary's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// How a new revision is judged. Numbers are percents of the traffic or counts of rounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    /// How often it is judged: `30s`, `1m`; at least 10 s, default 1 m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::interval")]
    pub interval: Option<String>,
    /// How many good rounds an A/B test or a blue-green rollout takes; 0 or none: weights rise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iterations: Option<f64>,
    /// How many failed checks roll back; 0 and less are taken as 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The weight from which a good round leads to the promotion; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_weight: Option<f64>,
    /// How much the weight rises at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_weight: Option<f64>,
    /// The weights one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step_weights: Vec<f64>,
    /// How much traffic returns to the promoted primary at a time; default: all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_weight_promotion: Option<f64>,
    /// Whether the canary sees copies of requests before it answers any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<bool>,
    /// Which share of the requests is copied; default all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror_weight: Option<f64>,
    /// The share of the primary's pods that must be available, in percent; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_ready_threshold: Option<f64>,
    /// The share of the canary's pods that must be available, in percent; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_ready_threshold: Option<f64>,
    /// Which requests go to the canary in an A/B test: those that meet any of them.
    #[serde(rename = "match", default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
    /// What is measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<CanaryMetric>,
    /// Who is told of what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert>,
    /// Who is asked and called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Webhook>,
    /// A cookie that keeps a user on one side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<SessionAffinity>,
    /// A list of steps written by hand, instead of weights and iterations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::open_list")]
    pub steps: Option<Value>,
    /// What the sequential judges have in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::open_object")]
    pub sequential: Option<Value>,
    /// The traffic that the analysis is made for: what it finds at it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::open_object")]
    pub expected: Option<Value>,
    /// How many failed checks in a row roll back; default: no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consecutive: Option<f64>,
    /// How many checks without usable data roll back; default: no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inconclusive: Option<f64>,
    /// How many checks with an unreachable source roll back; default: no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<f64>,
    /// What a round without usable data means: `fail` (a failed check, the default) or `hold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_nothing: Option<String>,
}

/// A condition on requests: all of its parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// Conditions on headers, by name; a cookie is a condition on `cookie`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, StringMatch>,
    /// Conditions on query parameters, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query_params: BTreeMap<String, StringMatch>,
    /// Labels of the pods that send the request; Istio alone can tell.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub source_labels: BTreeMap<String, String>,
}

/// A metric, and its bounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryMetric {
    /// What it is called; `request-success-rate` and `request-duration` are built in.
    #[serde(default)]
    pub name: String,
    /// How far a measurement looks back; default `1m` without a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::interval")]
    pub interval: Option<String>,
    /// The older bound: the least for `request-success-rate`, the most for any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The bounds; they come before `threshold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_range: Option<ThresholdRange>,
    /// PromQL of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The MetricTemplate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_ref: Option<CrossRef>,
    /// What fills gaps of the template that are called `{{ variables.… }}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub template_variables: BTreeMap<String, String>,
    /// How many requests a measurement must speak about at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_sample: Option<f64>,
    /// The canary against the primary, by bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::open_object")]
    pub baseline: Option<Value>,
    /// The canary against the primary, by a sequential test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::open_object")]
    pub compare: Option<Value>,
    /// The canary against an objective, by a sequential test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::open_object")]
    pub objective: Option<Value>,
    /// Two series, compared once at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::open_object")]
    pub mann_whitney: Option<Value>,
}

/// The bounds of a metric, which are good themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThresholdRange {
    /// The least good value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest good value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// Who is told of what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// What it is called.
    #[serde(default)]
    pub name: String,
    /// From which severity on: `info` (everything), `warn` or `error`. Without one, nothing is sent, as in Flagger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::severity")]
    pub severity: Option<String>,
    /// The AlertProvider.
    #[serde(default)]
    pub provider_ref: CrossRef,
}

/// Who is asked or called over HTTP.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// When it is called, and what its answer means; default `rollout`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::webhook_type")]
    pub kind: Option<String>,
    /// What it is called.
    #[serde(default)]
    pub name: String,
    /// Its address.
    #[serde(default)]
    pub url: String,
    /// How long it may take; default `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::interval")]
    pub timeout: Option<String>,
    /// How often it is tried again; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<f64>,
    /// Whether its certificate is not looked at.
    #[serde(rename = "disableTLS", default, skip_serializing_if = "Option::is_none")]
    pub disable_tls: Option<bool>,
    /// Whether its denials are no alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute_alert: Option<bool>,
    /// Sent along.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// How long an answer may take until `default` counts; default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// What counts then: `approve` or `reject`, the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// After a denial it is asked again after so many rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<f64>,
}

impl std::fmt::Debug for Webhook {
    /// Without its address and what is sent along: both may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A cookie that keeps a user on one side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionAffinity {
    /// The cookie of those whom the canary has answered.
    #[serde(default)]
    pub cookie_name: String,
    /// The cookie of those whom the primary has answered; default: they have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_cookie_name: Option<String>,
    /// The cookie's `Domain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Whether scripts cannot read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_only: Option<bool>,
    /// How many seconds a browser keeps it; default 86400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::max_age")]
    pub max_age: Option<f64>,
    /// Whether it is kept apart for each site that embeds the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitioned: Option<bool>,
    /// The cookie's `Path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The cookie's `SameSite`: `Strict`, `Lax` or `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::same_site")]
    pub same_site: Option<String>,
    /// Whether it is sent over TLS alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure: Option<bool>,
}

impl SessionAffinity {
    /// The attributes of a cookie that a browser keeps for so many seconds, as `Set-Cookie` has them (RFC 6265, section 4.1),
    /// in Flagger's order.
    pub fn attributes(&self, max_age: u64) -> String {
        let mut text = format!("Max-Age={max_age}");
        let mut add = |attribute: String| {
            text.push_str("; ");
            text.push_str(&attribute);
        };
        if let Some(domain) = &self.domain {
            add(format!("Domain={domain}"));
        }
        if self.http_only == Some(true) {
            add("HttpOnly".into());
        }
        if self.partitioned == Some(true) {
            add("Partitioned".into());
        }
        if let Some(path) = &self.path {
            add(format!("Path={path}"));
        }
        if let Some(same_site) = &self.same_site {
            add(format!("SameSite={same_site}"));
        }
        if self.secure == Some(true) {
            add("Secure".into());
        }
        text
    }
}

/// How far a rollout went: Flagger's fields, with their meaning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStatus {
    /// The phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::phase")]
    pub phase: Option<String>,
    /// Failed checks of the present run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_checks: Option<f64>,
    /// The canary's share of the traffic, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_weight: Option<f64>,
    /// Rounds of an A/B test or a blue-green rollout; Flagger writes -1 at times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iterations: Option<f64>,
    /// The ConfigMaps and Secrets of the target, each with the checksum of its content.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tracked_configs: BTreeMap<String, String>,
    /// What was rolled out last: a checksum that only its writer can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_spec: Option<String>,
    /// What was promoted last: a checksum that only its writer can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_promoted_spec: Option<String>,
    /// When the status changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::date_time")]
    pub last_transition_time: Option<String>,
    /// The cookie of the canary's users, `name=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity_cookie: Option<String>,
    /// The cookie of the primary's users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_session_affinity_cookie: Option<String>,
    /// The cookie of the last run, which is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_session_affinity_cookie: Option<String>,
    /// What is true of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<CanaryCondition>,
    /// Our state, as `delivery_core::rollout::stored` writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::open_object")]
    pub delivery: Option<Value>,
}

/// Something that is true of a Canary, or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryCondition {
    /// What it is that is true or not: `Promoted`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::date_time")]
    pub last_update_time: Option<String>,
    /// When its status changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::date_time")]
    pub last_transition_time: Option<String>,
    /// Which generation of the Canary it speaks about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
