//! The text of a saved state: a golden file per kind, and every way in which a text can be none.
//!
//! `UPDATE_GOLDEN=1 cargo test -p delivery-core --lib stored` writes the files. A change of an existing one breaks what
//! users have saved: it needs a new version of the format.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::error::Error;
use core::time::Duration;

use super::anomalies::{Rig, canary, judged, percent, revision};
use crate::Timestamp;
use crate::analysis::{Memory, Past, Sample, Series};
use crate::plan::{AbTest, BlueGreen, Gate, GateKind, MatchRule, MetricSpec, Strategy, Text};
use crate::port::Traffic;
use crate::rollout::stored::{NoState, decode, encode};
use crate::rollout::{End, Order, Passing, Phase, Retreat, Side, Stage, State};

#[test]
fn every_kind_of_state_is_read_and_written_as_in_its_golden_file() {
    let table = [
        ("bootstrap", bootstrapping()),
        ("initialized", State::initialized(revision(1))),
        ("succeeded", succeeded()),
        ("failed", failed()),
        ("failed-promotion", failed_promotion()),
        ("at-a-gate", at_a_gate()),
        ("analysing", analysing()),
        ("comparing", comparing()),
        ("matching", matching()),
        ("mirroring", mirroring()),
        ("withheld", withheld()),
        ("promoting", promoting()),
        ("retreat", retreating()),
        ("paused-with-outbox", paused()),
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rollout/tests/golden");
    for (name, state) in table {
        let path = folder.join(name).with_extension("json");
        let text = encode(&state).unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, text.clone() + "\n").unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap();
        assert_eq!(decode(&golden).unwrap(), state, "{name} is read");
        assert_eq!(text, golden.trim_end(), "{name} is written");
    }
}

/// Before deadlines were seen passing part by part, a state had the moment alone, and no gate was asked while a run waits.
#[test]
fn states_of_before_are_read() {
    let text = include_str!("golden/at-a-gate-without-a-guard.json");
    let Stage::Rollout(run) = decode(text).unwrap().stage else {
        panic!("it is at a gate");
    };
    assert_eq!((run.answer, run.guarded), (None, None));
    let text = include_str!("golden/failed-promotion-of-a-moment.json");
    let unready = decode(text).unwrap().unready;
    let since = Timestamp::from_millis(120_000);
    assert_eq!(unready.primary, Some(Passing::from(since)));
}

#[test]
fn a_text_that_is_no_state_is_refused_with_a_reason() {
    let ours = encode(&analysing()).unwrap();
    let cut_off = &ours[..ours.len() / 2];
    let newer = ours.replacen("\"version\":1", "\"version\":2", 1);
    let foreign = "not a saved state: `format` is \"canary\" (expected \"delivery.rollout.state\")";
    let missing = "not a saved state: `format` is missing (expected \"delivery.rollout.state\")";
    let table = [
        ("", "not a saved state: no valid JSON"),
        ("weight: 10", "not a saved state: no valid JSON"),
        (cut_off, "not a saved state: no valid JSON"),
        ("{}", missing),
        (r#"{"version": 1, "state": {}}"#, missing),
        ("[1]", missing),
        ("\"text\"", missing),
        (
            r#"{"format": 7, "version": 1}"#,
            "not a saved state: `format` is 7 (expected \"delivery.rollout.state\")",
        ),
        (
            r#"{"format": "delivery.rollout.state"}"#,
            "a saved state whose `version` is missing (expected a whole number from 1 to 1)",
        ),
        (
            r#"{"format": "delivery.rollout.state", "version": 0}"#,
            "a saved state whose `version` is 0 (expected a whole number from 1 to 1)",
        ),
        (
            r#"{"format": "delivery.rollout.state", "version": "one"}"#,
            "a saved state whose `version` is \"one\" (expected a whole number from 1 to 1)",
        ),
        (r#"{"format": "canary", "version": 1}"#, foreign),
        (r#"{"format": "canary"}"#, foreign),
        (
            &newer,
            "a saved state of version 2; this program reads up to 1: use a newer one",
        ),
        (
            r#"{"format": "delivery.rollout.state", "version": 1}"#,
            "a damaged saved state",
        ),
    ];
    for (text, message) in table {
        assert_eq!(decode(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn damage_is_named() {
    let ours = encode(&analysing()).unwrap();
    let table = [
        // A value that a field cannot have.
        ("\"sequence\":", "\"sequence\":-", "invalid value: integer `-"),
        (
            "\"split\":10.0",
            "\"split\":110.0",
            "110 % is no share of the traffic",
        ),
        (
            "\"split\":10.0",
            "\"split\":0.001",
            "0.001 % is no share of the traffic",
        ),
        (
            "\"verdict\":\"fail\"",
            "\"verdict\":\"maybe\"",
            "unknown variant `maybe`",
        ),
        (
            "\"promoting\":false",
            "\"promoting\":\"no\"",
            "invalid type: string \"no\", expected a boolean",
        ),
        (
            "\"value\":\"+Inf\"",
            "\"value\":\"many\"",
            "expected a number, NaN, +Inf or -Inf",
        ),
        // A field that is not there, is there twice, or is unknown.
        ("\"dropped\":0", "\"droped\":0", "unknown field `droped`"),
        ("\"promoting\":false,", "", "missing field `promoting`"),
        (
            "\"promoting\":",
            "\"promoting\":true,\"promoting\":",
            "duplicate field `promoting`",
        ),
        (
            "\"promoting\":",
            "\"demoting\":false,\"promoting\":",
            "unknown field `demoting`",
        ),
        (
            "\"verdict\":",
            "\"judge\":\"me\",\"verdict\":",
            "unknown field `judge`",
        ),
        (
            "\"consecutive\":",
            "\"in_a_row\":1,\"consecutive\":",
            "unknown field `in_a_row`",
        ),
        ("{\"rollout\":", "{\"rolling\":", "unknown variant `rolling`"),
    ];
    for (from, to, message) in table {
        assert!(ours.contains(from), "{from} is not in {ours}");
        let damaged = decode(&ours.replacen(from, to, 1)).unwrap_err();
        assert!(matches!(damaged, NoState::Damaged(_)), "{to}: {damaged:?}");
        assert_eq!(damaged.to_string(), "a damaged saved state");
        let cause = damaged.source().unwrap().to_string();
        assert!(
            cause.contains(message) && cause.contains("at line 1 column"),
            "{to}: {cause}"
        );
    }
}

#[test]
fn what_a_store_writes_beside_the_state_is_left_unread() {
    let ours = encode(&analysing()).unwrap();
    let beside = ours.replacen('{', "{\"save\":7,", 1);
    assert_eq!(decode(&beside).unwrap(), analysing());
}

#[test]
fn a_run_is_small() {
    let size = encode(&analysing()).unwrap().len();
    assert!(size < 4 * 1_024, "{size} bytes");
}

#[test]
fn numbers_that_json_does_not_have_survive() {
    for value in [f64::INFINITY, f64::NEG_INFINITY, 0.1, 1e300, -0.0] {
        let mut state = analysing();
        run(&mut state).evidence[0].value = Some(value);
        let again = decode(&encode(&state).unwrap()).unwrap();
        assert_eq!(again, state, "{value}");
    }
}

// ---- the states

fn bootstrapping() -> State {
    let mut rig = Rig::new(&canary(&[50.0]));
    rig.state = State::new(rig.now);
    rig.lost(Side::Primary).run();
    told(rig.state)
}

fn succeeded() -> State {
    let mut rig = Rig::new(&canary(&[50.0]));
    rig.push(2).until(|rig| rig.state.is_idle());
    told(rig.state)
}

fn failed() -> State {
    let mut rig = Rig::new(&canary(&[50.0]));
    rig.bad().push(2).run();
    rig.until(|rig| rig.state.is_idle());
    told(rig.state)
}

fn failed_promotion() -> State {
    let mut rig = Rig::new(&canary(&[50.0]));
    rig.push(2).until(|rig| rig.phase() == Phase::Promoting);
    rig.lost(Side::Primary).until(|rig| rig.state.is_idle());
    told(rig.state)
}

fn at_a_gate() -> State {
    let mut spec = canary(&[50.0]);
    spec.gates = vec![Gate {
        deadline: Some(Duration::from_secs(3_600)),
        ..Gate::new(GateKind::ConfirmRollout, "office hours")
    }];
    let mut rig = Rig::new(&spec);
    rig.answer("office hours", false).push(2).run();
    rig.tick().expect("Waiting 0 %");
    told(rig.state)
}

fn analysing() -> State {
    let mut spec = canary(&[10.0, 50.0]);
    spec.metrics.push(MetricSpec::at_most("duration", 500.0));
    spec.threshold = 5;
    let mut rig = Rig::new(&spec);
    rig.push(2)
        .until(|rig| rig.told == Traffic::Split(percent(10)))
        .run();
    rig.says = Sample::Value(f64::INFINITY);
    rig.tick().expect("Progressing 10 % failed 1");
    let mut state = told(rig.state);
    let memory = Memory::Numbers(vec![0.5, 3.0]);
    run(&mut state).memory.insert(String::from("duration"), memory);
    state
}

/// What the primary was before, and a series of either side.
fn comparing() -> State {
    let mut state = analysing();
    let memory = &mut run(&mut state).memory;
    let past = Past {
        primary: vec![0.25, 3.0],
        until: Timestamp::from_millis(120_000),
    };
    memory.insert(String::from("errors"), Memory::Past(past));
    let series = Series {
        canary: vec![1.0, 2.5],
        primary: vec![2.0],
    };
    memory.insert(String::from("queue"), Memory::Series(series));
    state
}

fn matching() -> State {
    let rule = MatchRule {
        headers: [(String::from("x-beta"), Text::Exact(String::from("yes")))].into(),
        ..MatchRule::default()
    };
    let spec = judged(Strategy::AbTest(AbTest {
        iterations: 3,
        rules: vec![rule],
    }));
    let mut rig = Rig::new(&spec);
    rig.push(2).until(|rig| rig.told == Traffic::Match).run();
    told(rig.state)
}

fn mirroring() -> State {
    let spec = judged(Strategy::BlueGreen(BlueGreen {
        iterations: 3,
        mirror: Some(20.0),
    }));
    let mut rig = Rig::new(&spec);
    rig.push(2)
        .until(|rig| rig.told == Traffic::Mirror(percent(20)))
        .run();
    told(rig.state)
}

fn withheld() -> State {
    let mut spec = canary(&[50.0]);
    spec.threshold = 3;
    let mut rig = Rig::new(&spec);
    rig.push(2)
        .until(|rig| rig.told == Traffic::Split(percent(50)))
        .run();
    rig.lost(Side::Canary).run().expect("Progressing 0 % failed 1");
    told(rig.state)
}

fn promoting() -> State {
    let mut rig = Rig::new(&canary(&[50.0]));
    rig.push(2).until(|rig| rig.phase() == Phase::Promoting).run();
    told(rig.state)
}

fn retreating() -> State {
    let mut spec = canary(&[50.0]);
    spec.gates = vec![Gate::new(GateKind::Rollback, "stop")];
    let mut rig = Rig::new(&spec);
    rig.answer("stop", false)
        .push(2)
        .until(|rig| rig.told == Traffic::Split(percent(50)))
        .run();
    rig.answer("stop", true)
        .until(|rig| rig.phase() == Phase::RollingBack);
    assert!(matches!(
        &rig.state.stage,
        Stage::Retreat(Retreat { end: End::Failed, .. })
    ));
    told(rig.state)
}

fn paused() -> State {
    let mut rig = Rig::new(&canary(&[50.0]));
    rig.push(2).run();
    rig.order("c-1", Order::Pause)
        .run()
        .expect("Progressing 0 % paused");
    assert_eq!(rig.state.outbox.len(), 2);
    planless(rig.state)
}

/// As after the notices were sent.
fn told(state: State) -> State {
    let mut state = planless(state);
    state.outbox = Vec::new();
    state
}

/// With a fixed name for the plan: what plans are called may change.
fn planless(mut state: State) -> State {
    if let Stage::Rollout(run) = &mut state.stage {
        run.plan = revision(0);
    }
    state
}

fn run(state: &mut State) -> &mut crate::rollout::Run {
    match &mut state.stage {
        Stage::Rollout(run) => run,
        stage => panic!("no run: {stage:?}"),
    }
}
