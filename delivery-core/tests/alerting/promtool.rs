//! Asks `promtool` what it makes of a case.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use delivery_core::alerting::{Alert, AlertState, Element, Labels};
use delivery_core::time::PromDuration;
use serde_json::{Value, json};

use crate::case::Case;

/// Fails unless `promtool` agrees with all cases.
pub(crate) fn agrees(name: &str, cases: &[Case]) {
    let folder = folder(name);
    let (failing, working): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|it| it.fails());
    let tests: Vec<PathBuf> = working
        .iter()
        .enumerate()
        .map(|(at, it)| write(&folder, &at.to_string(), it))
        .collect();
    let said = promtool(&tests);
    assert!(said.status.success(), "{}", text(&said));
    assert_eq!(
        text(&said).matches("SUCCESS").count(),
        working.len(),
        "{}",
        text(&said)
    );

    for case in failing {
        let said = promtool(&[write(&folder, "failing", case)]);
        let expected = "vector contains metrics with the same labelset after applying alert labels";
        assert!(
            !said.status.success() && text(&said).contains(expected),
            "{}: {}",
            case.name,
            text(&said)
        );
    }
    fs::remove_dir_all(folder).unwrap();
}

/// Fails if `promtool` agrees although what is expected of it was changed.
pub(crate) fn disagrees(case: &Case, right: &str, wrong: &str) {
    let folder = folder("disagrees");
    let test = write(&folder, "case", case);
    let expected = fs::read_to_string(&test).unwrap();
    assert!(expected.contains(right), "{right} in {expected}");
    fs::write(&test, expected.replacen(right, wrong, 1)).unwrap();
    let said = promtool(&[test]);
    assert!(
        !said.status.success() && text(&said).contains("FAILED"),
        "{wrong}: {}",
        text(&said)
    );
    fs::remove_dir_all(folder).unwrap();
}

/// Writes a case as a rules file and a test file, which is YAML because JSON is.
fn write(folder: &Path, name: &str, case: &Case) -> PathBuf {
    let rules = format!("{name}.rules.json");
    let mut rule = json!({
        "alert": case.rule.name,
        "expr": case.expr,
        "for": written(case.rule.hold),
        "labels": sources(&case.rule.labels),
        "annotations": sources(&case.rule.annotations),
    });
    if !case.rule.keep_firing_for.is_zero() {
        rule["keep_firing_for"] = written(case.rule.keep_firing_for).into();
    }
    let every = written(case.every);
    let groups = json!({ "groups": [{ "name": "tested", "rules": [rule] }] });
    fs::write(folder.join(&rules), groups.to_string()).unwrap();

    let series: Vec<Value> = case
        .input
        .iter()
        .map(|(series, values)| json!({ "series": series, "values": values }))
        .collect();
    let test = json!({
        "rule_files": [rules],
        "evaluation_interval": every,
        "tests": [{
            "name": case.name,
            "interval": every,
            "input_series": series,
            "alert_rule_test": firing(case),
            "promql_expr_test": queries(case),
        }],
    });
    let path = folder.join(format!("{name}.test.json"));
    fs::write(&path, test.to_string()).unwrap();
    path
}

/// At every tick: the alerts that fire, with their labels and texts.
fn firing(case: &Case) -> Vec<Value> {
    let at_each = case.replay().into_iter().enumerate().map(|(tick, alerts)| {
        let firing: Vec<Value> = alerts
            .unwrap_or_default()
            .iter()
            .filter(|it| it.state == AlertState::Firing)
            .map(|it| json!({ "exp_labels": without(&it.labels, "alertname"), "exp_annotations": it.annotations }))
            .collect();
        json!({ "eval_time": at(case, tick), "alertname": case.rule.name, "exp_alerts": firing })
    });
    at_each.collect()
}

/// At every tick: what the expression yields, which alerts are active in which state, and since when.
fn queries(case: &Case) -> Vec<Value> {
    let mut queries = Vec::new();
    for (tick, (alerts, elements)) in case.replay().into_iter().zip(&case.ticks).enumerate() {
        let alerts = alerts.unwrap_or_default();
        let active: Vec<&Alert> = alerts
            .iter()
            .filter(|it| it.state != AlertState::Inactive)
            .collect();
        let states: Vec<Value> = active
            .iter()
            .map(|it| {
                let mut labels = stored(case, it);
                labels.insert("alertstate".into(), it.state.to_string());
                sample("ALERTS", &labels, 1.0)
            })
            .collect();
        let since: Vec<Value> = active
            .iter()
            .map(|it| {
                let seconds = u32::try_from(it.active_at.as_millis() / 1000).unwrap();
                sample("ALERTS_FOR_STATE", &stored(case, it), seconds.into())
            })
            .collect();
        let mut ask = |expr: &str, samples: Vec<Value>| {
            queries.push(json!({ "expr": expr, "eval_time": at(case, tick), "exp_samples": samples }));
        };
        ask("ALERTS", states);
        ask("ALERTS_FOR_STATE", since);
        // For promtool, NaN differs from NaN; and JSON has no infinities.
        if elements.iter().all(|it| it.value.is_finite()) {
            ask(&case.expr, elements.iter().map(element).collect());
        }
    }
    queries
}

fn element(element: &Element) -> Value {
    let name = element.labels.get("__name__").map_or("", String::as_str);
    sample(name, &without(&element.labels, "__name__"), element.value)
}

fn sample(name: &str, labels: &Labels, value: f64) -> Value {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    json!({ "labels": format!("{name}{{{}}}", pairs.join(",")), "value": value })
}

/// The labels under which Prometheus stores an alert: those of the rule, unrendered, where the alert has none of that
/// name.
fn stored(case: &Case, alert: &Alert) -> Labels {
    let mut labels = sources(&case.rule.labels);
    labels.extend(alert.labels.clone());
    labels
}

fn sources(templates: &std::collections::BTreeMap<String, delivery_core::alerting::Template>) -> Labels {
    templates
        .iter()
        .map(|(name, it)| (name.clone(), it.source().into()))
        .collect()
}

fn without(labels: &Labels, name: &str) -> Labels {
    let mut labels = labels.clone();
    labels.remove(name);
    labels
}

fn at(case: &Case, tick: usize) -> String {
    written(case.moment(tick).since(case.moment(0)))
}

fn written(duration: std::time::Duration) -> String {
    PromDuration::saturating_from(duration).to_string()
}

fn promtool(tests: &[PathBuf]) -> Output {
    Command::new("promtool")
        .args(["test", "rules"])
        .args(tests)
        .output()
        .unwrap_or_else(|it| {
            panic!("promtool: {it} (install it with `apt-get install prometheus`)");
        })
}

fn text(said: &Output) -> String {
    [&said.stdout, &said.stderr]
        .map(|it| String::from_utf8_lossy(it))
        .concat()
}

/// An empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("delivery-alerting-{}-{name}", std::process::id()));
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
