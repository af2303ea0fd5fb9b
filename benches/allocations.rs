//! What must not happen is counted, not timed.

use std::time::Duration;

use delivery_benches::{plan, running};
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
