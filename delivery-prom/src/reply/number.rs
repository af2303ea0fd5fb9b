//! From a reply to the one number that is judged.

use std::time::Duration;

use delivery_core::Timestamp;
use delivery_core::analysis::{Baseline, Direction, Judge, MannWhitney, Nothing, Range};
use serde::Deserialize;

use super::{Data, Point, Reply, Value};

/// Which series counts when a query has several.
///
/// The default is what Flagger does: the last one. Which one that is, nobody knows; write a query with one result, or
/// choose something else here. Whatever is chosen, a series that is NaN or too old is never passed over for one that is
/// better: of `Sum`, `Max`, `Min` and `Worst` it makes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pick {
    /// There must be one and no more.
    One,
    /// The first.
    First,
    /// The last, as in Flagger.
    #[default]
    Last,
    /// All of them together.
    Sum,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The one that is furthest beyond the metric's bounds, or closest to them from within.
    Worst,
}

/// How old a value may be.
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    /// The moment that was asked for.
    pub now: Timestamp,
    /// The oldest good age.
    pub max_age: Option<Duration>,
}

impl Fresh {
    /// The value of a point, if it is a number and young enough.
    fn number(&self, point: Point) -> Result<f64, Nothing> {
        let age = self.now.since(point.at);
        if self.max_age.is_some_and(|max| age > max) {
            return Err(Nothing::Stale { age });
        }
        if point.value.is_nan() {
            return Err(Nothing::NotANumber);
        }
        Ok(point.value)
    }
}

impl Reply<'_> {
    /// The number that is judged by `judge`.
    ///
    /// Infinities are numbers, as in Flagger.
    ///
    /// # Errors
    /// [`Nothing`]: no series, several where there must be one, NaN, too old, or something that is no number at all.
    pub fn number(&self, pick: Pick, judge: &Judge, fresh: Fresh) -> Result<f64, Nothing> {
        let series = match &self.data {
            Data::Scalar(point) => return fresh.number(*point),
            Data::Vector(series) => series,
            Data::Matrix(_) => {
                return unusable("a range vector (make a number of it, e.g. with rate or max_over_time)");
            }
            Data::Text(_) => return unusable("a text"),
            Data::Streams => {
                return unusable("log lines (make a number of them, e.g. with count_over_time or rate)");
            }
        };
        // Loki marks what it could not read, and counts it anyway.
        if let Some(error) = series.iter().find_map(|it| it.labels.get("__error__")) {
            return unusable(&format!(
                "lines that could not be read ({error}; drop them with | __error__=\"\")"
            ));
        }
        let number = |at: usize| match series.get(at).map(|it| (it.at, it.value)) {
            None => Err(Nothing::NoData),
            Some((at, Value::Float(value))) => fresh.number(Point { at, value }),
            Some((_, Value::Histogram)) => {
                unusable("a native histogram (make a number of it, e.g. with histogram_quantile)")
            }
        };
        if series.is_empty() {
            return Err(Nothing::NoData);
        }
        let all = || {
            (0..series.len())
                .map(number)
                .collect::<Result<Vec<f64>, Nothing>>()
        };
        let most = |badness: &dyn Fn(f64) -> f64| {
            let all = all()?;
            let worst = all.into_iter().max_by(|a, b| badness(*a).total_cmp(&badness(*b)));
            worst.ok_or(Nothing::NoData)
        };
        match pick {
            Pick::One if series.len() > 1 => {
                let (first, last) = (series.first(), series.last());
                let shown =
                    |it: Option<&super::Series<'_>>| it.map_or(String::new(), |it| it.labels.to_string());
                unusable(&format!(
                    "{} series where there must be one, from {} to {}",
                    series.len(),
                    crate::error::shortened(&shown(first), 80),
                    crate::error::shortened(&shown(last), 80)
                ))
            }
            Pick::One | Pick::First => number(0),
            Pick::Last => number(series.len() - 1),
            Pick::Sum => match all()?.iter().sum::<f64>() {
                // +Inf and -Inf.
                sum if sum.is_nan() => Err(Nothing::NotANumber),
                sum => Ok(sum),
            },
            Pick::Max => most(&|it| it),
            Pick::Min => most(&|it| -it),
            Pick::Worst => most(&|it| badness(judge, it)),
        }
    }
}

/// How bad a number is to a judge: the larger, the worse.
fn badness(judge: &Judge, number: f64) -> f64 {
    match judge {
        Judge::Range(Range { min, max, .. }) => {
            let below = min.map_or(f64::NEG_INFINITY, |min| min - number);
            let above = max.map_or(f64::NEG_INFINITY, |max| number - max);
            below.max(above)
        }
        Judge::Baseline(Baseline {
            higher_is_better: true,
            ..
        })
        | Judge::MannWhitney(MannWhitney {
            direction: Direction::Decrease,
            ..
        }) => -number,
        // A sequential test counts, and is given no number to choose.
        Judge::Baseline(_) | Judge::MannWhitney(_) | Judge::Compare(_) | Judge::Objective(_) => number,
    }
}

fn unusable<T>(why: &str) -> Result<T, Nothing> {
    Err(Nothing::Unusable(format!("the query returns {why}")))
}
