//! One round of one metric under a sequential test. Goal: below 1 µs.

#![allow(missing_docs, reason = "criterion's macros write functions without docs")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use delivery_benches::account;
use delivery_core::analysis::sequential::{Null, Test};
use delivery_core::analysis::{Memory, Tally};

fn bench(criterion: &mut Criterion) {
    let (canary, primary) = (
        Tally {
            total: 3_000,
            errors: 5,
        },
        Tally {
            total: 27_000,
            errors: 31,
        },
    );
    for (name, null) in [
        ("compare", Null::Compare(1.25)),
        ("objective", Null::Objective(0.01)),
    ] {
        let test = Test::new(null, 0.01, 2, 4.0).expect("a test");
        let account = account(null);
        criterion.bench_function(&format!("judge: one round, {name}"), |b| {
            b.iter(|| {
                let mut wealth = account.wealth;
                test.round(
                    black_box(&mut wealth),
                    black_box(canary),
                    black_box(Some(primary)),
                )
                .map(|_| wealth)
            });
        });
    }
    let memory = Memory::Account(Box::new(account(Null::Compare(1.25))));
    let text = serde_json::to_string(&memory).expect("a text");
    println!("what a test remembers: {} bytes", text.len());
    criterion.bench_function("judge: save what a test remembers", |b| {
        b.iter(|| serde_json::to_string(black_box(&memory)))
    });
    criterion.bench_function("judge: load what a test remembers", |b| {
        b.iter(|| serde_json::from_str::<Memory>(black_box(&text)))
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
