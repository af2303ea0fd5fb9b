//! A number within fixed bounds: Flagger's `thresholdRange` and its older `threshold`.

use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::{Judged, Nothing, Sample};

/// A number within fixed bounds; a bound itself is inside.
///
/// Of counts the success rate in percent is judged, of a histogram the quantile `quantile`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Range {
    /// The smallest good value, in the metric's unit.
    #[serde(default)]
    pub min: Option<f64>,
    /// The largest good value, in the metric's unit.
    #[serde(default)]
    pub max: Option<f64>,
    /// Which quantile of a histogram is judged, `0.0..=1.0`; default 0.99.
    #[serde(default = "super::default_quantile")]
    pub quantile: f64,
}

impl Range {
    /// At least `min`.
    pub const fn at_least(min: f64) -> Self {
        Self {
            min: Some(min),
            max: None,
            quantile: 0.99,
        }
    }

    /// At most `max`.
    pub const fn at_most(max: f64) -> Self {
        Self {
            min: None,
            max: Some(max),
            quantile: 0.99,
        }
    }

    /// What Flagger's older `threshold` means: the least for `request-success-rate`, the most for anything else.
    pub fn legacy(metric: &str, threshold: f64) -> Self {
        if metric == "request-success-rate" {
            Self::at_least(threshold)
        } else {
            Self::at_most(threshold)
        }
    }

    pub(super) fn judge(&self, sample: &Sample) -> Judged {
        let value = match sample {
            Sample::Value(value) | Sample::Pair { canary: value, .. } => Ok(*value),
            Sample::Counts { canary, .. } => canary.success_rate(),
            Sample::Histogram { canary, .. } => canary.quantile(self.quantile),
            Sample::Nothing(nothing) => Err(nothing.clone()),
        };
        match value {
            Err(nothing) => Judged::Nothing(nothing),
            Ok(value) if value.is_nan() => Judged::Nothing(Nothing::NotANumber),
            Ok(value) => {
                let good = self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max);
                Judged::Number {
                    value,
                    good,
                    against: self.words(),
                }
            }
        }
    }

    fn words(&self) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => String::from("any number"),
        }
    }
}
