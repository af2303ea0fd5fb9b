//! Why a rollout waits, moves or ends.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::analysis::Evidence;
use crate::plan::GateKind;
use crate::revision::Revision;
use crate::weight::Weight;

/// One of the two sides between which traffic is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// The side that serves when nothing is rolled out.
    Primary,
    /// The side with the new revision.
    Canary,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Canary => "canary",
        })
    }
}

/// Which rule decided, and on what evidence. Stored with the state, so its text form is part of that promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Reason {
    // Why it waits.
    /// The primary runs what is wanted.
    NothingToDo,
    /// Nobody could tell which revision is wanted.
    TargetUnknown,
    /// The wanted revision was refused; another one, or the command `retry`, goes on.
    Refused,
    /// A side was not observed ready.
    NotReady {
        /// The side.
        side: Side,
    },
    /// The wanted routing was not observed in force.
    TrafficNotInForce,
    /// The next decision is due later.
    NotDue,
    /// A command paused the rollout.
    Paused,
    /// A step of the plan waits for the command `resume`.
    UntilResumed,
    /// Neither side could take the traffic.
    NoSideServes,

    // Why it moved.
    /// A new revision is wanted.
    NewRevision,
    /// Another revision is wanted since the run began.
    NewerRevision {
        /// That revision.
        newer: Revision,
    },
    /// The promoted revision is wanted again, so there is nothing left to roll out.
    Withdrawn,
    /// A side was observed ready.
    Ready {
        /// The side.
        side: Side,
    },
    /// The wanted routing was observed in force.
    InForce,
    /// The routing that was in force is not any more.
    Drifted,
    /// None of the canary's pods takes requests: the primary gets all of them until the canary is ready again.
    Withheld,
    /// A pause is over.
    StepDone,
    /// A round was good.
    RoundPassed {
        /// What each metric said.
        evidence: Vec<Evidence>,
        /// How many metrics more said something that is left out.
        #[serde(default, skip_serializing_if = "is_none")]
        more: usize,
    },
    /// A round was bad.
    RoundFailed {
        /// What each metric said.
        evidence: Vec<Evidence>,
        /// How many metrics more said something that is left out.
        #[serde(default, skip_serializing_if = "is_none")]
        more: usize,
    },
    /// A round had nothing to judge.
    RoundInconclusive {
        /// What each metric said.
        evidence: Vec<Evidence>,
        /// How many metrics more said something that is left out.
        #[serde(default, skip_serializing_if = "is_none")]
        more: usize,
    },
    /// A round was suspicious: the weight is held.
    RoundSuspect {
        /// What each metric said.
        evidence: Vec<Evidence>,
        /// How many metrics more said something that is left out.
        #[serde(default, skip_serializing_if = "is_none")]
        more: usize,
    },
    /// Sequential judges looked between two rounds, and do not convict.
    Looked {
        /// What each of their metrics said.
        evidence: Vec<Evidence>,
        /// How many metrics more said something that is left out.
        #[serde(default, skip_serializing_if = "is_none")]
        more: usize,
    },
    /// The gates of kind `rollback` were asked while the run waits, and none of them wants one.
    NoRollbackAsked,
    /// The clock was set back: what had been noted for later than now is noted for now.
    ClockSetBack,
    /// Every judge confirmed the revision: it is promoted early.
    Confirmed {
        /// What each metric said.
        evidence: Vec<Evidence>,
        /// How many metrics more said something that is left out.
        #[serde(default, skip_serializing_if = "is_none")]
        more: usize,
    },
    /// There is enough evidence that the revision is bad.
    Convicted {
        /// The metric with most of it.
        metric: String,
        /// What each metric said.
        evidence: Vec<Evidence>,
        /// How many metrics more said something that is left out.
        #[serde(default, skip_serializing_if = "is_none")]
        more: usize,
    },
    /// A gate approved.
    Approved {
        /// The gate's kind.
        kind: GateKind,
        /// The gate's name.
        gate: String,
    },
    /// A gate did not approve.
    Denied {
        /// The gate's kind.
        kind: GateKind,
        /// The gate's name.
        gate: String,
        /// What it said, or why it could not be asked.
        said: String,
    },
    /// A gate did not approve in time, and its default counts.
    GateDeadline {
        /// The gate's kind.
        kind: GateKind,
        /// The gate's name.
        gate: String,
        /// Whether the default is to go on.
        approved: bool,
    },
    /// A limit of the failure budget is reached.
    BudgetExhausted {
        /// Which limit, as it is written in a spec.
        limit: String,
        /// How much it allows.
        allowed: u32,
        /// What the round that exhausted it said.
        evidence: Vec<Evidence>,
        /// How many metrics more said something that is left out.
        #[serde(default, skip_serializing_if = "is_none")]
        more: usize,
    },
    /// A gate of kind `rollback` asked for a rollback.
    RollbackAsked {
        /// The gate's name.
        gate: String,
    },
    /// A side was not ready for longer than the plan's deadline.
    DeadlineExceeded {
        /// The side.
        side: Side,
    },
    /// The primary did not become ready on the new revision: the canary serves.
    PromotionFailed,
    /// The plan was changed while it ran.
    PlanChanged,
    /// Traffic is back at the primary.
    TrafficBack,
    /// The primary serves for the first time.
    Bootstrapped,
    /// The revision was promoted.
    Promoted,
    /// Somebody gave a command.
    Commanded {
        /// What was commanded.
        order: String,
        /// Who gave it.
        actor: String,
        /// Why it had no effect, if so.
        ignored: Option<String>,
    },
}

impl Reason {
    /// What the metrics said, where the reason is about a round.
    pub fn evidence(&self) -> &[Evidence] {
        if let Self::RoundPassed { evidence, .. }
        | Self::RoundFailed { evidence, .. }
        | Self::RoundInconclusive { evidence, .. }
        | Self::RoundSuspect { evidence, .. }
        | Self::Looked { evidence, .. }
        | Self::Confirmed { evidence, .. }
        | Self::Convicted { evidence, .. }
        | Self::BudgetExhausted { evidence, .. } = self
        {
            evidence
        } else {
            &[]
        }
    }

    /// The most metrics whose evidence is kept in a state as a reason. The worst are; how many more there were is kept too.
    pub const METRICS: usize = 8;

    /// The reason as it is kept in a state.
    pub(super) fn kept(mut self) -> Self {
        if let Self::RoundPassed { evidence, more }
        | Self::RoundFailed { evidence, more }
        | Self::RoundInconclusive { evidence, more }
        | Self::RoundSuspect { evidence, more }
        | Self::Looked { evidence, more }
        | Self::Confirmed { evidence, more }
        | Self::Convicted { evidence, more, .. }
        | Self::BudgetExhausted { evidence, more, .. } = &mut self
            && evidence.len() > Self::METRICS
        {
            let (shown, left) = worst(evidence);
            *evidence = shown.into_iter().cloned().collect();
            *more = more.saturating_add(left);
        }
        self
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToDo => f.write_str("the primary runs what is wanted"),
            Self::TargetUnknown => f.write_str("which revision is wanted is not known"),
            Self::Refused => f.write_str("this revision was refused"),
            Self::NotReady { side } => write!(f, "the {side} is not ready"),
            Self::TrafficNotInForce => f.write_str("the wanted routing is not in force yet"),
            Self::NotDue => f.write_str("the next check is not due yet"),
            Self::Paused => f.write_str("paused"),
            Self::UntilResumed => f.write_str("paused until resumed"),
            Self::NoSideServes => f.write_str("neither side can take the traffic"),
            Self::NewRevision => f.write_str("new revision"),
            Self::NewerRevision { newer } => write!(f, "a newer revision is wanted: {newer}"),
            Self::Withdrawn => f.write_str("the promoted revision is wanted again"),
            Self::Ready { side } => write!(f, "the {side} is ready"),
            Self::InForce => f.write_str("the wanted routing is in force"),
            Self::Drifted => f.write_str("the routing was changed by somebody else"),
            Self::Withheld => f.write_str("the canary serves nothing: its traffic waits at the primary"),
            Self::StepDone => f.write_str("the pause is over"),
            Self::RoundPassed { evidence, more } => listed(f, "checks passed", evidence, *more),
            Self::RoundFailed { evidence, more } => listed(f, "checks failed", evidence, *more),
            Self::RoundInconclusive { evidence, more } => listed(f, "nothing to judge", evidence, *more),
            Self::RoundSuspect { evidence, more } => {
                listed(f, "suspicious, the weight is held", evidence, *more)
            }
            Self::Looked { evidence, more } => listed(f, "looked", evidence, *more),
            Self::Confirmed { evidence, more } => {
                listed(f, "good beyond doubt, promoted early", evidence, *more)
            }
            Self::Convicted {
                metric,
                evidence,
                more,
            } => {
                write!(f, "convicted by {metric}")?;
                listed(f, "", evidence, *more)
            }
            Self::Approved { kind, gate } => write!(f, "{kind} {gate} approved"),
            Self::Denied { kind, gate, said } if said.is_empty() => write!(f, "{kind} {gate} denied"),
            Self::Denied { kind, gate, said } => write!(f, "{kind} {gate} denied: {said}"),
            Self::GateDeadline { kind, gate, approved } => {
                let counts = if *approved { "approved" } else { "rejected" };
                write!(f, "{kind} {gate} gave no answer in time: {counts} by default")
            }
            Self::BudgetExhausted {
                limit,
                allowed,
                evidence,
                more,
            } => {
                write!(f, "{limit} {allowed} reached")?;
                listed(f, "", evidence, *more)
            }
            Self::NoRollbackAsked => f.write_str("no gate asks for a rollback"),
            Self::ClockSetBack => f.write_str("the clock was set back"),
            Self::RollbackAsked { gate } => write!(f, "rollback {gate} asked for a rollback"),
            Self::DeadlineExceeded { side } => write!(f, "the {side} was not ready in time"),
            Self::PromotionFailed => {
                f.write_str("promotion failed, primary not ready in time: the canary serves")
            }
            Self::PlanChanged => f.write_str("the plan was changed"),
            Self::TrafficBack => f.write_str("all traffic is back at the primary"),
            Self::Bootstrapped => f.write_str("the primary serves"),
            Self::Promoted => f.write_str("promotion completed"),
            Self::Commanded {
                order,
                actor,
                ignored: None,
            } => write!(f, "{actor}: {order}"),
            Self::Commanded {
                order,
                actor,
                ignored: Some(why),
            } => write!(f, "{actor}: {order}, ignored: {why}"),
        }
    }
}

/// What was said, and of more than [`Reason::METRICS`] metrics the worst of it.
fn listed(f: &mut fmt::Formatter<'_>, what: &str, evidence: &[Evidence], more: usize) -> fmt::Result {
    f.write_str(what)?;
    let (shown, left) = worst(evidence);
    for (at, evidence) in shown.into_iter().enumerate() {
        f.write_str(if at == 0 { ": " } else { "; " })?;
        write!(f, "{evidence}")?;
    }
    match left.saturating_add(more) {
        0 => Ok(()),
        more => write!(f, "; and {more} more"),
    }
}

/// The evidence that is shown, and how much more there is. Where not all of it is shown, the worst comes first.
pub(super) fn worst(evidence: &[Evidence]) -> (Vec<&Evidence>, usize) {
    let mut shown: Vec<&Evidence> = evidence.iter().collect();
    let left = shown.len().saturating_sub(Reason::METRICS);
    if left > 0 {
        shown.sort_by_key(|it| core::cmp::Reverse(it.verdict));
        shown.truncate(Reason::METRICS);
    }
    (shown, left)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_none(more: &usize) -> bool {
    *more == 0
}

/// How urgent a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// As planned.
    Info,
    /// Somebody may want to look.
    Warn,
    /// Something failed.
    Error,
}

/// What happened, for people and programs: one per transition that shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Notice {
    /// Stable: the same when it is sent again. Unique within the life of a state.
    pub id: u64,
    /// When it happened.
    pub at: crate::time::Timestamp,
    /// The revision that it is about, if any.
    pub revision: Option<Revision>,
    /// The phase after it.
    pub phase: super::Phase,
    /// The canary's share after it.
    pub weight: Weight,
    /// How soon somebody should look at it.
    pub severity: Severity,
    /// Why it happened.
    pub reason: Reason,
}
