//! A Canary object of Flagger as our spec, as far as decisions need it.

use std::collections::BTreeMap;
use std::time::Duration;

use delivery_core::Weight;
use delivery_core::analysis::Range;
use delivery_core::plan::{
    AbTest, Affinity, BlueGreen, Canary, Capabilities, Gate, GateKind, JudgeSpec, MatchRule, MetricSpec,
    MirrorFirst, Patterns, ReadyShare, Spec, Strategy, Text,
};
use delivery_core::time::parse_interval;
use serde_json::Value;

pub(crate) fn read(canary: &Value) -> (Spec, Capabilities) {
    let (spec, analysis) = (&canary["spec"], &canary["spec"]["analysis"]);
    let interval = duration(&analysis["interval"], 60).max(Duration::from_secs(10));
    let iterations = u32::try_from(analysis["iterations"].as_u64().unwrap_or(0)).expect("a small number");
    let provider = spec["provider"]
        .as_str()
        .or(canary["provider"].as_str())
        .unwrap_or("istio");
    let mirror = analysis["mirror"].as_bool().unwrap_or(false);
    let rules: Vec<MatchRule> = analysis["match"]
        .as_array()
        .into_iter()
        .flatten()
        .map(rule)
        .collect();
    let weights = Canary {
        step_weight: analysis["stepWeight"].as_f64(),
        max_weight: analysis["maxWeight"].as_f64(),
        step_weights: analysis["stepWeights"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
            .collect(),
        step_weight_promotion: analysis["stepWeightPromotion"].as_f64(),
    };
    let share = analysis["mirrorWeight"]
        .as_f64()
        .filter(|it| *it > 0.0)
        .unwrap_or(100.0);
    let strategy = match (iterations, mirror) {
        (1.., _) if !rules.is_empty() => Strategy::AbTest(AbTest { iterations, rules }),
        (1.., mirror) => Strategy::BlueGreen(BlueGreen {
            iterations,
            mirror: mirror.then_some(share),
        }),
        (0, true) => Strategy::MirrorFirst(MirrorFirst {
            share,
            canary: weights,
        }),
        (0, false) => Strategy::Canary(weights),
    };
    let percent = |key: &str| u8::try_from(analysis[key].as_u64().unwrap_or(100)).expect("a percentage");
    let spec = Spec {
        interval,
        metrics: analysis["metrics"]
            .as_array()
            .into_iter()
            .flatten()
            .map(metric)
            .collect(),
        gates: analysis["webhooks"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(gate)
            .collect(),
        threshold: u32::try_from(analysis["threshold"].as_i64().unwrap_or(0).max(0)).expect("a small number"),
        deadline: Duration::from_secs(spec["progressDeadlineSeconds"].as_u64().unwrap_or(600)),
        ready: ReadyShare {
            primary: percent("primaryReadyThreshold"),
            canary: percent("canaryReadyThreshold"),
        },
        affinity: analysis["sessionAffinity"]["cookieName"]
            .as_str()
            .map(|name| Affinity {
                cookie_name: name.into(),
                primary_cookie_name: None,
                max_age: Duration::from_secs(86_400),
            }),
        skip_analysis: spec["skipAnalysis"].as_bool().unwrap_or(false),
        ..Spec::new(strategy)
    };
    (spec, capabilities(provider, iterations))
}

fn duration(text: &Value, default: u64) -> Duration {
    text.as_str()
        .and_then(|it| parse_interval(it).ok())
        .unwrap_or(Duration::from_secs(default))
}

/// What Flagger's routers can do (reference: `pkg/router/` of 1.44).
fn capabilities(provider: &str, iterations: u32) -> Capabilities {
    let percent = Weight::percent(1).expect("1 %");
    let weights = Capabilities {
        granularity: percent,
        ..Capabilities::NONE
    };
    let gateway = provider.starts_with("gatewayapi:");
    match provider {
        "kubernetes" => Capabilities::NONE,
        "istio" => Capabilities {
            granularity: percent,
            ..Capabilities::ALL
        },
        _ if gateway => Capabilities {
            mirror: iterations > 0,
            matching: true,
            query_params: true,
            patterns: Patterns::Linear,
            sticky: true,
            ..weights
        },
        "appmesh" | "appmesh:v1beta2" | "contour" | "gloo" | "nginx" => Capabilities {
            matching: true,
            patterns: Patterns::Linear,
            ..weights
        },
        _ => weights,
    }
}

fn rule(conditions: &Value) -> MatchRule {
    let header = |(name, text): (&String, &Value)| {
        let (how, text) = text
            .as_object()
            .and_then(|it| it.iter().next())
            .expect("a condition");
        let text = text.as_str().unwrap_or("").to_owned();
        let text = match how.as_str() {
            "exact" => Text::Exact(text),
            "prefix" => Text::Prefix(text),
            "suffix" => Text::Suffix(text),
            _ => Text::Regex(text),
        };
        (name.clone(), text)
    };
    let all = |field: &str| -> BTreeMap<_, _> {
        let conditions = conditions[field].as_object();
        conditions.into_iter().flatten().map(header).collect()
    };
    MatchRule {
        headers: all("headers"),
        query_params: all("queryParams"),
    }
}

fn metric(metric: &Value) -> MetricSpec {
    let judge = match metric["thresholdRange"].as_object() {
        Some(range) => {
            let bound = |key: &str| range.get(key).and_then(Value::as_f64);
            JudgeSpec::Range(Range {
                min: bound("min"),
                max: bound("max"),
                quantile: 0.99,
            })
        }
        None => JudgeSpec::Threshold(metric["threshold"].as_f64().unwrap_or(0.0)),
    };
    MetricSpec {
        name: metric["name"].as_str().expect("a name").into(),
        query: metric["templateRef"]["name"]
            .as_str()
            .map(|it| format!("template {it}")),
        window: metric["interval"]
            .as_str()
            .map(|_| duration(&metric["interval"], 60)),
        min_sample: 0,
        judge,
    }
}

/// A webhook that is answered; the others only inform.
fn gate(hook: &Value) -> Option<Gate> {
    let written = hook["type"]
        .as_str()
        .filter(|it| !it.is_empty())
        .unwrap_or("rollout");
    let kind = GateKind::ALL.into_iter().find(|it| it.name() == written)?;
    Some(Gate::new(kind, hook["name"].as_str().unwrap_or(written)))
}

/// RFC 7396.
pub(crate) fn merge(object: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = serde_json::json!({});
    }
    for (key, value) in fields {
        if value.is_null() {
            object.as_object_mut().expect("an object").remove(key);
        } else {
            merge(&mut object[key.as_str()], value);
        }
    }
}
