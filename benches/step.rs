//! One decision about a running canary. Goal: below 1 µs.

#![allow(missing_docs, reason = "criterion's macros write functions without docs")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use delivery_benches::{good, plan, running};
use delivery_core::rollout::{Outcome, desired, step};

fn bench(criterion: &mut Criterion) {
    let plan = plan();
    let (state, seen) = running(&plan);
    let mut waiting = seen.clone();
    waiting.now = waiting.now.before(Duration::from_secs(30));
    assert!(matches!(step(&plan, &state, &waiting), Outcome::Hold { .. }));
    let mut judged = seen.clone();
    judged.replies.push(good(&state));
    assert!(matches!(step(&plan, &state, &judged), Outcome::Go(..)));

    criterion.bench_function("step: hold", |b| {
        b.iter(|| step(black_box(&plan), black_box(&state), black_box(&waiting)))
    });
    criterion.bench_function("step: ask", |b| {
        b.iter(|| step(black_box(&plan), black_box(&state), black_box(&seen)))
    });
    criterion.bench_function("step: judge two metrics and move", |b| {
        b.iter(|| step(black_box(&plan), black_box(&state), black_box(&judged)));
    });
    criterion.bench_function("desired", |b| {
        b.iter(|| desired(black_box(&plan), black_box(&state)))
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
