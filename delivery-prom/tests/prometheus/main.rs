//! Everything against a real Prometheus: what it really answers, and what is made of it.

mod server;

use std::time::Duration;

use delivery_core::analysis::{Class, Histogram, Judge, Nothing, Sample, Tally, Window};
use delivery_core::plan::{Canary, Capabilities, MetricSpec, Plan, Spec, Strategy, kayenta};
use delivery_core::port::{Measure, MetricSource};
use delivery_core::{Revision, Timestamp, Weight, contract};
use delivery_prom::reply::{Data, Fresh};
use delivery_prom::ruler::{AlertState, Health, Rule};
use delivery_prom::template::Names;
use delivery_prom::{Error, Form, Instant, Metrics, Pick, Question, Ranged, Server};
use tokio::time::sleep;

use crate::server::{BEGINNING, Prometheus, at, free_port};

/// Two processes of the canary, of which one is started anew and one begins to fail, and one of the primary.
const REQUESTS: &[&str] = &[
    r#"requests_total{job="web",instance="a",app="web",code="200"}: 100 110 120 130 140 150 160 170 180"#,
    r#"requests_total{job="web",instance="a",app="web",code="500"}: .   .   .   2   2   3   5   5   6"#,
    r#"requests_total{job="web",instance="b",app="web",code="200"}: 50  60  3   13  23  33  43  53  63"#,
    r#"requests_total{job="web",instance="c",app="web-primary",code="200"}: 7 107 207 307 407 507 607 707 807"#,
    r#"duration_seconds_bucket{job="web",instance="a",app="web",le="0.1"}: 1 5  9  13 17 21 25 29 33"#,
    r#"duration_seconds_bucket{job="web",instance="a",app="web",le="0.5"}: 1 9  17 25 33 41 49 57 65"#,
    r#"duration_seconds_bucket{job="web",instance="a",app="web",le="1"}: 1   10 19 28 37 46 55 64 73"#,
    r#"duration_seconds_bucket{job="web",instance="a",app="web",le="+Inf"}: 1 10 19 28 37 46 55 64 74"#,
    r#"queue{app="web",shard="1"}: 4 4 4 4 4 4 4 4 4"#,
    r#"queue{app="web",shard="2"}: 9 9 9 9 9 9 9 9 9"#,
    r#"silent{app="web"}: 5 5 5"#,
    r#"broken{app="web"}: NaN NaN NaN NaN NaN NaN NaN NaN NaN"#,
    r#"endless{app="web"}: +Inf +Inf +Inf +Inf +Inf +Inf +Inf +Inf +Inf"#,
];

fn plan(metrics: Vec<MetricSpec>, interval: u64) -> Plan {
    let canary = Canary {
        step_weight: Some(10.0),
        ..Canary::default()
    };
    let spec = Spec {
        interval: Duration::from_secs(interval),
        metrics,
        ..Spec::new(Strategy::Canary(canary))
    };
    spec.compile(&Capabilities::ALL).unwrap().0
}

/// The source's sample of `metric` over a window that is given in seconds from the first scrape on.
async fn measure(source: &Metrics, metric: MetricSpec, from: u64, to: u64) -> Sample {
    let plan = plan(vec![metric], 60);
    let canary = Revision::new("v2").unwrap();
    source
        .measure(&ask(&plan, &canary, from, to))
        .await
        .unwrap_or_else(|it| panic!("{it}: {:?}", it.source))
}

fn ask<'a>(plan: &'a Plan, canary: &'a Revision, from: u64, to: u64) -> Measure<'a> {
    Measure {
        metric: &plan.metrics()[0],
        window: Window {
            from: at(from),
            to: at(to),
        },
        canary,
        primary: None,
        weight: Weight::ZERO,
    }
}

fn web() -> Names {
    Names {
        namespace: Some("shop".into()),
        target: Some("web".into()),
        ..Names::default()
    }
}

fn with_query(query: &str) -> MetricSpec {
    MetricSpec {
        query: Some(query.to_owned()),
        ..MetricSpec::at_least("m", 1.0)
    }
}

/// What Kayenta would ask, asked of both versions, window by window, and judged as it would be.
#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn an_imported_canary_config_tells_a_good_version_from_a_bad_one() {
    let prometheus = Prometheus::with(&[
        r#"cpu{app="web",version="v1"}: 10 11 12 10 11 12 10 11 12 10 11 12 10 11 12 10 11 12 10 11 12"#,
        r#"cpu{app="web",version="v2"}: 11 12 10 11 12 10 11 12 10 11 12 10 11 12 10 11 12 10 11 12 10"#,
        r#"cpu{app="web",version="v3"}: 20 22 24 20 22 24 20 22 24 20 22 24 20 22 24 20 22 24 20 22 24"#,
    ])
    .start()
    .await;
    let source = Metrics::new(prometheus.client()).names(web());
    let config = r#"{"metrics": [{
        "name": "cpu",
        "query": {
            "type": "prometheus", "metricName": "cpu", "customFilterTemplate": "side",
            "labelBindings": ["app=\"web\""]
        },
        "analysisConfigurations": {"canary": {"direction": "increase"}}
    }], "templates": {"side": "version=\"${scope}\""}}"#;
    let imported = kayenta(config, &[]).unwrap().metrics;
    let plan = plan(imported, 60);
    assert!(source.check(&plan).is_empty());
    let Judge::MannWhitney(judge) = &plan.metrics()[0].judge else {
        panic!("{:?}", plan.metrics()[0].judge);
    };
    let v1 = Revision::new("v1").unwrap();
    for (version, is_worse) in [("v2", false), ("v3", true)] {
        let version = Revision::new(version).unwrap();
        let mut sides = (Vec::new(), Vec::new());
        for scrape in 1..=20 {
            let ask = Measure {
                primary: Some(&v1),
                ..ask(&plan, &version, scrape * 15 - 15, scrape * 15)
            };
            let Sample::Pair { canary, primary } = source.measure(&ask).await.unwrap() else {
                panic!("both sides are there");
            };
            sides.0.push(canary);
            sides.1.push(primary);
        }
        let shift = judge.compare(&sides.0, &sides.1).unwrap();
        assert_eq!(shift.class == Class::High, is_worse, "{version}: {shift:?}");
    }
}

// Values

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn values_and_everything_that_is_none() {
    let prometheus = Prometheus::with(REQUESTS).start().await;
    let source = Metrics::new(prometheus.client()).names(web());
    let stale = |seconds| {
        let age = Duration::from_secs(seconds);
        Sample::Nothing(Nothing::Stale { age })
    };
    let unusable = |why: &str| Sample::Nothing(Nothing::Unusable(format!("the query returns {why}")));
    for (query, from, to, sample) in [
        (r#"sum(queue{app="{{ target }}"})"#, 60, 120, Sample::Value(13.0)),
        ("scalar(endless)", 60, 120, Sample::Value(f64::INFINITY)),
        ("42", 60, 120, Sample::Value(42.0)),
        ("nothing", 60, 120, Sample::Nothing(Nothing::NoData)),
        ("silent", 30, 60, Sample::Value(5.0)),
        ("silent", 60, 120, stale(90)),
        (
            "sum(last_over_time(silent[{{ interval }}]))",
            60,
            120,
            Sample::Nothing(Nothing::NoData),
        ),
        ("broken", 60, 120, Sample::Nothing(Nothing::NotANumber)),
        (
            "sum(rate(nothing[{{ interval }}])) / sum(rate(nothing[{{ interval }}]))",
            60,
            120,
            Sample::Nothing(Nothing::NoData),
        ),
        (
            "vector(0) / vector(0)",
            60,
            120,
            Sample::Nothing(Nothing::NotANumber),
        ),
        ("\"text\"", 60, 120, unusable("a text")),
        (
            "queue[1m]",
            60,
            120,
            unusable("a range vector (make a number of it, e.g. with rate or max_over_time)"),
        ),
        (
            "max_over_time(queue[1m])",
            60,
            119,
            Sample::Nothing(Nothing::Straddles),
        ),
        (
            "max_over_time(queue{shard=\"1\"}[1m])",
            60,
            120,
            Sample::Value(4.0),
        ),
    ] {
        assert_eq!(
            measure(&source, with_query(query), from, to).await,
            sample,
            "{query}"
        );
    }
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn which_of_several_series_counts() {
    let prometheus = Prometheus::with(REQUESTS).start().await;
    for (pick, value) in [
        (Pick::Sum, Some(13.0)),
        (Pick::Max, Some(9.0)),
        (Pick::Min, Some(4.0)),
        (Pick::Worst, Some(4.0)),
        (Pick::One, None),
    ] {
        let question = Question::new(Form::value("queue").unwrap()).pick(pick);
        let source = Metrics::new(prometheus.client()).question("m", question);
        let sample = measure(&source, MetricSpec::at_least("m", 1.0), 60, 120).await;
        match (&sample, value) {
            (Sample::Value(measured), Some(value)) => assert!((measured - value).abs() < 1e-9, "{pick:?}"),
            (Sample::Nothing(Nothing::Unusable(why)), None) => assert!(why.contains("2 series"), "{why}"),
            _ => panic!("{pick:?}: {sample:?}"),
        }
    }
}

/// Scraped every 15 s: a window as long has one scrape in it, for ever.
#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn a_window_as_long_as_the_scrape_interval_is_found_beforehand() {
    let prometheus = Prometheus::with(REQUESTS).start().await;
    let source = Metrics::new(prometheus.client())
        .names(web())
        .question("counts", Question::new(counts("{{ target }}")))
        .question(
            "pair",
            Question::new(counts("{{ target }}-canary")).against(counts("{{ target }}-primary")),
        );
    let judged = |name: &str, query: Option<&str>| MetricSpec {
        query: query.map(str::to_owned),
        ..MetricSpec::at_least(name, 1.0)
    };
    let metrics = || {
        vec![
            judged("counts", None),
            judged("pair", None),
            judged(
                "rate",
                Some(r#"sum(rate(requests_total{app="{{ target }}"}[{{ interval }}]))"#),
            ),
            judged(
                "gauge",
                Some(r#"sum(last_over_time(queue{app="{{ target }}"}[{{ interval }}]))"#),
            ),
            judged("missing", Some("sum(rate(missing[{{ interval }}]))")),
            judged("broken", Some("sum(rate(")),
        ]
    };
    let revision = Revision::new("v1").unwrap();
    for (interval, short) in [(15, &["counts", "pair", "rate"][..]), (30, &[])] {
        let found = source
            .short_windows(&plan(metrics(), interval), &revision, at(127))
            .await;
        let names: Vec<&str> = found.iter().map(|it| it.metric.as_str()).collect();
        assert_eq!(names, short, "{interval} s");
        let enough = found.iter().all(|it| it.enough == Duration::from_secs(30));
        assert!(enough, "{found:?}");
        if let Some(first) = found.first() {
            assert_eq!(
                first.to_string(),
                "metric counts sees nothing in its window of 15s (1 scrape in the window, 2 needed: let the interval be at \
                 least twice the scrape interval), and something in one of 30s: let the interval be as long, or scrape more \
                 often"
            );
        }
    }
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn data_that_is_too_old_is_nothing() {
    let prometheus = Prometheus::with(REQUESTS).start().await;
    let source = |question: Question| Metrics::new(prometheus.client()).question("m", question);
    let value = Question::new(Form::value("silent").unwrap());
    let metric = || MetricSpec::at_least("m", 1.0);
    // The newest sample is 30 s old.
    let young = source(value.clone().max_age(Duration::from_secs(31)));
    assert_eq!(measure(&young, metric(), 0, 60).await, Sample::Value(5.0));
    let old = source(value.clone().max_age(Duration::from_secs(20)));
    assert_eq!(
        measure(&old, metric(), 0, 60).await,
        Sample::Nothing(Nothing::Stale {
            age: Duration::from_secs(30)
        })
    );
    let told = source(Question {
        newest: Some("max(max_over_time(timestamp(silent)[1m:15s]))".parse().unwrap()),
        ..Question::new(Form::value("sum(max_over_time(silent[1m]))").unwrap())
            .max_age(Duration::from_secs(20))
    });
    assert_eq!(
        measure(&told, metric(), 0, 60).await,
        Sample::Nothing(Nothing::Stale {
            age: Duration::from_secs(30)
        })
    );
}

// Counts

fn counts(app: &str) -> Form {
    let all = format!(r#"requests_total{{app="{app}"}}"#);
    let failed = format!(r#"requests_total{{app="{app}",code=~"5.."}}"#);
    Form::counts(&all, &failed).unwrap()
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn counts_are_whole_and_survive_restarts() {
    let prometheus = Prometheus::with(REQUESTS).start().await;
    let question = Question::new(counts("{{ target }}")).against(counts("{{ target }}-primary"));
    let source = Metrics::new(prometheus.client())
        .names(web())
        .question("m", question);
    for (from, to, total, errors, primary) in [
        // a: 20, b: 60 - 50 = 10 and then 3 from 0.
        (0, 30, 20 + 13, 0, 200),
        // a: 40 and 3 failed ones, of which the first two came with their series; b: 10 + 3 + 20.
        (0, 60, 40 + 2 + 33, 2, 400),
        // Scrapes at 60, 75, 90, 105, 120.
        (46, 120, 40 + 4 + 40, 4, 400),
        (60, 120, 40 + 4 + 40, 4, 400),
        (61, 104, 10 + 2 + 10, 2, 100),
    ] {
        let sample = measure(&source, MetricSpec::at_least("m", 99.0), from, to).await;
        let expected = Sample::Counts {
            canary: Tally { total, errors },
            primary: Some(Tally {
                total: primary,
                errors: 0,
            }),
        };
        assert_eq!(sample, expected, "{from}..{to}");
    }
    assert_eq!(
        measure(&source, MetricSpec::at_least("m", 99.0), 61, 74).await,
        Sample::Nothing(Nothing::NoData),
        "no scrape in the window"
    );
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn the_past_of_the_primary_is_counted_window_by_window() {
    let prometheus = Prometheus::with(REQUESTS).start().await;
    let source = |question| {
        Metrics::new(prometheus.client())
            .names(web())
            .question("m", question)
    };
    let plan = plan(vec![MetricSpec::at_least("m", 99.0)], 60);
    let (v1, v2) = (Revision::new("v1").unwrap(), Revision::new("v2").unwrap());
    let ask = Measure {
        primary: Some(&v1),
        ..ask(&plan, &v2, 0, 120)
    };
    let window = |(from, to)| Window {
        from: at(from),
        to: at(to),
    };
    let windows: Vec<Window> = [(0, 30), (60, 120), (61, 74)].into_iter().map(window).collect();
    let both = Question::new(counts("{{ target }}")).against(counts("{{ target }}-primary"));
    let of = |total| Sample::Counts {
        canary: Tally { total, errors: 0 },
        primary: None,
    };
    assert_eq!(
        source(both).history(&ask, &windows).await.unwrap(),
        [of(200), of(400), Sample::Nothing(Nothing::NoData)]
    );
    // Who asks nothing of the primary knows nothing of its past.
    let alone = Question::new(counts("{{ target }}"));
    assert_eq!(source(alone).history(&ask, &windows).await.unwrap(), []);
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn durations_are_histograms_and_counts_of_slow_requests() {
    let prometheus = Prometheus::with(REQUESTS).start().await;
    let buckets = r#"duration_seconds_bucket{app="{{ target }}"}"#;
    let source = Metrics::new(prometheus.client())
        .names(web())
        .question("p99", Question::new(Form::histogram(buckets, 1_000.0).unwrap()))
        .question("slow", Question::new(Form::slower(buckets, 0.5).unwrap()))
        .question("slower", Question::new(Form::slower(buckets, 0.75).unwrap()));
    let canary = Histogram::new(vec![(100.0, 16), (500.0, 32), (1_000.0, 36), (f64::INFINITY, 37)]).unwrap();
    assert_eq!(
        measure(&source, MetricSpec::at_most("p99", 500.0), 60, 120).await,
        Sample::Histogram {
            canary,
            primary: None
        }
    );
    assert_eq!(
        measure(&source, MetricSpec::at_least("slow", 99.0), 60, 120).await,
        Sample::Counts {
            canary: Tally { total: 37, errors: 5 },
            primary: None
        }
    );
    let refused = measure(&source, MetricSpec::at_least("slower", 99.0), 60, 120).await;
    assert!(
        matches!(&refused, Sample::Nothing(Nothing::Unusable(why)) if why.contains("the nearest: 0.5 and 1")),
        "{refused:?}"
    );
}

/// Every quantile of several histograms, computed here and there.
#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn quantiles_are_prometheus_own() {
    let histograms: &[(&str, &[(f64, u64)])] = &[
        ("usual", &[(0.1, 5), (0.5, 20), (1.0, 22), (f64::INFINITY, 22)]),
        ("late", &[(0.1, 0), (0.5, 0), (1.0, 7), (f64::INFINITY, 9)]),
        ("slow", &[(0.1, 0), (f64::INFINITY, 9)]),
        ("negative", &[(-1.0, 3), (0.0, 5), (2.0, 9), (f64::INFINITY, 10)]),
        ("one", &[(0.1, 0), (0.5, 1), (f64::INFINITY, 1)]),
        (
            "large",
            &[
                (1e-3, 1),
                (1e3, 9_007_199_254_740),
                (f64::INFINITY, 9_007_199_254_741),
            ],
        ),
        ("empty", &[(0.1, 0), (f64::INFINITY, 0)]),
    ];
    let lines: Vec<String> = histograms
        .iter()
        .flat_map(|(name, buckets)| {
            buckets.iter().map(move |(bound, count)| {
                let le = if bound.is_infinite() {
                    "+Inf".to_owned()
                } else {
                    bound.to_string()
                };
                format!(r#"h_bucket{{name="{name}",le="{le}"}}: {count}"#)
            })
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let prometheus = Prometheus::with(&lines).start().await;
    let client = prometheus.client();
    for (name, buckets) in histograms {
        let histogram = Histogram::new(buckets.to_vec()).unwrap();
        for q in [0.001, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0] {
            let query = format!(r#"histogram_quantile({q}, h_bucket{{name="{name}"}})"#);
            let instant = Instant {
                at: Some(BEGINNING),
                ..query.as_str().into()
            };
            let answer = client.query(instant).await.unwrap();
            let fresh = Fresh {
                now: BEGINNING,
                max_age: None,
            };
            let judge = &plan(vec![MetricSpec::at_most("m", 1.0)], 60).metrics()[0]
                .judge
                .clone();
            let theirs = answer.reply().unwrap().number(Pick::One, judge, fresh);
            match (theirs, histogram.quantile(q)) {
                (Ok(theirs), Ok(ours)) => assert!(
                    (theirs - ours).abs() <= 1e-12 * theirs.abs(),
                    "{name} {q}: {ours} and not {theirs}"
                ),
                (Err(Nothing::NotANumber), Err(Nothing::NoData)) => {}
                (theirs, ours) => panic!("{name} {q}: {ours:?} and not {theirs:?}"),
            }
        }
    }
}

// The port

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn it_keeps_the_promises_of_every_metric_source() {
    let prometheus = Prometheus::with(REQUESTS).start().await;
    let buckets = r#"duration_seconds_bucket{app="web"}"#;
    let source = Metrics::new(prometheus.client())
        .names(web())
        .question(
            "counts",
            Question::new(counts("web")).against(counts("web-primary")),
        )
        .question("p99", Question::new(Form::histogram(buckets, 1_000.0).unwrap()))
        .question(
            "value",
            Question::new(Form::value(r#"sum(rate(requests_total{app="web"}[{{ interval }}]))"#).unwrap()),
        );
    for metric in ["counts", "p99", "value"] {
        let plan = plan(vec![MetricSpec::at_least(metric, 1.0)], 60);
        let canary = Revision::new("v2").unwrap();
        let wait = async || sleep(Duration::from_millis(20)).await;
        contract::metric_source(&source, &ask(&plan, &canary, 60, 120), wait)
            .await
            .unwrap_or_else(|it| panic!("{metric}: {it}"));
    }
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn a_server_that_goes_away_is_unreachable_and_comes_back() {
    let mut prometheus = Prometheus::with(REQUESTS).start().await;
    let client = Server::new(&prometheus.address())
        .unwrap()
        .timeout(Duration::from_secs(2))
        .client()
        .unwrap();
    let source = Metrics::new(client);
    let metric = || with_query("sum(queue)");
    assert_eq!(measure(&source, metric(), 60, 120).await, Sample::Value(13.0));
    prometheus.stop();
    let (plan, canary) = (plan(vec![metric()], 60), Revision::new("v2").unwrap());
    let error = source.measure(&ask(&plan, &canary, 60, 120)).await.unwrap_err();
    assert_eq!(error.to_string(), "measuring m");
    assert_eq!(
        error.source.to_string(),
        format!(
            "asking {} for `sum(queue)`: it cannot be reached",
            prometheus.address()
        )
    );
    prometheus.restart().await;
    assert_eq!(measure(&source, metric(), 60, 120).await, Sample::Value(13.0));
}

// The client

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn ranges_series_and_versions() {
    let prometheus = Prometheus::with(REQUESTS).start().await;
    let client = prometheus.client();
    let range = Ranged {
        query: "queue{shard=\"1\"}",
        from: at(0),
        to: at(60),
        step: Duration::from_secs(15),
    };
    let answer = client.query_range(&range).await.unwrap();
    let reply = answer.reply().unwrap();
    let Data::Matrix(tracks) = &reply.data else {
        panic!("{reply:?}")
    };
    let points = tracks[0].points().unwrap();
    let moments: Vec<Timestamp> = points.iter().map(|it| it.at).collect();
    assert_eq!(moments, [at(0), at(15), at(30), at(45), at(60)]);

    let series = client.series("requests_total", at(0), at(120)).await.unwrap();
    assert_eq!(series.len(), 4);
    assert_eq!(series[0]["__name__"], "requests_total");

    assert!(!client.build_info().await.unwrap().version.is_empty());
    client.ready().await.unwrap();
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn a_query_that_is_none_is_refused_with_prometheus_reason() {
    let prometheus = Prometheus::with(REQUESTS).start().await;
    let client = prometheus.client();
    for (query, says) in [
        ("sum(", "parse error"),
        ("rate(queue)", "expected type range vector"),
        ("queue + on(app) queue", "many-to-many"),
    ] {
        let at = Some(at(60));
        let error = client.query(Instant { at, ..query.into() }).await.unwrap_err();
        assert!(
            matches!(&error, Error::Refused { message, .. } if message.contains(says)),
            "{error}"
        );
    }
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn a_query_of_any_length_is_answered() {
    let prometheus = Prometheus::with(REQUESTS).start().await;
    let query = vec!["sum(queue)"; 2_000].join(" + ");
    let sample = measure(&Metrics::new(prometheus.client()), with_query(&query), 60, 120).await;
    assert_eq!(sample, Sample::Value(26_000.0));
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn rules_and_alerts() {
    let rules = "
groups:
  - name: canary
    rules:
      - {alert: Always, expr: vector(1.5), labels: {severity: critical}, annotations: {summary: '{{ $value }}'}}
      - {alert: Soon, expr: vector(1), for: 1h, keep_firing_for: 0s}
      - {alert: Never, expr: vector(1) > 2}
      - {alert: Broken, expr: 'label_replace(vector(1), \"__name__\", \"a\", \"\", \"\") + on(a) group_left(b) (vector(1) or label_replace(vector(1), \"b\", \"c\", \"\", \"\"))'}
      - {record: one, expr: vector(1)}
";
    let rules = rules.replace(", keep_firing_for: 0s", "");
    let prometheus = Prometheus::with(REQUESTS).rules(&rules).start().await;
    let client = prometheus.client();
    let mut groups = client.rules().await.unwrap();
    for _ in 0..100 {
        if groups.first().is_some_and(|it| it.last_evaluation.is_some()) {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        groups = client.rules().await.unwrap();
    }
    let group = &groups[0];
    assert_eq!(
        (group.name.as_str(), group.interval),
        ("canary", Duration::from_secs(1))
    );
    assert!(group.last_evaluation.unwrap() > at(0));
    let states: Vec<_> = group
        .rules
        .iter()
        .filter_map(|it| match it {
            Rule::Alerting(rule) => Some((rule.name.as_str(), rule.state.clone(), rule.health)),
            _ => None,
        })
        .collect();
    assert_eq!(
        states,
        [
            ("Always", AlertState::Firing, Health::Ok),
            ("Soon", AlertState::Pending, Health::Ok),
            ("Never", AlertState::Inactive, Health::Ok),
            ("Broken", AlertState::Inactive, Health::Err)
        ]
    );
    assert!(matches!(&group.rules[4], Rule::Recording(rule) if rule.name == "one"));

    let alerts = client.alerts().await.unwrap();
    let always = alerts
        .iter()
        .find(|it| it.labels["alertname"] == "Always")
        .unwrap();
    assert_eq!(
        (always.state.clone(), always.value),
        (AlertState::Firing, Some(1.5))
    );
    assert_eq!(
        (
            always.labels["severity"].as_str(),
            always.annotations["summary"].as_str()
        ),
        ("critical", "1.5")
    );
    assert!(always.active_at.unwrap() > at(0));
}

/// The password is `s3cr3t-of-prometheus`.
const WEB: &str = "
tls_server_config: {cert_file: FOLDER/cert.pem, key_file: FOLDER/key.pem}
basic_auth_users: {reader: HASH}
";

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn tls_with_an_authority_of_ones_own_and_a_login() {
    const HASH: &str = "$2b$05$abcdefghijklmnopqrstuuuPyy7jY2mMDC9pm6FdlutM7mLluN76S";
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let files = [("cert.pem", certificate.as_str()), ("key.pem", key.as_str())];
    let (prometheus, _files) = Prometheus::with(REQUESTS).web(&WEB.replace("HASH", HASH), &files);
    let prometheus = prometheus.start().await;
    let server = || {
        Server::new(&prometheus.address())
            .unwrap()
            .timeout(Duration::from_secs(3))
    };
    let trusting = || server().authority(certificate.as_bytes()).unwrap();

    let client = trusting()
        .basic("reader", "s3cr3t-of-prometheus".into())
        .client()
        .unwrap();
    assert!(client.query("vector(1)").await.unwrap().reply().is_ok());

    let in_address = prometheus
        .address()
        .replace("https://", "https://reader:s3cr3t%2Dof-prometheus@");
    let client = Server::new(&in_address)
        .unwrap()
        .authority(certificate.as_bytes())
        .unwrap()
        .client()
        .unwrap();
    assert_eq!(client.address(), prometheus.address());
    client.ready().await.unwrap();

    let error = trusting().client().unwrap().query("up").await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 401, .. }), "{error}");
    let error = server().client().unwrap().query("up").await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn a_path_that_prometheus_is_served_under() {
    // Without a path there, Prometheus has no API.
    let prometheus = Prometheus::with(REQUESTS).start().await;
    let client = Server::new(&format!("{}/prefix/?x=y", prometheus.address()))
        .unwrap()
        .client()
        .unwrap();
    let error = client.query("up").await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 404, .. }), "{error}");
    let nobody = Server::new(&format!("http://127.0.0.1:{}", free_port()))
        .unwrap()
        .timeout(Duration::from_millis(500))
        .client()
        .unwrap();
    assert!(matches!(
        nobody.query("up").await.unwrap_err(),
        Error::Unreachable { .. }
    ));
}
