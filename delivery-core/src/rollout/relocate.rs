//! A plan that was changed while a run follows it: the run goes on at the same place of the new plan.
//!
//! Nothing moves by this itself. Weights, counts and what was approved are kept; only a strategy in which the present
//! routing has no place at all makes the run begin again.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use super::check::READINESS;
use super::{End, Observation, Outcome, Reason, Run, Stage, State, give_up, go};
use crate::analysis::{Evidence, Judge, Memory, Metric};
use crate::plan::{Plan, Step};
use crate::port::Traffic;

/// Takes the run over into the plan.
pub(super) fn relocate<'a>(plan: &Plan, state: &State, run: &Run, seen: &Observation) -> Outcome<'a> {
    let Some((at, step)) = place(plan, run) else {
        return give_up(state, &run.revision, Reason::PlanChanged, End::Superseded, seen);
    };
    let iterations = match (plan.iterated, run.iterations) {
        (true, iterations) => Some(iterations.unwrap_or(0)),
        (false, _) => None,
    };
    let moved = Run {
        plan: plan.fingerprint.clone(),
        at,
        step,
        iterations,
        memory: remembered(plan, run),
        evidence: heard(plan, run),
        ..run.clone()
    };
    go(
        state,
        State {
            stage: Stage::Rollout(moved),
            ..state.clone()
        },
        Reason::PlanChanged,
        seen,
    )
}

/// What was said last about the metrics of the plan.
fn heard(plan: &Plan, run: &Run) -> Vec<Evidence> {
    let names: BTreeSet<&str> = plan.metrics.iter().map(|it| it.name.as_str()).collect();
    let of_plan = |it: &&Evidence| it.metric == READINESS || names.contains(it.metric.as_str());
    run.evidence.iter().filter(of_plan).cloned().collect()
}

/// What the judges of the plan remember; what others did is forgotten.
fn remembered(plan: &Plan, run: &Run) -> BTreeMap<String, Memory> {
    let memory = |metric: &Metric| {
        let (name, memory) = run.memory.get_key_value(&metric.name)?;
        let fits = match memory {
            Memory::Account(_) => metric.judge.is_sequential(),
            Memory::Series(_) => matches!(metric.judge, Judge::MannWhitney(_)),
            Memory::Past(_) => matches!(metric.judge, Judge::Baseline(_)),
            Memory::Numbers(_) => true,
        };
        fits.then(|| (name.clone(), memory.clone()))
    };
    plan.metrics.iter().filter_map(memory).collect()
}

/// Where the run stands in the plan: the index, and what it is doing there.
fn place(plan: &Plan, run: &Run) -> Option<(usize, Step)> {
    if run.promoting {
        return promoted(plan, run);
    }
    if let Some(same) = same_place(plan, run) {
        return Some(same);
    }
    match run.traffic {
        Traffic::Split(weight) => {
            let analyses = plan.steps.iter().any(|it| matches!(it, Step::Analyse { .. }));
            let higher = |step: &Step| match step {
                Step::Shift { weight: next, .. } => *next > weight,
                Step::Promote { .. } => true,
                Step::Gate(_)
                | Step::Scale { .. }
                | Step::Mirror { .. }
                | Step::Match
                | Step::Analyse { .. }
                | Step::Pause { .. }
                | Step::Return { .. }
                | Step::Settle { .. } => false,
            };
            run.scale?;
            let next = plan.steps.iter().position(higher)?;
            // What is asked before that step is asked; and if the plan judges at all, so is the present weight.
            let gates = plan
                .steps
                .get(..next)?
                .iter()
                .rev()
                .take_while(|it| matches!(it, Step::Gate(_)))
                .count();
            let at = next.checked_sub(gates)?.checked_sub(1)?;
            let step = if analyses && !weight.is_zero() {
                Step::Analyse { rounds: 1 }
            } else {
                plan.steps
                    .iter()
                    .find(|it| matches!(it, Step::Scale { .. }))?
                    .clone()
            };
            Some((at, step))
        }
        Traffic::Mirror(_) | Traffic::Match => None,
    }
}

/// The step that does the same under the same routing.
fn same_place(plan: &Plan, run: &Run) -> Option<(usize, Step)> {
    let mut traffic = Traffic::PRIMARY;
    plan.steps.iter().enumerate().find_map(|(at, step)| {
        traffic = match step {
            Step::Shift { weight, .. } => Traffic::Split(*weight),
            Step::Mirror { share } => Traffic::Mirror(*share),
            Step::Match => Traffic::Match,
            Step::Gate(_)
            | Step::Scale { .. }
            | Step::Analyse { .. }
            | Step::Pause { .. }
            | Step::Promote { .. }
            | Step::Return { .. }
            | Step::Settle { .. } => traffic,
        };
        let same = match (step, &run.step) {
            (Step::Gate(new), Step::Gate(old)) => (new.kind, &new.name) == (old.kind, &old.name),
            (new, old) => new.name() == old.name(),
        };
        (same && traffic == run.traffic).then(|| (at, step.clone()))
    })
}

/// After the promotion began, only the way back is left.
fn promoted(plan: &Plan, run: &Run) -> Option<(usize, Step)> {
    let same = plan
        .steps
        .iter()
        .position(|it| *it == run.step)
        .filter(|at| Some(*at) >= plan.promote_step());
    let by_name = || plan.steps.iter().rposition(|it| it.name() == run.step.name());
    let settle = || plan.settle_after(0);
    let at = same.or_else(by_name).or_else(settle)?;
    Some((at, plan.steps.get(at)?.clone()))
}
