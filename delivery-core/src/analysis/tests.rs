//! Judges, as tables.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::{
    Act, Baseline, Budget, Checks, Due, Histogram, Judge, Look, Metric, Nothing, OnNothing, Range, Sample,
    Tally, Terms, Verdict, judge,
};
use crate::time::Timestamp;

#[test]
fn a_bound_is_inside_its_range() {
    let both = Range {
        min: Some(1.0),
        max: Some(2.0),
        quantile: 0.99,
    };
    let none = Range {
        min: None,
        max: None,
        quantile: 0.99,
    };
    let table = [
        (Range::at_least(99.0), 99.0, "pass", "m 99 at least 99"),
        (
            Range::at_least(99.0),
            98.999,
            "fail",
            "m 98.999, wanted at least 99",
        ),
        (Range::at_least(99.0), f64::INFINITY, "pass", "m inf at least 99"),
        (
            Range::at_least(99.0),
            f64::NEG_INFINITY,
            "fail",
            "m -inf, wanted at least 99",
        ),
        (Range::at_most(500.0), 500.0, "pass", "m 500 at most 500"),
        (
            Range::at_most(500.0),
            500.01,
            "fail",
            "m 500.01, wanted at most 500",
        ),
        (
            Range::at_most(500.0),
            f64::INFINITY,
            "fail",
            "m inf, wanted at most 500",
        ),
        (Range::at_most(500.0), -1.0, "pass", "m -1 at most 500"),
        (
            Range::at_most(0.0),
            0.000_01,
            "fail",
            "m 0.00001, wanted at most 0",
        ),
        (Range::at_most(0.0), 0.0, "pass", "m 0 at most 0"),
        (both, 1.0, "pass", "m 1 1 to 2"),
        (both, 2.0, "pass", "m 2 1 to 2"),
        (both, 2.5, "fail", "m 2.5, wanted 1 to 2"),
        (both, 0.123_456, "fail", "m 0.123, wanted 1 to 2"),
        (none, 1e9, "pass", "m 1000000000 any number"),
    ];
    for (range, value, verdict, text) in table {
        expect(&Judge::Range(range), Sample::Value(value), verdict, text);
    }
}

#[test]
fn the_older_threshold_is_a_least_only_for_the_success_rate() {
    assert_eq!(Range::legacy("request-success-rate", 99.0), Range::at_least(99.0));
    for name in ["request-duration", "latency", "Request-Success-Rate", ""] {
        assert_eq!(Range::legacy(name, 99.0), Range::at_most(99.0), "{name}");
    }
}

#[test]
fn nothing_is_never_good() {
    let unusable = || Nothing::Unusable(String::from("no vector"));
    let table = [
        (Sample::Value(f64::NAN), "m: not a number", false),
        (counts(0, 0), "m: no data", false),
        (
            counts(1, 2),
            "m: unusable answer: more errors than requests",
            true,
        ),
        (nothing(Nothing::NoData), "m: no data", false),
        (nothing(Nothing::NotANumber), "m: not a number", false),
        (
            nothing(Nothing::Stale {
                age: Duration::from_secs(90),
            }),
            "m: data is 90s old",
            false,
        ),
        (
            nothing(Nothing::Straddles),
            "m: the measurement began before the present weight was in force",
            false,
        ),
        (
            nothing(Nothing::NoPrimary),
            "m: no data of the primary to compare with",
            false,
        ),
        (nothing(Nothing::NoAnswer), "m: no answer", true),
        (
            nothing(Nothing::Unreachable(String::from("refused"))),
            "m: source unreachable: refused",
            true,
        ),
        (nothing(unusable()), "m: unusable answer: no vector", true),
    ];
    let baseline = Baseline {
        max_ratio: Some(1.2),
        max_difference: None,
        higher_is_better: false,
        quantile: 0.99,
    };
    for (sample, text, error) in table {
        let any = Range {
            min: None,
            max: None,
            quantile: 0.99,
        };
        let round = round(&[metric("m", Judge::Range(any))], &[("m", sample.clone())]);
        assert_eq!(round.verdict, Verdict::Inconclusive, "{sample:?}");
        assert_eq!(round.error, error, "{sample:?}");
        assert_eq!(round.evidence[0].to_string(), text);
        assert_eq!(round.evidence[0].value, None);
        expect_verdict(&Judge::Baseline(baseline), sample, "inconclusive");
    }
}

#[test]
fn too_few_requests_are_not_judged() {
    let metric = Metric {
        min_sample: 100,
        ..metric("m", Judge::Range(Range::at_least(99.0)))
    };
    let few = Histogram::new(vec![(1.0, 99), (f64::INFINITY, 99)]).unwrap();
    let few = Sample::Histogram {
        canary: few,
        primary: None,
    };
    let table = [
        (counts(99, 99), "m: 99 requests, too few to judge (needs 100)"),
        (counts(100, 0), "m 100 at least 99"),
        (counts(100, 2), "m 98, wanted at least 99"),
        (few, "m: 99 requests, too few to judge (needs 100)"),
        // A value says nothing about how many requests there were.
        (Sample::Value(100.0), "m 100 at least 99"),
    ];
    for (sample, text) in table {
        let round = round(core::slice::from_ref(&metric), &[("m", sample)]);
        assert_eq!(round.evidence[0].to_string(), text);
    }
}

#[test]
fn counts_are_a_success_rate() {
    let table = [
        (1, 0, Ok(100.0)),
        (4, 1, Ok(75.0)),
        (3, 3, Ok(0.0)),
        (1 << 53, 1 << 52, Ok(50.0)),
        (0, 0, Err(Nothing::NoData)),
    ];
    for (total, errors, rate) in table {
        assert_eq!(Tally { total, errors }.success_rate(), rate);
    }
}

#[test]
fn a_canary_may_be_worse_by_so_much_and_no_more() {
    let ratio = (Some(1.2), None);
    let difference = (None, Some(5.0));
    let two = (Some(1.2), Some(5.0));
    // Bounds, whether higher is better, canary, primary, verdict.
    let table = [
        (ratio, false, 120.0, 100.0, "pass"),
        (ratio, false, 120.1, 100.0, "fail"),
        (ratio, false, 1.0, 100.0, "pass"),
        (ratio, false, 0.0, 0.0, "pass"),
        (ratio, false, 0.1, 0.0, "fail"),
        (ratio, true, 90.0, 108.0, "pass"),
        (ratio, true, 89.0, 108.0, "fail"),
        (ratio, true, 200.0, 100.0, "pass"),
        (ratio, true, 0.0, 100.0, "fail"),
        (difference, false, 105.0, 100.0, "pass"),
        (difference, false, 105.1, 100.0, "fail"),
        (difference, true, 95.0, 100.0, "pass"),
        (difference, true, 94.9, 100.0, "fail"),
        (two, false, 104.0, 100.0, "pass"),
        (two, false, 110.0, 100.0, "fail"),
        (two, false, 11.9, 9.0, "fail"),
        (ratio, false, f64::INFINITY, 100.0, "fail"),
        (ratio, false, 100.0, f64::INFINITY, "pass"),
        (ratio, false, f64::INFINITY, f64::INFINITY, "inconclusive"),
        (ratio, false, f64::NAN, 100.0, "inconclusive"),
        (ratio, false, 100.0, f64::NAN, "inconclusive"),
    ];
    for ((max_ratio, max_difference), higher_is_better, canary, primary, verdict) in table {
        let baseline = Baseline {
            max_ratio,
            max_difference,
            higher_is_better,
            quantile: 0.99,
        };
        expect_verdict(
            &Judge::Baseline(baseline),
            Sample::Pair { canary, primary },
            verdict,
        );
    }
}

#[test]
fn a_baseline_compares_error_rates_and_quantiles() {
    let baseline = Judge::Baseline(Baseline {
        max_ratio: Some(2.0),
        max_difference: None,
        higher_is_better: false,
        quantile: 0.5,
    });
    let tally = |total, errors| Tally { total, errors };
    let pair = |canary, primary| Sample::Counts {
        canary,
        primary: Some(primary),
    };
    let slow = |bound: f64| Histogram::new(vec![(bound, 10), (f64::INFINITY, 10)]).unwrap();
    let histograms = |canary, primary| Sample::Histogram {
        canary,
        primary: Some(primary),
    };
    let empty = Histogram::new(vec![(1.0, 0), (f64::INFINITY, 0)]).unwrap();
    expect(
        &baseline,
        pair(tally(100, 2), tally(100, 1)),
        "pass",
        "m 2 within 2 times the primary's 1",
    );
    expect(
        &baseline,
        pair(tally(100, 3), tally(100, 1)),
        "fail",
        "m 3, wanted within 2 times the primary's 1",
    );
    let no_primary = "m: no data of the primary to compare with";
    expect(
        &baseline,
        pair(tally(100, 0), tally(0, 0)),
        "inconclusive",
        no_primary,
    );
    expect(&baseline, counts(100, 0), "inconclusive", no_primary);
    expect(&baseline, Sample::Value(1.0), "inconclusive", no_primary);
    expect(
        &baseline,
        pair(tally(0, 0), tally(100, 1)),
        "inconclusive",
        "m: no data",
    );
    expect(
        &baseline,
        histograms(slow(4.0), slow(2.0)),
        "pass",
        "m 2 within 2 times the primary's 1",
    );
    expect(
        &baseline,
        histograms(slow(8.0), slow(2.0)),
        "fail",
        "m 4, wanted within 2 times the primary's 1",
    );
    expect(
        &baseline,
        histograms(slow(1.0), empty),
        "inconclusive",
        no_primary,
    );
}

/// `positive` and `negative` are `testhistogram` of Prometheus' own tests (`promql/testdata/histograms.test`), with the
/// values that it gives there; the third follows from the rule of linear interpolation within a bucket.
#[test]
#[allow(clippy::type_complexity, reason = "a table")]
fn quantiles_are_those_of_prometheus() {
    let inf = f64::INFINITY;
    let positive = [(0.1, 5), (0.2, 7), (1.0, 11), (inf, 12)];
    let negative = [(-0.2, 1), (-0.1, 2), (0.3, 2), (inf, 3)];
    let request = [(0.1, 50), (0.2, 80), (inf, 100)];
    let table: [(&[(f64, u64)], f64, f64); 13] = [
        (&positive, 0.0, 0.0),
        (&positive, 1.0, 1.0),
        // Rank 2.4 of 5 in 0..0.1.
        (&positive, 0.2, 0.048),
        // Rank 6 is 1 of 2 in 0.1..0.2.
        (&positive, 0.5, 0.15),
        // Rank 9.6 is 2.6 of 4 in 0.2..1.
        (&positive, 0.8, 0.72),
        (&negative, 0.2, -0.2),
        (&negative, 0.5, -0.15),
        (&negative, 0.8, 0.3),
        (&request, 0.5, 0.1),
        (&request, 0.8, 0.2),
        (&request, 0.9, 0.2),
        (&request, 0.99, 0.2),
        (&request, 2.0, 0.2),
    ];
    for (buckets, q, value) in table {
        let found = Histogram::new(buckets.into()).unwrap().quantile(q).unwrap();
        assert!(
            (found - value).abs() < 1e-9,
            "{q} of {buckets:?}: {found}, not {value}"
        );
    }
}

#[test]
fn a_histogram_that_is_none_is_refused() {
    let inf = f64::INFINITY;
    let table = [
        (vec![], "a histogram without a +Inf bucket"),
        (vec![(1.0, 1)], "a histogram without a +Inf bucket"),
        (vec![(-inf, 1)], "a histogram without a +Inf bucket"),
        (vec![(f64::NAN, 1), (inf, 1)], "a histogram bound is not a number"),
        (
            vec![(1.0, 1), (1.0, 1), (inf, 1)],
            "a histogram with the same bound twice",
        ),
        (
            vec![(1.0, 2), (inf, 1)],
            "a histogram whose counts fall with the bound",
        ),
    ];
    for (buckets, why) in table {
        assert_eq!(Histogram::new(buckets), Err(Nothing::Unusable(String::from(why))));
    }
    let unordered = Histogram::new(vec![(inf, 3), (2.0, 2), (1.0, 1)]).unwrap();
    assert_eq!(unordered.buckets(), [(1.0, 1), (2.0, 2), (inf, 3)]);
    assert_eq!(
        Histogram::new(vec![(inf, 0)]).unwrap().quantile(0.5),
        Err(Nothing::NoData)
    );
    let only = Nothing::Unusable(String::from("a histogram with no finite bucket"));
    assert_eq!(Histogram::new(vec![(inf, 3)]).unwrap().quantile(0.5), Err(only));
    assert_eq!(Histogram::default().quantile(0.5), Err(Nothing::NoData));
}

#[test]
fn every_metric_is_reported_in_the_plans_order_and_the_worst_counts() {
    let names = ["z", "a", "m", "silent"];
    let metrics = names.map(|it| metric(it, Judge::Range(Range::at_least(99.0))));
    let samples = [
        ("z", Sample::Value(90.0)),
        ("a", Sample::Value(100.0)),
        ("m", Sample::Value(f64::NAN)),
    ];
    let round = round(&metrics, &samples);
    let texts: Vec<_> = round.evidence.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "z 90, wanted at least 99",
            "a 100 at least 99",
            "m: not a number",
            "silent: no answer"
        ]
    );
    assert_eq!((round.verdict, round.error), (Verdict::Fail, true));
    assert!(Verdict::Fail > Verdict::Inconclusive && Verdict::Inconclusive > Verdict::Pass);
    assert_eq!(self::round(&[], &[]).verdict, Verdict::Pass);
}

#[test]
fn each_limit_of_the_budget_is_reached_for_itself() {
    let budget = |nothing| Budget {
        failed: 4,
        consecutive: Some(3),
        inconclusive: Some(2),
        errors: Some(1),
        held: Some(2),
        nothing,
        act: Act::AtOnce,
    };
    let (hold, fail) = (budget(OnNothing::Hold), budget(OnNothing::Fail));
    let start = Checks::default();
    let bad = Checks::failed;
    let table = [
        (start, None),
        (bad(bad(start)), None),
        (bad(bad(bad(start))), Some(("consecutive", 3))),
        (bad(bad(bad(bad(start)).passed())), Some(("threshold", 4))),
        (bad(bad(bad(start)).passed()).passed(), None),
        (start.inconclusive(false, &hold), None),
        (
            start.inconclusive(false, &hold).inconclusive(false, &hold),
            Some(("inconclusive", 2)),
        ),
        (start.inconclusive(true, &hold), Some(("errors", 1))),
        (start.held(), None),
        (start.held().passed().held(), Some(("sequential.held", 2))),
    ];
    for (checks, limit) in table {
        assert_eq!(checks.exhausted(&hold), limit, "{checks:?}");
    }
    assert_eq!(start.inconclusive(false, &hold).failed, 0);
    assert_eq!(start.inconclusive(false, &fail).failed, 1);
}

// ---- the helpers

fn metric(name: &str, judge: Judge) -> Metric {
    Metric {
        name: name.to_string(),
        query: None,
        window: Duration::from_secs(60),
        min_sample: 0,
        judge,
    }
}

fn round(metrics: &[Metric], samples: &[(&str, Sample)]) -> super::Round {
    let samples = samples.iter().map(|(name, it)| ((*name).to_string(), it.clone()));
    let due = Due {
        metrics,
        terms: &Terms::DEFAULT,
        look: Look::Round,
        at: Timestamp::from_millis(0),
        primary_rests: false,
    };
    judge(&due, &samples.collect(), &BTreeMap::new())
}

fn counts(total: u64, errors: u64) -> Sample {
    let canary = Tally { total, errors };
    Sample::Counts {
        canary,
        primary: None,
    }
}

fn nothing(nothing: Nothing) -> Sample {
    Sample::Nothing(nothing)
}

#[track_caller]
fn expect(judge: &Judge, sample: Sample, verdict: &str, text: &str) {
    let evidence = &round(&[metric("m", judge.clone())], &[("m", sample)]).evidence[0];
    assert_eq!(
        (
            evidence.verdict.to_string().as_str(),
            evidence.to_string().as_str()
        ),
        (verdict, text)
    );
}

#[track_caller]
fn expect_verdict(judge: &Judge, sample: Sample, verdict: &str) {
    let asked = alloc::format!("{judge:?} {sample:?}");
    let found = round(&[metric("m", judge.clone())], &[("m", sample)]).verdict;
    assert_eq!(found.to_string(), verdict, "{asked}");
}

#[test]
fn of_a_long_series_the_newest_points_are_kept() {
    let mut series = super::Series::default();
    for point in 0_u32..1_500 {
        series.push(f64::from(point), Some(-f64::from(point)));
    }
    assert_eq!((series.canary.len(), series.primary.len()), (480, 480));
    assert_eq!((series.canary[0], series.primary[479]), (1_020.0, -1_499.0));
}

/// One round at a moment, with what was remembered, of one metric `m`.
fn remembered(
    judge_by: &Judge,
    minute: u32,
    primary_rests: bool,
    sample: Sample,
    memory: &mut BTreeMap<String, super::Memory>,
) -> (Verdict, String) {
    let metrics = [
        metric("m", judge_by.clone()),
        metric("absolute", Judge::Range(Range::at_least(0.0))),
    ];
    let due = Due {
        metrics: &metrics,
        terms: &Terms::DEFAULT,
        look: Look::Round,
        at: Timestamp::from_millis(0).after(Duration::from_secs(60) * minute),
        primary_rests,
    };
    let samples = [
        ("m".to_string(), sample),
        ("absolute".to_string(), Sample::Value(1.0)),
    ];
    let round = judge(&due, &samples.into(), memory);
    *memory = round.memory;
    (round.verdict, round.evidence[0].to_string())
}

#[test]
fn a_primary_without_traffic_is_what_it_was_before() {
    let baseline = Judge::Baseline(Baseline {
        max_ratio: Some(2.0),
        max_difference: None,
        higher_is_better: false,
        quantile: 0.99,
    });
    let both = |canary, primary| Sample::Counts {
        canary: Tally {
            total: 100,
            errors: canary,
        },
        primary: Some(Tally {
            total: 100,
            errors: primary,
        }),
    };
    let alone = |errors| Sample::Counts {
        canary: Tally { total: 100, errors },
        primary: Some(Tally::default()),
    };
    let mut memory = BTreeMap::new();
    let rested = remembered(&baseline, 0, true, alone(9), &mut memory);
    assert_eq!(
        (rested.0, rested.1.as_str()),
        (
            Verdict::Pass,
            "m abstains: the primary gets no traffic, and what it did before is not known"
        )
    );
    // Six rounds: the middle of the last five is 4, and the one with an outage of the primary moves nothing.
    for (minute, primary) in (1..).zip([90, 3, 4, 90, 4, 3]) {
        remembered(&baseline, minute, false, both(0, primary), &mut memory);
    }
    let cases = [
        (
            8,
            Verdict::Pass,
            "m 8 within 2 times the primary's 4 of 2m0s before, while it had traffic",
        ),
        (
            9,
            Verdict::Fail,
            "m 9, wanted within 2 times the primary's 4 of 2m0s before, while it had traffic",
        ),
    ];
    for (errors, verdict, said) in cases {
        let judged = remembered(&baseline, 8, true, alone(errors), &mut memory);
        assert_eq!((judged.0, judged.1.as_str()), (verdict, said));
    }
    // A canary without data is not good because its primary has none.
    for nothing in [Sample::Nothing(Nothing::NoData), counts(0, 0)] {
        let judged = remembered(&baseline, 8, true, nothing, &mut memory);
        assert_eq!(judged.0, Verdict::Inconclusive, "{}", judged.1);
    }
}

#[test]
fn a_test_of_both_sides_abstains_while_one_has_no_traffic_and_keeps_what_it_knows() {
    let compare = Judge::Compare(super::Compare::default());
    let both = |canary, primary| Sample::Counts {
        canary: Tally {
            total: 1_000,
            errors: canary,
        },
        primary: Some(Tally {
            total: 9_000,
            errors: primary,
        }),
    };
    let mut memory = BTreeMap::new();
    remembered(&compare, 1, false, both(3, 27), &mut memory);
    let known = memory.clone();
    for minute in 2..10 {
        let judged = remembered(&compare, minute, true, counts(1_000, 900), &mut memory);
        assert_eq!(judged.0, Verdict::Pass);
        assert!(
            judged.1.starts_with("m abstains: the primary gets no traffic now; before, 3 of 1 000 requests failed on the canary"),
            "{}",
            judged.1
        );
    }
    let wealth = |memory: &BTreeMap<String, super::Memory>| match memory.get("m") {
        Some(super::Memory::Account(account)) => account.wealth,
        other => panic!("{other:?}"),
    };
    assert_eq!(wealth(&memory), wealth(&known));
    let judged = remembered(&compare, 11, true, Sample::Nothing(Nothing::NoData), &mut memory);
    assert_eq!(judged.0, Verdict::Inconclusive);
    let judged = remembered(&compare, 11, true, counts(0, 0), &mut memory);
    assert_eq!(judged.0, Verdict::Inconclusive, "{}", judged.1);
    // And it is not blind afterwards.
    let judged = remembered(&compare, 12, false, both(900, 27), &mut memory);
    assert!(judged.0 >= Verdict::Suspect, "{judged:?}");
}

#[test]
fn two_sides_that_are_bad_alike_are_never_good_beyond_doubt() {
    let compare = Judge::Compare(super::Compare::default());
    let bad = || Sample::Counts {
        canary: Tally {
            total: 50_000,
            errors: 50_000,
        },
        primary: Some(Tally {
            total: 50_000,
            errors: 50_000,
        }),
    };
    let metrics = [metric("m", compare)];
    let mut memory = BTreeMap::new();
    for minute in 1..20 {
        let due = Due {
            metrics: &metrics,
            terms: &Terms::DEFAULT,
            look: Look::Round,
            at: Timestamp::from_millis(0).after(Duration::from_secs(60) * minute),
            primary_rests: false,
        };
        let round = judge(&due, &[("m".to_string(), bad())].into(), &memory);
        assert_eq!(
            (round.verdict, round.confirmed),
            (Verdict::Pass, false),
            "{:?}",
            round.evidence
        );
        assert_eq!(round.evidence[0].verdict, Verdict::Pass);
        memory = round.memory;
    }
}

#[test]
fn error_rates_are_better_when_they_are_smaller_whatever_the_metric_says() {
    let baseline = Judge::Baseline(Baseline {
        max_ratio: Some(1.5),
        max_difference: None,
        higher_is_better: true,
        quantile: 0.99,
    });
    let sample = Sample::Counts {
        canary: Tally {
            total: 100,
            errors: 60,
        },
        primary: Some(Tally {
            total: 100,
            errors: 1,
        }),
    };
    expect(
        &baseline,
        sample,
        "fail",
        "m 60, wanted within 1.5 times the primary's 1",
    );
}
