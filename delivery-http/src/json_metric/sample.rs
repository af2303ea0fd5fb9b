//! What a JSON value measures.

use delivery_core::analysis::{Nothing, Sample, Tally};
use serde_json::{Map, Value};

/// The sample that a value is. The module above has the table. Why there is none may quote the value, as long as it is.
///
/// # Errors
/// Why there is none.
pub(super) fn sample(value: &Value) -> Result<Sample, Nothing> {
    let Value::Object(members) = value else {
        return number(value).map(Sample::Value);
    };
    match names(members).as_slice() {
        ["canary", "primary"] | ["canary"] => sides(members),
        ["errors", "total"] => Ok(Sample::Counts {
            canary: tally(members)?,
            primary: None,
        }),
        names => Err(Nothing::Unusable(format!(
            "an object with {}, where there should be a number, canary and primary, or total and errors",
            if names.is_empty() {
                String::from("nothing in it")
            } else {
                names.join(", ")
            }
        ))),
    }
}

/// What two answers are together, one about the canary and one about the primary.
///
/// # Errors
/// Why there is no sample. A primary without data is no reason where the canary was counted.
pub(super) fn both(
    canary: Result<Sample, Nothing>,
    primary: Result<Sample, Nothing>,
) -> Result<Sample, Nothing> {
    match (canary?, primary) {
        (Sample::Value(canary), Ok(Sample::Value(primary))) => Ok(Sample::Pair { canary, primary }),
        (
            Sample::Counts {
                canary,
                primary: None,
            },
            Ok(Sample::Counts {
                canary: primary,
                primary: None,
            }),
        ) => Ok(Sample::Counts {
            canary,
            primary: Some(primary),
        }),
        (counts @ Sample::Counts { .. }, Err(Nothing::NoData)) => Ok(counts),
        (Sample::Value(_), Err(Nothing::NoData)) => Err(Nothing::NoPrimary),
        (_, Err(nothing)) => Err(nothing),
        (_, Ok(_)) => Err(Nothing::Unusable(String::from(
            "the answers about canary and primary are not two numbers or two counts",
        ))),
    }
}

/// In alphabetical order.
fn names(members: &Map<String, Value>) -> Vec<&str> {
    let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn sides(members: &Map<String, Value>) -> Result<Sample, Nothing> {
    let (canary, primary) = (members.get("canary"), members.get("primary"));
    let canary = canary.unwrap_or(&Value::Null);
    let primary = primary.filter(|it| !it.is_null());
    if let Value::Object(canary) = canary {
        let primary = match primary {
            Some(Value::Object(primary)) => Some(strict(primary)?),
            Some(_) => return Err(unlike()),
            None => None,
        };
        return Ok(Sample::Counts {
            canary: strict(canary)?,
            primary,
        });
    }
    let canary = number(canary)?;
    let Some(primary) = primary else {
        return Err(Nothing::NoPrimary);
    };
    if primary.is_object() {
        return Err(unlike());
    }
    Ok(Sample::Pair {
        canary,
        primary: number(primary)?,
    })
}

fn unlike() -> Nothing {
    Nothing::Unusable(String::from("canary and primary are not of the same kind"))
}

fn strict(members: &Map<String, Value>) -> Result<Tally, Nothing> {
    match names(members).as_slice() {
        ["errors", "total"] => tally(members),
        names => Err(Nothing::Unusable(format!(
            "counts with {}, where there should be total and errors",
            names.join(", ")
        ))),
    }
}

fn tally(members: &Map<String, Value>) -> Result<Tally, Nothing> {
    let total = count("total", members.get("total"))?;
    let errors = count("errors", members.get("errors"))?;
    if total == 0 {
        return Err(Nothing::NoData);
    }
    if errors > total {
        return Err(Nothing::Unusable(format!("{errors} errors in {total} requests")));
    }
    Ok(Tally { total, errors })
}

/// The largest number up to which a double knows every whole one.
const EXACT: u64 = 1 << 53;

/// Also what is written as `200.0` or `"200"`: many count in doubles.
fn count(name: &str, value: Option<&Value>) -> Result<u64, Nothing> {
    let value = value.unwrap_or(&Value::Null);
    let whole = match number(value) {
        Err(Nothing::NoData) => return Err(Nothing::NoData),
        Ok(_) if value.is_boolean() => None,
        Ok(number) if number.fract() == 0.0 => format!("{number:.0}").parse().ok(),
        Ok(_) | Err(_) => None,
    };
    whole.filter(|it| *it <= EXACT).ok_or_else(|| {
        let found = kind(value);
        Nothing::Unusable(format!(
            "{name} is {found}, where there should be a whole number up to 2^53"
        ))
    })
}

fn number(value: &Value) -> Result<f64, Nothing> {
    let number = match value {
        Value::Null => return Err(Nothing::NoData),
        Value::Bool(yes) => f64::from(u8::from(*yes)),
        Value::Number(number) => number.as_f64().ok_or_else(|| Nothing::Unusable(kind(value)))?,
        Value::String(text) => text
            .trim()
            .parse()
            .ok()
            // Digits that a double has no room for are not infinity, as little as in a JSON number.
            .filter(|it: &f64| it.is_finite() || !text.contains(|it: char| it.is_ascii_digit()))
            .ok_or_else(|| Nothing::Unusable(kind(value)))?,
        Value::Array(_) | Value::Object(_) => return Err(Nothing::Unusable(kind(value))),
    };
    if number.is_nan() {
        Err(Nothing::NotANumber)
    } else {
        Ok(number)
    }
}

/// What it is, in words.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => String::from("null"),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.trim().is_empty() => String::from("an empty text"),
        Value::String(text) => format!("a text that is no number: {text}"),
        Value::Array(values) => format!("an array of {}", values.len()),
        Value::Object(_) => String::from("an object"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_measures_what_the_table_says() {
        let tally = |total, errors| Tally { total, errors };
        for (value, measures) in [
            (json!(12.5), Sample::Value(12.5)),
            (json!(-3), Sample::Value(-3.0)),
            (json!(0), Sample::Value(0.0)),
            (json!(u64::MAX), Sample::Value(18_446_744_073_709_552_000.0)),
            (json!("99.5"), Sample::Value(99.5)),
            (json!(" 1e3 "), Sample::Value(1_000.0)),
            (json!("+Inf"), Sample::Value(f64::INFINITY)),
            (json!(true), Sample::Value(1.0)),
            (json!(false), Sample::Value(0.0)),
            (
                json!({ "canary": 1, "primary": "2" }),
                Sample::Pair {
                    canary: 1.0,
                    primary: 2.0,
                },
            ),
            (
                json!({ "total": 100, "errors": 0 }),
                Sample::Counts {
                    canary: tally(100, 0),
                    primary: None,
                },
            ),
            (
                json!({ "canary": { "total": 10, "errors": 1 }, "primary": { "total": 90, "errors": 0 } }),
                Sample::Counts {
                    canary: tally(10, 1),
                    primary: Some(tally(90, 0)),
                },
            ),
            (
                json!({ "canary": { "total": 10, "errors": 1 }, "primary": null }),
                Sample::Counts {
                    canary: tally(10, 1),
                    primary: None,
                },
            ),
            (
                json!({ "canary": { "total": 10, "errors": 1 } }),
                Sample::Counts {
                    canary: tally(10, 1),
                    primary: None,
                },
            ),
        ] {
            assert_eq!(sample(&value), Ok(measures), "{value}");
        }
    }

    #[test]
    fn counts_may_be_written_as_doubles_or_texts() {
        for (written, counted) in [
            (json!(200), Some(200)),
            (json!(200.0), Some(200)),
            (json!("200"), Some(200)),
            (json!(9_007_199_254_740_992_u64), Some(9_007_199_254_740_992)),
            (json!(9_007_199_254_740_994_u64), None),
            (json!(1e300), None),
            (json!(200.5), None),
            (json!(-200), None),
            (json!("Inf"), None),
            (json!("NaN"), None),
            (json!(true), None),
            (json!([200]), None),
        ] {
            let counts = sample(&json!({ "total": written, "errors": 0 }));
            let total = match counts {
                Ok(Sample::Counts { canary, .. }) => Some(canary.total),
                Ok(other) => panic!("{other:?}"),
                Err(Nothing::Unusable(_)) => None,
                Err(other) => panic!("{other:?}"),
            };
            assert_eq!(total, counted, "{written}");
        }
    }

    #[test]
    fn two_answers_are_one_sample() {
        let value = |it| Ok(Sample::Value(it));
        let counts = |total, primary| {
            Ok(Sample::Counts {
                canary: Tally { total, errors: 0 },
                primary,
            })
        };
        let unalike = "the answers about canary and primary are not two numbers or two counts";
        for (canary, primary, together) in [
            (
                value(1.0),
                value(2.0),
                Ok(Sample::Pair {
                    canary: 1.0,
                    primary: 2.0,
                }),
            ),
            (
                counts(1, None),
                counts(2, None),
                counts(1, Some(Tally { total: 2, errors: 0 })),
            ),
            (counts(1, None), Err(Nothing::NoData), counts(1, None)),
            (value(1.0), Err(Nothing::NoData), Err(Nothing::NoPrimary)),
            (Err(Nothing::NoData), value(2.0), Err(Nothing::NoData)),
            (value(1.0), Err(Nothing::NotANumber), Err(Nothing::NotANumber)),
            (
                value(1.0),
                counts(2, None),
                Err(Nothing::Unusable(unalike.into())),
            ),
            (
                counts(1, Some(Tally::default())),
                counts(2, None),
                Err(Nothing::Unusable(unalike.into())),
            ),
        ] {
            assert_eq!(
                both(canary.clone(), primary.clone()),
                together,
                "{canary:?} {primary:?}"
            );
        }
    }

    #[test]
    fn what_is_no_measurement_is_never_a_number() {
        for (value, why) in [
            (json!(null), Nothing::NoData),
            (json!("NaN"), Nothing::NotANumber),
            (json!("nan"), Nothing::NotANumber),
            (json!({ "canary": "NaN", "primary": 1 }), Nothing::NotANumber),
            (json!({ "canary": 1, "primary": null }), Nothing::NoPrimary),
            (json!({ "canary": 1 }), Nothing::NoPrimary),
            (json!({ "canary": null, "primary": 1 }), Nothing::NoData),
            (json!({ "total": 0, "errors": 0 }), Nothing::NoData),
            (json!({ "total": null, "errors": 0 }), Nothing::NoData),
            (json!({ "total": 10, "errors": null }), Nothing::NoData),
            (
                json!({ "canary": { "total": 0, "errors": 0 }, "primary": null }),
                Nothing::NoData,
            ),
        ] {
            assert_eq!(sample(&value), Err(why), "{value}");
        }
    }

    #[test]
    fn what_nobody_can_use_is_said_in_words() {
        for (value, says) in [
            (json!(""), "an empty text"),
            (json!("n/a"), "a text that is no number: n/a"),
            (json!("0x10"), "a text that is no number: 0x10"),
            (json!("1e999"), "a text that is no number: 1e999"),
            (json!("-1e999"), "a text that is no number: -1e999"),
            (json!("1,5"), "a text that is no number: 1,5"),
            (json!([1]), "an array of 1"),
            (
                json!({}),
                "an object with nothing in it, where there should be a number, canary and primary, or total and errors",
            ),
            (
                json!({ "value": 1 }),
                "an object with value, where there should be a number, canary and primary, or total and errors",
            ),
            (json!({ "total": 1, "errors": 2 }), "2 errors in 1 requests"),
            (
                json!({ "total": 1.5, "errors": 0 }),
                "total is 1.5, where there should be a whole number up to 2^53",
            ),
            (
                json!({ "total": -1, "errors": 0 }),
                "total is -1, where there should be a whole number up to 2^53",
            ),
            (
                json!({ "canary": 1, "primary": { "total": 1, "errors": 0 } }),
                "canary and primary are not of the same kind",
            ),
            (
                json!({ "canary": { "total": 1, "errors": 0 }, "primary": 1 }),
                "canary and primary are not of the same kind",
            ),
            (
                json!({ "canary": { "total": 1 } }),
                "counts with total, where there should be total and errors",
            ),
        ] {
            assert_eq!(sample(&value), Err(Nothing::Unusable(says.into())), "{value}");
        }
    }
}
