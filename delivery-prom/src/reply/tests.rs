//! Every kind of answer, as servers give them.

use std::time::Duration;

use delivery_core::Timestamp;
use delivery_core::analysis::{Baseline, Judge, Nothing, Range};
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_435_781_451_781);

const AT_LEAST_99: Judge = Judge::Range(Range {
    min: Some(99.0),
    max: None,
    quantile: 0.99,
});

fn body(kind: &str, result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
}

/// A vector with these values, each with the label `pod`.
fn vector(values: &[&str]) -> String {
    let series: Vec<String> = (0..)
        .zip(values)
        .map(|(at, value)| format!(r#"{{"metric":{{"pod":"p{at}"}},"value":[1435781451.781,"{value}"]}}"#))
        .collect();
    body("vector", &format!("[{}]", series.join(",")))
}

fn number(body: &str, pick: Pick) -> Result<f64, Nothing> {
    let fresh = Fresh {
        now: NOW,
        max_age: None,
    };
    parse(body.as_bytes()).unwrap().number(pick, &AT_LEAST_99, fresh)
}

fn unusable(body: &str, pick: Pick) -> String {
    match number(body, pick) {
        Err(Nothing::Unusable(why)) => why,
        other => panic!("{other:?} of {body}"),
    }
}

// What is a number

#[test]
fn one_number_is_itself() {
    for (text, value) in [
        ("99.5", 99.5),
        ("1.5e-02", 0.015),
        ("-0", 0.0),
        ("+Inf", f64::INFINITY),
        ("-Inf", f64::NEG_INFINITY),
    ] {
        assert_eq!(number(&vector(&[text]), Pick::One), Ok(value), "{text}");
        let scalar = body("scalar", &format!(r#"[1435781451.781,"{text}"]"#));
        assert_eq!(number(&scalar, Pick::One), Ok(value), "{text}");
    }
}

#[test]
fn which_of_several_counts_is_said() {
    let several = vector(&["99", "97.5", "100", "98"]);
    for (pick, value) in [
        (Pick::First, 99.0),
        (Pick::Last, 98.0),
        (Pick::Sum, 394.5),
        (Pick::Max, 100.0),
        (Pick::Min, 97.5),
        (Pick::Worst, 97.5),
    ] {
        assert_eq!(number(&several, pick), Ok(value), "{pick:?}");
    }
    assert_eq!(
        unusable(&several, Pick::One),
        r#"the query returns 4 series where there must be one, from {pod="p0"} to {pod="p3"}"#
    );
    assert_eq!(Pick::default(), Pick::Last, "as in Flagger");
}

#[test]
fn the_worst_is_what_the_judge_likes_least() {
    let range = |min, max| {
        Judge::Range(Range {
            min,
            max,
            quantile: 0.99,
        })
    };
    let baseline = |higher_is_better| {
        Judge::Baseline(Baseline {
            max_ratio: Some(1.2),
            max_difference: None,
            higher_is_better,
            quantile: 0.99,
        })
    };
    let several = vector(&["5", "1", "9"]);
    for (judge, worst) in [
        (range(Some(4.0), None), 1.0),
        (range(None, Some(4.0)), 9.0),
        (range(Some(4.0), Some(6.0)), 9.0),
        (range(Some(0.5), Some(20.0)), 1.0),
        (baseline(true), 1.0),
        (baseline(false), 9.0),
    ] {
        let fresh = Fresh {
            now: NOW,
            max_age: None,
        };
        let reply = parse(several.as_bytes()).unwrap();
        assert_eq!(reply.number(Pick::Worst, &judge, fresh), Ok(worst), "{judge:?}");
    }
}

// What is none

#[test]
fn no_series_is_no_data() {
    for pick in [Pick::One, Pick::Last, Pick::Sum, Pick::Worst] {
        for empty in ["[]", "null"] {
            assert_eq!(number(&body("vector", empty), pick), Err(Nothing::NoData));
        }
    }
}

#[test]
fn nan_is_nothing_and_hides_behind_no_other_series() {
    assert_eq!(number(&vector(&["NaN"]), Pick::Last), Err(Nothing::NotANumber));
    let one_of_two = vector(&["NaN", "100"]);
    for pick in [Pick::First, Pick::Sum, Pick::Max, Pick::Min, Pick::Worst] {
        assert_eq!(number(&one_of_two, pick), Err(Nothing::NotANumber), "{pick:?}");
    }
    assert_eq!(
        number(&vector(&["+Inf", "-Inf"]), Pick::Sum),
        Err(Nothing::NotANumber)
    );
}

#[test]
fn what_is_too_old_is_stale() {
    let old = vector(&["100"]);
    let reply = parse(old.as_bytes()).unwrap();
    let at = |seconds, max_age: Option<u64>| {
        let fresh = Fresh {
            now: NOW.after(Duration::from_secs(seconds)),
            max_age: max_age.map(Duration::from_secs),
        };
        reply.number(Pick::Last, &AT_LEAST_99, fresh)
    };
    assert_eq!(at(60, Some(60)), Ok(100.0));
    assert_eq!(
        at(61, Some(60)),
        Err(Nothing::Stale {
            age: Duration::from_secs(61)
        })
    );
    assert_eq!(at(1_000_000, None), Ok(100.0));
}

#[test]
fn what_is_no_number_is_unusable() {
    let native = r#"[{"metric":{},"histogram":[1435781451.781,{"count":"5","sum":"1.5","buckets":[[0,"0.5","1","5"]]}]}]"#;
    let range = r#"[{"metric":{"a":"b"},"values":[[1,"2"],[2,"3"]]}]"#;
    let unreadable = r#"[{"metric":{"__error__":"JSONParserErr"},"value":[1,"2"]}]"#;
    for (kind, result, why) in [
        ("vector", native, "a native histogram"),
        ("matrix", range, "a range vector"),
        ("string", r#"[1435781451.781,"42"]"#, "a text"),
        (
            "streams",
            r#"[{"stream":{},"values":[["1","line"]]}]"#,
            "log lines",
        ),
        (
            "vector",
            unreadable,
            "lines that could not be read (JSONParserErr",
        ),
    ] {
        let why_not = unusable(&body(kind, result), Pick::Last);
        assert!(
            why_not.starts_with(&format!("the query returns {why}")),
            "{why_not}"
        );
    }
}

// What comes with it

#[test]
fn fields_may_come_in_any_order_and_unknown_ones_are_passed_over() {
    let body = r#" {"infos":["PromQL info: metric might not be a counter"],"warnings":["one store is gone"],"isPartial":true,
        "data":{"stats":{"a":[1,{"b":2}]},"result":[{"value":[1,"2"],"group":null,"metric":{}}],"resultType":"vector"},"status":"success"} "#;
    let reply = parse(body.as_bytes()).unwrap();
    assert_eq!(reply.warnings, ["one store is gone"]);
    assert_eq!(reply.partial.as_deref(), Some("one store is gone"));
    assert_eq!(reply.infos, ["PromQL info: metric might not be a counter"]);
    assert!(
        matches!(&reply.data, Data::Vector(series) if series[0].value == Value::Float(2.0)),
        "{reply:?}"
    );
}

#[test]
fn what_is_not_whole_is_told_from_what_is_remarked() {
    let said = "the server says that some of its parts did not answer";
    for (field, partial) in [
        (r#""isPartial":true"#, Some(said)),
        (r#""isPartial":false"#, None),
        (r#""isPartial":null"#, None),
        (r#""warnings":[]"#, None),
        (r#""warnings":null"#, None),
        (
            r#""warnings":["PromQL warning: bucket label \"le\" is missing (1:20)"]"#,
            None,
        ),
        (r#""infos":["PromQL info: metric might not be a counter"]"#, None),
        (
            r#""warnings":["PromQL info: metric might not be a counter"]"#,
            None,
        ),
        (
            r#""warnings":["fetch series for {replica=\"b\"}: context deadline exceeded"]"#,
            Some("fetch series"),
        ),
        (
            r#""warnings":["PromQL warning: x","No StoreAPIs matched for this query"]"#,
            Some("No StoreAPIs"),
        ),
        (
            r#""warnings":["remote_read: 503"],"isPartial":false"#,
            Some("remote_read"),
        ),
    ] {
        let body = format!(r#"{{"status":"success",{field},"data":{{"resultType":"vector","result":[]}}}}"#);
        let reply = parse(body.as_bytes()).unwrap();
        match (reply.partial, partial) {
            (None, None) => {}
            (Some(why), Some(begins)) => assert!(why.starts_with(begins), "{field}: {why}"),
            (found, _) => panic!("{field}: {found:?}"),
        }
    }
    let lies = br#"{"status":"success","isPartial":"yes","data":{"resultType":"vector","result":[]}}"#;
    parse(lies).unwrap_err();
}

#[test]
fn labels_are_read_when_they_are_asked_for() {
    let body = body(
        "vector",
        r#"[{"metric":{"__name__":"up","path":"/\"é\u0301\\","le":"+Inf"},"value":[1,"2"]}]"#,
    );
    let reply = parse(body.as_bytes()).unwrap();
    let Data::Vector(series) = &reply.data else {
        panic!("{reply:?}")
    };
    let labels = &series[0].labels;
    assert_eq!(labels.get("le").as_deref(), Some("+Inf"));
    assert_eq!(labels.get("path").as_deref(), Some("/\"é\u{301}\\"));
    assert_eq!(labels.get("no"), None);
    assert_eq!(labels.map().len(), 3);
}

#[test]
fn points_are_read_oldest_first() {
    let body = body(
        "matrix",
        r#"[{"metric":{},"values":[[1435781430.781,"1"],[1435781445.7815,"NaN"],[-7,"+Inf"],[1e9,"3"]]},
            {"metric":{},"histograms":[[1,{}]]}]"#,
    );
    let reply = parse(body.as_bytes()).unwrap();
    let Data::Matrix(tracks) = &reply.data else {
        panic!("{reply:?}")
    };
    let points = tracks[0].points().unwrap();
    assert_eq!(
        points.iter().map(|it| it.at.as_millis()).collect::<Vec<_>>(),
        [1_435_781_430_781, 1_435_781_445_782, 0, 1_000_000_000_000]
    );
    assert_eq!(points[0].value.to_bits(), 1.0_f64.to_bits());
    assert!(points[1].value.is_nan() && points[2].value.is_infinite());
    assert!(tracks[1].histograms && tracks[1].points().unwrap().is_empty());
}

// What is no answer

#[test]
fn a_query_that_failed_says_why() {
    for data in [
        "",
        r#""data":null,"#,
        r#""data":{"resultType":"vector","result":[]},"#,
    ] {
        let body =
            format!(r#"{{"status":"error",{data}"errorType":"execution","error":"many-to-many matching"}}"#);
        let error = parse(body.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "execution: many-to-many matching");
    }
}

#[test]
fn garbage_is_an_error_that_says_what_is_wrong() {
    use std::error::Error;

    for (body, says) in [
        (String::new(), "EOF"),
        ("<html>".into(), "expected value"),
        ("[]".into(), "expected an object with `status` and `data`"),
        ("{}".into(), "missing field `status`"),
        (r#"{"status":"success"}"#.into(), "missing field `data`"),
        (
            r#"{"status":"maybe","data":{"resultType":"scalar","result":[1,"2"]}}"#.into(),
            "`maybe`",
        ),
        (
            r#"{"status":"success","data":{"resultType":"vector"}}"#.into(),
            "missing field `result`",
        ),
        (
            r#"{"status":"success","data":{"result":[]}}"#.into(),
            "missing field `resultType`",
        ),
        (body("tensor", "[]"), "`tensor`"),
        (body("vector", r#"[{"metric":{}}]"#), "missing field `value`"),
        (body("vector", r#"[{"value":[1,"2"]}]"#), "missing field `metric`"),
        (
            body("vector", r#"[{"metric":7,"value":[1,"2"]}]"#),
            "no object of labels",
        ),
        (body("vector", r#"[{"metric":{},"value":[1,"two"]}]"#), "\"two\""),
        (
            body("vector", r#"[{"metric":{},"value":[1,2]}]"#),
            "a number in quotes",
        ),
        (body("vector", r#"[{"metric":{},"value":[1]}]"#), "length 1"),
        (body("matrix", r#"[{"metric":{}}]"#), "missing field `values`"),
        (vector(&["1"]) + "x", "trailing characters"),
    ] {
        let error = parse(body.as_bytes()).unwrap_err();
        let cause = error.source().expect("a cause").to_string();
        assert!(cause.contains(says), "{cause}: {body}");
    }
    assert!(matches!(parse(b"\xff"), Err(NoReply::NoText(_))));
}

#[test]
fn a_reply_that_is_cut_off_anywhere_is_an_error() {
    let whole = vector(&["1", "NaN"]);
    for end in 0..whole.len() {
        assert!(parse(&whole.as_bytes()[..end]).is_err(), "{end}");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    let body = body("vector", &"[".repeat(1_000_000));
    assert!(parse(body.as_bytes()).is_err());
    let ignored = format!(r#"{{"x":{}"#, "[".repeat(1_000_000));
    assert!(parse(ignored.as_bytes()).is_err());
}

proptest! {
    /// Bytes that nobody would send.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        look_through(&bytes);
    }

    /// Answers in which some bytes were changed, doubled or lost.
    #[test]
    fn a_damaged_answer_is_read_or_refused(
        which in 0..WHOLE.len(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
    ) {
        let mut bytes = WHOLE[which].as_bytes().to_vec();
        for (at, byte, how) in damage {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        look_through(&bytes);
    }

    /// What is put into a reply comes out of it.
    #[test]
    fn numbers_come_out_as_they_went_in(value: f64, millis in 0_u64..4_000_000_000_000) {
        let point = format!("[{}.{:03},\"{value}\"]", millis / 1_000, millis % 1_000);
        let body = body("scalar", &point);
        let Data::Scalar(point) = parse(body.as_bytes()).unwrap().data else { panic!("no scalar") };
        prop_assert_eq!(point.at.as_millis(), millis);
        prop_assert!(point.value.to_bits() == value.to_bits() || value.is_nan() && point.value.is_nan());
    }
}

const WHOLE: [&str; 5] = [
    r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b\n","le":"+Inf"},"value":[1435781451.781,"1.5e-02"]}]},"warnings":["w"]}"#,
    r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1435781430.781,"1"],[1435781445.781,"NaN"]]}]}}"#,
    r#"{"status":"success","data":{"result":[{"metric":{},"histogram":[1,{"count":"5","buckets":[[0,"0.5","1","5"]]}]}],"resultType":"vector"}}"#,
    r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error"}"#,
    r#"{"status":"success","data":{"resultType":"scalar","result":[1435781451.781,"42"]},"infos":null}"#,
];

/// Reads everything that can be read of an answer.
fn look_through(bytes: &[u8]) {
    let Ok(reply) = parse(bytes) else { return };
    for pick in [Pick::One, Pick::Last, Pick::Sum, Pick::Worst] {
        let fresh = Fresh {
            now: NOW,
            max_age: Some(Duration::from_secs(60)),
        };
        let number = reply.number(pick, &AT_LEAST_99, fresh);
        assert!(number.is_ok_and(|it| !it.is_nan()) || reply.number(pick, &AT_LEAST_99, fresh).is_err());
    }
    let _ = format!("{reply:?}");
    if let Data::Matrix(tracks) = &reply.data {
        for track in tracks {
            let _ = (track.points(), track.labels.map(), track.labels.get("a"));
        }
    }
}

#[test]
fn what_an_error_quotes_of_an_answer_is_one_line_with_a_bound() {
    let odd = "\\u202e\\n".to_owned() + &"x".repeat(9_000);
    for answer in [
        format!(r#"{{"status":"success","data":"{odd}"}}"#),
        format!(r#"{{"status":"{odd}"}}"#),
    ] {
        let error = parse(answer.as_bytes()).unwrap_err();
        let said = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(delivery_core::text::hidden(&said), None, "{said}");
        assert!(said.chars().count() < 500, "{said}");
    }
}
