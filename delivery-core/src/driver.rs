//! Runs a plan over any set of ports. The whole loop is [`advance`], and it is the recovery code too: a crash between
//! any two of its lines is followed by its first line.

mod join;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::error::Error;
use core::pin::Pin;

use crate::analysis::{Metric, Nothing, Sample, Window};
use crate::plan::{Gate, Plan};
use crate::port::{
    Approver, Clock, GateQuestion, Loaded, Measure, MetricSource, Notifier, PortError, Saved, Sent,
    StateStore, TrafficRouter, Version, Workload,
};
use crate::rollout::{
    Command, Content, Notice, Observation, Outcome, Question, Reason, Reply, Run, Stage, State, desired, step,
};
use crate::text;
use crate::time::Timestamp;

/// The ports that a rollout runs on.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "ports need not have any")]
pub struct Ports<'a> {
    /// The time.
    pub clock: &'a dyn Clock,
    /// Keeps the state.
    pub store: &'a dyn StateStore,
    /// The pods.
    pub workload: &'a dyn Workload,
    /// The traffic.
    pub traffic: &'a dyn TrafficRouter,
    /// Measures.
    pub metrics: &'a dyn MetricSource,
    /// Answers gates.
    pub approver: &'a dyn Approver,
    /// Tells people.
    pub notifier: &'a dyn Notifier,
}

/// How far a rollout went, and when to come back.
#[derive(Debug)]
#[non_exhaustive]
pub struct Advance {
    /// The state now.
    pub state: State,
    /// When to call again, if nothing changes before; none: only when something changes.
    pub until: Option<Timestamp>,
    /// Why it waits.
    pub why: Reason,
    /// What did not work on the way. The rollout copes with all of it; somebody may want to know.
    pub troubles: Vec<PortError>,
}

/// More transitions than this in one call are a reason to let others have a turn.
const TURN: u32 = 256;

/// Goes as far as it can, and says when to call again.
///
/// The caller sleeps until then, or until something changes, and calls again with the commands that were given
/// meanwhile; giving one twice is harmless. Nothing is kept between two calls but what the store has.
///
/// # Errors
/// A [`PortError`] of the store: without it nothing may move. Whatever other ports cannot do is in
/// [`Advance::troubles`], and the rollout holds.
pub async fn advance(plan: &Plan, ports: &Ports<'_>, commands: &[Command]) -> Result<Advance, PortError> {
    let mut troubles = Vec::new();
    let loaded = ports.store.load().await?;
    let mut version = loaded.as_ref().map(|it| it.version);
    let mut state = loaded.map_or_else(|| State::new(ports.clock.now()), |Loaded { state, .. }| state);
    for _ in 0..TURN {
        let routed = converge(plan, &state, ports, &mut troubles).await;
        let (outcome, now) = decide(plan, &state, ports, routed, commands, &mut troubles).await;
        match outcome {
            Decision::Go(next, reason) => {
                let Saved::Now(saved) = ports.store.save(&next, version).await? else {
                    // Somebody else decided: look again at what they saved.
                    return Ok(Advance {
                        state,
                        until: Some(now),
                        why: Reason::NotDue,
                        troubles,
                    });
                };
                let ended = next.is_idle() && !state.is_idle();
                (state, version) = (*next, Some(saved));
                if ended {
                    // Whoever calls sees every end, even if the next run starts right away.
                    converge(plan, &state, ports, &mut troubles).await;
                    tell(&mut state, version, ports, &mut troubles).await;
                    return Ok(Advance {
                        state,
                        until: Some(now),
                        why: reason,
                        troubles,
                    });
                }
            }
            Decision::Hold { until, why } => {
                let underway = tell(&mut state, version, ports, &mut troubles).await;
                let soon = (underway || !troubles.is_empty()).then(|| now.after(plan.poll()));
                let until = [until, soon].into_iter().flatten().min();
                return Ok(Advance {
                    state,
                    until,
                    why,
                    troubles,
                });
            }
        }
    }
    let until = Some(ports.clock.now());
    Ok(Advance {
        state,
        until,
        why: Reason::NotDue,
        troubles,
    })
}

enum Decision {
    Go(Box<State>, Reason),
    Hold { until: Option<Timestamp>, why: Reason },
}

/// Makes the world equal to what the state wants, and tells whether the router took it. One actuator that fails does not
/// stop the other: what came of it is observed, not believed.
async fn converge(plan: &Plan, state: &State, ports: &Ports<'_>, troubles: &mut Vec<PortError>) -> bool {
    let want = desired(plan, state);
    let mut routed = true;
    if let Some(routing) = &want.routing
        && let Err(trouble) = ports.traffic.apply(routing).await
    {
        troubles.push(trouble);
        routed = false;
    }
    troubles.extend(ports.workload.apply(&want.pods).await.err());
    routed
}

/// Observes and decides, and answers questions until there is a decision.
async fn decide(
    plan: &Plan,
    state: &State,
    ports: &Ports<'_>,
    routed: bool,
    commands: &[Command],
    troubles: &mut Vec<PortError>,
) -> (Decision, Timestamp) {
    let mut replies = Vec::new();
    loop {
        let mut seen = observe(ports, commands, replies, troubles).await;
        // While the router has not taken the routing, one that was applied earlier may still come into force.
        seen.in_force = seen.in_force.filter(|_| routed);
        let contents = match step(plan, state, &seen) {
            Outcome::Go(next, reason) => return (Decision::Go(next, reason), seen.now),
            Outcome::Hold { until, why } => return (Decision::Hold { until, why }, seen.now),
            Outcome::Ask(Question::Gate(gate)) => ask_round(plan, gate, state, ports).await,
            Outcome::Ask(Question::History { until }) => vec![history(plan, state, until, ports).await],
            Outcome::Ask(Question::Measure { since }) => vec![measure(plan, state, since, ports).await],
        };
        replies = seen.replies;
        replies.extend(contents.into_iter().map(|content| Reply {
            sequence: state.sequence,
            content,
        }));
    }
}

/// What is known of the world. What a port cannot tell is not known.
async fn observe(
    ports: &Ports<'_>,
    commands: &[Command],
    replies: Vec<Reply>,
    troubles: &mut Vec<PortError>,
) -> Observation {
    let in_force = ports.traffic.observe().await.unwrap_or_else(|trouble| {
        troubles.push(trouble);
        None
    });
    let pods = ports.workload.observe().await.unwrap_or_else(|trouble| {
        troubles.push(trouble);
        crate::port::Seen::default()
    });
    Observation {
        now: ports.clock.now(),
        target: pods.target,
        primary: pods.primary,
        canary: pods.canary,
        in_force,
        replies,
        commands: commands.to_vec(),
    }
}

/// Asks a gate, and at the same time those that the same round would ask next: it takes as long as its slowest one.
async fn ask_round(plan: &Plan, gate: &Gate, state: &State, ports: &Ports<'_>) -> Vec<Content> {
    let mut asked: Vec<Pin<Box<dyn Future<Output = Content> + Send + '_>>> = Vec::new();
    for gate in plan.round_of(gate) {
        asked.push(Box::pin(ask(gate, state, ports)));
    }
    join::all(asked).await
}

async fn ask(gate: &Gate, state: &State, ports: &Ports<'_>) -> Content {
    let said = match state.revision() {
        None => Err(String::from("no revision to ask about")),
        Some(revision) => {
            // The same after a crash, because the sequence is saved; another for every other question.
            let key = format!("{revision}/{}/{}/{}", state.sequence, gate.kind, gate.name);
            let question = GateQuestion {
                gate,
                revision,
                phase: state.phase(),
                began: match &state.stage {
                    Stage::Rollout(run) => run.began,
                    Stage::Bootstrap(_) | Stage::Idle(_) | Stage::Retreat(_) => None,
                },
                checks: state.checks(),
                key: &key,
            };
            ports.approver.ask(&question).await.map_err(|it| chain(&it))
        }
    };
    Content::Gate {
        kind: gate.kind,
        name: gate.name.clone(),
        said,
    }
}

/// Measures everything at the same time: a round takes as long as its slowest metric.
async fn measure(plan: &Plan, state: &State, since: Timestamp, ports: &Ports<'_>) -> Content {
    let Stage::Rollout(run) = &state.stage else {
        return Content::Measured(BTreeMap::new());
    };
    let windows = run.windows(plan, since, ports.clock.now());
    let asked: Vec<Measure<'_>> = windows
        .map(|(metric, window)| about(state, run, metric, window))
        .collect();
    let samples = join::all(asked.iter().map(|ask| ports.metrics.measure(ask)).collect()).await;
    let sample = |said: Result<Sample, PortError>| {
        said.unwrap_or_else(|it| Sample::Nothing(Nothing::Unreachable(chain(&it))))
    };
    let named = asked
        .iter()
        .map(|it| it.metric.name.clone())
        .zip(samples.into_iter().map(sample));
    Content::Measured(named.collect())
}

/// Asks what the primary did before, all metrics at the same time.
async fn history(plan: &Plan, state: &State, until: Timestamp, ports: &Ports<'_>) -> Content {
    let Stage::Rollout(run) = &state.stage else {
        return Content::History(BTreeMap::new());
    };
    let asked: Vec<(Measure<'_>, Vec<Window>)> = run
        .history(plan, until)
        .filter_map(|(metric, windows)| {
            let whole = Window {
                from: windows.first()?.from,
                to: windows.last()?.to,
            };
            Some((about(state, run, metric, whole), windows))
        })
        .collect();
    let said = asked
        .iter()
        .map(|(ask, windows)| ports.metrics.history(ask, windows));
    let said = join::all(said.collect()).await;
    let named = asked.iter().map(|(ask, _)| ask.metric.name.clone());
    Content::History(
        named
            .zip(said.into_iter().map(|it| it.map_err(|it| chain(&it))))
            .collect(),
    )
}

fn about<'a>(state: &'a State, run: &'a Run, metric: &'a Metric, window: Window) -> Measure<'a> {
    Measure {
        metric,
        window,
        canary: &run.revision,
        primary: state.primary.as_ref(),
        weight: state.traffic().weight(),
    }
}

/// Empties the outbox. A notice leaves it only after it has arrived, so it may be sent twice, and none is lost. Returns whether
/// some are still under way.
async fn tell(
    state: &mut State,
    version: Option<Version>,
    ports: &Ports<'_>,
    troubles: &mut Vec<PortError>,
) -> bool {
    let mut told = send_all(&state.outbox, ports).await.into_iter();
    let before = state.outbox.len();
    let mut underway = false;
    state.outbox.retain(|_| match told.next() {
        Some(Ok(Sent::Delivered)) => false,
        Some(Ok(Sent::Underway)) | None => {
            underway = true;
            true
        }
        Some(Err(trouble)) => {
            troubles.push(trouble);
            true
        }
    });
    if state.outbox.len() == before {
        return underway;
    }
    match ports.store.save(state, version).await {
        // Not saved: they are sent once more, and the receiver knows them by their ids.
        Ok(Saved::Now(_) | Saved::Stale) => {}
        Err(trouble) => troubles.push(trouble),
    }
    underway
}

/// Sends notices one after the other, oldest first, because people read them in the order in which they come. After the first
/// that fails, the others are sent at the same time: a receiver that is gone holds nothing up for longer than two timeouts.
async fn send_all(notices: &[Notice], ports: &Ports<'_>) -> Vec<Result<Sent, PortError>> {
    let mut told = Vec::new();
    for notice in notices {
        told.push(ports.notifier.send(notice).await);
        if told.last().is_some_and(Result::is_err) {
            break;
        }
    }
    let others = notices.iter().skip(told.len());
    let others = others.map(|notice| ports.notifier.send(notice)).collect();
    told.extend(join::all(others).await);
    told
}

/// An error and its causes, as one sentence that people may see.
fn chain(error: &dyn Error) -> String {
    let mut text = format!("{error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text::shortened(&text, text::ANSWER)
}

#[cfg(all(test, feature = "sim"))]
mod tests;
