//! The engine in a world where anything fails at any moment.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use delivery_core::analysis::{Baseline, Compare, MannWhitney, Objective, OnNothing, Range};
use delivery_core::plan::{
    AbTest, BlueGreen, Canary, Capabilities, GateKind, GateSpec, JudgeSpec, MatchRule, MetricSpec,
    MirrorFirst, Spec, Strategy,
};
use delivery_core::rollout::Order;
use delivery_core::sim::{
    Becomes, Crash, Fault, GateAnswer, Happening, Outage, START, Says, Scenario, Version, World,
};
use delivery_core::{Revision, Weight};

use crate::Shape;
use crate::drive::{Drive, drive};

/// After this time nothing happens any more but by the engine.
const TROUBLE: u64 = 2 * 3_600;
/// And after this time it must be at rest.
const LIMIT: Duration = Duration::from_secs(8 * 3_600);

/// Reads a plan, a world and its troubles out of the bytes. Nothing panics, no revision that is refused gets traffic, and
/// it comes to rest, unless somebody has told it to wait.
pub(super) fn run(input: &[u8]) -> Shape {
    let mut bytes = Unstructured::new(input);
    story(&mut bytes).unwrap_or_default()
}

fn story(bytes: &mut Unstructured<'_>) -> Result<Shape> {
    let spec = spec(bytes)?;
    let Ok((plan, _)) = spec.compile(&Capabilities::ALL) else {
        return Ok(Shape::default().and("refused"));
    };
    let (scenario, untouched, waits) = scenario(bytes)?;
    // Such a plan waits for data as long as there is none, and a measurement of before the weight changed is none.
    let waits = waits || spec.on_nothing == OnNothing::Hold;
    let crashes: Vec<(u64, Crash)> = (0..bytes.int_in_range(0..=12)?)
        .map(|_| {
            Ok((
                bytes.int_in_range(1..=60)?,
                *bytes.choose(&[Crash::Before, Crash::After])?,
            ))
        })
        .collect::<Result<_>>()?;
    let world = World::new(&scenario);
    let how = Drive {
        steps: 30_000,
        crashes: &crashes,
        untouched,
    };
    let driven = drive(&plan, &world, START.after(LIMIT), &how);
    assert!(
        driven.ended || waits,
        "it is not at rest after {:?}",
        world.elapsed()
    );
    let phase = driven.state.as_ref().map(delivery_core::State::phase);
    let idle = driven.state.as_ref().is_some_and(delivery_core::State::is_idle);
    assert!(
        idle || waits,
        "it waits in {phase:?} after {:?}, and nobody told it to: {spec:?} {scenario:?}",
        world.elapsed()
    );
    Ok(driven.shape)
}

fn revision(name: &str) -> Revision {
    Revision::new(name).unwrap_or_else(|_| Revision::of(&serde_json::Value::from(name)))
}

fn seconds(bytes: &mut Unstructured<'_>, most: u64) -> Result<Duration> {
    Ok(Duration::from_secs(bytes.int_in_range(0..=most)?))
}

fn percent(bytes: &mut Unstructured<'_>) -> Result<f64> {
    Ok(f64::from(bytes.int_in_range(0..=100_u8)?))
}

fn spec(bytes: &mut Unstructured<'_>) -> Result<Spec> {
    let canary = Canary {
        step_weight: Some(*bytes.choose(&[5.0, 10.0, 25.0, 50.0, 100.0])?),
        max_weight: *bytes.choose(&[None, Some(50.0), Some(100.0)])?,
        step_weight_promotion: *bytes.choose(&[None, Some(20.0), Some(50.0)])?,
        ..Canary::default()
    };
    let iterations = bytes.int_in_range(1..=5)?;
    let strategy = match bytes.int_in_range(0..=5_u8)? {
        0 => Strategy::BlueGreen(BlueGreen {
            iterations,
            mirror: *bytes.choose(&[None, Some(50.0)])?,
        }),
        1 => Strategy::AbTest(AbTest {
            iterations,
            rules: serde_json::from_str::<Vec<MatchRule>>(r#"[{"headers": {"x-canary": {"exact": "yes"}}}]"#)
                .unwrap_or_default(),
        }),
        2 => Strategy::MirrorFirst(MirrorFirst {
            share: percent(bytes)?.max(1.0),
            canary,
        }),
        _ => Strategy::Canary(canary),
    };
    let mut metrics = Vec::new();
    for name in ["request-success-rate", "request-duration"] {
        let judge = match bytes.int_in_range(0..=5_u8)? {
            0 => continue,
            1 => JudgeSpec::Baseline(Baseline {
                max_ratio: Some(1.5),
                max_difference: None,
                higher_is_better: name == "request-success-rate",
                quantile: 0.99,
            }),
            2 => JudgeSpec::Compare(Compare {
                slower_than: (name == "request-duration").then_some(500.0),
                ..Compare::default()
            }),
            3 => JudgeSpec::MannWhitney(MannWhitney::default()),
            4 => JudgeSpec::Objective(Objective {
                max_error_rate: 1.0,
                slower_than: (name == "request-duration").then_some(500.0),
                share: 1.0,
            }),
            _ if name == "request-duration" => JudgeSpec::Range(Range::at_most(500.0)),
            _ => JudgeSpec::Range(Range::at_least(99.0)),
        };
        metrics.push(MetricSpec::judged(name, judge));
    }
    let kinds = GateKind::ALL;
    let mut gates = Vec::new();
    for kind in kinds {
        if bytes.ratio(1, 3)? {
            gates.push(GateSpec::new(kind, kind.name()));
        }
    }
    Ok(Spec {
        interval: Duration::from_secs(bytes.int_in_range(10..=180)?),
        metrics,
        gates,
        threshold: bytes.int_in_range(1..=5)?,
        on_nothing: *bytes.choose(&[OnNothing::Fail, OnNothing::Hold])?,
        deadline: Duration::from_secs(bytes.int_in_range(60..=900)?),
        ..Spec::new(strategy)
    })
}

fn version(bytes: &mut Unstructured<'_>, good: bool) -> Result<Version> {
    if good {
        return Ok(Version::GOOD);
    }
    let becomes = |bytes: &mut Unstructured<'_>| -> Result<Becomes> {
        if bytes.ratio(1, 8)? {
            Ok(Becomes::Never)
        } else {
            Ok(Becomes::After(seconds(bytes, 900)?))
        }
    };
    Ok(Version {
        errors: Weight::percent(u32::from(bytes.int_in_range(0..=5_u8)?)).unwrap_or(Weight::ZERO),
        p99: Duration::from_millis(bytes.int_in_range(20..=900)?),
        ready: becomes(bytes)?,
        ready_as_primary: if bytes.ratio(1, 4)? {
            Some(becomes(bytes)?)
        } else {
            None
        },
        crashes_after: if bytes.ratio(1, 4)? {
            Some(seconds(bytes, 3_600)?)
        } else {
            None
        },
        instrumented: !bytes.ratio(1, 8)?,
        ..Version::GOOD
    })
}

/// With whether nobody touches anything by hand, and whether somebody may have told it to wait.
fn scenario(bytes: &mut Unstructured<'_>) -> Result<(Scenario, bool, bool)> {
    let mut scenario = Scenario {
        bootstrap: bytes.ratio(1, 8)?,
        requests_per_second: bytes.int_in_range(0..=300_u32)?.into(),
        pods: bytes.int_in_range(1..=5)?,
        router_lag: seconds(bytes, 30)?,
        metric_lag: seconds(bytes, 60)?,
        limit: LIMIT,
        ..Scenario::new(revision("v1"))
    };
    for name in ["v1", "v2", "v3"] {
        let version = version(bytes, name == "v1")?;
        scenario = scenario.version(revision(name), version);
    }
    let (mut untouched, mut waits) = (true, false);
    scenario
        .happenings
        .push(Happening::push(seconds(bytes, 120)?, revision("v2")));
    for _ in 0..bytes.int_in_range(0..=8)? {
        let at = seconds(bytes, TROUBLE)?;
        scenario.happenings.push(match bytes.int_in_range(0..=9_u8)? {
            0 | 1 => Happening::push(at, revision(bytes.choose(&["v1", "v2", "v3"])?)),
            2 | 3 => {
                let orders = [
                    Order::Approve,
                    Order::Promote,
                    Order::Pause,
                    Order::Resume,
                    Order::Abort,
                    Order::Retry,
                ];
                let order = *bytes.choose(&orders)?;
                waits |= order == Order::Pause;
                Happening::command(at, order)
            }
            4 | 5 => Happening::clock_forward(at, seconds(bytes, 7_200)?),
            6 | 7 => Happening::clock_back(at, seconds(bytes, 7_200)?),
            8 => {
                untouched = false;
                Happening::scale_canary(at, bytes.int_in_range(0..=4)?)
            }
            _ => {
                untouched = false;
                Happening::set_weight(
                    at,
                    Weight::percent(bytes.int_in_range(0..=100)?).unwrap_or(Weight::ZERO),
                )
            }
        });
    }
    for _ in 0..bytes.int_in_range(0..=4)? {
        let from = seconds(bytes, TROUBLE)?;
        let says = *bytes.choose(&[Says::Approve, Says::Deny])?;
        scenario.gates.push(GateAnswer {
            kind: Some(*bytes.choose(&GateKind::ALL)?),
            from,
            until: Some(from + Duration::from_secs(1) + seconds(bytes, 3_600)?),
            says,
            ..GateAnswer::default()
        });
    }
    let faults = [
        Fault::Metrics,
        Fault::Router,
        Fault::Workload,
        Fault::Store,
        Fault::Notifier,
        Fault::Answers,
    ];
    for _ in 0..bytes.int_in_range(0..=5)? {
        let from = seconds(bytes, TROUBLE)?;
        let until = from + Duration::from_secs(1) + seconds(bytes, 3_600)?;
        scenario.faults.push(Outage {
            of: *bytes.choose(&faults)?,
            from,
            until,
        });
    }
    // Without requests or measurements, a plan that holds on nothing waits for them.
    let silent =
        scenario.versions.values().any(|it| !it.instrumented) || scenario.requests_per_second == 0.into();
    // What is to be the first primary is waited for, however long it takes, and so is a primary whose pods have ended for
    // good when there is no other revision that could take its place.
    let dies = scenario.versions.values().any(|it| it.crashes_after.is_some());
    let waits = waits || silent || !untouched || scenario.bootstrap || dies;
    Ok((scenario, untouched, waits))
}
