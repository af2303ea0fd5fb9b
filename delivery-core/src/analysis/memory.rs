//! What judges keep between rounds.

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::sequential::{BETS, Null, Wealth};
use super::{Dispersion, Tally};
use crate::time::Timestamp;

/// What a judge keeps between rounds, saved with the run: it belongs to the whole run, whatever its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Memory {
    /// Of a sequential test.
    Account(Box<Account>),
    /// Of a judge that looks once, at the end.
    Series(Series),
    /// Of a judge that goes on with what the primary did before it lost its traffic.
    Past(Past),
    /// Of none of these judges; kept as it is.
    Numbers(Vec<f64>),
}

/// What a sequential test remembers. Less than 2 KiB as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// What it tests. Another claim begins a new account.
    pub null: Null,
    /// Until when everything was counted; the next window begins there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How many errors of the past its dispersion comes from; none when it was given, or nothing is known of the past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_errors: Option<u64>,
    /// The test's capital.
    pub wealth: Wealth,
}

impl Account {
    /// An account before its first round, for errors in bursts of a given size.
    pub fn new(null: Null, dispersion: f64) -> Self {
        Self {
            null,
            until: None,
            history_errors: None,
            wealth: Wealth::new(dispersion),
        }
    }

    /// The same, with what the past says about the bursts.
    pub fn calibrated(null: Null, found: &Dispersion) -> Self {
        Self {
            history_errors: (found.windows > 0).then_some(found.errors),
            ..Self::new(null, found.value)
        }
    }
}

/// The points of both sides, one per round, and of more than [`Series::POINTS`] rounds the last so many.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The canary's.
    pub canary: Vec<f64>,
    /// The primary's.
    pub primary: Vec<f64>,
}

/// What the primary was, in the last rounds in which it had traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Past {
    /// One number per round, the newest last, at most [`Past::ROUNDS`].
    pub primary: Vec<f64>,
    /// When the newest was measured.
    pub until: Timestamp,
}

impl Past {
    /// How many rounds are kept.
    pub const ROUNDS: usize = 5;

    /// With one more round. A number that is not finite says nothing later.
    pub(super) fn with(past: Option<Self>, primary: f64, at: Timestamp) -> Option<Self> {
        if !primary.is_finite() {
            return past;
        }
        let mut rounds = past.map(|it| it.primary).unwrap_or_default();
        rounds.push(primary);
        let beyond = rounds.len().saturating_sub(Self::ROUNDS);
        rounds.drain(..beyond);
        Some(Self {
            primary: rounds,
            until: at,
        })
    }

    /// The number in the middle of all rounds; of two in the middle, their mean.
    pub(super) fn median(&self) -> Option<f64> {
        let mut sorted = self.primary.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        if sorted.len() % 2 == 1 {
            return Some(upper);
        }
        let lower = *sorted.get(middle.checked_sub(1)?)?;
        Some(lower + (upper - lower) / 2.0)
    }
}

impl Series {
    /// The most points a side that are remembered: of eight hours, one per minute.
    pub const POINTS: usize = 480;

    /// One more point of each side that has one.
    pub(super) fn push(&mut self, canary: f64, primary: Option<f64>) {
        for (side, point) in [(&mut self.canary, Some(canary)), (&mut self.primary, primary)] {
            side.extend(point);
            let beyond = side.len().saturating_sub(Self::POINTS);
            side.drain(..beyond);
        }
    }
}

/// The stored form: JSON has no −∞, which a bet is before its first stake.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored {
    rounds: u32,
    dispersion: f64,
    log_reserve: f64,
    log_bets: [Option<f64>; BETS],
    log_e: f64,
    best: f64,
    rates: [f64; 25],
    canary: [u64; 2],
    primary: [u64; 2],
}

impl Serialize for Wealth {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let tally = |it: Tally| [it.total, it.errors];
        Stored {
            rounds: self.rounds,
            dispersion: self.dispersion,
            log_reserve: self.log_reserve,
            log_bets: self.log_bets.map(|it| it.is_finite().then_some(it)),
            log_e: self.log_e,
            best: self.best,
            rates: self.rates,
            canary: tally(self.canary),
            primary: tally(self.primary),
        }
        .serialize(out)
    }
}

impl<'de> Deserialize<'de> for Wealth {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(from)?;
        let tally = |[total, errors]: [u64; 2]| Tally { total, errors };
        Ok(Self {
            rounds: stored.rounds,
            dispersion: stored.dispersion,
            log_reserve: stored.log_reserve,
            log_bets: stored.log_bets.map(|it| it.unwrap_or(f64::NEG_INFINITY)),
            log_e: stored.log_e,
            best: stored.best,
            rates: stored.rates,
            canary: tally(stored.canary),
            primary: tally(stored.primary),
        })
    }
}
