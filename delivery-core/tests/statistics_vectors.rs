//! The sequential judges against vectors that were computed by another program.
//!
//! `STATISTICS_VECTORS` names another file of the same format.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::fs;
use std::path::PathBuf;

use delivery_core::analysis::sequential::{Finding, Null, Test, Wealth, combined};
use delivery_core::analysis::{Dispersion, Nothing, Tally};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
    combined: Vec<Together>,
    dispersion: Vec<Past>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(flatten)]
    judge: Judge,
    rounds: Vec<Round>,
}

#[derive(Deserialize)]
struct Judge {
    judge: String,
    parameters: Parameters,
}

#[derive(Deserialize)]
struct Parameters {
    alpha: f64,
    alpha_share: f64,
    min_rounds: u32,
    hold: f64,
    dispersion: f64,
    interval_alpha: f64,
    tolerance_ratio: Option<f64>,
    max_error_rate: Option<f64>,
}

#[derive(Deserialize)]
struct Round {
    input: Input,
    expect: Expected,
}

#[derive(Deserialize)]
struct Input {
    canary: Counts,
    baseline: Option<Counts>,
}

#[derive(Clone, Copy, Deserialize)]
struct Counts {
    total: u64,
    errors: u64,
}

#[derive(Deserialize)]
struct Expected {
    verdict: String,
    #[serde(flatten)]
    numbers: Option<Numbers>,
}

#[derive(Deserialize)]
struct Numbers {
    log_e: f64,
    p: f64,
    interval_grid: [Option<i32>; 2],
    log_reserve: f64,
    log_a: [f64; 8],
    tolerance: f64,
}

#[derive(Deserialize)]
struct Together {
    name: String,
    judges: Vec<Judge>,
    rounds: Vec<Both>,
}

#[derive(Deserialize)]
struct Both {
    input: Input,
    log_e: Vec<f64>,
    combined_log_e: f64,
    combined_p: f64,
    verdict: String,
    tolerance: f64,
}

#[derive(Deserialize)]
struct Past {
    name: String,
    history: Vec<Counts>,
    dispersion: f64,
}

impl From<Counts> for Tally {
    fn from(Counts { total, errors }: Counts) -> Self {
        Self { total, errors }
    }
}

impl Judge {
    fn test(&self) -> Test {
        self.with_alpha(self.parameters.alpha * self.parameters.alpha_share)
    }

    fn with_alpha(&self, alpha: f64) -> Test {
        let it = &self.parameters;
        let null = match self.judge.as_str() {
            "compare" => Null::Compare(it.tolerance_ratio.expect("a ratio")),
            "objective" => Null::Objective(it.max_error_rate.expect("a rate")),
            other => panic!("no such judge: {other}"),
        };
        Test::new(null, alpha, it.min_rounds, it.hold).expect("a test")
    }
}

fn vectors() -> Vectors {
    let own = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/statistics-vectors.json");
    let path = std::env::var_os("STATISTICS_VECTORS").map_or_else(own, PathBuf::from);
    let text = fs::read_to_string(&path).unwrap_or_else(|it| panic!("{}: {it}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|it| panic!("{}: {it}", path.display()))
}

fn round(test: &Test, wealth: &mut Wealth, input: &Input) -> String {
    let before = *wealth;
    let said = test.round(wealth, input.canary.into(), input.baseline.map(Tally::from));
    match said {
        Ok(finding) => finding.to_string(),
        Err(nothing) => {
            assert_eq!(*wealth, before, "nothing to judge changes nothing");
            let invalid = matches!(nothing, Nothing::Unusable(_));
            String::from(if invalid { "invalid" } else { "inconclusive" })
        }
    }
}

/// The end of an interval, in half steps of the binary logarithm.
#[allow(clippy::cast_possible_truncation, reason = "from -8 to 16")]
fn half_steps(end: Option<f64>) -> Option<i32> {
    end.map(|it| (it.log2() * 2.0).round() as i32)
}

fn near(name: &str, found: f64, wanted: f64, tolerance: f64) {
    assert!(
        (found - wanted).abs() <= tolerance,
        "{name}: {found}, not {wanted} (within {tolerance})"
    );
}

#[test]
fn every_round_is_as_computed_elsewhere() {
    let vectors = vectors();
    let mut checked = 0;
    for case in &vectors.cases {
        let test = case.judge.test();
        let mut wealth = Wealth::new(case.judge.parameters.dispersion);
        for (at, Round { input, expect }) in case.rounds.iter().enumerate() {
            let name = format!("{}, round {}", case.name, at + 1);
            assert_eq!(round(&test, &mut wealth, input), expect.verdict, "{name}");
            checked += 1;
            let Some(numbers) = &expect.numbers else { continue };
            near(&name, wealth.log_e(), numbers.log_e, numbers.tolerance);
            near(
                &name,
                wealth.log_reserve(),
                numbers.log_reserve,
                numbers.tolerance,
            );
            for (found, wanted) in wealth.log_bets().iter().zip(numbers.log_a) {
                near(&name, *found, wanted, numbers.tolerance);
            }
            near(
                &name,
                wealth.p_value(),
                numbers.p,
                numbers.p * (1e-9 + numbers.tolerance),
            );
            let interval = wealth.interval(case.judge.parameters.interval_alpha);
            assert_eq!(
                [half_steps(interval.low), half_steps(interval.high)],
                numbers.interval_grid,
                "{name}"
            );
        }
    }
    for case in &vectors.combined {
        let tests: Vec<Test> = case.judges.iter().map(Judge::test).collect();
        let mut wealth: Vec<Wealth> = case
            .judges
            .iter()
            .map(|it| Wealth::new(it.parameters.dispersion))
            .collect();
        let whole = case.judges[0].with_alpha(case.judges[0].parameters.alpha);
        let mut best = 0.0_f64;
        for (at, both) in case.rounds.iter().enumerate() {
            let name = format!("{}, round {}", case.name, at + 1);
            for ((test, wealth), log_e) in tests.iter().zip(&mut wealth).zip(&both.log_e) {
                round(test, wealth, &both.input);
                near(&name, wealth.log_e(), *log_e, both.tolerance);
            }
            let shares = case.judges.iter().map(|it| it.parameters.alpha_share);
            let log_e = combined(shares.zip(wealth.iter().map(Wealth::log_e)));
            best = best.max(log_e);
            near(&name, log_e, both.combined_log_e, both.tolerance);
            near(
                &name,
                (-best).exp(),
                both.combined_p,
                both.combined_p * (1e-9 + both.tolerance),
            );
            assert_eq!(whole.finding(log_e).to_string(), both.verdict, "{name}");
            checked += 1;
        }
    }
    for case in &vectors.dispersion {
        let history: Vec<Tally> = case.history.iter().copied().map(Tally::from).collect();
        near(
            &case.name,
            Dispersion::of(&history).value,
            case.dispersion,
            1e-9 * case.dispersion,
        );
        checked += 1;
    }
    assert!(checked > 0, "a file without vectors");
    println!("{checked} vectors");
}

#[test]
fn the_vectors_have_every_finding_in_them() {
    let said: std::collections::BTreeSet<String> = vectors()
        .cases
        .iter()
        .flat_map(|it| it.rounds.iter().map(|it| it.expect.verdict.clone()))
        .collect();
    for finding in [Finding::Continue, Finding::Suspect, Finding::Fail] {
        assert!(said.contains(&finding.to_string()), "{finding}");
    }
}
