//! The canary against the primary, over the same window.

use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::{Due, Judged, Nothing, Past, Sample};
use crate::time::GoDuration;

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
    /// Judges the canary against the primary, or against what that was before it lost its traffic; and what is remembered of
    /// the primary.
    pub(super) fn judge(&self, due: &Due<'_>, sample: &Sample, past: Option<Past>) -> (Judged, Option<Past>) {
        let canary = match sample.canary_number(self.quantile) {
            Err(nothing) => return (Judged::Nothing(nothing), past),
            Ok(canary) => canary,
        };
        if due.primary_rests {
            let known = past.as_ref().and_then(|it| Some((it.median()?, it.until)));
            let judged = match known {
                None => Judged::Abstains(String::from(
                    "the primary gets no traffic, and what it did before is not known",
                )),
                Some((primary, until)) => {
                    let age = GoDuration::saturating_from(due.at.since(until));
                    self.against(
                        sample,
                        canary,
                        primary,
                        &format!(" of {age} before, while it had traffic"),
                    )
                }
            };
            return (judged, past);
        }
        match sample.primary_number(self.quantile) {
            Err(nothing) => (Judged::Nothing(nothing), past),
            Ok(primary) => {
                let judged = self.against(sample, canary, primary, "");
                (judged, Past::with(past, primary, due.at))
            }
        }
    }

    fn against(&self, sample: &Sample, canary: f64, primary: f64, when: &str) -> Judged {
        if canary.is_nan() || primary.is_nan() {
            return Judged::Nothing(Nothing::NotANumber);
        }
        // Infinite on both sides: no difference can be told, and what cannot be told is not good.
        if canary.is_infinite() && primary.is_infinite() {
            return Judged::Nothing(Nothing::NotANumber);
        }
        // Error rates and durations are better when they are smaller, whatever the metric says.
        let higher_is_better = self.higher_is_better
            && match sample {
                Sample::Value(_) | Sample::Pair { .. } => true,
                Sample::Counts { .. } | Sample::Histogram { .. } | Sample::Nothing(_) => false,
            };
        let worse_by = if higher_is_better {
            primary - canary
        } else {
            canary - primary
        };
        let ratio_good = self.max_ratio.is_none_or(|max| {
            // As a product, so that a primary at 0 needs no division.
            if higher_is_better {
                canary * max >= primary
            } else {
                canary <= primary * max
            }
        });
        let difference_good = self.max_difference.is_none_or(|max| worse_by <= max);
        let bounded = self.max_ratio.is_some() || self.max_difference.is_some();
        let good = worse_by <= 0.0 || (bounded && ratio_good && difference_good);
        Judged::Number {
            value: canary,
            good,
            against: format!("{}{when}", self.words(primary)),
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
