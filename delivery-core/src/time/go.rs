//! Durations as Go writes them.

use alloc::string::{String, ToString};
use core::fmt::{self, Write as _};
use core::str::FromStr;
use core::time::Duration;

use super::{DurationError, shortened, split, whole};

/// A signed duration in nanoseconds, -292 to 292 years: Go's `time.Duration`, and what Kubernetes takes for one.
///
/// # Reading
/// As [`time.ParseDuration`](https://pkg.go.dev/time#ParseDuration): an optional sign, then numbers with optional
/// decimals, each with a unit of `h`, `m`, `s`, `ms`, `us` (also `µs`, with U+00B5 or U+03BC) or `ns`, in any order
/// and as often as wanted: `1h30m`, `-1.5h`, `.5s`, `10.5s4m`. `0` needs no unit. Decimals below a nanosecond are
/// cut off in Go's own floating-point steps, so that the last digit is Go's, too.
///
/// There is one difference. Go's sum wraps around when two parts of 2^63 ns each meet, and the result is zero; here
/// that is [`DurationError::TooLong`] like any other duration that is too long.
///
/// # Writing
/// As [`Duration.String`](https://pkg.go.dev/time#Duration.String): `1m30s`, `2h0m0s`, `1.5s`, `100ms`, `1.1µs`, `0s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

impl GoDuration {
    /// The longest duration, `2562047h47m16.854775807s`.
    pub const MAX: Self = Self(i64::MAX);

    /// A duration of so many nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The same duration, or [`MAX`](Self::MAX) when it is longer than that.
    pub fn saturating_from(duration: Duration) -> Self {
        i64::try_from(duration.as_nanos()).map_or(Self::MAX, Self)
    }

    /// The duration in nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }
}

impl TryFrom<GoDuration> for Duration {
    type Error = DurationError;

    /// The same duration; [`DurationError::Negative`] below zero.
    fn try_from(duration: GoDuration) -> Result<Self, DurationError> {
        u64::try_from(duration.0)
            .map(Self::from_nanos)
            .map_err(|_| DurationError::Negative {
                text: duration.to_string(),
            })
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(unsigned) => (true, unsigned),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if unsigned == "0" {
            return Ok(Self(0));
        }
        if text.is_empty() {
            return Err(DurationError::Empty);
        }
        if unsigned.is_empty() {
            return Err(DurationError::NoNumber {
                text: shortened(text),
            });
        }
        let too_long = || DurationError::TooLong {
            text: shortened(text),
        };
        let (mut sum, mut rest) = (0_u64, unsigned);
        while !rest.is_empty() {
            let part = Part::first_of(rest).map_err(|wrong| wrong.of(text))?;
            sum = part
                .nanos()
                .and_then(|it| sum.checked_add(it))
                .filter(|it| *it <= LIMIT)
                .ok_or_else(too_long)?;
            rest = part.rest;
        }
        let nanos = if negative {
            0_i64.checked_sub_unsigned(sum)
        } else {
            i64::try_from(sum).ok()
        };
        nanos.map(Self).ok_or_else(too_long)
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text)?;
        f.pad(&text)
    }
}

impl GoDuration {
    fn write(self, out: &mut String) -> fmt::Result {
        if self.0 < 0 {
            out.push('-');
        }
        let nanos = self.0.unsigned_abs();
        match nanos {
            0 => out.write_str("0s"),
            1..1_000 => write!(out, "{nanos}ns"),
            1_000..1_000_000 => write_decimals(out, nanos / 1_000, nanos % 1_000, 3, "µs"),
            1_000_000..1_000_000_000 => write_decimals(out, nanos / 1_000_000, nanos % 1_000_000, 6, "ms"),
            1_000_000_000.. => {
                let seconds = nanos / 1_000_000_000;
                if seconds >= 3_600 {
                    write!(out, "{}h", seconds / 3_600)?;
                }
                if seconds >= 60 {
                    write!(out, "{}m", seconds / 60 % 60)?;
                }
                write_decimals(out, seconds % 60, nanos % 1_000_000_000, 9, "s")
            }
        }
    }
}

/// Writes `whole.fraction` without zeros at the end; the fraction has `width` digits.
fn write_decimals(out: &mut String, whole: u64, fraction: u64, width: usize, unit: &str) -> fmt::Result {
    write!(out, "{whole}")?;
    if fraction > 0 {
        write!(out, ".{fraction:0width$}")?;
        out.truncate(out.trim_end_matches('0').len());
    }
    out.write_str(unit)
}

/// 2^63 ns, as far from zero as a duration goes (below zero; above, one less).
const LIMIT: u64 = 1 << 63;

/// The units with their nanoseconds.
const UNITS: &[(&str, u64)] = &[
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ns", 1),
];

/// A number and its unit, and what stands behind them.
struct Part<'a> {
    whole: &'a str,
    decimals: &'a str,
    unit: u64,
    rest: &'a str,
}

impl<'a> Part<'a> {
    fn first_of(text: &'a str) -> Result<Self, Wrong<'a>> {
        let (whole, behind) = split(text, |it| it.is_ascii_digit());
        let (decimals, behind) = match behind.strip_prefix('.') {
            Some(behind) => split(behind, |it| it.is_ascii_digit()),
            None => ("", behind),
        };
        if whole.is_empty() && decimals.is_empty() {
            return Err(Wrong::NoNumber);
        }
        let (name, rest) = split(behind, |it| it != '.' && !it.is_ascii_digit());
        if name.is_empty() {
            return Err(Wrong::NoUnit(text.strip_suffix(behind).unwrap_or(text)));
        }
        let Some((_, unit)) = UNITS.iter().find(|(known, _)| *known == name) else {
            return Err(Wrong::UnknownUnit(name));
        };
        Ok(Self {
            whole,
            decimals,
            unit: *unit,
            rest,
        })
    }

    /// `None`: more than a `u64` holds. Whether it is more than [`LIMIT`], the sum tells.
    fn nanos(&self) -> Option<u64> {
        whole(self.whole)?
            .checked_mul(self.unit)?
            .checked_add(fraction(self.decimals, self.unit))
    }
}

/// What is wrong with a part.
enum Wrong<'a> {
    NoNumber,
    NoUnit(&'a str),
    UnknownUnit(&'a str),
}

impl Wrong<'_> {
    fn of(self, text: &str) -> DurationError {
        let text = shortened(text);
        match self {
            Self::NoNumber => DurationError::NoNumber { text },
            Self::NoUnit(number) => DurationError::NoUnit {
                text,
                number: shortened(number),
            },
            Self::UnknownUnit(unit) => DurationError::UnknownUnit {
                text,
                unit: shortened(unit),
                known: "h, m, s, ms, us, ns",
            },
        }
    }
}

/// The nanoseconds that decimals of a unit are, calculated as Go does: in `leadingFraction` digits beyond 2^63 are
/// dropped, and `ParseDuration` multiplies as floats. Exact arithmetic would make a nanosecond less of
/// `0.3333333333333333333h` than the 20 min that Go makes.
fn fraction(decimals: &str, unit: u64) -> u64 {
    let (mut number, mut scale) = (0_u64, 1.0_f64);
    for digit in decimals.bytes() {
        let longer = number
            .checked_mul(10)
            .and_then(|it| it.checked_add(u64::from(digit.checked_sub(b'0')?)));
        let Some(longer) = longer.filter(|it| *it <= LIMIT) else {
            break;
        };
        number = longer;
        scale *= 10.0;
    }
    truncated(float(number) * (float(unit) / scale))
}

/// The nearest float. Both halves and the product are exact, so that only the sum is rounded.
fn float(number: u64) -> f64 {
    let half = |it: u64| f64::from(u32::try_from(it).unwrap_or(u32::MAX));
    half(number >> 32) * 4_294_967_296.0 + half(number & 0xffff_ffff)
}

/// The whole part of a number from zero to 2^53, taken from its bits: a significand of 53 bits, which stands for a
/// whole number when the biased exponent is 1075.
fn truncated(number: f64) -> u64 {
    let bits = number.to_bits();
    let significand = (bits & 0x000f_ffff_ffff_ffff) | 0x0010_0000_0000_0000;
    let shift = 1_075_u64.saturating_sub(bits >> 52);
    u32::try_from(shift)
        .ok()
        .and_then(|it| significand.checked_shr(it))
        .unwrap_or(0)
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "in a test an overflow is a failure"
)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    const MICROSECOND: i64 = 1_000;
    const MILLISECOND: i64 = 1_000 * MICROSECOND;
    const SECOND: i64 = 1_000 * MILLISECOND;
    const MINUTE: i64 = 60 * SECOND;
    const HOUR: i64 = 60 * MINUTE;

    fn parse(text: &str) -> Result<i64, DurationError> {
        text.parse().map(GoDuration::as_nanos)
    }

    /// Go's own cases, `parseDurationTests` in <https://go.dev/src/time/time_test.go>.
    #[test]
    fn reads_what_go_reads() {
        for (text, nanos) in [
            ("0", 0),
            ("5s", 5 * SECOND),
            ("30s", 30 * SECOND),
            ("1478s", 1_478 * SECOND),
            // sign
            ("-5s", -5 * SECOND),
            ("+5s", 5 * SECOND),
            ("-0", 0),
            ("+0", 0),
            // decimals
            ("5.0s", 5 * SECOND),
            ("5.6s", 5 * SECOND + 600 * MILLISECOND),
            ("5.s", 5 * SECOND),
            (".5s", 500 * MILLISECOND),
            ("1.0s", SECOND),
            ("1.00s", SECOND),
            ("1.004s", SECOND + 4 * MILLISECOND),
            ("1.0040s", SECOND + 4 * MILLISECOND),
            ("100.00100s", 100 * SECOND + MILLISECOND),
            // units
            ("10ns", 10),
            ("11us", 11 * MICROSECOND),
            ("12\u{b5}s", 12 * MICROSECOND),
            ("12\u{3bc}s", 12 * MICROSECOND),
            ("13ms", 13 * MILLISECOND),
            ("14s", 14 * SECOND),
            ("15m", 15 * MINUTE),
            ("16h", 16 * HOUR),
            // several parts
            ("3h30m", 3 * HOUR + 30 * MINUTE),
            ("10.5s4m", 4 * MINUTE + 10 * SECOND + 500 * MILLISECOND),
            ("-2m3.4s", -(2 * MINUTE + 3 * SECOND + 400 * MILLISECOND)),
            (
                "1h2m3s4ms5us6ns",
                HOUR + 2 * MINUTE + 3 * SECOND + 4 * MILLISECOND + 5 * MICROSECOND + 6,
            ),
            (
                "39h9m14.425s",
                39 * HOUR + 9 * MINUTE + 14 * SECOND + 425 * MILLISECOND,
            ),
            // large numbers
            ("52763797000ns", 52_763_797_000),
            ("0.3333333333333333333h", 20 * MINUTE),
            ("9007199254740993ns", (1 << 53) + 1),
            ("9223372036854775807ns", i64::MAX),
            ("9223372036854775.807us", i64::MAX),
            ("9223372036s854ms775us807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("-9223372036854775.808us", i64::MIN),
            ("-9223372036s854ms775us808ns", i64::MIN),
            ("-2562047h47m16.854775808s", i64::MIN),
            ("0.100000000000000000000h", 6 * MINUTE),
            (
                "0.830103483285477580700h",
                49 * MINUTE + 48 * SECOND + 372_539_827,
            ),
        ] {
            assert_eq!(parse(text), Ok(nanos), "{text}");
        }
    }

    /// Go's own cases, `parseDurationErrorTests` in <https://go.dev/src/time/time_test.go>, without those that are no
    /// UTF-8.
    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "",
            "3",
            "-",
            "s",
            ".",
            "-.",
            ".s",
            "+.s",
            "1d",
            "\u{fffd}",
            "\u{fffd} hello \u{fffd} world",
            "9223372036854775810ns",
            "9223372036854775808ns",
            "-9223372036854775809ns",
            "9223372036854776us",
            "3000000h",
            "9223372036854775.808us",
            "9223372036854ms775us808ns",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    /// Go's own cases, `durationTests` in <https://go.dev/src/time/time_test.go>.
    #[test]
    fn writes_what_go_writes() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200 * MICROSECOND, "2.2ms"),
            (3_300 * MILLISECOND, "3.3s"),
            (4 * MINUTE + 5 * SECOND, "4m5s"),
            (4 * MINUTE + 5_001 * MILLISECOND, "4m5.001s"),
            (5 * HOUR + 6 * MINUTE + 7_001 * MILLISECOND, "5h6m7.001s"),
            (8 * MINUTE + 1, "8m0.000000001s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(GoDuration(nanos).to_string(), text);
            if nanos > 0 {
                assert_eq!(GoDuration(-nanos).to_string(), format!("-{text}"));
            }
        }
    }

    #[test]
    fn whole_hours_keep_their_minutes_and_seconds() {
        assert_eq!(GoDuration(2 * HOUR).to_string(), "2h0m0s");
        assert_eq!(
            format!("[{:>8}|{:<8}]", GoDuration(100 * MILLISECOND), GoDuration(SECOND)),
            "[   100ms|1s      ]"
        );
    }

    #[test]
    fn errors_name_the_place() {
        let text = |it: &str| it.to_string();
        for (wrong, error) in [
            ("", DurationError::Empty),
            ("+", DurationError::NoNumber { text: text("+") }),
            ("+-5s", DurationError::NoNumber { text: text("+-5s") }),
            (" 5s", DurationError::NoNumber { text: text(" 5s") }),
            ("1m.s", DurationError::NoNumber { text: text("1m.s") }),
            (
                "1m30",
                DurationError::NoUnit {
                    text: text("1m30"),
                    number: text("30"),
                },
            ),
            (
                "1.2.3s",
                DurationError::NoUnit {
                    text: text("1.2.3s"),
                    number: text("1.2"),
                },
            ),
            (
                "00",
                DurationError::NoUnit {
                    text: text("00"),
                    number: text("00"),
                },
            ),
            (
                "99999999999999999999h",
                DurationError::TooLong {
                    text: text("99999999999999999999h"),
                },
            ),
        ] {
            assert_eq!(parse(wrong), Err(error));
        }
        for (wrong, after) in [
            ("1d", "d"),
            ("1S", "S"),
            ("5s ", "s "),
            ("1-5s", "-"),
            ("1e3s", "e"),
        ] {
            let Err(DurationError::UnknownUnit { unit, .. }) = parse(wrong) else {
                panic!("{wrong}")
            };
            assert_eq!(unit, after);
        }
    }

    #[test]
    fn a_sum_that_wraps_around_in_go_is_too_long() {
        let text = "9223372036854775808ns9223372036854775808ns";
        assert!(matches!(parse(text), Err(DurationError::TooLong { .. })));
        assert!(matches!(
            parse(&format!("-{text}")),
            Err(DurationError::TooLong { .. })
        ));
    }

    #[test]
    fn to_and_from_durations_without_a_sign() {
        assert_eq!(
            Duration::try_from(GoDuration(1_500)),
            Ok(Duration::from_nanos(1_500))
        );
        assert_eq!(
            Duration::try_from(GoDuration(-1)),
            Err(DurationError::Negative {
                text: "-1ns".to_string()
            })
        );
        assert_eq!(
            GoDuration::saturating_from(Duration::from_millis(1)),
            GoDuration(MILLISECOND)
        );
        assert_eq!(GoDuration::saturating_from(Duration::MAX), GoDuration::MAX);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(nanos: i64, shift in 0_u32..63) {
            let duration = GoDuration::from_nanos(nanos >> shift);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn floats_are_the_casts_they_replace(number: u64, small in 0.0..9_007_199_254_740_992.0, tiny in 0.0..2.0) {
            #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "the comparison")]
            let cast = number as f64;
            prop_assert_eq!(float(number).to_bits(), cast.to_bits());
            for it in [small, tiny] {
                #[expect(
                    clippy::as_conversions,
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the comparison"
                )]
                let cast = it as u64;
                prop_assert_eq!(truncated(it), cast);
            }
        }

        #[test]
        fn parts_add_up(hours in 0_i64..1_000, minutes in 0_i64..1_000, millis in 0_i64..1_000_000) {
            let expected = hours * HOUR + minutes * MINUTE + millis * MILLISECOND;
            prop_assert_eq!(parse(&format!("{millis}ms{hours}h{minutes}m")), Ok(expected));
            prop_assert_eq!(parse(&format!("-{hours}h{minutes}m{millis}ms")), Ok(-expected));
        }
    }
}
