//! The verbs of Go's formats.

use super::printed::Shape;

/// The verbs of a format, one for each value; none where it counts its values in another way, with `[1]` or `*`.
pub(super) fn of(format: &str) -> Option<Vec<char>> {
    let mut verbs = Vec::new();
    let mut rest = format;
    while let Some((_, behind)) = rest.split_once('%') {
        let verb = behind.trim_start_matches([
            '+', '-', '#', ' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '.',
        ]);
        let mut chars = verb.chars();
        match chars.next() {
            Some('[' | '*') => return None,
            Some('%') => {}
            Some(other) => verbs.push(other),
            // `%!(NOVERB)`, which no value can mend.
            None => verbs.push('!'),
        }
        rest = chars.as_str();
    }
    Some(verbs)
}

/// Whether a verb prints a value, and no complaint. What is not certain is taken for granted.
pub(super) fn prints(verb: char, shape: Shape) -> bool {
    let any = matches!(verb, 'v' | 'T');
    any || match shape {
        Shape::Value | Shape::Float => "eEfFgGbxX".contains(verb),
        Shape::Integer => "dboOxXcqU".contains(verb),
        Shape::Text | Shape::Decimals => "sqxX".contains(verb),
        Shape::Bool => verb == 't',
        Shape::Alert | Shape::Labels | Shape::Map | Shape::Sample | Shape::Samples | Shape::Unknown => {
            verb != '!'
        }
    }
}

/// A verb that does.
pub(super) const fn right(shape: Shape) -> &'static str {
    match shape {
        Shape::Value | Shape::Float => "e.g. %.1f",
        Shape::Integer => "%d",
        Shape::Text | Shape::Decimals => "%s",
        _ => "%v",
    }
}
