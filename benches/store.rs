//! The text of a saved state. Goal: below 4 KiB.

#![allow(missing_docs, reason = "criterion's macros write functions without docs")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use delivery_benches::{plan, running};
use delivery_core::rollout::stored;

fn bench(criterion: &mut Criterion) {
    let (state, _) = running(&plan());
    let text = stored::encode(&state).expect("a state has a text");
    println!("a running canary's state: {} bytes", text.len());
    criterion.bench_function("encode", |b| b.iter(|| stored::encode(black_box(&state))));
    criterion.bench_function("decode", |b| b.iter(|| stored::decode(black_box(&text))));
}

criterion_group!(benches, bench);
criterion_main!(benches);
