//! Who answered how many requests, and when: stretches of time in which nothing changed.

use alloc::vec::Vec;

use serde::Serialize;

use super::rate::Rate;
use super::world::Known;
use crate::analysis::{Histogram, Nothing, Sample, Tally};
use crate::revision::Revision;

/// A share in 1/10 000.
const WHOLE: u64 = 10_000;
/// How much of a unit a rate per second over milliseconds, times a share, makes. Whole rates need no smaller one, and
/// nearly all of their numbers fit into 64 bits.
#[derive(Clone, Copy, Debug)]
struct Units {
    request: u128,
    /// The same, times a share of errors.
    error: u128,
    /// The same as for a request, times parts of a million.
    millionth: u128,
}

impl Units {
    /// With rates in so many parts of a request per second.
    fn new(parts: u64) -> Self {
        let request = u128::from(parts).saturating_mul(1_000 * 10_000);
        Self {
            request,
            error: request.saturating_mul(10_000),
            millionth: request.saturating_mul(1_000_000),
        }
    }
}

/// A stretch of time in which nothing changed; it lasts until the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Milliseconds since the beginning.
    pub(super) from: u64,
    /// Which version the primary's pods are that take requests, if any do.
    pub(super) primary: Option<usize>,
    /// The same of the canary.
    pub(super) canary: Option<usize>,
    /// The canary's share of the requests, in 1/10 000.
    pub(super) share: u64,
    /// The share of the requests that are copied to the canary, in 1/10 000.
    pub(super) copied: u64,
}

impl Stretch {
    fn server(&self, side: Half) -> Option<usize> {
        match side {
            Half::Primary => self.primary,
            Half::Canary => self.canary,
        }
    }
}

/// A side, as far as traffic is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Half {
    Primary,
    Canary,
}

/// All stretches since the beginning.
#[derive(Debug)]
pub(super) struct History {
    /// Requests of users per second, in the parts that `units` are of.
    rate: u64,
    /// Requests of a load test per second, in the same.
    tests: u64,
    units: Units,
    stretches: Vec<Stretch>,
}

impl History {
    pub(super) fn new(requests: Rate, tests: Rate) -> Self {
        let (rate, tests, parts) = match (requests.whole(), tests.whole()) {
            (Some(rate), Some(tests)) => (rate, tests, 1),
            _ => (requests.millionths(), tests.millionths(), Rate::PARTS),
        };
        Self {
            rate,
            tests,
            units: Units::new(parts),
            stretches: Vec::new(),
        }
    }

    /// From `stretch.from` on it is so.
    pub(super) fn note(&mut self, stretch: Stretch) {
        match self.stretches.last_mut() {
            Some(last)
                if (Stretch {
                    from: last.from,
                    ..stretch
                }) == *last => {}
            Some(last) if last.from == stretch.from => *last = stretch,
            Some(_) | None => self.stretches.push(stretch),
        }
    }

    /// The stretches that meet `from..to`, newest first, and for how many milliseconds.
    fn within(&self, from: u64, to: u64) -> impl Iterator<Item = (&Stretch, u128)> {
        let mut end = to;
        let newest_first = self.stretches.iter().rev().map(move |it| {
            let (begins, ends) = (it.from.max(from), end);
            end = end.min(it.from);
            (it, begins, ends)
        });
        let meets = newest_first.take_while(move |(_, _, ends)| *ends > from);
        meets.filter_map(|(it, begins, ends)| {
            Some((it, ends.checked_sub(begins).filter(|it| *it > 0)?.into()))
        })
    }

    /// Who takes the requests of a side at a moment.
    pub(super) fn server(&self, side: Half, at: u64) -> Option<usize> {
        self.stretches.iter().rev().find(|it| it.from <= at)?.server(side)
    }

    /// The requests of a side within `from..to` that were measured: their version, and how many `Units::request`ths.
    fn measured<'k, 's>(
        &self,
        side: Half,
        from: u64,
        to: u64,
        known: &'k [Known<'s>],
    ) -> impl Iterator<Item = (&'k Known<'s>, u128)> {
        self.within(from, to).filter_map(move |(stretch, lasted)| {
            let known = known
                .get(stretch.server(side)?)
                .filter(|it| it.version.instrumented)?;
            let (share, tests) = match side {
                Half::Primary => (WHOLE.saturating_sub(stretch.share), 0),
                Half::Canary => (
                    stretch.share.saturating_add(stretch.copied),
                    u128::from(self.tests).saturating_mul(WHOLE.into()),
                ),
            };
            let users = u128::from(self.rate).saturating_mul(share.into());
            Some((known, lasted.saturating_mul(users.saturating_add(tests))))
        })
    }

    /// The same requests, counted: the difference of two counters, so that windows side by side add up to one.
    fn tally(&self, side: Half, from: u64, to: u64, known: &[Known<'_>]) -> Option<Tally> {
        let (before, after) = (self.counter(side, from, known), self.counter(side, to, known));
        let total = after.total.saturating_sub(before.total);
        let errors = after.errors.saturating_sub(before.errors).min(total);
        (total > 0).then_some(Tally { total, errors })
    }

    /// All such requests until a moment.
    fn counter(&self, side: Half, to: u64, known: &[Known<'_>]) -> Tally {
        let (mut total, mut errors) = (0_u128, 0_u128);
        for (known, units) in self.measured(side, 0, to, known) {
            total = total.saturating_add(units);
            errors = errors.saturating_add(units.saturating_mul(known.version.errors.as_hundredths().into()));
        }
        Tally {
            total: count(total, self.units.request),
            errors: count(errors, self.units.error),
        }
    }

    /// What a source would know of the canary's requests within `from..to`, and of the primary's.
    pub(super) fn counts(&self, from: u64, to: u64, known: &[Known<'_>]) -> Sample {
        let Some(canary) = self.tally(Half::Canary, from, to, known) else {
            return Sample::Nothing(Nothing::NoData);
        };
        Sample::Counts {
            canary,
            primary: self.tally(Half::Primary, from, to, known),
        }
    }

    /// The same of the primary alone, in the place of the canary.
    pub(super) fn past_counts(&self, from: u64, to: u64, known: &[Known<'_>]) -> Sample {
        self.tally(Half::Primary, from, to, known)
            .map_or(Sample::Nothing(Nothing::NoData), |canary| Sample::Counts {
                canary,
                primary: None,
            })
    }

    /// How long they took, in milliseconds, by `bounds`.
    pub(super) fn durations(&self, from: u64, to: u64, known: &[Known<'_>], bounds: &[(f64, u64)]) -> Sample {
        let of = |side| self.histogram(side, from, to, known, bounds);
        let Some(canary) = of(Half::Canary) else {
            return Sample::Nothing(Nothing::NoData);
        };
        Sample::Histogram {
            canary,
            primary: of(Half::Primary),
        }
    }

    /// The same of the primary alone, in the place of the canary.
    pub(super) fn past_durations(
        &self,
        from: u64,
        to: u64,
        known: &[Known<'_>],
        bounds: &[(f64, u64)],
    ) -> Sample {
        self.histogram(Half::Primary, from, to, known, bounds).map_or(
            Sample::Nothing(Nothing::NoData),
            |canary| Sample::Histogram {
                canary,
                primary: None,
            },
        )
    }

    fn histogram(
        &self,
        side: Half,
        from: u64,
        to: u64,
        known: &[Known<'_>],
        bounds: &[(f64, u64)],
    ) -> Option<Histogram> {
        let (mut total, mut sums) = (0_u128, alloc::vec![0_u128; bounds.len()]);
        for (known, units) in self.measured(side, from, to, known) {
            total = total.saturating_add(units);
            for (sum, faster) in sums.iter_mut().zip(&known.faster) {
                *sum = sum.saturating_add(units.saturating_mul(u128::from(*faster)));
            }
        }
        let total = count(total, self.units.request);
        let millionth = self.units.millionth;
        // Rounded up, so that a quantile that lies on a bound is found there.
        let buckets = bounds.iter().zip(sums).map(|((bound, _), sum)| {
            (
                *bound,
                count(sum.saturating_add(millionth.saturating_sub(1)), millionth).min(total),
            )
        });
        let buckets = buckets.chain([(f64::INFINITY, total)]).collect();
        (total > 0).then(|| Histogram::new(buckets).ok()).flatten()
    }

    /// Requests of users that a revision answered within `from..to`.
    pub(super) fn served(&self, from: u64, to: u64, version: usize) -> u64 {
        let units = self.within(from, to).fold(0_u128, |sum, (it, lasted)| {
            let canary = if it.canary == Some(version) { it.share } else { 0 };
            let primary = if it.primary == Some(version) {
                WHOLE.saturating_sub(it.share)
            } else {
                0
            };
            sum.saturating_add(lasted.saturating_mul(canary.saturating_add(primary).into()))
        });
        self.requests(units)
    }

    /// What users saw until `to`.
    pub(super) fn users(&self, to: u64, known: &[Known<'_>]) -> Users {
        let (mut canary, mut copied, mut lost, mut errors) = (0_u128, 0_u128, 0_u128, 0_u128);
        let mut served = alloc::vec![0_u128; known.len()];
        for (stretch, lasted) in self.within(0, to) {
            let to_canary = lasted.saturating_mul(stretch.share.into());
            let to_primary = lasted.saturating_mul(WHOLE.saturating_sub(stretch.share).into());
            canary = canary.saturating_add(to_canary);
            copied = copied.saturating_add(lasted.saturating_mul(stretch.copied.into()));
            for (server, units) in [(stretch.primary, to_primary), (stretch.canary, to_canary)] {
                let answers = server.and_then(|it| Some((served.get_mut(it)?, known.get(it)?)));
                if let Some((sum, known)) = answers {
                    *sum = sum.saturating_add(units);
                    errors = errors
                        .saturating_add(units.saturating_mul(known.version.errors.as_hundredths().into()));
                } else {
                    lost = lost.saturating_add(units);
                }
            }
        }
        let requests = self.requests(u128::from(to).saturating_mul(WHOLE.into()));
        let canary = self.requests(canary);
        let answered = known.iter().zip(served).filter(|(_, units)| *units > 0);
        Users {
            requests,
            primary: requests.saturating_sub(canary),
            canary,
            copied: self.requests(copied),
            errors: self.failed(errors),
            lost: self.requests(lost),
            by_revision: answered
                .map(|(known, units)| Served {
                    revision: known.revision.clone(),
                    requests: self.requests(units),
                    errors: self.failed(units.saturating_mul(known.version.errors.as_hundredths().into())),
                })
                .collect(),
        }
    }

    /// Requests of users, from milliseconds times a share.
    fn requests(&self, units: u128) -> u64 {
        count(units.saturating_mul(self.rate.into()), self.units.request)
    }

    /// Those that failed, from milliseconds times a share times a share of errors.
    fn failed(&self, units: u128) -> u64 {
        count(units.saturating_mul(self.rate.into()), self.units.error)
    }
}

/// Whole requests.
fn count(units: u128, per: u128) -> u64 {
    // Divisions of 64 bits are many times faster, and nearly everything fits.
    match (u64::try_from(units), u64::try_from(per)) {
        (Ok(units), Ok(per)) => units.checked_div(per).unwrap_or(0),
        _ => u64::try_from(units.checked_div(per).unwrap_or(0)).unwrap_or(u64::MAX),
    }
}

/// What users saw. Whole requests: parts of one are dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Users {
    /// Requests that were sent.
    pub requests: u64,
    /// Those that went to the primary.
    pub primary: u64,
    /// Those that went to the canary.
    pub canary: u64,
    /// Requests that were copied to the canary besides; no user saw their answers.
    pub copied: u64,
    /// Requests that were answered with an error.
    pub errors: u64,
    /// Requests that nobody answered, because they went to a side without pods that take requests.
    pub lost: u64,
    /// Who answered.
    pub by_revision: Vec<Served>,
}

/// What one revision answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Served {
    /// The revision.
    pub revision: Revision,
    /// Requests that it answered, on either side; copies not counted.
    pub requests: u64,
    /// Those that it answered with an error.
    pub errors: u64,
}
