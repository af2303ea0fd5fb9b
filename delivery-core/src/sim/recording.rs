//! One rollout from beginning to end, on the world's clock.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use serde::Serialize;

use super::history::Users;
use super::scenario::Scenario;
use super::world::{START, World};
use crate::driver::{Advance, advance};
use crate::plan::Plan;
use crate::port::{Clock, PortError, Traffic};
use crate::revision::Revision;
use crate::rollout::{Idle, Notice, Phase, Reason, Stage, State};
use crate::time::Timestamp;
use crate::weight::Weight;

/// What a simulation showed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recording {
    /// Every move, in order.
    pub rows: Vec<Row>,
    /// The notices that were sent, repeats dropped.
    pub notices: Vec<Notice>,
    /// What could not be done, in order; the same again and again is told once.
    pub troubles: Vec<Trouble>,
    /// The state at the end; before anything was saved, an empty one.
    pub state: State,
    /// Why it waits at the end.
    pub why: Reason,
    /// What users saw.
    pub users: Users,
    /// How long it took on the virtual clock.
    #[serde(with = "crate::time::written")]
    pub took: Duration,
    /// Whether it came to rest: nothing is rolled out, and nothing would happen by itself. Otherwise it waits for
    /// somebody, or the scenario's limit was reached.
    pub ended: bool,
    /// How many port calls it took.
    pub calls: u64,
    /// How often the driver was cut off and started again.
    pub crashes: u32,
}

/// One move.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// When it happened.
    pub at: Timestamp,
    /// The revision that it is about, if any.
    pub revision: Option<Revision>,
    /// The phase after it.
    pub phase: Phase,
    /// How requests should be divided after it.
    pub traffic: Traffic,
    /// The canary's share after it.
    pub weight: Weight,
    /// Rounds of analysis that were begun, in strategies that do not move weights.
    pub iterations: u32,
    /// Failed checks so far.
    pub failed_checks: u32,
    /// Why it happened.
    pub reason: Reason,
}

/// Something that could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// When it was met first.
    pub at: Timestamp,
    /// What could not be done, and why.
    pub text: String,
}

impl Recording {
    /// Whether the last revision that was rolled out was promoted, and the primary serves.
    pub const fn promoted(&self) -> bool {
        matches!(self.state.stage, Stage::Idle(Idle::Succeeded { .. }))
    }
}

impl Row {
    /// The move from one saved state to the next, if people would call it one.
    pub(super) fn between(before: Option<&State>, after: &State, at: Timestamp) -> Option<Self> {
        if before.is_some_and(|it| it.sequence == after.sequence) {
            return None;
        }
        let told = after
            .outbox
            .last()
            .filter(|it| it.id == after.sequence)
            .map(|it| it.reason.clone());
        // A good round in the middle of a step moves nothing, so nobody is told; who watches wants to see it.
        let passed = || match (before.map(|it| &it.stage), &after.stage) {
            (Some(Stage::Rollout(old)), Stage::Rollout(new)) if old.rounds < new.rounds => {
                Some(Reason::RoundPassed {
                    evidence: new.evidence.clone(),
                    more: 0,
                })
            }
            _ => None,
        };
        let reason = told.or_else(passed)?;
        let status = after.status();
        Some(Self {
            at,
            revision: after.revision().cloned(),
            phase: status.phase,
            traffic: after.traffic(),
            weight: after.traffic().weight(),
            iterations: status.iterations,
            failed_checks: after.checks().failed,
            reason,
        })
    }
}

impl fmt::Display for Row {
    /// One line: the time since [`START`], the phase, the traffic, failed checks and the reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = crate::time::GoDuration::saturating_from(self.at.since(START)).to_string();
        let Self {
            phase,
            traffic,
            failed_checks,
            reason,
            ..
        } = self;
        let traffic = match traffic {
            Traffic::Split(_) => traffic.to_string(),
            Traffic::Mirror(share) => alloc::format!("mirror {share}"),
            Traffic::Match => String::from("matching"),
        };
        write!(
            f,
            "{after:>8}  {phase:<16}  {traffic:<11}  failed {failed_checks:<2}  {reason}"
        )
    }
}

/// Plays a rollout in a new world.
pub fn run(plan: &Plan, scenario: &Scenario) -> Recording {
    play(plan, &World::new(scenario))
}

/// More calls than this without any time passing are a rollout that goes in a circle.
const CIRCLE: u32 = 1_000;

/// Plays a rollout in a world, from the moment at which its clock stands, until it comes to rest, waits for somebody who
/// never comes, or reaches the scenario's limit.
///
/// The driver is called whenever it asked to be, and whenever something in the world changes. When a crash cuts it off
/// ([`World::crash_at`]), what it answered is thrown away and it is called again at the same moment.
pub fn play(plan: &Plan, world: &World<'_>) -> Recording {
    let ports = world.ports();
    let mut troubles = Troubles::default();
    let (mut why, mut commands) = (Reason::NotDue, Vec::new());
    let (mut ended, mut crashes, mut standing) = (false, 0_u32, 0_u32);
    while standing < CIRCLE {
        let now = world.now();
        commands.extend(world.take_commands());
        let advanced = poll_once(advance(plan, &ports, &commands));
        if world.restart() {
            crashes = crashes.saturating_add(1);
            continue;
        }
        let until = match advanced {
            Ok(Advance {
                state,
                until,
                why: waits,
                troubles: met,
            }) => {
                for trouble in &met {
                    troubles.note(now, trouble);
                }
                commands.retain(|it| !state.knows(&it.id));
                why = waits;
                if until.is_none() && state.is_idle() && commands.is_empty() && world.is_quiet() {
                    ended = true;
                    break;
                }
                until
            }
            Err(trouble) => {
                troubles.note(now, &trouble);
                Some(now.after(plan.poll()))
            }
        };
        let Some(next) = [until, world.next_change()].into_iter().flatten().min() else {
            break;
        };
        let left = world.scenario.limit.saturating_sub(world.elapsed());
        if next > now.after(left) {
            world.advance_to(now.after(left));
            break;
        }
        standing = if next > now { 0 } else { standing.saturating_add(1) };
        world.advance_to(next);
    }
    let users = world.users();
    let took = world.elapsed();
    let calls = world.calls();
    let mut inner = world.inner.lock();
    let state = inner
        .saved
        .as_ref()
        .map_or_else(|| State::new(START), |it| it.state.clone());
    let (rows, notices) = (
        core::mem::take(&mut inner.rows),
        core::mem::take(&mut inner.notices),
    );
    Recording {
        rows,
        notices,
        troubles: troubles.told,
        state,
        why,
        users,
        took,
        ended,
        calls,
        crashes,
    }
}

/// Troubles that were met, without the repeats.
#[derive(Default)]
struct Troubles {
    told: Vec<Trouble>,
}

impl Troubles {
    fn note(&mut self, at: Timestamp, trouble: &PortError) {
        let text = alloc::format!("{trouble}: {}", trouble.source);
        if self.told.iter().rev().take(4).all(|it| it.text != text) {
            self.told.push(Trouble { at, text });
        }
    }
}

/// The output of a future that never waits.
fn poll_once(future: impl Future<Output = Result<Advance, PortError>>) -> Result<Advance, PortError> {
    match pin!(future)
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => Err(PortError::permanent(
            "driving the rollout",
            "a simulated port waited",
        )),
    }
}
