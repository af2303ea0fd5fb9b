//! Numbers as Go prints them, and as Prometheus' templates put them for people.

use alloc::format;
use alloc::string::String;

/// A sample's value as `{{ $value }}` and Prometheus' own texts have it: Go's `%v`, the fewest digits that tell it from
/// every other, with an exponent below 1e-4 and from 1e+06 on.
///
/// ```
/// use delivery_core::alerting::sample_text;
///
/// assert_eq!(sample_text(4.1), "4.1");
/// assert_eq!(sample_text(1_234_567.0), "1.234567e+06");
/// assert_eq!(sample_text(f64::INFINITY), "+Inf");
/// ```
pub fn sample_text(value: f64) -> String {
    general(value, None)
}

/// Go's `strconv.FormatFloat(value, 'g', digits, 64)`; without `digits` the fewest that will do.
pub(super) fn general(value: f64, digits: Option<usize>) -> String {
    if let Some(text) = special(value) {
        return String::from(text);
    }
    let digits = digits.map(|it| it.max(1));
    let scientific = digits.map_or_else(
        || format!("{value:e}"),
        |it| format!("{value:.*e}", it.saturating_sub(1)),
    );
    let (mantissa, exponent) = split(&scientific);
    // Go decides by six digits where the fewest are wanted (strconv/ftoa.go, "if shortest").
    let limit = digits.map_or(6, |it| i32::try_from(it).unwrap_or(i32::MAX));
    if exponent < -4 || exponent >= limit {
        return with_exponent(trimmed(mantissa), exponent);
    }
    if digits.is_none() {
        return format!("{value}");
    }
    let decimals = limit.saturating_sub(1).saturating_sub(exponent);
    let fixed = format!("{value:.*}", usize::try_from(decimals).unwrap_or(0));
    String::from(trimmed(&fixed))
}

/// Go's `%.{decimals}f`.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    special(value).map_or_else(|| format!("{value:.decimals$}"), String::from)
}

/// Go's `%.{decimals}e`.
pub(super) fn scientific(value: f64, decimals: usize) -> String {
    special(value).map_or_else(
        || {
            let text = format!("{value:.decimals$e}");
            let (mantissa, exponent) = split(&text);
            with_exponent(mantissa, exponent)
        },
        String::from,
    )
}

/// `humanize`: SI prefixes, four digits.
pub(super) fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return general(value, Some(4));
    }
    let (value, prefix) = if value.abs() >= 1.0 {
        larger(value, 1000.0, &["k", "M", "G", "T", "P", "E", "Z", "Y"])
    } else {
        smaller(value)
    };
    format!("{}{prefix}", general(value, Some(4)))
}

/// `humanize1024`: binary prefixes, four digits.
pub(super) fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return general(value, Some(4));
    }
    let (value, prefix) = larger(value, 1024.0, &["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"]);
    format!("{}{prefix}", general(value, Some(4)))
}

/// `humanizeDuration`: of seconds.
pub(super) fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return general(value, Some(4));
    }
    if value == 0.0 {
        return format!("{}s", general(value, Some(4)));
    }
    if value.abs() < 1.0 {
        let (value, prefix) = smaller(value);
        return format!("{}{prefix}s", general(value, Some(4)));
    }
    let (sign, value) = if value < 0.0 { ("-", -value) } else { ("", value) };
    let whole = libm::trunc(value);
    let part = |unit: f64, of: f64| libm::fmod(libm::trunc(whole / unit), of);
    let (seconds, minutes, hours) = (part(1.0, 60.0), part(60.0, 60.0), part(3600.0, 24.0));
    let days = libm::trunc(whole / 86_400.0);
    if days > 0.0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours > 0.0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes > 0.0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", general(value, Some(4)))
    }
}

/// `humanizePercentage`: of a ratio.
pub(super) fn humanize_percentage(value: f64) -> String {
    format!("{}%", general(value * 100.0, Some(4)))
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        None
    }
}

fn larger(mut value: f64, base: f64, prefixes: &[&'static str]) -> (f64, &'static str) {
    let mut found = "";
    for prefix in prefixes {
        if value.abs() < base {
            break;
        }
        (found, value) = (prefix, value / base);
    }
    (value, found)
}

fn smaller(mut value: f64) -> (f64, &'static str) {
    let mut found = "";
    for prefix in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if value.abs() >= 1.0 {
            break;
        }
        (found, value) = (prefix, value * 1000.0);
    }
    (value, found)
}

/// Mantissa and exponent of what Rust writes.
fn split(scientific: &str) -> (&str, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    (mantissa, exponent.parse().unwrap_or(0))
}

/// Go writes the sign of an exponent always, and at least two digits.
fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

fn trimmed(number: &str) -> &str {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    }
}
