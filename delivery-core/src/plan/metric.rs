//! Metrics as a user writes them: what is measured, and who judges it.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::problem::Problems;
use super::{Flaw, sequential};
use crate::analysis::{Baseline, Compare, Judge, MannWhitney, Metric, Objective, Range, Terms};
use crate::text;

/// A metric as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct MetricSpec {
    /// What it is called; unique.
    pub name: String,
    /// What the metric source asks for; none for a source that knows the name.
    pub query: Option<String>,
    /// How far a measurement looks back, at most into the present weight. Default: the interval.
    pub window: Option<Duration>,
    /// Fewer requests than this are too few to judge; default 0.
    pub min_sample: u64,
    /// Who judges it: a field of the metric, named after the judge.
    pub judge: JudgeSpec,
}

/// Who judges a metric, as it is written.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum JudgeSpec {
    /// `thresholdRange`, as in Flagger: within bounds, which are good themselves. `range` is another word for it.
    Range(Range),
    /// `threshold`, Flagger's older bound: the least for `request-success-rate`, the most for anything else.
    Threshold(f64),
    /// `baseline`: against the primary.
    Baseline(Baseline),
    /// `compare`: against the primary, by a sequential test.
    Compare(Compare),
    /// `objective`: against an objective, by a sequential test.
    Objective(Objective),
    /// `mannWhitney`: two series, compared once at the end, as Kayenta does.
    MannWhitney(MannWhitney),
}

impl MetricSpec {
    /// A metric that is at least so much.
    pub fn at_least(name: &str, min: f64) -> Self {
        Self::judged(name, JudgeSpec::Range(Range::at_least(min)))
    }

    /// A metric that is at most so much.
    pub fn at_most(name: &str, max: f64) -> Self {
        Self::judged(name, JudgeSpec::Range(Range::at_most(max)))
    }

    /// A metric that the source knows by its name, and its judge.
    pub fn judged(name: &str, judge: JudgeSpec) -> Self {
        Self {
            name: String::from(name),
            query: None,
            window: None,
            min_sample: 0,
            judge,
        }
    }
}

/// The fields of a metric: one of the judges must be there.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::time::written::option"
    )]
    window: Option<Duration>,
    #[serde(default)]
    min_sample: u64,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "range")]
    threshold_range: Option<Range>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    threshold: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    baseline: Option<Baseline>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compare: Option<Compare>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    objective: Option<Objective>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mann_whitney: Option<MannWhitney>,
}

/// A metric without a judge, or with several.
#[derive(Debug, thiserror::Error)]
#[error(
    "metric `{metric}` has {found} (expected one of thresholdRange, threshold, baseline, compare, objective, mannWhitney)"
)]
struct OneJudge {
    metric: String,
    found: String,
}

impl TryFrom<Written> for MetricSpec {
    type Error = OneJudge;

    fn try_from(written: Written) -> Result<Self, OneJudge> {
        let judges = [
            written
                .threshold_range
                .map(|it| ("thresholdRange", JudgeSpec::Range(it))),
            written
                .threshold
                .map(|it| ("threshold", JudgeSpec::Threshold(it))),
            written.baseline.map(|it| ("baseline", JudgeSpec::Baseline(it))),
            written.compare.map(|it| ("compare", JudgeSpec::Compare(it))),
            written
                .objective
                .map(|it| ("objective", JudgeSpec::Objective(it))),
            written
                .mann_whitney
                .map(|it| ("mannWhitney", JudgeSpec::MannWhitney(it))),
        ];
        let mut named: Vec<(&str, JudgeSpec)> = judges.into_iter().flatten().collect();
        match (named.pop(), named.first()) {
            (Some((_, judge)), None) => Ok(Self {
                name: written.name,
                query: written.query,
                window: written.window,
                min_sample: written.min_sample,
                judge,
            }),
            (Some((last, _)), Some((first, _))) => Err(OneJudge {
                metric: text::shortened(&written.name, 40),
                found: format!("{first} and {last}"),
            }),
            (None, _) => Err(OneJudge {
                metric: text::shortened(&written.name, 40),
                found: String::from("no judge"),
            }),
        }
    }
}

impl From<MetricSpec> for Written {
    fn from(spec: MetricSpec) -> Self {
        let mut written = Self {
            name: spec.name,
            query: spec.query,
            window: spec.window,
            min_sample: spec.min_sample,
            threshold_range: None,
            threshold: None,
            baseline: None,
            compare: None,
            objective: None,
            mann_whitney: None,
        };
        match spec.judge {
            JudgeSpec::Range(range) => written.threshold_range = Some(range),
            JudgeSpec::Threshold(threshold) => written.threshold = Some(threshold),
            JudgeSpec::Baseline(baseline) => written.baseline = Some(baseline),
            JudgeSpec::Compare(compare) => written.compare = Some(compare),
            JudgeSpec::Objective(objective) => written.objective = Some(objective),
            JudgeSpec::MannWhitney(judge) => written.mann_whitney = Some(judge),
        }
        written
    }
}

/// The metrics of a plan. What is wrong goes into `problems`.
pub(super) fn compile(
    specs: &[MetricSpec],
    interval: Duration,
    terms: &Terms,
    problems: &mut Problems,
) -> Vec<Metric> {
    let mut metrics = Vec::with_capacity(specs.len());
    let mut names = BTreeSet::new();
    for (at, metric) in specs.iter().enumerate() {
        let path = format!("metrics[{at}]");
        problems.name(&format!("{path}.name"), &metric.name, "metric");
        if !metric.name.is_empty() && !names.insert(metric.name.as_str()) {
            problems.error(
                format!("{path}.name"),
                Flaw::Name,
                &metric.name,
                "two metrics need two names",
            );
        }
        let sequential = metric.judge.is_sequential();
        if sequential && metric.window.is_some() {
            problems.warn(
                format!("{path}.window"),
                "has no effect: a sequential judge counts everything since it looked last",
            );
        }
        let window = match metric.window {
            Some(window) if !sequential => window,
            Some(_) | None if sequential => terms.look.unwrap_or(interval),
            Some(_) | None => interval,
        };
        if window.is_zero() {
            problems.error(
                format!("{path}.window"),
                Flaw::OutOfRange,
                "0s",
                "more than nothing, e.g. 1m",
            );
        }
        if window > interval {
            let text = format!(
                "looks back {window:?}, further than the interval of {interval:?}: it is cut to the time at the present weight"
            );
            problems.warn(format!("{path}.window"), text);
        }
        let judge = metric.judge.compile(&path, &metric.name, problems);
        metrics.push(Metric {
            name: metric.name.clone(),
            query: metric.query.clone(),
            window,
            min_sample: metric.min_sample,
            judge,
        });
    }
    metrics
}

impl JudgeSpec {
    /// Whether it is a sequential test.
    pub const fn is_sequential(&self) -> bool {
        match self {
            Self::Compare(_) | Self::Objective(_) => true,
            Self::Range(_) | Self::Threshold(_) | Self::Baseline(_) | Self::MannWhitney(_) => false,
        }
    }

    fn compile(&self, path: &str, metric: &str, problems: &mut Problems) -> Judge {
        let mut number = |name: &str, value: Option<f64>, least: f64, most: f64, remedy: &str| {
            if let Some(value) = value.filter(|it| !(least..=most).contains(it)) {
                problems.error(format!("{path}.{name}"), Flaw::OutOfRange, value, remedy);
            }
        };
        match *self {
            Self::Range(range @ Range { min, max, quantile }) => {
                number("thresholdRange.min", min, f64::MIN, f64::MAX, "a finite number");
                number("thresholdRange.max", max, f64::MIN, f64::MAX, "a finite number");
                number("thresholdRange.quantile", Some(quantile), 0.0, 1.0, "from 0 to 1");
                if let (Some(min), Some(max)) = (min, max)
                    && min > max
                {
                    let remedy = format!("nothing is at least {min} and at most {max}: exchange them");
                    problems.error(format!("{path}.thresholdRange"), Flaw::Contradiction, min, remedy);
                }
                if min.is_none() && max.is_none() {
                    problems.warn(format!("{path}.thresholdRange"), "no bound: any number is good");
                }
                Judge::Range(range)
            }
            Self::Threshold(threshold) => {
                number(
                    "threshold",
                    Some(threshold),
                    f64::MIN,
                    f64::MAX,
                    "a finite number",
                );
                Judge::Range(Range::legacy(metric, threshold))
            }
            Self::Baseline(
                baseline @ Baseline {
                    max_ratio,
                    max_difference,
                    quantile,
                    ..
                },
            ) => {
                number(
                    "baseline.maxRatio",
                    max_ratio,
                    1.0,
                    f64::MAX,
                    "at least 1: 1.2 allows 20 % worse",
                );
                number(
                    "baseline.maxDifference",
                    max_difference,
                    0.0,
                    f64::MAX,
                    "0 or more",
                );
                number("baseline.quantile", Some(quantile), 0.0, 1.0, "from 0 to 1");
                if max_ratio.is_none() && max_difference.is_none() {
                    let remedy = "write maxRatio, maxDifference or both";
                    problems.error(
                        format!("{path}.baseline"),
                        Flaw::Contradiction,
                        "no bound",
                        remedy,
                    );
                }
                Judge::Baseline(baseline)
            }
            Self::Compare(judge) => sequential::compare(judge, path, problems),
            Self::Objective(judge) => sequential::objective(judge, path, problems),
            Self::MannWhitney(judge) => sequential::mann_whitney(judge, path, problems),
        }
    }
}
