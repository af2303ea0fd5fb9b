//! Objects from files, with the fields that nobody reads.

use delivery_core::plan::Warning;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An object that is not of the type it should be.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct Unreadable {
    /// Which field, from the object's root.
    pub path: String,
    /// What is wrong with it.
    pub why: String,
}

/// An object of this type, and a warning for every field of it that has no meaning: a misspelt name, or a field at the
/// wrong place. The API server takes such fields out without a word, and Flagger never sees them.
///
/// A field that is `null` counts as left out, as it does for the API server.
///
/// # Errors
/// [`Unreadable`]: it is another object, or a field has a value of another kind than it should.
pub fn read<T: DeserializeOwned + Resource<DynamicType = ()>>(
    mut object: Value,
) -> Result<(T, Vec<Warning>), Unreadable> {
    for (path, expected) in [("apiVersion", T::api_version(&())), ("kind", T::kind(&()))] {
        let found = object.as_object_mut().and_then(|fields| fields.remove(path));
        if found.as_ref().and_then(Value::as_str) != Some(&*expected) {
            let found = found.map_or_else(|| String::from("nothing"), |value| value.to_string());
            return Err(Unreadable {
                path: path.into(),
                why: format!("{found} stands there (expected {expected:?})"),
            });
        }
    }
    let mut ignored = Vec::new();
    let mut note = |path: serde_ignored::Path<'_>| ignored.push(path.to_string());
    let reader = without_nulls(object);
    let reader = serde_ignored::Deserializer::new(reader, &mut note);
    let object = serde_path_to_error::deserialize(reader).map_err(|error| Unreadable {
        path: error.path().to_string(),
        why: error.into_inner().to_string(),
    })?;
    let warnings = ignored.into_iter().map(|path| Warning {
        // Optional values are written `?` by the reader of paths.
        path: indexed(&path.replace(".?", "")),
        text: String::from("is ignored: there is no such field here"),
    });
    Ok((object, warnings.collect()))
}

/// `spec.analysis.metrics.0.nmae` as `spec.analysis.metrics[0].nmae`.
fn indexed(path: &str) -> String {
    let mut text = String::new();
    for (at, part) in path.split('.').enumerate() {
        if at > 0 && part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            text.push('[');
            text.push_str(part);
            text.push(']');
            continue;
        }
        if at > 0 {
            text.push('.');
        }
        text.push_str(part);
    }
    text
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}
