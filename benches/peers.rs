//! The same answers, as others read them.

use prometheus_http_query::response::{Data, PromqlResult, RangeVector, Sample};
use serde::Deserialize;
use serde_json::Value;

/// As `prometheus-http-query` reads the body of an answer; its own type for this is private.
#[derive(Deserialize)]
#[serde(tag = "status")]
enum Answer {
    #[serde(alias = "success")]
    Success { data: PromqlResult },
}

/// The sum of all numbers in an answer, as `prometheus-http-query` reads it.
pub(crate) fn http_query(body: &[u8]) -> f64 {
    let Answer::Success { data } = serde_json::from_slice(body).expect("an answer");
    match data.data() {
        Data::Vector(series) => series.iter().map(|it| it.sample().value()).sum(),
        Data::Matrix(series) => series
            .iter()
            .flat_map(RangeVector::samples)
            .map(Sample::value)
            .sum(),
        Data::Scalar(point) => point.value(),
    }
}

/// The sum of all numbers in an answer, out of a tree of JSON values.
pub(crate) fn tree(body: &[u8]) -> f64 {
    let answer: Value = serde_json::from_slice(body).expect("JSON");
    let number = |point: &Value| -> f64 {
        point[1]
            .as_str()
            .and_then(|it| it.parse().ok())
            .expect("a number")
    };
    let series = answer["data"]["result"].as_array().expect("a list");
    series
        .iter()
        .map(|series| match series.get("value") {
            Some(point) => number(point),
            None => series["values"]
                .as_array()
                .expect("a list")
                .iter()
                .map(number)
                .sum(),
        })
        .sum()
}
