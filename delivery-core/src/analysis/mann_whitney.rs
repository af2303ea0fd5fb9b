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
        let mut differences: Vec<f64> = canary
            .iter()
            .flat_map(|x| primary.iter().map(move |y| x - y))
            .collect();
        differences.sort_unstable_by(f64::total_cmp);
        let (first, last) = (*differences.first()?, *differences.last()?);
        let sigma = sigma(&canary, &primary);
        let pairs = count(differences.len());
        // Just above the difference number `at`, this many of all differences are larger.
        let statistic = |at: usize| {
            let larger = pairs - count(at.saturating_add(1));
            let d = larger - pairs / 2.0;
            let correction = match d.partial_cmp(&0.0) {
                Some(Ordering::Greater) => 0.5,
                Some(Ordering::Less) => -0.5,
                Some(Ordering::Equal) | None => 0.0,
            };
            (d - correction) / sigma
        };
        // Where the statistic falls below `z`: it jumps only where the differences change.
        let root = |z: f64| {
            let jumps = differences.iter().enumerate().filter(|(at, it)| {
                let next = differences.get(at.saturating_add(1));
                next.is_none_or(|next| next > it)
            });
            let mut below = jumps.skip_while(|(at, _)| statistic(*at) > z);
            below.next().map_or(last, |(_, it)| *it).clamp(first, last)
        };
        let same = canary == primary || first.total_cmp(&last).is_eq() && first == 0.0;
        let (estimate, low, high) = (median(&differences)?, root(QUANTILE), root(-QUANTILE));
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

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(middle.checked_sub(1)?)?;
    Some(lower + (upper - lower) / 2.0)
}

fn mean(series: &[f64]) -> f64 {
    series.iter().fold(0.0, |sum, it| sum + it) / count(series.len())
}

fn count(length: usize) -> f64 {
    super::sample::float(u64::try_from(length).unwrap_or(u64::MAX))
}
