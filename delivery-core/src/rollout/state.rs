//! What is remembered of a rollout: small, plain data, saved before the world is touched.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::{fmt, mem};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::passing::Passing;
use super::reason::{Notice, Reason, Severity, Side};
use crate::analysis::{Checks, Evidence, Memory};
use crate::plan::{GateKind, Scale, Step};
use crate::port::Traffic;
use crate::revision::Revision;
use crate::time::Timestamp;
use crate::weight::Weight;

/// The state of one rollout target, from its first revision on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// How many transitions there were.
    pub sequence: u64,
    /// The revision that the primary runs; none before it was created.
    pub primary: Option<Revision>,
    /// What is going on.
    pub stage: Stage,
    /// Who paused it, if anybody did.
    pub paused: Option<String>,
    /// Since when a side is not ready.
    pub unready: Unready,
    /// The ids of the commands that were carried out, oldest first.
    pub commands: Vec<String>,
    /// Notices that were not sent yet, oldest first.
    pub outbox: Vec<Notice>,
    /// How many notices were given up because the outbox was full.
    pub dropped: u64,
}

/// Since when a side that should be ready is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unready {
    /// The primary.
    pub primary: Option<Passing>,
    /// The canary.
    pub canary: Option<Passing>,
}

/// What is going on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// The primary is created beside what serves now.
    Bootstrap(Bootstrap),
    /// Nothing is rolled out.
    Idle(Idle),
    /// A revision is on its way.
    Rollout(Run),
    /// Traffic goes back to the primary; nothing brings this run forward again.
    Retreat(Retreat),
}

/// The primary is created beside what serves now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bootstrap {
    /// The revision that it gets; none until one was observed.
    pub revision: Option<Revision>,
    /// When it began to be created, with this revision.
    pub entered: Timestamp,
    /// Whether it was observed ready, so that it gets the traffic.
    pub routed: bool,
    /// Whether it was reported that it takes too long.
    pub overdue: bool,
}

/// Nothing is rolled out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Idle {
    /// The primary serves; nothing was rolled out since, or what was has been withdrawn.
    Initialized,
    /// The last revision was promoted.
    Succeeded {
        /// What had gone wrong on the way.
        checks: Checks,
    },
    /// The last revision was not promoted, or the primary does not run on it.
    Failed {
        /// That revision, until another one is wanted or somebody retries.
        refused: Option<Revision>,
        /// Why it was not promoted.
        why: Reason,
        /// Who has the traffic: the canary after a promotion that failed.
        serving: Side,
        /// What had gone wrong.
        checks: Checks,
    },
}

/// A revision on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    /// The revision.
    pub revision: Revision,
    /// Since when it changes anything, pods or traffic; none before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    /// The plan that the run follows.
    pub plan: Revision,
    /// The index of the present step in that plan.
    pub at: usize,
    /// The present step.
    pub step: Step,
    /// When the present step was entered.
    pub entered: Timestamp,
    /// When the next decision is due; never in a pause without an end.
    pub due: Option<Timestamp>,
    /// When sequential judges look next, before the next decision is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<Timestamp>,
    /// How requests should be divided at the present step.
    pub traffic: Traffic,
    /// Whether it is withheld from a canary none of whose pods takes requests: until the canary was observed ready
    /// again, the primary gets everything.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub withheld: bool,
    /// How much of the present gate's deadline was seen passing; none: it began when the step was entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Passing>,
    /// When gates of kind `rollback` were asked last while the run waits, or else when the step was entered; none: the plan
    /// has none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarded: Option<Timestamp>,
    /// Since when the wanted routing was observed in force; none when it is not.
    pub steady: Option<Timestamp>,
    /// How many pods the canary should have; none before the first step that scales.
    pub scale: Option<Scale>,
    /// Whether the primary should run the revision.
    pub promoting: bool,
    /// Good rounds of the present step.
    pub rounds: u32,
    /// Rounds of analysis that were begun: Flagger's `iterations`. None in strategies that move weights.
    pub iterations: Option<u32>,
    /// How often the present gate was denied.
    pub denials: u32,
    /// Good rounds since it was denied last.
    pub rounds_since_denial: u32,
    /// Whether a command approved what is waited for.
    pub approved: bool,
    /// What has gone wrong.
    pub checks: Checks,
    /// What the last round said.
    pub evidence: Vec<Evidence>,
    /// What the judges remember, by metric.
    pub memory: BTreeMap<String, Memory>,
}

/// Traffic goes back to the primary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retreat {
    /// The revision that is given up.
    pub revision: Revision,
    /// How requests should be divided: as they were as long as the primary serves nothing.
    pub traffic: Traffic,
    /// Why it is given up.
    pub why: Reason,
    /// What comes after.
    pub end: End,
    /// What had gone wrong.
    pub checks: Checks,
}

/// What comes after a retreat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// The revision is refused.
    Failed,
    /// Whatever is wanted then.
    Superseded,
}

/// Where a rollout is, as Flagger names it, and one phase more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// The primary is being created.
    Initializing,
    /// The primary serves, and nothing was rolled out yet.
    Initialized,
    /// A gate `confirm-rollout` has not approved.
    Waiting,
    /// A new revision is being judged.
    Progressing,
    /// A gate `confirm-promotion` has not approved.
    WaitingPromotion,
    /// The primary takes the new revision.
    Promoting,
    /// All traffic is back at the primary, and the canary is about to go.
    Finalising,
    /// Traffic goes back to the primary because the revision failed. Flagger calls this `Progressing` still.
    RollingBack,
    /// The new revision was promoted.
    Succeeded,
    /// The new revision was not promoted.
    Failed,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Initializing => "Initializing",
            Self::Initialized => "Initialized",
            Self::Waiting => "Waiting",
            Self::Progressing => "Progressing",
            Self::WaitingPromotion => "WaitingPromotion",
            Self::Promoting => "Promoting",
            Self::Finalising => "Finalising",
            Self::RollingBack => "RollingBack",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        })
    }
}

/// What users of Flagger see in a canary's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Status {
    /// The phase.
    pub phase: Phase,
    /// The canary's share; 0 in strategies that do not move weights.
    pub weight: Weight,
    /// Rounds of analysis that were begun; 0 in strategies that move weights.
    pub iterations: u32,
    /// Failed checks of the present run, or of the one that was promoted last.
    pub failed_checks: u32,
}

impl State {
    /// The notices that wait at most. For the next one the oldest of its kind is given up, or else the oldest of those that
    /// matter least; [`State::dropped`] counts them.
    pub const OUTBOX: usize = 32;
    /// The commands that are remembered.
    pub const COMMANDS: usize = 32;

    /// Before anything was observed: the primary is yet to be created.
    pub const fn new(now: Timestamp) -> Self {
        let bootstrap = Bootstrap {
            revision: None,
            entered: now,
            routed: false,
            overdue: false,
        };
        Self::at(None, Stage::Bootstrap(bootstrap))
    }

    /// A primary that serves already.
    pub const fn initialized(primary: Revision) -> Self {
        Self::at(Some(primary), Stage::Idle(Idle::Initialized))
    }

    const fn at(primary: Option<Revision>, stage: Stage) -> Self {
        Self {
            sequence: 0,
            primary,
            stage,
            paused: None,
            unready: Unready {
                primary: None,
                canary: None,
            },
            commands: Vec::new(),
            outbox: Vec::new(),
            dropped: 0,
        }
    }

    /// Where the rollout is.
    pub const fn phase(&self) -> Phase {
        match &self.stage {
            Stage::Bootstrap(_) => Phase::Initializing,
            Stage::Idle(Idle::Initialized) => Phase::Initialized,
            Stage::Idle(Idle::Succeeded { .. }) => Phase::Succeeded,
            Stage::Idle(Idle::Failed { .. }) => Phase::Failed,
            Stage::Rollout(run) => run.phase(),
            Stage::Retreat(Retreat { end: End::Failed, .. }) => Phase::RollingBack,
            Stage::Retreat(Retreat {
                end: End::Superseded, ..
            }) => Phase::Progressing,
        }
    }

    /// How requests should be divided, as far as the canary is concerned.
    pub const fn traffic(&self) -> Traffic {
        match &self.stage {
            Stage::Bootstrap(_)
            | Stage::Idle(
                Idle::Initialized
                | Idle::Succeeded { .. }
                | Idle::Failed {
                    serving: Side::Primary,
                    ..
                },
            ) => Traffic::PRIMARY,
            Stage::Idle(Idle::Failed {
                serving: Side::Canary,
                ..
            }) => Traffic::CANARY,
            Stage::Rollout(run) => run.wanted(),
            Stage::Retreat(retreat) => retreat.traffic,
        }
    }

    /// The revision that is rolled out or given up, if any.
    pub const fn revision(&self) -> Option<&Revision> {
        match &self.stage {
            Stage::Bootstrap(bootstrap) => bootstrap.revision.as_ref(),
            Stage::Idle(Idle::Failed {
                refused: Some(refused),
                ..
            }) => Some(refused),
            Stage::Idle(Idle::Initialized | Idle::Succeeded { .. } | Idle::Failed { .. }) => {
                self.primary.as_ref()
            }
            Stage::Rollout(run) => Some(&run.revision),
            Stage::Retreat(retreat) => Some(&retreat.revision),
        }
    }

    /// What has gone wrong in the present run, or in the one that ended last.
    pub fn checks(&self) -> Checks {
        match &self.stage {
            Stage::Bootstrap(_) | Stage::Idle(Idle::Initialized) => Checks::default(),
            Stage::Idle(Idle::Succeeded { checks } | Idle::Failed { checks, .. }) => *checks,
            Stage::Rollout(run) => run.checks,
            Stage::Retreat(retreat) => retreat.checks,
        }
    }

    /// Whether a run has ended, or none has begun.
    pub const fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle(_))
    }

    /// What users of Flagger see.
    pub fn status(&self) -> Status {
        let (weight, iterations) = match &self.stage {
            Stage::Rollout(run) => match (run.iterations, run.step.is_settle()) {
                (_, true) => (Weight::ZERO, 0),
                (None, false) => (run.wanted().weight(), 0),
                (Some(iterations), false) => (Weight::ZERO, iterations),
            },
            Stage::Bootstrap(_) | Stage::Idle(_) | Stage::Retreat(_) => (self.traffic().weight(), 0),
        };
        let failed_checks = match &self.stage {
            Stage::Idle(Idle::Failed { .. }) => 0,
            Stage::Bootstrap(_) | Stage::Idle(_) | Stage::Rollout(_) | Stage::Retreat(_) => {
                self.checks().failed
            }
        };
        Status {
            phase: self.phase(),
            weight,
            iterations,
            failed_checks,
        }
    }

    /// Whether a command was carried out already.
    pub fn knows(&self, command: &str) -> bool {
        // An earlier version kept long ids as they are.
        let kept = id(command);
        self.commands.iter().any(|it| *it == kept || it == command)
    }

    pub(super) fn remember(&mut self, command: &str) {
        if self.commands.len() >= Self::COMMANDS {
            self.commands.remove(0);
        }
        self.commands.push(id(command));
    }

    pub(super) fn notify(&mut self, at: Timestamp, reason: &Reason) {
        if self.outbox.len() >= Self::OUTBOX {
            self.make_room(reason);
        }
        self.outbox.push(Notice {
            id: self.sequence,
            at,
            revision: self.revision().cloned(),
            phase: self.phase(),
            weight: self.traffic().weight(),
            severity: severity(reason),
            reason: reason.clone().kept(),
        });
    }

    /// Gives a notice up: the oldest of the same kind, so that news of one kind do not push out the rest. Without one, the
    /// oldest of those that matter least.
    fn make_room(&mut self, reason: &Reason) {
        let kind = mem::discriminant(reason);
        let same = self
            .outbox
            .iter()
            .position(|it| mem::discriminant(&it.reason) == kind);
        let least = self.outbox.iter().enumerate().min_by_key(|(_, it)| it.severity);
        if let Some(at) = same.or(least.map(|(at, _)| at)) {
            self.outbox.remove(at);
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

/// A command's id as it is remembered: a long one by its hash.
fn id(command: &str) -> String {
    const LONGEST: usize = 128;
    if command.len() <= LONGEST {
        return String::from(command);
    }
    let mut id = String::from("sha256:");
    for byte in Sha256::digest(command) {
        // Writing to a string does not fail.
        let _ = fmt::Write::write_fmt(&mut id, format_args!("{byte:02x}"));
    }
    id
}

impl Run {
    /// How requests should be divided now.
    pub const fn wanted(&self) -> Traffic {
        if self.withheld {
            Traffic::PRIMARY
        } else {
            self.traffic
        }
    }

    const fn phase(&self) -> Phase {
        match &self.step {
            Step::Settle { .. } => Phase::Finalising,
            _ if self.promoting => Phase::Promoting,
            Step::Gate(gate) => match gate.kind {
                GateKind::ConfirmRollout => Phase::Waiting,
                GateKind::ConfirmPromotion if self.denials > 0 => Phase::WaitingPromotion,
                GateKind::ConfirmPromotion
                | GateKind::PreRollout
                | GateKind::Rollout
                | GateKind::ConfirmTrafficIncrease
                | GateKind::Rollback => Phase::Progressing,
            },
            Step::Scale { .. }
            | Step::Shift { .. }
            | Step::Mirror { .. }
            | Step::Match
            | Step::Analyse { .. }
            | Step::Pause { .. }
            | Step::Promote { .. }
            | Step::Return { .. } => Phase::Progressing,
        }
    }
}

impl Step {
    const fn is_settle(&self) -> bool {
        matches!(self, Self::Settle { .. })
    }
}

fn severity(reason: &Reason) -> Severity {
    match reason {
        Reason::BudgetExhausted { .. }
        | Reason::Convicted { .. }
        | Reason::DeadlineExceeded { .. }
        | Reason::PromotionFailed => Severity::Error,
        Reason::RoundFailed { .. }
        | Reason::RoundInconclusive { .. }
        | Reason::RoundSuspect { .. }
        | Reason::Denied { .. }
        | Reason::GateDeadline { .. }
        | Reason::RollbackAsked { .. }
        | Reason::Drifted
        | Reason::Withheld
        | Reason::Commanded { .. } => Severity::Warn,
        Reason::NothingToDo
        | Reason::TargetUnknown
        | Reason::Refused
        | Reason::NotReady { .. }
        | Reason::TrafficNotInForce
        | Reason::NotDue
        | Reason::Paused
        | Reason::UntilResumed
        | Reason::NoSideServes
        | Reason::NewRevision
        | Reason::NewerRevision { .. }
        | Reason::Withdrawn
        | Reason::Ready { .. }
        | Reason::InForce
        | Reason::StepDone
        | Reason::RoundPassed { .. }
        | Reason::Looked { .. }
        | Reason::NoRollbackAsked
        | Reason::ClockSetBack
        | Reason::Confirmed { .. }
        | Reason::Approved { .. }
        | Reason::PlanChanged
        | Reason::TrafficBack
        | Reason::Bootstrapped
        | Reason::Promoted => Severity::Info,
    }
}
