//! Shares of traffic. One number of a split is stored, so the parts are always the whole.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A share of the traffic in hundredths of a percent, `0..=10_000`.
///
/// 1 000 is 10 %, 25 is 0.25 %. In specs it is written as a number of percent with at most two decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Weight(u16);

impl Weight {
    /// No traffic.
    pub const ZERO: Self = Self(0);
    /// All of the traffic.
    pub const WHOLE: Self = Self(10_000);

    /// A whole number of percent, `0..=100`.
    ///
    /// # Errors
    /// [`NoWeight`] above 100.
    pub fn percent(percent: u32) -> Result<Self, NoWeight> {
        percent
            .checked_mul(100)
            .map_or(Err(NoWeight::new(f64::from(percent))), Self::hundredths)
    }

    /// Hundredths of a percent, `0..=10_000`.
    ///
    /// # Errors
    /// [`NoWeight`] above 10 000.
    pub fn hundredths(hundredths: u32) -> Result<Self, NoWeight> {
        u16::try_from(hundredths)
            .ok()
            .filter(|it| *it <= Self::WHOLE.0)
            .map(Self)
            .ok_or(NoWeight::new(f64::from(hundredths) / 100.0))
    }

    pub(crate) const fn hundredths_const(hundredths: u16) -> Option<Self> {
        if hundredths <= Self::WHOLE.0 {
            Some(Self(hundredths))
        } else {
            None
        }
    }

    /// The share in hundredths of a percent, `0..=10_000`.
    pub const fn as_hundredths(self) -> u16 {
        self.0
    }

    /// The share in percent, `0.0..=100.0`.
    pub fn as_percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// Whether it is no traffic at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// More by `step`, but never more than the whole.
    #[must_use]
    pub fn saturating_add(self, step: Self) -> Self {
        Self(self.0.saturating_add(step.0).min(Self::WHOLE.0))
    }

    /// Less by `step`, but never less than nothing.
    #[must_use]
    pub const fn saturating_sub(self, step: Self) -> Self {
        Self(self.0.saturating_sub(step.0))
    }
}

impl TryFrom<f64> for Weight {
    type Error = NoWeight;

    /// A share from percent, with at most two decimals.
    fn try_from(percent: f64) -> Result<Self, NoWeight> {
        let wrong = NoWeight::new(percent);
        if !(0.0..=100.0).contains(&percent) {
            return Err(wrong);
        }
        // 10 001 candidates at most: comparing finds the exact one, without rounding or casting.
        let hundredths = percent * 100.0;
        let mut low = 0_u16;
        let mut high = Self::WHOLE.0;
        while low < high {
            let middle = low.midpoint(high);
            if f64::from(middle) + 0.5 < hundredths {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        let off = f64::from(low) - hundredths;
        if off.abs() < 1e-6 {
            Ok(Self(low))
        } else {
            Err(wrong)
        }
    }
}

impl From<Weight> for f64 {
    fn from(weight: Weight) -> Self {
        weight.as_percent()
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.as_percent())
    }
}

/// A number that is no share of traffic.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{percent} % is no share of the traffic (expected 0 to 100, with at most two decimals)")]
pub struct NoWeight {
    /// The number that was given, in percent.
    pub percent: f64,
}

impl NoWeight {
    const fn new(percent: f64) -> Self {
        Self { percent }
    }
}

/// How the traffic is divided between primary and canary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Split {
    /// What the canary gets.
    pub canary: Weight,
}

impl Split {
    /// All traffic to the primary.
    pub const PRIMARY: Self = Self { canary: Weight::ZERO };
    /// All traffic to the canary.
    pub const CANARY: Self = Self {
        canary: Weight::WHOLE,
    };

    /// A split with this share for the canary.
    pub const fn canary(canary: Weight) -> Self {
        Self { canary }
    }

    /// What the primary gets: whatever the canary does not.
    pub const fn primary(self) -> Weight {
        Weight::WHOLE.saturating_sub(self.canary)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.primary().as_percent(), self.canary.as_percent())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percent_and_hundredths() {
        assert_eq!(Weight::percent(10).unwrap().as_hundredths(), 1_000);
        assert_eq!(Weight::percent(100), Ok(Weight::WHOLE));
        assert_eq!(Weight::hundredths(25).unwrap().to_string(), "0.25 %");
        assert_eq!(Weight::percent(10).unwrap().to_string(), "10 %");
    }

    #[test]
    fn numbers_that_are_no_share() {
        for percent in [-1.0, 100.01, 0.001, f64::NAN, f64::INFINITY, 1e300] {
            assert!(Weight::try_from(percent).is_err(), "{percent}");
        }
        assert!(Weight::percent(101).is_err());
        assert!(Weight::percent(u32::MAX).is_err());
        assert_eq!(
            Weight::percent(130).unwrap_err().to_string(),
            "130 % is no share of the traffic (expected 0 to 100, with at most two decimals)"
        );
    }

    proptest! {
        #[test]
        fn a_split_is_always_the_whole(canary in 0_u32..=10_000) {
            let split = Split::canary(Weight::hundredths(canary).unwrap());
            prop_assert_eq!(u32::from(split.primary().as_hundredths()) + u32::from(split.canary.as_hundredths()), 10_000);
        }

        #[test]
        fn every_share_survives_its_own_percent(hundredths in 0_u32..=10_000) {
            let weight = Weight::hundredths(hundredths).unwrap();
            prop_assert_eq!(Weight::try_from(weight.as_percent()), Ok(weight));
        }
    }
}
