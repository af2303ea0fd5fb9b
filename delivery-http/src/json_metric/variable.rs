//! The variables that every template has, and how their values are written.

use delivery_core::analysis::Nothing;
use delivery_core::port::Measure;
use percent_encoding::utf8_percent_encode;
use serde_json::Value;

use super::template::Escape;
use crate::ENCODED;

/// A variable that every template has.
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) value: fn(&Measure<'_>) -> Result<String, Nothing>,
}

/// The module above has the table.
pub(super) const VARIABLES: &[Variable] = &[
    Variable {
        name: "from",
        value: |ask| {
            let from = ask.window.from.as_millis().div_ceil(1_000);
            // A window within one second has no whole second in it.
            if from > ask.window.to.as_millis() / 1_000 {
                return Err(Nothing::NoData);
            }
            Ok(from.to_string())
        },
    },
    Variable {
        name: "to",
        value: |ask| Ok((ask.window.to.as_millis() / 1_000).to_string()),
    },
    Variable {
        name: "fromMillis",
        value: |ask| Ok(ask.window.from.as_millis().to_string()),
    },
    Variable {
        name: "toMillis",
        value: |ask| Ok(ask.window.to.as_millis().to_string()),
    },
    Variable {
        name: "fromRfc3339",
        value: |ask| Ok(ask.window.from.to_string()),
    },
    Variable {
        name: "toRfc3339",
        value: |ask| Ok(ask.window.to.to_string()),
    },
    Variable {
        name: "seconds",
        value: |ask| match ask.window.length().as_secs() {
            0 => Err(Nothing::NoData),
            seconds => Ok(seconds.to_string()),
        },
    },
    Variable {
        name: "revision",
        value: |ask| Ok(ask.canary.as_str().to_owned()),
    },
    Variable {
        name: "primary",
        value: |ask| {
            ask.primary
                .map(|it| it.as_str().to_owned())
                .ok_or(Nothing::NoPrimary)
        },
    },
    Variable {
        name: "weight",
        value: |ask| Ok(ask.weight.as_percent().to_string()),
    },
    Variable {
        name: "metric",
        value: |ask| Ok(ask.metric.name.clone()),
    },
    Variable {
        name: "query",
        value: |ask| {
            let none = || Nothing::Unusable(String::from("the metric has no query"));
            ask.metric.query.clone().ok_or_else(none)
        },
    },
];

pub(super) const IN_URL: Escape = |value| utf8_percent_encode(value, ENCODED).to_string();

/// Within the quotes of a JSON text.
pub(super) const IN_JSON: Escape = |value| {
    let quoted = Value::from(value).to_string();
    let inner = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
};
