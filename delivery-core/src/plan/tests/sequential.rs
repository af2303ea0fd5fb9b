//! Judges that test: how they are written, what is refused, and what a plan promises.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use crate::analysis::{Baseline, Compare, Judge, MannWhitney, Objective, Terms};
use crate::plan::{
    BlueGreen, Canary, Capabilities, Expected, Found, JudgeSpec, MetricSpec, Plan, Spec, Strategy,
};

#[test]
fn the_words_are_read_and_written_alike() {
    let text = r#"{
        "strategy": {"canary": {"stepWeight": 10, "maxWeight": 50}},
        "metrics": [
            {"name": "a", "compare": {}},
            {"name": "b", "compare": {"ratio": 2, "slowerThan": 0.5, "share": 3}},
            {"name": "c", "objective": {"maxErrorRate": 0.5}},
            {"name": "d", "mannWhitney": {"direction": "increase", "tolerance": 0.5}}
        ],
        "sequential": {"alpha": 0.001, "look": "5s", "held": 3, "afterHeld": "rollBack", "earlyPromotion": true, "dispersion": 3}
    }"#;
    let spec: Spec = serde_json::from_str(text).unwrap();
    let again: Spec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
    assert_eq!(again, spec);
    let (plan, warnings) = spec.compile(&Capabilities::ALL).unwrap();
    assert_eq!(warnings, []);
    let judges: Vec<&Judge> = plan.metrics().iter().map(|it| &it.judge).collect();
    assert_eq!(judges[0], &Judge::Compare(Compare::default()));
    assert!(
        matches!(judges[1], Judge::Compare(it) if (it.ratio, it.slower_than, it.share) == (2.0, Some(0.5), 3.0))
    );
    assert!(matches!(judges[2], Judge::Objective(it) if it.max_error_rate == 0.5));
    assert!(matches!(judges[3], Judge::MannWhitney(it) if it.tolerance == 0.5 && it.quantile == 0.99));
    assert_eq!(plan.metrics()[0].window, Duration::from_secs(5));
    assert_eq!(plan.metrics()[3].window, Duration::from_secs(60));
    assert_eq!((plan.terms().alpha, plan.budget().held), (0.001, Some(3)));
    for wrong in [
        r#"{"name": "a", "compare": {"ration": 2}}"#,
        r#"{"name": "a", "objective": {}}"#,
        r#"{"name": "a", "compare": {}, "objective": {"maxErrorRate": 1}}"#,
    ] {
        assert!(serde_json::from_str::<MetricSpec>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_plan_without_them_is_called_as_before() {
    let spec = spec(vec![]);
    assert!(!serde_json::to_string(&spec).unwrap().contains("sequential"));
}

#[test]
fn what_no_test_can_have_is_refused_with_all_its_places() {
    let objective = |max_error_rate| {
        JudgeSpec::Objective(Objective {
            max_error_rate,
            slower_than: Some(f64::NAN),
            share: 1.0,
        })
    };
    let compare = JudgeSpec::Compare(Compare {
        ratio: 0.9,
        slower_than: Some(0.0),
        share: 0.0,
    });
    let series = JudgeSpec::MannWhitney(MannWhitney {
        tolerance: -1.0,
        ..MannWhitney::default()
    });
    let wrong = Spec {
        sequential: Terms {
            alpha: 0.6,
            interval_alpha: 0.0,
            margin: f64::NAN,
            dispersion: Some(0.5),
            look: Some(Duration::from_secs(61)),
            held: Some(0),
            ..Terms::DEFAULT
        },
        expected: Some(Expected {
            requests_per_second: 0.0,
            error_rate: 100.0,
        }),
        ..spec(vec![
            MetricSpec::judged("a", compare),
            MetricSpec::judged("b", objective(100.0)),
            MetricSpec::judged("c", objective(1.0)),
            MetricSpec::judged("d", series),
        ])
    };
    let errors = wrong.compile(&Capabilities::ALL).unwrap_err().errors;
    let paths: Vec<&str> = errors.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "metrics[0].compare.ratio",
            "metrics[0].compare.share",
            "metrics[0].compare.slowerThan",
            "metrics[1].objective.maxErrorRate",
            "metrics[2].objective.slowerThan",
            "metrics[3].mannWhitney.tolerance",
            "expected.requestsPerSecond",
            "expected.errorRate",
            "sequential.alpha",
            "sequential.intervalAlpha",
            "sequential.margin",
            "sequential.dispersion",
            "sequential.held",
            "sequential.look",
        ]
    );
    assert_eq!(
        errors[8].to_string(),
        "sequential.alpha: 0.6 is out of range (above 0 and at most 0.5: 0.01 is one false alarm in 100)"
    );
}

#[test]
fn the_timetable_says_what_is_found_and_what_is_not() {
    let spec = Spec {
        expected: Some(Expected {
            requests_per_second: 50.0,
            error_rate: 0.1,
        }),
        ..spec(vec![compared("errors")])
    };
    let (plan, _) = spec.compile(&Capabilities::ALL).unwrap();
    let table = plan.timetable().to_string();
    let last = table.lines().last().unwrap();
    assert_eq!(
        last,
        "at 50 requests/s and 0.1 % errors, errors: every request failing in 2m0s, 10× more errors in 3m0s, 5× more errors not within this plan (would need 6m0s or 56 requests/s), 2× more errors not within this plan (would need 1h7m0s or 804 requests/s)"
    );
}

#[test]
fn more_looks_find_sooner_and_less_traffic_later() {
    let seconds = |spec: &Spec, requests_per_second: f64| {
        let expected = Expected {
            requests_per_second,
            error_rate: 0.1,
        };
        let found = plan(spec).detects(&expected)[0].finds[0].found;
        let Found::Within(time) = found else {
            panic!("{found:?}")
        };
        time.as_secs()
    };
    let slow = spec(vec![compared("errors")]);
    let often = Spec {
        sequential: Terms {
            look: Some(Duration::from_secs(7)),
            ..Terms::DEFAULT
        },
        ..slow.clone()
    };
    assert_eq!((seconds(&slow, 50.0), seconds(&often, 50.0)), (120, 13));
    assert!(seconds(&slow, 0.5) >= seconds(&slow, 5.0));
}

const RELATIVE: &str = "metrics: all of them compare the canary with the primary: where both are bad, nothing is found; \
                        write a thresholdRange or an objective beside them";

fn warned(spec: &Spec) -> Vec<String> {
    let warnings = spec.compile(&Capabilities::ALL).unwrap().1;
    warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_plan_whose_primary_loses_its_traffic_says_who_judges_then() {
    let blue_green = Spec {
        strategy: Strategy::BlueGreen(BlueGreen {
            iterations: 10,
            mirror: None,
        }),
        ..spec(vec![compared("errors")])
    };
    let at_whole = "metrics: at a weight of 100 % nothing is judged, because all of them compare with a primary that gets \
                    no traffic then, and the rollout goes on: write a thresholdRange or an objective beside them, or end \
                    below 100 %";
    let one_sided = "metrics[0]: in every round of this plan users send requests to only one side: without others, such \
                     as those of a load test, it finds nothing, however bad a version is";
    assert_eq!(warned(&blue_green), [one_sided, RELATIVE, at_whole]);
    let absolute = Spec {
        metrics: vec![compared("errors"), MetricSpec::at_least("up", 1.0)],
        ..blue_green
    };
    assert_eq!(warned(&absolute), [one_sided]);
    let whole = |metrics| Spec {
        strategy: Strategy::Canary(Canary {
            step_weight: Some(10.0),
            ..Canary::default()
        }),
        ..spec(metrics)
    };
    assert_eq!(warned(&whole(vec![compared("errors")])), [RELATIVE, at_whole]);
    let baseline = MetricSpec::judged(
        "errors",
        JudgeSpec::Baseline(Baseline {
            max_ratio: Some(1.5),
            max_difference: None,
            higher_is_better: false,
            quantile: 0.99,
        }),
    );
    assert_eq!(warned(&whole(vec![baseline.clone()])), [RELATIVE]);
    let series = MetricSpec::judged("series", JudgeSpec::MannWhitney(MannWhitney::default()));
    assert_eq!(warned(&whole(vec![series.clone()])), [RELATIVE]);
    let few = |step_weights| Spec {
        strategy: Strategy::Canary(Canary {
            step_weights,
            ..Canary::default()
        }),
        ..spec(vec![series.clone(), MetricSpec::at_least("up", 1.0)])
    };
    let too_few =
        "metrics[0]: it compares once, after 5 rounds or more in which both sides get traffic, and this plan";
    let abstains = alloc::format!("{too_few} has 4: it abstains");
    assert_eq!(warned(&few(vec![20.0, 40.0, 60.0, 80.0, 100.0])), [abstains]);
    let never = alloc::format!("{too_few} has 3: every version is rolled back");
    assert_eq!(warned(&few(vec![10.0, 20.0, 50.0])), [never]);
    let (plan, _) = whole(vec![compared("a"), baseline])
        .compile(&Capabilities::ALL)
        .unwrap();
    let table = plan.timetable();
    let judged: Vec<&str> = table.rows.iter().map(|row| row.checks.as_str()).collect();
    let last = judged.iter().rfind(|it| it.starts_with('a')).unwrap();
    assert_eq!(
        *last,
        "a (abstains: the primary gets no traffic), errors (against the primary before)"
    );
    assert_eq!(judged.iter().filter(|it| **it == "a, errors").count(), 9);
}

#[test]
fn a_plan_that_promises_nothing_warns() {
    let short = Spec {
        strategy: Strategy::Canary(Canary {
            step_weights: vec![50.0],
            ..Canary::default()
        }),
        ..spec(vec![compared("errors")])
    };
    assert_eq!(
        warned(&short),
        [
            "metrics[0]: finds nothing: the plan is over before sequential.minRounds rounds",
            RELATIVE
        ]
    );
    let idle = Spec {
        expected: Some(Expected {
            requests_per_second: 0.01,
            error_rate: 0.1,
        }),
        ..spec(vec![compared("errors")])
    };
    assert!(
        warned(&idle)[0].starts_with(
            "metrics[0]: finds nothing at the expected traffic: errors: every request failing not within"
        ),
        "{:?}",
        warned(&idle)
    );
    let unused = Spec {
        sequential: Terms {
            alpha: 0.1,
            ..Terms::DEFAULT
        },
        ..spec(vec![MetricSpec::at_least("errors", 99.0)])
    };
    assert_eq!(
        warned(&unused),
        ["sequential: has no effect: no metric has compare or objective"]
    );
    let mut window = spec(vec![compared("errors")]);
    window.metrics[0].window = Some(Duration::from_secs(30));
    assert_eq!(
        warned(&window),
        [
            "metrics[0].window: has no effect: a sequential judge counts everything since it looked last",
            RELATIVE
        ]
    );
}

#[test]
fn plans_of_any_length_are_looked_through() {
    let endless = Spec {
        interval: Duration::from_secs(86_400),
        sequential: Terms {
            look: Some(Duration::from_millis(100)),
            ..Terms::DEFAULT
        },
        strategy: Strategy::Steps(vec![
            crate::plan::Step::Scale {
                scale: crate::plan::Scale::LikePrimary,
                dwell: Duration::ZERO,
            },
            crate::plan::Step::Shift {
                weight: crate::Weight::percent(10).unwrap(),
                dwell: Duration::ZERO,
            },
            crate::plan::Step::Analyse { rounds: u32::MAX },
            crate::plan::Step::Promote {
                dwell: Duration::ZERO,
            },
            crate::plan::Step::Settle {
                drain: Duration::ZERO,
            },
        ]),
        ..spec(vec![compared("errors")])
    };
    let tiny = Expected {
        requests_per_second: 1e-9,
        error_rate: 1e-9,
    };
    assert_eq!(plan(&endless).detects(&tiny).len(), 1);
}

fn compared(name: &str) -> MetricSpec {
    MetricSpec::judged(name, JudgeSpec::Compare(Compare::default()))
}

fn spec(metrics: Vec<MetricSpec>) -> Spec {
    let canary = Canary {
        step_weight: Some(10.0),
        max_weight: Some(50.0),
        ..Canary::default()
    };
    Spec {
        metrics,
        ..Spec::new(Strategy::Canary(canary))
    }
}

fn plan(spec: &Spec) -> Plan {
    spec.compile(&Capabilities::ALL).unwrap().0
}
