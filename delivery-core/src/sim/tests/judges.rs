//! Judges that test, in whole rollouts: how soon they act, what they hold, and what they say.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::analysis::{
    AfterHeld, Baseline, Compare, Direction, Evidence, MannWhitney, Memory, Objective, Terms, Verdict,
};
use crate::plan::JudgeSpec;
use crate::rollout::{Reason, Stage, explain};

const ERRORS: &str = "request-success-rate";

#[test]
fn a_test_finds_what_no_bound_sees() {
    // Five times the errors of the primary, and still above 99 %.
    let scenario = worse(1_000, 10, 50);
    let bounded = tell(&canary(), &scenario);
    bounded.ends(Phase::Succeeded, "v2");
    let tested = tell(&compared(), &scenario);
    tested.ends(Phase::Failed, "v1");
    tested.reads(
        "0s    Progressing 100/0
         1m0s  Progressing 90/10
         2m0s  Progressing 90/10
         3m0s  RollingBack 100/0
         3m0s  Failed      100/0",
    );
    tested.says("convicted by request-success-rate: request-success-rate fail: 60 of 12 000 requests failed on the canary, 108 of 108 000 on the primary; 5.0 times the rate (2.0 to 11); evidence 100 : 1, needed 100 : 1");
    let (bounded, tested) = (bounded.recording.users.errors, tested.recording.users.errors);
    assert!(tested < bounded, "{tested} errors, {bounded} with a bound");
}

#[test]
fn a_glance_convicts_at_once_and_moves_nothing_otherwise() {
    let often = looking(compared(), "5s");
    let dead = tell(&often, &worse(100, 0, 10_000));
    dead.reads(
        "0s     Progressing 100/0
         1m0s   Progressing 90/10
         1m10s  RollingBack 100/0
         1m10s  Failed      100/0",
    );
    let good = tell(&often, &worse(100, 10, 10));
    good.reads(
        "0s    Progressing 100/0
         1m0s  Progressing 90/10
         2m0s  Progressing 70/30
         3m0s  Progressing 50/50
         4m0s  Promoting   50/50
         5m0s  Finalising  100/0
         6m0s  Succeeded   100/0",
    );
}

#[test]
fn a_suspicion_holds_the_weight_but_not_for_ever() {
    // A single round says "suspect"; that takes so many rounds to convict that the limit on held rounds comes first.
    let held = |after_held| Spec {
        sequential: Terms {
            min_rounds: 50,
            hold: 1.05,
            held: Some(3),
            after_held,
            ..Terms::DEFAULT
        },
        ..compared()
    };
    let on = tell(&held(AfterHeld::GoOn), &worse(100, 10, 1_000));
    on.reads(
        "0s     Progressing 100/0
         1m0s   Progressing 90/10
         2m0s   Progressing 90/10
         3m0s   Progressing 90/10
         4m0s   Progressing 90/10
         5m0s   Progressing 70/30
         6m0s   Progressing 50/50
         7m0s   Promoting   50/50
         8m0s   Finalising  100/0
         9m0s   Succeeded   100/0",
    );
    on.says("checks passed: request-success-rate suspect:");
    let told = tell(&held(AfterHeld::RollBack), &worse(100, 10, 1_000));
    told.reads(
        "0s    Progressing 100/0
         1m0s  Progressing 90/10
         2m0s  Progressing 90/10
         3m0s  Progressing 90/10
         4m0s  Progressing 90/10
         5m0s  RollingBack 100/0
         5m0s  Failed      100/0",
    );
    told.says("suspicious, the weight is held: request-success-rate suspect:");
    told.says("sequential.held 3 reached");
}

#[test]
fn a_version_that_is_good_beyond_doubt_is_promoted_early_where_the_plan_says_so() {
    let objective = |early_promotion| Spec {
        metrics: vec![objective(1.0)],
        sequential: Terms {
            early_promotion,
            ..Terms::DEFAULT
        },
        gates: vec![Gate::new(GateKind::ConfirmPromotion, "promote")],
        ..canary()
    };
    let scenario = worse(1_000, 0, 0);
    tell(&objective(true), &scenario).reads(
        "0s    Progressing 100/0
         1m0s  Progressing 90/10
         2m0s  Progressing 90/10
         2m0s  Promoting   90/10
         3m0s  Finalising  100/0
         4m0s  Succeeded   100/0",
    );
    let told = tell(&objective(true), &scenario);
    told.says("good beyond doubt, promoted early");
    let whole = tell(&objective(false), &scenario);
    assert!(whole.recording.took > told.recording.took, "{}", whole.text());
    // A bound that has an objection is heard.
    let slow = Version {
        p50: after("600ms"),
        p99: after("900ms"),
        ..Version::GOOD
    };
    let mut mixed = objective(true);
    mixed.metrics.push(MetricSpec::at_most("request-duration", 500.0));
    tell(&mixed, &v2(slow)).ends(Phase::Failed, "v1");
}

#[test]
fn tests_and_bounds_judge_together() {
    let mut spec = compared();
    spec.metrics.push(MetricSpec::at_most("request-duration", 500.0));
    tell(&spec, &worse(100, 10, 10)).ends(Phase::Succeeded, "v2");
    let slow = Version {
        p50: after("600ms"),
        p99: after("900ms"),
        ..Version::GOOD
    };
    let told = tell(&spec, &v2(slow));
    told.ends(Phase::Failed, "v1");
    told.says("threshold 2 reached");
}

#[test]
fn slow_requests_are_errors_of_an_objective() {
    let bound = |slower_than| Spec {
        metrics: vec![MetricSpec::judged(
            "request-duration",
            JudgeSpec::Objective(Objective {
                max_error_rate: 1.0,
                slower_than: Some(slower_than),
                share: 1.0,
            }),
        )],
        on_nothing: OnNothing::Hold,
        errors: Some(2),
        ..canary()
    };
    let slow = Version {
        p99: after("400ms"),
        ..Version::GOOD
    };
    // A good version's P99 is 80 ms.
    let told = tell(&bound(80.0), &v2(slow));
    told.ends(Phase::Failed, "v1");
    told.says("requests were slower than 80 on the canary, 1.0 % may");
    let refused = tell(&bound(100.0), &v2(Version::GOOD));
    refused.ends(Phase::Failed, "v1");
    refused.says("slowerThan 100 is no bound of the histogram's buckets: the nearest are 80 and 160");
}

#[test]
fn two_series_are_compared_once_at_the_end() {
    let spec = Spec {
        metrics: vec![MetricSpec::judged(
            "queue-depth",
            JudgeSpec::MannWhitney(MannWhitney {
                direction: Direction::Increase,
                ..MannWhitney::default()
            }),
        )],
        strategy: Strategy::Canary(Canary {
            step_weights: vec![10.0, 20.0, 30.0, 40.0, 50.0],
            ..Canary::default()
        }),
        ..canary()
    };
    let depth = |canary: f64| {
        let version = |depth| Version {
            values: [(String::from("queue-depth"), depth)].into(),
            ..Version::GOOD
        };
        v2(version(canary)).version(revision("v1"), version(10.0))
    };
    tell(&spec, &depth(9.0)).ends(Phase::Succeeded, "v2");
    let deeper = tell(&spec, &depth(20.0));
    deeper.ends(Phase::Failed, "v1");
    deeper.says("Progressing       50/50");
    deeper.says("5 points a side, the canary is higher than the primary: shifted by 10 (10 to 10)");
    // Fewer than five rounds are nothing to judge.
    let short = Spec {
        strategy: canary().strategy,
        ..spec
    };
    let told = tell(&short, &depth(9.0));
    told.says("3 points a side, too few to compare (needs 5)");
}

#[test]
fn a_good_version_that_gets_all_the_traffic_is_promoted_whoever_compares() {
    let baseline = JudgeSpec::Baseline(Baseline {
        max_ratio: Some(1.5),
        max_difference: Some(1.0),
        higher_is_better: false,
        quantile: 0.99,
    });
    let series = JudgeSpec::MannWhitney(MannWhitney {
        direction: Direction::Increase,
        ..MannWhitney::default()
    });
    let to_the_whole = Strategy::Canary(Canary {
        step_weight: Some(10.0),
        ..Canary::default()
    });
    let blue_green = Strategy::BlueGreen(BlueGreen {
        iterations: 6,
        mirror: None,
    });
    let mirrored = Strategy::BlueGreen(BlueGreen {
        iterations: 6,
        mirror: Some(50.0),
    });
    let judges = [JudgeSpec::Compare(Compare::default()), baseline, series];
    for strategy in [to_the_whole, blue_green, mirrored] {
        for judge in &judges {
            let spec = Spec {
                strategy: strategy.clone(),
                metrics: vec![MetricSpec::judged(ERRORS, judge.clone())],
                ..canary()
            };
            let loaded = |scenario: Scenario| Scenario {
                load_test: 20.into(),
                ..scenario
            };
            let good = tell(&spec, &loaded(worse(100, 100, 100)));
            good.ends(Phase::Succeeded, "v2");
            let bad = tell(&spec, &loaded(worse(100, 100, 6_000)));
            bad.ends(Phase::Failed, "v1");
        }
    }
}

/// At a gate that denies, what runs is judged again and again.
#[test]
fn a_good_version_that_waits_for_its_promotion_with_all_the_traffic_is_not_refused() {
    let baseline = JudgeSpec::Baseline(Baseline {
        max_ratio: Some(1.5),
        max_difference: Some(1.0),
        higher_is_better: false,
        quantile: 0.99,
    });
    let gate = Gate::new(GateKind::ConfirmPromotion, "boss");
    for judge in [baseline, JudgeSpec::Compare(Compare::default())] {
        let spec = Spec {
            strategy: Strategy::Canary(Canary {
                step_weight: Some(50.0),
                ..Canary::default()
            }),
            metrics: vec![MetricSpec::judged(ERRORS, judge)],
            gates: vec![gate.clone()],
            ..canary()
        };
        let scenario = Scenario {
            gates: vec![GateAnswer {
                kind: Some(GateKind::ConfirmPromotion),
                until: Some(after("20m")),
                says: Says::Deny,
                ..GateAnswer::default()
            }],
            ..worse(100, 100, 100)
        };
        tell(&spec, &scenario).ends(Phase::Succeeded, "v2");
    }
}

#[test]
fn a_primary_whose_errors_come_in_bursts_is_known_by_its_past() {
    let scenario = Scenario {
        happenings: vec![Happening::push(after("2h"), revision("v2"))],
        ..worse(100, 10, 10)
    };
    let told = tell(&compared(), &scenario);
    told.ends(Phase::Succeeded, "v2");
    let judged = told
        .recording
        .rows
        .iter()
        .find_map(|it| it.reason.evidence().first())
        .unwrap();
    // 60 windows of a minute with 6 errors each.
    assert!(!judged.against.contains("bursts"), "{judged}");
    let unknown = tell(&compared(), &worse(100, 10, 10));
    unknown.says("bursts known from only");
    // A source that cannot say what was is no reason to believe that nothing was.
    let blind = Scenario {
        faults: vec![outage(Fault::Metrics, "0s", "10m")],
        ..worse(100, 10, 10)
    };
    let told = tell(&compared(), &blind);
    told.says("history of the primary: measuring the past: unreachable");
}

#[test]
fn the_explanation_tells_the_evidence() {
    let spec = Spec {
        strategy: Strategy::Steps(vec![
            crate::plan::Step::Scale {
                scale: crate::plan::Scale::LikePrimary,
                dwell: Duration::ZERO,
            },
            crate::plan::Step::Shift {
                weight: percent(10),
                dwell: Duration::ZERO,
            },
            crate::plan::Step::Analyse { rounds: 1 },
            crate::plan::Step::Pause { lasts: None },
            crate::plan::Step::Promote {
                dwell: Duration::ZERO,
            },
            crate::plan::Step::Settle {
                drain: Duration::ZERO,
            },
        ]),
        ..compared()
    };
    let told = tell(&spec, &worse(100, 100, 100));
    let plan = plan(&spec);
    let text = explain(&plan, &told.recording.state, None);
    assert!(
        text.contains("Last check: request-success-rate pass: 6 of 600 requests failed on the canary, 54 of 5 400 on the primary"),
        "{text}"
    );
}

#[test]
fn other_terms_begin_a_new_account() {
    let strict = Spec {
        metrics: vec![comparison(1.0)],
        ..compared()
    };
    let (old, new) = (plan(&compared()), plan(&strict));
    let scenario = worse(1_000, 10, 10);
    let world = World::new(&scenario);
    let commands = Vec::new();
    let mut rounds = Vec::new();
    for (plan, until) in [(&old, "2m30s"), (&new, "3m30s")] {
        while world.now() < at(until) {
            let advanced = ready(crate::advance(plan, &world.ports(), &commands)).unwrap();
            world.advance_to(
                advanced
                    .until
                    .into_iter()
                    .chain(world.next_change())
                    .min()
                    .unwrap(),
            );
        }
        let state = ready(crate::port::StateStore::load(&world))
            .unwrap()
            .unwrap()
            .state;
        let Stage::Rollout(run) = &state.stage else {
            panic!("{state:?}")
        };
        let Some(Memory::Account(account)) = run.memory.get(ERRORS) else {
            panic!("{run:?}")
        };
        rounds.push(account.wealth.rounds());
    }
    assert_eq!(rounds, [1, 1]);
}

// Crashes

/// Whatever is cut off in the middle of an analysis, at whichever port call: every verdict and all evidence stay.
#[test]
fn a_crash_in_an_analysis_changes_neither_verdict_nor_evidence() {
    let specs = [compared(), looking(both(), "20s")];
    let scenarios = [worse(300, 10, 30), worse(300, 10, 10), worse(300, 10, 2_000)];
    let mut crashes = 0;
    for spec in &specs {
        let plan = plan(spec);
        for scenario in &scenarios {
            let undisturbed = evidence(&play(&plan, &World::new(scenario)));
            assert!(undisturbed.len() > 1, "{undisturbed:?}");
            for call in 1..=run(&plan, scenario).calls {
                for moment in [Crash::Before, Crash::After] {
                    let world = World::new(scenario);
                    world.crash_at(call, moment);
                    assert_eq!(
                        evidence(&play(&plan, &world)),
                        undisturbed,
                        "{moment:?} call {call}"
                    );
                    crashes += 1;
                }
            }
        }
    }
    assert!(crashes > 500, "{crashes} crashes are too few to mean much");
}

/// A controller that comes back late judges the window that was due, not a longer one.
#[test]
fn a_controller_that_comes_back_late_finds_the_same_evidence() {
    let plan = plan(&compared());
    let scenario = worse(1_000, 10, 50);
    let said = |late: Duration| {
        let world = World::new(&scenario);
        let commands = Vec::new();
        loop {
            let advanced = ready(crate::advance(&plan, &world.ports(), &commands)).unwrap();
            if let Stage::Rollout(run) = &advanced.state.stage
                && let Some(evidence) = run.evidence.first()
            {
                return (evidence.clone(), run.memory.clone());
            }
            let next = advanced
                .until
                .into_iter()
                .chain(world.next_change())
                .min()
                .unwrap();
            // The first round is due after two minutes.
            let next = if next == at("2m") { next.after(late) } else { next };
            world.advance_to(next);
        }
    };
    let in_time = said(Duration::ZERO);
    assert_eq!(in_time.0.verdict, Verdict::Suspect);
    assert_eq!(said(after("25s")), in_time);
}

#[test]
fn what_a_test_remembers_is_small_and_comes_back_to_the_bit() {
    let spec = looking(both(), "5s");
    let plan = plan(&spec);
    let scenario = worse(1_000_000, 1, 1);
    let world = World::new(&scenario);
    let commands = Vec::new();
    let mut sizes = Vec::new();
    while world.now() < at("4m30s") {
        let advanced = ready(crate::advance(&plan, &world.ports(), &commands)).unwrap();
        if let Stage::Rollout(run) = &advanced.state.stage {
            for memory in run.memory.values() {
                let text = serde_json::to_string(memory).unwrap();
                assert_eq!(&serde_json::from_str::<Memory>(&text).unwrap(), memory);
                sizes.push(text.len());
            }
        }
        world.advance_to(
            advanced
                .until
                .into_iter()
                .chain(world.next_change())
                .min()
                .unwrap(),
        );
    }
    let largest = sizes.iter().max().unwrap();
    assert!(*largest < 1_024, "{largest} bytes");
}

/// Everything that was said about the metrics, in order, and when.
fn evidence(recording: &Recording) -> Vec<(Timestamp, Vec<Evidence>)> {
    let said = |it: &Row| {
        let evidence = it.reason.evidence();
        (!evidence.is_empty()).then(|| (it.at, evidence.to_vec()))
    };
    let mut said: Vec<_> = recording.rows.iter().filter_map(said).collect();
    if let Stage::Idle(crate::rollout::Idle::Failed {
        why: why @ Reason::Convicted { .. },
        ..
    }) = &recording.state.stage
    {
        said.push((START, why.evidence().to_vec()));
    }
    said
}

fn compared() -> Spec {
    Spec {
        metrics: vec![comparison(1.25)],
        ..canary()
    }
}

fn both() -> Spec {
    let mut spec = compared();
    let mut second = objective(1.0);
    second.name = String::from("request-duration");
    second.judge = JudgeSpec::Objective(Objective {
        max_error_rate: 2.0,
        slower_than: Some(80.0),
        share: 0.5,
    });
    spec.metrics.push(second);
    spec
}

fn comparison(ratio: f64) -> MetricSpec {
    let judge = Compare {
        ratio,
        ..Compare::default()
    };
    MetricSpec::judged(ERRORS, JudgeSpec::Compare(judge))
}

fn objective(max_error_rate: f64) -> MetricSpec {
    let judge = Objective {
        max_error_rate,
        slower_than: None,
        share: 1.0,
    };
    MetricSpec::judged(ERRORS, JudgeSpec::Objective(judge))
}

fn looking(spec: Spec, look: &str) -> Spec {
    let sequential = Terms {
        look: Some(after(look)),
        ..spec.sequential
    };
    Spec { sequential, ..spec }
}

/// `v1` and `v2` fail so many of 10 000 requests.
fn worse(requests_per_second: u32, primary: u16, canary: u16) -> Scenario {
    let version = |errors: u16| Version {
        errors: Weight::hundredths(errors.into()).unwrap(),
        ..Version::GOOD
    };
    Scenario {
        requests_per_second: requests_per_second.into(),
        load_test: Rate::ZERO,
        ..v2(version(canary))
    }
    .version(revision("v1"), version(primary))
}
