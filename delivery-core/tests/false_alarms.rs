//! What the sequential judges promise, by simulation with a fixed seed: false alarms, power, and a control that shows
//! that the simulation would notice a test that does not keep its promise.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod draw;

use delivery_core::analysis::sequential::{Finding, Null, Test, Wealth, combined};
use delivery_core::analysis::{Dispersion, Tally};
use draw::Chance;

const ALPHA: f64 = 0.01;
const RUNS: u32 = 20_000;
const ROUNDS: u32 = 25;
const SECONDS: u64 = 60;

/// Weights of 10 to 50 %, five rounds each.
fn weight(round: u32) -> f64 {
    f64::from(1 + round / 5) / 10.0
}

/// A round of both sides; the canary gets its share of the requests.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "counts far below 2^53"
)]
fn round(chance: &mut Chance, requests: u64, weight: f64, rates: [f64; 2], burst: f64) -> [Tally; 2] {
    let canary = (requests as f64 * weight).round() as u64;
    [
        chance.requests(canary, rates[0], burst),
        chance.requests(requests - canary, rates[1], burst),
    ]
}

/// What a run is like.
#[derive(Clone, Copy, Debug)]
struct World {
    null: Null,
    per_second: u64,
    primary: f64,
    canary: f64,
    burst: f64,
    min_rounds: u32,
    calibrated: bool,
}

impl World {
    const HEALTHY: Self = Self {
        null: Null::Compare(1.25),
        per_second: 50,
        primary: 0.001,
        canary: 0.001,
        burst: 1.0,
        min_rounds: 2,
        calibrated: false,
    };

    fn test(&self) -> Test {
        Test::new(self.null, ALPHA, self.min_rounds, 4.0).expect("a test")
    }

    /// In which round a run is convicted, if it ever is.
    fn convicted(&self, chance: &mut Chance) -> Option<u32> {
        let test = self.test();
        let requests = self.per_second * SECONDS;
        let dispersion = if self.calibrated {
            let history: Vec<Tally> = (0..60)
                .map(|_| chance.requests(requests, self.primary, self.burst))
                .collect();
            Dispersion::of(&history).value
        } else {
            1.0
        };
        let mut wealth = Wealth::new(dispersion);
        (0..ROUNDS).find(|round| {
            let rates = [self.canary, self.primary];
            let [canary, primary] = self::round(chance, requests, weight(*round), rates, self.burst);
            matches!(test.round(&mut wealth, canary, Some(primary)), Ok(Finding::Fail))
        })
    }

    /// The share of runs that are ever convicted.
    fn convictions(&self, runs: u32) -> f64 {
        let mut chance = Chance::new(20_261_125);
        let convicted = (0..runs)
            .filter(|_| self.convicted(&mut chance).is_some())
            .count();
        let share = f64::from(u32::try_from(convicted).expect("few")) / f64::from(runs);
        println!("{:>6.2} % {self:?}", share * 100.0);
        share
    }
}

/// `alpha`, and four standard deviations of the simulation.
fn bound(runs: u32) -> f64 {
    ALPHA + 4.0 * (ALPHA * (1.0 - ALPHA) / f64::from(runs)).sqrt()
}

#[test]
#[ignore = "needs an optimised build: run the README's test command"]
fn a_good_version_is_convicted_no_more_often_than_stated() {
    for per_second in [1, 50, 5_000] {
        for ratio in [1.0, 1.25] {
            let world = World {
                per_second,
                canary: 0.001 * ratio,
                ..World::HEALTHY
            };
            assert!(world.convictions(RUNS) <= bound(RUNS), "{world:?}");
            // Exactly at the edge, where a round may convict alone.
            let edge = World {
                null: Null::Compare(ratio),
                min_rounds: 1,
                ..world
            };
            assert!(edge.convictions(RUNS) <= bound(RUNS), "{edge:?}");
            let objective = World {
                null: Null::Objective(0.001 * ratio),
                ..world
            };
            assert!(objective.convictions(RUNS) <= bound(RUNS), "{objective:?}");
        }
    }
}

#[test]
#[ignore = "needs an optimised build: run the README's test command"]
fn bursts_fool_a_test_that_does_not_know_of_them_and_no_other() {
    let world = World {
        burst: 5.0,
        min_rounds: 1,
        ..World::HEALTHY
    };
    let fooled = world.convictions(RUNS);
    assert!(fooled > 0.2, "the control: {fooled}");
    for per_second in [1, 50, 5_000] {
        let knows = World {
            per_second,
            calibrated: true,
            min_rounds: 2,
            ..world
        };
        assert!(knows.convictions(RUNS) <= bound(RUNS), "{knows:?}");
    }
}

#[test]
#[ignore = "needs an optimised build: run the README's test command"]
fn a_dead_canary_is_convicted_as_soon_as_it_may_be() {
    for null in [Null::Compare(1.25), Null::Objective(0.01)] {
        for (per_second, min_rounds) in [(50, 1), (50, 2), (50, 3), (5_000, 2)] {
            let dead = World {
                null,
                per_second,
                min_rounds,
                canary: 1.0,
                ..World::HEALTHY
            };
            let mut chance = Chance::new(7);
            for _ in 0..1_000 {
                assert_eq!(dead.convicted(&mut chance), Some(min_rounds - 1), "{dead:?}");
            }
        }
    }
}

#[test]
#[ignore = "needs an optimised build: run the README's test command"]
fn ten_times_the_errors_are_found_in_every_run() {
    let mut chance = Chance::new(4);
    let half = |null| Test::new(null, ALPHA / 2.0, 2, 4.0).expect("a test");
    let whole = Test::new(Null::Compare(1.25), ALPHA, 2, 4.0).expect("a test");
    let tests = [half(Null::Compare(1.25)), half(Null::Objective(0.01))];
    let (runs, mut rounds) = (4_000, 0);
    for run in 0..runs {
        let mut wealth = [Wealth::new(1.0); 2];
        let found = (0..ROUNDS).find(|round| {
            let [canary, primary] =
                self::round(&mut chance, 50 * SECONDS, weight(*round), [0.01, 0.001], 1.0);
            for (test, wealth) in tests.iter().zip(&mut wealth) {
                test.round(wealth, canary, Some(primary))
                    .expect("requests on both sides");
            }
            whole.finding(combined(wealth.iter().map(|it| (0.5, it.log_e())))) == Finding::Fail
        });
        rounds += found.unwrap_or_else(|| panic!("run {run} was not convicted")) + 1;
    }
    let mean = f64::from(rounds) / f64::from(runs);
    println!("0.1 % -> 1 %, 50 requests/s: {mean:.2} rounds");
    assert!(mean < 5.0, "{mean}");
}

#[test]
fn the_draws_have_the_mean_and_variance_that_they_should() {
    let mut chance = Chance::new(1);
    for (n, p) in [(10, 0.5), (300, 0.001), (3_000, 0.9), (300_000, 0.02)] {
        #[allow(clippy::cast_precision_loss, reason = "small counts")]
        let drawn: Vec<f64> = (0..4_000).map(|_| chance.binomial(n, p) as f64).collect();
        let runs = 4_000.0;
        let mean = drawn.iter().sum::<f64>() / runs;
        let variance = drawn.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / runs;
        #[allow(clippy::cast_precision_loss, reason = "small counts")]
        let (wanted, spread) = (n as f64 * p, n as f64 * p * (1.0 - p));
        assert!(
            (mean - wanted).abs() < 5.0 * (spread / runs).sqrt(),
            "{n} {p}: mean {mean}, not {wanted}"
        );
        assert!(
            (variance / spread - 1.0).abs() < 0.15,
            "{n} {p}: variance {variance}, not {spread}"
        );
    }
}
