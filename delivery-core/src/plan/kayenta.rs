//! Canary configs of Spinnaker's Kayenta, read into metrics.
//!
//! What a config means there is what `NetflixACAJudge-v1.0` makes of it: each metric is compared by a Mann–Whitney test,
//! the classes are added up to a score, and the score is held against two thresholds. Here there is no score: every
//! metric must be good, so that one that is bad cannot be outvoted. Everything that changes by that, or has no place here,
//! is listed.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;

use super::{JudgeSpec, MetricSpec, Warning};
use crate::analysis::{Direction, MannWhitney};

/// What a canary config becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The metrics, in the config's order.
    pub metrics: Vec<MetricSpec>,
    /// What could not be carried over, or means something else now, with the path in the config.
    pub differences: Vec<Warning>,
}

/// A text that is no canary config.
#[derive(Debug, thiserror::Error)]
#[error("not a canary config of Kayenta")]
pub struct NoConfig(#[source] serde_json::Error);

/// The metrics of a canary config, as JSON.
///
/// ```
/// let config = r#"{"name": "web", "judge": {"name": "NetflixACAJudge-v1.0"}, "metrics": [{
///     "name": "errors",
///     "query": {"type": "prometheus", "customInlineTemplate": "PromQL:sum(rate(errors[1m]))"},
///     "groups": ["all"],
///     "analysisConfigurations": {"canary": {"direction": "increase", "critical": true}}
/// }], "classifier": {"groupWeights": {"all": 100}}}"#;
/// let imported = delivery_core::plan::kayenta(config)?;
/// assert_eq!(imported.metrics[0].query.as_deref(), Some("sum(rate(errors[1m]))"));
/// # Ok::<(), delivery_core::plan::NoConfig>(())
/// ```
///
/// # Errors
/// [`NoConfig`], when it is not JSON, or a field that is read has another type.
pub fn kayenta(json: &str) -> Result<Imported, NoConfig> {
    let config: Config = serde_json::from_str(json).map_err(NoConfig)?;
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
        let query = query(metric, &config.templates);
        if query.is_none() {
            let kind = metric.query.kind.as_deref().unwrap_or("unknown");
            told.note(
                format!("{path}.query"),
                format!("a query of kind {kind} is no text that could be taken over: write it anew"),
            );
        }
        metrics.push(MetricSpec {
            query,
            ..MetricSpec::judged(
                &metric.name,
                JudgeSpec::MannWhitney(judge(&path, canary, &mut told)),
            )
        });
    }
    Ok(Imported {
        metrics,
        differences: told.0,
    })
}

/// The query's text: written in place, or by the name of a template.
fn query(metric: &Metric, templates: &BTreeMap<String, String>) -> Option<String> {
    let named = || templates.get(metric.query.custom_filter_template.as_ref()?);
    let text = metric.query.custom_inline_template.as_ref().or_else(named)?;
    let text = text.strip_prefix("PromQL:").unwrap_or(text).trim();
    (!text.is_empty()).then(|| String::from(text))
}

fn judge(path: &str, canary: &Canary, told: &mut Told) -> MannWhitney {
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
    fn note(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.0.push(Warning {
            path: path.into(),
            text: text.into(),
        });
    }

    fn whole(&mut self, config: &Config) {
        if let Some(judge) = config
            .judge
            .name
            .as_ref()
            .filter(|it| *it != "NetflixACAJudge-v1.0")
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
        if !canary.critical {
            self.note(
                format!("{path}.critical"),
                "every metric is critical: a score cannot outweigh it",
            );
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
    #[serde(default)]
    query: Query,
    #[serde(default)]
    analysis_configurations: Configurations,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Query {
    #[serde(rename = "type")]
    kind: Option<String>,
    custom_inline_template: Option<String>,
    custom_filter_template: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Configurations {
    canary: Canary,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Canary {
    direction: Option<String>,
    nan_strategy: Option<String>,
    critical: bool,
    muted: bool,
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
