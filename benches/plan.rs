//! From a spec to a plan.

#![allow(missing_docs, reason = "criterion's macros write functions without docs")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use delivery_benches::{plan, reference};
use delivery_core::plan::Capabilities;

fn bench(criterion: &mut Criterion) {
    let spec = reference();
    criterion.bench_function("compile", |b| {
        b.iter(|| black_box(&spec).compile(&Capabilities::ALL))
    });
    let plan = plan();
    criterion.bench_function("timetable", |b| b.iter(|| black_box(&plan).timetable()));
}

criterion_group!(benches, bench);
criterion_main!(benches);
