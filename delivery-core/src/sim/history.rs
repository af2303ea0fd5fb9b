//! Who answered how many requests, and when: stretches of time in which nothing changed.

use alloc::vec::Vec;

use serde::Serialize;

use super::world::Known;
use crate::analysis::{Histogram, Nothing, Sample, Tally};
use crate::revision::Revision;

/// A share in 1/10 000.
const WHOLE: u64 = 10_000;
/// A rate per second over milliseconds, times a share.
const PER_REQUEST: u128 = 1_000 * 10_000;
/// The same, times a share of errors.
const PER_ERROR: u128 = PER_REQUEST * 10_000;
/// The same as for a request, times parts of a million.
const PER_MILLIONTH: u128 = PER_REQUEST * 1_000_000;

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
    fn of(&self, side: Half) -> (Option<usize>, u64) {
        match side {
            Half::Primary => (self.primary, WHOLE.saturating_sub(self.share)),
            Half::Canary => (self.canary, self.share.saturating_add(self.copied)),
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
#[derive(Debug, Default)]
pub(super) struct History {
    rate: u64,
    stretches: Vec<Stretch>,
}

impl History {
    pub(super) fn new(requests_per_second: u32) -> Self {
        Self {
            rate: u64::from(requests_per_second),
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
        newest_first
            .take_while(move |(_, _, ends)| *ends > from)
            .filter_map(|(it, begins, ends)| {
                Some((it, u128::from(ends.checked_sub(begins).filter(|it| *it > 0)?)))
            })
    }

    /// Who takes the requests of a side at a moment.
    pub(super) fn server(&self, side: Half, at: u64) -> Option<usize> {
        self.stretches.iter().rev().find(|it| it.from <= at)?.of(side).0
    }

    /// Requests of a side that something is known of, and how many of them failed.
    fn tally(&self, side: Half, from: u64, to: u64, known: &[Known<'_>]) -> Option<Tally> {
        let (mut total, mut errors) = (0_u128, 0_u128);
        for (stretch, lasted) in self.within(from, to) {
            let (server, share) = stretch.of(side);
            let Some(known) = server
                .and_then(|it| known.get(it))
                .filter(|it| it.version.instrumented)
            else {
                continue;
            };
            let units = lasted.saturating_mul(u128::from(share));
            total = total.saturating_add(units);
            errors =
                errors.saturating_add(units.saturating_mul(u128::from(known.version.errors.as_hundredths())));
        }
        let tally = Tally {
            total: self.count(total, PER_REQUEST),
            errors: self.count(errors, PER_ERROR),
        };
        (tally.total > 0).then_some(tally)
    }

    /// What a source would know of the canary's requests within `from..to`, and of the primary's.
    pub(super) fn counts(&self, from: u64, to: u64, known: &[Known<'_>]) -> Sample {
        match self.tally(Half::Canary, from, to, known) {
            Some(canary) => Sample::Counts {
                canary,
                primary: self.tally(Half::Primary, from, to, known),
            },
            None => Sample::Nothing(Nothing::NoData),
        }
    }

    /// How long they took, in milliseconds, by `bounds`.
    pub(super) fn durations(&self, from: u64, to: u64, known: &[Known<'_>], bounds: &[(f64, u64)]) -> Sample {
        let of = |side| {
            let total = self.tally(side, from, to, known)?.total;
            let mut sums = alloc::vec![0_u128; bounds.len()];
            for (stretch, lasted) in self.within(from, to) {
                let (server, share) = stretch.of(side);
                let Some(known) = server
                    .and_then(|it| known.get(it))
                    .filter(|it| it.version.instrumented)
                else {
                    continue;
                };
                let units = lasted.saturating_mul(u128::from(share));
                for (sum, faster) in sums.iter_mut().zip(&known.faster) {
                    *sum = sum.saturating_add(units.saturating_mul(u128::from(*faster)));
                }
            }
            // Rounded up, so that a quantile that lies on a bound is found there.
            let upper = |sum: u128| {
                let below = self.count(sum, PER_MILLIONTH);
                let exact = u128::from(below).saturating_mul(PER_MILLIONTH)
                    == sum.saturating_mul(u128::from(self.rate));
                if exact { below } else { below.saturating_add(1) }.min(total)
            };
            let buckets = bounds
                .iter()
                .zip(sums)
                .map(|((bound, _), sum)| (*bound, upper(sum)));
            Histogram::new(buckets.chain([(f64::INFINITY, total)]).collect()).ok()
        };
        match of(Half::Canary) {
            Some(canary) => Sample::Histogram {
                canary,
                primary: of(Half::Primary),
            },
            None => Sample::Nothing(Nothing::NoData),
        }
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
            sum.saturating_add(lasted.saturating_mul(u128::from(canary.saturating_add(primary))))
        });
        self.count(units, PER_REQUEST)
    }

    /// What users saw until `to`.
    pub(super) fn users(&self, to: u64, known: &[Known<'_>]) -> Users {
        let (mut canary, mut copied, mut lost, mut errors) = (0_u128, 0_u128, 0_u128, 0_u128);
        let mut served = alloc::vec![0_u128; known.len()];
        for (stretch, lasted) in self.within(0, to) {
            let to_canary = lasted.saturating_mul(u128::from(stretch.share));
            let to_primary = lasted.saturating_mul(u128::from(WHOLE.saturating_sub(stretch.share)));
            canary = canary.saturating_add(to_canary);
            copied = copied.saturating_add(lasted.saturating_mul(u128::from(stretch.copied)));
            for (server, units) in [(stretch.primary, to_primary), (stretch.canary, to_canary)] {
                let Some((sum, known)) = server.and_then(|it| Some((served.get_mut(it)?, known.get(it)?)))
                else {
                    lost = lost.saturating_add(units);
                    continue;
                };
                *sum = sum.saturating_add(units);
                let failed = units.saturating_mul(u128::from(known.version.errors.as_hundredths()));
                errors = errors.saturating_add(failed);
            }
        }
        let requests = self.count(u128::from(to).saturating_mul(u128::from(WHOLE)), PER_REQUEST);
        let canary = self.count(canary, PER_REQUEST);
        let by_revision = known
            .iter()
            .zip(served)
            .filter(|(_, units)| *units > 0)
            .map(|(known, units)| Served {
                revision: known.revision.clone(),
                requests: self.count(units, PER_REQUEST),
                errors: self.count(
                    units.saturating_mul(u128::from(known.version.errors.as_hundredths())),
                    PER_ERROR,
                ),
            });
        Users {
            requests,
            primary: requests.saturating_sub(canary),
            canary,
            copied: self.count(copied, PER_REQUEST),
            errors: self.count(errors, PER_ERROR),
            lost: self.count(lost, PER_REQUEST),
            by_revision: by_revision.collect(),
        }
    }

    fn count(&self, units: u128, per: u128) -> u64 {
        let units = units.saturating_mul(u128::from(self.rate));
        // Divisions of 64 bits are many times faster, and nearly everything fits.
        match (u64::try_from(units), u64::try_from(per)) {
            (Ok(units), Ok(per)) => units.checked_div(per).unwrap_or(0),
            _ => u64::try_from(units.checked_div(per).unwrap_or(0)).unwrap_or(u64::MAX),
        }
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
