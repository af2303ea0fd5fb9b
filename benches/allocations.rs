//! What must not happen is counted, not timed.

use std::time::Duration;

use delivery_benches::{account, plan, running};
use delivery_core::analysis::sequential::{Finding, Null, Test};
use delivery_core::analysis::{Memory, Tally};
use delivery_core::rollout::{Outcome, step, stored};

#[test]
fn holding_allocates_nothing() {
    let plan = plan();
    let (state, mut seen) = running(&plan);
    seen.now = seen.now.before(Duration::from_secs(30));
    let counted = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            assert!(matches!(step(&plan, &state, &seen), Outcome::Hold { .. }));
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn asking_allocates_nothing() {
    let plan = plan();
    let (state, seen) = running(&plan);
    let counted = allocation_counter::measure(|| {
        assert!(matches!(step(&plan, &state, &seen), Outcome::Ask(_)));
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_running_state_is_smaller_than_4_kib() {
    let (mut state, _) = running(&plan());
    assert!(stored::encode(&state).expect("a text").len() < 4_096);
    // Without the notices, which leave as soon as somebody takes them.
    state.outbox.clear();
    println!("{} bytes", stored::encode(&state).expect("a text").len());
}

#[test]
fn a_round_of_a_sequential_test_allocates_nothing() {
    for null in [Null::Compare(1.25), Null::Objective(0.01)] {
        let test = Test::new(null, 0.01, 2, 4.0).expect("a test");
        let mut wealth = account(null).wealth;
        let good = |total, errors| Tally { total, errors };
        let counted = allocation_counter::measure(|| {
            for _ in 0..1_000 {
                let said = test.round(&mut wealth, good(3_000, 3), Some(good(27_000, 27)));
                assert_eq!(said, Ok(Finding::Continue));
            }
        });
        assert_eq!(counted.count_total, 0);
    }
}

#[test]
fn what_a_sequential_test_remembers_is_smaller_than_1_kib() {
    let memory = Memory::Account(Box::new(account(Null::Compare(1.25))));
    let text = serde_json::to_string(&memory).expect("a text");
    assert!(text.len() < 1_024);
    println!("{} bytes", text.len());
}
