//! From a Canary to a plan. Pure: no cluster is asked.
//!
//! A manifest that Flagger runs has the same meaning here: the same beat, weights, rounds, budgets and gates. Where Flagger
//! takes a value for another without a word, so does this, and says so in a warning. What would get a rollout stuck, or
//! send traffic where nobody wants it, is refused, with path, value and remedy.
//!
//! | in the manifest | Flagger 1.44 | here |
//! |---|---|---|
//! | an unknown `provider` | Istio, with a line in its log | refused; the known ones are listed |
//! | an `interval` that is no duration | 1 m | 1 m, with a warning |
//! | an `interval` below 10 s | 10 s | 10 s, with a warning |
//! | a `threshold` of 0 or less | 1 | 1, with a warning |
//! | neither `threshold` nor `thresholdRange` | 0 is the bound | 0 is the bound, with a warning |
//! | two metrics or two webhooks of one name | both count | both count; the second is called `… 2` |
//! | no weight would ever move | waits for ever | refused |
//! | `mirror` before the first weight, and a provider that cannot copy then | waits for ever | refused |
//! | `mirror` in blue-green, and a provider that cannot copy | judged without copies | judged without copies, with a warning |
//! | `match` and a provider that cannot match | all traffic goes to the canary | refused; `kubernetes` is blue-green there, with a warning |
//! | no `analysis` | promoted without one | promoted without one, with a warning |

mod metrics;
mod numbers;
mod paths;
mod strategy;
mod webhooks;

use std::collections::BTreeMap;
use std::time::Duration;

use delivery_core::Plan;
use delivery_core::analysis::OnNothing;
use delivery_core::plan::{Affinity, Flaw, PlanError, PlanErrors, ReadyShare, Spec, Warning};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::paths::Paths;
use crate::api::{Analysis, Canary, CanarySpec, CrossRef, MetricTemplateSpec};
use crate::provider::{Needs, Provider};

/// What a Canary is compiled with, beside itself.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Surroundings<'a> {
    /// The provider of Canaries that name none; default `istio`, as Flagger's.
    pub provider: &'a str,
    /// The MetricTemplates by name and namespace. None: they are not looked at, and a metric that refers to one has no
    /// query.
    pub templates: Option<&'a BTreeMap<CrossRef, MetricTemplateSpec>>,
}

impl Default for Surroundings<'_> {
    fn default() -> Self {
        Self {
            provider: "istio",
            templates: None,
        }
    }
}

impl<'a> Surroundings<'a> {
    /// With this provider for Canaries that name none.
    #[must_use]
    pub const fn provider(self, provider: &'a str) -> Self {
        Self { provider, ..self }
    }

    /// With these MetricTemplates, and no others.
    #[must_use]
    pub const fn templates(self, templates: &'a BTreeMap<CrossRef, MetricTemplateSpec>) -> Self {
        Self {
            templates: Some(templates),
            ..self
        }
    }
}

/// What a Canary means.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Compiled {
    /// The plan.
    pub plan: Plan,
    /// The same as it would be written without Kubernetes.
    pub spec: Spec,
    /// What may surprise.
    pub warnings: Vec<Warning>,
}

/// The plan of a Canary, and what may surprise about it.
///
/// # Errors
/// [`PlanErrors`]: everything that makes it impossible, at once, with paths such as `spec.analysis.stepWeights[1]`.
pub fn compile(canary: &Canary, surroundings: &Surroundings<'_>) -> Result<Compiled, PlanErrors> {
    let mut found = Findings::default();
    let namespace = canary.metadata.namespace.as_deref().unwrap_or("default");
    let spec = &canary.spec;
    let name = spec.provider.as_deref().filter(|name| !name.is_empty());
    let provider = Provider::named(name.unwrap_or(surroundings.provider)).map_err(|unknown| {
        found.error(
            "spec.provider",
            Flaw::Name,
            &quoted(&unknown.name),
            &format!("{unknown}"),
        );
    });
    // What else is wrong is told as well: nothing is refused for what the unknown one may be able to do.
    let provider = provider.unwrap_or(&Provider::EVERYTHING);
    check_references(spec, provider, &mut found);
    let none = Analysis::default();
    let analysis = match (&spec.analysis, &spec.canary_analysis) {
        (Some(analysis), _) => analysis,
        (None, Some(older)) => {
            found.warn(
                "spec.canaryAnalysis",
                "is the older name of analysis; an API server with Flagger's definition drops it",
            );
            older
        }
        (None, None) => {
            found.warn(
                "spec.analysis",
                "is missing: every new revision is promoted without being judged",
            );
            &none
        }
    };
    let judged = spec.analysis.is_some() || spec.canary_analysis.is_some();
    let mut paths = Paths::default();
    let strategy = strategy::compile(analysis, provider, &mut found);
    let written = Spec {
        interval: interval(analysis.interval.as_deref(), &mut found),
        metrics: metrics::compile(analysis, namespace, surroundings.templates, &mut found),
        sequential: open(
            "spec.analysis.sequential",
            analysis.sequential.as_ref(),
            &mut found,
        )
        .unwrap_or_default(),
        expected: open("spec.analysis.expected", analysis.expected.as_ref(), &mut found),
        gates: webhooks::gates(&analysis.webhooks, &mut paths, &mut found),
        threshold: found.threshold(analysis.threshold),
        consecutive: found.count("spec.analysis.consecutive", analysis.consecutive),
        inconclusive: found.count("spec.analysis.inconclusive", analysis.inconclusive),
        errors: found.count("spec.analysis.errors", analysis.errors),
        on_nothing: on_nothing(analysis.on_nothing.as_deref(), &mut found),
        deadline: deadline(spec.progress_deadline_seconds, &mut found),
        ready: ReadyShare {
            primary: found.percent(
                "spec.analysis.primaryReadyThreshold",
                analysis.primary_ready_threshold,
            ),
            canary: found.percent(
                "spec.analysis.canaryReadyThreshold",
                analysis.canary_ready_threshold,
            ),
        },
        affinity: affinity(analysis, &mut found),
        skip_analysis: spec.skip_analysis.unwrap_or(false) || !judged,
        ..Spec::new(strategy.strategy)
    };
    match written.compile(&provider.capabilities(strategy.moves_weights)) {
        Ok((plan, warnings)) if found.errors.is_empty() => {
            found
                .warnings
                .extend(warnings.into_iter().map(|warning| paths.warning(warning)));
            Ok(Compiled {
                plan,
                spec: written,
                warnings: found.warnings,
            })
        }
        Ok((_, warnings)) => {
            found
                .warnings
                .extend(warnings.into_iter().map(|warning| paths.warning(warning)));
            Err(found.failed())
        }
        Err(errors) => {
            found
                .errors
                .extend(errors.errors.into_iter().map(|error| paths.error(error)));
            found
                .warnings
                .extend(errors.warnings.into_iter().map(|warning| paths.warning(warning)));
            Err(found.failed())
        }
    }
}

/// Problems and warnings, with paths of the manifest.
#[derive(Debug, Default)]
struct Findings {
    errors: Vec<PlanError>,
    warnings: Vec<Warning>,
}

impl Findings {
    fn error(&mut self, path: &str, flaw: Flaw, value: &str, remedy: &str) {
        self.errors.push(PlanError {
            path: path.into(),
            flaw,
            value: value.into(),
            remedy: remedy.into(),
        });
    }

    fn warn(&mut self, path: &str, text: &str) {
        self.warnings.push(Warning {
            path: path.into(),
            text: text.into(),
        });
    }

    fn failed(&mut self) -> PlanErrors {
        PlanErrors {
            errors: std::mem::take(&mut self.errors),
            warnings: std::mem::take(&mut self.warnings),
        }
    }
}

/// Whether everything that is named makes sense.
fn check_references(spec: &CanarySpec, provider: &Provider, found: &mut Findings) {
    let target = &spec.target_ref;
    if target.name.is_empty() {
        found.error(
            "spec.targetRef.name",
            Flaw::Name,
            "an empty text",
            "the name of what is rolled out",
        );
    }
    let knative = target.api_version == "serving.knative.dev/v1";
    match target.kind.as_str() {
        "Deployment" | "DaemonSet" | "StatefulSet" | "Service" => {}
        other => {
            let remedy = "one of Deployment, DaemonSet, StatefulSet, Service";
            found.error("spec.targetRef.kind", Flaw::Unsupported, &quoted(other), remedy);
        }
    }
    if knative != provider.names.contains(&"knative") {
        let remedy = "the provider knative and a target of serving.knative.dev/v1 need each other";
        found.error(
            "spec.provider",
            Flaw::Contradiction,
            &quoted(spec.provider.as_deref().unwrap_or("")),
            remedy,
        );
    }
    match &spec.service {
        Some(service) => match service.port {
            Some(port) if port.fract() == 0.0 && (1.0..=65_535.0).contains(&port) => {}
            Some(port) => found.error(
                "spec.service.port",
                Flaw::OutOfRange,
                &format!("{port}"),
                "from 1 to 65535",
            ),
            None => found.error(
                "spec.service.port",
                Flaw::Contradiction,
                "no port",
                "the port that users call",
            ),
        },
        None if knative => {}
        None => found.error(
            "spec.service",
            Flaw::Contradiction,
            "no service",
            "a service with the port that users call",
        ),
    }
    if let Some(scaler) = &spec.autoscaler_ref {
        if scaler.name.is_empty() {
            found.error(
                "spec.autoscalerRef.name",
                Flaw::Name,
                "an empty text",
                "the name of the autoscaler",
            );
        }
        if !matches!(scaler.kind.as_str(), "HorizontalPodAutoscaler" | "ScaledObject") {
            let remedy = "HorizontalPodAutoscaler or ScaledObject";
            found.error(
                "spec.autoscalerRef.kind",
                Flaw::Unsupported,
                &quoted(&scaler.kind),
                remedy,
            );
        }
        if knative {
            found.error(
                "spec.autoscalerRef",
                Flaw::Contradiction,
                "an autoscaler",
                "Knative scales its Services itself",
            );
        }
    }
    let has_gateway = spec
        .service
        .as_ref()
        .is_some_and(|service| !service.gateway_refs.is_empty());
    let missing = match provider.needs {
        Some(Needs::Ingress) if spec.ingress_ref.is_none() => {
            Some(("spec.ingressRef", "the Ingress that users call"))
        }
        Some(Needs::Route) if spec.route_ref.is_none() => {
            Some(("spec.routeRef", "the ApisixRoute that users call"))
        }
        Some(Needs::Gateway) if !has_gateway => Some((
            "spec.service.gatewayRefs",
            "the Gateways that the route belongs to",
        )),
        Some(Needs::Ingress | Needs::Route | Needs::Gateway) | None => None,
    };
    if let Some((path, remedy)) = missing {
        found.error(path, Flaw::Contradiction, "nothing", remedy);
    }
}

/// Flagger's beat: `1m` where nothing usable is written, and never below 10 s.
fn interval(written: Option<&str>, found: &mut Findings) -> Duration {
    const PATH: &str = "spec.analysis.interval";
    const LEAST: Duration = Duration::from_secs(10);
    let Some(text) = written.filter(|text| !text.is_empty()) else {
        return Duration::from_secs(60);
    };
    match delivery_core::time::parse_interval(text) {
        Ok(interval) if interval < LEAST => {
            found.warn(
                PATH,
                &format!("{} is taken as 10s, the shortest that Flagger has", quoted(text)),
            );
            LEAST
        }
        Ok(interval) => interval,
        Err(error) => {
            found.warn(
                PATH,
                &format!("{} is taken as 1m, as Flagger does: {error}", quoted(text)),
            );
            Duration::from_secs(60)
        }
    }
}

fn deadline(seconds: Option<f64>, found: &mut Findings) -> Duration {
    const PATH: &str = "spec.progressDeadlineSeconds";
    match found.whole(PATH, seconds) {
        Some(seconds) if seconds > 0 => Duration::from_secs(u64::from(seconds.unsigned_abs())),
        Some(seconds) => {
            found.error(
                PATH,
                Flaw::OutOfRange,
                &format!("{seconds}"),
                "at least 1, e.g. 600",
            );
            Duration::from_secs(600)
        }
        None => Duration::from_secs(600),
    }
}

fn on_nothing(written: Option<&str>, found: &mut Findings) -> OnNothing {
    match written {
        None | Some("fail") => OnNothing::Fail,
        Some("hold") => OnNothing::Hold,
        Some(other) => {
            found.error(
                "spec.analysis.onNothing",
                Flaw::Name,
                &quoted(other),
                "fail or hold",
            );
            OnNothing::Fail
        }
    }
}

fn affinity(analysis: &Analysis, found: &mut Findings) -> Option<Affinity> {
    let written = analysis.session_affinity.as_ref()?;
    // As Flagger has it: none is a day.
    let seconds = found
        .whole("spec.analysis.sessionAffinity.maxAge", written.max_age)
        .filter(|seconds| *seconds != 0)
        .unwrap_or(86_400);
    Some(Affinity {
        cookie_name: written.cookie_name.clone(),
        primary_cookie_name: written
            .primary_cookie_name
            .clone()
            .filter(|name| !name.is_empty()),
        max_age: Duration::from_secs(u64::from(seconds.max(0).unsigned_abs())),
    })
}

/// A part that only we know, in the form that `delivery-core` reads.
fn open<T: DeserializeOwned>(path: &str, written: Option<&Value>, found: &mut Findings) -> Option<T> {
    let read = serde_path_to_error::deserialize::<_, T>(written?.clone());
    read.map_err(|error| {
        let inner = match error.path().to_string().as_str() {
            "." => String::from(path),
            inner => format!("{path}.{inner}"),
        };
        found.error(
            &inner,
            Flaw::Contradiction,
            "what stands here",
            &error.into_inner().to_string(),
        );
    })
    .ok()
}

/// A text of somebody else's, as it may be shown: short, in quotation marks.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{:?}…", text.get(..at).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests;
