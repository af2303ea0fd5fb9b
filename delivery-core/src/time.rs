//! Moments and durations. The core has no clock: time is an input of every decision.
//!
//! Durations are read in two dialects that look alike. Specs are written like Go durations, as everywhere in
//! Kubernetes ([`parse_interval`], [`GoDuration`]): `90s`, `1h30m`, `1.5s`, and no unit above hours. Queries are
//! written like Prometheus durations ([`PromDuration`]): `5m`, `1d12h`, whole numbers only, largest unit first.

mod go;
mod prometheus;

use alloc::string::String;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::go::GoDuration;
pub use self::prometheus::PromDuration;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
///
/// Stored and exchanged as that number; shown as [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) in UTC. Leap
/// seconds are not counted, as in Unix time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment `later` after this one; the latest moment there is when it would be beyond.
    ///
    /// Parts of a millisecond are dropped.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(later.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// The moment `earlier` before this one; the epoch when it would be before.
    ///
    /// Parts of a millisecond are dropped.
    #[must_use]
    pub fn before(self, earlier: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(earlier.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds, e.g. `2026-04-29T03:15:00.000Z`.
    ///
    /// RFC 3339 ends with the year 9999. Later years get a plus sign and the digits they need, the expanded
    /// representation of ISO 8601: `+10000-01-01T00:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / 86_400_000);
        let (hour, minute) = (self.0 / 3_600_000 % 24, self.0 / 60_000 % 60);
        let (second, millis) = (self.0 / 1_000 % 60, self.0 % 1_000);
        let plus = if year > 9_999 { "+" } else { "" };
        write!(
            f,
            "{plus}{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

/// Year, month `1..=12` and day `1..=31` of a day in the Gregorian calendar, counted from 1970-01-01.
///
/// Howard Hinnant, [`civil_from_days`](https://howardhinnant.github.io/date_algorithms.html#civil_from_days), with
/// his names; a year starts in March there, so that the leap day is its last. Without dates before the epoch no
/// value is negative.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a u64 of milliseconds is fewer than 2^38 days, and each difference is of a number and a part of it"
)]
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, doe) = (days / 146_097, days % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let (month, next) = if mp < 10 { (mp + 3, 0) } else { (mp - 9, 1) };
    (yoe + era * 400 + next, month, day)
}

/// A duration of a spec: written like a Go duration (`90s`, `1m30s`, `500ms`), and not negative.
///
/// # Errors
/// [`DurationError`] for everything else; the message names the text and says what would be right.
pub fn parse_interval(text: &str) -> Result<Duration, DurationError> {
    let parsed: GoDuration = text.parse()?;
    Duration::try_from(parsed).map_err(|_| DurationError::Negative {
        text: shortened(text),
    })
}

/// A text that is no duration.
///
/// Each message names the text, shortened to 40 characters, and says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// There is no text.
    #[error("an empty text is no duration (expected e.g. 90s, 1m30s, 500ms)")]
    Empty,
    /// No number where one must stand, as in `s` or `soon`.
    #[error("{text:?} is no duration: a number is missing (expected e.g. 90s, 1m30s, 500ms)")]
    NoNumber {
        /// The text.
        text: String,
    },
    /// A number without a unit, like `5` or `1m30`.
    #[error("{text:?} is no duration: there is no unit after {number:?} (expected e.g. 90s, 1m30s, 500ms)")]
    NoUnit {
        /// The text.
        text: String,
        /// The number that lacks a unit.
        number: String,
    },
    /// A unit that the dialect does not have, like `5 minutes`, or `1d` for Go.
    #[error(
        "{text:?} is no duration: unknown unit {unit:?} (expected e.g. 90s, 1m30s, 500ms; the units are {known})"
    )]
    UnknownUnit {
        /// The text.
        text: String,
        /// What stands after the number.
        unit: String,
        /// The units of the dialect, separated by commas.
        known: &'static str,
    },
    /// Prometheus only: a unit twice, or a smaller unit before a larger one, like `30s1m`.
    #[error(
        "{text:?} is no duration: {unit:?} is out of order (expected each unit at most once, the largest first, \
         e.g. 1d12h, 1m30s)"
    )]
    OutOfOrder {
        /// The text.
        text: String,
        /// The first unit that is not smaller than the one before.
        unit: String,
    },
    /// Prometheus only: a number with decimals, like `1.5d`.
    #[error("{text:?} is no duration: whole numbers only (expected e.g. 1d12h, 1m30s, 500ms)")]
    Fraction {
        /// The text.
        text: String,
    },
    /// Less than nothing, where that makes no sense.
    #[error("{text:?} cannot be used here: the duration is negative (expected e.g. 90s, 1m30s, 500ms)")]
    Negative {
        /// The text.
        text: String,
    },
    /// More than the 2^63 nanoseconds that both dialects end with.
    #[error("{text:?} is too long for a duration (expected at most 2562047h, which is 292 years)")]
    TooLong {
        /// The text.
        text: String,
    },
}

/// What an error shows of a text, which may be of any length. Errors quote it.
fn shortened(text: &str) -> String {
    crate::text::beginning(text, 40)
}

/// Divides a text behind the longest beginning whose characters all pass.
fn split(text: &str, pass: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|it| !pass(it)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// The number that decimal digits write, zero for none. `None`: too large.
fn whole(digits: &str) -> Option<u64> {
    digits.bytes().try_fold(0_u64, |sum, digit| {
        sum.checked_mul(10)?
            .checked_add(u64::from(digit.checked_sub(b'0')?))
    })
}

/// For `#[serde(with = "…")]`: a [`Duration`] as Go text, e.g. `"1m30s"`.
///
/// Reading takes text only. A bare number is refused, because nobody can know its unit; the message asks for one.
/// Writing ends with the longest Go duration, 292 years: a longer one is written as that.
pub mod written {
    use core::fmt;
    use core::time::Duration;

    use serde::{Deserializer, Serializer, de};

    use super::{GoDuration, parse_interval};

    /// Writes the duration as [`GoDuration`] does.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&GoDuration::saturating_from(*duration))
    }

    /// Reads a duration as [`parse_interval`] does.
    ///
    /// # Errors
    /// Those of the deserializer, among them one for anything but text, and
    /// [`DurationError`](super::DurationError).
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_str(Text)
    }

    struct Text;

    impl de::Visitor<'_> for Text {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(r#"a duration as text with a unit, e.g. "90s", "1m30s", "500ms""#)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            parse_interval(text).map_err(E::custom)
        }
    }

    /// The same for a duration that may be absent. Beside `with`, the field needs `#[serde(default)]` to be left out.
    pub mod option {
        use core::time::Duration;

        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        /// Writes the duration as [`GoDuration`](super::GoDuration) does, or nothing.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<S: Serializer>(
            duration: &Option<Duration>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            duration.map(Written).serialize(serializer)
        }

        /// Reads a duration as [`parse_interval`](super::parse_interval) does, or nothing.
        ///
        /// # Errors
        /// Those of the deserializer, among them one for anything but text and null, and
        /// [`DurationError`](crate::time::DurationError).
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<Written>::deserialize(deserializer)?.map(|Written(duration)| duration))
        }

        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        struct Written(#[serde(with = "super")] Duration);
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use proptest::prelude::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::{BorrowedStrDeserializer, Error};
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Fields {
        #[serde(with = "written")]
        every: Duration,
        #[serde(default, with = "written::option", skip_serializing_if = "Option::is_none")]
        limit: Option<Duration>,
    }

    fn fields(text: &str) -> Result<Fields, String> {
        serde_json::from_str(text).map_err(|it| it.to_string())
    }

    fn refused(text: &str) -> String {
        parse_interval(text).unwrap_err().to_string()
    }

    // Moments

    #[test]
    fn moments_as_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_777_432_500_000, "2026-04-29T03:15:00.000Z"),
            (4_107_542_399_001, "2100-02-28T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "+10000-01-01T00:00:00.000Z"),
            (u64::MAX, "+584556019-04-03T14:25:51.615Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
        }
    }

    #[test]
    fn every_day_of_eight_centuries_follows_the_one_before() {
        let long =
            |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
        let mut expected = (1970, 1, 1);
        for days in 0..292_194 {
            assert_eq!(civil(days), expected);
            let (year, month, day) = expected;
            let last = match month {
                2 if long(year) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expected = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, day) if day == last => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
        assert_eq!(expected, (2770, 1, 1));
    }

    #[test]
    fn moments_end_at_both_ends() {
        let (first, last) = (Timestamp::default(), Timestamp::from_millis(u64::MAX));
        assert_eq!(last.after(Duration::from_millis(1)), last);
        assert_eq!(first.after(Duration::MAX), last);
        assert_eq!(first.before(Duration::from_millis(1)), first);
        assert_eq!(first.since(last), Duration::ZERO);
    }

    #[test]
    fn a_moment_is_stored_as_a_number() {
        let moment = Timestamp::from_millis(1_777_432_500_000);
        assert_eq!(serde_json::to_string(&moment).unwrap(), "1777432500000");
        assert_eq!(
            serde_json::from_str::<Timestamp>("1777432500000").unwrap(),
            moment
        );
        assert!(serde_json::from_str::<Timestamp>("-1").is_err());
    }

    // Durations of specs

    #[test]
    fn intervals() {
        assert_eq!(parse_interval("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_interval("0"), Ok(Duration::ZERO));
        assert_eq!(parse_interval("-0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn errors_say_what_would_be_right() {
        for (text, message) in [
            (
                "",
                "an empty text is no duration (expected e.g. 90s, 1m30s, 500ms)",
            ),
            (
                "soon",
                r#""soon" is no duration: a number is missing (expected e.g. 90s, 1m30s, 500ms)"#,
            ),
            (
                "1m30",
                r#""1m30" is no duration: there is no unit after "30" (expected e.g. 90s, 1m30s, 500ms)"#,
            ),
            (
                "5 minutes",
                "\"5 minutes\" is no duration: unknown unit \" minutes\" (expected e.g. 90s, 1m30s, 500ms; the \
                 units are h, m, s, ms, us, ns)",
            ),
            (
                "-1m",
                r#""-1m" cannot be used here: the duration is negative (expected e.g. 90s, 1m30s, 500ms)"#,
            ),
            (
                "3000000h",
                "\"3000000h\" is too long for a duration (expected at most 2562047h, which is 292 years)",
            ),
        ] {
            assert_eq!(refused(text), message);
        }
    }

    #[test]
    fn errors_are_short_and_on_one_line() {
        let message = refused(&"5\nµ".repeat(1_000));
        assert!(
            message.starts_with(r#""5\nµ5\nµ"#) && message.contains('…'),
            "{message}"
        );
        assert!(message.len() < 300 && !message.contains('\n'), "{message}");
        assert_eq!(shortened(&"µ".repeat(40)), "µ".repeat(40));
        assert_eq!(shortened(&"µ".repeat(41)), "µ".repeat(40) + "…");
    }

    // Durations as text in JSON and YAML

    #[test]
    fn durations_are_written_as_go_text() {
        let mut value = Fields {
            every: Duration::from_secs(90),
            limit: None,
        };
        assert_eq!(serde_json::to_string(&value).unwrap(), r#"{"every":"1m30s"}"#);
        value.limit = Some(Duration::from_millis(1_500));
        let text = serde_json::to_string(&value).unwrap();
        assert_eq!(text, r#"{"every":"1m30s","limit":"1.5s"}"#);
        assert_eq!(fields(&text), Ok(value));
    }

    #[test]
    fn durations_are_read_from_text_however_it_is_held() {
        let hour = Duration::from_secs(3_600);
        let expected = Fields {
            every: hour,
            limit: Some(hour),
        };
        assert_eq!(fields(r#"{"every":"1h","limit":"\u0031h"}"#).unwrap(), expected);
        assert_eq!(
            serde_json::from_value::<Fields>(json!({"every":"1h","limit":"1h"})).unwrap(),
            expected
        );
        assert_eq!(
            written::deserialize(BorrowedStrDeserializer::<Error>::new("1h")),
            Ok(hour)
        );
        assert_eq!(
            written::deserialize(IntoDeserializer::<Error>::into_deserializer("1h".to_string())),
            Ok(hour)
        );
    }

    #[test]
    fn an_absent_duration() {
        for text in [r#"{"every":"1h"}"#, r#"{"every":"1h","limit":null}"#] {
            assert_eq!(fields(text).unwrap().limit, None);
        }
        assert_eq!(
            written::option::serialize(&None, serde_json::value::Serializer).unwrap(),
            json!(null)
        );
        assert!(fields(r#"{"every":null}"#).is_err());
    }

    #[test]
    fn a_bare_number_is_asked_for_its_unit() {
        let expected = r#"invalid type: integer `5`, expected a duration as text with a unit, e.g. "90s", "1m30s", "500ms""#;
        for text in [r#"{"every":5}"#, r#"{"every":"1s","limit":5}"#] {
            let message = fields(text).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
        }
        let message = fields(r#"{"every":"5"}"#).unwrap_err();
        assert!(
            message.starts_with(r#""5" is no duration: there is no unit after "5""#),
            "{message}"
        );
        let message = fields(r#"{"every":"1s","limit":"-5s"}"#).unwrap_err();
        assert!(
            message.starts_with(r#""-5s" cannot be used here: the duration is negative"#),
            "{message}"
        );
    }

    #[test]
    fn longer_than_go_knows_is_written_as_the_longest() {
        let value = Fields {
            every: Duration::MAX,
            limit: None,
        };
        assert_eq!(
            serde_json::to_string(&value).unwrap(),
            r#"{"every":"2562047h47m16.854775807s"}"#
        );
    }

    proptest! {
        #[test]
        fn moments_sort_like_their_texts(one in 0_u64..253_402_300_800_000, other in 0_u64..253_402_300_800_000) {
            let (one, other) = (Timestamp::from_millis(one), Timestamp::from_millis(other));
            prop_assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
        }

        #[test]
        fn after_and_since_agree(moment in any::<u32>(), later in any::<u32>()) {
            let moment = Timestamp::from_millis(moment.into());
            let later = Duration::from_millis(later.into());
            prop_assert_eq!(moment.after(later).since(moment), later);
            prop_assert_eq!(moment.after(later).before(later), moment);
        }

        #[test]
        fn what_is_written_is_read(seconds in 0_u64..9_000_000_000, nanos in 0_u32..1_000_000_000) {
            let value = Fields { every: Duration::new(seconds, nanos), limit: Some(Duration::new(0, nanos)) };
            prop_assert_eq!(fields(&serde_json::to_string(&value).unwrap()), Ok(value));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*", near in "[-+]?([0-9]{0,20}[.]?[0-9]{0,20}(ns|us|ms|s|m|h|d|)){0,4}") {
            for text in [text, near] {
                if let Err(error) = parse_interval(&text) {
                    prop_assert!(error.to_string().len() < 1_000); // 40 characters twice, each at most `\u{10ffff}`
                }
            }
        }
    }
}
