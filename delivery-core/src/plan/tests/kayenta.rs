//! A canary config of Kayenta, and what becomes of it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::analysis::{Direction, MannWhitney, Range};
use crate::plan::{Canary, Capabilities, Imported, JudgeSpec, Spec, Strategy, kayenta};

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
    "templates": {"rate": "PromQL:sum(rate(requests{version=\"${scope}\"}[1m]))"},
    "classifier": {"groupWeights": {"errors": 60, "load": 40}, "scoreThresholds": {"pass": 95, "marginal": 75}}
}"#;

#[test]
fn what_a_config_means_becomes_metrics_and_the_rest_is_told() {
    let imported = kayenta(CONFIG, &[]).unwrap();
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
                Some(r#"sum(rate(requests{version="{{ revision }}"}[1m]))"#),
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
            "metrics[0].query",
            "metrics[1].analysisConfigurations.canary.outliers",
            "metrics[1].analysisConfigurations.canary.effectSize.measure",
            "metrics[1].query",
            "metrics[2].analysisConfigurations.canary.critical",
            "metrics[2].query.type",
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
fn what_is_quoted_of_a_config_is_one_line_with_a_bound() {
    let odd = r"\u202e\u0000\n".repeat(3_000) + &"x".repeat(9_000);
    let config = alloc::format!(
        r#"{{"judge": {{"name": "{odd}"}}, "metrics": [{{"name": "m", "query": {{"type": "{odd}"}}}}]}}"#
    );
    let differences = kayenta(&config, &[]).unwrap().differences;
    assert!(differences.len() >= 2, "{differences:?}");
    for difference in differences {
        let said = alloc::format!("{difference}");
        assert_eq!(crate::text::hidden(&said), None, "{said}");
        assert!(said.chars().count() < 1_000, "{said}");
    }
    let error = kayenta(&alloc::format!(r#"{{"metrics": "{odd}"}}"#), &[]).unwrap_err();
    let said = alloc::format!("{}", core::error::Error::source(&error).unwrap());
    assert!(
        said.chars().count() < 500 && crate::text::hidden(&said).is_none(),
        "{said}"
    );
}

#[test]
fn what_is_no_config_is_refused() {
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"metrics": 1}"#,
        r#"{"metrics": [{"query": {}}]}"#,
        r#"{"canaryConfig": {}}"#,
        r#"{"canaryConfig": "web"}"#,
    ] {
        assert!(kayenta(wrong, &[]).is_err(), "{wrong}");
    }
}

/// A config with one metric, which asks with this query.
fn asking(query: &str, values: &[(&str, &str)]) -> Imported {
    let templates = r#"{
        "rate": "PromQL:rate(x{v=\"${scope}\"}[1m])", "pod": "pod=~\"${scope}-.*\"", "none": "",
        "if": "<#if scope == \"a\">pod=\"a\"</#if>"
    }"#;
    let config =
        alloc::format!(r#"{{"templates": {templates}, "metrics": [{{"name": "m", "query": {query}}}]}}"#);
    kayenta(&config, values).unwrap()
}

#[test]
fn a_query_is_what_kayenta_would_send() {
    let given: &[(&str, &str)] = &[
        ("location", "{{ namespace }}"),
        ("env", "prod"),
        ("labels", r#"role="{{ revision }}""#),
    ];
    for (query, sent) in [
        // An expression, in place and by name; an empty text in place is none.
        (
            r#"{"type": "prometheus", "customInlineTemplate": "PromQL:sum(x{a=\"${scope}\"})"}"#,
            r#"sum(x{a="{{ revision }}"})"#,
        ),
        (
            r#"{"type": "prometheus", "customFilterTemplate": "rate"}"#,
            r#"rate(x{v="{{ revision }}"}[1m])"#,
        ),
        (
            r#"{"type": "prometheus", "customInlineTemplate": "", "customFilterTemplate": "rate", "metricName": "y"}"#,
            r#"rate(x{v="{{ revision }}"}[1m])"#,
        ),
        (
            r#"{"type": "prometheus", "customInlineTemplate": "PromQL:up{a='${scope}'}", "customFilterTemplate": "rate"}"#,
            "up{a='{{ revision }}'}",
        ),
        // As Spinnaker keeps it in pipelines, and in a pattern.
        (
            r#"{"type": "prometheus", "customInlineTemplate": "PromQL:sum(x{pod=~`$\\{scope}-.+`})"}"#,
            "sum(x{pod=~`{{ revision }}-.+`})",
        ),
        // A filter of the metric, with the label bindings behind it.
        (
            r#"{"type": "prometheus", "metricName": "cpu", "customFilterTemplate": "pod", "labelBindings": ["ns=\"a\"", "c!=\"POD\""]}"#,
            r#"avg(cpu{pod=~"{{ revision }}-.*",ns="a",c!="POD"})"#,
        ),
        (
            r#"{"serviceType": "prometheus", "metricName": "cpu", "customInlineTemplate": "a=\"${scope}\",env=\"${env}\""}"#,
            r#"avg(cpu{a="{{ revision }}",env="prod"})"#,
        ),
        // Values of the request, as they are.
        (
            r#"{"type": "prometheus", "customInlineTemplate": "PromQL:sum(x{ns=\"${location}\",v=\"${scope}\",code=~\"5\\\\d+\"})"}"#,
            r#"sum(x{ns="{{ namespace }}",v="{{ revision }}",code=~"5\\d+"})"#,
        ),
        (
            r#"{"type": "prometheus", "customInlineTemplate": "PromQL:sum(x{job=\"a\",${labels}})"}"#,
            r#"sum(x{job="a",role="{{ revision }}"})"#,
        ),
    ] {
        let imported = asking(query, given);
        assert_eq!(imported.metrics[0].query.as_deref(), Some(sent), "{query}");
        let paths: Vec<&str> = imported.differences.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths[1..], ["metrics[0].query"], "{query}");
    }
}

#[test]
fn a_query_that_would_measure_something_else_is_left_out_and_reported() {
    for (query, field, why) in [
        (
            r#"{"type": "signalfx", "metricName": "m", "customInlineTemplate": "data('x').publish()"}"#,
            "type",
            "a query of signalfx",
        ),
        (
            r#"{"type": "datadog", "metricName": "avg:cpu"}"#,
            "type",
            "a query of datadog",
        ),
        (
            r#"{"type": "stackdriver", "customFilterTemplate": "pod"}"#,
            "type",
            "a query of stackdriver",
        ),
        (
            r#"{"customInlineTemplate": "PromQL:up"}"#,
            "type",
            "nothing says whose query",
        ),
        ("{}", "type", "nothing says whose query"),
        (r#"{"type": "prometheus"}"#, "resourceType", "no template"),
        (
            r#"{"type": "prometheus", "metricName": "m", "labelBindings": ["a=\"b\""], "resourceType": "gce_instance"}"#,
            "resourceType",
            "the filters for gce_instance",
        ),
        (
            r#"{"type": "prometheus", "metricName": "m", "customFilter": "a=\"b\""}"#,
            "customFilter",
            "customInlineTemplate",
        ),
        (
            r#"{"type": "prometheus", "metricName": "m", "customFilterTemplate": "gone"}"#,
            "customFilterTemplate",
            "no \"gone\"",
        ),
        (
            r#"{"type": "prometheus", "customFilterTemplate": "pod"}"#,
            "metricName",
            "is a filter",
        ),
        (
            r#"{"type": "prometheus", "customInlineTemplate": " PromQL:up"}"#,
            "metricName",
            "is a filter",
        ),
        (
            r#"{"type": "prometheus", "metricName": "m", "customFilterTemplate": "pod", "groupByFields": ["pod"]}"#,
            "groupByFields",
            "one metric for each group",
        ),
        (
            r#"{"type": "prometheus", "customInlineTemplate": "PromQL:x{ns=\"${location}\"}"}"#,
            "customInlineTemplate",
            "${location} has no value",
        ),
        (
            r#"{"type": "prometheus", "customInlineTemplate": "PromQL:x{${scope}}"}"#,
            "customInlineTemplate",
            "outside of quotes",
        ),
        (
            r#"{"type": "prometheus", "customInlineTemplate": "PromQL:x{a=\"${scope?upper_case}\"}"}"#,
            "customInlineTemplate",
            "has no value",
        ),
        (
            r#"{"type": "prometheus", "customInlineTemplate": "PromQL:x{a=\"${scope"}"#,
            "customInlineTemplate",
            "never closed",
        ),
        (
            r#"{"type": "prometheus", "customInlineTemplate": "PromQL:x{a=\"{{b}}\"}"}"#,
            "customInlineTemplate",
            "begins a gap",
        ),
        (
            r#"{"type": "prometheus", "metricName": "m", "customFilterTemplate": "if"}"#,
            "customFilterTemplate",
            "<#",
        ),
        (
            r#"{"type": "prometheus", "customInlineTemplate": "PromQL:  "}"#,
            "customInlineTemplate",
            "empty",
        ),
    ] {
        let imported = asking(query, &[]);
        assert_eq!(imported.metrics[0].query, None, "{query}");
        let told = imported.differences.last().unwrap();
        assert_eq!(told.path, alloc::format!("metrics[0].query.{field}"), "{query}");
        assert!(told.text.contains(why), "{query}: {}", told.text);
    }
}

#[test]
fn a_static_baseline_is_a_range_and_what_asks_both_sides_the_same_is_told() {
    let metric = |canary: &str, baseline: &str| {
        alloc::format!(
            r#"{{"name": "m", "query": {{"type": "prometheus", "customInlineTemplate": "PromQL:avg(x)"}},
            "analysisConfigurations": {{"canary": {canary}, "extendedProperties": {{{baseline}}}}}}}"#
        )
    };
    for (canary, baseline, range, says) in [
        (
            r#"{"direction": "increase"}"#,
            300.0,
            Range::at_most(300.0),
            "at most 300",
        ),
        (
            r#"{"direction": "decrease"}"#,
            99.5,
            Range::at_least(99.5),
            "at least 99.5",
        ),
        (
            r#"{"direction": "increase", "effectSize": {"allowedIncrease": 1.5}}"#,
            300.0,
            Range::at_most(450.0),
            "at most 450",
        ),
        (
            r#"{"effectSize": {"allowedIncrease": 1.5, "allowedDecrease": 0.5}}"#,
            300.0,
            Range {
                min: Some(150.0),
                ..Range::at_most(450.0)
            },
            "from 150 to 450",
        ),
        (
            "{}",
            300.0,
            Range {
                min: Some(300.0),
                ..Range::at_most(300.0)
            },
            "nothing but 300",
        ),
        (
            r#"{"direction": "increase", "effectSize": {"allowedIncrease": 2}}"#,
            -5.0,
            Range::at_most(-5.0),
            "at most -5",
        ),
    ] {
        let metric = metric(canary, &alloc::format!(r#""staticBaseline": {baseline}"#));
        let config = alloc::format!(
            r#"{{"canaryConfig": {{
            "judge": {{"name": "StaticBaselineJudge-v1.0"}}, "metrics": [{metric}]
        }}, "executionRequest": {{}}}}"#
        );
        let imported = kayenta(&config, &[]).unwrap();
        assert_eq!(imported.metrics[0].judge, JudgeSpec::Range(range), "{canary}");
        let told: String = imported.differences.iter().map(|it| it.text.as_str()).collect();
        assert!(told.contains(says), "{told}");
        assert!(
            !told.contains("both sides") && !told.contains("is not known"),
            "{told}"
        );
    }
    let config = alloc::format!(r#"{{"metrics": [{}]}}"#, metric("{}", ""));
    let imported = kayenta(&config, &[]).unwrap();
    let told = imported.differences.last().unwrap();
    assert!(
        told.path == "metrics[0].query" && told.text.contains("both sides"),
        "{told:?}"
    );
}
