//! Answers of a Prometheus, and the numbers in them, read in three ways: ours, that of `prometheus-http-query`, and a
//! plain tree of JSON values.

use std::fmt::Write;

use delivery_core::Timestamp;
use delivery_core::analysis::{Judge, Range};
use delivery_prom::reply::{Data, Fresh, Pick, parse};

/// A vector of so many series, with the labels that series have.
#[must_use]
pub fn vector(series: usize) -> Vec<u8> {
    let mut text = String::from(r#"{"status":"success","data":{"resultType":"vector","result":["#);
    for at in 0..series {
        let comma = if at > 0 { "," } else { "" };
        let _ = write!(
            text,
            r#"{comma}{{"metric":{{"__name__":"http_requests_total","code":"200","instance":"10.0.{}.{}:8080","job":"shop/web","namespace":"shop","pod":"web-7d4b9c6f5-{at:05}"}},"value":[1435781451.781,"{}.25"]}}"#,
            at / 250,
            at % 250,
            at * 7
        );
    }
    (text + "]}}").into_bytes()
}

/// A matrix of series with 240 points each, at least so many bytes long; and how many points it has.
#[must_use]
pub fn matrix(bytes: usize) -> (Vec<u8>, usize) {
    let mut text = String::from(r#"{"status":"success","data":{"resultType":"matrix","result":["#);
    let mut points = 0;
    while text.len() < bytes {
        let comma = if points > 0 { "," } else { "" };
        let _ = write!(
            text,
            r#"{comma}{{"metric":{{"__name__":"http_requests_total","instance":"10.0.0.{points}:8080"}},"values":["#
        );
        for at in 0..240 {
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(
                text,
                r#"{comma}[{}.781,"{}"]"#,
                1_435_781_430 + at * 15,
                points * 7 + at * 13
            );
        }
        text.push_str("]}");
        points += 240;
    }
    ((text + "]}}").into_bytes(), points)
}

/// The sum of all numbers in an answer, as this workspace reads it.
///
/// # Panics
/// If it is no answer.
#[must_use]
pub fn ours(body: &[u8]) -> f64 {
    let reply = parse(body).expect("an answer");
    if let Data::Matrix(tracks) = &reply.data {
        let mut sum = 0.0;
        for track in tracks {
            track.for_each(|point| sum += point.value).expect("points");
        }
        return sum;
    }
    let any = Judge::Range(Range {
        min: None,
        max: None,
        quantile: 0.99,
    });
    let fresh = Fresh {
        now: Timestamp::default(),
        max_age: None,
    };
    reply.number(Pick::Sum, &any, fresh).expect("a number")
}
