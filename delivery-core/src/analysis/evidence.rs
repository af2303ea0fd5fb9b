//! What a metric said, for people and for the record.

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::Verdict;

/// What one metric said in one round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// The metric's name.
    pub metric: String,
    /// What the judge said.
    pub verdict: Verdict,
    /// The number that was judged, where there was one. Unit: the metric's.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub value: Option<f64>,
    /// What it was held against, or why it could not be judged, in words: `at least 99`, `no data`.
    pub against: String,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            metric,
            verdict,
            value,
            against,
        } = self;
        match (verdict, value) {
            (Verdict::Inconclusive, _) => write!(f, "{metric}: {against}"),
            (Verdict::Abstains, _) => write!(f, "{metric} abstains: {against}"),
            (Verdict::Fail, Some(value)) => write!(f, "{metric} {}, wanted {against}", Rounded(*value)),
            (Verdict::Confirmed | Verdict::Pass | Verdict::Suspect, Some(value)) => {
                write!(f, "{metric} {} {against}", Rounded(*value))
            }
            (Verdict::Confirmed | Verdict::Pass | Verdict::Suspect | Verdict::Fail, None) => {
                write!(f, "{metric} {verdict}: {against}")
            }
        }
    }
}

/// A number as a person reads it: at most three decimals, unless that would hide it.
struct Rounded(f64);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", self.0);
        let short = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            &text
        };
        match short {
            "0" | "-0" => write!(f, "{}", self.0),
            short => f.write_str(short),
        }
    }
}

/// JSON has no infinities; they are stored as text so that evidence survives a restart unchanged.
mod number {
    use alloc::string::String;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Finite(f64),
        Text(String),
    }

    #[allow(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &Option<f64>, out: S) -> Result<S::Ok, S::Error> {
        let text = |it: &str| Stored::Text(String::from(it));
        value
            .map(|it| match it {
                it if it.is_nan() => text("NaN"),
                it if it.is_infinite() => text(if it > 0.0 { "+Inf" } else { "-Inf" }),
                it => Stored::Finite(it),
            })
            .serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        let Some(stored) = Option::<Stored>::deserialize(from)? else {
            return Ok(None);
        };
        Ok(Some(match stored {
            Stored::Finite(it) => it,
            Stored::Text(it) => match it.as_str() {
                "NaN" => f64::NAN,
                "+Inf" => f64::INFINITY,
                "-Inf" => f64::NEG_INFINITY,
                _ => return Err(D::Error::custom("expected a number, NaN, +Inf or -Inf")),
            },
        }))
    }
}
