//! What a person or a program may order: each order has an id and an actor, and giving it twice is harmless.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::readiness::{Readiness, readiness};
use super::{End, Idle, Observation, Outcome, Reason, Run, Side, Stage, State, enter, give_up, go_and_tell};
use crate::plan::Plan;
use crate::text;

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// Its identity: a second command with the same id is the same command. The last 32 are remembered.
    pub id: String,
    /// Who gives it, for the record, which keeps [`NAME`](crate::text::NAME) characters of it.
    pub actor: String,
    /// What to do.
    pub order: Order,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Order {
    /// Approve the gate that is waited for, or `resume` the step that waits for it.
    Approve,
    /// Promote now: skip what is left of gates and analysis. Readiness is not skipped, and neither is a rollback.
    Promote,
    /// Bring nothing forward. What keeps users safe goes on: see [`State::holds_forward`].
    Pause,
    /// Go on after a pause.
    Resume,
    /// Roll back, at any moment of a run; the revision is refused. What the primary has taken of it, it gives back.
    Abort,
    /// Roll out the refused revision once more.
    Retry,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Approve => "approve",
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Retry => "retry",
        })
    }
}

/// Carries out a command, or records why it has no effect. Either way it is remembered.
pub(super) fn obey<'a>(plan: &Plan, state: &State, command: &Command, seen: &Observation) -> Outcome<'a> {
    let mut base = state.clone();
    base.remember(&command.id);
    let actor = text::shortened(&command.actor, text::NAME);
    let reason = |ignored: Option<&str>| Reason::Commanded {
        order: alloc::format!("{}", command.order),
        actor: actor.clone(),
        ignored: ignored.map(String::from),
    };
    let ignored = |base: State, why: &str| go_and_tell(state, base, reason(Some(why)), seen);
    match (command.order, &state.stage) {
        (Order::Pause, _) => base.paused = Some(actor.clone()),
        (Order::Resume | Order::Approve, Stage::Rollout(run)) if run.waits_for_approval() => {
            base.paused = None;
            base = base.with(Run {
                approved: true,
                due: Some(seen.now),
                ..run.clone()
            });
        }
        (Order::Resume, _) if state.paused.is_some() => base.paused = None,
        (Order::Resume, _) => return ignored(base, "nothing is paused"),
        (Order::Approve, _) => return ignored(base, "nothing waits for an approval"),
        (Order::Promote, Stage::Rollout(run)) if run.promoting => {
            return ignored(base, "the primary is taking the revision already");
        }
        (Order::Promote, Stage::Rollout(run)) => {
            let ready = run.scale.is_some() && readiness(plan, state, seen, Side::Canary) == Readiness::Ready;
            let Some(at) = plan.promote_step() else {
                return ignored(base, "the plan has no promotion");
            };
            if run.checks.exhausted(&plan.budget).is_some() {
                return ignored(base, "the failure budget is exhausted");
            }
            if !ready || seen.target.as_ref() != Some(&run.revision) {
                return ignored(base, "the canary was not observed ready on the wanted revision");
            }
            base.paused = None;
            return enter(plan, &base, run, at, reason(None), seen);
        }
        (Order::Abort, Stage::Rollout(run)) => {
            base.paused = None;
            return give_up(&base, &run.revision, reason(None), End::Failed, seen);
        }
        (Order::Promote | Order::Abort, Stage::Bootstrap(_) | Stage::Idle(_) | Stage::Retreat(_)) => {
            return ignored(base, "nothing is being rolled out");
        }
        (
            Order::Retry,
            Stage::Idle(Idle::Failed {
                why, serving, checks, ..
            }),
        ) => {
            let again = Idle::Failed {
                refused: None,
                why: why.clone(),
                serving: *serving,
                checks: *checks,
            };
            base.stage = Stage::Idle(again);
        }
        (Order::Retry, Stage::Bootstrap(_) | Stage::Idle(_) | Stage::Rollout(_) | Stage::Retreat(_)) => {
            return ignored(base, "nothing was refused");
        }
    }
    go_and_tell(state, base, reason(None), seen)
}
