//! How far back a query looks.

use std::time::Duration;

use delivery_core::time::{PromDuration, parse_interval};

/// How far before its moment a query may look at samples, at most, as its text tells: ranges, subqueries and offsets.
///
/// An upper bound: the longest range, the longest offset and all subqueries together. What an instant selector finds
/// within its look-back is not part of it. A moment or a range that cannot be read may be anywhere.
pub(crate) fn reach(query: &str) -> Duration {
    let (mut range, mut offset, mut subqueries) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut rest = query;
    let mut word = false;
    while let Some(character) = rest.chars().next() {
        let behind = &rest[character.len_utf8()..];
        rest = match character {
            '"' | '\'' | '`' => after_quote(behind, character),
            '#' => behind.find('\n').map_or("", |end| &behind[end..]),
            '[' => {
                let (inside, behind) = behind.split_once(']').unwrap_or((behind, ""));
                match inside.split_once(':') {
                    Some((length, _)) => subqueries = subqueries.saturating_add(duration(length)),
                    None => range = range.max(duration(inside)),
                }
                behind
            }
            '@' => {
                let at = behind.trim_start();
                if !at.starts_with("end") {
                    range = Duration::MAX;
                }
                behind
            }
            'o' | 'O' if !word && is_offset(behind) => {
                let text = behind["ffset".len()..].trim_start();
                let end = text
                    .find(|it: char| !it.is_ascii_alphanumeric() && it != '.')
                    .unwrap_or(text.len());
                // With a minus it looks ahead.
                if !text.starts_with('-') {
                    offset = offset.max(duration(&text[..end]));
                }
                &text[end..]
            }
            _ => behind,
        };
        word = character.is_alphanumeric() || matches!(character, '_' | ':');
    }
    range.saturating_add(offset).saturating_add(subqueries)
}

/// Whether a query is an instant selector and nothing else: `queue{app="web"}`. Only of such a one the server can tell
/// how old its values are, by `timestamp(…)`.
pub(crate) fn is_selector(query: &str) -> bool {
    let query = query.trim();
    let name = query
        .find(|it: char| !it.is_ascii_alphanumeric() && !matches!(it, '_' | ':'))
        .unwrap_or(query.len());
    let (name, rest) = query.split_at(name);
    let named = !name.starts_with(|it: char| it.is_ascii_digit())
        && !["inf", "nan"].iter().any(|it| name.eq_ignore_ascii_case(it));
    let mut rest = rest.trim_start();
    if rest.is_empty() {
        return named && !name.is_empty();
    }
    if !named || !rest.starts_with('{') {
        return false;
    }
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '}' => return rest.is_empty(),
            '"' | '\'' | '`' => rest = after_quote(rest, character),
            _ => {}
        }
    }
    false
}

fn is_offset(behind: &str) -> bool {
    let rest = behind
        .get(..5)
        .filter(|it| it.eq_ignore_ascii_case("ffset"))
        .and_then(|_| behind.get(5..));
    rest.is_some_and(|it| it.starts_with(|it: char| it.is_whitespace()))
}

fn after_quote(text: &str, quote: char) -> &str {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            it if it == quote => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

fn duration(text: &str) -> Duration {
    let text = text.trim();
    let seconds = || {
        text.parse()
            .ok()
            .and_then(|it| Duration::try_from_secs_f64(it).ok())
    };
    text.parse::<PromDuration>()
        .map(Duration::from)
        .or_else(|_| parse_interval(text))
        .ok()
        .or_else(seconds)
        .unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_offsets_and_subqueries_count() {
        for (query, seconds) in [
            ("up", Some(0)),
            ("rate(x[5m])", Some(300)),
            ("rate(x[1m]) / rate(y[2m])", Some(120)),
            ("rate(x{a=\"[1h]\", b=~'\\'[1h]', c=`\\`}[1m])", Some(60)),
            ("rate(x[1m]) # [1h]\n + rate(x[2m])", Some(120)),
            ("rate(x[1m] offset 5m)", Some(360)),
            ("x OFFSET 1h", Some(3_600)),
            ("rate(x[1m] offset -5m)", Some(60)),
            ("max_over_time(rate(x[1m])[10m:30s])", Some(660)),
            ("max_over_time(x[10m:])", Some(600)),
            ("rate(x[90])", Some(90)),
            ("count_over_time({app=\"a\"}[1.5h])", Some(5_400)),
            ("sum by (offset_x) (my_offset 5)", Some(0)),
            ("x @ 1609746000", None),
            ("rate(x[1m] @ end())", Some(60)),
            ("rate(x[$__interval])", None),
        ] {
            let wanted = seconds.map_or(Duration::MAX, Duration::from_secs);
            assert_eq!(reach(query), wanted, "{query}");
        }
    }

    #[test]
    fn selectors_are_told_from_everything_else() {
        for (query, selector) in [
            ("up", true),
            (" job:up:sum ", true),
            ("up{}", true),
            ("up {a=\"}\", b='{'}", true),
            ("{__name__=\"up\"}", true),
            ("", false),
            ("42", false),
            ("NaN", false),
            ("+Inf", false),
            ("time()", false),
            ("sum(up)", false),
            ("up[1m]", false),
            ("up{} offset 5m", false),
            ("up + up", false),
            ("up{a=\"b\"", false),
            ("up{} }", false),
        ] {
            assert_eq!(is_selector(query), selector, "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_reach(text in "\\PC*", near in "(\\[|\\]|1m|:|offset |\"|@|é|#|\\\\){0,12}") {
            let _ = (reach(&text), reach(&near), is_selector(&text), is_selector(&near));
        }
    }
}
