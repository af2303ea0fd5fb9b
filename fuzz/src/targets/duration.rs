//! Durations of both dialects.

use std::time::Duration;

use delivery_core::time::{GoDuration, PromDuration, parse_interval};

use super::text;
use crate::{Shape, check};

/// What is read is written, and read again as the same.
pub(super) fn run(input: &[u8]) -> Shape {
    let input = text(input);
    let mut shape = Shape::default();
    match input.parse::<GoDuration>() {
        Ok(duration) => {
            let written = duration.to_string();
            assert_eq!(written.parse(), Ok(duration), "{written}");
            shape = shape.and(written.len());
        }
        Err(error) => shape = shape.said(&check::error(&error)),
    }
    match input.parse::<PromDuration>() {
        Ok(duration) => {
            let written = duration.to_string();
            assert_eq!(written.parse(), Ok(duration), "{written}");
            let _ = Duration::from(duration);
            shape = shape.and(written.len());
        }
        Err(error) => shape = shape.said(&check::error(&error)),
    }
    match parse_interval(&input) {
        Ok(duration) => assert_eq!(
            GoDuration::saturating_from(duration).to_string().parse(),
            Ok(GoDuration::saturating_from(duration))
        ),
        Err(error) => shape = shape.said(&check::error(&error)),
    }
    shape
}
