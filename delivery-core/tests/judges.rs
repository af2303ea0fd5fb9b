//! What holds for every judge that tests, whatever is counted.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::float_cmp,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use delivery_core::analysis::sequential::{LARGEST_COUNT, Null, Test, Wealth};
use delivery_core::analysis::{
    Account, Class, Direction, Dispersion, Histogram, MannWhitney, Memory, Nothing, Tally,
};
use proptest::prelude::*;

fn null() -> impl Strategy<Value = Null> {
    prop_oneof![
        (1.0..20.0).prop_map(Null::Compare),
        (1e-6..0.999).prop_map(Null::Objective),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    (null(), 1e-6..0.5, 1_u32..5, 1.0..10.0)
        .prop_map(|(null, alpha, rounds, hold)| Test::new(null, alpha, rounds, hold).unwrap())
}

/// Counts of all sizes, with any share of errors.
fn tally() -> impl Strategy<Value = Tally> {
    (0_u32..=53, any::<u64>(), any::<u64>()).prop_map(|(bits, total, errors)| {
        let total = total % ((1 << bits) + 1);
        let errors = errors.checked_rem(total + 1).unwrap();
        Tally { total, errors }
    })
}

fn rounds() -> impl Strategy<Value = Vec<(Tally, Tally)>> {
    prop::collection::vec((tally(), tally()), 1..12)
}

proptest! {
    #[test]
    fn nothing_that_can_be_counted_breaks_a_test(test in test(), rounds in rounds(), bursts in 0.0..60.0) {
        let mut wealth = Wealth::new(bursts);
        for (canary, primary) in rounds {
            let before = wealth;
            if let Err(nothing) = test.round(&mut wealth, canary, Some(primary)) {
                prop_assert!(canary.total == 0 || primary.total == 0, "{nothing}");
                prop_assert_eq!(wealth, before);
                continue;
            }
            prop_assert!(wealth.log_e().is_finite(), "{wealth:?}");
            prop_assert!((0.0..=1.0).contains(&wealth.p_value()));
            // No round alone is worth more than its part of the way.
            let most = before.log_e().max(0.0) + test.needed() / f64::from(test.min_rounds());
            prop_assert!(wealth.log_e() <= most);
        }
        let interval = wealth.interval(0.05);
        if let (Some(low), Some(high)) = (interval.low, interval.high) {
            prop_assert!(low < high);
        }
    }

    #[test]
    fn what_was_saved_goes_on_to_the_bit(test in test(), rounds in rounds(), bursts in 1.0..9.0) {
        let mut kept = Account::new(test.null(), bursts);
        let mut saved = kept.clone();
        for (canary, primary) in rounds {
            let text = serde_json::to_string(&Memory::Account(Box::new(saved))).unwrap();
            prop_assert!(text.len() < 1_024, "{} bytes: {text}", text.len());
            let Memory::Account(loaded) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
            saved = *loaded;
            let said = test.round(&mut kept.wealth, canary, Some(primary));
            prop_assert_eq!(test.round(&mut saved.wealth, canary, Some(primary)), said);
            prop_assert_eq!(&saved, &kept);
        }
    }

    #[test]
    fn more_errors_of_the_canary_are_never_evidence_for_it(
        test in test(),
        history in prop::collection::vec((0_u64..50, 0_u64..50), 0..5),
        total in 1_u64..1_000_000,
        primary in 1_u64..1_000_000,
        parts in (0.0..1.0, 0.0..1.0, 0.0..1.0),
    ) {
        let mut wealth = Wealth::new(1.0);
        for (canary, primary) in history {
            let of = |errors| Tally { total: 1_000, errors };
            test.round(&mut wealth, of(canary), Some(of(primary))).unwrap();
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let part = |of: u64, part: f64| (of as f64 * part) as u64;
        let fewer = part(total, parts.0);
        let more = fewer + part(total - fewer, parts.1);
        let primary = Tally { total: primary, errors: part(primary, parts.2) };
        let after = |errors| {
            let mut wealth = wealth;
            test.round(&mut wealth, Tally { total, errors }, Some(primary)).unwrap();
            wealth.log_e()
        };
        prop_assert!(after(fewer) <= after(more) + 1e-9 * after(more).abs().max(1.0));
    }

    #[test]
    fn a_round_without_errors_changes_no_comparison(
        ratio in 1.0..5.0,
        errors in prop::collection::vec((0_u64..30, 0_u64..30), 1..6),
        totals in (1..LARGEST_COUNT, 1..LARGEST_COUNT),
    ) {
        let test = Test::new(Null::Compare(ratio), 0.01, 2, 4.0).unwrap();
        let mut wealth = Wealth::new(1.0);
        for (canary, primary) in errors {
            let of = |errors| Tally { total: 1_000, errors };
            test.round(&mut wealth, of(canary), Some(of(primary))).unwrap();
            let before = wealth.log_e();
            let clean = |total| Tally { total, errors: 0 };
            test.round(&mut wealth, clean(totals.0), Some(clean(totals.1))).unwrap();
            prop_assert!((wealth.log_e() - before).abs() < 1e-12 * before.abs().max(1.0));
        }
    }

    #[test]
    fn the_unit_of_a_series_does_not_matter(
        canary in prop::collection::vec(1.0..100.0, 5..30),
        primary in prop::collection::vec(1.0..100.0, 5..30),
        exponent in -40_i32..40,
    ) {
        // A power of two scales without rounding.
        let scale = 2.0_f64.powi(exponent);
        let scaled = |series: &[f64]| series.iter().map(|it| it * scale).collect::<Vec<_>>();
        let judge = MannWhitney::default();
        let one = judge.compare(&canary, &primary).unwrap();
        let other = judge.compare(&scaled(&canary), &scaled(&primary)).unwrap();
        prop_assert_eq!(one.class, other.class);
        prop_assert_eq!(one.estimate * scale, other.estimate);
        prop_assert_eq!([one.low * scale, one.high * scale], [other.low, other.high]);
        prop_assert!(one.low <= one.estimate && one.estimate <= one.high, "{one:?}");
        // Exchanged, the shift has the other sign.
        let mirrored = judge.compare(&primary, &canary).unwrap();
        prop_assert!((mirrored.estimate + one.estimate).abs() < 1e-9);
        prop_assert!((mirrored.low + one.high).abs() < 1e-9, "{one:?} {mirrored:?}");
    }
}

#[test]
fn parameters_that_no_test_can_have_are_refused() {
    let table = [
        (Null::Compare(0.99), 0.01, 2, 4.0, "ratio"),
        (Null::Compare(f64::NAN), 0.01, 2, 4.0, "ratio"),
        (Null::Compare(f64::INFINITY), 0.01, 2, 4.0, "ratio"),
        (Null::Objective(0.0), 0.01, 2, 4.0, "maxErrorRate"),
        (Null::Objective(1.0), 0.01, 2, 4.0, "maxErrorRate"),
        (Null::Objective(f64::NAN), 0.01, 2, 4.0, "maxErrorRate"),
        (Null::Compare(1.0), 0.0, 2, 4.0, "alpha"),
        (Null::Compare(1.0), 0.500_1, 2, 4.0, "alpha"),
        (Null::Compare(1.0), -0.1, 2, 4.0, "alpha"),
        (Null::Compare(1.0), f64::NAN, 2, 4.0, "alpha"),
        (Null::Compare(1.0), 0.5, 0, 4.0, "minRounds"),
        (Null::Compare(1.0), 0.5, 1, 0.9, "hold"),
        (Null::Compare(1.0), 0.5, 1, f64::NAN, "hold"),
    ];
    for (null, alpha, rounds, hold, field) in table {
        assert_eq!(Test::new(null, alpha, rounds, hold).unwrap_err().field, field);
    }
    assert!(Test::new(Null::Compare(1.0), 0.5, 1, 1.0).is_ok());
}

#[test]
fn counts_that_cannot_be_are_no_evidence() {
    let compare = Test::new(Null::Compare(1.25), 0.01, 2, 4.0).unwrap();
    let tally = |total, errors| Tally { total, errors };
    let unusable = |why: &str| Nothing::Unusable(why.into());
    let table = [
        (
            tally(3, 4),
            Some(tally(10, 0)),
            unusable("more errors than requests"),
        ),
        (
            tally(0, 1),
            Some(tally(10, 0)),
            unusable("more errors than requests"),
        ),
        (
            tally(10, 0),
            Some(tally(3, 4)),
            unusable("more errors than requests"),
        ),
        (
            tally(LARGEST_COUNT + 1, 0),
            Some(tally(1, 0)),
            unusable("more than 2^53 requests"),
        ),
        (tally(0, 0), Some(tally(10, 0)), Nothing::NoData),
        (tally(10, 1), Some(tally(0, 0)), Nothing::NoPrimary),
        (tally(10, 1), None, Nothing::NoPrimary),
    ];
    for (canary, primary, nothing) in table {
        let mut wealth = Wealth::new(1.0);
        assert_eq!(compare.round(&mut wealth, canary, primary), Err(nothing));
        assert_eq!(wealth, Wealth::new(1.0));
    }
    let largest = tally(LARGEST_COUNT, LARGEST_COUNT);
    let mut wealth = Wealth::new(f64::NAN);
    for _ in 0..2 {
        compare
            .round(&mut wealth, largest, Some(tally(LARGEST_COUNT, 0)))
            .unwrap();
    }
    assert_eq!(wealth.log_e(), compare.needed());
    let nothing = [tally(3, 4), tally(0, 0)];
    assert_eq!(Dispersion::of(&nothing).value, 1.0);
}

#[test]
fn a_bound_that_no_bucket_has_is_refused_with_the_nearest() {
    let histogram = Histogram::new(vec![(0.1, 5), (0.5, 90), (1.0, 99), (f64::INFINITY, 100)]).unwrap();
    assert_eq!(
        histogram.slower_than(0.5),
        Ok(Tally {
            total: 100,
            errors: 10
        })
    );
    let refused = |bound: f64| histogram.slower_than(bound).unwrap_err().to_string();
    assert!(
        refused(0.4).ends_with("the nearest are 0.1 and 0.5"),
        "{}",
        refused(0.4)
    );
    assert!(refused(0.01).ends_with("the nearest is 0.1"));
    assert!(refused(2.0).ends_with("the nearest is 1"));
    assert!(refused(f64::NAN).ends_with("there is none"));
}

type Series<'a> = (&'a [f64], &'a [f64], Direction, Option<Class>);

#[test]
fn a_series_that_lies_higher_or_lower_is_told_apart() {
    let low = [1.0, 1.1, 0.9, 1.05, 0.95, 1.0];
    let high = [2.0, 2.1, 1.9, 2.05, 1.95, 2.0];
    let judge = |direction| MannWhitney {
        direction,
        ..MannWhitney::default()
    };
    let table: [Series<'_>; 12] = [
        (&high, &low, Direction::Either, Some(Class::High)),
        (&high, &low, Direction::Increase, Some(Class::High)),
        (&high, &low, Direction::Decrease, Some(Class::Pass)),
        (&low, &high, Direction::Either, Some(Class::Low)),
        (&low, &high, Direction::Increase, Some(Class::Pass)),
        (&low, &low, Direction::Either, Some(Class::Pass)),
        // Constant series: no noise is needed to tell that they differ, or that they do not.
        (&[3.0; 5], &[3.0; 5], Direction::Either, Some(Class::Pass)),
        (&[3.0; 5], &[2.0; 5], Direction::Either, Some(Class::High)),
        (&[0.0; 5], &[0.0; 9], Direction::Either, Some(Class::Pass)),
        // Too short, also after what is no number is left out.
        (&[3.0; 4], &[2.0; 9], Direction::Either, None),
        (
            &[3.0, 3.0, 3.0, 3.0, f64::NAN],
            &[2.0; 9],
            Direction::Either,
            None,
        ),
        (&[], &[], Direction::Either, None),
    ];
    for (canary, primary, direction, class) in table {
        let shift = judge(direction).compare(canary, primary);
        assert_eq!(
            shift.map(|it| it.class),
            class,
            "{canary:?} {primary:?} {direction:?}"
        );
    }
    // A higher mean that is allowed.
    let allowed = MannWhitney {
        allowed_increase: 2.5,
        ..MannWhitney::default()
    };
    assert_eq!(allowed.compare(&high, &low).unwrap().class, Class::Pass);
}

#[test]
fn the_interval_of_a_shift_is_that_of_the_textbook() {
    // 5 and 5 points, no ties: z = 2.326 and a standard deviation of sqrt(25/12 * 11) = 4.787 leave the outermost
    // difference on each side out: (25 - 12.5 - 0.5) / 4.787 = 2.51 is beyond z, (24 - 12.5 - 0.5) / 4.787 = 2.30 is not.
    let canary = [11.0, 12.0, 13.0, 14.0, 15.0];
    let primary = [0.1, 0.2, 0.3, 0.4, 0.5];
    let shift = MannWhitney::default().compare(&canary, &primary).unwrap();
    assert_eq!([shift.low, shift.estimate, shift.high], [10.5, 12.7, 14.9]);
}
