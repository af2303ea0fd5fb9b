//! From the bytes of a Prometheus' answer to a number. Goal: at least three times as fast as `prometheus-http-query`.

#![allow(missing_docs, reason = "criterion's macros write functions without docs")]

mod peers;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use delivery_benches::replies::{matrix, ours, vector};

fn bench(criterion: &mut Criterion) {
    for (name, body) in [
        ("vector of 10000 series", vector(10_000)),
        ("matrix of 1 MB", matrix(1 << 20).0),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(body.len().try_into().unwrap_or(u64::MAX)));
        group.sample_size(30);
        group.bench_function("delivery-prom", |b| b.iter(|| ours(black_box(&body))));
        group.bench_function("prometheus-http-query", |b| {
            b.iter(|| peers::http_query(black_box(&body)))
        });
        group.bench_function("serde_json::Value", |b| b.iter(|| peers::tree(black_box(&body))));
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
