//! The envelope that every answer comes in: whether the request went well, and what the server warns of.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::NoReply;
use crate::error::shortened;

/// What stands under `data`, and why it is not whole, if it is not.
pub(crate) fn data<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<(T, Option<String>), NoReply> {
    envelope(body, PhantomData::<T>).map(|it| (it.data, it.partial))
}

/// A good answer.
pub(super) struct Envelope<T> {
    pub(super) data: T,
    pub(super) warnings: Vec<String>,
    pub(super) infos: Vec<String>,
    pub(super) partial: Option<String>,
}

/// Why an answer is not whole, if it is not: the server says so (VictoriaMetrics' `isPartial`), or warns of something else
/// than the query (Thanos, Mimir and remote reads of Prometheus warn of parts that did not answer).
///
/// What Prometheus remarks about a query begins with `PromQL warning:` or `PromQL info:` (its `util/annotations`), and is no
/// such warning.
fn partial(says: bool, warnings: &[String]) -> Option<String> {
    let remarks = ["PromQL warning", "PromQL info"];
    let of_parts = |warning: &&String| !remarks.iter().any(|remark| warning.starts_with(remark));
    let warned = warnings.iter().find(of_parts);
    let said = || String::from("the server says that some of its parts did not answer");
    warned.cloned().or_else(|| says.then(said))
}

/// Opens the envelope; `seed` reads what is in it.
pub(super) fn envelope<'a, S: DeserializeSeed<'a> + Copy>(
    body: &'a [u8],
    seed: S,
) -> Result<Envelope<S::Value>, NoReply> {
    let text = std::str::from_utf8(body).map_err(NoReply::NoText)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = reader.deserialize_map(EnvelopeVisitor(seed));
    let Parts {
        status,
        data,
        kind,
        message,
        warnings,
        infos,
        partial: says_partial,
    } = read
        .and_then(|it| reader.end().map(|()| it))
        .map_err(NoReply::unreadable)?;
    let missing = |field| NoReply::unreadable(de::Error::missing_field(field));
    match status.as_deref() {
        Some("success") => Ok(Envelope {
            data: data.ok_or_else(|| missing("data"))?,
            partial: partial(says_partial, &warnings),
            warnings,
            infos,
        }),
        Some("error") => Err(NoReply::Failed {
            kind: shortened(kind.as_deref().unwrap_or("error"), 40),
            message: shortened(&message.unwrap_or_default(), delivery_core::text::SAID),
        }),
        Some(other) => Err(NoReply::unreadable(de::Error::unknown_variant(
            &shortened(other, 40),
            &["success", "error"],
        ))),
        None => Err(missing("status")),
    }
}

struct Parts<T> {
    status: Option<String>,
    data: Option<T>,
    kind: Option<String>,
    message: Option<String>,
    warnings: Vec<String>,
    infos: Vec<String>,
    partial: bool,
}

struct EnvelopeVisitor<S>(S);

impl<'de, S: DeserializeSeed<'de> + Copy> Visitor<'de> for EnvelopeVisitor<S> {
    type Value = Parts<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `status` and `data`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts = Parts {
            status: None,
            data: None,
            kind: None,
            message: None,
            warnings: Vec::new(),
            infos: Vec::new(),
            partial: false,
        };
        while let Some(field) = map.next_key_seed(Text)? {
            match &*field {
                "status" => parts.status = Some(map.next_value()?),
                // A failed query may have none, or `null`.
                "data" => parts.data = map.next_value_seed(Nullable(self.0))?,
                "errorType" => parts.kind = map.next_value()?,
                "error" => parts.message = map.next_value()?,
                "warnings" => parts.warnings = map.next_value::<Option<_>>()?.unwrap_or_default(),
                "infos" => parts.infos = map.next_value::<Option<_>>()?.unwrap_or_default(),
                "isPartial" => parts.partial = map.next_value::<Option<_>>()?.unwrap_or_default(),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(parts)
    }
}

/// `null`, or something.
pub(super) struct Nullable<S>(pub(super) S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data")
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(from).map(Some)
    }
}

/// A text, borrowed where it has no escapes.
pub(super) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Cow<'de, str>, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
