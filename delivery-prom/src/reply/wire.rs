//! The form of an answer: <https://prometheus.io/docs/prometheus/latest/querying/api/#format-overview>.
//!
//! Read in one pass, in whatever order the fields come.

use std::fmt;

use delivery_core::Timestamp;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde_json::value::RawValue;

use super::envelope::{Envelope, Nullable, Text, envelope};
use super::{Data, Labels, NoReply, Point, Reply, Series, Track, Value, plain};

/// Reads the body of an answer to an instant query or a query over a range.
///
/// # Errors
/// [`NoReply`].
///
/// ```
/// use delivery_prom::reply::{self, Data};
///
/// let body = br#"{"status":"success","data":{"resultType":"scalar","result":[1435781451.781,"42"]}}"#;
/// let Data::Scalar(point) = reply::parse(body)?.data else { panic!("no scalar") };
/// assert_eq!((point.value, point.at.as_millis()), (42.0, 1_435_781_451_781));
/// # Ok::<(), reply::NoReply>(())
/// ```
pub fn parse(body: &[u8]) -> Result<Reply<'_>, NoReply> {
    let Envelope {
        data,
        warnings,
        infos,
        partial,
    } = envelope(body, DataSeed)?;
    Ok(Reply {
        data,
        warnings,
        infos,
        partial,
    })
}

/// The points of a matrix' series; no text has none.
pub(super) fn points(text: &str, mut see: impl FnMut(Point)) -> Result<(), NoReply> {
    let (mut rest, mut seen) = (text, 0);
    // The text is JSON, so whatever begins and ends like a list of points is one.
    while let Some((point, behind)) = rest.strip_prefix(['[', ',']).and_then(plain::point) {
        see(point);
        (rest, seen) = (behind, seen + 1);
    }
    if rest == "]" || text.is_empty() {
        return Ok(());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader
        .deserialize_seq(EachPoint { see, skip: seen })
        .and_then(|()| reader.end())
        .map_err(NoReply::unreadable)
}

#[derive(Clone, Copy)]
struct DataSeed;

impl<'de> DeserializeSeed<'de> for DataSeed {
    type Value = Data<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Data<'de>, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for DataSeed {
    type Value = Data<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `resultType` and `result`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Data<'de>, A::Error> {
        let (mut kind, mut data, mut raw) = (None, None, None);
        while let Some(field) = map.next_key_seed(Text)? {
            match (&*field, kind) {
                ("resultType", _) => kind = Some(Kind::named(&map.next_value_seed(Text)?)?),
                ("result", Some(kind)) => data = Some(map.next_value_seed(kind)?),
                // The type comes later.
                ("result", None) => raw = Some(map.next_value::<&RawValue>()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match (data, raw, kind) {
            (Some(data), _, _) => Ok(data),
            (None, Some(raw), Some(kind)) => kind.deserialize(raw).map_err(de::Error::custom),
            (None, Some(_), None) => Err(de::Error::missing_field("resultType")),
            (None, None, _) => Err(de::Error::missing_field("result")),
        }
    }
}

/// The type of a result.
#[derive(Clone, Copy)]
enum Kind {
    Vector,
    Matrix,
    Scalar,
    Text,
    Streams,
}

impl Kind {
    fn named<E: de::Error>(name: &str) -> Result<Self, E> {
        Ok(match name {
            "vector" => Self::Vector,
            "matrix" => Self::Matrix,
            "scalar" => Self::Scalar,
            "string" => Self::Text,
            "streams" => Self::Streams,
            other => {
                let known = &["vector", "matrix", "scalar", "string", "streams"];
                return Err(E::unknown_variant(&crate::error::shortened(other, 40), known));
            }
        })
    }
}

impl<'de> DeserializeSeed<'de> for Kind {
    type Value = Data<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Data<'de>, D::Error> {
        match self {
            Self::Vector => list(from, SeriesSeed).map(Data::Vector),
            Self::Matrix => list(from, TrackSeed).map(Data::Matrix),
            Self::Scalar => PointSeed.deserialize(from).map(Data::Scalar),
            Self::Text => <(IgnoredAny, String)>::deserialize(from).map(|(_, text)| Data::Text(text)),
            Self::Streams => IgnoredAny::deserialize(from).map(|_| Data::Streams),
        }
    }
}

/// A list of things that each seed reads; `null` is an empty one.
fn list<'de, D: Deserializer<'de>, S: DeserializeSeed<'de> + Copy>(
    from: D,
    seed: S,
) -> Result<Vec<S::Value>, D::Error> {
    Nullable(List(seed))
        .deserialize(from)
        .map(Option::unwrap_or_default)
}

struct List<S>(S);

impl<'de, S: DeserializeSeed<'de> + Copy> DeserializeSeed<'de> for List<S> {
    type Value = Vec<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, S: DeserializeSeed<'de> + Copy> Visitor<'de> for List<S> {
    type Value = Vec<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of series")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.0)? {
            list.push(item);
        }
        Ok(list)
    }
}

#[derive(Clone, Copy)]
struct SeriesSeed;

impl<'de> DeserializeSeed<'de> for SeriesSeed {
    type Value = Series<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Series<'de>, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SeriesSeed {
    type Value = Series<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `metric` and `value`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Series<'de>, A::Error> {
        let (mut labels, mut value) = (None, None);
        while let Some(field) = map.next_key_seed(Text)? {
            match &*field {
                "metric" => labels = Some(map.next_value::<&RawValue>()?),
                "value" => {
                    let raw = map.next_value::<&RawValue>()?;
                    let point = match plain::point(raw.get()) {
                        Some((point, "")) => point,
                        _ => PointSeed.deserialize(raw).map_err(de::Error::custom)?,
                    };
                    value = Some((point.at, Value::Float(point.value)));
                }
                "histogram" => {
                    let (at, _) = map.next_value::<(Moment, IgnoredAny)>()?;
                    value = Some((at.0, Value::Histogram));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let (at, value) = value.ok_or_else(|| de::Error::missing_field("value"))?;
        Ok(Series {
            labels: read_labels(labels)?,
            at,
            value,
        })
    }
}

#[derive(Clone, Copy)]
struct TrackSeed;

impl<'de> DeserializeSeed<'de> for TrackSeed {
    type Value = Track<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Track<'de>, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TrackSeed {
    type Value = Track<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `metric` and `values`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Track<'de>, A::Error> {
        let (mut labels, mut points, mut histograms) = (None, None, false);
        while let Some(field) = map.next_key_seed(Text)? {
            match &*field {
                "metric" => labels = Some(map.next_value::<&RawValue>()?),
                "values" => points = Some(map.next_value::<&RawValue>()?),
                "histograms" => {
                    map.next_value::<IgnoredAny>()?;
                    histograms = true;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if points.is_none() && !histograms {
            return Err(de::Error::missing_field("values"));
        }
        Ok(Track {
            labels: read_labels(labels)?,
            points: points.map_or("", RawValue::get),
            histograms,
        })
    }
}

fn read_labels<E: de::Error>(labels: Option<&RawValue>) -> Result<Labels<'_>, E> {
    let labels = labels.ok_or_else(|| E::missing_field("metric"))?.get();
    if labels.starts_with('{') {
        Ok(Labels(labels))
    } else {
        Err(E::custom("`metric` is no object of labels"))
    }
}

/// `[1435781451.781, "42"]`.
#[derive(Clone, Copy)]
struct PointSeed;

impl<'de> DeserializeSeed<'de> for PointSeed {
    type Value = Point;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Point, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for PointSeed {
    type Value = Point;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a moment and a number in quotes, e.g. [1435781451.781, \"42\"]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Point, A::Error> {
        let at = items
            .next_element::<Moment>()?
            .ok_or_else(|| de::Error::invalid_length(0, &self))?;
        let value = items
            .next_element::<Number>()?
            .ok_or_else(|| de::Error::invalid_length(1, &self))?;
        if items.next_element::<IgnoredAny>()?.is_some() {
            return Err(de::Error::invalid_length(3, &self));
        }
        Ok(Point {
            at: at.0,
            value: value.0,
        })
    }
}

/// Shows every point but the first, which were seen already.
struct EachPoint<F> {
    see: F,
    skip: usize,
}

impl<'de, F: FnMut(Point)> Visitor<'de> for EachPoint<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of points")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(point) = items.next_element_seed(PointSeed)? {
            if self.skip > 0 {
                self.skip -= 1;
            } else {
                (self.see)(point);
            }
        }
        Ok(())
    }
}

/// Seconds since 1970, rounded to milliseconds; earlier moments are taken for the beginning of 1970.
struct Moment(Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(from)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates, which is what is wanted"
        )]
        let millis = (seconds * 1_000.0).round() as u64;
        Ok(Self(Timestamp::from_millis(millis)))
    }
}

/// A number in quotes: `"42"`, `"1.5e-02"`, `"NaN"`, `"+Inf"`.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(NumberVisitor).map(Number)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number in quotes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
        let shown = || crate::error::shortened(text, 40);
        text.parse()
            .map_err(|_| E::invalid_value(Unexpected::Str(&shown()), &self))
    }
}
