//! Alerting rules: what our machine says of a table of cases, and whether `promtool` agrees.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::float_cmp,
    clippy::wildcard_enum_match_arm,
    reason = "tests have processes and files, and panic when something is wrong"
)]

#[path = "alerting/case.rs"]
mod case;
#[path = "alerting/promtool.rs"]
mod promtool;

use case::Case;

#[test]
fn every_case_goes_as_the_table_says() {
    let cases = Case::all();
    assert!(cases.len() >= 30, "only {} cases", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(Case::difference).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_everyday_rules_are_in_the_table() {
    let cases = Case::all();
    for rule in ["HighErrorRate", "HighLatency", "PodCrashLooping"] {
        let told = |it: &&Case| it.name.starts_with("everyday rules") && it.name.contains(rule);
        assert!(cases.iter().any(|it| told(&it)), "{rule}");
    }
}

/// Compared at every tick of every case: what the expression yields, the labels and texts of the alerts that fire, and
/// of all active alerts the state and since when.
#[test]
#[ignore = "needs prometheus: run the README's test command"]
fn promtool_agrees_with_every_case() {
    promtool::agrees("table", &Case::all());
}

/// The same comparisons, where nobody chose the cases.
#[test]
#[ignore = "needs prometheus: run the README's test command"]
fn promtool_agrees_with_a_hundred_random_cases() {
    let cases: Vec<Case> = (1..=100).map(Case::random).collect();
    let states = cases.iter().flat_map(Case::replay).flatten();
    let resolved = states.flat_map(|it| it.iter().map(|it| it.resolved_at.is_some()).collect::<Vec<_>>());
    assert!(resolved.filter(|it| *it).count() > 100, "nothing happens");
    promtool::agrees("random", &cases);
}

/// A comparison that cannot fail compares nothing.
#[test]
#[ignore = "needs prometheus: run the README's test command"]
fn promtool_notices_every_kind_of_difference() {
    let cases = Case::all();
    let case = cases
        .iter()
        .find(|it| it.name.contains("HighErrorRate fires"))
        .unwrap();
    for (right, wrong) in [
        (r#"alertstate=\"pending\""#, r#"alertstate=\"firing\""#),
        (r#""severity":"critical""#, r#""severity":"warning""#),
        ("错误率 1.5%", "错误率 1.6%"),
        (r#""value":60.0"#, r#""value":0.0"#),
        (r#""value":0.015"#, r#""value":0.016"#),
    ] {
        promtool::disagrees(case, right, wrong);
    }
}
