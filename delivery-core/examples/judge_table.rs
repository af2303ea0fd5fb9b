//! Which judge stops which bad version, how soon, and at what price: the table of the docs, from whole rollouts by the
//! real engine with requests and errors by chance.
//!
//! ```text
//! cargo run --release -p delivery-core --example judge_table -- 1000
//! ```
//!
//! The number is how many rollouts make a cell. The seed is fixed: the same number gives the same table.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::panic,
    reason = "a program for a table"
)]

#[path = "../tests/draw/mod.rs"]
mod draw;

use std::collections::BTreeMap;
use std::time::Duration;

use delivery_core::analysis::{Compare, Direction, MannWhitney, Sample, Tally, Terms, Window};
use delivery_core::plan::{Canary, Capabilities, JudgeSpec, MetricSpec, Plan, Spec, Strategy};
use delivery_core::port::{Pods, Traffic};
use delivery_core::rollout::{Content, Observation, Outcome, Phase, Question, Reply, Stage, State, step};
use delivery_core::{Revision, Timestamp};
use draw::Chance;

/// The primary's errors, in percent.
const PRIMARY: f64 = 0.1;
/// The canary's, in percent: from as good as the primary to dead.
const CANARY: [f64; 6] = [0.1, 0.2, 0.5, 1.0, 5.0, 100.0];
const PER_SECOND: [f64; 3] = [1.0, 50.0, 5_000.0];
/// The mean size of bursts.
const BURSTS: [f64; 2] = [1.0, 5.0];
const METRIC: &str = "request-success-rate";

fn main() {
    let runs = std::env::args()
        .nth(1)
        .map_or(200, |it| it.parse().expect("a number of rollouts"));
    let judges = judges();
    for burst in BURSTS {
        for per_second in PER_SECOND {
            let kind = if burst > 1.0 {
                "in bursts of 5 on average"
            } else {
                "independent"
            };
            println!("\n**{per_second} requests/s, errors {kind}**\n");
            let names: Vec<&str> = judges.iter().map(|it| it.0).collect();
            println!("| canary's errors | {} |", names.join(" | "));
            println!("|---|{}", "---|".repeat(names.len()));
            for canary in CANARY {
                let cells = judges.iter().map(|(_, plan)| {
                    let mut chance = Chance::new(20_261_125);
                    let world = World {
                        per_second,
                        canary: canary / 100.0,
                        burst,
                    };
                    let ended: Vec<Ended> = (0..runs).map(|_| world.roll_out(plan, &mut chance)).collect();
                    cell(&ended)
                });
                let cells: Vec<String> = cells.collect();
                println!("| {canary} % | {} |", cells.join(" | "));
            }
        }
    }
}

/// The reference rollout, 10 to 50 % in steps of a minute, under each judge.
fn judges() -> Vec<(&'static str, Plan)> {
    let range = MetricSpec::at_least(METRIC, 99.0);
    let series = MannWhitney {
        direction: Direction::Increase,
        ..MannWhitney::default()
    };
    let tested = |judge| MetricSpec::judged(METRIC, judge);
    let compare = || tested(JudgeSpec::Compare(Compare::default()));
    let look = |look| Terms {
        look: Some(Duration::from_secs(look)),
        ..Terms::DEFAULT
    };
    vec![
        ("Range, threshold 5", plan(range.clone(), 5, Terms::DEFAULT)),
        ("Range, threshold 1", plan(range, 1, Terms::DEFAULT)),
        (
            "MannWhitney",
            plan(tested(JudgeSpec::MannWhitney(series)), 5, Terms::DEFAULT),
        ),
        ("sequential, every minute", plan(compare(), 5, Terms::DEFAULT)),
        ("sequential, every 10 s", plan(compare(), 5, look(10))),
    ]
}

fn plan(metric: MetricSpec, threshold: u32, sequential: Terms) -> Plan {
    let canary = Canary {
        step_weight: Some(10.0),
        max_weight: Some(50.0),
        ..Canary::default()
    };
    let spec = Spec {
        metrics: vec![metric],
        threshold,
        sequential,
        // The sooner way for a budget: not an interval later, as in Flagger.
        act: Some(delivery_core::analysis::Act::AtOnce),
        ..Spec::new(Strategy::Canary(canary))
    };
    spec.compile(&Capabilities::ALL).expect("a plan").0
}

/// How a rollout ended.
struct Ended {
    rolled_back: bool,
    /// Errors that the canary answered while it had traffic.
    errors: u64,
    /// How long it had traffic, until it was rolled back or promoted, in minutes.
    minutes: f64,
}

/// `share rolled back · mean errors · mean minutes until the rollback`.
fn cell(ended: &[Ended]) -> String {
    let count = |it: usize| f64::from(u32::try_from(it).expect("few"));
    let back: Vec<&Ended> = ended.iter().filter(|it| it.rolled_back).collect();
    let share = 100.0 * count(back.len()) / count(ended.len());
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let errors = ended.iter().map(|it| it.errors as f64).sum::<f64>() / count(ended.len());
    let minutes = if back.is_empty() {
        String::from("–")
    } else {
        format!(
            "{:.1} min",
            back.iter().map(|it| it.minutes).sum::<f64>() / count(back.len())
        )
    };
    let errors = if errors < 9.95 {
        format!("{errors:.1}")
    } else {
        format!("{errors:.0}")
    };
    let share = if share > 0.0 && share < 9.95 {
        format!("{share:.1}")
    } else {
        format!("{share:.0}")
    };
    format!("{share} % · {errors} · {minutes}")
}

struct World {
    per_second: f64,
    canary: f64,
    burst: f64,
}

impl World {
    /// One rollout by the engine. Everything is ready at once, and every routing in force as soon as it is wanted.
    fn roll_out(&self, plan: &Plan, chance: &mut Chance) -> Ended {
        let revision = |name: &str| Revision::new(name).expect("a revision");
        let pods = |name: &str| {
            Some(Pods {
                revision: Some(revision(name)),
                wanted: 1,
                total: 1,
                updated: 1,
                available: 1,
                unready_since: None,
            })
        };
        let mut state = State::initialized(revision("v1"));
        let mut seen = Observation {
            now: Timestamp::from_millis(1_777_000_000_000),
            target: Some(revision("v2")),
            primary: pods("v1"),
            canary: pods("v2"),
            in_force: Some(Traffic::PRIMARY),
            replies: Vec::new(),
            commands: Vec::new(),
        };
        let (mut errors, mut began) = (0, None);
        for _ in 0..100_000 {
            let outcome = step(plan, &state, &seen);
            match outcome {
                Outcome::Go(next, _) => {
                    state = *next;
                    seen.in_force = Some(state.traffic());
                    seen.replies.clear();
                    if !state.traffic().weight().is_zero() {
                        began.get_or_insert(seen.now);
                    }
                    if matches!(state.phase(), Phase::RollingBack | Phase::Promoting) {
                        let minutes = began.map_or(0.0, |it| seen.now.since(it).as_secs_f64() / 60.0);
                        return Ended {
                            rolled_back: state.phase() == Phase::RollingBack,
                            errors,
                            minutes,
                        };
                    }
                }
                Outcome::Hold { until, .. } => seen.now = until.expect("something is due"),
                Outcome::Ask(question) => {
                    let content = self.answer(plan, &state, &question, seen.now, &mut errors, chance);
                    seen.replies.push(Reply {
                        sequence: state.sequence,
                        content,
                    });
                }
            }
        }
        panic!("a rollout that never ends: {state:?}")
    }

    fn answer(
        &self,
        plan: &Plan,
        state: &State,
        question: &Question<'_>,
        now: Timestamp,
        errors: &mut u64,
        chance: &mut Chance,
    ) -> Content {
        let Stage::Rollout(run) = &state.stage else {
            panic!("nothing is asked otherwise: {state:?}")
        };
        match question {
            Question::Gate(_) => panic!("there are no gates"),
            Question::History { until } => {
                let past = run.history(plan, *until).map(|(metric, windows)| {
                    let windows = windows.iter().map(|it| Sample::Counts {
                        canary: self.requests(chance, *it, 1.0, PRIMARY / 100.0),
                        primary: None,
                    });
                    (metric.name.clone(), Ok(windows.collect()))
                });
                Content::History(past.collect())
            }
            Question::Measure { since } => {
                let weight = state.traffic().weight().as_percent() / 100.0;
                let mut samples = BTreeMap::new();
                for (metric, window) in run.windows(plan, *since, now) {
                    let canary = self.requests(chance, window, weight, self.canary);
                    let primary = self.requests(chance, window, 1.0 - weight, PRIMARY / 100.0);
                    *errors += canary.errors;
                    let primary = Some(primary);
                    samples.insert(metric.name.clone(), Sample::Counts { canary, primary });
                }
                Content::Measured(samples)
            }
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "far below 2^53"
    )]
    fn requests(&self, chance: &mut Chance, window: Window, weight: f64, rate: f64) -> Tally {
        let requests = self.per_second * window.length().as_secs_f64() * weight;
        // Parts of a request by chance, so that they add up.
        let total = (requests + chance.part()) as u64;
        chance.requests(total, rate, self.burst)
    }
}
