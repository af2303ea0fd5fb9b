//! What stays awake while a run waits, whatever it waits for: whoever may ask for a rollback, and a clock that was set back.

use super::check::answer;
use super::{End, Observation, Outcome, Question, Reason, Run, Stage, State, give_up, hold, next_look};
use crate::analysis::Memory;
use crate::plan::{Plan, Step};
use crate::port::Answer;
use crate::time::Timestamp;

/// Gates of kind `rollback` are asked in every interval, whatever the run does or waits for, before it goes on; and the run
/// comes back in time for it.
///
/// A step that judges asks them in its rounds already. Before the run has changed anything, there is nothing to roll back.
pub(super) fn guarded<'a>(
    plan: &'a Plan,
    state: &'a State,
    run: &'a Run,
    seen: &Observation,
    next: Outcome<'a>,
) -> Outcome<'a> {
    if plan.rollback_gates.is_empty() || run.began.is_none() {
        return next;
    }
    let due = run.guard_due(plan);
    if seen.now < due {
        return match next {
            Outcome::Hold { until, why } => hold(Some(until.unwrap_or(due).min(due)), why),
            Outcome::Go(..) | Outcome::Ask(_) => next,
        };
    }
    for gate in &plan.rollback_gates {
        match answer(state, gate, seen) {
            None => return Outcome::Ask(Question::Gate(gate)),
            Some(Ok(Answer::Approved)) => {
                let why = Reason::RollbackAsked {
                    gate: gate.name.clone(),
                };
                return give_up(state, &run.revision, why, End::Failed, seen);
            }
            Some(Ok(Answer::Denied(_)) | Err(_)) => {}
        }
    }
    match next {
        Outcome::Hold { .. } => {
            let asked = Run {
                guarded: Some(seen.now),
                ..run.clone()
            };
            state.runs(asked, Reason::NoRollbackAsked, seen)
        }
        Outcome::Go(mut next, reason) => {
            if let Stage::Rollout(run) = &mut next.stage {
                run.guarded = Some(seen.now);
            }
            Outcome::Go(next, reason)
        }
        Outcome::Ask(_) => next,
    }
}

impl Run {
    /// When the gates of kind `rollback` are asked next, if the run still waits then.
    pub(super) fn guard_due(&self, plan: &Plan) -> Timestamp {
        let last = self.guarded.unwrap_or(self.entered);
        let asks_itself = match &self.step {
            Step::Analyse { .. } => true,
            Step::Gate(_) => self.denials > 0,
            Step::Scale { .. }
            | Step::Shift { .. }
            | Step::Mirror { .. }
            | Step::Match
            | Step::Pause { .. }
            | Step::Promote { .. }
            | Step::Return { .. }
            | Step::Settle { .. } => false,
        };
        let due = last.after(plan.interval);
        if asks_itself {
            due.max(self.due.unwrap_or(due))
        } else {
            due
        }
    }
}

/// The state with every moment where it can be, if one cannot be where it is: a moment of the past that lies ahead of now, or
/// one to come that is further away than it ever was. The clock was set back then.
pub(super) fn anchored(plan: &Plan, state: &State, now: Timestamp) -> Option<State> {
    let ahead = |moment: Timestamp| moment > now;
    match &state.stage {
        Stage::Bootstrap(bootstrap) => {
            if !ahead(bootstrap.entered) {
                return None;
            }
            let mut bootstrap = bootstrap.clone();
            bootstrap.entered = now;
            Some(state.at_stage(Stage::Bootstrap(bootstrap)))
        }
        Stage::Rollout(run) => {
            let latest = run.latest_due(plan, now);
            let is_late = |moment: Timestamp| latest.is_some_and(|latest| moment > latest);
            let counted = |memory: &Memory| match memory {
                Memory::Account(account) => account.until.is_some_and(ahead),
                Memory::Past(past) => ahead(past.until),
                Memory::Series(_) | Memory::Numbers(_) => false,
            };
            let odd = ahead(run.entered)
                || [run.began, run.steady, run.guarded]
                    .into_iter()
                    .flatten()
                    .any(ahead)
                || [run.due, run.look].into_iter().flatten().any(is_late)
                || run.memory.values().any(counted);
            if !odd {
                return None;
            }
            let mut run = run.clone();
            run.entered = run.entered.min(now);
            for past in [&mut run.began, &mut run.steady, &mut run.guarded] {
                *past = past.map(|moment| moment.min(now));
            }
            run.due = run.due.map(|due| latest.map_or(due, |latest| due.min(latest)));
            run.look = next_look(plan, &run.step, now, run.due).filter(|_| run.look.is_some());
            for memory in run.memory.values_mut() {
                match memory {
                    Memory::Account(account) => account.until = account.until.map(|until| until.min(now)),
                    Memory::Past(past) => past.until = past.until.min(now),
                    Memory::Series(_) | Memory::Numbers(_) => {}
                }
            }
            Some(state.at_stage(Stage::Rollout(run)))
        }
        // A retreat and a rest know no moments.
        Stage::Idle(_) | Stage::Retreat(_) => None,
    }
}

impl Run {
    /// How far away the next decision of the present step can be at most.
    fn latest_due(&self, plan: &Plan, now: Timestamp) -> Option<Timestamp> {
        let wait = match self.step {
            Step::Gate(_) | Step::Analyse { .. } | Step::Mirror { .. } | Step::Match => plan.interval,
            Step::Scale { dwell, .. }
            | Step::Shift { dwell, .. }
            | Step::Promote { dwell }
            | Step::Return { dwell, .. } => dwell,
            Step::Settle { drain } => drain,
            Step::Pause { lasts } => lasts?,
        };
        // What was judged last may have put the next round off by an interval, whatever the step was then.
        Some(now.after(wait.max(plan.interval)))
    }
}
