//! What the benches measure: the reference rollout, in its states.

pub mod replies;

use std::collections::BTreeMap;
use std::time::Duration;

use delivery_core::analysis::sequential::{Null, Test};
use delivery_core::analysis::{Account, Sample, Tally};
use delivery_core::plan::{Canary, Capabilities, MetricSpec, Plan, Spec, Strategy};
use delivery_core::port::{Pods, Traffic};
use delivery_core::rollout::{Content, Observation, Outcome, Reply, State, step};
use delivery_core::{Revision, Timestamp};

/// The reference rollout: 10 % steps to 50 %, success rate at least 99 %, P99 at most 500 ms, every minute.
#[must_use]
pub fn reference() -> Spec {
    let canary = Canary {
        step_weight: Some(10.0),
        max_weight: Some(50.0),
        ..Canary::default()
    };
    Spec {
        threshold: 5,
        metrics: vec![
            MetricSpec::at_least("request-success-rate", 99.0),
            MetricSpec::at_most("request-duration", 500.0),
        ],
        ..Spec::new(Strategy::Canary(canary))
    }
}

/// The plan of the reference rollout.
///
/// # Panics
/// Never: it compiles.
#[must_use]
pub fn plan() -> Plan {
    reference()
        .compile(&Capabilities::ALL)
        .expect("the reference rollout compiles")
        .0
}

/// A canary at 20 %, and what is seen of it when its next check is due.
///
/// # Panics
/// If the engine no longer gets there.
#[must_use]
pub fn running(plan: &Plan) -> (State, Observation) {
    let revision = |name| Revision::new(name).expect("a revision");
    let pods = |name| {
        let revision = Some(revision(name));
        Some(Pods {
            revision,
            wanted: 2,
            total: 2,
            updated: 2,
            available: 2,
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
    for _ in 0..100 {
        let weight = state.traffic().weight().as_percent();
        let next = match step(plan, &state, &seen) {
            Outcome::Go(next, _) => Some(*next),
            Outcome::Ask(_) if weight > 15.0 => return (state, seen),
            Outcome::Ask(_) => {
                seen.replies = vec![good(&state)];
                None
            }
            Outcome::Hold { .. } => {
                seen.now = seen.now.after(Duration::from_secs(60));
                None
            }
        };
        if let Some(next) = next {
            state = next;
            seen.in_force = Some(state.traffic());
            seen.replies.clear();
        }
    }
    panic!("the canary never came to 20 %: {state:?}");
}

/// A good answer to everything that is measured.
#[must_use]
pub fn good(state: &State) -> Reply {
    let samples = [("request-success-rate", 99.9), ("request-duration", 120.0)];
    let samples: BTreeMap<String, Sample> = samples
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Sample::Value(value)))
        .collect();
    Reply {
        sequence: state.sequence,
        content: Content::Measured(samples),
    }
}

/// What a sequential test remembers after twenty rounds.
///
/// # Panics
/// Never: the test is one.
#[must_use]
pub fn account(null: Null) -> Account {
    let mut account = Account::new(null, 1.3);
    let test = Test::new(null, 0.01, 2, 4.0).expect("a test");
    for round in 0..20 {
        let tally = |total, errors| Tally { total, errors };
        test.round(
            &mut account.wealth,
            tally(3_000 + round, 4 + round % 3),
            Some(tally(27_000, 29)),
        )
        .expect("requests on both sides");
    }
    account
}
