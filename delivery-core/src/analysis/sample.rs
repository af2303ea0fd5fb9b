//! What a measurement can be: a value, counts, a histogram, or nothing.

use alloc::string::String;
use core::fmt;
use core::time::Duration;

use super::Histogram;
use crate::time::Timestamp;

/// What a metric source measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// One number about the canary. NaN is nothing; infinities are numbers, as in Flagger.
    Value(f64),
    /// One number about each side.
    Pair {
        /// About the canary.
        canary: f64,
        /// About the primary.
        primary: f64,
    },
    /// Requests within the window, as differences of counters.
    Counts {
        /// Of the canary.
        canary: Tally,
        /// Of the primary over the same window, where the source has it.
        primary: Option<Tally>,
    },
    /// How long requests took.
    Histogram {
        /// Of the canary.
        canary: Histogram,
        /// Of the primary over the same window, where the source has it.
        primary: Option<Histogram>,
    },
    /// Nothing that could be judged, and why.
    Nothing(Nothing),
}

impl Sample {
    /// How many requests the sample speaks about, where it knows.
    pub fn canary_total(&self) -> Option<u64> {
        match self {
            Self::Counts { canary, .. } => Some(canary.total),
            Self::Histogram { canary, .. } => Some(canary.total()),
            Self::Value(_) | Self::Pair { .. } | Self::Nothing(_) => None,
        }
    }

    /// One number about the canary: the value, the error rate in percent, or this quantile.
    pub(super) fn canary_number(&self, quantile: f64) -> Result<f64, Nothing> {
        match self {
            Self::Value(canary) | Self::Pair { canary, .. } => Ok(*canary),
            Self::Counts { canary, .. } => Ok(100.0 - canary.success_rate()?),
            Self::Histogram { canary, .. } => canary.quantile(quantile),
            Self::Nothing(nothing) => Err(nothing.clone()),
        }
    }

    /// The same number about the primary.
    pub(super) fn primary_number(&self, quantile: f64) -> Result<f64, Nothing> {
        let number = match self {
            Self::Pair { primary, .. } => return Ok(*primary),
            Self::Counts { primary, .. } => primary.map(|it| it.success_rate().map(|rate| 100.0 - rate)),
            Self::Histogram { primary, .. } => primary.as_ref().map(|it| it.quantile(quantile)),
            Self::Value(_) => None,
            Self::Nothing(nothing) => return Err(nothing.clone()),
        };
        match number {
            None | Some(Err(Nothing::NoData)) => Err(Nothing::NoPrimary),
            Some(number) => number,
        }
    }
}

/// Requests, and how many of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All requests, up to 2^53.
    pub total: u64,
    /// Those that failed; never more than `total`.
    pub errors: u64,
}

impl Tally {
    /// The share of requests that did not fail, in percent; nothing where there was no request.
    ///
    /// # Errors
    /// [`Nothing::NoData`] without a request, [`Nothing::Unusable`] with more errors than requests.
    pub fn success_rate(self) -> Result<f64, Nothing> {
        let Some(good) = self.total.checked_sub(self.errors) else {
            return Err(Nothing::Unusable(String::from("more errors than requests")));
        };
        if self.total == 0 {
            return Err(Nothing::NoData);
        }
        Ok(100.0 * float(good) / float(self.total))
    }
}

/// Why there is nothing to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nothing {
    /// The source answered, and had no data: no traffic, no series.
    NoData,
    /// The source answered with NaN: usually a division by no traffic.
    NotANumber,
    /// The newest data is older than the source allows.
    Stale {
        /// How old it is.
        age: Duration,
    },
    /// Fewer requests than the metric asks for.
    TooFew {
        /// Requests in the sample.
        seen: u64,
        /// Requests that the metric asks for.
        needed: u64,
    },
    /// Fewer points of a series than a comparison needs.
    TooShort {
        /// Points on the shorter side.
        seen: usize,
        /// Points that are needed.
        needed: usize,
    },
    /// Fewer scrapes of a counter within the window than it takes to count anything.
    TooFewScrapes {
        /// Scrapes in the window.
        seen: u32,
        /// Scrapes that it takes.
        needed: u32,
    },
    /// The source answered for a part of the data alone, and says so, in its words, without secrets: part of the data is
    /// not the data.
    Partial(String),
    /// The measurement also covers a time before the present weight was in force.
    Straddles,
    /// The sample has no data of the primary to compare with.
    NoPrimary,
    /// The source gave no answer for this metric.
    NoAnswer,
    /// The source could not be reached, in its words, without secrets.
    Unreachable(String),
    /// The source answered with something that is no measurement, in words, without secrets.
    Unusable(String),
}

impl Nothing {
    /// Whether the source was at fault, rather than the data missing.
    pub const fn is_error(&self) -> bool {
        match self {
            Self::NoAnswer | Self::Unreachable(_) | Self::Unusable(_) | Self::Partial(_) => true,
            Self::NoData
            | Self::NotANumber
            | Self::Stale { .. }
            | Self::TooFew { .. }
            | Self::TooShort { .. }
            | Self::TooFewScrapes { .. }
            | Self::Straddles
            | Self::NoPrimary => false,
        }
    }
}

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoData => f.write_str("no data"),
            Self::NotANumber => f.write_str("not a number"),
            Self::Stale { age } => write!(f, "data is {age:?} old"),
            Self::TooFew { seen, needed } => write!(f, "{seen} requests, too few to judge (needs {needed})"),
            Self::TooShort { seen, needed } => {
                write!(f, "{seen} points a side, too few to compare (needs {needed})")
            }
            Self::TooFewScrapes { seen, needed } => {
                let scrapes = if *seen == 1 { "scrape" } else { "scrapes" };
                write!(
                    f,
                    "{seen} {scrapes} in the window, {needed} needed: let the interval be at least twice the scrape interval"
                )
            }
            Self::Partial(why) => write!(f, "only a part of the data was answered: {why}"),
            Self::Straddles => f.write_str("the measurement began before the present weight was in force"),
            Self::NoPrimary => f.write_str("no data of the primary to compare with"),
            Self::NoAnswer => f.write_str("no answer"),
            Self::Unreachable(why) => write!(f, "source unreachable: {why}"),
            Self::Unusable(why) => write!(f, "unusable answer: {why}"),
        }
    }
}

/// The time that a measurement covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first moment.
    pub from: Timestamp,
    /// Its last moment.
    pub to: Timestamp,
}

impl Window {
    /// How long it is.
    pub const fn length(self) -> Duration {
        self.to.since(self.from)
    }
}

/// A count as a float; exact up to 2^53.
pub(super) fn float(count: u64) -> f64 {
    let high = u32::try_from(count >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(count & 0xffff_ffff).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}
