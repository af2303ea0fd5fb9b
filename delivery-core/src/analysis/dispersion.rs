//! How much more counts vary than those of independent requests would.

use super::Tally;
use super::sample::float;

/// The size of the bursts that errors come in, from the primary's own past: the variance of its errors from window to
/// window over what independent errors would have (the mean of squared Pearson residuals).
///
/// A retry, one bad node or one bad client makes errors come together. A test that does not know takes the first burst
/// for a bad version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dispersion {
    /// At least 1: independent errors.
    pub value: f64,
    /// How many windows it was computed from.
    pub windows: u32,
    /// How many errors were in them. With fewer than 30 the value says little.
    pub errors: u64,
}

impl Dispersion {
    /// Fewer errors than this say little.
    pub const FEW_ERRORS: u64 = 30;
    /// Errors that come in larger bursts than this are too noisy to be judged by the round.
    pub const TOO_NOISY: f64 = 50.0;
    /// Independent errors, because nothing is known.
    pub const UNKNOWN: Self = Self {
        value: 1.0,
        windows: 0,
        errors: 0,
    };

    /// From windows of a round's length, at least 60 of them. Windows without requests, or that cannot be true, are
    /// left out.
    pub fn of(history: &[Tally]) -> Self {
        let usable = || {
            let usable = history.iter().filter_map(|it| it.usable().ok());
            usable.filter(|it| it.total > 0)
        };
        let (mut windows, mut errors, mut total) = (0_u32, 0_u64, 0_u64);
        for it in usable() {
            windows = windows.saturating_add(1);
            errors = errors.saturating_add(it.errors);
            total = total.saturating_add(it.total);
        }
        if windows < 2 || errors == 0 {
            return Self {
                value: 1.0,
                windows,
                errors,
            };
        }
        let rate = float(errors) / float(total);
        let squares = usable().fold(0.0, |sum, it| {
            let expected = float(it.total) * rate;
            let off = float(it.errors) - expected;
            sum + off * off / expected
        });
        let value = squares / f64::from(windows.saturating_sub(1));
        Self {
            value: value.max(1.0),
            windows,
            errors,
        }
    }
}
