//! Sequential tests: a judge that may look as often as it likes, and is wrong about a good version with a probability
//! that was stated beforehand.
//!
//! A test bets against the statement that the canary is good (its *null*). Eight bets say how many times the null's the
//! odds of an error are; the capital that they make of a start of 1 is the *evidence* `e`. While the null is true the
//! mean of `e` is at most 1 whatever happens, so it ever reaches `1 / alpha` with a probability of at most `alpha`
//! (Ville 1939), after any number of looks. Every round stakes a fresh part of the reserve, so that a test that has seen
//! hours of good traffic is as awake as a new one (Shin, Ramdas, Rinaldo 2024).
//!
//! Only `ln`, `ln1p` and `exp` of libm are used, in a fixed order: the result is the same to the bit on every machine.

use core::fmt;

use super::interval::{self, GRID, Interval};
use super::sample::float;
use super::{Nothing, Tally};

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
/// What reaches a bound up to rounding has reached it.
const ROUNDING: f64 = 1e-9;
/// The largest count: beyond it a float does not hold every whole number.
pub const LARGEST_COUNT: u64 = 1 << 53;

/// What a sequential test claims to be true until there is evidence against it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Null {
    /// In every round the canary's odds of an error are at most so many times the primary's; at least 1. Rates and
    /// weights may change from round to round in any way: an outage that hits both sides cancels out.
    Compare(f64),
    /// Every request of the canary fails with at most this probability, above 0 and below 1, given the past.
    Objective(f64),
}

/// A sequential test of one metric: what it claims, and when it says that the claim is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    null: Null,
    alpha: f64,
    min_rounds: u32,
    hold: f64,
}

/// A parameter that no test can have.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{field}: {value} is out of range ({remedy})")]
pub struct BadTest {
    /// Which.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// What would be right.
    pub remedy: &'static str,
}

/// What a test says after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// Not enough evidence for anything.
    Continue,
    /// Enough evidence to wait for more.
    Suspect,
    /// The claim is wrong, up to the test's `alpha`.
    Fail,
}

impl Test {
    /// A test of `null` that is wrong with a probability of at most `alpha`, above 0 and at most 0.5; that convicts no
    /// sooner than after `min_rounds` rounds, at least 1; and that is suspicious from an evidence of `hold` on, at
    /// least 1.
    ///
    /// # Errors
    /// [`BadTest`]: the first parameter that is out of its range.
    pub fn new(null: Null, alpha: f64, min_rounds: u32, hold: f64) -> Result<Self, BadTest> {
        let bad = |field, value, remedy| Err(BadTest { field, value, remedy });
        // Written so that NaN is outside.
        match null {
            Null::Compare(ratio) if !(ratio >= 1.0 && ratio.is_finite()) => {
                return bad("ratio", ratio, "at least 1: 1.25 allows 25 % more errors");
            }
            Null::Objective(rate) if !(rate > 0.0 && rate < 1.0) => {
                return bad("maxErrorRate", rate, "a share above 0 and below 1");
            }
            Null::Compare(_) | Null::Objective(_) => {}
        }
        if !(alpha > 0.0 && alpha <= 0.5) {
            return bad(
                "alpha",
                alpha,
                "above 0 and at most 0.5: 0.01 is one false alarm in 100",
            );
        }
        if min_rounds == 0 {
            return bad("minRounds", 0.0, "at least 1; 2 lets no single odd round convict");
        }
        if !(hold >= 1.0 && hold.is_finite()) {
            return bad("hold", hold, "at least 1; 4 is usual");
        }
        Ok(Self {
            null,
            alpha,
            min_rounds,
            hold,
        })
    }

    /// What it claims.
    pub const fn null(&self) -> Null {
        self.null
    }

    /// The probability of a false alarm, at most.
    pub const fn alpha(&self) -> f64 {
        self.alpha
    }

    /// After how many rounds it convicts at the earliest.
    pub const fn min_rounds(&self) -> u32 {
        self.min_rounds
    }

    /// The logarithm of the evidence that convicts: `ln(1 / alpha)`.
    pub fn needed(&self) -> f64 {
        -libm::log(self.alpha)
    }

    /// Takes a round into account: what the canary and the primary answered in the same window, which lies inside one
    /// weight and overlaps no other round's.
    ///
    /// # Errors
    /// [`Nothing`], and `wealth` is as before: without a request on a side that is needed, with more errors than
    /// requests, with more than 2^53 requests.
    pub fn round(
        &self,
        wealth: &mut Wealth,
        canary: Tally,
        primary: Option<Tally>,
    ) -> Result<Finding, Nothing> {
        let trial = self.null.trial(canary, primary)?;
        wealth.round(&trial, self.needed() / f64::from(self.min_rounds));
        wealth.canary.add(canary);
        if let (Null::Compare(_), Some(primary)) = (self.null, primary) {
            wealth.primary.add(primary);
        }
        Ok(self.finding(wealth.log_e))
    }

    /// What follows from so much evidence.
    pub fn finding(&self, log_e: f64) -> Finding {
        finding(log_e, self.alpha, self.hold)
    }
}

/// What follows from so much evidence at so much `alpha`.
pub(super) fn finding(log_e: f64, alpha: f64, hold: f64) -> Finding {
    if log_e >= -libm::log(alpha) - ROUNDING {
        Finding::Fail
    } else if log_e >= libm::log(hold) {
        Finding::Suspect
    } else {
        Finding::Continue
    }
}

impl Null {
    /// The round as bets see it. Compare: given all errors of both sides, each is the canary's with a probability of
    /// at most `n1 r / (n0 + n1 r)`; Fisher's noncentral hypergeometric law is a sum of independent trials with that
    /// mean, and Hoeffding (1956) makes it no better for the bets than a binomial one.
    fn trial(self, canary: Tally, primary: Option<Tally>) -> Result<Trial, Nothing> {
        let canary = canary.usable()?;
        match self {
            Self::Objective(rate) => {
                let [total, errors] = canary.counts().ok_or(Nothing::NoData)?;
                Ok(Trial {
                    marked: errors,
                    of: total,
                    null: rate,
                    share: rate,
                })
            }
            Self::Compare(ratio) => {
                let primary = primary.map(Tally::usable).transpose()?;
                let [n1, x1] = canary.counts().ok_or(Nothing::NoData)?;
                let [n0, x0] = primary.and_then(Tally::counts).ok_or(Nothing::NoPrimary)?;
                Ok(Trial {
                    marked: x1,
                    of: x1 + x0,
                    null: n1 * ratio / (n0 + n1 * ratio),
                    share: n1 / (n1 + n0),
                })
            }
        }
    }
}

impl Tally {
    /// # Errors
    /// [`Nothing::Unusable`] when it cannot be true, or is too large to be exact.
    pub(super) fn usable(self) -> Result<Self, Nothing> {
        let wrong = |why: &str| Err(Nothing::Unusable(why.into()));
        if self.errors > self.total {
            wrong("more errors than requests")
        } else if self.total > LARGEST_COUNT {
            wrong("more than 2^53 requests")
        } else {
            Ok(self)
        }
    }

    fn counts(self) -> Option<[f64; 2]> {
        (self.total > 0).then(|| [float(self.total), float(self.errors)])
    }

    fn add(&mut self, more: Self) {
        self.total = self.total.saturating_add(more.total);
        self.errors = self.errors.saturating_add(more.errors);
    }
}

/// One round, as bets and the interval see it.
struct Trial {
    /// How many trials were marked.
    marked: f64,
    /// How many trials there were.
    of: f64,
    /// The probability of a mark at the edge of the null.
    null: f64,
    /// The probability of a mark when both sides are alike, or the canary is exactly at its objective.
    share: f64,
}

impl Trial {
    /// The logarithm of the likelihood of odds `odds` times those of `at`, over that of `at`.
    fn log_likelihood(&self, at: f64, odds: f64, log_odds: f64) -> f64 {
        self.marked * log_odds - self.of * libm::log1p(at * (odds - 1.0))
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
    /// [`Null::Compare`], the odds over the allowed ones of [`Null::Objective`].
    pub fn interval(&self, alpha: f64) -> Interval {
        interval::interval(&self.rates, alpha)
    }

    /// The likeliest of these; none while every one is as likely as another, or beyond 1/16 and 256.
    pub fn estimate(&self) -> Option<f64> {
        interval::estimate(&self.rates)
    }

    /// One round; `cap` is how much the logarithm of the evidence may grow in it.
    fn round(&mut self, trial: &Trial, cap: f64) {
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

/// The logarithm of the evidence of several tests together: the mean of theirs, weighted with their shares, which sum
/// to 1. It is evidence whatever the tests have to do with each other (Vovk, Wang 2021).
pub fn combined(tests: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let weighted = tests.map(|(share, log_e)| libm::log(share) + log_e);
    let largest = weighted.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() {
        return largest;
    }
    largest + libm::log(weighted.fold(0.0, |sum, it| sum + libm::exp(it - largest)))
}

impl Test {
    /// How much the logarithm of the evidence grows in a round, when the canary gets the share `weight` of `requests`
    /// requests and `canary` and `primary` are the shares that fail. A fresh stake needs `ln 16` more than the bound.
    pub fn growth(&self, requests: f64, weight: f64, canary: f64, primary: f64, dispersion: f64) -> f64 {
        let (n1, n0) = (requests * weight, requests * (1.0 - weight));
        let trial = match self.null {
            Null::Objective(rate) => Trial {
                marked: n1 * canary,
                of: n1,
                null: rate,
                share: rate,
            },
            Null::Compare(ratio) => {
                let marked = n1 * canary;
                Trial {
                    marked,
                    of: marked + n0 * primary,
                    null: n1 * ratio / (n0 + n1 * ratio),
                    share: weight,
                }
            }
        };
        let grows = ODDS
            .iter()
            .map(|it| trial.log_likelihood(trial.null, it.odds, it.log));
        // NaN, without a request on either side, is no growth.
        grows.fold(0.0, f64::max) / dispersion.max(1.0)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Continue => "continue",
            Self::Suspect => "suspect",
            Self::Fail => "fail",
        })
    }
}
