//! Kayenta's verdict, for those who migrate: one look at two series, at the end.
//!
//! As `NetflixACAJudge-v1.0`: a Mann–Whitney confidence interval of the shift between the series, with continuity and
//! tie correction, held against a quarter of the estimated shift. Other than there, the ends of the interval are exact
//! whatever the unit of the data (the statistic is a step function that jumps at the differences of two points, so
//! they are found among these), constant series need no random noise, and fewer than five points on a side, of which
//! no interval can be made, are nothing to judge.

use alloc::vec::Vec;
use core::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// The normal quantile of an interval of 98 %.
const QUANTILE: f64 = 2.326_347_874_040_840_8;

/// Whether the canary's series lies higher or lower than the primary's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MannWhitney {
    /// Which shift is bad.
    pub direction: Direction,
    /// The interval must be further from 0 than this share of the estimated shift; not negative. Kayenta's is 0.25.
    pub tolerance: f64,
    /// A higher canary is bad only if its mean is at least so many times the primary's. Kayenta's `allowedIncrease`.
    pub allowed_increase: f64,
    /// A lower canary is bad only if its mean is at most so many times the primary's. Kayenta's `allowedDecrease`.
    pub allowed_decrease: f64,
    /// Which quantile of a histogram is a point of the series, `0.0..=1.0`.
    pub quantile: f64,
}

impl Default for MannWhitney {
    fn default() -> Self {
        Self {
            direction: Direction::Either,
            tolerance: 0.25,
            allowed_increase: 1.0,
            allowed_decrease: 1.0,
            quantile: 0.99,
        }
    }
}

/// Which shift is bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// A canary that lies higher.
    Increase,
    /// A canary that lies lower.
    Decrease,
    /// Any.
    #[default]
    Either,
}

/// What the comparison of two series says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// The verdict.
    pub class: Class,
    /// How much higher the canary lies: the median of all differences between a point of it and one of the primary
    /// (Hodges, Lehmann 1963).
    pub estimate: f64,
    /// The lower end of the 98 % interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Kayenta's classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// No difference that matters.
    Pass,
    /// The canary lies higher, and that is bad.
    High,
    /// The canary lies lower, and that is bad.
    Low,
}

impl MannWhitney {
    /// Fewer points than this on a side are nothing to judge.
    pub const FEWEST_POINTS: usize = 5;

    /// Compares two series. Numbers that are not finite are left out.
    ///
    /// None with fewer than [`MannWhitney::FEWEST_POINTS`] points on a side.
    pub fn compare(&self, canary: &[f64], primary: &[f64]) -> Option<Shift> {
        let [canary, primary] = [canary, primary].map(sorted);
        if canary.len() < Self::FEWEST_POINTS || primary.len() < Self::FEWEST_POINTS {
            return None;
        }
        let differences = Differences {
            canary: &canary,
            primary: &primary,
        };
        let pairs = differences.count();
        let (first, last) = (differences.nth(0)?, differences.nth(pairs.checked_sub(1)?)?);
        let sigma = sigma(&canary, &primary);
        // Just above the difference number `at`, this many of all differences are larger.
        let statistic = |at: usize| {
            let larger = count(pairs) - count(at.saturating_add(1));
            let d = larger - count(pairs) / 2.0;
            let correction = match d.partial_cmp(&0.0) {
                Some(Ordering::Greater) => 0.5,
                Some(Ordering::Less) => -0.5,
                Some(Ordering::Equal) | None => 0.0,
            };
            (d - correction) / sigma
        };
        // Where the statistic falls below `z`: it falls with every difference.
        let root = |z: f64| {
            differences
                .nth(first_where(pairs, |at| statistic(at) <= z))
                .unwrap_or(last)
        };
        let same = canary == primary || first.total_cmp(&last).is_eq() && first == 0.0;
        let (estimate, low, high) = (differences.median()?, root(QUANTILE), root(-QUANTILE));
        let bound = self.tolerance * estimate.abs();
        // With a mean of 0 there is no ratio, and any difference counts.
        let (above, below) = (mean(&canary), mean(&primary));
        let effect = (above.abs() > 0.0 && below.abs() > 0.0).then(|| above / below);
        let (up, down) = match self.direction {
            Direction::Increase => (true, false),
            Direction::Decrease => (false, true),
            Direction::Either => (true, true),
        };
        let class = if same {
            Class::Pass
        } else if up && low > bound && effect.is_none_or(|it| it >= self.allowed_increase) {
            Class::High
        } else if down && high < -bound && effect.is_none_or(|it| it <= self.allowed_decrease) {
            Class::Low
        } else {
            Class::Pass
        };
        Some(Shift {
            class,
            estimate,
            low,
            high,
        })
    }
}

fn sorted(series: &[f64]) -> Vec<f64> {
    let mut finite: Vec<f64> = series.iter().copied().filter(|it| it.is_finite()).collect();
    finite.sort_unstable_by(f64::total_cmp);
    finite
}

/// The standard deviation of the statistic between two jumps, where only points of the same series tie.
fn sigma(canary: &[f64], primary: &[f64]) -> f64 {
    let (n, m) = (count(canary.len()), count(primary.len()));
    let ties = ties(canary) + ties(primary);
    libm::sqrt(n * m / 12.0 * ((n + m + 1.0) - ties / ((n + m) * (n + m - 1.0))))
}

/// The sum of `t³ − t` over all groups of `t` equal points.
fn ties(sorted: &[f64]) -> f64 {
    sorted
        .chunk_by(|a, b| a.total_cmp(b).is_eq())
        .map(|group| count(group.len()))
        .fold(0.0, |sum, t| sum + (t * t * t - t))
}

/// All differences between a point of one series and one of the other, in their order, none of which is kept: as many as the
/// product of both lengths.
struct Differences<'a> {
    canary: &'a [f64],
    primary: &'a [f64],
}

impl Differences<'_> {
    fn count(&self) -> usize {
        self.canary.len().saturating_mul(self.primary.len())
    }

    /// How many are at most `bound`. Both series are sorted, so for a higher point of the canary it is never fewer points of
    /// the primary that are too low.
    fn at_most(&self, bound: f64) -> usize {
        let mut too_low = 0_usize;
        let mut counted = 0_usize;
        for x in self.canary {
            let is_above = |y: &f64| (x - y).total_cmp(&bound).is_gt();
            while self.primary.get(too_low).is_some_and(is_above) {
                too_low = too_low.saturating_add(1);
            }
            counted = counted.saturating_add(self.primary.len().saturating_sub(too_low));
        }
        counted
    }

    /// The difference number `at`, from 0. Found by halving the range of all numbers, which has 2⁶⁴ of them.
    fn nth(&self, at: usize) -> Option<f64> {
        if at >= self.count() {
            return None;
        }
        let (mut low, mut high) = (0_u64, u64::MAX);
        while low < high {
            let middle = low.midpoint(high);
            if self.at_most(from_rank(middle)) > at {
                high = middle;
            } else {
                low = middle.saturating_add(1);
            }
        }
        Some(from_rank(low))
    }

    fn median(&self) -> Option<f64> {
        let middle = self.count() / 2;
        let upper = self.nth(middle)?;
        if self.count() % 2 == 1 {
            return Some(upper);
        }
        let lower = self.nth(middle.checked_sub(1)?)?;
        Some(lower + (upper - lower) / 2.0)
    }
}

/// The number with this rank in the total order of all numbers.
const fn from_rank(rank: u64) -> f64 {
    const SIGN: u64 = 1 << 63;
    f64::from_bits(if rank & SIGN == 0 { !rank } else { rank & !SIGN })
}

/// The first of `count` positions where something holds that holds everywhere behind it; `count` if it holds nowhere.
fn first_where(count: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0_usize, count);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle.saturating_add(1);
        }
    }
    low
}

fn mean(series: &[f64]) -> f64 {
    series.iter().fold(0.0, |sum, it| sum + it) / count(series.len())
}

fn count(length: usize) -> f64 {
    super::sample::float(u64::try_from(length).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All differences, each kept.
    fn written_out(canary: &[f64], primary: &[f64]) -> Vec<f64> {
        let mut all: Vec<f64> = canary
            .iter()
            .flat_map(|x| primary.iter().map(move |y| x - y))
            .collect();
        all.sort_unstable_by(f64::total_cmp);
        all
    }

    fn points() -> impl Strategy<Value = Vec<f64>> {
        let point = prop_oneof![
            (-3_i8..3).prop_map(f64::from),
            prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
        ];
        prop::collection::vec(point, 1..12).prop_map(|it| sorted(&it))
    }

    proptest! {
        #[test]
        fn a_difference_is_found_without_writing_them_all_out(canary in points(), primary in points()) {
            let all = written_out(&canary, &primary);
            let differences = Differences { canary: &canary, primary: &primary };
            prop_assert_eq!(differences.count(), all.len());
            for (at, wanted) in all.iter().enumerate() {
                let found = differences.nth(at).map(f64::to_bits);
                prop_assert_eq!(found, Some(wanted.to_bits()), "number {}", at);
            }
            prop_assert_eq!(differences.nth(all.len()), None);
        }
    }

    /// A week of minutes a side: a hundred million differences.
    #[test]
    fn long_series_are_compared_without_a_list_of_their_differences() {
        let side = |shift: f64| -> Vec<f64> {
            let points = (0_u32..10_080).map(|it| f64::from(it.wrapping_mul(2_654_435_761) >> 12) + shift);
            points.collect()
        };
        let judge = MannWhitney::default();
        let same = judge.compare(&side(0.0), &side(0.0)).unwrap();
        assert_eq!((same.class, same.estimate), (Class::Pass, 0.0));
        let higher = judge.compare(&side(300_000.0), &side(0.0)).unwrap();
        assert_eq!(higher.class, Class::High);
        assert!((higher.estimate - 300_000.0).abs() < 1_000.0, "{higher:?}");
    }
}
