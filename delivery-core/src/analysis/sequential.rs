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

use serde::{Deserialize, Serialize};

use super::sample::float;
use super::wealth::Trial;
pub use super::wealth::{BETS, Wealth};
use super::{Nothing, Tally};

/// What reaches a bound up to rounding has reached it.
const ROUNDING: f64 = 1e-9;
/// The largest count: beyond it a float does not hold every whole number.
pub const LARGEST_COUNT: u64 = 1 << 53;

/// What a sequential test claims to be true until there is evidence against it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
            // With all requests on one side there is nothing to compare.
            Null::Compare(_) if !(weight > 0.0 && weight < 1.0) => return 0.0,
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
        trial.best_growth() / dispersion.max(1.0)
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
