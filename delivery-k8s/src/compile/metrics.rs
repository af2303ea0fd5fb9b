//! The metrics of an analysis.

use std::collections::BTreeMap;
use std::time::Duration;

use delivery_core::analysis::Range;
use delivery_core::plan::{Flaw, JudgeSpec, MetricSpec};
use delivery_core::time::parse_interval;

use super::{Findings, open, quoted};
use crate::api::{Analysis, CanaryMetric, CrossRef, MetricTemplateSpec};

type Templates = BTreeMap<CrossRef, MetricTemplateSpec>;

/// The metrics in the order in which they are judged, each with a name of its own.
pub(super) fn compile(
    analysis: &Analysis,
    namespace: &str,
    templates: Option<&Templates>,
    found: &mut Findings,
) -> Vec<MetricSpec> {
    let mut metrics: Vec<MetricSpec> = Vec::with_capacity(analysis.metrics.len());
    for (at, written) in analysis.metrics.iter().enumerate() {
        let path = format!("spec.analysis.metrics[{at}]");
        let name = super::webhooks::unique(&written.name, |name| {
            metrics.iter().any(|metric| metric.name == name)
        });
        if name != written.name {
            found.warn(
                &format!("{path}.name"),
                &format!(
                    "is a name that an earlier metric has: called {} here",
                    quoted(&name)
                ),
            );
        }
        metrics.push(MetricSpec {
            name,
            query: query(&path, written, namespace, templates, found),
            window: window(&path, written, found),
            min_sample: found
                .count(&format!("{path}.minSample"), written.min_sample)
                .map_or(0, u64::from),
            judge: judge(&path, written, found),
        });
    }
    metrics
}

/// Flagger's default of `1m` is for metrics without a template.
fn window(path: &str, written: &CanaryMetric, found: &mut Findings) -> Option<Duration> {
    let default = written.template_ref.is_none().then_some(Duration::from_secs(60));
    let Some(text) = written.interval.as_deref().filter(|text| !text.is_empty()) else {
        return default;
    };
    match parse_interval(text) {
        Ok(window) => Some(window),
        Err(error) => {
            let remedy = format!("a duration such as 1m: {error}");
            found.error(
                &format!("{path}.interval"),
                Flaw::OutOfRange,
                &quoted(text),
                &remedy,
            );
            None
        }
    }
}

fn query(
    path: &str,
    written: &CanaryMetric,
    namespace: &str,
    templates: Option<&Templates>,
    found: &mut Findings,
) -> Option<String> {
    let Some(reference) = &written.template_ref else {
        return written.query.clone().filter(|query| !query.is_empty());
    };
    if written.query.as_deref().is_some_and(|query| !query.is_empty()) {
        found.warn(&format!("{path}.query"), "has no effect beside templateRef");
    }
    let key = CrossRef {
        name: reference.name.clone(),
        namespace: Some(
            reference
                .namespace
                .clone()
                .unwrap_or_else(|| namespace.to_owned()),
        ),
    };
    let template = templates?.get(&key);
    if template.is_none() {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        let remedy = format!("a MetricTemplate of that name in the namespace {namespace}");
        found.error(
            &format!("{path}.templateRef"),
            Flaw::Name,
            &quoted(&key.name),
            &remedy,
        );
    }
    template.map(|template| template.query.clone())
}

/// Who judges it: Flagger's bounds, or one of our judges.
fn judge(path: &str, written: &CanaryMetric, found: &mut Findings) -> JudgeSpec {
    let at = |field: &str| format!("{path}.{field}");
    let ours = [
        (
            "baseline",
            open(&at("baseline"), written.baseline.as_ref(), found).map(JudgeSpec::Baseline),
        ),
        (
            "compare",
            open(&at("compare"), written.compare.as_ref(), found).map(JudgeSpec::Compare),
        ),
        (
            "objective",
            open(&at("objective"), written.objective.as_ref(), found).map(JudgeSpec::Objective),
        ),
        (
            "mannWhitney",
            open(&at("mannWhitney"), written.mann_whitney.as_ref(), found).map(JudgeSpec::MannWhitney),
        ),
    ];
    let mut chosen = ours
        .into_iter()
        .filter_map(|(field, judge)| Some((field, judge?)));
    let bounded = written.threshold_range.is_some() || written.threshold.is_some();
    match (chosen.next(), chosen.next(), bounded) {
        (Some((_, judge)), None, false) => judge,
        (Some((field, judge)), _, _) => {
            let remedy = "one judge for each metric; a second metric of another name can have the other";
            found.error(&at(field), Flaw::Contradiction, "a second judge", remedy);
            judge
        }
        (None, ..) => bounds(path, written, found),
    }
}

fn bounds(path: &str, written: &CanaryMetric, found: &mut Findings) -> JudgeSpec {
    if let Some(range) = written.threshold_range {
        if written.threshold.is_some() {
            found.warn(
                &format!("{path}.threshold"),
                "has no effect beside thresholdRange",
            );
        }
        return JudgeSpec::Range(Range {
            min: range.min,
            max: range.max,
            quantile: 0.99,
        });
    }
    if written.threshold.is_none() {
        let text =
            "is missing, and threshold too: as in Flagger, 0 is the bound; write the one that is meant";
        found.warn(&format!("{path}.thresholdRange"), text);
    }
    JudgeSpec::Threshold(written.threshold.unwrap_or(0.0))
}
