use std::time::{Duration, SystemTime, UNIX_EPOCH};

use delivery_core::analysis::{Metric, Nothing, Sample, Tally, Window};
use delivery_core::contract;
use delivery_core::driver::Ports;
use delivery_core::plan::{Canary, Capabilities, MetricSpec, Spec, Strategy};
use delivery_core::port::{Fault, Measure, MetricSource};
use delivery_core::rollout::{Idle, Phase, Stage};
use delivery_core::sim::{Happening, Scenario, World};
use delivery_core::{Revision, Timestamp, Weight, advance};
use delivery_http::json_metric::{Asks, Covers, JsonMetric, JsonMetricSpec, JsonMetrics};
use serde_json::json;

use crate::inbox::{Answer, Got, Inbox};
use crate::words::{chain, client};

/// A question and what it borrows.
pub(crate) struct Question {
    metric: Metric,
    window: Window,
    canary: Revision,
    primary: Revision,
}

impl Question {
    /// About the last minute.
    pub(crate) fn now(name: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self::until(name, Timestamp::default().after(now))
    }

    fn until(name: &str, to: Timestamp) -> Self {
        let canary = Canary {
            step_weight: Some(10.0),
            ..Canary::default()
        };
        let metrics = vec![MetricSpec::at_most(name, 1.0)];
        let spec = Spec {
            metrics,
            ..Spec::new(Strategy::Canary(canary))
        };
        let (plan, _) = spec.compile(&Capabilities::ALL).unwrap();
        Self {
            metric: plan.metrics()[0].clone(),
            window: Window {
                from: to.before(Duration::from_secs(60)),
                to,
            },
            canary: Revision::new("v2").unwrap(),
            primary: Revision::new("v1").unwrap(),
        }
    }

    pub(crate) fn ask(&self) -> Measure<'_> {
        Measure {
            metric: &self.metric,
            window: self.window,
            canary: &self.canary,
            primary: Some(&self.primary),
            weight: Weight::percent(10).unwrap(),
        }
    }
}

fn spec(url: &str, path: &str) -> JsonMetricSpec {
    JsonMetricSpec {
        url: url.into(),
        json_path: path.into(),
        ..JsonMetricSpec::new(Covers::Last(Duration::ZERO))
    }
}

fn source(spec: &JsonMetricSpec) -> JsonMetrics {
    let metric = JsonMetric::new(spec).unwrap();
    JsonMetrics::new(client()).with("error-rate", metric).unwrap()
}

async fn measured(spec: &JsonMetricSpec) -> Sample {
    source(spec)
        .measure(&Question::now("error-rate").ask())
        .await
        .unwrap()
}

/// Counts what was asked for: a request a second, of which `v2` fails every tenth, since a moment in April 2026.
fn counted(got: &Got) -> Answer {
    const BEGINNING: u64 = 1_777_000_000;
    let query = got.target.split_once('?').unwrap().1;
    let value = |name: &str| {
        query
            .split('&')
            .find_map(|it| it.strip_prefix(&format!("{name}=")))
            .unwrap()
    };
    let (from, to): (u64, u64) = (value("from").parse().unwrap(), value("to").parse().unwrap());
    let total = (to.max(BEGINNING) - from.max(BEGINNING)).min(3_600);
    let errors = if value("version") == "v2" { total / 10 } else { 0 };
    Answer::body(json!({ "data": [{ "total": total, "errors": errors }] }).to_string())
}

#[tokio::test]
async fn it_keeps_the_promises_of_every_source() {
    let server = Inbox::answering(counted).await;
    let url = format!(
        "{}/counts?version={{{{ revision }}}}&from={{{{ from }}}}&to={{{{ to }}}}",
        server.url
    );
    let source = source(&JsonMetricSpec {
        covers: Covers::Window,
        ..spec(&url, "{$.data[0]}")
    });
    let question = Question::until("error-rate", Timestamp::from_millis(1_777_000_600_000));
    let wait = async || tokio::time::sleep(Duration::from_millis(10)).await;
    contract::metric_source(&source, &question.ask(), wait)
        .await
        .unwrap();
    let canary = Tally { total: 60, errors: 6 };
    assert_eq!(
        source.measure(&question.ask()).await.unwrap(),
        Sample::Counts {
            canary,
            primary: None
        }
    );
    assert_eq!(
        server.got()[0].target,
        "/counts?version=v2&from=1777000540&to=1777000600"
    );
}

#[tokio::test]
async fn both_sides_can_be_asked_about() {
    let server = Inbox::answering(counted).await;
    let url = format!(
        "{}/counts?version={{{{revision}}}}&from={{{{from}}}}&to={{{{to}}}}",
        server.url
    );
    let spec = JsonMetricSpec {
        covers: Covers::Window,
        asks: Asks::Both,
        ..spec(&url, "$.data[0]")
    };
    let question = Question::until("error-rate", Timestamp::from_millis(1_777_000_600_000));
    let wait = async || tokio::time::sleep(Duration::from_millis(10)).await;
    let source = source(&spec);
    contract::metric_source(&source, &question.ask(), wait)
        .await
        .unwrap();
    let (canary, primary) = (
        Tally { total: 60, errors: 6 },
        Some(Tally { total: 60, errors: 0 }),
    );
    assert_eq!(
        source.measure(&question.ask()).await.unwrap(),
        Sample::Counts { canary, primary }
    );
    let alone = Measure {
        primary: None,
        ..question.ask()
    };
    assert_eq!(
        source.measure(&alone).await.unwrap(),
        Sample::Nothing(Nothing::NoPrimary)
    );
}

#[tokio::test]
async fn a_value_about_now_also_keeps_them() {
    let server = Inbox::answering(|_| Answer::body(r#"{"queue":{"length":3}}"#)).await;
    let source = source(&spec(&server.url, "{.queue.length}"));
    let wait = async || tokio::time::sleep(Duration::from_millis(10)).await;
    let question = Question::now("error-rate");
    contract::metric_source(&source, &question.ask(), wait)
        .await
        .unwrap();
    assert_eq!(source.measure(&question.ask()).await.unwrap(), Sample::Value(3.0));
}

#[tokio::test]
async fn a_value_that_reaches_back_too_far_is_not_even_asked_for() {
    let server = Inbox::answering(|_| Answer::body(r#"{"value":3}"#)).await;
    let covers = Covers::Last(Duration::from_secs(300));
    let sample = measured(&JsonMetricSpec {
        covers,
        ..spec(&server.url, "$.value")
    })
    .await;
    assert_eq!(sample, Sample::Nothing(Nothing::Straddles));
    assert_eq!(server.got().len(), 0);
}

#[tokio::test]
async fn method_headers_and_body_are_sent_as_written() {
    let server = Inbox::answering(|_| Answer::body(r#"{"value":3}"#)).await;
    let spec = JsonMetricSpec {
        method: Some("PUT".into()),
        headers: [("X-Scope-OrgID".into(), "shop".into())].into(),
        secret_headers: [("X-Key".into(), "s3cret".into())].into(),
        body: Some(r#"{"app":"{{ args.app }}","version":"{{ revision }}"}"#.into()),
        args: [("app".into(), "we\"b".into())].into(),
        ..spec(&format!("{}/q", server.url), "$.value")
    };
    assert_eq!(measured(&spec).await, Sample::Value(3.0));
    let got = server.got().remove(0);
    assert_eq!((got.method.as_str(), got.target.as_str()), ("PUT", "/q"));
    assert_eq!(got.body, json!({ "app": "we\"b", "version": "v2" }));
    assert_eq!(
        (got.header("x-scope-orgid"), got.header("x-key")),
        ("shop", "s3cret")
    );
    assert_eq!(got.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_content_type_of_ones_own_counts() {
    let server = Inbox::answering(|_| Answer::body(r#"{"value":3}"#)).await;
    let spec = JsonMetricSpec {
        headers: [("Content-Type".into(), "application/graphql+json".into())].into(),
        body: Some("{}".into()),
        ..spec(&server.url, "$.value")
    };
    assert_eq!(measured(&spec).await, Sample::Value(3.0));
    assert_eq!(server.got()[0].header("content-type"), "application/graphql+json");
}

#[tokio::test]
async fn a_name_is_given_once() {
    let metric = || JsonMetric::new(&spec("http://host/", "$.value")).unwrap();
    let two = JsonMetrics::new(client())
        .with("a", metric())
        .unwrap()
        .with("a", metric());
    assert_eq!(
        two.unwrap_err().to_string(),
        "metric: a second `a`; expected another name"
    );
}

#[tokio::test]
async fn what_is_not_there_is_nothing() {
    for (answer, nothing) in [
        (Answer::body("{}"), Nothing::NoData),
        (Answer::body(r#"{"value":null}"#), Nothing::NoData),
        (Answer::status(204), Nothing::NoData),
        (Answer::body(r#"{"value":"NaN"}"#), Nothing::NotANumber),
        (
            Answer::body("<html>"),
            Nothing::Unusable("no JSON: expected value at line 1 column 1".into()),
        ),
    ] {
        let server = Inbox::open().await.then([answer]);
        assert_eq!(
            measured(&spec(&server.url, "$.value")).await,
            Sample::Nothing(nothing)
        );
    }
    let server = Inbox::open().await;
    let unknown = source(&spec(&server.url, "$.value"))
        .measure(&Question::now("another").ask())
        .await;
    assert_eq!(unknown.unwrap(), Sample::Nothing(Nothing::NoData));
}

#[tokio::test]
async fn what_fails_is_an_error_and_no_sample() {
    let long = format!("{{\"value\":3,\"more\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    for (answer, says, transient) in [
        (Answer::status(500), "answered 500", true),
        (Answer::status(429), "answered 429", true),
        (
            Answer {
                body: "no such app".into(),
                ..Answer::status(404)
            },
            "answered 404: no such app",
            false,
        ),
        (Answer::status(401), "answered 401", false),
        (Answer::body(long), "is longer than 1048576 bytes", false),
    ] {
        let server = Inbox::open().await.then([answer]);
        let failed = source(&spec(&server.url, "$.value"))
            .measure(&Question::now("error-rate").ask())
            .await;
        let error = failed.unwrap_err();
        assert!(
            chain(&error).starts_with("measuring error-rate: "),
            "{}",
            chain(&error)
        );
        assert!(chain(&error).contains(says), "{}", chain(&error));
        assert_eq!(
            matches!(error.fault, Fault::Transient { .. }),
            transient,
            "{says}"
        );
    }
}

/// What becomes of `v2`, judged by this server, and what the last checks said.
async fn judged(server: &Inbox) -> (Phase, String) {
    let url = format!(
        "{}/?version={{{{revision}}}}&from={{{{from}}}}&to={{{{to}}}}",
        server.url
    );
    let source = source(&JsonMetricSpec {
        covers: Covers::Window,
        ..spec(&url, "$.data[0]")
    });
    let canary = Canary {
        step_weight: Some(50.0),
        ..Canary::default()
    };
    let spec = Spec {
        metrics: vec![MetricSpec::at_least("error-rate", 99.0)],
        threshold: 2,
        ..Spec::new(Strategy::Canary(canary))
    };
    let (plan, _) = spec.compile(&Capabilities::ALL).unwrap();
    let push = Happening::push(Duration::from_secs(30), Revision::new("v2").unwrap());
    let scenario = Scenario {
        happenings: vec![push],
        ..Scenario::new(Revision::new("v1").unwrap())
    };
    let world = World::new(&scenario);
    let ports = Ports {
        metrics: &source,
        ..world.ports()
    };
    let mut said = String::new();
    for _ in 0..1_000 {
        let now = advance(&plan, &ports, &[]).await.unwrap();
        if let Stage::Retreat(retreat) = &now.state.stage {
            said = retreat.why.to_string();
        }
        if let Stage::Idle(Idle::Failed { why, .. }) = &now.state.stage {
            said = why.to_string();
        }
        let phase = now.state.phase();
        if matches!(phase, Phase::Succeeded | Phase::Failed) {
            return (phase, said);
        }
        let next = [now.until, world.next_change()].into_iter().flatten().min();
        world.advance_to(next.unwrap());
    }
    panic!("no end in sight");
}

#[tokio::test]
async fn a_rollout_is_judged_by_what_the_server_counts() {
    let good = Inbox::answering(|_| Answer::body(r#"{"data":[{"total":100,"errors":0}]}"#)).await;
    assert_eq!(judged(&good).await.0, Phase::Succeeded);
    let bad = Inbox::answering(|_| Answer::body(r#"{"data":[{"total":100,"errors":10}]}"#)).await;
    let (phase, said) = judged(&bad).await;
    assert_eq!(
        (phase, said.as_str()),
        (
            Phase::Failed,
            "threshold 2 reached: error-rate 90, wanted at least 99"
        )
    );
}

#[tokio::test]
async fn no_rollout_advances_on_what_is_no_measurement() {
    for answer in [
        Answer::body("{}"),
        Answer::body("<html>"),
        Answer::body(r#"{"data":[{"total":0,"errors":0}]}"#),
        Answer::body(r#"{"data":[null]}"#),
        Answer::body(r#"{"data":["NaN"]}"#),
        Answer::status(500),
        Answer::status(404),
    ] {
        let said = answer.body.clone();
        let server = Inbox::answering(move |_| answer.clone()).await;
        assert_eq!(judged(&server).await.0, Phase::Failed, "{said}");
    }
}
