//! Classic cumulative histograms.

use alloc::string::String;
use alloc::vec::Vec;

use super::Nothing;
use super::sample::float;

/// How often a value was at most a bound: cumulative buckets, as Prometheus exposes them, over one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// A histogram from `(upper bound, cumulative count)`, in any order; the last bound is `+Inf`.
    ///
    /// # Errors
    /// [`Nothing::Unusable`] without a `+Inf` bucket, with a bound that is NaN or given twice, or with counts that
    /// fall from one bound to the next.
    pub fn new(mut buckets: Vec<(f64, u64)>) -> Result<Self, Nothing> {
        let unusable = |why: &str| Err(Nothing::Unusable(String::from(why)));
        if buckets.iter().any(|(bound, _)| bound.is_nan()) {
            return unusable("a histogram bound is not a number");
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        match buckets.last() {
            Some((bound, _)) if bound.is_infinite() && bound.is_sign_positive() => {}
            Some(_) | None => return unusable("a histogram without a +Inf bucket"),
        }
        for (low, high) in buckets.iter().zip(buckets.iter().skip(1)) {
            if low.0.total_cmp(&high.0).is_eq() {
                return unusable("a histogram with the same bound twice");
            }
            if low.1 > high.1 {
                return unusable("a histogram whose counts fall with the bound");
            }
        }
        Ok(Self { buckets })
    }

    /// How many values there are.
    pub fn total(&self) -> u64 {
        self.buckets.last().map_or(0, |(_, count)| *count)
    }

    /// The buckets, by bound.
    pub fn buckets(&self) -> &[(f64, u64)] {
        &self.buckets
    }

    /// The value that a share `q` (`0.0..=1.0`) of all values does not exceed, interpolated linearly within a bucket.
    ///
    /// As Prometheus' `histogram_quantile` for classic histograms (documentation, "Functions"): the lowest bucket
    /// starts at 0 when its bound is positive; a quantile in the `+Inf` bucket is the largest finite bound.
    ///
    /// # Errors
    /// [`Nothing::NoData`] without a value, [`Nothing::Unusable`] when the only bucket is `+Inf`.
    pub fn quantile(&self, q: f64) -> Result<f64, Nothing> {
        let total = self.total();
        if total == 0 {
            return Err(Nothing::NoData);
        }
        let rank = q.clamp(0.0, 1.0) * float(total);
        let mut below: Option<(f64, u64)> = None;
        for &(bound, count) in &self.buckets {
            if float(count) >= rank {
                let (start, seen) = below.unwrap_or((if bound > 0.0 { 0.0 } else { bound }, 0));
                if bound.is_infinite() {
                    return match below {
                        Some((largest, _)) => Ok(largest),
                        None => Err(Nothing::Unusable(String::from(
                            "a histogram with no finite bucket",
                        ))),
                    };
                }
                let inside = float(count.saturating_sub(seen));
                if inside <= 0.0 {
                    return Ok(bound);
                }
                return Ok(start + (bound - start) * (rank - float(seen)) / inside);
            }
            below = Some((bound, count));
        }
        Err(Nothing::NoData)
    }
}
