//! The metric source: what it asks for which metric, what it refuses to ask, and what it says of both.

use std::time::Duration;

use delivery_core::analysis::MannWhitney;
use delivery_core::analysis::{Nothing, Sample, Window};
use delivery_core::plan::{Canary, Capabilities, JudgeSpec, MetricSpec, Plan, Spec, Strategy, kayenta};
use delivery_core::port::{Fault, Measure, MetricSource};
use delivery_core::{Revision, Timestamp, Weight};
use delivery_prom::template::Names;
use delivery_prom::{Form, Measured, Metrics, Pick, Question, Server};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const NOW: Timestamp = Timestamp::from_millis(1_435_781_451_781);

fn vector(values: &[&str]) -> String {
    let series: Vec<String> = (0..)
        .zip(values)
        .map(|(at, value)| format!(r#"{{"metric":{{"pod":"p{at}"}},"value":[1435781451.781,"{value}"]}}"#))
        .collect();
    format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}},"warnings":["PromQL warning: a remark"]}}"#,
        series.join(",")
    )
}

/// A server that answers every query with this.
async fn server(body: &str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/api/v1/query"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(body, "application/json"))
        .mount(&server)
        .await;
    server
}

fn source(server: &MockServer) -> Metrics {
    let some = |it: &str| Some(it.to_owned());
    let names = Names {
        namespace: some("shop"),
        target: some("web"),
        ingress: some("web-ing"),
        ..Names::default()
    };
    Metrics::new(Server::new(&server.uri()).unwrap().client().unwrap()).names(names)
}

fn plan(metrics: Vec<MetricSpec>) -> Plan {
    let canary = Canary {
        step_weight: Some(10.0),
        ..Canary::default()
    };
    let spec = Spec {
        metrics,
        ..Spec::new(Strategy::Canary(canary))
    };
    spec.compile(&Capabilities::ALL).unwrap().0
}

fn ask<'a>(plan: &'a Plan, canary: &'a Revision, seconds: u64) -> Measure<'a> {
    Measure {
        metric: &plan.metrics()[0],
        window: Window {
            from: NOW.before(Duration::from_secs(seconds)),
            to: NOW,
        },
        canary,
        primary: None,
        weight: Weight::ZERO,
    }
}

async fn measure(source: &Metrics, metric: MetricSpec, seconds: u64) -> Measured {
    let (plan, canary) = (plan(vec![metric]), Revision::new("v2").unwrap());
    source
        .measure_with_queries(&ask(&plan, &canary, seconds))
        .await
        .unwrap()
}

fn with_query(query: &str) -> MetricSpec {
    MetricSpec {
        query: Some(query.into()),
        ..MetricSpec::at_least("m", 1.0)
    }
}

#[tokio::test]
async fn a_question_goes_before_the_plans_query_and_that_before_the_built_in_one() {
    let server = server(&vector(&["7"])).await;
    let builtin = source(&server).provider("nginx").unwrap();
    let metric = || MetricSpec::at_most("request-duration", 500.0);
    let measured = measure(&builtin, metric(), 60).await;
    let query = &measured.queries[0];
    assert!(
        query.contains(r#"{ namespace="shop", ingress="web-ing", canary!="" }[1m]"#),
        "{query}"
    );

    let own = MetricSpec {
        query: Some("max(own)".into()),
        ..metric()
    };
    assert_eq!(measure(&builtin, own.clone(), 60).await.queries, ["max(own)"]);
    let asked = builtin.question(
        "request-duration",
        Question::new(Form::value("max(asked)").unwrap()),
    );
    assert_eq!(measure(&asked, own, 60).await.queries, ["max(asked)"]);
}

#[tokio::test]
async fn built_in_durations_are_whole_milliseconds() {
    let server = server(&vector(&["0.5009"])).await;
    let source = source(&server).provider("kubernetes").unwrap();
    let measured = measure(&source, MetricSpec::at_most("request-duration", 500.0), 60).await;
    assert_eq!(measured.sample, Sample::Value(500.0));
    let rate = measure(&source, MetricSpec::at_least("request-success-rate", 99.0), 60).await;
    assert_eq!(rate.sample, Sample::Value(0.5009));
}

#[tokio::test]
async fn the_interval_is_the_window_and_not_the_plans() {
    let server = server(&vector(&["7"])).await;
    let metric = || with_query("rate(x[{{ interval }}])");
    for (seconds, query) in [(60, "rate(x[1m])"), (47, "rate(x[47s])")] {
        assert_eq!(
            measure(&source(&server), metric(), seconds).await.queries,
            [query]
        );
    }
    let request = &server.received_requests().await.unwrap()[0];
    let query = request.url.query().unwrap();
    assert!(query.contains("time=1435781451.781"), "{query}");
    assert!(query.contains("lookback_delta=60.001"), "{query}");
}

#[tokio::test]
async fn what_looks_behind_the_window_is_not_asked() {
    let server = server(&vector(&["7"])).await;
    for query in ["rate(x[5m])", "rate(x[1m] offset 1m)", "max_over_time(y[5m:])"] {
        let measured = measure(&source(&server), with_query(query), 60).await;
        assert_eq!(measured.sample, Sample::Nothing(Nothing::Straddles), "{query}");
    }
    let empty = measure(&source(&server), with_query("rate(x[{{ interval }}])"), 0).await;
    assert_eq!(empty.sample, Sample::Nothing(Nothing::NoData));
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn canary_and_primary_are_a_pair() {
    let server = server(&vector(&["7"])).await;
    let pair =
        Question::new(Form::value("max(canary)").unwrap()).against(Form::value("max(primary)").unwrap());
    let source = source(&server).question("m", pair);
    let measured = measure(&source, MetricSpec::at_least("m", 1.0), 60).await;
    let (canary, primary) = (7.0, 7.0);
    assert_eq!(measured.sample, Sample::Pair { canary, primary });
    assert_eq!(measured.queries.len(), 2);
}

#[tokio::test]
async fn a_query_that_names_the_revision_is_asked_of_both_sides_where_the_judge_compares() {
    let server = server(&vector(&["7"])).await;
    let config = r#"{"metrics": [{
        "name": "m",
        "query": {"type": "prometheus", "customInlineTemplate": "PromQL:sum(x{v=\"${scope}\"})"}
    }]}"#;
    let imported = kayenta(config, &[]).unwrap().metrics.remove(0);
    let bounded = MetricSpec {
        query: imported.query.clone(),
        ..MetricSpec::at_least("m", 1.0)
    };
    let (canary, primary) = (Revision::new("v2").unwrap(), Revision::new("v1").unwrap());
    let (canary_query, primary_query) = (r#"sum(x{v="v2"})"#, r#"sum(x{v="v1"})"#);
    let pair = Sample::Pair {
        canary: 7.0,
        primary: 7.0,
    };
    let alone = Sample::Value(7.0);
    for (metric, known, sample, queries) in [
        (
            &imported,
            Some(&primary),
            &pair,
            &[canary_query, primary_query][..],
        ),
        (&bounded, Some(&primary), &alone, &[canary_query]),
    ] {
        let plan = plan(vec![metric.clone()]);
        let ask = Measure {
            primary: known,
            ..ask(&plan, &canary, 60)
        };
        let mut measured = source(&server).measure_with_queries(&ask).await.unwrap();
        measured.queries.sort_by(|one, other| other.cmp(one));
        assert_eq!(
            (
                &measured.sample,
                measured.queries.iter().map(String::as_str).collect()
            ),
            (sample, queries.to_vec())
        );
    }
}

#[tokio::test]
async fn warnings_are_kept_and_a_choice_among_series_is_one() {
    let server = server(&vector(&["7", "8"])).await;
    let measured = measure(&source(&server), with_query("x + x"), 60).await;
    assert_eq!(measured.sample, Sample::Value(8.0));
    assert_eq!(
        measured.warnings,
        [
            "PromQL warning: a remark",
            "of 2 series the last counts; say which is meant"
        ]
    );
    let chosen = Question::new(Form::value("x + x").unwrap()).pick(Pick::Max);
    let source = source(&server).question("m", chosen);
    let measured = measure(&source, MetricSpec::at_least("m", 1.0), 60).await;
    assert_eq!(measured.warnings, ["PromQL warning: a remark"]);
}

#[tokio::test]
async fn a_metric_without_a_query_is_nothing_and_one_that_cannot_be_written_an_error() {
    let server = server(&vector(&["7"])).await;
    let canary = Revision::new("v2").unwrap();
    let unknown = plan(vec![MetricSpec::at_least("queue", 1.0)]);
    let said = source(&server).measure(&ask(&unknown, &canary, 60)).await;
    let why = "there is no query for metric \"queue\" (known: none; or write one in the plan)";
    assert_eq!(said.unwrap(), Sample::Nothing(Nothing::Unusable(why.into())));

    let missing = plan(vec![with_query("max(x{a='{{ variables.a }}'})")]);
    let error = source(&server)
        .measure(&ask(&missing, &canary, 60))
        .await
        .unwrap_err();
    assert_eq!(
        (error.fault, error.to_string().as_str()),
        (Fault::Permanent, "measuring m")
    );
    let mut texts = vec![error.source.to_string()];
    texts.extend(error.source.source().map(ToString::to_string));
    assert_eq!(
        texts,
        [
            "query \"max(x{a='{{ variables.a }}'})\" cannot be used",
            "there is nothing to put in for `variables.a` at offset 9"
        ]
    );
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_plan_can_be_checked_before_anything_is_asked() {
    let server = server(&vector(&["7"])).await;
    let named = |name: &str, query: Option<&str>| MetricSpec {
        query: query.map(str::to_owned),
        ..MetricSpec::at_least(name, 1.0)
    };
    let plan = plan(vec![
        named("good", Some("sum(rate(x{app='{{ target }}'}[{{ interval }}]))")),
        named("none", None),
        named("unread", Some("x{{ y }}")),
        named("unfilled", Some("x{a='{{ variables.a }}'}")),
        named("empty", Some(" ")),
        named("no-promql", Some("sum(rate(x))")),
        MetricSpec {
            query: Some("sum(x)".into()),
            ..MetricSpec::judged("one-sided", JudgeSpec::MannWhitney(MannWhitney::default()))
        },
    ]);
    let wrong: Vec<String> = source(&server)
        .check(&plan)
        .into_iter()
        .map(|(metric, _)| metric)
        .collect();
    if cfg!(feature = "promql-validate") {
        assert_eq!(
            wrong,
            ["none", "unread", "unfilled", "empty", "no-promql", "one-sided"]
        );
    } else {
        assert_eq!(wrong, ["none", "unread", "unfilled", "empty", "one-sided"]);
    }

    let loki = Metrics::new(Server::loki(&server.uri()).unwrap().client().unwrap())
        .question("counts", Question::new(Form::counts("x", "y").unwrap()));
    let plan = self::plan(vec![
        named("lines", Some("{app=\"web\"}")),
        named("counts", None),
        named("good", Some("sum(rate({app=\"web\"}[1m]))")),
    ]);
    let wrong: Vec<String> = loki
        .check(&plan)
        .into_iter()
        .map(|(metric, error)| format!("{metric}: {error}"))
        .collect();
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong[0].starts_with("lines: query `{app=\"web\"}` cannot be used: it asks for log lines"));
    assert!(wrong[1].contains("of a Loki only values can be asked"));
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_part_of_the_data_is_not_the_data() {
    let part = |mark: &str| vector(&["99.5"]).replace(r#""warnings":["PromQL warning: a remark"]"#, mark);
    for mark in [
        r#""isPartial":true"#,
        r#""warnings":["receive series from store-2: deadline exceeded"]"#,
    ] {
        let server = server(&part(mark)).await;
        let metric = || MetricSpec {
            query: Some("sum(success)".into()),
            ..MetricSpec::at_least("success", 99.0)
        };
        let measured = measure(&source(&server), metric(), 60).await;
        assert!(
            matches!(measured.sample, Sample::Nothing(Nothing::Partial(_))),
            "{measured:?}"
        );
        let taking = Server::new(&server.uri()).unwrap().take_partial_answers();
        let measured = measure(&Metrics::new(taking.client().unwrap()), metric(), 60).await;
        assert_eq!(measured.sample, Sample::Value(99.5));
    }
}
