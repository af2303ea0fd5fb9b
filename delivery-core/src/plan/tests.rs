//! Everything that can be wrong with a spec, what may surprise, and the timetable.

mod kayenta;
mod sequential;

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::{
    AbTest, Affinity, BlueGreen, Canary, Capabilities, Flaw, Gate, GateKind, JudgeSpec, MatchRule,
    MetricSpec, MirrorFirst, ReadyShare, Scale, Spec, Step, Strategy, Text,
};
use crate::analysis::{Baseline, Range};
use crate::weight::Weight;

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn each_flaw_is_named_with_its_place_and_its_remedy() {
    let table: Vec<(Spec, Flaw, &str)> = vec![
        // Times and shares.
        (
            Spec {
                interval: millis(99),
                ..good()
            },
            Flaw::OutOfRange,
            "interval: 99ms is out of range (from 100ms to 86400s)",
        ),
        (
            Spec {
                deadline: millis(999),
                ..good()
            },
            Flaw::OutOfRange,
            "deadline: 999ms is out of range (from 1s to 2592000s)",
        ),
        (
            Spec {
                poll: Some(millis(9)),
                ..good()
            },
            Flaw::OutOfRange,
            "poll: 9ms is out of range (from 10ms to 3600s)",
        ),
        (
            Spec {
                ready: ReadyShare {
                    primary: 0,
                    canary: 100,
                },
                ..good()
            },
            Flaw::OutOfRange,
            "ready.primary: 0 % is out of range (from 1 to 100)",
        ),
        (
            Spec {
                ready: ReadyShare {
                    primary: 100,
                    canary: 101,
                },
                ..good()
            },
            Flaw::OutOfRange,
            "ready.canary: 101 % is out of range (from 1 to 100)",
        ),
        // The failure budget.
        (
            Spec {
                consecutive: Some(0),
                ..good()
            },
            Flaw::OutOfRange,
            "consecutive: 0 is out of range (at least 1; leave it out for no limit)",
        ),
        (
            Spec {
                inconclusive: Some(0),
                ..good()
            },
            Flaw::OutOfRange,
            "inconclusive: 0 is out of range (at least 1; leave it out for no limit)",
        ),
        (
            Spec {
                errors: Some(0),
                ..good()
            },
            Flaw::OutOfRange,
            "errors: 0 is out of range (at least 1; leave it out for no limit)",
        ),
        // Names.
        (
            gated(&[gate("")]),
            Flaw::Name,
            "gates[0].name: an empty text is no usable name (give the gate a name)",
        ),
        (
            gated(&[gate(&"ä".repeat(201))]),
            Flaw::Name,
            "gates[0].name: ääääääääääääääääääääääääääääääääääääääää… is no usable name (it has 201 characters; at most 200)",
        ),
        (
            gated(&[gate("re\u{202e}ssob")]),
            Flaw::Name,
            "gates[0].name: \"re\\u{202e}ssob\" is no usable name (leave out the character U+202E)",
        ),
        (
            measured(vec![MetricSpec::at_least("a\nb", 1.0)]),
            Flaw::Name,
            "metrics[0].name: \"a\\nb\" is no usable name (leave out the character U+000A)",
        ),
        (
            gated(&[gate("boss"), gate("boss")]),
            Flaw::Name,
            "gates[1].name: boss is no usable name (two gates of one kind need two names)",
        ),
        (
            gated(&[Gate {
                every: 0,
                ..gate("boss")
            }]),
            Flaw::OutOfRange,
            "gates[0].every: 0 is out of range (at least 1)",
        ),
        (
            measured(vec![MetricSpec::at_least("", 1.0)]),
            Flaw::Name,
            "metrics[0].name: an empty text is no usable name (give the metric a name)",
        ),
        (
            measured(vec![
                MetricSpec::at_least("a", 1.0),
                MetricSpec::at_most("a", 1.0),
            ]),
            Flaw::Name,
            "metrics[1].name: a is no usable name (two metrics need two names)",
        ),
        // Judges.
        (
            measured(vec![MetricSpec {
                window: Some(Duration::ZERO),
                ..MetricSpec::at_least("a", 1.0)
            }]),
            Flaw::OutOfRange,
            "metrics[0].window: 0s is out of range (more than nothing, e.g. 1m)",
        ),
        (
            judged(range(Some(f64::NAN), None, 0.99)),
            Flaw::OutOfRange,
            "metrics[0].thresholdRange.min: NaN is out of range (a finite number)",
        ),
        (
            judged(range(None, Some(f64::INFINITY), 0.99)),
            Flaw::OutOfRange,
            "metrics[0].thresholdRange.max: inf is out of range (a finite number)",
        ),
        (
            judged(range(Some(1.0), None, 1.5)),
            Flaw::OutOfRange,
            "metrics[0].thresholdRange.quantile: 1.5 is out of range (from 0 to 1)",
        ),
        (
            judged(range(Some(2.0), Some(1.0), 0.99)),
            Flaw::Contradiction,
            "metrics[0].thresholdRange: 2 does not fit (nothing is at least 2 and at most 1: exchange them)",
        ),
        (
            judged(JudgeSpec::Threshold(f64::NEG_INFINITY)),
            Flaw::OutOfRange,
            "metrics[0].threshold: -inf is out of range (a finite number)",
        ),
        (
            judged(baseline(Some(0.9), None, 0.99)),
            Flaw::OutOfRange,
            "metrics[0].baseline.maxRatio: 0.9 is out of range (at least 1: 1.2 allows 20 % worse)",
        ),
        (
            judged(baseline(None, Some(-1.0), 0.99)),
            Flaw::OutOfRange,
            "metrics[0].baseline.maxDifference: -1 is out of range (0 or more)",
        ),
        (
            judged(baseline(Some(1.0), None, -0.1)),
            Flaw::OutOfRange,
            "metrics[0].baseline.quantile: -0.1 is out of range (from 0 to 1)",
        ),
        (
            judged(baseline(None, None, 0.99)),
            Flaw::Contradiction,
            "metrics[0].baseline: no bound does not fit (write maxRatio, maxDifference or both)",
        ),
        // Weights.
        (
            stepped(0.0, None),
            Flaw::NoStep,
            "strategy.canary.stepWeight: 0 % never leads anywhere \
             (a step above 0, or a list of stepWeights; otherwise no traffic ever moves)",
        ),
        (
            stepped(10.001, None),
            Flaw::OutOfRange,
            "strategy.canary.stepWeight: 10.001 % is out of range (from 0 to 100, with at most two decimals)",
        ),
        (
            stepped(10.0, Some(120.0)),
            Flaw::Unreachable,
            "strategy.canary.maxWeight: 120 % can never be reached \
             (at most 100: more is never reached, and the rollout would never be promoted)",
        ),
        (
            listed(&[0.0, 10.0]),
            Flaw::NoStep,
            "strategy.canary.stepWeights[0]: 0 % never leads anywhere \
             (more than 0: the first weight starts the traffic)",
        ),
        (
            listed(&[20.0, 20.0]),
            Flaw::NotRising,
            "strategy.canary.stepWeights[1]: 20 % does not rise (more than the 20 % before it, or leave it out)",
        ),
        (
            listed(&[-1.0, 20.0]),
            Flaw::OutOfRange,
            "strategy.canary.stepWeights[0]: -1 % is out of range (from 0 to 100, with at most two decimals)",
        ),
        (
            with(Strategy::Canary(Canary {
                step_weights: vec![50.0],
                step_weight_promotion: Some(101.0),
                ..Canary::default()
            })),
            Flaw::OutOfRange,
            "strategy.canary.stepWeightPromotion: 101 % is out of range (from 0 to 100, with at most two decimals)",
        ),
        // Other strategies.
        (
            ab_test(0, rules()),
            Flaw::NoStep,
            "strategy.abTest.iterations: 0 never leads anywhere (at least 1 round)",
        ),
        (
            ab_test(1, vec![MatchRule::default()]),
            Flaw::NoStep,
            "strategy.abTest.match[0]: no condition never leads anywhere \
             (write at least one condition: without any, every request matches)",
        ),
        (
            blue_green(1, Some(0.0)),
            Flaw::NoStep,
            "strategy.blueGreen.mirror: 0 % never leads anywhere (more than 0)",
        ),
    ];
    for (spec, flaw, text) in table {
        let errors = spec.compile(&Capabilities::ALL).expect_err(text).errors;
        assert!(
            errors
                .iter()
                .any(|it| (it.flaw, it.to_string().as_str()) == (flaw, text)),
            "{text}: {errors:#?}"
        );
    }
}

#[test]
fn a_list_of_steps_has_an_order() {
    let table = [
        (
            vec![shift(50), SCALE, PROMOTE, SETTLE],
            "strategy.steps[0]: `shift` is out of place (scale comes first: there are no canary pods yet)",
        ),
        (
            vec![SCALE, shift(50), shift(20), PROMOTE, SETTLE],
            "strategy.steps[2]: 20 % does not rise (more than the 50 % before it)",
        ),
        (
            vec![SCALE, PROMOTE, shift(50), SETTLE],
            "strategy.steps[2]: `shift` is out of place (after promote only return, pause and settle make sense)",
        ),
        (
            vec![SCALE, SETTLE],
            "strategy.steps[1]: `settle` is out of place (promote comes first: otherwise the revision is thrown away)",
        ),
        (
            vec![SCALE, PROMOTE, SETTLE, SETTLE],
            "strategy.steps[3]: `settle` is out of place (settle is the last step)",
        ),
        (
            vec![SCALE, shift(50)],
            "strategy.steps[1]: the list never leads anywhere (end with promote and settle)",
        ),
        (
            vec![],
            "strategy.steps[0]: the list never leads anywhere (end with promote and settle)",
        ),
        (
            vec![
                Step::Scale {
                    scale: Scale::Pods(0),
                    dwell: Duration::ZERO,
                },
                PROMOTE,
                SETTLE,
            ],
            "strategy.steps[0]: `scale` is out of place (a canary has at least 1 pod)",
        ),
        (
            vec![SCALE, Step::Analyse { rounds: 0 }, PROMOTE, SETTLE],
            "strategy.steps[1]: 0 rounds is out of range (at least 1)",
        ),
        (
            vec![
                SCALE,
                shift(10),
                Step::Mirror { share: Weight::WHOLE },
                PROMOTE,
                SETTLE,
            ],
            "strategy.steps[2]: `mirror` is out of place (mirror before the first shift)",
        ),
        (
            vec![
                SCALE,
                Step::Gate(Gate::new(GateKind::Rollback, "stop")),
                PROMOTE,
                SETTLE,
            ],
            "strategy.steps[1]: `gate` is out of place (this kind is asked again and again: write it under `gates`)",
        ),
        (
            vec![SCALE, shift(50), PROMOTE, back(50), SETTLE],
            "strategy.steps[3]: 50 % does not fall (less than the 50 % before it)",
        ),
    ];
    for (steps, text) in table {
        assert_eq!(errors(&with(Strategy::Steps(steps)), &Capabilities::ALL), [text]);
    }
    let spec = Spec {
        gates: vec![gate("boss")],
        ..with(Strategy::Steps(vec![SCALE, PROMOTE, SETTLE]))
    };
    assert_eq!(
        errors(&spec, &Capabilities::ALL),
        [
            "gates[0].kind: confirm-promotion is out of place (in a list of steps, write the gate as a step where it belongs)"
        ]
    );
}

#[test]
fn what_the_router_cannot_do_is_refused() {
    let all = Capabilities::ALL;
    let whole = Capabilities {
        granularity: Weight::percent(5).unwrap(),
        ..all
    };
    let mirrorless = Capabilities { mirror: false, ..all };
    let cookie = Affinity {
        cookie_name: String::from("side"),
        max_age: Duration::from_secs(1),
        primary_cookie_name: None,
    };
    let step = |step| with(Strategy::Steps(vec![SCALE, step, PROMOTE, SETTLE]));
    let table = [
        (
            listed(&[12.0]),
            whole,
            "strategy.canary: 12 % is more than the traffic router can do (this router sets traffic in steps of 5 %)",
        ),
        (
            step(shift(50)),
            Capabilities {
                granularity: Weight::ZERO,
                ..all
            },
            "strategy.steps[1]: 50 % is more than the traffic router can do (this router cannot split traffic)",
        ),
        (
            step(Step::Mirror { share: Weight::WHOLE }),
            mirrorless,
            "strategy.steps[1]: mirroring is more than the traffic router can do (use a router that can copy requests)",
        ),
        (
            step(Step::Match),
            Capabilities {
                matching: false,
                ..all
            },
            "strategy.steps[1]: matching is more than the traffic router can do (use a router that can match requests)",
        ),
        (
            blue_green(1, Some(100.0)),
            mirrorless,
            "strategy.blueGreen.mirror: mirroring 100 % is more than the traffic router can do (leave mirroring out, or use a router that can copy requests)",
        ),
        (
            with(Strategy::MirrorFirst(MirrorFirst {
                share: 100.0,
                canary: Canary {
                    step_weights: vec![50.0],
                    ..Canary::default()
                },
            })),
            mirrorless,
            "strategy.mirrorFirst.share: mirroring 100 % is more than the traffic router can do (leave mirroring out, or use a router that can copy requests)",
        ),
        (
            blue_green(1, Some(20.0)),
            Capabilities {
                mirror_share: false,
                ..all
            },
            "strategy.blueGreen.mirror: 20 % is more than the traffic router can do (this router copies all requests or none: write 100)",
        ),
        (
            Spec {
                affinity: Some(cookie),
                ..good()
            },
            Capabilities { sticky: false, ..all },
            "affinity: a cookie is more than the traffic router can do (leave affinity out, or use a router that has it)",
        ),
    ];
    for (spec, can, text) in table {
        assert!(spec.compile(&all).is_ok(), "{text}");
        let errors = errors(&spec, &can);
        assert!(errors == [text], "{text}: {errors:#?}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let spec = Spec {
        interval: millis(1),
        consecutive: Some(0),
        threshold: 0,
        gates: vec![gate("")],
        metrics: vec![MetricSpec::at_least("", f64::NAN)],
        ..listed(&[20.0, 10.0])
    };
    let errors = spec.compile(&Capabilities::ALL).unwrap_err();
    let paths: Vec<_> = errors.errors.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "interval",
            "consecutive",
            "gates[0].name",
            "metrics[0].name",
            "metrics[0].thresholdRange.min",
            "strategy.canary.stepWeights[1]"
        ]
    );
    assert_eq!(
        errors.to_string().matches("; ").count(),
        6,
        "five between six, and one of a remedy: {errors}"
    );
    assert!(errors.warnings.iter().any(|it| it.path == "threshold"));
}

#[test]
fn what_may_surprise_is_warned_of() {
    let all = Capabilities::ALL;
    let none = Capabilities::NONE;
    let both = with(Strategy::Canary(Canary {
        step_weights: vec![10.0, 50.0],
        step_weight: Some(25.0),
        ..Canary::default()
    }));
    let ignored = with(Strategy::Canary(Canary {
        step_weights: vec![50.0],
        max_weight: Some(60.0),
        ..Canary::default()
    }));
    let table = [
        (good(), all, vec![]),
        (
            Spec {
                threshold: 0,
                ..good()
            },
            all,
            vec!["threshold: 0 is taken as 1: the first failed check rolls back"],
        ),
        (
            measured(vec![]),
            all,
            vec!["metrics: without metrics, only readiness can stop a bad revision"],
        ),
        (
            judged(range(None, None, 0.99)),
            all,
            vec!["metrics[0].thresholdRange: no bound: any number is good"],
        ),
        (
            measured(vec![MetricSpec {
                window: Some(Duration::from_secs(90)),
                ..MetricSpec::at_least("a", 1.0)
            }]),
            all,
            vec![
                "metrics[0].window: looks back 90s, further than the interval of 60s: it is cut to the time at the present weight",
            ],
        ),
        (
            stepped(20.0, Some(50.0)),
            all,
            vec![
                "strategy.canary.stepWeight: does not meet maxWeight 50 %: the last weight is 60 %, as in Flagger",
            ],
        ),
        (
            ignored,
            all,
            vec!["strategy.canary.maxWeight: ignored: the last of stepWeights is the maximum"],
        ),
        (
            listed(&[50.0, 130.0]),
            all,
            vec!["strategy.canary.stepWeights[1]: 130 % is taken as 100 %"],
        ),
        (
            both,
            all,
            vec![
                "strategy.canary.stepWeights: stepWeight is set too, and drives: of the list only the last weight counts, as the maximum",
            ],
        ),
        (
            good(),
            none,
            vec![
                "strategy: the router cannot split traffic: judged in 10 rounds without traffic, as blue-green",
            ],
        ),
        (
            ab_test(1, rules()),
            none,
            vec![
                "strategy.abTest.match: the router cannot match requests: judged without traffic, as blue-green",
            ],
        ),
        (
            with(Strategy::Steps(vec![SCALE, shift(50), PROMOTE, SETTLE])),
            all,
            vec![
                "strategy.steps[3]: the last weight is promoted without having been analysed",
                "strategy: nothing is analysed: only readiness can stop a bad revision",
            ],
        ),
    ];
    for (spec, can, texts) in table {
        let warnings = spec.compile(&can).unwrap().1;
        assert_eq!(
            warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            texts
        );
    }
}

#[test]
fn the_timetable_of_the_reference_rollout() {
    let spec = Spec {
        threshold: 5,
        ..stepped(10.0, Some(50.0))
    };
    let table = spec.compile(&Capabilities::ALL).unwrap().0.timetable();
    assert_eq!(table.to_string(), TIMETABLE.trim_matches('\n'), "\n{table}");
    assert_eq!(table.shortest(), Duration::from_secs(8 * 60));
    let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
    // A gate without a deadline may wait for ever.
    for (deadline, longest) in [(None, None), (minutes(1), minutes(47))] {
        let boss = Gate {
            deadline,
            ..gate("boss")
        };
        let gated = Spec {
            gates: vec![boss],
            ..spec.clone()
        };
        let table = gated.compile(&Capabilities::ALL).unwrap().0.timetable();
        assert_eq!(table.longest(), longest);
    }
}

const TIMETABLE: &str = "
STEP                                                       WEIGHT  SHORTEST   LONGEST  CHECKS
scale the canary to the primary's size                        0 %      1m0s     10m0s  canary observed ready
shift traffic to 10 %                                        10 %        0s        0s  weight observed in force
analyse, 1 round                                             10 %      1m0s      5m0s  success, duration
shift traffic to 20 %                                        20 %        0s        0s  weight observed in force
analyse, 1 round                                             20 %      1m0s      5m0s  success, duration
shift traffic to 30 %                                        30 %        0s        0s  weight observed in force
analyse, 1 round                                             30 %      1m0s      5m0s  success, duration
shift traffic to 40 %                                        40 %        0s        0s  weight observed in force
analyse, 1 round                                             40 %      1m0s      5m0s  success, duration
shift traffic to 50 %                                        50 %        0s        0s  weight observed in force
analyse, 1 round                                             50 %      1m0s      5m0s  success, duration
promote: the primary takes the revision                      50 %      1m0s     10m0s  primary observed ready
settle: all traffic to the primary, then the canary goes      0 %      1m0s      1m0s  no traffic on the canary
in all: 8m0s at least, 46m0s at most
";

// ---- the words of the tables

const SCALE: Step = Step::Scale {
    scale: Scale::LikePrimary,
    dwell: Duration::ZERO,
};
const PROMOTE: Step = Step::Promote {
    dwell: Duration::ZERO,
};
const SETTLE: Step = Step::Settle {
    drain: Duration::ZERO,
};

fn shift(percent: u32) -> Step {
    Step::Shift {
        weight: Weight::percent(percent).unwrap(),
        dwell: Duration::ZERO,
    }
}

fn back(percent: u32) -> Step {
    Step::Return {
        weight: Weight::percent(percent).unwrap(),
        dwell: Duration::ZERO,
    }
}

fn good() -> Spec {
    listed(&[10.0, 50.0])
}

fn with(strategy: Strategy) -> Spec {
    Spec {
        metrics: vec![
            MetricSpec::at_least("success", 99.0),
            MetricSpec::at_most("duration", 500.0),
        ],
        ..Spec::new(strategy)
    }
}

fn listed(weights: &[f64]) -> Spec {
    with(Strategy::Canary(Canary {
        step_weights: weights.into(),
        ..Canary::default()
    }))
}

fn stepped(step: f64, max: Option<f64>) -> Spec {
    with(Strategy::Canary(Canary {
        step_weight: Some(step),
        max_weight: max,
        ..Canary::default()
    }))
}

fn blue_green(iterations: u32, mirror: Option<f64>) -> Spec {
    with(Strategy::BlueGreen(BlueGreen { iterations, mirror }))
}

fn ab_test(iterations: u32, rules: Vec<MatchRule>) -> Spec {
    with(Strategy::AbTest(AbTest { iterations, rules }))
}

fn rules() -> Vec<MatchRule> {
    vec![MatchRule {
        headers: [(String::from("x-beta"), Text::Exact(String::from("yes")))].into(),
        ..MatchRule::default()
    }]
}

fn gated(gates: &[Gate]) -> Spec {
    Spec {
        gates: gates.into(),
        ..good()
    }
}

fn gate(name: &str) -> Gate {
    Gate::new(GateKind::ConfirmPromotion, name)
}

fn measured(metrics: Vec<MetricSpec>) -> Spec {
    Spec { metrics, ..good() }
}

fn judged(judge: JudgeSpec) -> Spec {
    let metric = MetricSpec {
        judge,
        ..MetricSpec::at_least("a", 1.0)
    };
    measured(vec![metric])
}

fn range(min: Option<f64>, max: Option<f64>, quantile: f64) -> JudgeSpec {
    JudgeSpec::Range(Range { min, max, quantile })
}

fn baseline(max_ratio: Option<f64>, max_difference: Option<f64>, quantile: f64) -> JudgeSpec {
    JudgeSpec::Baseline(Baseline {
        max_ratio,
        max_difference,
        higher_is_better: false,
        quantile,
    })
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn errors(spec: &Spec, can: &Capabilities) -> Vec<String> {
    let errors = spec.compile(can).map_or_else(|it| it.errors, |_| Vec::new());
    errors.iter().map(ToString::to_string).collect()
}
