//! How many times worse the canary is: an interval that may be read after every round.
//!
//! For each of 25 ratios the likelihood of all rounds is kept; a ratio is rejected when the mean over all of them makes
//! the data `1 / alpha` times likelier. It supposes that the ratio is the same all the time.

use super::wealth::log_sum;

/// How many ratios there are: `2^(i/2)` for `i` from −8 to 16.
pub(super) const GRID: usize = 25;
/// The logarithm of that.
const LOG_GRID: f64 = 3.218_875_824_868_200_6;

const R: f64 = core::f64::consts::SQRT_2;
const RATIOS: [f64; GRID] = [
    0.062_5,
    0.062_5 * R,
    0.125,
    0.125 * R,
    0.25,
    0.25 * R,
    0.5,
    0.5 * R,
    1.0,
    R,
    2.0,
    2.0 * R,
    4.0,
    4.0 * R,
    8.0,
    8.0 * R,
    16.0,
    16.0 * R,
    32.0,
    32.0 * R,
    64.0,
    64.0 * R,
    128.0,
    128.0 * R,
    256.0,
];

/// The ratios, and their logarithms.
pub(super) fn points() -> impl Iterator<Item = (f64, f64)> + Clone {
    let steps = (0_u8..).map(|at| (f64::from(at) - 8.0) / 2.0 * core::f64::consts::LN_2);
    RATIOS.into_iter().zip(steps)
}

/// How many times worse the canary is, at least and at most; none: no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

pub(super) fn interval(logs: &[f64; GRID], alpha: f64) -> Interval {
    let mean = log_sum(logs.iter()) - LOG_GRID;
    let needed = -libm::log(alpha);
    let rejected = |(_, log): &(f64, f64)| mean - log >= needed;
    let top = top(logs);
    let ratios = || RATIOS.into_iter().zip(logs.iter().copied());
    let last = |it: (f64, f64)| it.0;
    Interval {
        low: ratios().take(top).rfind(rejected).map(last),
        high: ratios().skip(top.saturating_add(1)).find(rejected).map(last),
    }
}

/// The likeliest ratio, between the grid's points: the top of the parabola through the highest three, over `ln r`.
pub(super) fn estimate(logs: &[f64; GRID]) -> Option<f64> {
    let top = top(logs);
    let (before, at, after) = (
        logs.get(top.checked_sub(1)?)?,
        logs.get(top)?,
        logs.get(top.checked_add(1)?)?,
    );
    let bend = (before - at) + (after - at);
    if bend >= 0.0 {
        return None;
    }
    let steps = 0.5 * (before - after) / bend;
    Some(RATIOS.get(top)? * libm::exp(steps.clamp(-1.0, 1.0) * 0.5 * core::f64::consts::LN_2))
}

/// Where the likelihood is largest; the first place on ties.
fn top(logs: &[f64; GRID]) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (at, log) in logs.iter().enumerate() {
        if *log > best.1 {
            best = (at, *log);
        }
    }
    best.0
}
