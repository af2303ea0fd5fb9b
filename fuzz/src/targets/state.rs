//! Saved states, whatever they say, and whatever the world says then.

use std::sync::OnceLock;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use delivery_core::analysis::{Histogram, Nothing, Sample, Tally};
use delivery_core::plan::{Capabilities, GateKind, Plan, Spec};
use delivery_core::port::{Answer, Pods, Traffic};
use delivery_core::rollout::{Command, Content, Order, Outcome, Question, Reply, State, stored};
use delivery_core::{Observation, Revision, Timestamp, Weight, explain, step};

use super::text;
use crate::{Shape, check, drive};

/// How often the world is seen.
const LOOKS: u32 = 24;

/// The bytes before the first 0 are the text of a state; those after it say what the world does.
pub(super) fn run(input: &[u8]) -> Shape {
    let end = input.iter().position(|it| *it == 0).unwrap_or(input.len());
    let (written, rest) = input.split_at(end);
    let state = match stored::decode(&text(written)) {
        Ok(state) => state,
        Err(error) => return Shape::default().said(&check::error(&error)),
    };
    let mut bytes = Unstructured::new(rest.get(1..).unwrap_or_default());
    let plans = plans();
    let at = bytes.int_in_range(0..=plans.len().saturating_sub(1)).unwrap_or(0);
    drive::state(&plans[at], &state, false);
    go_on(&plans[at], state, &mut bytes)
}

/// Plans that have every kind of step and judge.
fn plans() -> &'static [Plan] {
    static PLANS: OnceLock<Vec<Plan>> = OnceLock::new();
    PLANS.get_or_init(|| {
        let specs = [
            r#"{"strategy": {"canary": {"stepWeight": 10, "maxWeight": 50}}, "threshold": 3,
                "metrics": [{"name": "success", "thresholdRange": {"min": 99}}, {"name": "duration", "thresholdRange": {"max": 500}}],
                "gates": [{"kind": "confirm-promotion", "name": "owner"}, {"kind": "rollback", "name": "owner"}]}"#,
            r#"{"strategy": {"canary": {"stepWeights": [1, 5, 50, 100], "stepWeightPromotion": 30}}, "onNothing": "hold",
                "metrics": [{"name": "success", "compare": {}}, {"name": "duration", "mannWhitney": {}}, {"name": "x", "baseline": {"maxRatio": 2}}]}"#,
            r#"{"strategy": {"blueGreen": {"iterations": 3, "mirror": 50}}, "consecutive": 2,
                "metrics": [{"name": "success", "objective": {"maxErrorRate": 1}}]}"#,
            r#"{"strategy": {"mirrorFirst": {"canary": {"stepWeight": 50}}}}"#,
        ];
        let compiled = specs.iter().map(|it| {
            let spec: Spec = serde_json::from_str(it).expect("a spec");
            spec.compile(&Capabilities::ALL).map_err(|it| it.to_string()).expect("a plan").0
        });
        compiled.collect()
    })
}

fn go_on(plan: &Plan, mut state: State, bytes: &mut Unstructured<'_>) -> Shape {
    let mut shape = Shape::default();
    let mut now = Timestamp::from_millis(bytes.arbitrary().unwrap_or(0));
    for _ in 0..LOOKS {
        let Ok(seen) = observation(bytes, plan, &state, now) else {
            return shape;
        };
        let outcome = step(plan, &state, &seen);
        assert!(
            outcome == step(plan, &state, &seen),
            "the same twice is not the same"
        );
        let _ = explain(plan, &state, Some(&outcome));
        let next = match outcome {
            Outcome::Ask(question) => {
                shape = shape.and(match question {
                    Question::Gate(_) => 0,
                    Question::History { .. } => 1,
                    Question::Measure { .. } => 2,
                });
                None
            }
            Outcome::Hold { why, .. } => {
                // What a text from outside has said earlier is told as it stands there.
                shape = shape.said(&why.to_string());
                None
            }
            Outcome::Go(next, why) => {
                shape = shape.and(next.phase()).said(&why.to_string());
                Some(*next)
            }
        };
        if let Some(next) = next {
            drive::state(plan, &next, false);
            state = next;
        }
        now = match bytes.int_in_range(0..=3_u8) {
            Ok(0) => now.before(Duration::from_secs(bytes.int_in_range(0..=90_000).unwrap_or(0))),
            Ok(1) => Timestamp::from_millis(bytes.arbitrary().unwrap_or(0)),
            _ => now.after(Duration::from_secs(bytes.int_in_range(0..=700).unwrap_or(60))),
        };
    }
    shape
}

fn observation(
    bytes: &mut Unstructured<'_>,
    plan: &Plan,
    state: &State,
    now: Timestamp,
) -> Result<Observation> {
    let revisions: Vec<Revision> = ["r0", "r1", "r2", "r3"]
        .iter()
        .filter_map(|it| Revision::new(it).ok())
        .chain(state.primary.clone())
        .chain(state.revision().cloned())
        .collect();
    let pods = |bytes: &mut Unstructured<'_>| -> Result<Option<Pods>> {
        if bytes.ratio(1, 8)? {
            return Ok(None);
        }
        let wanted = bytes.int_in_range(0..=3)?;
        let whole = bytes.ratio(2, 3)?;
        let number = |bytes: &mut Unstructured<'_>| if whole { Ok(wanted) } else { bytes.arbitrary() };
        Ok(Some(Pods {
            revision: if bytes.ratio(1, 8)? {
                None
            } else {
                Some(bytes.choose(&revisions)?.clone())
            },
            wanted,
            total: number(bytes)?,
            updated: number(bytes)?,
            available: number(bytes)?,
            unready_since: if bytes.ratio(1, 6)? {
                Some(Timestamp::from_millis(bytes.arbitrary()?))
            } else {
                None
            },
        }))
    };
    let in_force = match bytes.int_in_range(0..=7_u8)? {
        0 => None,
        1 => Some(Traffic::Match),
        2 => Some(Traffic::Mirror(
            Weight::percent(bytes.int_in_range(0..=100)?).unwrap_or(Weight::ZERO),
        )),
        3 => Some(Traffic::Split(
            Weight::hundredths(bytes.int_in_range(0..=10_000)?).unwrap_or(Weight::ZERO),
        )),
        _ => Some(state.traffic()),
    };
    let commands = (0..bytes.int_in_range(0..=5_u8)?.saturating_sub(3))
        .map(|_| {
            let orders = [
                Order::Approve,
                Order::Promote,
                Order::Pause,
                Order::Resume,
                Order::Abort,
                Order::Retry,
            ];
            Ok(Command {
                id: words(bytes)?,
                actor: words(bytes)?,
                order: *bytes.choose(&orders)?,
            })
        })
        .collect::<Result<_>>()?;
    let replies = (0..bytes.int_in_range(0..=3_u8)?)
        .map(|_| reply(bytes, plan, state))
        .collect::<Result<_>>()?;
    Ok(Observation {
        now,
        target: if bytes.ratio(1, 10)? {
            None
        } else {
            Some(bytes.choose(&revisions)?.clone())
        },
        primary: pods(bytes)?,
        canary: pods(bytes)?,
        in_force,
        replies,
        commands,
    })
}

fn reply(bytes: &mut Unstructured<'_>, plan: &Plan, state: &State) -> Result<Reply> {
    let sequence = if bytes.ratio(1, 10)? {
        bytes.arbitrary()?
    } else {
        state.sequence
    };
    let content = match bytes.int_in_range(0..=2_u8)? {
        0 => {
            let kinds = GateKind::ALL;
            let said = match bytes.int_in_range(0..=2_u8)? {
                0 => Ok(Answer::Approved),
                1 => Ok(Answer::Denied(words(bytes)?)),
                _ => Err(words(bytes)?),
            };
            Content::Gate {
                kind: *bytes.choose(&kinds)?,
                name: "owner".into(),
                said,
            }
        }
        1 => {
            let measured = plan
                .metrics()
                .iter()
                .map(|it| Ok((it.name.clone(), sample(bytes)?)));
            Content::Measured(measured.collect::<Result<_>>()?)
        }
        _ => {
            let history = plan.metrics().iter().map(|it| {
                let windows = (0..bytes.int_in_range(0..=4_u8)?)
                    .map(|_| sample(bytes))
                    .collect::<Result<Vec<_>>>()?;
                let said = if bytes.ratio(1, 8)? {
                    Err(words(bytes)?)
                } else {
                    Ok(windows)
                };
                Ok((it.name.clone(), said))
            });
            Content::History(history.collect::<Result<_>>()?)
        }
    };
    Ok(Reply { sequence, content })
}

fn sample(bytes: &mut Unstructured<'_>) -> Result<Sample> {
    let tally = |bytes: &mut Unstructured<'_>| -> Result<Tally> {
        if bytes.ratio(1, 8)? {
            return Ok(Tally {
                total: bytes.arbitrary()?,
                errors: bytes.arbitrary()?,
            });
        }
        let total = bytes.int_in_range(0..=10_000)?;
        Ok(Tally {
            total,
            errors: bytes.int_in_range(0..=total)?,
        })
    };
    let histogram = |bytes: &mut Unstructured<'_>| -> Result<Option<Histogram>> {
        let buckets = (0..bytes.int_in_range(0..=5_u8)?)
            .map(|_| Ok((bytes.arbitrary()?, bytes.arbitrary()?)))
            .collect::<Result<Vec<(f64, u64)>>>()?;
        Ok(Histogram::new(buckets).ok())
    };
    Ok(match bytes.int_in_range(0..=5_u8)? {
        0 => Sample::Value(bytes.arbitrary()?),
        1 => Sample::Pair {
            canary: bytes.arbitrary()?,
            primary: bytes.arbitrary()?,
        },
        2 | 3 => Sample::Counts {
            canary: tally(bytes)?,
            primary: if bytes.ratio(1, 4)? {
                None
            } else {
                Some(tally(bytes)?)
            },
        },
        4 => match histogram(bytes)? {
            Some(canary) => Sample::Histogram {
                canary,
                primary: histogram(bytes)?,
            },
            None => Sample::Nothing(Nothing::NoData),
        },
        _ => Sample::Nothing(match bytes.int_in_range(0..=4_u8)? {
            0 => Nothing::NotANumber,
            1 => Nothing::Unreachable(words(bytes)?),
            2 => Nothing::Unusable(words(bytes)?),
            3 => Nothing::Partial(words(bytes)?),
            _ => Nothing::Stale {
                age: Duration::from_secs(bytes.arbitrary()?),
            },
        }),
    })
}

/// Words of somebody outside, some of them very many.
fn words(bytes: &mut Unstructured<'_>) -> Result<String> {
    let word: &str = bytes.choose(&[
        "",
        "no",
        "two\nlines",
        "\u{202e}turned",
        "a long text ",
        "💥\u{0}",
    ])?;
    Ok(word.repeat(*bytes.choose(&[1, 1, 3, 5_000])?))
}
