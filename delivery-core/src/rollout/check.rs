//! What a run asks before it goes on: gates and rounds of analysis.

use alloc::string::String;
use alloc::vec::Vec;

use super::measured::measured;
use super::passing::{Deadline, Passing};
use super::{
    Content, End, Observation, Outcome, Question, Reason, Reply, Run, State, enter, give_up, go, next_look,
};
use crate::analysis::{Act, Evidence, Look, OnNothing, Round, Verdict};
use crate::plan::{Fallback, Gate, GateKind, Plan, Step};
use crate::port::Answer;
use crate::text;
use crate::time::Timestamp;

/// One round of a step that analyses.
pub(super) fn analyse<'a>(
    plan: &'a Plan,
    state: &'a State,
    run: &'a Run,
    rounds: u32,
    seen: &Observation,
) -> Outcome<'a> {
    if let Some(stopped) = stop_first(plan, state, run, seen) {
        return stopped;
    }
    let done = run.rounds.saturating_add(1);
    let look = if done >= rounds && plan.judges_last(run.at) {
        Look::Last
    } else {
        Look::Round
    };
    let round = match judge(plan, state, run, look, seen) {
        Ok(round) => round,
        Err(stopped) => return stopped,
    };
    let run = passed(run, &round, seen.now);
    if round.confirmed && plan.terms.early_promotion {
        let reason = Reason::Confirmed {
            evidence: round.evidence,
            more: 0,
        };
        // Without a share of the traffic, all that can be left out is the rest of this step.
        let early = plan.early_promotion().filter(|_| !run.traffic.weight().is_zero());
        let next = early
            .unwrap_or(run.at.saturating_add(1))
            .max(run.at.saturating_add(1));
        return enter(plan, state, &run, next, reason, seen);
    }
    let reason = Reason::RoundPassed {
        evidence: round.evidence,
        more: 0,
    };
    if done >= rounds {
        return enter(plan, state, &run, run.at.saturating_add(1), reason, seen);
    }
    let iterations = run.iterations.map(|it| it.saturating_add(1));
    let due = Some(seen.now.after(plan.interval));
    let next = Run {
        rounds: done,
        iterations,
        due,
        look: next_look(plan, &run.step, seen.now, due),
        ..run
    };
    go(state, state.with(next), reason, seen)
}

/// A look of the sequential judges between two rounds. They may convict the canary at once; otherwise the run stays where it is.
pub(super) fn glance<'a>(
    plan: &'a Plan,
    state: &'a State,
    run: &'a Run,
    at: Timestamp,
    seen: &Observation,
) -> Outcome<'a> {
    let round = match measured(plan, state, run, (Look::Glance, at), seen) {
        Ok(round) => round,
        Err(ask) => return ask,
    };
    let looked = Run {
        memory: round.memory,
        evidence: updated(&run.evidence, &round.evidence),
        look: next_look(plan, &run.step, seen.now, run.due),
        ..run.clone()
    };
    if let Some(metric) = round.convicted {
        return convict(state, &looked, metric, round.evidence, seen);
    }
    let reason = Reason::Looked {
        evidence: round.evidence,
        more: 0,
    };
    go(state, state.with(looked), reason, seen)
}

/// What was said last about every metric.
fn updated(before: &[Evidence], now: &[Evidence]) -> Vec<Evidence> {
    let said = |it: &Evidence| now.iter().find(|new| new.metric == it.metric);
    let kept = before.iter().map(|it| said(it).unwrap_or(it).clone());
    let new = now
        .iter()
        .filter(|it| before.iter().all(|old| old.metric != it.metric));
    kept.chain(new.cloned()).collect()
}

/// A conviction ends the run at once, whatever the budget allows.
fn convict<'a>(
    state: &State,
    run: &Run,
    metric: String,
    evidence: Vec<Evidence>,
    seen: &Observation,
) -> Outcome<'a> {
    let why = Reason::Convicted {
        metric,
        evidence,
        more: 0,
    };
    give_up(&state.with(run.clone()), &run.revision, why, End::Failed, seen)
}

/// A gate that is a step. After a denial it is asked again, but not before what runs was judged again.
pub(super) fn ask<'a>(
    plan: &'a Plan,
    state: &'a State,
    run: &'a Run,
    gate: &'a Gate,
    seen: &Observation,
) -> Outcome<'a> {
    let next = run.at.saturating_add(1);
    if run.approved {
        return enter(plan, state, run, next, approved(gate), seen);
    }
    let mut judged = None;
    if run.denials > 0 {
        // Before anything moved there is nothing to roll back.
        let stopped = (gate.kind != GateKind::ConfirmRollout)
            .then(|| stop_first(plan, state, run, seen))
            .flatten();
        if let Some(stopped) = stopped {
            return stopped;
        }
        if plan.analyses_before(run.at) {
            let round = match judge(plan, state, run, Look::Round, seen) {
                Ok(round) => round,
                Err(stopped) => return stopped,
            };
            let rounds = run.rounds_since_denial.saturating_add(1);
            let run = Run {
                rounds_since_denial: rounds,
                ..passed(run, &round, seen.now)
            };
            if rounds < gate.every {
                let due = Some(seen.now.after(plan.interval));
                let reason = Reason::RoundPassed {
                    evidence: round.evidence,
                    more: 0,
                };
                return go(state, state.with(Run { due, ..run }), reason, seen);
            }
            judged = Some(run);
        }
    }
    let Some(said) = answer(state, gate, seen) else {
        return Outcome::Ask(Question::Gate(gate));
    };
    let run = judged.as_ref().unwrap_or(run);
    let said = match said {
        Ok(Answer::Approved) => return enter(plan, state, run, next, approved(gate), seen),
        Ok(Answer::Denied(said)) | Err(said) => text::shortened(said, text::ANSWER),
    };
    let checks = if gate.kind == GateKind::PreRollout {
        run.checks.failed()
    } else {
        run.checks
    };
    let denied = Run {
        checks,
        denials: run.denials.saturating_add(1),
        rounds_since_denial: 0,
        due: Some(seen.now.after(plan.interval)),
        ..run.clone()
    };
    let reason = Reason::Denied {
        kind: gate.kind,
        gate: gate.name.clone(),
        said,
    };
    stop_or_go(plan, state, denied, reason, seen)
}

/// The gate's default, when nobody has approved in time.
pub(super) fn gate_deadline<'a>(
    plan: &Plan,
    state: &State,
    run: &Run,
    seen: &Observation,
) -> Option<Outcome<'a>> {
    let Step::Gate(gate) = &run.step else { return None };
    let deadline = gate.deadline.filter(|_| !run.approved)?;
    match run.answer_within().at(seen.now, deadline, plan.deadline_parts) {
        Deadline::Over => {}
        Deadline::Part(passed) => {
            let passed = Run {
                answer: Some(passed),
                ..run.clone()
            };
            return Some(state.runs(passed, Reason::NotDue, seen));
        }
        Deadline::Until(_) => return None,
    }
    let approved = gate.default == Fallback::Approve;
    if approved && state.holds_forward() {
        return None;
    }
    let reason = Reason::GateDeadline {
        kind: gate.kind,
        gate: gate.name.clone(),
        approved,
    };
    Some(if approved {
        enter(plan, state, run, run.at.saturating_add(1), reason, seen)
    } else {
        give_up(state, &run.revision, reason, End::Failed, seen)
    })
}

/// When to look next whether the present gate's deadline has passed, if it has one.
pub(super) fn answer_by(plan: &Plan, run: &Run, now: Timestamp) -> Option<Timestamp> {
    let Step::Gate(gate) = &run.step else { return None };
    match run.answer_within().at(now, gate.deadline?, plan.deadline_parts) {
        Deadline::Until(until) => Some(until),
        Deadline::Part(_) => Some(now),
        Deadline::Over => None,
    }
}

impl Run {
    /// The time that the present gate has for its answer. A state of an earlier version knows when it was entered.
    fn answer_within(&self) -> Passing {
        self.answer.unwrap_or(Passing::from(self.entered))
    }
}

/// What ends a run before anything is asked: an exhausted budget, or somebody who wants a rollback.
pub(super) fn stop_first<'a>(
    plan: &'a Plan,
    state: &'a State,
    run: &'a Run,
    seen: &Observation,
) -> Option<Outcome<'a>> {
    if let Some(exhausted) = exhausted(plan, run) {
        return Some(give_up(state, &run.revision, exhausted, End::Failed, seen));
    }
    for gate in &plan.rollback_gates {
        match answer(state, gate, seen) {
            None => return Some(Outcome::Ask(Question::Gate(gate))),
            Some(Ok(Answer::Approved)) => {
                let why = Reason::RollbackAsked {
                    gate: gate.name.clone(),
                };
                return Some(give_up(state, &run.revision, why, End::Failed, seen));
            }
            Some(Ok(Answer::Denied(_)) | Err(_)) => {}
        }
    }
    None
}

/// A good round, or the outcome of one that is not good or not complete.
fn judge<'a>(
    plan: &'a Plan,
    state: &'a State,
    run: &'a Run,
    look: Look,
    seen: &Observation,
) -> Result<Round, Outcome<'a>> {
    let again = |run: Run| {
        let due = Some(seen.now.after(plan.interval));
        let look = next_look(plan, &run.step, seen.now, due);
        Run { due, look, ..run }
    };
    for gate in &plan.rollout_gates {
        let said = match answer(state, gate, seen) {
            None => return Err(Outcome::Ask(Question::Gate(gate))),
            Some(Ok(Answer::Approved)) => continue,
            Some(Ok(Answer::Denied(said)) | Err(said)) => text::shortened(said, text::ANSWER),
        };
        let failed = again(Run {
            checks: run.checks.failed(),
            ..run.clone()
        });
        let reason = Reason::Denied {
            kind: gate.kind,
            gate: gate.name.clone(),
            said,
        };
        return Err(stop_or_go(plan, state, failed, reason, seen));
    }
    let at = run.due.unwrap_or(seen.now);
    let round = measured(plan, state, run, (look, at), seen)?;
    if let Some(metric) = round.convicted {
        let run = Run {
            evidence: round.evidence.clone(),
            memory: round.memory,
            ..run.clone()
        };
        return Err(convict(state, &run, metric, round.evidence, seen));
    }
    let (checks, reason) = match round.verdict {
        Verdict::Abstains | Verdict::Confirmed | Verdict::Pass => return Ok(round),
        Verdict::Suspect if !plan.terms.holds(run.checks.held) => return Ok(round),
        Verdict::Suspect => (
            run.checks.held(),
            Reason::RoundSuspect {
                evidence: round.evidence.clone(),
                more: 0,
            },
        ),
        Verdict::Fail => (
            run.checks.failed(),
            Reason::RoundFailed {
                evidence: round.evidence.clone(),
                more: 0,
            },
        ),
        Verdict::Inconclusive => (
            run.checks.inconclusive(round.error, &plan.budget),
            match plan.budget.nothing {
                OnNothing::Fail => Reason::RoundFailed {
                    evidence: round.evidence.clone(),
                    more: 0,
                },
                OnNothing::Hold => Reason::RoundInconclusive {
                    evidence: round.evidence.clone(),
                    more: 0,
                },
            },
        ),
    };
    let next = again(Run {
        checks,
        evidence: round.evidence,
        memory: round.memory,
        ..run.clone()
    });
    Err(stop_or_go(plan, state, next, reason, seen))
}

fn passed(run: &Run, round: &Round, now: Timestamp) -> Run {
    Run {
        checks: run.checks.passed(),
        evidence: round.evidence.clone(),
        memory: round.memory.clone(),
        due: Some(now),
        ..run.clone()
    }
}

/// What stands in place of a metric in the evidence of a canary that serves nothing.
pub(super) const READINESS: &str = "readiness";

/// A run after something failed that is no metric.
pub(super) fn failed(run: Run, what: &str, why: &str) -> Run {
    let evidence = Evidence {
        metric: String::from(what),
        verdict: Verdict::Fail,
        value: None,
        against: String::from(why),
    };
    Run {
        checks: run.checks.failed(),
        evidence: [evidence].into(),
        ..run
    }
}

/// After something bad: the rollback at once, where the plan says so or nothing is left to judge, or the next interval.
pub(super) fn stop_or_go<'a>(
    plan: &Plan,
    state: &State,
    run: Run,
    reason: Reason,
    seen: &Observation,
) -> Outcome<'a> {
    match exhausted(plan, &run) {
        Some(exhausted) if !run.promoting && (run.withheld || plan.budget.act == Act::AtOnce) => {
            let revision = run.revision.clone();
            give_up(&state.with(run), &revision, exhausted, End::Failed, seen)
        }
        Some(_) | None => go(state, state.with(run), reason, seen),
    }
}

fn exhausted(plan: &Plan, run: &Run) -> Option<Reason> {
    let (limit, allowed) = run.checks.exhausted(&plan.budget)?;
    Some(Reason::BudgetExhausted {
        limit: String::from(limit),
        allowed,
        evidence: run.evidence.clone(),
        more: 0,
    })
}

fn approved(gate: &Gate) -> Reason {
    Reason::Approved {
        kind: gate.kind,
        gate: gate.name.clone(),
    }
}

/// Answers that belong to the present state. A later one has been overtaken by a transition.
pub(super) fn replies<'s>(state: &State, seen: &'s Observation) -> impl Iterator<Item = &'s Content> {
    let sequence = state.sequence;
    seen.replies
        .iter()
        .filter(move |it: &&Reply| it.sequence == sequence)
        .map(|it| &it.content)
}

pub(super) fn answer<'s>(
    state: &State,
    gate: &Gate,
    seen: &'s Observation,
) -> Option<Result<&'s Answer, &'s String>> {
    replies(state, seen).find_map(|it| match it {
        Content::Gate { kind, name, said } if (*kind, name) == (gate.kind, &gate.name) => Some(said.as_ref()),
        Content::Gate { .. } | Content::Measured(_) | Content::History(_) => None,
    })
}
