//! Flagger's manifests: a Canary, with the `MetricTemplate`s that stand in the same file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use delivery_core::Revision;
use delivery_core::plan::{Capabilities, JudgeSpec, MetricSpec, Spec, Warning};
use delivery_core::sim::{Happening, Scenario, Version};
use delivery_k8s::api::{Canary, CrossRef, MetricTemplate, read};
use delivery_k8s::compile::{Surroundings, compile};
use serde_json::Value;

use crate::document::Problem;

/// What a Canary is, as a plan.
pub(crate) struct Manifest {
    pub(crate) spec: Spec,
    /// What may surprise about the manifest, beyond what the plan says itself.
    pub(crate) warnings: Vec<Warning>,
}

impl Manifest {
    /// The Canary of a file; none if it is a file of another kind.
    pub(crate) fn read(path: &Path) -> Option<Result<Self, Vec<Problem>>> {
        let text = fs::read_to_string(path).ok()?;
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).ok()?;
        let of_kind = |kind: &str| -> Vec<Value> {
            let is_ours = |it: &&Value| {
                it["kind"] == kind
                    && it["apiVersion"]
                        .as_str()
                        .is_some_and(|it| it.starts_with("flagger.app/"))
            };
            objects.iter().filter(is_ours).cloned().collect()
        };
        let problem = |field: &str, text: String| Problem::of(path, field, text);
        let mut canaries = of_kind("Canary");
        let canary = canaries.pop()?;
        if !canaries.is_empty() {
            let text = format!(
                "{} Canaries stand here, and one rollout is played",
                canaries.len() + 1
            );
            return Some(Err(vec![problem("", text)]));
        }
        Some(manifest(canary, of_kind("MetricTemplate"), &problem))
    }

    /// What is played when nobody tells a story: a good version is pushed, requests of a load test reach the canary before
    /// those of users do, and metrics that the world does not know are as they should be.
    pub(crate) fn story(&self) -> Scenario {
        let [first, second] = ["v1", "v2"].map(|name| Revision::new(name).expect("a name"));
        let values = self.spec.metrics.iter().filter_map(good).collect();
        let good = Version {
            values,
            ..Version::GOOD
        };
        Scenario {
            load_test: 10.into(),
            happenings: vec![Happening::push(std::time::Duration::ZERO, second.clone())],
            ..Scenario::new(first.clone())
        }
        .version(first, good.clone())
        .version(second, good)
    }
}

/// A value of a metric that its bounds allow.
fn good(metric: &MetricSpec) -> Option<(String, f64)> {
    let value = match &metric.judge {
        JudgeSpec::Range(range) => range.min.or(range.max)?,
        JudgeSpec::Threshold(bound) => *bound,
        JudgeSpec::Baseline(_) | JudgeSpec::MannWhitney(_) => 1.0,
        // They count requests, which the world has.
        _ => return None,
    };
    Some((metric.name.clone(), value))
}

fn manifest(
    canary: Value,
    templates: Vec<Value>,
    problem: &dyn Fn(&str, String) -> Problem,
) -> Result<Manifest, Vec<Problem>> {
    let (canary, mut warnings) =
        read::<Canary>(canary).map_err(|wrong| vec![problem(&wrong.path, wrong.why)])?;
    let mut known = BTreeMap::new();
    for template in templates {
        let (template, ignored) =
            read::<MetricTemplate>(template).map_err(|wrong| vec![problem(&wrong.path, wrong.why)])?;
        let namespace = template.metadata.namespace.clone();
        let key = CrossRef {
            name: template.metadata.name.clone().unwrap_or_default(),
            namespace: Some(namespace.unwrap_or_else(|| "default".into())),
        };
        warnings.extend(ignored);
        known.insert(key, template.spec);
    }
    // Templates of another file are not missed.
    let surroundings = Surroundings::default();
    let surroundings = if known.is_empty() {
        surroundings
    } else {
        surroundings.templates(&known)
    };
    let compiled = compile(&canary, &surroundings).map_err(|wrong| {
        let of = |it: &delivery_core::plan::PlanError| {
            problem(&it.path, format!("{} {} ({})", it.value, it.flaw, it.remedy))
        };
        wrong.errors.iter().map(of).collect::<Vec<_>>()
    })?;
    let own = compiled.spec.compile(&Capabilities::ALL);
    let said: Vec<String> = own
        .map_or_else(|it| it.warnings, |it| it.1)
        .into_iter()
        .map(|it| it.text)
        .collect();
    warnings.extend(compiled.warnings);
    warnings.retain(|it| !said.contains(&it.text));
    Ok(Manifest {
        spec: compiled.spec,
        warnings,
    })
}
