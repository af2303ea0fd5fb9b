//! Constants as Go writes them.

use super::Number;

/// The text that a constant in quotes, back quotes or apostrophes means; none where Go refuses it.
///
/// Bytes that are no UTF-8 together, as in `"\xff"`, become the replacement character.
pub(super) fn unquoted(constant: &str) -> Option<String> {
    let mut chars = constant.chars();
    let (quote, end) = (chars.next()?, chars.next_back()?);
    if quote != end {
        return None;
    }
    let inside = chars.as_str();
    if quote == '`' {
        return Some(inside.replace('\r', ""));
    }
    let mut bytes = Vec::new();
    let mut rest = inside.chars();
    while let Some(next) = rest.next() {
        match next {
            '\\' => escaped(&mut rest, quote, &mut bytes)?,
            '\n' => return None,
            _ if next == quote => return None,
            _ => bytes.extend(next.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // An apostrophe begins exactly one character.
    (quote != '\'' || one_character(&bytes)).then_some(text)
}

fn one_character(bytes: &[u8]) -> bool {
    bytes.len() == 1 || std::str::from_utf8(bytes).is_ok_and(|it| it.chars().count() == 1)
}

/// What stands behind a backslash.
fn escaped(rest: &mut std::str::Chars<'_>, quote: char, bytes: &mut Vec<u8>) -> Option<()> {
    let next = rest.next()?;
    let byte = match next {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '\'' | '"' if next == quote => u8::try_from(next).ok()?,
        '0'..='7' => {
            let code = digits(rest, 2, 8, next.to_digit(8)?)?;
            u8::try_from(code).ok()?
        }
        'x' => u8::try_from(digits(rest, 2, 16, 0)?).ok()?,
        'u' | 'U' => {
            let length = if next == 'u' { 4 } else { 8 };
            let character = char::from_u32(digits(rest, length, 16, 0)?)?;
            bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(());
        }
        _ => return None,
    };
    bytes.push(byte);
    Some(())
}

fn digits(rest: &mut std::str::Chars<'_>, length: usize, base: u32, first: u32) -> Option<u32> {
    let mut code = first;
    for _ in 0..length {
        code = code
            .checked_mul(base)?
            .checked_add(rest.next()?.to_digit(base)?)?;
    }
    Some(code)
}

/// What kind of number a constant is, or what is wrong with it.
pub(super) fn number(constant: &str) -> Result<Number, &'static str> {
    if let Some(imaginary) = constant.strip_suffix('i') {
        // Without an imaginary part it is a real number.
        let value = float(imaginary).ok_or(MALFORMED)?;
        return Ok(if value == 0.0 {
            Number::Integer
        } else {
            Number::Complex
        });
    }
    if integer(constant) {
        return Ok(Number::Integer);
    }
    float(constant).ok_or(MALFORMED)?;
    if constant.contains(['.', 'e', 'E', 'p', 'P']) {
        Ok(Number::Float)
    } else {
        Err("is an integer of more than 64 bits, or has a digit that is none")
    }
}

/// Two numbers of which the second is imaginary.
pub(super) fn complex(constant: &str) -> Result<Number, &'static str> {
    let inside = constant.strip_suffix('i').ok_or(MALFORMED)?;
    let sign = inside
        .char_indices()
        .skip(1)
        .filter(|(at, it)| {
            matches!(it, '+' | '-')
                && !inside
                    .get(..*at)
                    .is_some_and(|it| it.ends_with(['e', 'E', 'p', 'P']))
        })
        .last()
        .map(|it| it.0)
        .ok_or(MALFORMED)?;
    let (real, imaginary) = inside.split_at(sign);
    match (float(real), float(imaginary)) {
        (Some(_), Some(_)) => Ok(Number::Complex),
        _ => Err(MALFORMED),
    }
}

const MALFORMED: &str = "is no number";

fn integer(constant: &str) -> bool {
    let (negative, digits) = match constant.strip_prefix(['+', '-']) {
        Some(digits) => (constant.starts_with('-'), digits),
        None => (false, constant),
    };
    if !underscores_separate(constant) {
        return false;
    }
    let lower = digits.to_ascii_lowercase().replace('_', "");
    let (base, digits) = match (lower.get(..2), lower.get(2..)) {
        (Some("0x"), Some(rest)) => (16, rest),
        (Some("0o"), Some(rest)) => (8, rest),
        (Some("0b"), Some(rest)) => (2, rest),
        _ => match lower.strip_prefix('0') {
            Some(rest) if !rest.is_empty() => (8, rest),
            _ => (10, lower.as_str()),
        },
    };
    // Signs were taken off: another one is none of Go's.
    let plain = !digits.starts_with(['+', '-']);
    let value = u64::from_str_radix(digits, base).ok().filter(|_| plain);
    // With a sign, it must fit into a signed number.
    value.is_some_and(|it| !negative || it <= 1 << 63)
        && (!constant.starts_with('+') || value.is_some_and(|it| i64::try_from(it).is_ok()))
}

/// Go's `ParseFloat`, without what no template can have: infinity and "not a number".
fn float(constant: &str) -> Option<f64> {
    if !underscores_separate(constant) {
        return None;
    }
    let plain = constant.replace('_', "").to_ascii_lowercase();
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    if let Some(hex) = unsigned.strip_prefix("0x") {
        return hex_float(hex);
    }
    if !unsigned.starts_with(|it: char| it.is_ascii_digit() || it == '.') {
        return None;
    }
    plain.parse().ok().filter(|it: &f64| it.is_finite())
}

/// Whether it is one, and whether it is nothing: the value itself does not matter here.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let exponent: i64 = exponent.parse().ok()?;
    if digits.is_empty() || !digits.chars().all(|it| it.is_ascii_hexdigit()) {
        return None;
    }
    if digits.chars().all(|it| it == '0') {
        return Some(0.0);
    }
    let leading = i64::try_from(digits.trim_start_matches('0').len()).ok()?;
    let bits = leading * 4 - i64::try_from(fraction.len()).ok()? * 4;
    (bits.saturating_add(exponent) <= 1024).then_some(1.0)
}

/// Go takes underscores between digits, and between the base's prefix and a digit.
fn underscores_separate(constant: &str) -> bool {
    let unsigned = constant.strip_prefix(['+', '-']).unwrap_or(constant);
    let lower = unsigned.to_ascii_lowercase();
    let prefixed = ["0x", "0o", "0b"].iter().any(|it| lower.starts_with(it));
    let hex = lower.starts_with("0x");
    let (digits, mut digit_before) = if prefixed {
        (lower.get(2..).unwrap_or_default(), true)
    } else {
        (lower.as_str(), false)
    };
    let mut underscore_before = false;
    for it in digits.chars() {
        let digit = it.is_ascii_digit() || (hex && it.is_ascii_hexdigit());
        if (it == '_' && !digit_before) || (it != '_' && !digit && underscore_before) {
            return false;
        }
        (digit_before, underscore_before) = (digit, it == '_');
    }
    !underscore_before
}
