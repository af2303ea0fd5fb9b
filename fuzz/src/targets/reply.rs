//! Answers of a Prometheus, and of what speaks like one.

use std::time::Duration;

use delivery_core::Timestamp;
use delivery_core::analysis::{Judge, Nothing, Range};
use delivery_prom::reply::{Data, Fresh, Pick, parse};

use crate::{Shape, check};

const NOW: Timestamp = Timestamp::from_millis(1_435_781_451_781);

/// What is read can be asked for everything that it has.
pub(super) fn run(input: &[u8]) -> Shape {
    let reply = match parse(input) {
        Ok(reply) => reply,
        Err(error) => return Shape::default().said(&check::error(&error)),
    };
    let mut shape = Shape::default().and((
        reply.warnings.len().min(3),
        reply.infos.len().min(3),
        reply.partial.is_some(),
    ));
    match &reply.data {
        Data::Vector(series) => {
            for one in series {
                let labels = one.labels.map();
                assert!(labels.len() <= one.labels.count());
                for (name, value) in &labels {
                    assert_eq!(one.labels.get(name).as_deref(), Some(value.as_str()));
                }
                let _ = one.labels.to_string();
                shape = shape.and(one.value == delivery_prom::reply::Value::Histogram);
            }
        }
        Data::Matrix(tracks) => {
            for track in tracks {
                let points = track.points();
                shape = shape.and((
                    points.is_ok(),
                    track.histograms,
                    points.map_or(0, |it| it.len().min(3)),
                ));
            }
        }
        Data::Scalar(_) => shape = shape.and("scalar"),
        Data::Text(_) => shape = shape.and("text"),
        Data::Streams => shape = shape.and("streams"),
    }
    let judge = Judge::Range(Range::at_least(99.0));
    for pick in [
        Pick::One,
        Pick::First,
        Pick::Last,
        Pick::Sum,
        Pick::Max,
        Pick::Min,
        Pick::Worst,
    ] {
        for max_age in [None, Some(Duration::from_secs(60))] {
            match reply.number(pick, &judge, Fresh { now: NOW, max_age }) {
                Ok(number) => {
                    assert!(!number.is_nan(), "{pick:?} makes NaN a number");
                    shape = shape.and(number.is_finite());
                }
                Err(nothing) => shape = shape.said(&nothing_told(&nothing)),
            }
        }
    }
    shape
}

/// Why there is nothing, as people get to see it.
pub(super) fn nothing_told(nothing: &Nothing) -> String {
    let text = nothing.to_string();
    check::told(&text);
    text
}
