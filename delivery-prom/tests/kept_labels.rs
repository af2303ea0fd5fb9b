//! Which labels an expression keeps: what the rules check says, and what a real Prometheus answers.
#![cfg(feature = "rules-check")]

#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "prometheus/server.rs"]
mod server;

use std::collections::BTreeSet;

use delivery_prom::Instant;
use delivery_prom::reply::Data;
use delivery_prom::rules::{Lint, Pace, check};
use server::{Prometheus, at};

/// All labels that there are.
const LABELS: [&str; 9] = [
    "__name__", "a", "b", "job", "le", "new", "pod", "service", "version",
];

/// Every series has all labels but `new`, so what is not in a result was dropped.
const SERIES: [&str; 5] = [
    r#"x{job="j",pod="p",service="s",a="1",b="1",le="1",version="v"}: 1 2 3 4 5 6"#,
    r#"y{job="j",pod="p",service="s",a="1",b="1",le="1",version="v"}: 2 4 6 8 10 12"#,
    r#"h_bucket{job="j",pod="p",service="s",a="1",b="1",le="1",version="v"}: 1 2 3 4 5 6"#,
    r#"h_bucket{job="j",pod="p",service="s",a="1",b="1",le="2",version="v"}: 2 4 6 8 10 12"#,
    r#"h_bucket{job="j",pod="p",service="s",a="1",b="1",le="+Inf",version="v"}: 2 4 6 8 10 12"#,
];

const EXPRESSIONS: [&str; 74] = [
    // Selectors.
    "x",
    "{__name__=\"x\"}",
    "x offset 15s",
    // Operators with a number.
    "x > 1",
    "1 < x",
    "x > bool 1",
    "x + 1",
    "1 - x",
    "-x",
    "(x)",
    // Functions.
    "rate(x[1m])",
    "irate(x[1m])",
    "increase(x[1m])",
    "delta(x[1m])",
    "resets(x[1m])",
    "deriv(x[1m])",
    "predict_linear(x[1m], 60)",
    "avg_over_time(x[1m])",
    "quantile_over_time(0.9, x[1m])",
    "last_over_time(x[1m])",
    "present_over_time(x[1m])",
    "max_over_time(rate(x[30s])[1m:15s])",
    "abs(x)",
    "round(x, 2)",
    "clamp(x, 1, 9)",
    "clamp_min(x, 1)",
    "timestamp(x)",
    "hour(x)",
    "sort(x)",
    "sort_desc(x)",
    "sgn(x)",
    "vector(1)",
    "vector(scalar(x))",
    "hour()",
    "absent(z{job=\"j\", pod=~\"p\"})",
    "absent_over_time(z{a=\"1\"}[1m])",
    "absent(sum(z))",
    "label_replace(x, \"new\", \"$1\", \"job\", \"(.*)\")",
    "label_replace(sum by (job)(x), \"new\", \"$1\", \"job\", \"(.*)\")",
    "label_join(sum by (job)(x), \"new\", \"-\", \"job\")",
    "histogram_quantile(0.9, rate(h_bucket[1m]))",
    "histogram_quantile(0.9, sum by (le, service)(rate(h_bucket[1m])))",
    // Aggregations.
    "sum(x)",
    "sum by (a)(x)",
    "sum by (a, new)(x)",
    "sum by (__name__)(x)",
    "max without (pod)(x)",
    "max without (pod, __name__)(x)",
    "avg without ()(x)",
    "count by (a)(sum by (a, b)(x))",
    "topk(1, x)",
    "bottomk by (a)(1, rate(x[1m]))",
    "count_values(\"new\", x)",
    "count_values by (a)(\"new\", x)",
    "quantile by (a)(0.9, x)",
    "group by (a)(x)",
    "stddev(x)",
    // Two vectors.
    "x / y",
    "x < y",
    "x < bool y",
    "x / on (a) y",
    "x < on (a) y",
    "x / ignoring (pod) y",
    "x < ignoring (pod) y",
    "sum by (a)(x) / sum by (a)(y)",
    "x / on (a) group_left sum by (a)(y)",
    "x < on (a) group_left sum by (a)(y)",
    "sum by (a)(x) * on (a) group_left (version, new) y",
    "sum by (a)(x) * on (a) group_right y",
    "sum by (a)(x) * on (a) group_right (b) sum by (a, job)(y)",
    "sum by (a)(x) and on (a) y",
    "x and y",
    "sum by (a)(x) or sum by (b)(y)",
    "x unless sum by (new)(y)",
];

/// What the check believes to be in the result: all that it does not report.
fn believed(expr: &str) -> BTreeSet<String> {
    let text: String = LABELS
        .iter()
        .map(|it| format!("{it}={{{{ $labels.{it} }}}} "))
        .collect::<Vec<_>>()
        .concat();
    let rules = format!(
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {}\n    annotations:\n      text: '{text}'\n",
        serde_json::to_string(expr).unwrap()
    );
    let found = check("rules.yaml", &rules, &Pace::default()).unwrap();
    let dropped = |label: &&&str| {
        let printed = format!("prints $labels.{label}, ");
        !found
            .iter()
            .any(|it| it.lint == Lint::LabelDropped && it.wrong.contains(&printed))
    };
    LABELS.iter().filter(dropped).map(|it| (*it).to_owned()).collect()
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn what_is_said_to_be_dropped_is_dropped_and_nothing_else() {
    let prometheus = Prometheus::with(&SERIES).start().await;
    let client = prometheus.client();
    let mut wrong = Vec::new();
    for expr in EXPRESSIONS {
        let query = Instant {
            at: Some(at(75)),
            ..Instant::from(expr)
        };
        let answer = client.query(query).await.unwrap();
        let Data::Vector(series) = answer.reply().unwrap().data else {
            panic!("{expr} is no vector");
        };
        assert!(!series.is_empty(), "{expr} has no result");
        let real: BTreeSet<String> = series.iter().flat_map(|it| it.labels.map().into_keys()).collect();
        let mut believed = believed(expr);
        // For all that the check knows, a series may have any label; `new` is one that none of these has.
        if !real.contains("new") {
            believed.remove("new");
        }
        if real != believed {
            wrong.push(format!("{expr}: has {real:?}, believed {believed:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
