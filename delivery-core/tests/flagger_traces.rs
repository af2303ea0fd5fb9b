//! Replays what the real Flagger decided, tick by tick, and compares it with what this engine decides.
//!
//! The recordings are in `flagger_traces/` beside this file (its README tells the format), or in the folder named by
//! the environment variable `FLAGGER_TRACES`. One line per scenario says whether the engine agrees; a difference is
//! accepted only when the mechanism at work is one of the anomalies in `flagger_traces/anomaly.rs`.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::float_cmp,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic"
)]

#[path = "flagger_traces/anomaly.rs"]
mod anomaly;
#[path = "flagger_traces/recording.rs"]
mod recording;
#[path = "flagger_traces/spec.rs"]
mod spec;
#[path = "flagger_traces/world.rs"]
mod world;

use std::path::{Path, PathBuf};

use anomaly::{Anomaly, Explained, Witness};
use delivery_core::plan::{Plan, PlanErrors};
use delivery_core::port::{PortError, StateStore};
use delivery_core::rollout::{Command, Order, State, Unready};
use delivery_core::{Ports, advance};
use recording::{Recording, Seen};
use world::{World, block_on};

/// What a replay found.
enum Found {
    Agrees { ticks: usize },
    OnPurpose { anomaly: Anomaly, text: String },
    Differs { text: String },
}

#[test]
fn decides_as_flagger_does() {
    let elsewhere = std::env::var_os("FLAGGER_TRACES").map(PathBuf::from);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flagger_traces");
    let recordings = recording::all(elsewhere.as_deref().unwrap_or(&own));
    let (mut agree, mut on_purpose, mut differ) = (0, 0, 0);
    for recording in &recordings {
        let name = &recording.scenario;
        match replay(recording) {
            Found::Agrees { ticks } => {
                agree += 1;
                println!("{name}: agrees ({ticks} ticks)");
            }
            Found::OnPurpose { anomaly, text } => {
                on_purpose += 1;
                println!("{name}: differs on purpose: {anomaly:?} {text}");
            }
            Found::Differs { text } => {
                differ += 1;
                println!("{name}: DIFFERS: {text}");
            }
        }
    }
    println!(
        "{} scenarios: {agree} agree, {on_purpose} differ on purpose, {differ} differ",
        recordings.len()
    );
    assert!(!recordings.is_empty(), "no recordings found");
    assert_eq!(differ, 0, "differences that nothing explains");
    if elsewhere.is_none() {
        // An anomaly that suddenly explains more than it did hides something.
        assert_eq!((agree, on_purpose), (AGREE, ON_PURPOSE));
    }
}

/// How many of our own recordings end how.
const AGREE: usize = 74;
const ON_PURPOSE: usize = 18;

/// What nobody recorded: each mechanism by which a difference is on purpose, and two that a recording may begin with.
#[test]
fn names_why_it_decides_otherwise() {
    let expected = [
        ("bg-asked-after-the-switch", Some(Anomaly::A19)),
        ("gate-confirm-promotion-bg-newer-7", Some(Anomaly::A19)),
        ("gate-confirm-promotion-canary-revert-5", Some(Anomaly::A9)),
        ("gate-confirm-rollout-canary-revert-3", Some(Anomaly::A9)),
        ("gradual-config-6", Some(Anomaly::D6)),
        ("gradual-newer-5", Some(Anomaly::D6)),
        ("idle-scaled2-before", Some(Anomaly::D7)),
        ("idle-scaled3-after", Some(Anomaly::D7)),
        ("mirrored-canary-dies", Some(Anomaly::D4)),
        ("no-target-and-late-metric", None),
        ("no-target", None),
        ("order-config-request-success-rate-5-2", Some(Anomaly::D8)),
        ("order-newer-request-duration-4-1", Some(Anomaly::D8)),
        ("pre-rollout-asked-again", Some(Anomaly::D12)),
        ("promo-dead-fix-plain-25", Some(Anomaly::A3)),
        ("promo-dead-gradual-12", None),
        ("promo150", Some(Anomaly::D9)),
        ("rollback-hook-while-promoted", Some(Anomaly::D10)),
        ("skip-with-dead-primary", Some(Anomaly::D11)),
        ("step150-50", Some(Anomaly::D9)),
        ("suspended-and-primary-dead", Some(Anomaly::D5)),
        ("waiting-after-failed-checks", Some(Anomaly::D13)),
    ];
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flagger_traces/computed");
    let found: Vec<_> = recording::all(&own)
        .iter()
        .map(|recording| {
            let anomaly = match replay(recording) {
                Found::Agrees { .. } => None,
                Found::OnPurpose { anomaly, .. } => Some(anomaly),
                Found::Differs { text } => panic!("{}: {text}", recording.scenario),
            };
            (recording.scenario.clone(), anomaly)
        })
        .collect();
    let found: Vec<_> = found
        .iter()
        .map(|(name, anomaly)| (name.as_str(), *anomaly))
        .collect();
    assert_eq!(found, expected);
}

fn replay(recording: &Recording) -> Found {
    let world = World::new(recording);
    let mut spec = recording.canary.clone();
    let (mut plan, capabilities) = match compile(&spec) {
        Ok(compiled) => compiled,
        Err(errors) => return refused(recording, &errors),
    };
    world.set_capabilities(capabilities);
    if !recording.from_start {
        let state = State::initialized(World::revision_of(&recording.initial));
        block_on(world.save(&state, None)).expect("saving in memory");
    }
    let mut witness = Witness::new(recording);
    let mut display_only = None;
    for tick in &recording.ticks {
        let was_suspended = is_suspended(&spec);
        for action in recording.actions(tick.number - 1) {
            if action.get("delete_canary").is_some() {
                return finished(display_only, tick.number - 1);
            }
            witness.action(action);
            if let Some(patch) = action.get("canary") {
                spec::merge(&mut spec, patch);
                match compile(&spec) {
                    Ok((edited, _)) => plan = edited,
                    Err(errors) => return refused(recording, &errors),
                }
            } else {
                world.act(action);
            }
        }
        let commands = suspension(was_suspended, is_suspended(&spec), tick.number);
        witness.begin(recording, tick.number);
        if let Err(trouble) = go_on(&world, &plan, tick.number, &commands) {
            return Found::Differs {
                text: format!("tick {}: {trouble}: {}", tick.number, trouble.source),
            };
        }
        let ours = world.seen();
        let differences = ours.differences(&tick.after);
        witness.tick(&spec, tick, &ours);
        if differences.is_empty() {
            continue;
        }
        let text = format!("tick {}: {}", tick.number, differences.join(", "));
        match witness.explain(&differences) {
            Some(Explained::Display(anomaly)) => {
                display_only.get_or_insert((anomaly, text));
            }
            Some(Explained::Decision(anomaly)) => {
                if let Err(stuck) = ends_well(&world, &plan) {
                    return Found::Differs {
                        text: format!("{text}; {anomaly:?}, but then {stuck}"),
                    };
                }
                return Found::OnPurpose { anomaly, text };
            }
            None => return Found::Differs { text },
        }
    }
    finished(display_only, recording.ticks.len())
}

/// Flagger looks at the world once in an interval. While a side is not ready, whoever drives us comes back more often, so
/// that its deadline is seen passing.
fn go_on(world: &World<'_>, plan: &Plan, tick: usize, commands: &[Command]) -> Result<(), PortError> {
    let pause = plan.interval() / 10;
    for _ in 1..10 {
        let saved = block_on(world.load())?;
        world.wait(pause);
        if saved.is_some_and(|it| !it.state.is_idle() && it.state.unready != Unready::default()) {
            block_on(advance(plan, &ports(world), &[]))?;
        }
    }
    world.begin(tick, pause);
    block_on(advance(plan, &ports(world), commands)).map(drop)
}

fn finished(display_only: Option<(Anomaly, String)>, ticks: usize) -> Found {
    match display_only {
        None => Found::Agrees { ticks },
        Some((anomaly, text)) => Found::OnPurpose {
            anomaly,
            text: format!("{text}; same decisions in all {ticks} ticks"),
        },
    }
}

/// A plan that we refuse to run: is it one that Flagger gets stuck with?
fn refused(recording: &Recording, errors: &PlanErrors) -> Found {
    let text = format!("refused: {errors}");
    match anomaly::of_plan(errors) {
        // Whoever refuses a plan that works has to say so.
        Some(anomaly) if recording.ends_in("Succeeded") && !anomaly.may_promote() => Found::Differs {
            text: format!("{text}, and Flagger promotes"),
        },
        Some(anomaly) => Found::OnPurpose { anomaly, text },
        None => Found::Differs { text },
    }
}

fn compile(spec: &serde_json::Value) -> Result<(Plan, delivery_core::plan::Capabilities), PlanErrors> {
    let (spec, capabilities) = spec::read(spec);
    spec.compile(&capabilities).map(|(plan, _)| (plan, capabilities))
}

fn is_suspended(spec: &serde_json::Value) -> bool {
    spec["spec"]["suspend"] == true
}

/// What a change of `suspend` means.
fn suspension(was: bool, is: bool, tick: usize) -> Vec<Command> {
    let order = match (was, is) {
        (false, true) => Order::Pause,
        (true, false) => Order::Resume,
        (false, false) | (true, true) => return Vec::new(),
    };
    vec![Command {
        id: format!("suspend-{tick}"),
        actor: "spec".into(),
        order,
    }]
}

fn ports<'w>(world: &'w World<'_>) -> Ports<'w> {
    Ports {
        clock: world,
        store: world,
        workload: world,
        traffic: world,
        metrics: world,
        approver: world,
        notifier: &delivery_core::port::Silent,
    }
}

/// After a decision that differs on purpose, the run must come to an end, with pods under all the traffic.
fn ends_well(world: &World<'_>, plan: &Plan) -> Result<(), String> {
    // Whoever has paused it lets it go on in the end.
    let resume = Command {
        id: "resume-at-the-end".into(),
        actor: "spec".into(),
        order: Order::Resume,
    };
    for tick in 0..2_000 {
        world.begin(1_000 + tick, plan.poll());
        world.behave();
        let now = block_on(advance(plan, &ports(world), std::slice::from_ref(&resume)))
            .map_err(|it| it.to_string())?;
        let seen = world.seen();
        if seen.traffic_without_pods() {
            return Err(format!("traffic goes where no pods are: {seen:?}"));
        }
        if now.state.is_idle() && now.until.is_none() {
            return Ok(());
        }
    }
    Err(format!("it never ends: {:?}", world.seen()))
}

impl Seen {
    fn traffic_without_pods(&self) -> bool {
        let Some(route) = &self.route else { return false };
        let pods = |side: &Option<recording::Pods>| side.as_ref().is_some_and(|it| it.replicas > 0);
        (route.primary > 0 && !pods(&self.primary)) || (route.canary > 0 && !pods(&self.target))
    }
}
