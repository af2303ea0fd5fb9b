//! One round of analysis: every metric is judged and reported, not only the first that fails.
//!
//! A judge is a pure function of its parameters, what it remembers ([`Memory`], saved with the run) and the round's
//! [`Sample`]. What is not known is [`Sample::Nothing`], and nothing is never good: it makes a round
//! [`Verdict::Inconclusive`], and what that means is the plan's [`Budget`].
//!
//! Two kinds of judges differ in what a bad verdict means. Those that compare a number with a bound ([`Range`],
//! [`Baseline`]) cannot tell bad luck from a bad version, so that a round is only a failed check, of which the budget
//! allows some. A test that states its probability of a false alarm ([`Compare`], [`Objective`], [`MannWhitney`])
//! convicts, and a conviction ends the run at once.

mod baseline;
mod budget;
mod compare;
mod dispersion;
mod evidence;
mod histogram;
mod interval;
mod mann_whitney;
mod memory;
mod range;
mod round;
mod sample;
pub mod sequential;
mod terms;
mod wealth;

use alloc::string::String;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::baseline::Baseline;
pub use self::budget::{Act, Budget, Checks, OnNothing};
pub use self::compare::{Compare, Objective};
pub use self::dispersion::Dispersion;
pub use self::evidence::Evidence;
pub use self::histogram::Histogram;
pub use self::interval::Interval;
pub use self::mann_whitney::{Class, Direction, MannWhitney, Shift};
pub use self::memory::{Account, Memory, Past, Series};
pub use self::range::Range;
use self::round::Judged;
pub use self::round::{Due, Look, Round, judge};
pub use self::sample::{Nothing, Sample, Tally, Window};
pub use self::terms::{AfterHeld, Terms};

/// Something that is measured in every round, and who judges it.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// What it is called in plans, logs and reasons; unique in a plan.
    pub name: String,
    /// What the metric source asks for. Its own language, opaque here; none for a source that knows the name.
    pub query: Option<String>,
    /// How far a measurement looks back, at most to the moment at which the present weight was observed in force.
    pub window: Duration,
    /// Fewer requests than this on the canary (where the sample has counts) are too few to judge. 0 for no limit.
    pub min_sample: u64,
    /// Who judges.
    pub judge: Judge,
}

const fn default_quantile() -> f64 {
    0.99
}

/// Who judges a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Judge {
    /// A number within fixed bounds.
    Range(Range),
    /// The canary against the primary, by fixed bounds.
    Baseline(Baseline),
    /// Whether the canary has more errors than the primary, by a sequential test.
    Compare(Compare),
    /// Whether the canary misses an objective, by a sequential test.
    Objective(Objective),
    /// Whether two series differ, once at the end.
    MannWhitney(MannWhitney),
}

impl Judge {
    /// Whether it is a sequential test: it may look at any time, and every window of its own counts once.
    pub const fn is_sequential(&self) -> bool {
        match self {
            Self::Compare(_) | Self::Objective(_) => true,
            Self::Range(_) | Self::Baseline(_) | Self::MannWhitney(_) => false,
        }
    }

    /// Whether it holds the canary against the primary, and so needs to know both.
    pub const fn compares(&self) -> bool {
        match self {
            Self::Baseline(_) | Self::Compare(_) | Self::MannWhitney(_) => true,
            Self::Range(_) | Self::Objective(_) => false,
        }
    }
}

/// What a judge says, best first: merging verdicts is taking the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Neither good nor bad: it compares the canary with a primary that gets no traffic by plan.
    Abstains,
    /// Good beyond doubt: where the plan allows it, reason enough to promote early.
    Confirmed,
    /// Good enough to go on.
    Pass,
    /// Suspicious: the weight is held, and measuring goes on.
    Suspect,
    /// Nothing that could be judged.
    Inconclusive,
    /// Bad: out of bounds, or convicted by a test.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Abstains => "abstains",
            Self::Confirmed => "confirmed",
            Self::Pass => "pass",
            Self::Suspect => "suspect",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
        })
    }
}

#[cfg(test)]
mod tests;
