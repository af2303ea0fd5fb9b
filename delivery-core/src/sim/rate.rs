//! How many requests are sent.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of requests per second, exact to a millionth. Written as a number: `200`, or `0.5` for one in two seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rate {
    /// Millionths of a request per second.
    millionths: u64,
}

impl Rate {
    /// Nobody sends anything.
    pub const ZERO: Self = Self { millionths: 0 };
    /// How many parts of a request a rate can tell.
    pub(super) const PARTS: u64 = 1_000_000;

    /// A whole number of requests per second.
    #[expect(
        clippy::as_conversions,
        reason = "32 bits fit into 64, and `From` is not const"
    )]
    pub const fn per_second(requests: u32) -> Self {
        // The product of any two numbers of 32 bits fits.
        Self {
            millionths: (requests as u64).saturating_mul(Self::PARTS),
        }
    }

    /// Millionths of a request per second.
    pub(super) const fn millionths(self) -> u64 {
        self.millionths
    }

    /// Requests per second, if that is a whole number.
    pub(super) fn whole(self) -> Option<u64> {
        let requests = self.millionths.checked_div(Self::PARTS)?;
        (requests.checked_mul(Self::PARTS) == Some(self.millionths)).then_some(requests)
    }

    /// Requests per second.
    pub fn as_per_second(self) -> f64 {
        // One second for one request per second: the type has the conversion that is exact and needs no cast.
        Duration::from_micros(self.millionths).as_secs_f64()
    }
}

impl From<u32> for Rate {
    fn from(requests_per_second: u32) -> Self {
        Self::per_second(requests_per_second)
    }
}

impl TryFrom<f64> for Rate {
    type Error = NoRate;

    /// Requests per second, to the nearest millionth.
    fn try_from(per_second: f64) -> Result<Self, NoRate> {
        let wrong = NoRate { per_second };
        let seconds = Duration::try_from_secs_f64(per_second).map_err(|_| wrong)?;
        let nanos = seconds.as_nanos().saturating_add(500);
        let millionths = u64::try_from(nanos.checked_div(1_000).unwrap_or(0)).map_err(|_| wrong)?;
        let rate = Self { millionths };
        // A rate that vanishes is not what was meant.
        let vanishes = millionths == 0 && per_second > 0.0;
        (rate <= Self::per_second(u32::MAX) && !vanishes)
            .then_some(rate)
            .ok_or(wrong)
    }
}

impl From<Rate> for f64 {
    fn from(rate: Rate) -> Self {
        rate.as_per_second()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests/s", self.as_per_second())
    }
}

/// A number that is no rate of requests.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{per_second} is no rate (expected requests per second: 0, or from 0.000001 to 4294967295)")]
pub struct NoRate {
    /// The number that was given.
    pub per_second: f64,
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_rate_is_a_number_with_or_without_a_fraction() {
        for (text, millionths, whole) in [
            ("0", 0, Some(0)),
            ("200", 200_000_000, Some(200)),
            ("200.0", 200_000_000, Some(200)),
            ("0.5", 500_000, None),
            ("0.0166666666666", 16_667, None),
            ("1e-6", 1, None),
            ("4294967295", 4_294_967_295_000_000, Some(4_294_967_295)),
        ] {
            let rate: Rate = serde_json::from_str(text).unwrap();
            assert_eq!((rate.millionths(), rate.whole()), (millionths, whole), "{text}");
            let again: Rate = serde_json::from_str(&serde_json::to_string(&rate).unwrap()).unwrap();
            assert_eq!(again, rate, "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for number in [-1.0, f64::NAN, f64::INFINITY, 1e-9, 4_294_967_296.0, 1e300] {
            let error = Rate::try_from(number).unwrap_err();
            assert!(
                format!("{error}").contains("is no rate (expected requests per second"),
                "{error}"
            );
        }
    }
}
