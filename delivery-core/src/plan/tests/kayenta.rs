//! A canary config of Kayenta, and what becomes of it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::analysis::{Direction, MannWhitney};
use crate::plan::{Canary, Capabilities, JudgeSpec, Spec, Strategy, kayenta};

const CONFIG: &str = r#"{
    "name": "web", "description": "", "configVersion": "1", "applications": ["web"],
    "judge": {"name": "dredd-v1.0", "judgeConfigurations": {}},
    "metrics": [
        {
            "name": "errors", "scopeName": "default", "groups": ["errors"],
            "query": {"type": "prometheus", "serviceType": "prometheus", "customInlineTemplate": "PromQL: sum(errors)"},
            "analysisConfigurations": {"canary": {
                "direction": "increase", "critical": true, "nanStrategy": "replace",
                "effectSize": {"allowedIncrease": 1.2, "criticalIncrease": 2}
            }}
        },
        {
            "name": "throughput", "groups": ["load"],
            "query": {"type": "prometheus", "customFilterTemplate": "rate"},
            "analysisConfigurations": {"canary": {
                "direction": "decrease", "critical": true, "outliers": {"strategy": "remove", "outlierFactor": 3},
                "effectSize": {"measure": "cles", "allowedDecrease": 0.4}
            }}
        },
        {"name": "cpu", "groups": ["load"], "query": {"type": "datadog", "metricName": "avg:cpu"}},
        {"name": "noise", "query": {}, "analysisConfigurations": {"canary": {"muted": true}}}
    ],
    "templates": {"rate": "sum(rate(requests[1m]))"},
    "classifier": {"groupWeights": {"errors": 60, "load": 40}, "scoreThresholds": {"pass": 95, "marginal": 75}}
}"#;

#[test]
fn what_a_config_means_becomes_metrics_and_the_rest_is_told() {
    let imported = kayenta(CONFIG).unwrap();
    let found: Vec<_> = imported
        .metrics
        .iter()
        .map(|it| (it.name.as_str(), it.query.as_deref(), it.judge.clone()))
        .collect();
    let judge = |direction, allowed_increase| {
        JudgeSpec::MannWhitney(MannWhitney {
            direction,
            allowed_increase,
            ..MannWhitney::default()
        })
    };
    assert_eq!(
        found,
        [
            ("errors", Some("sum(errors)"), judge(Direction::Increase, 1.2)),
            (
                "throughput",
                Some("sum(rate(requests[1m]))"),
                judge(Direction::Decrease, 1.0)
            ),
            ("cpu", None, judge(Direction::Either, 1.0)),
        ]
    );
    let told: Vec<String> = imported.differences.iter().map(|it| it.path.clone()).collect();
    assert_eq!(
        told,
        [
            "judge.name",
            "classifier.groupWeights",
            "classifier.scoreThresholds",
            "metrics[0].analysisConfigurations.canary.nanStrategy",
            "metrics[0].analysisConfigurations.canary.effectSize",
            "metrics[1].analysisConfigurations.canary.outliers",
            "metrics[1].analysisConfigurations.canary.effectSize.measure",
            "metrics[2].analysisConfigurations.canary.critical",
            "metrics[2].query",
            "metrics[3]",
        ]
    );
    let spec = Spec {
        metrics: imported.metrics,
        ..Spec::new(Strategy::Canary(Canary {
            step_weight: Some(10.0),
            max_weight: Some(50.0),
            ..Canary::default()
        }))
    };
    spec.compile(&Capabilities::ALL).unwrap();
}

#[test]
fn what_is_no_config_is_refused() {
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"metrics": 1}"#,
        r#"{"metrics": [{"query": {}}]}"#,
    ] {
        assert!(kayenta(wrong).is_err(), "{wrong}");
    }
}
