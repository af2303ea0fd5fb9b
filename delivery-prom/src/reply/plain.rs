//! Points as servers write them, `[1435781451.781,"42"]`, read without going through every rule of JSON.
//!
//! What is written in any other way is not read here, and is left to the reader that knows the rules.

use delivery_core::Timestamp;

use super::Point;

/// The point at the beginning of a text, and what comes behind it.
pub(super) fn point(text: &str) -> Option<(Point, &str)> {
    let (time, rest) = until(text.strip_prefix('[')?, b',')?;
    let (number, rest) = until(rest.strip_prefix('"')?, b'"')?;
    let rest = rest.strip_prefix(']')?;
    let point = Point {
        at: moment(time)?,
        value: number.parse().ok()?,
    };
    Some((point, rest))
}

/// What stands before a character of ASCII, and what behind it.
fn until(text: &str, end: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|it| it == end)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Seconds with at most three decimals.
fn moment(text: &str) -> Option<Timestamp> {
    let (seconds, decimals) = match text.split_once('.') {
        Some((seconds, decimals)) if !decimals.is_empty() => (seconds, decimals),
        Some(_) => return None,
        None => (text, ""),
    };
    if seconds.is_empty() || seconds.len() > 12 || decimals.len() > 3 {
        return None;
    }
    let mut millis = 0_u64;
    for digit in seconds.bytes().chain(decimals.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        millis = millis * 10 + u64::from(digit - b'0');
    }
    for _ in decimals.len()..3 {
        millis *= 10;
    }
    Some(Timestamp::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_or_left() {
        for (text, read) in [
            (
                r#"[1435781451.781,"42"],["#,
                Some((1_435_781_451_781, 42.0, ",[")),
            ),
            (r#"[7,"-1.5e-02"]"#, Some((7_000, -0.015, ""))),
            (r#"[7.5,"+Inf"]]"#, Some((7_500, f64::INFINITY, "]"))),
            (r#"[7.05,"1"]"#, Some((7_050, 1.0, ""))),
            (r#"[ 7,"1"]"#, None),
            (r#"[7, "1"]"#, None),
            (r#"[-7,"1"]"#, None),
            (r#"[7e3,"1"]"#, None),
            (r#"[7.0005,"1"]"#, None),
            (r#"[7.,"1"]"#, None),
            (r#"[9999999999999,"1"]"#, None),
            (r#"[7,"\u0031"]"#, None),
            (r#"[7,"1",2]"#, None),
            (r"[7,1]", None),
            ("[é,\"1\"]", None),
            ("[7", None),
            ("", None),
        ] {
            let point = point(text).map(|(point, rest)| (point.at.as_millis(), point.value, rest));
            assert_eq!(point, read, "{text}");
        }
    }
}
