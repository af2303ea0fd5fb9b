//! A whole rollout of one hour in the simulated world, through the real driver. Goal: below 100 µs.

#![allow(missing_docs, reason = "criterion's macros write functions without docs")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use delivery_benches::reference;
use delivery_core::plan::{Canary, Capabilities, Spec, Strategy};
use delivery_core::rollout::Phase;
use delivery_core::sim::{self, Happening, Scenario, Version};
use delivery_core::{Plan, Revision};

fn compiled(strategy: Strategy) -> Plan {
    let spec = Spec {
        strategy,
        ..reference()
    };
    spec.compile(&Capabilities::ALL).expect("it compiles").0
}

fn bench(criterion: &mut Criterion) {
    let revision = |name| Revision::new(name).expect("a revision");
    let scenario = Scenario {
        happenings: vec![Happening::push(Duration::ZERO, revision("v2"))],
        ..Scenario::new(revision("v1")).version(revision("v2"), Version::default())
    };
    // A weight every minute up to 57 %: an hour with scaling up, promotion and draining.
    let hour = compiled(Strategy::Canary(Canary {
        step_weight: Some(1.0),
        max_weight: Some(57.0),
        ..Canary::default()
    }));
    // The same hour with a weight every ten minutes, as most people would write it.
    let few = Spec {
        interval: Duration::from_secs(450),
        ..reference()
    };
    let few = few.compile(&Capabilities::ALL).expect("it compiles").0;
    for (name, plan) in [("one hour, 57 weights", &hour), ("one hour, 5 weights", &few)] {
        let recording = sim::run(plan, &scenario);
        assert_eq!(recording.state.phase(), Phase::Succeeded);
        println!(
            "{name}: {:?} of virtual time, {} rows",
            recording.took,
            recording.rows.len()
        );
        criterion.bench_function(name, |b| {
            b.iter(|| sim::run(black_box(plan), black_box(&scenario)))
        });
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
