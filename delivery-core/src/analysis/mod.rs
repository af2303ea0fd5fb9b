//! One round of analysis: every metric is judged and reported, not only the first that fails.
//!
//! A judge is a pure function of its parameters, what it remembers ([`Memory`], saved with the run) and the round's
//! [`Sample`]. What is not known is [`Sample::Nothing`], and nothing is never good: it makes a round
//! [`Verdict::Inconclusive`], and what that means is the plan's [`Budget`].

mod baseline;
mod dispersion;
mod histogram;
mod interval;
mod mann_whitney;
mod range;
mod sample;
pub mod sequential;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::baseline::Baseline;
pub use self::dispersion::Dispersion;
pub use self::histogram::Histogram;
pub use self::interval::Interval;
pub use self::mann_whitney::{Class, Direction, MannWhitney, Shift};
pub use self::range::Range;
pub use self::sample::{Nothing, Sample, Tally, Window};

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
    /// The canary against the primary.
    Baseline(Baseline),
}

/// What a judge says, best first: merging verdicts is taking the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Good enough to go on.
    Pass,
    /// Nothing that could be judged.
    Inconclusive,
    /// Out of bounds.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
        })
    }
}

/// What a judge keeps between rounds, saved with the run. Its owner alone knows what the numbers mean.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory(pub Vec<f64>);

/// What one metric said in one round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// The metric's name.
    pub metric: String,
    /// What the judge said.
    pub verdict: Verdict,
    /// The number that was judged, where there was one. Unit: the metric's.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub value: Option<f64>,
    /// What it was held against, or why it could not be judged, in words: `at least 99`, `no data`.
    pub against: String,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            metric,
            verdict,
            value,
            against,
        } = self;
        match (verdict, value) {
            (Verdict::Inconclusive, _) => write!(f, "{metric}: {against}"),
            (Verdict::Pass | Verdict::Fail, Some(value)) => {
                let not = if *verdict == Verdict::Pass { "" } else { ", wanted" };
                write!(f, "{metric} {}{not} {against}", Rounded(*value))
            }
            (Verdict::Pass | Verdict::Fail, None) => write!(f, "{metric} {verdict}: {against}"),
        }
    }
}

/// A number as a person reads it: at most three decimals, unless that would hide it.
struct Rounded(f64);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", self.0);
        let short = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            &text
        };
        match short {
            "0" | "-0" => write!(f, "{}", self.0),
            short => f.write_str(short),
        }
    }
}

/// How much may go wrong before the rollout is rolled back, each kind counted apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Failed checks of the whole run, never forgiven by a good one: Flagger's `threshold`. At least 1.
    pub failed: u32,
    /// Failed checks in a row. None: no limit of its own.
    pub consecutive: Option<u32>,
    /// Checks without usable data. None: no limit of their own.
    pub inconclusive: Option<u32>,
    /// Checks in which a metric source could not be reached or used. None: no limit of their own.
    pub errors: Option<u32>,
    /// What a round without usable data means.
    pub nothing: OnNothing,
    /// When an exhausted budget is acted upon.
    pub act: Act,
}

/// What a round without usable data means. Whatever it is, the rollout does not advance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnNothing {
    /// It is a failed check, as in Flagger.
    #[default]
    Fail,
    /// The weight is held and the round repeated; only the budget's `inconclusive` and `errors` limit how often.
    Hold,
}

/// When an exhausted budget is acted upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Act {
    /// In the same moment.
    #[default]
    AtOnce,
    /// One interval after the check that exhausted it, as in Flagger.
    NextInterval,
}

/// What has gone wrong in a run so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Checks {
    /// Failed checks of the whole run.
    pub failed: u32,
    /// Failed checks since the last good one.
    pub consecutive: u32,
    /// Checks without usable data.
    pub inconclusive: u32,
    /// Checks in which a metric source could not be reached or used.
    pub errors: u32,
}

impl Checks {
    /// These checks and one that passed.
    #[must_use]
    pub const fn passed(self) -> Self {
        Self {
            consecutive: 0,
            ..self
        }
    }

    /// These checks and one that failed.
    #[must_use]
    pub const fn failed(self) -> Self {
        Self {
            failed: self.failed.saturating_add(1),
            consecutive: self.consecutive.saturating_add(1),
            ..self
        }
    }

    /// These checks and one without usable data; `error` when a source was at fault.
    #[must_use]
    pub const fn inconclusive(self, error: bool, budget: &Budget) -> Self {
        let counted = match (budget.nothing, error) {
            (OnNothing::Fail, _) => self.failed(),
            (OnNothing::Hold, _) => self,
        };
        if error {
            Self {
                errors: counted.errors.saturating_add(1),
                ..counted
            }
        } else {
            Self {
                inconclusive: counted.inconclusive.saturating_add(1),
                ..counted
            }
        }
    }

    /// Which limit is reached, if any: its name in the spec, and the limit.
    pub fn exhausted(self, budget: &Budget) -> Option<(&'static str, u32)> {
        [
            ("threshold", self.failed, Some(budget.failed)),
            ("consecutive", self.consecutive, budget.consecutive),
            ("inconclusive", self.inconclusive, budget.inconclusive),
            ("errors", self.errors, budget.errors),
        ]
        .into_iter()
        .find_map(|(name, count, limit)| limit.filter(|limit| count >= *limit).map(|limit| (name, limit)))
    }
}

/// One round: every metric judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// The worst verdict of all.
    pub verdict: Verdict,
    /// What each metric said, in the plan's order.
    pub evidence: Vec<Evidence>,
    /// Whether a source was at fault where a metric could not be judged.
    pub error: bool,
    /// What the judges will remember.
    pub memory: BTreeMap<String, Memory>,
}

/// Judges a round. A metric without a sample has said nothing.
pub fn judge(
    metrics: &[Metric],
    samples: &BTreeMap<String, Sample>,
    memory: &BTreeMap<String, Memory>,
) -> Round {
    let mut round = Round {
        verdict: Verdict::Pass,
        evidence: Vec::with_capacity(metrics.len()),
        error: false,
        memory: memory.clone(),
    };
    for metric in metrics {
        let sample = samples
            .get(&metric.name)
            .unwrap_or(&Sample::Nothing(Nothing::NoAnswer));
        let judged = metric.judge_one(sample);
        if let Judged::Nothing(nothing) = &judged {
            round.error |= nothing.is_error();
        }
        let evidence = judged.evidence(metric.name.clone());
        round.verdict = round.verdict.max(evidence.verdict);
        round.evidence.push(evidence);
    }
    round
}

impl Metric {
    fn judge_one(&self, sample: &Sample) -> Judged {
        if let Some(total) = sample.canary_total()
            && total < self.min_sample
        {
            return Judged::Nothing(Nothing::TooFew {
                seen: total,
                needed: self.min_sample,
            });
        }
        match &self.judge {
            Judge::Range(range) => range.judge(sample),
            Judge::Baseline(baseline) => baseline.judge(sample),
        }
    }
}

/// What a judge made of a sample.
enum Judged {
    Number { value: f64, good: bool, against: String },
    Nothing(Nothing),
}

impl Judged {
    fn evidence(self, metric: String) -> Evidence {
        match self {
            Self::Number { value, good, against } => {
                let verdict = if good { Verdict::Pass } else { Verdict::Fail };
                Evidence {
                    metric,
                    verdict,
                    value: Some(value),
                    against,
                }
            }
            Self::Nothing(nothing) => Evidence {
                metric,
                verdict: Verdict::Inconclusive,
                value: None,
                against: format!("{nothing}"),
            },
        }
    }
}

/// JSON has no infinities; they are stored as text so that evidence survives a restart unchanged.
mod number {
    use alloc::string::String;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Finite(f64),
        Text(String),
    }

    #[allow(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &Option<f64>, out: S) -> Result<S::Ok, S::Error> {
        let text = |it: &str| Stored::Text(String::from(it));
        value
            .map(|it| match it {
                it if it.is_nan() => text("NaN"),
                it if it.is_infinite() => text(if it > 0.0 { "+Inf" } else { "-Inf" }),
                it => Stored::Finite(it),
            })
            .serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        let Some(stored) = Option::<Stored>::deserialize(from)? else {
            return Ok(None);
        };
        Ok(Some(match stored {
            Stored::Finite(it) => it,
            Stored::Text(it) => match it.as_str() {
                "NaN" => f64::NAN,
                "+Inf" => f64::INFINITY,
                "-Inf" => f64::NEG_INFINITY,
                _ => return Err(D::Error::custom("expected a number, NaN, +Inf or -Inf")),
            },
        }))
    }
}

#[cfg(test)]
mod tests;
