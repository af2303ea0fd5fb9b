use delivery_core::analysis::{Metric, Window};
use delivery_core::plan::{Canary, Capabilities, MetricSpec, Spec, Strategy};
use delivery_core::{Revision, Timestamp, Weight};
use proptest::prelude::*;

use super::*;

fn spec(url: &str) -> JsonMetricSpec {
    JsonMetricSpec {
        url: String::from(url),
        json_path: String::from("$.value"),
        ..JsonMetricSpec::new(Covers::Last(Duration::ZERO))
    }
}

fn problem(spec: &JsonMetricSpec) -> String {
    JsonMetric::new(spec).map(drop).unwrap_err().to_string()
}

#[test]
fn what_cannot_work_is_refused_when_it_is_built() {
    let good = || spec("http://host/value");
    for (spec, says) in [
        (spec(""), "url: an empty URL"),
        (spec("host/value"), "url: not a URL"),
        (spec("ftp://host/"), "url: a URL with the scheme `ftp`"),
        (
            spec("http://{{ revision }}.host/"),
            "url: a variable before the path",
        ),
        (spec("{{ revision }}"), "url: a variable before the path"),
        (
            spec("http://host/{{ revison }}"),
            "url: the variable `revison` at column 13; expected one of from, to, ",
        ),
        (
            spec("http://host/{{ args.job }}"),
            "url: the variable `args.job` at column 13",
        ),
        (
            spec("http://host/{{"),
            "url: braces that are not closed, at column 13",
        ),
        (
            JsonMetricSpec {
                json_path: "$.a[".into(),
                ..good()
            },
            "jsonPath: `$.a[`, wrong from column 5 on",
        ),
    ] {
        let problem = problem(&spec);
        assert!(problem.starts_with(says), "{problem}");
    }
}

#[test]
fn what_cannot_be_sent_is_refused_when_it_is_built() {
    let good = || spec("http://host/value");
    for (spec, says) in [
        (
            JsonMetricSpec {
                method: Some("DELETE".into()),
                ..good()
            },
            "method: `DELETE`; expected GET, POST or PUT",
        ),
        (
            JsonMetricSpec {
                method: Some("GET".into()),
                body: Some("{}".into()),
                ..good()
            },
            "method: GET with a body; expected POST or PUT",
        ),
        (
            JsonMetricSpec {
                body: Some("{{ query }}".into()),
                covers: Covers::Window,
                ..good()
            },
            "covers: the window",
        ),
        (
            JsonMetricSpec {
                body: Some("select 1".into()),
                ..good()
            },
            "body: no JSON (expected value at line 1 column 1)",
        ),
        (
            JsonMetricSpec {
                body: Some(r#"{"q": {{ x }}}"#.into()),
                ..good()
            },
            "body: the variable `x` at column 7",
        ),
        (
            JsonMetricSpec {
                headers: [("a b".into(), "c".into())].into(),
                ..good()
            },
            "headers: the name \"a b\"",
        ),
        (
            JsonMetricSpec {
                headers: [("a".into(), "b\n".into())].into(),
                ..good()
            },
            "headers.a: a character",
        ),
        (
            JsonMetricSpec {
                secret_headers: [("a".into(), "b\n".into())].into(),
                ..good()
            },
            "headers.a: a character",
        ),
        (
            JsonMetricSpec {
                timeout: Duration::ZERO,
                ..good()
            },
            "timeout: 0; expected more than 0",
        ),
        (
            JsonMetricSpec {
                covers: Covers::Window,
                ..spec("http://host/?from={{ from }}")
            },
            "covers: the window",
        ),
        (
            JsonMetricSpec {
                asks: Asks::Both,
                ..spec("http://host/?v={{ primary }}")
            },
            "asks: both revisions",
        ),
    ] {
        let problem = problem(&spec);
        assert!(problem.starts_with(says), "{problem}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let wrong = JsonMetricSpec {
        json_path: "value".into(),
        timeout: Duration::ZERO,
        ..spec("http://host/{{ x }}")
    };
    let error = JsonMetric::new(&wrong).unwrap_err();
    assert!(
        matches!(&error, Error::Several { failed } if failed.len() == 3),
        "{error}"
    );
}

#[test]
fn a_value_stays_one_value() {
    let metric = JsonMetric::new(&JsonMetricSpec {
        body: Some(r#"{"q":"{{ query }}","a":"{{args.a}}","from":{{from}},"to":{{to}}}"#.into()),
        args: [("a".into(), "x\"y\nz&é/".into())].into(),
        covers: Covers::Window,
        ..spec("http://host/{{args.a}}/?v={{revision}}&p={{primary}}&s={{seconds}}&w={{weight}}&m={{metric}}")
    })
    .unwrap();
    let (canary, primary) = (Revision::new("a/b&c?d#e").unwrap(), Revision::new("v1").unwrap());
    let by_canary = asked(&canary, Some(&primary), Some("rate(\"x\")"));
    let (url, body) = metric.filled(&by_canary.ask()).unwrap();
    let path = "/x%22y%0Az%26%C3%A9%2F/?v=a%2Fb%26c%3Fd%23e&p=v1&s=60&w=0.25&m=error-rate";
    assert_eq!(url, format!("http://host{path}"));
    let body: Value = serde_json::from_str(&body.unwrap()).unwrap();
    let want = serde_json::json!({ "q": "rate(\"x\")", "a": "x\"y\nz&é/", "from": 1_777_000_000, "to": 1_777_000_060 });
    assert_eq!(body, want);
}

#[test]
fn a_value_does_not_climb_out_of_its_path() {
    for dots in [".", ".."] {
        let v2 = Revision::new(dots).unwrap();
        let metric = JsonMetric::new(&spec("http://host/public/{{ revision }}/x")).unwrap();
        let why = Nothing::Unusable(format!("`{dots}` in a URL"));
        assert_eq!(metric.filled(&asked(&v2, None, None).ask()), Err(why));
    }
}

#[test]
fn a_question_that_cannot_be_put_has_no_answer() {
    let v2 = Revision::new("v2").unwrap();
    let nothing = |url: &str, asked: &Asked<'_>| {
        JsonMetric::new(&spec(url))
            .unwrap()
            .filled(&asked.ask())
            .unwrap_err()
    };
    let alone = asked(&v2, None, None);
    assert_eq!(nothing("http://host/{{ primary }}", &alone), Nothing::NoPrimary);
    let why = String::from("the metric has no query");
    assert_eq!(nothing("http://host/{{ query }}", &alone), Nothing::Unusable(why));
    let mut short = asked(&v2, None, None);
    short.window = Window {
        from: Timestamp::from_millis(1_001),
        to: Timestamp::from_millis(1_999),
    };
    assert_eq!(nothing("http://host/{{ from }}", &short), Nothing::NoData);
    assert_eq!(nothing("http://host/{{ seconds }}", &short), Nothing::NoData);
}

#[test]
fn the_window_is_rounded_inwards() {
    let v2 = Revision::new("v2").unwrap();
    let mut asked = asked(&v2, None, None);
    asked.window = Window {
        from: Timestamp::from_millis(1_777_000_000_001),
        to: Timestamp::from_millis(1_777_000_060_999),
    };
    let metric = |url: &str| {
        JsonMetric::new(&spec(url))
            .unwrap()
            .filled(&asked.ask())
            .unwrap()
            .0
    };
    assert_eq!(
        metric("http://h/{{from}}/{{to}}/{{seconds}}"),
        "http://h/1777000001/1777000060/60"
    );
    assert_eq!(
        metric("http://h/{{fromMillis}}/{{toMillis}}"),
        "http://h/1777000000001/1777000060999"
    );
    assert_eq!(
        metric("http://h/{{fromRfc3339}}/{{toRfc3339}}"),
        "http://h/2026-04-24T03%3A06%3A40.001Z/2026-04-24T03%3A07%3A40.999Z"
    );
}

#[test]
fn a_reply_without_a_value_is_no_data_and_garbage_is_unusable() {
    let metric = JsonMetric::new(&spec("http://host/")).unwrap();
    assert_eq!(
        read(&metric.path, 200, br#"{"value": 3}"#),
        Ok(Sample::Value(3.0))
    );
    assert_eq!(read(&metric.path, 204, b""), Err(Nothing::NoData));
    assert_eq!(read(&metric.path, 200, b"{}"), Err(Nothing::NoData));
    for (garbage, why) in [
        (&b""[..], "no JSON: EOF while parsing a value at line 1 column 0"),
        (b"<html>", "no JSON: expected value at line 1 column 1"),
        (
            b"{\"value\": 1e999}",
            "no JSON: number out of range at line 1 column 15",
        ),
        (
            b"{\"value\": 1} {}",
            "no JSON: trailing characters at line 1 column 14",
        ),
    ] {
        assert_eq!(
            read(&metric.path, 200, garbage),
            Err(Nothing::Unusable(why.into()))
        );
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(
        read(&metric.path, 200, deep.as_bytes()),
        Err(Nothing::Unusable(_))
    ));
}

#[test]
fn a_metric_shows_nothing_secret() {
    let metric = JsonMetric::new(&JsonMetricSpec {
        secret_headers: [("X-Key".into(), "s3cret".into())].into(),
        ..spec("http://host:8080/s3cret?key=s3cret")
    });
    let shown = format!("{:?}", metric.unwrap());
    assert!(
        shown.contains("http://host:8080") && !shown.contains("s3cret"),
        "{shown}"
    );
}

proptest! {
    /// Whatever somebody writes is a path or an error, and whatever comes back is a sample or nothing.
    #[test]
    fn no_path_and_no_reply_is_a_surprise(
        path in prop_oneof![any::<String>(), r"\$(\.[a-z*]{1,3}|\[(\*|-?[0-9]|'[a-z]'|[?]@\.[a-z] ?[<=!]=? ?'?[0-9a-z]'?|[0-9]?:[0-9]?)\]|\.\.[a-z*])*"],
        reply in prop_oneof![
            any::<String>(),
            r#"\{"[ab]":(\[((1|null|"NaN"|"1e400"|\{\}|\[2\]),){0,3}0\]|"?-?[0-9.e]{1,3}"?|\{"[ab]":7\})\}"#,
        ],
    ) {
        if let Ok(metric) = JsonMetric::new(&JsonMetricSpec { json_path: path, ..spec("http://host/") })
            && let Ok(Sample::Value(value)) = read(&metric.path, 200, reply.as_bytes())
        {
            prop_assert!(!value.is_nan());
        }
    }

    /// A value comes back from a URL and from a body as it went in.
    #[test]
    fn no_value_breaks_out(value in any::<String>()) {
        // These are no part of a URL; they are refused.
        prop_assume!(value != "." && value != "..");
        let metric = JsonMetric::new(&JsonMetricSpec {
            body: Some(r#"{"a":"{{args.a}}"}"#.into()),
            args: [("a".into(), value.clone())].into(),
            ..spec("http://host/?a={{args.a}}&b=1")
        }).unwrap();
        let v2 = Revision::new("v2").unwrap();
        let (url, body) = metric.filled(&asked(&v2, None, None).ask()).unwrap();
        let url = reqwest::Url::parse(&url).unwrap();
        let pairs: Vec<_> = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        prop_assert_eq!(pairs, [("a".to_owned(), value.clone()), ("b".to_owned(), "1".to_owned())]);
        let body: Value = serde_json::from_str(&body.unwrap()).unwrap();
        prop_assert_eq!(body, serde_json::json!({ "a": value }));
    }

    #[test]
    fn no_template_is_a_surprise(text in r"[a-z{} é\n]{0,20}") {
        let _ = Template::parse("url", &text, &["a", "b"]);
    }
}

/// What a question borrows.
struct Asked<'a> {
    metric: Metric,
    window: Window,
    canary: &'a Revision,
    primary: Option<&'a Revision>,
}

fn asked<'a>(canary: &'a Revision, primary: Option<&'a Revision>, query: Option<&str>) -> Asked<'a> {
    let ten = Canary {
        step_weight: Some(10.0),
        ..Canary::default()
    };
    let metric = MetricSpec {
        query: query.map(str::to_owned),
        ..MetricSpec::at_most("error-rate", 1.0)
    };
    let spec = Spec {
        metrics: vec![metric],
        ..Spec::new(Strategy::Canary(ten))
    };
    let (plan, _) = spec.compile(&Capabilities::ALL).unwrap();
    let from = Timestamp::from_millis(1_777_000_000_000);
    Asked {
        metric: plan.metrics()[0].clone(),
        window: Window {
            from,
            to: from.after(Duration::from_secs(60)),
        },
        canary,
        primary,
    }
}

impl Asked<'_> {
    fn ask(&self) -> Measure<'_> {
        Measure {
            metric: &self.metric,
            window: self.window,
            canary: self.canary,
            primary: self.primary,
            weight: Weight::hundredths(25).unwrap(),
        }
    }
}
