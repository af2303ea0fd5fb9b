//! The two questions that sequential tests answer, and how their evidence is told.

use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::sequential::{Null, Test};
use super::{Account, Dispersion, Histogram, Interval, Nothing, Sample, Tally, Terms};

/// Whether the canary has more errors than the primary in the same windows.
///
/// It needs no idea of what is normal, and an outage that hits both sides convicts nobody. Of a histogram the requests
/// slower than `slower_than` are the errors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Compare {
    /// How many times the primary's odds of an error are no reason to convict; at least 1, default 1.25.
    pub ratio: f64,
    /// Requests that take longer are errors. A bound of the histogram's buckets, in its unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slower_than: Option<f64>,
    /// How large its part of the plan's `alpha` is beside that of other sequential judges; above 0, default 1.
    pub share: f64,
}

impl Default for Compare {
    fn default() -> Self {
        Self {
            ratio: 1.25,
            slower_than: None,
            share: 1.0,
        }
    }
}

/// Whether the canary misses an objective: at most so many errors.
///
/// It sees what [`Compare`] cannot: a primary that is bad too, or none. A bound on a quantile is such an objective: a P99
/// of at most 500 ms is at most 1 % of requests slower than 500 ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Objective {
    /// The largest share of requests that may fail, in percent; above 0, below 100.
    pub max_error_rate: f64,
    /// Requests that take longer are errors. A bound of the histogram's buckets, in its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slower_than: Option<f64>,
    /// How large its part of the plan's `alpha` is beside that of other sequential judges; above 0, default 1.
    #[serde(default = "one")]
    pub share: f64,
}

const fn one() -> f64 {
    1.0
}

/// A sequential judge, whichever question it answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) null: Null,
    pub(crate) slower_than: Option<f64>,
    pub(crate) share: f64,
}

impl From<&Compare> for Question {
    fn from(it: &Compare) -> Self {
        Self {
            null: Null::Compare(it.ratio),
            slower_than: it.slower_than,
            share: it.share,
        }
    }
}

impl From<&Objective> for Question {
    fn from(it: &Objective) -> Self {
        Self {
            null: Null::Objective(it.max_error_rate / 100.0),
            slower_than: it.slower_than,
            share: it.share,
        }
    }
}

impl Question {
    /// The requests and errors of both sides.
    ///
    /// # Errors
    /// [`Nothing`]: the sample has none, or not those that are asked for.
    pub(crate) fn tallies(&self, sample: &Sample) -> Result<(Tally, Option<Tally>), Nothing> {
        let unusable = |why: &str| Err(Nothing::Unusable(why.into()));
        match (sample, self.slower_than) {
            (Sample::Nothing(nothing), _) => Err(nothing.clone()),
            (Sample::Counts { canary, primary }, None) => Ok((*canary, *primary)),
            (Sample::Histogram { canary, primary }, Some(bound)) => {
                let primary = primary.as_ref().map(|it| it.slower_than(bound)).transpose()?;
                Ok((canary.slower_than(bound)?, primary))
            }
            (Sample::Histogram { .. }, None) => {
                unusable("a histogram, and slowerThan does not say which requests are too slow")
            }
            (Sample::Counts { .. }, Some(_)) => {
                unusable("counts without durations: slowerThan needs a histogram")
            }
            (Sample::Value(_) | Sample::Pair { .. }, _) => {
                unusable("a number: a sequential test counts requests and errors")
            }
        }
    }

    /// Whether the canary is good beyond doubt.
    pub(super) fn confirms(&self, account: &Account, terms: &Terms) -> bool {
        let most = match self.null {
            Null::Compare(_) => terms.margin,
            Null::Objective(_) => 1.0,
        };
        let interval = account.wealth.interval(terms.interval_alpha);
        interval.high.is_some_and(|high| high <= most)
    }

    /// The evidence so far, as a person reads it.
    pub(super) fn words(&self, account: &Account, test: &Test, terms: &Terms) -> String {
        let wealth = &account.wealth;
        let (canary, primary) = (wealth.canary(), wealth.primary());
        let bad = self
            .slower_than
            .map_or(String::from("failed"), |it| format!("were slower than {it}"));
        let of = |it: Tally| format!("{} of {}", grouped(it.errors), grouped(it.total));
        let (beside, than) = match self.null {
            Null::Compare(_) => (format!(", {} on the primary", of(primary)), "the rate"),
            Null::Objective(rate) => (format!(", {} % may", rounded(rate * 100.0)), "the allowed odds"),
        };
        let times = times(wealth.estimate(), wealth.interval(terms.interval_alpha), than);
        format!(
            "{} requests {bad} on the canary{beside}{times}; evidence {}, needed {}{}",
            of(canary),
            odds(wealth.log_e()),
            odds(test.needed()),
            doubts(account, terms)
        )
    }
}

/// What makes the evidence weaker than it looks.
fn doubts(account: &Account, terms: &Terms) -> String {
    let dispersion = account.wealth.dispersion();
    if dispersion > Dispersion::TOO_NOISY {
        return format!(
            "; errors come in bursts of {}: too noisy to judge by the round",
            rounded(dispersion)
        );
    }
    match (terms.dispersion, account.history_errors) {
        (None, None) => String::from("; bursts unknown, no history of the primary"),
        (None, Some(errors)) if errors < Dispersion::FEW_ERRORS => {
            format!("; bursts known from only {errors} errors")
        }
        (Some(_), _) | (None, Some(_)) => String::new(),
    }
}

impl Histogram {
    /// Requests, and those that took longer than a bound of a bucket.
    ///
    /// # Errors
    /// [`Nothing::Unusable`] when no bucket has that bound; it names the nearest ones.
    pub fn slower_than(&self, bound: f64) -> Result<Tally, Nothing> {
        let buckets = self.buckets();
        let near = |it: f64| (it - bound).abs() <= f64::EPSILON * bound.abs();
        if let Some((_, fast)) = buckets.iter().find(|(it, _)| near(*it)) {
            let total = self.total();
            return Ok(Tally {
                total,
                errors: total.saturating_sub(*fast),
            });
        }
        let finite = || buckets.iter().map(|it| it.0).filter(|it| it.is_finite());
        let below = finite().rfind(|it| *it < bound);
        let above = finite().find(|it| *it > bound);
        let nearest = match (below, above) {
            (Some(below), Some(above)) => format!("the nearest are {below} and {above}"),
            (Some(it), None) | (None, Some(it)) => format!("the nearest is {it}"),
            (None, None) => String::from("there is none"),
        };
        Err(Nothing::Unusable(format!(
            "slowerThan {bound} is no bound of the histogram's buckets: {nearest}"
        )))
    }
}

/// `; 2.8 times the rate (1.4 to 5.1)`.
fn times(estimate: Option<f64>, Interval { low, high }: Interval, than: &str) -> String {
    let (low, high) = (low.map(rounded), high.map(rounded));
    match (estimate.map(rounded), low, high) {
        (Some(it), Some(low), Some(high)) => format!("; {it} times {than} ({low} to {high})"),
        (Some(it), Some(low), None) => format!("; {it} times {than} (at least {low})"),
        (Some(it), None, Some(high)) => format!("; {it} times {than} (at most {high})"),
        (Some(it), None, None) => format!("; {it} times {than}"),
        (None, Some(low), _) => format!("; at least {low} times {than}"),
        (None, None, Some(high)) => format!("; at most {high} times {than}"),
        (None, None, None) => String::new(),
    }
}

/// `340 : 1`.
fn odds(log: f64) -> String {
    let odds = libm::exp(log);
    if odds >= 1e9 {
        return String::from("over 1 000 000 000 : 1");
    }
    format!("{} : 1", rounded(odds))
}

/// Two digits that matter, and all digits before the point, in groups of three.
fn rounded(number: f64) -> String {
    let text = match number {
        it if it >= 9.95 => format!("{it:.0}"),
        it if it >= 0.095 => format!("{it:.1}"),
        it if it >= 0.000_95 => format!("{it:.3}"),
        it => format!("{it:e}"),
    };
    match text.parse() {
        Ok(whole) => grouped(whole),
        Err(_) => text,
    }
}

/// `5 400`.
fn grouped(count: u64) -> String {
    let digits = format!("{count}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
