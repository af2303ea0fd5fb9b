//! Canary configs of Spinnaker's Kayenta, read into metrics.
//!
//! What a config means there is what `NetflixACAJudge-v1.0` makes of it: each metric is compared by a Mann–Whitney test,
//! the classes are added up to a score, and the score is held against two thresholds. Here there is no score: every
//! metric must be good, so that one that is bad cannot be outvoted. Everything that changes by that, or has no place here,
//! is listed.
//!
//! A query is what Kayenta's `PrometheusMetricsService` would send: a template that begins with `PromQL:` is an
//! expression, any other one is a filter of the metric that `metricName` names. Armory's `StaticBaselineJudge-v1.0` holds
//! a metric against a number; that is a range here.

mod query;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;
use serde::de::IgnoredAny;

use self::query::{Filling, Query};
use super::{JudgeSpec, MetricSpec, Warning};
use crate::analysis::{Direction, MannWhitney, Range};
use crate::text;

/// What a canary config becomes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Imported {
    /// The metrics, in the config's order.
    pub metrics: Vec<MetricSpec>,
    /// What could not be carried over, or means something else now, with the path in the config.
    pub differences: Vec<Warning>,
}

/// The most characters of a difference.
const NOTE: usize = 2 * text::SAID;

/// A text that is no canary config.
#[derive(Debug, thiserror::Error)]
#[error("not a canary config of Kayenta")]
pub struct NoConfig(#[source] serde_json::Error);

/// The metrics of a canary config, as JSON: the config itself, or a request with the config in its field `canaryConfig`.
///
/// Kayenta fills the placeholders of a query when it is asked to judge: `${location}`, `${project}`, and those that the
/// request names. `values` are names and what stands for them, put in as they are; a gap such as `{{ namespace }}` may be
/// among them. `${scope}`, which tells the two sides apart, becomes `{{ revision }}`, unless a value is given for it. A
/// query with a placeholder that nothing fills is left out and reported: nobody measures something else by mistake.
///
/// ```
/// let config = r#"{"name": "web", "judge": {"name": "NetflixACAJudge-v1.0"}, "metrics": [{
///     "name": "errors",
///     "query": {
///         "type": "prometheus",
///         "customInlineTemplate": "PromQL:sum(rate(errors{ns=\"${location}\", version=\"${scope}\"}[1m]))"
///     },
///     "groups": ["all"],
///     "analysisConfigurations": {"canary": {"direction": "increase", "critical": true}}
/// }], "classifier": {"groupWeights": {"all": 100}}}"#;
/// let imported = delivery_core::plan::kayenta(config, &[("location", "{{ namespace }}")])?;
/// let query = r#"sum(rate(errors{ns="{{ namespace }}", version="{{ revision }}"}[1m]))"#;
/// assert_eq!(imported.metrics[0].query.as_deref(), Some(query));
/// # Ok::<(), delivery_core::plan::NoConfig>(())
/// ```
///
/// # Errors
/// [`NoConfig`], when it is not JSON, or a field that is read has another type.
pub fn kayenta(json: &str, values: &[(&str, &str)]) -> Result<Imported, NoConfig> {
    let config = read(json).map_err(|it| NoConfig(text::of_json(it)))?;
    let filling = Filling {
        templates: &config.templates,
        values,
    };
    let mut told = Told(Vec::new());
    told.whole(&config);
    let mut metrics = Vec::with_capacity(config.metrics.len());
    for (at, metric) in config.metrics.iter().enumerate() {
        let path = format!("metrics[{at}]");
        let canary = &metric.analysis_configurations.canary;
        if canary.muted {
            told.note(&path, "is muted: left out");
            continue;
        }
        told.metric(&path, metric);
        let judge = judge(&path, metric, &mut told);
        let query = match metric.query.text(&filling) {
            Ok(query) => {
                let compares = matches!(judge, JudgeSpec::MannWhitney(_));
                told.sides(&path, metric, compares, query.has_revision);
                Some(query.text)
            }
            Err((field, why)) => {
                let text = format!("left without a query, because {why}");
                told.note(format!("{path}.query.{field}"), text);
                None
            }
        };
        metrics.push(MetricSpec {
            query,
            ..MetricSpec::judged(&metric.name, judge)
        });
    }
    Ok(Imported {
        metrics,
        differences: told.0,
    })
}

/// A config, or what a canary is asked for with, which has it in a field.
fn read(json: &str) -> Result<Config, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wrapped {
        canary_config: Config,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Fields {
        canary_config: Option<IgnoredAny>,
    }
    if serde_json::from_str::<Fields>(json)?.canary_config.is_some() {
        return serde_json::from_str::<Wrapped>(json).map(|it| it.canary_config);
    }
    serde_json::from_str(json)
}

/// Who judges a metric: the number that is given for the primary's side, or a comparison with that side.
fn judge(path: &str, metric: &Metric, told: &mut Told) -> JudgeSpec {
    let compared = compared(path, &metric.analysis_configurations.canary, told);
    match metric.analysis_configurations.extended_properties.static_baseline {
        None => JudgeSpec::MannWhitney(compared),
        Some(baseline) => JudgeSpec::Range(range(path, baseline, &compared, told)),
    }
}

/// The bounds of what is good, where the primary's side is a number.
fn range(path: &str, baseline: f64, judge: &MannWhitney, told: &mut Told) -> Range {
    let path = format!("{path}.analysisConfigurations.extendedProperties.staticBaseline");
    // An effect is a ratio of means: of a number below zero it says the opposite, and then it says nothing.
    let times = |allowed: f64| {
        if baseline > 0.0 {
            baseline * allowed
        } else {
            baseline
        }
    };
    let (least, most) = (times(judge.allowed_decrease), times(judge.allowed_increase));
    let range = match judge.direction {
        Direction::Increase => Range::at_most(most),
        Direction::Decrease => Range::at_least(least),
        Direction::Either => Range {
            min: Some(least.min(most)),
            max: Some(most.max(least)),
            ..Range::at_most(most)
        },
    };
    let said = match (range.min, range.max) {
        (Some(min), Some(max)) if min < max => format!("is a range here: from {min} to {max}"),
        (Some(min), Some(_)) => {
            format!("is a range here, and without a direction nothing but {min} is good: set one")
        }
        (Some(min), None) => format!("is a range here: at least {min}"),
        (None, Some(max)) => format!("is a range here: at most {max}"),
        (None, None) => String::from("is a range here"),
    };
    told.note(path, said);
    range
}

fn compared(path: &str, canary: &Canary, told: &mut Told) -> MannWhitney {
    let direction = match canary.direction.as_deref() {
        Some("increase") => Direction::Increase,
        Some("decrease") => Direction::Decrease,
        Some("either") | None => Direction::Either,
        Some(other) => {
            let text = format!("{other} is no direction: taken as either");
            told.note(format!("{path}.analysisConfigurations.canary.direction"), text);
            Direction::Either
        }
    };
    let effect = &canary.effect_size;
    let ratio = effect.measure.as_deref().is_none_or(|it| it == "meanRatio");
    if !ratio {
        told.note(
            format!("{path}.analysisConfigurations.canary.effectSize.measure"),
            "only meanRatio is known: the allowed effects are left out",
        );
    }
    let allowed = |value: Option<f64>| value.filter(|_| ratio).unwrap_or(1.0);
    MannWhitney {
        direction,
        allowed_increase: allowed(effect.allowed_increase),
        allowed_decrease: allowed(effect.allowed_decrease),
        ..MannWhitney::default()
    }
}

/// What is different, in the order of the config.
struct Told(Vec<Warning>);

impl Told {
    fn note(&mut self, path: impl Into<String>, said: impl Into<String>) {
        // The config is somebody else's: what is quoted of it may be anything.
        self.0.push(Warning {
            path: text::shortened(&path.into(), text::NAME),
            text: text::shortened(&said.into(), NOTE),
        });
    }

    fn whole(&mut self, config: &Config) {
        if let Some(judge) = config
            .judge
            .name
            .as_ref()
            .filter(|it| !matches!(it.as_str(), "NetflixACAJudge-v1.0" | "StaticBaselineJudge-v1.0"))
        {
            self.note(
                "judge.name",
                format!("{judge} is not known: read as NetflixACAJudge-v1.0"),
            );
        }
        if !config.classifier.group_weights.is_empty() {
            self.note(
                "classifier.groupWeights",
                "there is no score: every metric must be good, whatever its group",
            );
        }
        if let Some(thresholds) = &config.classifier.score_thresholds {
            let Thresholds { pass, marginal } = thresholds;
            let text = format!(
                "pass {} and marginal {} have no place: one metric that is High or Low rolls back",
                words(*pass),
                words(*marginal)
            );
            self.note("classifier.scoreThresholds", text);
        }
    }

    fn metric(&mut self, path: &str, metric: &Metric) {
        let canary = &metric.analysis_configurations.canary;
        let path = format!("{path}.analysisConfigurations.canary");
        if canary.nan_strategy.as_deref() == Some("replace") {
            self.note(
                format!("{path}.nanStrategy"),
                "what is missing is never taken for 0: such a round has nothing to judge",
            );
        }
        if canary.outliers.strategy.as_deref() == Some("remove") {
            self.note(
                format!("{path}.outliers"),
                "outliers are kept: the test goes by ranks",
            );
        }
        if canary.effect_size.critical_increase.is_some() || canary.effect_size.critical_decrease.is_some() {
            self.note(
                format!("{path}.effectSize"),
                "criticalIncrease and criticalDecrease have no place: every metric is critical",
            );
        }
        if canary.must_have_data {
            self.note(
                format!("{path}.mustHaveData"),
                "every metric must have data: without it no round is good",
            );
        }
        if !canary.critical {
            self.note(
                format!("{path}.critical"),
                "every metric is critical: a score cannot outweigh it",
            );
        }
    }
}

impl Told {
    /// Whether a query tells the sides apart, and by what.
    fn sides(&mut self, path: &str, metric: &Metric, compares: bool, has_revision: bool) {
        let path = format!("{path}.query");
        if has_revision {
            let text = "what was the scope of a side is its revision now: the label must hold that";
            self.note(&path, text);
        } else if compares {
            let text = "asks the same of both sides: give a label of it `{{ revision }}`, or there is nothing to compare \
                        with";
            self.note(&path, text);
        }
        if let Some(scope) = metric.scope_name.as_ref().filter(|it| *it != "default") {
            let text =
                format!("the scope {scope} of a request is not known: there is one revision for all metrics");
            self.note(format!("{path}.scopeName"), text);
        }
    }
}

fn words(value: Option<f64>) -> String {
    value.map_or(String::from("(none)"), |it| it.to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    judge: Named,
    metrics: Vec<Metric>,
    #[serde(default)]
    classifier: Classifier,
    #[serde(default)]
    templates: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Named {
    name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Classifier {
    group_weights: BTreeMap<String, f64>,
    score_thresholds: Option<Thresholds>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Thresholds {
    pass: Option<f64>,
    marginal: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    name: String,
    scope_name: Option<String>,
    #[serde(default)]
    query: Query,
    #[serde(default)]
    analysis_configurations: Configurations,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Configurations {
    canary: Canary,
    extended_properties: Extended,
}

/// What Armory's judge reads.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Extended {
    static_baseline: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Canary {
    direction: Option<String>,
    nan_strategy: Option<String>,
    critical: bool,
    muted: bool,
    must_have_data: bool,
    effect_size: Effect,
    outliers: Outliers,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Effect {
    measure: Option<String>,
    allowed_increase: Option<f64>,
    allowed_decrease: Option<f64>,
    critical_increase: Option<f64>,
    critical_decrease: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outliers {
    strategy: Option<String>,
}
