//! From what was measured to what the judges say.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::check::replies;
use super::{Content, Observation, Outcome, Question, Run, State};
use crate::analysis::{self, Account, Dispersion, Due, Look, Memory, Nothing, Round, Sample};
use crate::plan::Plan;
use crate::time::Timestamp;

/// What the judges say of what was measured, or the question that has to be answered first.
pub(super) fn measured<'a>(
    plan: &'a Plan,
    state: &'a State,
    run: &'a Run,
    (look, at): (Look, Timestamp),
    seen: &Observation,
) -> Result<Round, Outcome<'a>> {
    let since = run.steady.unwrap_or(seen.now);
    let mut memory = run.memory.clone();
    let mut unknown = BTreeMap::new();
    if run.uncalibrated(plan).next().is_some() {
        let history = replies(state, seen).find_map(history);
        let history = history.ok_or(Outcome::Ask(Question::History { until: since }))?;
        for metric in run.uncalibrated(plan) {
            let (Some(question), said) = (metric.question(), history.get(&metric.name)) else {
                continue;
            };
            if let Some(Err(why)) = said {
                unknown.insert(metric.name.clone(), why);
                continue;
            }
            let past = said.into_iter().flatten().flatten();
            let tallies: Vec<_> = past.filter_map(|it| Some(question.tallies(it).ok()?.0)).collect();
            let account = Account::calibrated(question.null, &Dispersion::of(&tallies));
            memory.insert(metric.name.clone(), Memory::Account(Box::new(account)));
        }
    }
    let none = BTreeMap::new();
    let samples = match replies(state, seen).find_map(samples) {
        Some(samples) => samples,
        None if plan.metrics.is_empty() => &none,
        None => return Err(Outcome::Ask(Question::Measure { since })),
    };
    let due = Due {
        primary_rests: !run.withheld && plan.primary_rests_at(run.at),
        ..plan.due(look, at)
    };
    if unknown.is_empty() {
        return Ok(analysis::judge(&due, samples, &memory));
    }
    // A test that could not learn how errors come would judge by a guess: better not at all.
    let mut samples = samples.clone();
    for (metric, why) in unknown {
        let nothing = Nothing::Unreachable(format!("history of the primary: {why}"));
        samples.insert(metric, Sample::Nothing(nothing));
    }
    Ok(analysis::judge(&due, &samples, &memory))
}

fn samples(content: &Content) -> Option<&BTreeMap<String, Sample>> {
    match content {
        Content::Measured(samples) => Some(samples),
        Content::Gate { .. } | Content::History(_) => None,
    }
}

fn history(content: &Content) -> Option<&BTreeMap<String, Result<Vec<Sample>, String>>> {
    match content {
        Content::History(history) => Some(history),
        Content::Gate { .. } | Content::Measured(_) => None,
    }
}
