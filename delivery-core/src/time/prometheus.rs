//! Durations as Prometheus writes them.

use alloc::string::String;
use core::fmt::{self, Write as _};
use core::str::FromStr;
use core::time::Duration;

use super::{DurationError, shortened, split, whole};

/// A duration in milliseconds, 0 to 292 years, as Prometheus writes it in queries and configuration.
///
/// # Reading
/// As [`model.ParseDuration`](https://pkg.go.dev/github.com/prometheus/common/model#ParseDuration): whole numbers,
/// each with a unit of `y` (365 days), `w`, `d` (24 hours), `h`, `m`, `s` or `ms`, the largest first and each at most
/// once: `5m`, `1d12h`. `0` needs no unit. There is no sign.
///
/// # Writing
/// As its `Duration.String`: years and weeks only when nothing is left over (`2w`, but `15d`), zero as `0s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromDuration(u64);

impl PromDuration {
    /// The longest duration: the whole milliseconds below 2^63 ns, `106751d23h47m16s854ms`.
    pub const MAX: Self = Self(9_223_372_036_854);

    /// The same duration without parts of a millisecond, or [`MAX`](Self::MAX) when it is longer than that.
    ///
    /// Less than a millisecond becomes `0s`, which Prometheus refuses as a range.
    pub fn saturating_from(duration: Duration) -> Self {
        u64::try_from(duration.as_millis()).map_or(Self::MAX, |it| Self(it).min(Self::MAX))
    }

    /// The duration in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

impl From<PromDuration> for Duration {
    fn from(duration: PromDuration) -> Self {
        Self::from_millis(duration.0)
    }
}

impl FromStr for PromDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        if text == "0" {
            return Ok(Self(0));
        }
        if text.is_empty() {
            return Err(DurationError::Empty);
        }
        let shown = || shortened(text);
        let (mut sum, mut rest, mut smaller) = (0_u64, text, UNITS.iter());
        while !rest.is_empty() {
            let (number, behind) = split(rest, |it| it.is_ascii_digit());
            if number.is_empty() {
                let signed = rest
                    .strip_prefix('-')
                    .is_some_and(|it| it.starts_with(|it: char| it.is_ascii_digit()));
                return Err(if signed {
                    DurationError::Negative { text: shown() }
                } else {
                    DurationError::NoNumber { text: shown() }
                });
            }
            let (name, behind) = split(behind, |it| !it.is_ascii_digit());
            if name.is_empty() {
                return Err(DurationError::NoUnit {
                    text: shown(),
                    number: shortened(number),
                });
            }
            let Some((_, millis)) = smaller.find(|(unit, _)| *unit == name) else {
                return Err(if UNITS.iter().any(|(unit, _)| *unit == name) {
                    DurationError::OutOfOrder {
                        text: shown(),
                        unit: shortened(name),
                    }
                } else if name == "." {
                    DurationError::Fraction { text: shown() }
                } else {
                    DurationError::UnknownUnit {
                        text: shown(),
                        unit: shortened(name),
                        known: "y, w, d, h, m, s, ms",
                    }
                });
            };
            sum = whole(number)
                .and_then(|it| it.checked_mul(*millis)?.checked_add(sum))
                .filter(|it| *it <= Self::MAX.0)
                .ok_or_else(|| DurationError::TooLong { text: shown() })?;
            rest = behind;
        }
        Ok(Self(sum))
    }
}

impl fmt::Display for PromDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut text, mut rest) = (String::new(), self.0);
        for (unit, millis) in UNITS {
            let (Some(number), Some(left)) = (rest.checked_div(*millis), rest.checked_rem(*millis)) else {
                continue;
            };
            let only_alone = matches!(*unit, "y" | "w");
            if number > 0 && (left == 0 || !only_alone) {
                write!(text, "{number}{unit}")?;
                rest = left;
            }
        }
        f.pad(if text.is_empty() { "0s" } else { &text })
    }
}

/// The units with their milliseconds, the largest first.
const UNITS: &[(&str, u64)] = &[
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000;
    const HOUR: u64 = 3_600 * SECOND;
    const DAY: u64 = 24 * HOUR;

    fn parse(text: &str) -> Result<u64, DurationError> {
        text.parse().map(PromDuration::as_millis)
    }

    /// Prometheus' own cases, `TestParseDuration` and `TestDuration_UnmarshalJSON` in
    /// <https://github.com/prometheus/common/blob/v0.73.1/model/time_test.go>.
    #[test]
    fn reads_and_writes_what_prometheus_does() {
        for (text, millis, written) in [
            ("0", 0, "0s"),
            ("0w", 0, "0s"),
            ("0s", 0, "0s"),
            ("324ms", 324, "324ms"),
            ("3s", 3 * SECOND, "3s"),
            ("5m", 300 * SECOND, "5m"),
            ("1h", HOUR, "1h"),
            ("4d", 4 * DAY, "4d"),
            ("4d1h", 4 * DAY + HOUR, "4d1h"),
            ("14d", 14 * DAY, "2w"),
            ("3w", 21 * DAY, "3w"),
            ("3w2d1h", 23 * DAY + HOUR, "23d1h"),
            ("10y", 3_650 * DAY, "10y"),
            ("289y", 289 * 365 * DAY, "289y"),
        ] {
            assert_eq!(parse(text), Ok(millis), "{text}");
            assert_eq!(PromDuration(millis).to_string(), written);
        }
    }

    /// Prometheus' own cases, `TestParseBadDuration` in the same file, and those with a sign.
    #[test]
    fn refuses_what_prometheus_refuses() {
        for text in [
            "1",
            "1y1m1d",
            "1.5d",
            "d",
            "294y",
            "200y10400w",
            "107675d",
            "2584200h",
            "",
            "-3s",
            "-10y",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_say_what_would_be_right() {
        for (text, message) in [
            (
                "",
                "an empty text is no duration (expected e.g. 90s, 1m30s, 500ms)",
            ),
            (
                "d",
                r#""d" is no duration: a number is missing (expected e.g. 90s, 1m30s, 500ms)"#,
            ),
            (
                "1d2",
                r#""1d2" is no duration: there is no unit after "2" (expected e.g. 90s, 1m30s, 500ms)"#,
            ),
            (
                "1.5d",
                r#""1.5d" is no duration: whole numbers only (expected e.g. 1d12h, 1m30s, 500ms)"#,
            ),
            (
                "5us",
                "\"5us\" is no duration: unknown unit \"us\" (expected e.g. 90s, 1m30s, 500ms; the units are \
                 y, w, d, h, m, s, ms)",
            ),
            (
                "1y1m1d",
                "\"1y1m1d\" is no duration: \"d\" is out of order (expected each unit at most once, the largest \
                 first, e.g. 1d12h, 1m30s)",
            ),
            (
                "-1w",
                r#""-1w" cannot be used here: the duration is negative (expected e.g. 90s, 1m30s, 500ms)"#,
            ),
            (
                "294y",
                "\"294y\" is too long for a duration (expected at most 2562047h, which is 292 years)",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message);
        }
        assert!(matches!(parse("1m1m"), Err(DurationError::OutOfOrder { .. })));
        assert!(matches!(
            parse("99999999999999999999s"),
            Err(DurationError::TooLong { .. })
        ));
    }

    #[test]
    fn the_longest() {
        let longest = "106751d23h47m16s854ms";
        assert_eq!(PromDuration::MAX.to_string(), longest);
        assert_eq!(longest.parse(), Ok(PromDuration::MAX));
        assert!(parse("106751d23h47m16s855ms").is_err());
        assert_eq!(PromDuration::saturating_from(Duration::MAX), PromDuration::MAX);
        assert_eq!(
            PromDuration::saturating_from(Duration::from_millis(u64::MAX)),
            PromDuration::MAX
        );
    }

    #[test]
    fn to_and_from_durations() {
        assert_eq!(
            PromDuration::saturating_from(Duration::from_micros(1_999)),
            PromDuration(1)
        );
        assert_eq!(Duration::from(PromDuration(90_000)), Duration::from_secs(90));
        assert_eq!(format!("[{:>4}]", PromDuration(300_000)), "[  5m]");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(millis in 0..=PromDuration::MAX.0, shift in 0_u32..43) {
            let duration = PromDuration(millis >> shift);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*", near in "([0-9]{0,20}(y|w|d|h|m|s|ms|[.]|)){0,4}") {
            for text in [text, near] {
                if let Err(error) = parse(&text) {
                    prop_assert!(error.to_string().len() < 1_000); // 40 characters twice, each at most `\u{10ffff}`
                }
            }
        }
    }
}
