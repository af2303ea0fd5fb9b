//! The size that a state can have at most, whatever the world says, however long, however often.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use crate::analysis::{Evidence, Memory, Nothing, OnNothing, Sample, Series, Tally, Verdict};
use crate::plan::{Canary, Capabilities, Fallback, Gate, GateKind, MetricSpec, Plan, Spec, Strategy};
use crate::port::{Answer, Pods};
use crate::rollout::stored::{decode, encode};
use crate::rollout::{
    Command, Content, Observation, Order, Outcome, Question, Reason, Reply, Stage, State, step,
};
use crate::{Revision, Timestamp, text};

/// The longest name that a plan takes, in characters of four bytes.
fn name(at: usize) -> String {
    let number = format!("{at}");
    "🐦".repeat(text::NAME - number.len()) + &number
}

fn long(characters: usize) -> String {
    "💥\"\u{202e}\n".repeat(characters)
}

/// So many metrics of every judge, and gates that go on saying no.
fn plan(metrics: usize, judges: &[&str]) -> Plan {
    let metric = |at: usize| -> MetricSpec {
        let judge = judges[at % judges.len()];
        let text = format!("{{\"name\": \"{}\", {judge}}}", name(at));
        serde_json::from_str(&text).unwrap()
    };
    let canary = Canary {
        step_weight: Some(1.0),
        max_weight: Some(50.0),
        ..Canary::default()
    };
    let spec = Spec {
        metrics: (0..metrics).map(metric).collect(),
        threshold: u32::MAX,
        gates: vec![
            Gate::new(GateKind::Rollout, name(0)),
            Gate {
                deadline: Some(Duration::from_secs(3_600)),
                default: Fallback::Approve,
                ..Gate::new(GateKind::ConfirmTrafficIncrease, name(1))
            },
        ],
        on_nothing: OnNothing::Hold,
        ..Spec::new(Strategy::Canary(canary))
    };
    spec.compile(&Capabilities::ALL).unwrap().0
}

/// A world that says as much as it can, and a notifier that never takes anything.
struct Loud {
    plan: Plan,
    state: State,
    now: Timestamp,
    said: usize,
}

impl Loud {
    fn new(plan: Plan) -> Self {
        let old = Revision::new(&"v".repeat(128)).unwrap();
        Self {
            plan,
            state: State::initialized(old),
            now: Timestamp::from_millis(1_777_000_000_000),
            said: 0,
        }
    }

    /// Transitions, with whatever time passes between them.
    fn goes(&mut self, transitions: usize, mut seen: impl FnMut(&Plan, &State)) {
        let pods = |revision: Option<&Revision>| Pods {
            revision: revision.cloned(),
            wanted: 1,
            total: 1,
            updated: 1,
            available: 1,
            unready_since: None,
        };
        for transition in 0..transitions {
            let mut replies: Vec<Reply> = Vec::new();
            let mut commands = Vec::new();
            if transition % 7 == 6 {
                commands.push(Command {
                    id: format!("{transition} {}", long(4_000)),
                    actor: long(4_000),
                    order: if transition % 2 == 0 {
                        Order::Pause
                    } else {
                        Order::Resume
                    },
                });
            }
            self.state = loop {
                let observation = Observation {
                    now: self.now,
                    target: Revision::new(&"\"".repeat(128)).ok(),
                    primary: Some(pods(self.state.primary.as_ref())),
                    canary: Some(pods(self.state.revision())),
                    in_force: Some(self.state.traffic()),
                    replies: replies.clone(),
                    commands: commands.clone(),
                };
                match step(&self.plan, &self.state, &observation) {
                    Outcome::Go(next, _) => break *next,
                    Outcome::Hold { until, .. } => {
                        if let Some(by) = until.filter(|it| *it > self.now) {
                            self.now = by;
                        } else {
                            commands.push(Command {
                                id: format!("{transition}"),
                                actor: long(9),
                                order: Order::Resume,
                            });
                        }
                    }
                    Outcome::Ask(question) => {
                        self.said += 1;
                        let content = answer(&self.plan, &question, self.said);
                        replies.push(Reply {
                            sequence: self.state.sequence,
                            content,
                        });
                    }
                }
            };
            seen(&self.plan, &self.state);
        }
    }
}

fn answer(plan: &Plan, question: &Question<'_>, said: usize) -> Content {
    match question {
        Question::Gate(gate) => Content::Gate {
            kind: gate.kind,
            name: gate.name.clone(),
            said: match said % 4 {
                0 => Ok(Answer::Denied(long(3_000))),
                1 => Err(long(3_000)),
                _ => Ok(Answer::Approved),
            },
        },
        Question::History { .. } => {
            let names = plan.metrics().iter().map(|it| it.name.clone());
            Content::History(names.map(|it| (it, Ok(Vec::new()))).collect())
        }
        Question::Measure { .. } => {
            let sample = |at: usize| match (at + said) % 3 {
                0 => Sample::Nothing(Nothing::Unreachable(long(120))),
                1 => Sample::Nothing(Nothing::Partial(long(120))),
                _ => Sample::Counts {
                    canary: Tally {
                        total: 900_719_925_474_099,
                        errors: 70_368_744_177,
                    },
                    primary: Some(Tally {
                        total: 9_007_199_254_740_991,
                        errors: 703_687_441_776,
                    }),
                },
            };
            let named = plan.metrics().iter().enumerate();
            Content::Measured(named.map(|(at, it)| (it.name.clone(), sample(at))).collect())
        }
    }
}

const JUDGES: [&str; 4] = [
    "\"thresholdRange\": {\"min\": 1}",
    "\"compare\": {}",
    "\"objective\": {\"maxErrorRate\": 1}",
    "\"mannWhitney\": {}",
];

#[test]
fn no_state_is_larger_than_its_plan_promises_however_long_nobody_takes_a_notice() {
    for (metrics, transitions) in [(0, 1_000), (1, 1_000), (8, 1_000), (100, 100)] {
        let mut loud = Loud::new(plan(metrics, &JUDGES));
        let mut largest = 0;
        loud.goes(transitions, |plan, state| {
            let text = encode(state).unwrap();
            let size = text.len();
            // A line break would be written as an escape.
            assert!(text::hidden(&text).is_none() && !text.contains("\\n"), "{text}");
            assert!(
                size <= plan.largest_state(),
                "{size} bytes of {}",
                plan.largest_state()
            );
            largest = largest.max(size);
        });
        std::println!(
            "{metrics} metrics: {largest} bytes of {}",
            loud.plan.largest_state()
        );
        assert_eq!(loud.state.outbox.len(), State::OUTBOX);
        assert!(loud.state.dropped > 0);
        let again = decode(&encode(&loud.state).unwrap()).unwrap();
        assert_eq!(again, loud.state);
    }
}

#[test]
fn ten_thousand_metrics_fit_into_what_their_plan_promises() {
    let mut loud = Loud::new(plan(10_000, &JUDGES[..3]));
    loud.goes(16, |_, _| {});
    let size = encode(&loud.state).unwrap().len();
    assert!(matches!(&loud.state.stage, Stage::Rollout(run) if run.evidence.len() == 10_000));
    assert!(size <= loud.plan.largest_state(), "{size} bytes");
    // A file store takes it.
    assert!(loud.plan.largest_state() <= 64 << 20);
    std::println!("{size} bytes of {}", loud.plan.largest_state());
}

/// Whoever edits a plan again and again while it runs does not make its state longer.
#[test]
fn what_another_plan_measured_is_forgotten() {
    let mut loud = Loud::new(plan(8, &JUDGES));
    loud.goes(40, |_, _| {});
    let kept = |state: &State| match &state.stage {
        Stage::Rollout(run) => (run.memory.len(), run.evidence.len()),
        _ => panic!("it runs"),
    };
    assert_eq!(kept(&loud.state), (6, 8));
    // Fewer metrics, and one of them has another judge.
    loud.plan = plan(4, &[JUDGES[0], JUDGES[1], JUDGES[3], JUDGES[3]]);
    loud.goes(1, |_, _| {});
    assert_eq!(kept(&loud.state), (2, 4));
}

/// The numbers that take the most room, in everything that one metric may leave in a state.
#[test]
fn the_longest_numbers_fit_as_well() {
    let plan = plan(1, &JUDGES[3..]);
    let mut loud = Loud::new(plan);
    loud.goes(40, |_, _| {});
    let without = encode(&loud.state).unwrap().len();
    let Stage::Rollout(run) = &mut loud.state.stage else {
        panic!("it runs");
    };
    let points = vec![-1.234_567_890_123_456_7e-300; Series::POINTS];
    let series = Series {
        canary: points.clone(),
        primary: points,
    };
    run.memory = BTreeMap::from([(name(0), Memory::Series(series))]);
    run.evidence = vec![Evidence {
        metric: name(0),
        verdict: Verdict::Inconclusive,
        value: Some(-1.234_567_890_123_456_7e-300),
        against: text::shortened(&long(900), text::SAID),
    }];
    let size = encode(&loud.state).unwrap().len();
    let part = loud.plan.largest_state() - plan_of_nothing().largest_state();
    assert!(size - without <= part, "{} of {part}", size - without);
}

fn plan_of_nothing() -> Plan {
    plan(0, &JUDGES)
}

#[test]
fn of_many_metrics_the_worst_are_kept_as_a_reason_and_how_many_more_there_are() {
    let evidence = |at: usize, verdict| Evidence {
        metric: format!("metric-{at}"),
        verdict,
        value: None,
        against: String::from("said so"),
    };
    let mut all: Vec<Evidence> = (0..100).map(|at| evidence(at, Verdict::Pass)).collect();
    all[97].verdict = Verdict::Fail;
    all[98].verdict = Verdict::Inconclusive;
    let whole = Reason::RoundFailed {
        evidence: all.clone(),
        more: 0,
    };
    let kept = whole.clone().kept();
    let names: Vec<&str> = kept.evidence().iter().map(|it| it.metric.as_str()).collect();
    let worst = ["metric-97", "metric-98", "metric-0", "metric-1"];
    assert!(worst.iter().all(|it| names[..4].contains(it)), "{names:?}");
    assert_eq!(names.len(), Reason::METRICS);
    // A person reads the same of both.
    let said = kept.to_string();
    assert!(said.ends_with("metric-5 pass: said so; and 92 more"), "{said}");
    assert_eq!(said, whole.to_string());
    assert_eq!(kept.clone().kept(), kept, "once is enough");
    // What is not too much is as it was, in the plan's order, and as an earlier version wrote it.
    all.truncate(Reason::METRICS);
    all[7].verdict = Verdict::Fail;
    let few = Reason::RoundPassed {
        evidence: all,
        more: 0,
    };
    assert_eq!(few.clone().kept(), few);
    let text = serde_json::to_string(&few).unwrap();
    assert!(!text.contains("more"), "{text}");
    assert_eq!(serde_json::from_str::<Reason>(&text).unwrap(), few);
}

#[test]
fn news_of_one_kind_push_out_none_of_another() {
    let mut state = State::initialized(Revision::new("v1").unwrap());
    let convicted = Reason::Convicted {
        metric: String::from("errors"),
        evidence: Vec::new(),
        more: 0,
    };
    let denied = |at: usize| Reason::Denied {
        kind: GateKind::ConfirmRollout,
        gate: format!("gate-{at}"),
        said: String::new(),
    };
    let now = Timestamp::from_millis(1);
    state.notify(now, &Reason::NewRevision);
    state.notify(now, &convicted);
    for at in 0..100 {
        state.notify(now, &denied(at));
    }
    let kept: Vec<&Reason> = state.outbox.iter().map(|it| &it.reason).collect();
    assert_eq!(kept.len(), State::OUTBOX);
    assert_eq!(kept[..2], [&Reason::NewRevision, &convicted]);
    assert_eq!((kept[2], kept[31]), (&denied(70), &denied(99)));
    assert_eq!(state.dropped, 70);
    // What matters least makes room for a kind that is not there.
    state.notify(now, &Reason::PromotionFailed);
    assert_eq!(state.outbox[0].reason, convicted);
    assert_eq!(state.outbox[31].reason, Reason::PromotionFailed);
    assert_eq!(state.dropped, 71);
}

#[test]
fn a_command_is_known_by_an_id_of_any_length() {
    let mut state = State::initialized(Revision::new("v1").unwrap());
    let ids = [
        String::from("short"),
        "x".repeat(128),
        "x".repeat(129),
        "x".repeat(1 << 20),
        "🐦".repeat(100),
        String::from("a\u{202e}"),
        String::from("a"),
    ];
    for (at, id) in ids.iter().enumerate() {
        assert!(!state.knows(id), "{at}");
        state.remember(id);
        assert!(ids[..=at].iter().all(|it| state.knows(it)), "{at}");
    }
    assert!(state.commands.iter().all(|it| it.len() <= 128));
    // As an earlier version has kept it.
    state.commands = vec!["y".repeat(300)];
    assert!(state.knows(&"y".repeat(300)));
}
