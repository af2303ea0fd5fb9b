//! Drives a rollout through a simulated world, for a bounded number of steps, and watches what must hold.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use delivery_core::analysis::Window;
use delivery_core::plan::Plan;
use delivery_core::rollout::{Idle, Side, Stage, State, stored};
use delivery_core::sim::{Crash, START, World};
use delivery_core::{Ports, Revision, Timestamp, advance, desired, explain};

use crate::{Shape, check};

/// How a rollout is driven.
#[derive(Clone, Debug)]
pub struct Drive<'c> {
    /// The most calls of the driver.
    pub steps: u32,
    /// At which calls of a port the driver is cut off, each counted from the last one.
    pub crashes: &'c [(u64, Crash)],
    /// Whether nobody touches pods and traffic by hand: then a refused revision answers nobody.
    pub untouched: bool,
}

/// How it ended.
#[derive(Clone, Debug)]
pub struct Driven {
    /// What was seen on the way.
    pub shape: Shape,
    /// The last state that was saved, if any was.
    pub state: Option<State>,
    /// Whether it came to rest or to the scenario's limit.
    pub ended: bool,
}

/// More steps than this without time passing go in a circle.
const CIRCLE: u32 = 1_000;

/// Drives it until it rests, until `limit`, or until the steps are used up.
///
/// # Panics
/// When something does not hold.
pub fn drive(plan: &Plan, world: &World<'_>, limit: Timestamp, how: &Drive<'_>) -> Driven {
    let ports = world.ports();
    let mut driven = Driven {
        shape: Shape::default(),
        state: None,
        ended: false,
    };
    let (mut commands, mut standing, mut refused) = (Vec::new(), 0_u32, None);
    let mut crashes = how.crashes.iter();
    let mut plan_crash = |world: &World<'_>| {
        if let Some((after, moment)) = crashes.next() {
            world.crash_at(world.calls().saturating_add(*after), *moment);
        }
    };
    plan_crash(world);
    for _ in 0..how.steps {
        let now = world.elapsed();
        commands.extend(world.take_commands());
        let advanced = now_or_never(plan, &ports, &commands);
        if world.restart() {
            plan_crash(world);
            continue;
        }
        let until = match advanced {
            Ok(advanced) => {
                let why = advanced.why.to_string();
                check::told(&why);
                driven.shape = driven.shape.and(advanced.state.phase()).said(&why);
                check::all(&advanced.troubles);
                commands.retain(|it| !advanced.state.knows(&it.id));
                state(plan, &advanced.state, true);
                if how.untouched {
                    refused = watch(world, refused, &advanced.state);
                }
                let rests = advanced.until.is_none()
                    && advanced.state.is_idle()
                    && commands.is_empty()
                    && world.is_quiet();
                driven.state = Some(advanced.state);
                if rests {
                    driven.ended = true;
                    return driven;
                }
                advanced.until
            }
            Err(trouble) => {
                check::told(&trouble.to_string());
                Some(shown(world).after(plan.poll()))
            }
        };
        let Some(next) = [until, world.next_change()].into_iter().flatten().min() else {
            driven.ended = true;
            return driven;
        };
        if START.after(now) >= limit {
            driven.ended = true;
            return driven;
        }
        world.advance_to(next);
        standing = if world.elapsed() > now { 0 } else { standing + 1 };
        assert!(standing < CIRCLE, "{CIRCLE} steps without time passing");
    }
    driven
}

/// What the clock shows: it may have been set.
fn shown(world: &World<'_>) -> Timestamp {
    delivery_core::port::Clock::now(world)
}

/// The ports of a world never wait.
fn now_or_never(
    plan: &Plan,
    ports: &Ports<'_>,
    commands: &[delivery_core::rollout::Command],
) -> Result<delivery_core::Advance, delivery_core::port::PortError> {
    let future = pin!(advance(plan, ports, commands));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a port of the simulated world waits"),
    }
}

/// A revision that is refused answers nobody, from the moment on at which it is settled until something else is wanted.
fn watch(
    world: &World<'_>,
    before: Option<(Revision, Timestamp)>,
    state: &State,
) -> Option<(Revision, Timestamp)> {
    let now = START.after(world.elapsed());
    if let Some((revision, since)) = &before {
        let served = world.served(
            revision,
            Window {
                from: *since,
                to: now,
            },
        );
        assert!(
            served == 0,
            "{revision} is refused, and answers {served} requests after that"
        );
    }
    match &state.stage {
        Stage::Idle(Idle::Failed {
            refused: Some(revision),
            serving: Side::Primary,
            ..
        }) if state.primary.as_ref() != Some(revision) => {
            let since = before
                .filter(|(old, _)| old == revision)
                .map_or(now, |(_, since)| since);
            Some((revision.clone(), since))
        }
        _ => None,
    }
}

/// What holds of any state: it is written and read again as the same, and everything can be told of it. With `own`, it is
/// one that the engine has made, and then it has a bound.
///
/// # Panics
/// When it does not.
pub fn state(plan: &Plan, state: &State, own: bool) {
    let text = match stored::encode(state) {
        Ok(text) => text,
        Err(error) => panic!("a state that cannot be written: {error}"),
    };
    match stored::decode(&text) {
        Ok(again) => assert!(again == *state, "a state is read as another one: {text}"),
        Err(error) => panic!("a state that is not read again: {}: {text}", check::error(&error)),
    }
    if own {
        assert!(
            text.len() <= plan.largest_state(),
            "a state of {} bytes",
            text.len()
        );
    }
    let _ = desired(plan, state);
    let _ = explain(plan, state, None);
    let _ = (state.phase(), state.traffic(), state.status(), state.checks());
}
