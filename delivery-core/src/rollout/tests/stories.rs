//! Rollouts as scripts: what happens, and what is seen then. A word that the helper does not know is refused.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::anomalies::{Rig, canary, judged};
use crate::analysis::{Act, OnNothing};
use crate::plan::{
    AbTest, BlueGreen, Fallback, Gate, GateKind, MatchRule, MirrorFirst, Spec, Strategy, Text,
};
use crate::rollout::{Order, Side};

// ---- strategies

#[test]
fn a_good_canary_is_promoted() {
    trace(
        &canary(&[10.0, 50.0]),
        "
        tick 3       -> Initialized   0 %
        push 2       -> Progressing   0 %
        tick         -> Progressing  10 %
        tick         -> Progressing  50 %
        tick         -> Promoting    50 %
        tick         -> Finalising    0 %
        tick         -> Succeeded     0 %
        tick 10      -> Succeeded     0 %
    ",
    );
}

#[test]
fn a_bad_canary_is_rolled_back_and_not_tried_again() {
    trace(
        &canary(&[10.0, 50.0]),
        "
        push 2       -> Progressing   0 %
        tick         -> Progressing  10 %
        bad, tick    -> Progressing  10 % failed 1
        tick         -> Failed        0 %           | all traffic is back at the primary
        good, tick 9 -> Failed        0 %
        push 3       -> Progressing   0 %
    ",
    );
}

#[test]
fn a_bad_round_is_not_forgiven_by_a_good_one() {
    let spec = Spec {
        threshold: 2,
        ..canary(&[10.0, 30.0, 50.0])
    };
    trace(
        &spec,
        "
        push 2       -> Progressing   0 %
        tick         -> Progressing  10 %
        bad, tick    -> Progressing  10 % failed 1  | checks failed: success 90, wanted at least 99
        good, tick   -> Progressing  30 % failed 1
        bad, tick    -> Progressing  30 % failed 2
        good, tick   -> Failed        0 %
    ",
    );
}

#[test]
fn blue_green_switches_after_its_rounds() {
    let spec = judged(Strategy::BlueGreen(BlueGreen {
        iterations: 2,
        mirror: None,
    }));
    trace(
        &spec,
        "
        push 2       -> Progressing   0 %
        tick         -> Progressing   0 % round 1
        tick         -> Progressing   0 % round 2
        tick         -> Progressing 100 % round 3
        tick         -> Promoting   100 % round 3
        tick         -> Finalising    0 % round 3
        tick         -> Succeeded     0 %
    ",
    );
}

#[test]
fn blue_green_goes_back_after_the_switch() {
    let spec = judged(Strategy::BlueGreen(BlueGreen {
        iterations: 1,
        mirror: Some(20.0),
    }));
    trace(
        &spec,
        "
        push 2       -> Progressing   0 %
        tick         -> Progressing mirror 20 % round 1
        tick         -> Progressing 100 % round 2
        bad, tick    -> Progressing 100 % round 2 failed 1
        tick         -> Failed        0 %
    ",
    );
}

#[test]
fn an_ab_test_keeps_its_rules_until_it_is_promoted() {
    let rule = MatchRule {
        headers: [(String::from("x-beta"), Text::Exact(String::from("yes")))].into(),
        ..MatchRule::default()
    };
    let spec = judged(Strategy::AbTest(AbTest {
        iterations: 2,
        rules: vec![rule],
    }));
    trace(
        &spec,
        "
        push 2       -> Progressing   0 %
        tick         -> Progressing match round 1
        bad, good    -> Progressing match round 1
        tick         -> Progressing match round 2
        tick         -> Promoting   match round 2
        tick         -> Finalising    0 % round 2
        tick         -> Succeeded     0 %
    ",
    );
}

#[test]
fn mirroring_comes_before_the_first_weight() {
    let first = match canary(&[50.0]).strategy {
        Strategy::Canary(canary) => MirrorFirst { share: 100.0, canary },
        strategy => panic!("{strategy:?}"),
    };
    trace(
        &judged(Strategy::MirrorFirst(first)),
        "
        push 2       -> Progressing   0 %
        tick         -> Progressing mirror 100 %
        tick         -> Progressing  50 %
        tick         -> Promoting    50 %
    ",
    );
}

// ---- gates

#[test]
fn nothing_moves_before_the_rollout_is_confirmed() {
    trace(
        &gated(Gate::new(GateKind::ConfirmRollout, "boss")),
        "
        no boss, push 2 -> Waiting       0 %        | confirm-rollout boss denied: not yet
        tick 10         -> Waiting       0 %
        yes boss, tick  -> Progressing   0 %        | confirm-rollout boss approved
        tick            -> Progressing  10 %
    ",
    );
}

#[test]
fn an_increase_that_is_not_confirmed_holds_the_weight_and_is_judged() {
    trace(
        &gated(Gate::new(GateKind::ConfirmTrafficIncrease, "boss")),
        "
        no boss, push 2 -> Progressing   0 %
        tick 3          -> Progressing   0 %
        yes boss, tick  -> Progressing  10 %
        no boss, tick 3 -> Progressing  10 %
        yes boss, tick  -> Progressing  50 %
        no boss, tick   -> Progressing  50 %
        bad, tick       -> Progressing  50 % failed 1
        tick            -> Failed        0 %
    ",
    );
}

#[test]
fn a_promotion_that_is_not_confirmed_waits_and_is_judged() {
    trace(
        &gated(Gate::new(GateKind::ConfirmPromotion, "boss")),
        "
        no boss, push 2 -> Progressing   0 %
        tick 2          -> Progressing  50 %
        tick            -> WaitingPromotion 50 %
        tick 5          -> WaitingPromotion 50 %
        yes boss, tick  -> Promoting    50 %
    ",
    );
    trace(
        &gated(Gate::new(GateKind::ConfirmPromotion, "boss")),
        "
        no boss, push 2 -> Progressing   0 %
        tick 3          -> WaitingPromotion 50 %
        bad, tick       -> WaitingPromotion 50 % failed 1
        good, tick      -> Failed        0 %
    ",
    );
}

#[test]
fn a_gate_that_cannot_be_asked_has_not_approved() {
    trace(
        &gated(Gate::new(GateKind::ConfirmRollout, "boss")),
        "
        push 2          -> Waiting       0 %        | confirm-rollout boss denied: nobody there
        tick            -> Waiting       0 %
    ",
    );
}

#[test]
fn a_gate_before_the_traffic_that_denies_is_a_failed_check() {
    trace(
        &gated(Gate::new(GateKind::PreRollout, "smoke")),
        "
        no smoke, push 2 -> Progressing   0 %
        tick             -> Progressing   0 % failed 1 | pre-rollout smoke denied: not yet
        tick             -> Failed        0 %
    ",
    );
}

#[test]
fn somebody_who_wants_a_rollback_gets_it() {
    trace(
        &gated(Gate::new(GateKind::Rollback, "stop")),
        "
        no stop, push 2 -> Progressing   0 %
        tick            -> Progressing  10 %
        yes stop, tick  -> Failed        0 %
        no stop, tick 5 -> Failed        0 %
    ",
    );
}

#[test]
fn without_an_answer_the_default_counts() {
    let gate = |default| Gate {
        deadline: Some(Duration::from_secs(90)),
        default,
        ..Gate::new(GateKind::ConfirmRollout, "boss")
    };
    trace(
        &gated(gate(Fallback::Reject)),
        "
        no boss, push 2 -> Waiting       0 %
        tick            -> Waiting       0 %
        tick            -> Failed        0 %
    ",
    );
    trace(&gated(gate(Fallback::Approve)), "
        no boss, push 2 -> Waiting       0 %
        tick            -> Waiting       0 %
        tick            -> Progressing   0 %        | confirm-rollout boss gave no answer in time: approved by default
    ");
}

// ---- commands

#[test]
fn a_pause_holds_everything_until_it_is_resumed() {
    trace(
        &canary(&[10.0, 50.0]),
        "
        push 2            -> Progressing   0 %
        tick              -> Progressing  10 %
        order pause c1    -> Progressing  10 % paused | ann: pause
        tick 20           -> Progressing  10 % paused
        crash, tick       -> Progressing  10 % paused
        order resume c2   -> Progressing  50 %
    ",
    );
}

#[test]
fn a_command_given_twice_is_one_command() {
    trace(
        &canary(&[10.0, 50.0]),
        "
        push 2            -> Progressing   0 %
        order pause c1    -> Progressing   0 % paused
        order resume c2   -> Progressing   0 %
        order pause c1    -> Progressing   0 %
        tick              -> Progressing  10 %
        order pause c1    -> Progressing  10 %
    ",
    );
}

#[test]
fn an_abort_refuses_the_revision_until_a_retry() {
    trace(
        &canary(&[10.0, 50.0]),
        "
        push 2            -> Progressing   0 %
        tick              -> Progressing  10 %
        order abort c1    -> Failed        0 %
        tick 5            -> Failed        0 %
        order retry c2    -> Progressing   0 %
        tick              -> Progressing  10 %
    ",
    );
}

#[test]
fn a_promotion_by_command_skips_what_is_left() {
    trace(&canary(&[10.0, 50.0]), "
        push 2            -> Progressing   0 %
        tick              -> Progressing  10 %
        order promote c1  -> Promoting    10 %        | ann: promote
        order promote c2  -> Promoting    10 %        | ann: promote, ignored: the primary is taking the revision already
        tick              -> Finalising    0 %
        tick              -> Succeeded     0 %
    ");
}

#[test]
fn a_promotion_by_command_does_not_skip_readiness() {
    trace(&canary(&[10.0, 50.0]), "
        order promote c1  -> Initialized   0 % | ann: promote, ignored: nothing is being rolled out
        canary lost, push 2 -> Progressing 0 %
        order promote c2  -> Progressing   0 % | ann: promote, ignored: the canary was not observed ready on the wanted revision
        canary ready      -> Progressing   0 %
        order promote c2  -> Progressing   0 %
        order promote c3  -> Promoting     0 %
    ");
}

#[test]
fn an_approval_by_command_is_for_the_present_gate() {
    trace(
        &gated(Gate::new(GateKind::ConfirmRollout, "boss")),
        "
        order approve c1  -> Initialized   0 % | ann: approve, ignored: nothing waits for an approval
        no boss, push 2   -> Waiting       0 %
        order approve c2  -> Progressing   0 %
    ",
    );
}

// ---- plans that change, revisions that change

#[test]
fn a_plan_that_was_edited_goes_on_at_its_place() {
    trace(
        &canary(&[10.0, 50.0]),
        "
        push 2            -> Progressing   0 %
        tick              -> Progressing  10 %
        edit 10 40        -> Progressing  10 %
        tick              -> Progressing  40 %
        edit 20 60        -> Progressing  40 %
        tick              -> Progressing  60 %
        tick              -> Promoting    60 %
        edit 5            -> Promoting    60 %
        tick              -> Finalising    0 %
        tick              -> Succeeded     0 %
    ",
    );
}

#[test]
fn a_newer_revision_begins_again_without_traffic() {
    trace(
        &canary(&[10.0, 50.0]),
        "
        push 2            -> Progressing   0 %
        tick 2            -> Progressing  50 %
        push 3            -> Progressing   0 %
        tick              -> Progressing  10 %
        push 1            -> Initialized   0 %
        tick 5            -> Initialized   0 %
    ",
    );
}

// ---- the failure budget

#[test]
fn nothing_to_judge_is_a_failed_check_unless_the_plan_holds() {
    trace(
        &canary(&[10.0, 50.0]),
        "
        push 2            -> Progressing   0 %
        tick              -> Progressing  10 %
        empty, tick       -> Progressing  10 % failed 1 inconclusive 1
        tick              -> Failed        0 % inconclusive 1
    ",
    );
    let hold = Spec {
        on_nothing: OnNothing::Hold,
        ..canary(&[10.0, 50.0])
    };
    trace(
        &hold,
        "
        push 2            -> Progressing   0 %
        tick              -> Progressing  10 %
        empty, tick       -> Progressing  10 % inconclusive 1 | nothing to judge: success: no data
        tick 49           -> Progressing  10 % inconclusive 50
        good, tick        -> Progressing  50 % inconclusive 50
    ",
    );
}

#[test]
fn what_is_held_has_limits_of_its_own() {
    let hold = Spec {
        on_nothing: OnNothing::Hold,
        inconclusive: Some(3),
        errors: Some(2),
        ..canary(&[10.0, 50.0])
    };
    trace(
        &hold,
        "
        push 2            -> Progressing   0 %
        tick              -> Progressing  10 %
        empty, tick 3     -> Progressing  10 % inconclusive 3
        good, tick        -> Failed        0 % inconclusive 3
    ",
    );
    trace(
        &hold,
        "
        push 2            -> Progressing   0 %
        tick              -> Progressing  10 %
        unreachable, tick -> Progressing  10 % errors 1
        empty, tick 2     -> Progressing  10 % inconclusive 2 errors 1
        unreachable, tick -> Progressing  10 % inconclusive 2 errors 2
        good, tick        -> Failed        0 % inconclusive 2 errors 2
    ",
    );
}

#[test]
fn failures_in_a_row_have_a_limit_of_their_own() {
    let spec = Spec {
        threshold: 10,
        consecutive: Some(2),
        ..canary(&[10.0, 30.0, 50.0])
    };
    trace(
        &spec,
        "
        push 2            -> Progressing   0 %
        tick              -> Progressing  10 %
        bad, tick         -> Progressing  10 % failed 1
        good, tick        -> Progressing  30 % failed 1
        bad, tick         -> Progressing  30 % failed 2
        tick              -> Progressing  30 % failed 3
        tick              -> Failed        0 %
    ",
    );
}

#[test]
fn an_exhausted_budget_may_be_acted_upon_at_once() {
    let spec = Spec {
        act: Some(Act::AtOnce),
        ..canary(&[10.0, 50.0])
    };
    trace(
        &spec,
        "
        push 2            -> Progressing   0 %
        tick              -> Progressing  10 %
        bad, tick         -> Failed        0 %
    ",
    );
}

// ---- the world

#[test]
fn a_weight_is_judged_only_while_it_is_in_force() {
    trace(
        &canary(&[10.0, 50.0]),
        "
        push 2              -> Progressing   0 %
        router lags, tick   -> Progressing  10 %
        tick 5              -> Progressing  10 %
        router works        -> Progressing  10 %
        tick                -> Progressing  10 %
        tick                -> Progressing  50 %
    ",
    );
}

#[test]
fn a_canary_that_is_not_ready_in_time_fails() {
    trace(
        &canary(&[10.0, 50.0]),
        "
        canary lost, push 2 -> Progressing   0 %
        tick 9              -> Progressing   0 %
        tick                -> Failed        0 %
    ",
    );
}

#[test]
fn a_canary_that_serves_nothing_gets_nothing_until_it_is_ready_again() {
    let spec = Spec {
        threshold: 3,
        ..canary(&[10.0, 50.0])
    };
    trace(
        &spec,
        "
        push 2               -> Progressing   0 %
        tick                 -> Progressing  10 %
        canary lost          -> Progressing   0 % failed 1  | the canary serves nothing: its traffic waits at the primary
        tick 5               -> Progressing   0 % failed 1
        canary ready         -> Progressing  10 % failed 1
        tick                 -> Progressing  50 % failed 1
        canary lost          -> Progressing   0 % failed 2
        canary ready         -> Progressing  50 % failed 2
        canary lost          -> Failed        0 %           | all traffic is back at the primary
    ",
    );
}

#[test]
fn a_promotion_whose_primary_never_comes_up_leaves_the_canary_serving() {
    trace(&canary(&[10.0, 50.0]), "
        push 2              -> Progressing   0 %
        tick 3              -> Promoting    50 %
        primary lost, tick  -> Promoting    50 %
        tick 10             -> Failed      100 % | promotion failed, primary not ready in time: the canary serves
        tick 10             -> Failed      100 %
        primary ready, push 3 -> Progressing 0 %
    ");
}

// ---- what no waiting stops

#[test]
fn a_pause_leaves_no_traffic_with_a_dead_canary() {
    let spec = Spec {
        threshold: 2,
        ..canary(&[10.0, 50.0])
    };
    trace(
        &spec,
        "
        push 2              -> Progressing   0 %
        tick                -> Progressing  10 %
        order pause c1      -> Progressing  10 % paused
        canary lost         -> Progressing   0 % failed 1 paused | the canary serves nothing: its traffic waits at the primary
        canary ready, tick  -> Progressing   0 % failed 1 paused
        order resume c2     -> Progressing  10 % failed 1
    ",
    );
}

#[test]
fn a_pause_does_not_keep_what_nobody_wants() {
    trace(
        &canary(&[10.0, 50.0]),
        "
        push 2              -> Progressing   0 %
        tick                -> Progressing  10 %
        order pause c1      -> Progressing  10 % paused
        push 1              -> Initialized   0 % paused
        push 3, tick 3      -> Initialized   0 % paused
        order resume c2     -> Progressing   0 %
    ",
    );
}

#[test]
fn a_newer_revision_ends_a_paused_run_and_begins_after_the_pause() {
    trace(
        &canary(&[10.0, 50.0]),
        "
        push 2              -> Progressing   0 %
        tick                -> Progressing  10 %
        order pause c1      -> Progressing  10 % paused
        push 3              -> Initialized   0 % paused
        tick 5              -> Initialized   0 % paused
        order resume c2     -> Progressing   0 %
        tick                -> Progressing  10 %
    ",
    );
}

#[test]
fn a_paused_canary_that_is_not_ready_in_time_fails() {
    trace(
        &canary(&[10.0, 50.0]),
        "
        canary lost, push 2 -> Progressing   0 %
        order pause c1      -> Progressing   0 % paused
        tick 9              -> Progressing   0 % paused
        tick                -> Failed        0 % paused | all traffic is back at the primary
    ",
    );
}

#[test]
fn a_rollback_is_asked_for_while_a_run_waits() {
    let stop = Gate::new(GateKind::Rollback, "stop");
    trace(
        &gated(stop.clone()),
        "
        no stop, push 2     -> Progressing   0 %
        tick                -> Progressing  10 %
        order pause c1      -> Progressing  10 % paused
        tick 3              -> Progressing  10 % paused
        yes stop, tick      -> Failed        0 % paused
    ",
    );
    trace(
        &gated(stop),
        "
        no stop, push 2     -> Progressing   0 %
        tick 3              -> Promoting    50 %
        primary lost, tick  -> Promoting    50 %
        yes stop, tick      -> RollingBack  50 % | rollback stop asked for a rollback
        primary ready       -> Failed        0 %
    ",
    );
}

#[test]
fn a_promotion_is_broken_off_when_the_revision_is_withdrawn() {
    trace(
        &canary(&[10.0]),
        "
        push 2              -> Progressing   0 %
        tick 2              -> Promoting    10 %
        push 1              -> Initialized   0 %
        tick 3              -> Initialized   0 %
    ",
    );
}

#[test]
fn a_promotion_can_be_aborted() {
    trace(
        &canary(&[10.0]),
        "
        push 2              -> Progressing   0 %
        tick 3              -> Finalising    0 %
        order abort c1      -> Failed        0 %
        tick 3              -> Failed        0 %
    ",
    );
}

// ---- the helper

#[test]
#[should_panic(expected = "no such word: canery lost")]
fn a_word_that_nobody_knows_is_refused() {
    trace(&canary(&[10.0]), "canery lost -> Initialized 0 %");
}

#[test]
#[should_panic(expected = "what is seen after this?")]
fn a_line_without_an_expectation_is_refused() {
    trace(&canary(&[10.0]), "push 2 > Progressing 0 %");
}

fn gated(gate: Gate) -> Spec {
    Spec {
        gates: vec![gate],
        ..canary(&[10.0, 50.0])
    }
}

/// Each line: what happens, `->`, phase, canary's share and checks then, and, after `|`, what people were told last.
fn trace(spec: &Spec, script: &str) {
    let mut rig = Rig::new(spec);
    for line in script.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let Some((words, seen)) = line.split_once("->") else {
            panic!("what is seen after this? {line}");
        };
        for word in words.split(',') {
            happen(&mut rig, spec, word.trim());
        }
        rig.run();
        let (seen, told) = seen
            .split_once('|')
            .map_or((seen, None), |(seen, told)| (seen, Some(told.trim())));
        let seen = seen.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(rig.line(), seen, "after: {line}\nwhy: {:?}", rig.why);
        if let Some(told) = told {
            let last = rig.state.outbox.last().map(|it| it.reason.to_string());
            assert_eq!(last.as_deref(), Some(told), "after: {line}");
        }
    }
}

fn happen(rig: &mut Rig, spec: &Spec, word: &str) {
    let (verb, rest) = word.split_once(' ').unwrap_or((word, ""));
    let number = || {
        rest.parse::<u32>()
            .unwrap_or_else(|_| panic!("no such word: {word}"))
    };
    match (verb, rest) {
        ("push", _) => rig.push(number()),
        ("tick", "") => rig.tick(),
        ("tick", _) => {
            for _ in 0..number() {
                rig.tick();
            }
            rig
        }
        ("good", "") => rig.good(),
        ("bad", "") => rig.bad(),
        ("empty", "") => rig.empty(),
        ("unreachable", "") => rig.unreachable(),
        ("yes", gate @ ("boss" | "smoke" | "stop")) => rig.answer(gate, true),
        ("no", gate @ ("boss" | "smoke" | "stop")) => rig.answer(gate, false),
        ("primary", "lost") => rig.lost(Side::Primary),
        ("primary", "ready") => rig.found(Side::Primary),
        ("canary", "lost") => rig.lost(Side::Canary),
        ("canary", "ready") => rig.found(Side::Canary),
        ("router", state @ ("lags" | "works")) => {
            rig.lags = state == "lags";
            rig
        }
        ("crash", "") => rig.crash(),
        ("edit", weights) => {
            let weights = weights
                .split(' ')
                .map(|it| it.parse().unwrap_or_else(|_| panic!("no such word: {word}")));
            let weights: Vec<f64> = weights.collect();
            rig.edit(&Spec {
                strategy: canary(&weights).strategy,
                ..spec.clone()
            })
        }
        ("order", order) => {
            let Some((order, id)) = order.split_once(' ') else {
                panic!("no such word: {word}")
            };
            let orders = [
                Order::Approve,
                Order::Promote,
                Order::Pause,
                Order::Resume,
                Order::Abort,
                Order::Retry,
            ];
            let Some(order) = orders.into_iter().find(|it| it.to_string() == order) else {
                panic!("no such word: {word}")
            };
            rig.order(id, order)
        }
        _ => panic!("no such word: {word}"),
    };
}
