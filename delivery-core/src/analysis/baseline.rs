//! The canary against the primary, over the same window.

use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::{Judged, Nothing, Sample};

/// The canary may be worse than the primary by so much and no more.
///
/// Of counts the error rates in percent are compared (smaller is better), of histograms the quantiles `quantile`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Baseline {
    /// The largest good ratio, worse side over better: with 1.2 the canary may be 20 % worse. At least 1.
    #[serde(default)]
    pub max_ratio: Option<f64>,
    /// The largest good difference in the metric's unit. Not negative.
    #[serde(default)]
    pub max_difference: Option<f64>,
    /// Whether a larger number is better, as of a success rate. Of counts and histograms smaller is better.
    #[serde(default)]
    pub higher_is_better: bool,
    /// Which quantile of a histogram is compared, `0.0..=1.0`; default 0.99.
    #[serde(default = "super::default_quantile")]
    pub quantile: f64,
}

impl Baseline {
    pub(super) fn judge(&self, sample: &Sample) -> Judged {
        let sides = match sample {
            Sample::Pair { canary, primary } if self.higher_is_better => {
                Ok((-*canary, -*primary, *canary, *primary))
            }
            Sample::Pair { canary, primary } => Ok((*canary, *primary, *canary, *primary)),
            Sample::Counts {
                canary,
                primary: Some(primary),
            } => both(canary.success_rate(), primary.success_rate())
                .map(|(canary, primary)| (100.0 - canary, 100.0 - primary))
                .map(|(canary, primary)| (canary, primary, canary, primary)),
            Sample::Histogram {
                canary,
                primary: Some(primary),
            } => both(canary.quantile(self.quantile), primary.quantile(self.quantile))
                .map(|(canary, primary)| (canary, primary, canary, primary)),
            Sample::Counts { primary: None, .. }
            | Sample::Histogram { primary: None, .. }
            | Sample::Value(_) => Err(Nothing::NoPrimary),
            Sample::Nothing(nothing) => Err(nothing.clone()),
        };
        let (cost, baseline, canary, primary) = match sides {
            Err(nothing) => return Judged::Nothing(nothing),
            Ok(sides) => sides,
        };
        if canary.is_nan() || primary.is_nan() {
            return Judged::Nothing(Nothing::NotANumber);
        }
        // Infinite on both sides: no difference can be told, and what cannot be told is not good.
        if canary.is_infinite() && primary.is_infinite() {
            return Judged::Nothing(Nothing::NotANumber);
        }
        let better = cost <= baseline;
        let ratio_good = self.max_ratio.is_none_or(|max| {
            // As a product, so that a primary at 0 needs no division.
            if self.higher_is_better {
                canary * max >= primary
            } else {
                canary <= primary * max
            }
        });
        let difference_good = self.max_difference.is_none_or(|max| cost - baseline <= max);
        let bounded = self.max_ratio.is_some() || self.max_difference.is_some();
        let good = better || (bounded && ratio_good && difference_good);
        Judged::Number {
            value: canary,
            good,
            against: self.words(primary),
        }
    }

    fn words(&self, primary: f64) -> String {
        match (self.max_ratio, self.max_difference) {
            (Some(ratio), Some(difference)) => {
                format!("within {ratio} times and {difference} of the primary's {primary}")
            }
            (Some(ratio), None) => format!("within {ratio} times the primary's {primary}"),
            (None, Some(difference)) => format!("within {difference} of the primary's {primary}"),
            (None, None) => format!("no worse than the primary's {primary}"),
        }
    }
}

fn both(canary: Result<f64, Nothing>, primary: Result<f64, Nothing>) -> Result<(f64, f64), Nothing> {
    match (canary, primary) {
        (Ok(canary), Ok(primary)) => Ok((canary, primary)),
        (Ok(_), Err(Nothing::NoData)) => Err(Nothing::NoPrimary),
        (Err(nothing), _) | (Ok(_), Err(nothing)) => Err(nothing),
    }
}
