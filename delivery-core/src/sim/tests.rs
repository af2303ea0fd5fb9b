//! Stories: what a scenario says happens, and what the rollout makes of it.

mod clock;
mod judges;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::analysis::{Nothing, OnNothing, Sample, Tally, Window};
use crate::plan::{
    AbTest, BlueGreen, Canary, Capabilities, Gate, GateKind, MatchRule, MetricSpec, MirrorFirst, Plan, Spec,
    Strategy, Text,
};
use crate::port::{Clock, Measure, MetricSource, Traffic, TrafficRouter, Workload};
use crate::rollout::{Order, Phase};
use crate::time::parse_interval;
use crate::{Revision, Timestamp, Weight};

// Judged

#[test]
fn a_good_version_is_promoted() {
    let told = tell(&canary(), &v2(Version::GOOD));
    told.reads(
        "0s    Progressing 100/0
         1m0s  Progressing 90/10
         2m0s  Progressing 70/30
         3m0s  Progressing 50/50
         4m0s  Promoting   50/50
         5m0s  Finalising  100/0
         6m0s  Succeeded   100/0",
    );
    told.ends(Phase::Succeeded, "v2");
    assert_eq!(told.recording.took, after("6m"));
    assert_eq!((told.recording.users.errors, told.recording.users.lost), (0, 0));
}

#[test]
fn a_version_with_errors_is_rolled_back() {
    let told = tell(
        &canary(),
        &v2(Version {
            errors: percent(5),
            ..Version::GOOD
        }),
    );
    told.reads(
        "0s    Progressing 100/0
         1m0s  Progressing 90/10
         2m0s  Progressing 90/10 1
         3m0s  Progressing 90/10 2
         4m0s  RollingBack 100/0 2
         4m0s  Failed      100/0 2",
    );
    told.ends(Phase::Failed, "v1");
    told.says("request-success-rate 95, wanted at least 99");
    // 10 % of 100 requests per second for three minutes, and 5 % of them.
    let users = &told.recording.users;
    assert_eq!(
        (users.requests, users.canary, users.errors, users.lost),
        (24_000, 1_800, 90, 0)
    );
    assert_eq!(users.by_revision[1].errors, 90);
}

#[test]
fn whatever_is_wrong_with_a_version_stops_it() {
    let half_a_minute = Becomes::After(after("30s"));
    for (what, version, took, reason) in [
        (
            "slow",
            Version {
                p99: after("700ms"),
                ..Version::GOOD
            },
            "4m",
            "request-duration 700, wanted at most 500",
        ),
        (
            "never ready",
            Version {
                ready: Becomes::Never,
                ..Version::GOOD
            },
            "5m",
            "the canary was not ready in time",
        ),
        (
            "not measured",
            Version {
                instrumented: false,
                ..Version::GOOD
            },
            "4m",
            "request-success-rate: no data",
        ),
        (
            "all errors",
            Version {
                errors: percent(100),
                ..Version::GOOD
            },
            "4m",
            "request-success-rate 0, wanted",
        ),
        (
            "crashes before its first traffic",
            Version {
                ready: half_a_minute,
                crashes_after: Some(after("20s")),
                ..Version::GOOD
            },
            "5m50s",
            "the canary was not ready in time",
        ),
    ] {
        let told = tell(&canary(), &v2(version));
        told.ends(Phase::Failed, "v1");
        told.says(reason);
        assert_eq!(told.recording.users.lost, 0, "{what}");
        assert_eq!(told.recording.took, after(took), "{what}");
    }
}

#[test]
fn a_version_that_crashes_under_traffic_loses_it_at_once_and_is_never_promoted() {
    let told = tell(
        &canary(),
        &v2(Version {
            crashes_after: Some(after("2m30s")),
            ..Version::GOOD
        }),
    );
    told.ends(Phase::Failed, "v1");
    told.says("the canary serves nothing");
    assert_eq!(told.recording.users.lost, 0, "{}", told.text());
}

#[test]
fn a_metric_of_another_name_says_what_the_scenario_says() {
    let spec = Spec {
        metrics: vec![MetricSpec::at_most("queue-depth", 10.0)],
        ..canary()
    };
    for (depth, phase) in [
        (Some(9.0), Phase::Succeeded),
        (Some(11.0), Phase::Failed),
        (None, Phase::Failed),
    ] {
        let values = depth
            .map(|it| (String::from("queue-depth"), it))
            .into_iter()
            .collect();
        assert_eq!(
            tell(
                &spec,
                &v2(Version {
                    values,
                    ..Version::GOOD
                })
            )
            .recording
            .state
            .phase(),
            phase
        );
    }
}

#[test]
fn each_strategy_promotes_a_good_version() {
    for (name, spec) in strategies() {
        let told = tell(&spec, &v2(Version::GOOD));
        assert!(told.recording.promoted(), "{name}: {}", told.text());
        told.ends(Phase::Succeeded, "v2");
        assert_eq!(told.recording.users.lost, 0, "{name}");
    }
}

#[test]
fn copies_of_requests_are_judged_and_hurt_nobody() {
    let spec = Spec {
        strategy: mirror_first(),
        ..canary()
    };
    let told = tell(
        &spec,
        &v2(Version {
            errors: percent(50),
            ..Version::GOOD
        }),
    );
    told.ends(Phase::Failed, "v1");
    let users = &told.recording.users;
    assert_eq!((users.canary, users.errors), (0, 0));
    assert!(users.copied > 0);
}

#[test]
fn requests_that_match_go_to_the_canary() {
    let spec = Spec {
        strategy: ab_test(),
        ..canary()
    };
    let told = tell(
        &spec,
        &Scenario {
            matching: percent(20),
            ..v2(Version::GOOD)
        },
    );
    told.ends(Phase::Succeeded, "v2");
    // Matching from 1m on, three rounds, the promotion.
    assert_eq!(told.recording.users.canary, 20 * 60 * 4);
}

// The world fails

#[test]
fn an_unreachable_source_holds_and_then_goes_on() {
    let scenario = Scenario {
        faults: vec![outage(Fault::Metrics, "2m", "5m")],
        ..v2(Version::GOOD)
    };
    let spec = Spec {
        on_nothing: OnNothing::Hold,
        ..canary()
    };
    let told = tell(&spec, &scenario);
    told.reads(
        "0s    Progressing 100/0
         1m0s  Progressing 90/10
         2m0s  Progressing 90/10
         3m0s  Progressing 90/10
         4m0s  Progressing 90/10
         5m0s  Progressing 70/30
         6m0s  Progressing 50/50
         7m0s  Promoting   50/50
         8m0s  Finalising  100/0
         9m0s  Succeeded   100/0",
    );
    told.says("source unreachable: measuring: unreachable");

    let failing = tell(&canary(), &scenario);
    failing.ends(Phase::Failed, "v1");
}

#[test]
fn whatever_cannot_be_reached_for_a_while_changes_nothing_but_the_time() {
    for fault in [Fault::Router, Fault::Workload, Fault::Store, Fault::Notifier] {
        for from in ["0s", "30s", "1m", "2m30s", "4m", "5m"] {
            let until = after(from) + after("90s");
            let faults = vec![Outage {
                of: fault,
                from: after(from),
                until,
            }];
            let told = tell(
                &canary(),
                &Scenario {
                    faults,
                    ..v2(Version::GOOD)
                },
            );
            told.ends(Phase::Succeeded, "v2");
            assert_eq!(
                told.recording.users.lost,
                0,
                "{fault:?} from {from}: {}",
                told.text()
            );
            assert!(!told.recording.troubles.is_empty(), "{fault:?} from {from}");
        }
    }
}

#[test]
fn lost_answers_hold_a_gate() {
    let spec = Spec {
        gates: vec![Gate::new(GateKind::ConfirmPromotion, "owner")],
        ..canary()
    };
    // From the end of the third round on, so that only the gate is asked meanwhile.
    let spec = Spec {
        on_nothing: OnNothing::Hold,
        ..spec
    };
    let faults = vec![outage(Fault::Answers, "3m30s", "6m30s")];
    let told = tell(
        &spec,
        &Scenario {
            faults,
            ..v2(Version::GOOD)
        },
    );
    told.ends(Phase::Succeeded, "v2");
    told.says("no answer in time");
}

#[test]
fn a_slow_router_is_waited_for_and_never_believed() {
    let scenario = Scenario {
        router_lag: after("25s"),
        ..v2(Version::GOOD)
    };
    let told = tell(&canary(), &scenario);
    told.ends(Phase::Succeeded, "v2");
    assert_eq!(told.recording.users.lost, 0);
    // Each of the three weights and the way back begins to count when it is in force.
    assert!(told.recording.took > after("7m"), "{}", told.text());
}

#[test]
fn windows_reach_only_as_far_as_the_source_knows() {
    let lagging = Scenario {
        metric_lag: after("45s"),
        ..v2(Version {
            errors: percent(5),
            ..Version::GOOD
        })
    };
    tell(&canary(), &lagging).ends(Phase::Failed, "v1");
    let blind = Scenario {
        metric_lag: after("2m"),
        ..v2(Version::GOOD)
    };
    let told = tell(&canary(), &blind);
    told.ends(Phase::Failed, "v1");
    told.says("no data");
}

// People

#[test]
fn weights_that_somebody_moved_are_put_back() {
    let moved = vec![Happening::set_weight(after("2m30s"), percent(100))];
    let scenario = Scenario {
        router_lag: after("10s"),
        ..and(v2(Version::GOOD), moved)
    };
    tell(&canary(), &scenario).ends(Phase::Succeeded, "v2");
    let world = World::new(&scenario);
    play(&plan(&canary()), &world);
    let served = |from, to| {
        world.served(
            &revision("v2"),
            Window {
                from: at(from),
                to: at(to),
            },
        )
    };
    assert_eq!(served("2m20s", "2m30s"), 30 * 10);
    assert_eq!(served("2m30s", "2m40s"), 100 * 10);
    // After it was put back, 30 % are judged for a whole interval before the weight rises.
    assert_eq!(served("2m40s", "3m50s"), 30 * 70);
    assert_eq!(served("3m50s", "4m50s"), 50 * 60);
}

#[test]
fn a_canary_that_somebody_scaled_to_nothing_gets_its_traffic_back_when_it_is_ready() {
    let slow = Version {
        ready: Becomes::After(after("40s")),
        ..Version::GOOD
    };
    let scaled = vec![Happening::scale_canary(after("2m30s"), 0)];
    let told = tell(&canary(), &and(v2(slow), scaled));
    told.ends(Phase::Succeeded, "v2");
    told.says("the canary serves nothing");
    // 30 % of 100 requests per second wait at the primary for the 40 s in which there are no pods.
    assert_eq!(told.recording.users.lost, 0, "{}", told.text());
}

#[test]
fn a_pause_holds_everything_until_it_is_over() {
    let commands = vec![
        Happening::command(after("2m30s"), Order::Pause),
        Happening::command(after("30m"), Order::Resume),
    ];
    let told = tell(&canary(), &and(v2(Version::GOOD), commands));
    told.ends(Phase::Succeeded, "v2");
    assert!(
        told.recording
            .rows
            .iter()
            .all(|it| it.at <= at("2m30s") || it.at >= at("30m"))
    );

    let forever = vec![Happening::command(after("2m30s"), Order::Pause)];
    let told = tell(&canary(), &and(v2(Version::GOOD), forever));
    assert!(!told.recording.ended);
    assert_eq!(told.recording.took, after("2m30s"));
}

#[test]
fn commands_are_obeyed() {
    let confirm = |kind| Spec {
        gates: vec![Gate::new(kind, "owner")],
        ..canary()
    };
    let denied = |kind| GateAnswer {
        kind: Some(kind),
        says: Says::Deny,
        ..GateAnswer::default()
    };
    for (what, spec, order, at, phase, took) in [
        ("abort", canary(), Order::Abort, "2m30s", Phase::Failed, "2m30s"),
        (
            "promote",
            canary(),
            Order::Promote,
            "1m30s",
            Phase::Succeeded,
            "3m30s",
        ),
        (
            "approve",
            confirm(GateKind::ConfirmRollout),
            Order::Approve,
            "10m",
            Phase::Succeeded,
            "16m",
        ),
        (
            "approve",
            confirm(GateKind::ConfirmPromotion),
            Order::Approve,
            "10m",
            Phase::Succeeded,
            "12m",
        ),
    ] {
        let scenario = Scenario {
            gates: vec![
                denied(GateKind::ConfirmRollout),
                denied(GateKind::ConfirmPromotion),
            ],
            ..and(v2(Version::GOOD), vec![Happening::command(after(at), order)])
        };
        let told = tell(&spec, &scenario);
        assert_eq!(told.recording.state.phase(), phase, "{what}: {}", told.text());
        assert_eq!(told.recording.took, after(took), "{what}: {}", told.text());
    }
}

#[test]
fn a_refused_version_is_tried_again_when_somebody_says_so() {
    let retried = and(
        Scenario {
            faults: vec![outage(Fault::Metrics, "0s", "10m")],
            ..v2(Version::GOOD)
        },
        vec![Happening::command(after("20m"), Order::Retry)],
    );
    let told = tell(&canary(), &retried);
    told.ends(Phase::Succeeded, "v2");
    assert_eq!(told.recording.took, after("26m"));
}

#[test]
fn a_gate_that_opens_late_is_waited_for() {
    let spec = Spec {
        gates: vec![Gate::new(GateKind::ConfirmRollout, "owner")],
        ..canary()
    };
    let closed = GateAnswer {
        until: Some(after("5m")),
        says: Says::Deny,
        ..GateAnswer::default()
    };
    let told = tell(
        &spec,
        &Scenario {
            gates: vec![closed],
            ..v2(Version::GOOD)
        },
    );
    told.ends(Phase::Succeeded, "v2");
    assert_eq!(told.recording.took, after("11m"));
}

#[test]
fn a_gate_can_ask_for_a_rollback() {
    let spec = Spec {
        gates: vec![Gate::new(GateKind::Rollback, "page")],
        ..canary()
    };
    let asks = GateAnswer {
        from: after("2m30s"),
        says: Says::Approve,
        ..GateAnswer::default()
    };
    let told = tell(
        &spec,
        &Scenario {
            gates: vec![asks],
            ..v2(Version::GOOD)
        },
    );
    told.ends(Phase::Failed, "v1");
    assert_eq!(told.recording.took, after("3m"));
}

#[test]
fn a_newer_version_takes_over_and_the_promoted_one_ends_the_matter() {
    let newer = and(
        v2(Version::GOOD),
        vec![Happening::push(after("2m30s"), revision("v3"))],
    );
    let told = tell(&canary(), &newer);
    told.ends(Phase::Succeeded, "v3");
    assert_eq!(told.recording.users.lost, 0);

    let reverted = and(
        v2(Version::GOOD),
        vec![Happening::push(after("2m30s"), revision("v1"))],
    );
    let told = tell(&canary(), &reverted);
    told.ends(Phase::Initialized, "v1");
    assert_eq!(
        (told.recording.users.lost, told.recording.took),
        (0, after("2m30s"))
    );
}

// Promotion and beginning

#[test]
fn a_primary_that_never_gets_ready_leaves_the_traffic_to_the_canary() {
    let told = tell(
        &canary(),
        &v2(Version {
            ready_as_primary: Some(Becomes::Never),
            ..Version::GOOD
        }),
    );
    assert_eq!(told.recording.state.phase(), Phase::Failed, "{}", told.text());
    assert_eq!(told.recording.state.traffic(), Traffic::CANARY);
    assert_eq!(told.recording.users.lost, 0);
    told.says("promotion failed");

    let fixed = and(
        v2(Version {
            ready_as_primary: Some(Becomes::Never),
            ..Version::GOOD
        }),
        vec![Happening::push(after("30m"), revision("v3"))],
    );
    let told = tell(&canary(), &fixed);
    assert_eq!(told.recording.users.lost, 0, "{}", told.text());
    told.ends(Phase::Succeeded, "v3");
}

#[test]
fn the_first_primary_is_created_beside_what_serves() {
    let first = Scenario {
        bootstrap: true,
        ..Scenario::new(revision("v1"))
    };
    let told = tell(&canary(), &first);
    told.ends(Phase::Initialized, "v1");
    assert_eq!(told.recording.users.lost, 0);
    assert!(told.recording.took >= after("1m"));
}

#[test]
fn the_limit_ends_what_would_go_on_for_ever() {
    let closed = GateAnswer {
        says: Says::Deny,
        ..GateAnswer::default()
    };
    let spec = Spec {
        gates: vec![Gate::new(GateKind::ConfirmRollout, "owner")],
        ..canary()
    };
    let told = tell(
        &spec,
        &Scenario {
            gates: vec![closed],
            limit: after("3h"),
            ..v2(Version::GOOD)
        },
    );
    assert!(!told.recording.ended);
    assert_eq!(
        (told.recording.took, told.recording.state.phase()),
        (after("3h"), Phase::Waiting)
    );
}

// The world itself

#[test]
fn the_same_story_is_the_same_recording() {
    let scenario = v2(Version {
        errors: percent(1),
        ..Version::GOOD
    });
    let plan = plan(&canary());
    assert_eq!(run(&plan, &scenario), run(&plan, &scenario));
}

#[test]
fn a_service_may_get_less_than_a_request_per_second() {
    for (rate, requests, to_canary) in [
        (0.5, 180, 42),
        (0.016_667, 6, 1),
        (1.5, 540, 126),
        (2.0, 720, 168),
    ] {
        let scenario = Scenario {
            requests_per_second: rate.try_into().unwrap(),
            ..v2(Version::GOOD)
        };
        let recording = run(&plan(&canary()), &scenario);
        let users = recording.users;
        assert_eq!((users.requests, users.canary), (requests, to_canary), "{rate}");
        assert!(recording.state.phase() == Phase::Succeeded, "{rate}");
    }
}

#[test]
fn counts_are_exact_over_any_window() {
    let scenario = Scenario {
        requests_per_second: 7.into(),
        load_test: Rate::ZERO,
        ..v2(Version {
            errors: percent(50),
            ready: Becomes::After(Duration::ZERO),
            ..Version::GOOD
        })
    };
    let world = World::new(&scenario);
    let up = crate::port::CanaryWish::Up {
        revision: revision("v2"),
        scale: crate::plan::Scale::LikePrimary,
    };
    ready(Workload::apply(
        &world,
        &crate::port::Wish {
            primary: None,
            canary: up,
        },
    ))
    .unwrap();
    let route = |share| crate::port::Routing::split(crate::weight::Split::canary(percent(share)));
    ready(TrafficRouter::apply(&world, &route(50))).unwrap();
    world.advance_to(at("100s"));
    ready(TrafficRouter::apply(&world, &route(25))).unwrap();
    world.advance_to(at("200s"));
    let counts = |from, to| {
        let plan = plan(&canary());
        let ask = Measure {
            metric: &plan.metrics()[0],
            window: Window {
                from: at(from),
                to: at(to),
            },
            canary: &revision("v2"),
            primary: None,
            weight: Weight::ZERO,
        };
        ready(world.measure(&ask)).unwrap()
    };
    let sample = |canary: (u64, u64), primary| Sample::Counts {
        canary: Tally {
            total: canary.0,
            errors: canary.1,
        },
        primary: Some(Tally {
            total: primary,
            errors: 0,
        }),
    };
    assert_eq!(counts("0s", "100s"), sample((350, 175), 350));
    assert_eq!(counts("100s", "200s"), sample((175, 87), 525));
    assert_eq!(counts("90s", "110s"), sample((52, 26), 87));
    assert_eq!(counts("0s", "1s"), sample((3, 1), 3));
    assert_eq!(counts("0s", "100ms"), Sample::Nothing(Nothing::NoData));
    // A second after the router was told, the window of the old share ends exactly there.
    assert_eq!(
        world.served(
            &revision("v2"),
            Window {
                from: at("0s"),
                to: at("200s")
            }
        ),
        525
    );
}

#[test]
fn a_side_without_pods_loses_its_requests() {
    let scenario = v2(Version::GOOD);
    let world = World::new(&scenario);
    let half = crate::port::Routing::split(crate::weight::Split::canary(percent(50)));
    ready(TrafficRouter::apply(&world, &half)).unwrap();
    world.advance_to(at("10s"));
    assert_eq!((world.users().requests, world.users().lost), (1_000, 500));
}

#[test]
fn a_scenario_is_read_from_text_and_checked() {
    let text = r#"{"primary": "v1", "pods": 0, "versions": {"v9": {"p50": "100ms", "p99": "50ms"}},
        "happenings": [{"at": "1m"}], "faults": [{"of": "metrics", "from": "2m", "until": "1m"}]}"#;
    let scenario: Scenario = serde_json::from_str(text).unwrap();
    let found = scenario.check().unwrap_err();
    let paths: Vec<&str> = found.errors.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(
        paths,
        ["pods", "versions.v9.p99", "happenings[0]", "faults[0].until"]
    );
    assert_eq!(found.warnings.len(), 2);
    let again: Scenario = serde_json::from_str(&serde_json::to_string(&scenario).unwrap()).unwrap();
    assert_eq!(again, scenario);
    for wrong in [
        r#"{"primary": "v1", "requestPerSecond": 1}"#,
        r#"{"primary": "v1", "metricLag": 5}"#,
        "{}",
    ] {
        assert!(serde_json::from_str::<Scenario>(wrong).is_err(), "{wrong}");
    }
}

// Crashes

/// Whatever is cut off, at whichever port call: the end is the same as without it.
#[test]
fn a_crash_at_any_moment_changes_nothing() {
    let mut crashes = 0;
    for (name, spec) in strategies() {
        let plan = plan(&spec);
        let bad = if spec.skip_analysis {
            Version {
                ready: Becomes::Never,
                ..Version::GOOD
            }
        } else {
            Version {
                errors: percent(50),
                ..Version::GOOD
            }
        };
        for (which, version) in [("good", Version::GOOD), ("bad", bad)] {
            let scenario = Scenario {
                router_lag: after("2s"),
                ..v2(version)
            };
            let undisturbed = end(&plan, &World::new(&scenario));
            assert_eq!(
                undisturbed.phase,
                if which == "good" {
                    Phase::Succeeded
                } else {
                    Phase::Failed
                }
            );
            assert_eq!(
                (undisturbed.lost, undisturbed.refused_served),
                (0, 0),
                "{name}, {which}"
            );
            for call in 1..=run(&plan, &scenario).calls {
                for moment in [Crash::Before, Crash::After] {
                    let world = World::new(&scenario);
                    world.crash_at(call, moment);
                    assert_eq!(
                        end(&plan, &world),
                        undisturbed,
                        "{name}, {which}, {moment:?} call {call}"
                    );
                    crashes += 1;
                }
            }
        }
    }
    assert!(crashes > 2_000, "{crashes} crashes are too few to mean much");
}

/// What must not depend on crashes.
#[derive(Debug, PartialEq)]
struct Ending {
    phase: Phase,
    primary: Option<Revision>,
    primary_pods: Option<Revision>,
    canary_pods: u32,
    in_force: Option<Traffic>,
    lost: u64,
    /// Requests to a refused revision in the hour after it was refused.
    refused_served: u64,
}

fn end(plan: &Plan, world: &World<'_>) -> Ending {
    let recording = play(plan, world);
    assert!(recording.ended, "{}", recording.why);
    let over = world.now();
    world.advance_to(over.after(after("1h")));
    let seen = ready(Workload::observe(world)).unwrap();
    let refused = recording.state.phase() == Phase::Failed;
    let later = Window {
        from: over,
        to: world.now(),
    };
    Ending {
        phase: recording.state.phase(),
        primary: recording.state.primary,
        primary_pods: seen.primary.unwrap().revision,
        canary_pods: seen.canary.unwrap().total,
        in_force: ready(TrafficRouter::observe(world)).unwrap(),
        lost: recording.users.lost,
        refused_served: if refused {
            world.served(&revision("v2"), later)
        } else {
            0
        },
    }
}

// Words

fn tell(spec: &Spec, scenario: &Scenario) -> Told {
    let world = World::new(scenario);
    let recording = play(&plan(spec), &world);
    let seen = ready(Workload::observe(&world)).unwrap();
    let in_force = ready(TrafficRouter::observe(&world)).unwrap();
    Told {
        recording,
        seen,
        in_force,
    }
}

struct Told {
    recording: Recording,
    seen: crate::port::Seen,
    in_force: Option<Traffic>,
}

impl Told {
    fn text(&self) -> String {
        let rows: Vec<String> = self.recording.rows.iter().map(ToString::to_string).collect();
        rows.join("\n")
    }

    /// The moves, one a line: time, phase, traffic, and failed checks where there are any.
    fn reads(&self, expected: &str) {
        let row = |it: &Row| {
            let time = crate::time::GoDuration::saturating_from(it.at.since(START));
            let failed = if it.failed_checks == 0 {
                String::new()
            } else {
                format!(" {}", it.failed_checks)
            };
            format!("{time} {} {}{failed}", it.phase, it.traffic)
        };
        let rows: Vec<String> = self.recording.rows.iter().map(row).collect();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let expected: Vec<String> = expected.lines().map(words).collect();
        assert_eq!(rows, expected, "{}", self.text());
    }

    /// Ended, in this phase, with the primary on this revision.
    fn ends(&self, phase: Phase, primary: &str) {
        let recording = &self.recording;
        assert!(recording.ended, "{}\n{}", self.text(), recording.why);
        assert_eq!(recording.state.phase(), phase, "{}", self.text());
        assert_eq!(
            recording.state.primary,
            Some(revision(primary)),
            "{}",
            self.text()
        );
        let pods = |side: &Option<crate::port::Pods>| side.clone().unwrap();
        assert_eq!(pods(&self.seen.primary).revision, Some(revision(primary)));
        assert_eq!(pods(&self.seen.canary).total, 0, "{}", self.text());
        assert_eq!(self.in_force, Some(Traffic::PRIMARY), "{}", self.text());
        let ids: Vec<u64> = recording.notices.iter().map(|it| it.id).collect();
        assert!(ids.is_sorted(), "{ids:?}");
        assert!(recording.state.outbox.is_empty());
    }

    fn says(&self, part: &str) {
        assert!(self.text().contains(part), "{part:?} is not in\n{}", self.text());
    }
}

fn strategies() -> Vec<(&'static str, Spec)> {
    let with = |strategy| Spec { strategy, ..canary() };
    let gradual = Canary {
        step_weights: vec![20.0, 60.0],
        step_weight_promotion: Some(25.0),
        ..Canary::default()
    };
    vec![
        ("canary", canary()),
        (
            "blue-green",
            with(Strategy::BlueGreen(BlueGreen {
                iterations: 2,
                mirror: None,
            })),
        ),
        ("A/B", with(ab_test())),
        ("mirror first", with(mirror_first())),
        ("gradual promotion", with(Strategy::Canary(gradual))),
        (
            "skip",
            Spec {
                skip_analysis: true,
                ..canary()
            },
        ),
    ]
}

fn canary() -> Spec {
    let canary = Canary {
        step_weights: vec![10.0, 30.0, 50.0],
        ..Canary::default()
    };
    Spec {
        metrics: vec![
            MetricSpec::at_least("request-success-rate", 99.0),
            MetricSpec::at_most("request-duration", 500.0),
        ],
        threshold: 2,
        deadline: after("5m"),
        poll: Some(after("10s")),
        ..Spec::new(Strategy::Canary(canary))
    }
}

fn ab_test() -> Strategy {
    let rule = MatchRule {
        headers: [(String::from("x-beta"), Text::Exact("yes".into()))].into(),
        ..MatchRule::default()
    };
    Strategy::AbTest(AbTest {
        iterations: 3,
        rules: vec![rule],
    })
}

fn mirror_first() -> Strategy {
    let canary = Canary {
        step_weights: vec![50.0],
        ..Canary::default()
    };
    Strategy::MirrorFirst(MirrorFirst { share: 100.0, canary })
}

fn plan(spec: &Spec) -> Plan {
    spec.compile(&Capabilities::ALL).unwrap().0
}

/// `v1` serves, `v2` is pushed at the beginning and behaves like this.
fn v2(version: Version) -> Scenario {
    let pushed = Happening::push(Duration::ZERO, revision("v2"));
    Scenario {
        happenings: vec![pushed],
        load_test: 10.into(),
        ..Scenario::new(revision("v1"))
    }
    .version(revision("v2"), version)
}

fn and(mut scenario: Scenario, happenings: Vec<Happening>) -> Scenario {
    scenario.happenings.extend(happenings);
    scenario
}

fn outage(of: Fault, from: &str, until: &str) -> Outage {
    Outage {
        of,
        from: after(from),
        until: after(until),
    }
}

fn revision(name: &str) -> Revision {
    Revision::new(name).unwrap()
}

fn percent(percent: u32) -> Weight {
    Weight::percent(percent).unwrap()
}

fn after(time: &str) -> Duration {
    parse_interval(time).unwrap()
}

fn at(time: &str) -> Timestamp {
    START.after(after(time))
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = core::task::Context::from_waker(core::task::Waker::noop());
    match core::pin::pin!(future).as_mut().poll(&mut context) {
        core::task::Poll::Ready(output) => output,
        core::task::Poll::Pending => panic!("nothing here waits"),
    }
}
