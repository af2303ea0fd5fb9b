//! The capital of a sequential test, and what a round makes of it.

use super::Tally;
use super::interval::{self, GRID, Interval};

/// How many bets a test makes.
pub const BETS: usize = 8;

/// A bet: the odds of an error are so many times the null's.
struct Bet {
    odds: f64,
    log: f64,
}

const ODDS: [Bet; BETS] = [
    Bet {
        odds: 1.1,
        log: 0.095_310_179_804_324_93,
    },
    Bet {
        odds: 1.5,
        log: 0.405_465_108_108_164_4,
    },
    Bet {
        odds: 2.0,
        log: core::f64::consts::LN_2,
    },
    Bet {
        odds: 3.0,
        log: 1.098_612_288_668_109_8,
    },
    Bet {
        odds: 5.0,
        log: 1.609_437_912_434_100_3,
    },
    Bet {
        odds: 10.0,
        log: core::f64::consts::LN_10,
    },
    Bet {
        odds: 30.0,
        log: 3.401_197_381_662_155_5,
    },
    Bet {
        odds: 300.0,
        log: 5.703_782_474_656_201,
    },
];
/// The logarithm of the number of bets.
const LOG_BETS: f64 = 2.079_441_541_679_835_7;
/// One round, as bets and the interval see it.
pub(super) struct Trial {
    /// How many trials were marked.
    pub(super) marked: f64,
    /// How many trials there were.
    pub(super) of: f64,
    /// The probability of a mark at the edge of the null.
    pub(super) null: f64,
    /// The probability of a mark when both sides are alike, or the canary is exactly at its objective.
    pub(super) share: f64,
}

impl Trial {
    /// The logarithm of the likelihood of odds `odds` times those of `at`, over that of `at`.
    fn log_likelihood(&self, at: f64, odds: f64, log_odds: f64) -> f64 {
        self.marked * log_odds - self.of * libm::log1p(at * (odds - 1.0))
    }

    /// How much the logarithm of the likeliest bet grows; not at all where every bet loses.
    pub(super) fn best_growth(&self) -> f64 {
        let grows = ODDS
            .iter()
            .map(|it| self.log_likelihood(self.null, it.odds, it.log));
        // NaN, without a request on either side, is no growth.
        grows.fold(0.0, f64::max)
    }
}

/// What a sequential test remembers: its capital, what it was made of, and all it has counted. Some forty numbers,
/// without any allocation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wealth {
    pub(super) rounds: u32,
    pub(super) dispersion: f64,
    pub(super) log_reserve: f64,
    pub(super) log_bets: [f64; BETS],
    pub(super) log_e: f64,
    pub(super) best: f64,
    pub(super) rates: [f64; GRID],
    pub(super) canary: Tally,
    pub(super) primary: Tally,
}

impl Wealth {
    /// A test's capital before its first round, for errors that come in bursts of this size; at least 1, which is
    /// independent errors. See [`Dispersion`](super::Dispersion).
    pub const fn new(dispersion: f64) -> Self {
        Self {
            rounds: 0,
            // Also of NaN.
            dispersion: if dispersion > 1.0 { dispersion } else { 1.0 },
            log_reserve: 0.0,
            log_bets: [f64::NEG_INFINITY; BETS],
            log_e: 0.0,
            best: 0.0,
            rates: [0.0; GRID],
            canary: Tally { total: 0, errors: 0 },
            primary: Tally { total: 0, errors: 0 },
        }
    }

    /// How many rounds were taken into account.
    pub const fn rounds(&self) -> u32 {
        self.rounds
    }

    /// The size of the bursts that errors come in, as far as the test believes.
    pub const fn dispersion(&self) -> f64 {
        self.dispersion
    }

    /// The logarithm of the evidence.
    pub const fn log_e(&self) -> f64 {
        self.log_e
    }

    /// The logarithm of the part of the capital that was not staked yet.
    pub const fn log_reserve(&self) -> f64 {
        self.log_reserve
    }

    /// The logarithms of what each bet is worth; −∞ before the first round.
    pub const fn log_bets(&self) -> &[f64; BETS] {
        &self.log_bets
    }

    /// How likely so much evidence or more is while the claim is true, at most: valid at any moment.
    pub fn p_value(&self) -> f64 {
        libm::exp(-self.best)
    }

    /// What the canary has answered in all rounds.
    pub const fn canary(&self) -> Tally {
        self.canary
    }

    /// What the primary has answered in all rounds; nothing where it is not compared with.
    pub const fn primary(&self) -> Tally {
        self.primary
    }

    /// How many times worse the canary is, with an error of at most `alpha`: the rate over the primary's of
    /// [`Null::Compare`](super::sequential::Null::Compare), the odds over the allowed ones of
    /// [`Null::Objective`](super::sequential::Null::Objective).
    pub fn interval(&self, alpha: f64) -> Interval {
        interval::interval(&self.rates, alpha)
    }

    /// The likeliest of these; none while every one is as likely as another, or beyond 1/16 and 256.
    pub fn estimate(&self) -> Option<f64> {
        interval::estimate(&self.rates)
    }

    /// One round; `cap` is how much the logarithm of the evidence may grow in it.
    pub(super) fn round(&mut self, trial: &Trial, cap: f64) {
        self.rounds = self.rounds.saturating_add(1);
        let t = f64::from(self.rounds);
        let stake = self.log_reserve - libm::log(t + 1.0) - LOG_BETS;
        for (bet, Bet { odds, log }) in self.log_bets.iter_mut().zip(&ODDS) {
            *bet = log_add(*bet, stake) + trial.log_likelihood(trial.null, *odds, *log) / self.dispersion;
        }
        self.log_reserve += libm::log(t / (t + 1.0));
        let e = log_sum(self.log_bets.iter().chain([&self.log_reserve]));
        let most = self.log_e.max(0.0) + cap;
        if e > most {
            // As a difference to `e` first: the largest part keeps its digits, however large it was.
            for part in self.log_bets.iter_mut().chain([&mut self.log_reserve]) {
                *part = (*part - e) + most;
            }
            self.log_e = most;
        } else {
            self.log_e = e;
        }
        self.best = self.best.max(self.log_e);
        for (rate, (odds, log)) in self.rates.iter_mut().zip(interval::points()) {
            *rate += trial.log_likelihood(trial.share, odds, log) / self.dispersion;
        }
    }
}

/// `ln(exp(a) + exp(b))`; either may be −∞.
fn log_add(a: f64, b: f64) -> f64 {
    let (large, small) = if a < b { (b, a) } else { (a, b) };
    if small.is_infinite() {
        return large;
    }
    large + libm::log1p(libm::exp(small - large))
}

/// The logarithm of the sum of the numbers whose logarithms these are.
pub(super) fn log_sum<'a>(logs: impl Iterator<Item = &'a f64> + Clone) -> f64 {
    let largest = logs.clone().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() {
        return largest;
    }
    largest + libm::log(logs.fold(0.0, |sum, it| sum + libm::exp(*it - largest)))
}
