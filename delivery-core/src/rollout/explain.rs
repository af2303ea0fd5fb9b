//! From a state to the few lines that a person needs.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::reason::worst;
use super::{End, Idle, Outcome, Question, Reason, Retreat, Run, Side, Stage, State};
use crate::plan::{Plan, Step};

/// Why a rollout is where it is, and what must happen next, in a few lines.
///
/// `outcome` is what [`super::step`] said last, where it is known: it tells what is waited for.
pub fn explain(plan: &Plan, state: &State, outcome: Option<&Outcome<'_>>) -> String {
    let mut lines = Vec::new();
    lines.push(headline(plan, state));
    if let Some(actor) = &state.paused {
        lines.push(format!("Paused by {actor}: nothing goes forward until `resume`."));
    }
    match &state.stage {
        Stage::Bootstrap(_) => lines.push(String::from(
            "What serves now goes on serving; it is replaced when the primary was observed ready.",
        )),
        Stage::Idle(idle) => idle_lines(idle, &mut lines),
        Stage::Rollout(run) => run_lines(plan, run, &mut lines),
        Stage::Retreat(retreat) => retreat_lines(retreat, &mut lines),
    }
    if let Some(waiting) = outcome.and_then(waiting) {
        lines.push(waiting);
    }
    if state.dropped > 0 {
        lines.push(format!(
            "{} notices were given up because they could not be sent.",
            state.dropped
        ));
    }
    lines.join("\n")
}

fn headline(plan: &Plan, state: &State) -> String {
    let status = state.status();
    let revision = state
        .revision()
        .map_or(String::from("no revision"), |it| format!("revision {it}"));
    match &state.stage {
        Stage::Rollout(run) => {
            let (at, of) = (run.at.saturating_add(1), plan.steps().len());
            format!(
                "{}: {revision}, step {at} of {of} ({}), traffic {}.",
                status.phase,
                run.step,
                run.wanted()
            )
        }
        Stage::Bootstrap(_) | Stage::Idle(_) | Stage::Retreat(_) => {
            format!("{}: {revision}, traffic {}.", status.phase, state.traffic())
        }
    }
}

fn idle_lines(idle: &Idle, lines: &mut Vec<String>) {
    match idle {
        Idle::Initialized | Idle::Succeeded { .. } => {
            lines.push(String::from("Next: a new revision starts a rollout."));
        }
        Idle::Failed {
            refused,
            why,
            serving,
            ..
        } => {
            lines.push(format!("Because: {why}."));
            if *serving == Side::Canary {
                lines.push(String::from(
                    "The canary has all the traffic: it passed its checks, the primary is not ready.",
                ));
            }
            lines.push(match refused {
                Some(refused) => {
                    format!("Next: another revision than {refused}, or `retry`, starts a rollout.")
                }
                None => String::from("Next: a new revision starts a rollout."),
            });
        }
    }
}

fn run_lines(plan: &Plan, run: &Run, lines: &mut Vec<String>) {
    if run.withheld {
        lines.push(format!(
            "The canary serves nothing, so the primary has all the traffic. Next: the canary is ready and gets {}.",
            run.traffic
        ));
    }
    if !run.evidence.is_empty() {
        let (shown, left) = worst(&run.evidence);
        let mut said: Vec<String> = shown.into_iter().map(|it| format!("{it}")).collect();
        if left > 0 {
            said.push(format!("and {left} more"));
        }
        lines.push(format!("Last check: {}.", said.join("; ")));
    }
    let budget = plan.budget();
    if run.checks.failed > 0 {
        lines.push(format!(
            "Failed checks: {} of {} that roll back.",
            run.checks.failed, budget.failed
        ));
    }
    if run.checks.inconclusive > 0 || run.checks.errors > 0 {
        let (inconclusive, errors) = (run.checks.inconclusive, run.checks.errors);
        lines.push(format!(
            "Checks without data: {inconclusive}; with an unreachable source: {errors}."
        ));
    }
    if run.checks.held > 0 {
        let limit = match (plan.terms().held, budget.held) {
            (None, _) => String::from("no limit"),
            (Some(limit), None) => format!("{limit} at most"),
            (Some(limit), Some(_)) => format!("{limit} roll back"),
        };
        lines.push(format!(
            "Rounds in which the weight was held on a suspicion: {} ({limit}).",
            run.checks.held
        ));
    }
    match &run.step {
        Step::Gate(gate) if run.denials > 0 => {
            lines.push(format!(
                "{} {} did not approve ({} times).",
                gate.kind, gate.name, run.denials
            ));
            lines.push(String::from(
                "Next: it approves, or somebody gives `approve` or `abort`.",
            ));
        }
        Step::Pause { lasts: None } => lines.push(String::from("Next: somebody gives `resume` or `abort`.")),
        Step::Gate(_)
        | Step::Scale { .. }
        | Step::Shift { .. }
        | Step::Mirror { .. }
        | Step::Match
        | Step::Analyse { .. }
        | Step::Pause { .. }
        | Step::Promote { .. }
        | Step::Return { .. }
        | Step::Settle { .. } => {
            if let Some(next) = plan.steps().get(run.at.saturating_add(1)) {
                lines.push(format!("Next: {next}."));
            }
        }
    }
}

fn retreat_lines(retreat: &Retreat, lines: &mut Vec<String>) {
    lines.push(format!("Because: {}.", retreat.why));
    lines.push(match retreat.end {
        End::Failed => format!(
            "Next: all traffic at the primary, then the pods of {} go.",
            retreat.revision
        ),
        End::Superseded => String::from("Next: all traffic at the primary, then what is wanted now starts."),
    });
}

fn waiting(outcome: &Outcome<'_>) -> Option<String> {
    match outcome {
        // The lines above say these already.
        Outcome::Hold {
            why: Reason::NothingToDo | Reason::Refused | Reason::Paused | Reason::UntilResumed,
            ..
        }
        | Outcome::Go(..) => None,
        Outcome::Hold {
            until: Some(until),
            why,
        } => Some(format!("Waiting until {until}: {why}.")),
        Outcome::Hold { until: None, why } => Some(format!("Waiting: {why}.")),
        Outcome::Ask(Question::Gate(gate)) => Some(format!("Waiting for {} {}.", gate.kind, gate.name)),
        Outcome::Ask(Question::History { .. }) => {
            Some(String::from("Waiting for what the primary did before."))
        }
        Outcome::Ask(Question::Measure { .. }) => Some(String::from("Waiting for measurements.")),
    }
}
