//! Texts from outside, as people get to see them: the one rule for reasons, errors and logs.
//!
//! What a server, a gate or a person wrote may hold anything: line breaks that forge a line of a log, escapes that a terminal
//! obeys, marks that turn a text around (U+202E), characters that nobody sees, and a million more of all of them. So whatever
//! comes from outside passes through [`shortened`] before it is stored, logged or put into an error:
//!
//! | in the text | becomes |
//! |---|---|
//! | white space of any kind, line breaks and control characters, as many as there are in a row | one space; nothing at the ends |
//! | marks that turn the direction of a text, characters without a width or a look | nothing |
//! | what is longer than the limit | `…`, and never half a character |
//! | anything else, of any script | stays |
//!
//! What has no look is what Unicode calls default-ignorable, and the marks of interlinear annotations. The selectors U+FE00
//! to U+FE0F stay, since they tell how an emoji looks. The price is that characters joined by an invisible one (some emoji,
//! some words in Persian) are seen side by side.
//!
//! A value that is shown because something is wrong with it is quoted with `{:?}` instead, which shows such characters as
//! `\u{202e}`, and is cut with [`beginning`].

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};

/// The most characters that are kept of what is said about one metric.
pub const SAID: usize = 320;

/// The most characters that are kept of what a gate answers.
pub const ANSWER: usize = 2_048;

/// The most characters of a name: of a metric or a gate, and of whoever gives a command.
pub const NAME: usize = 200;

/// The text as people get to see it, one character after the other. See the table of this module.
pub fn line(text: &str) -> impl Iterator<Item = char> + '_ {
    let mut characters = text.chars().filter(|it| !is_invisible(*it)).peekable();
    let mut begun = false;
    core::iter::from_fn(move || {
        let mut gap = false;
        while characters.next_if(|it| is_space(*it)).is_some() {
            gap = true;
        }
        // A space only between two characters: the one that follows is given next time.
        characters.peek()?;
        if gap && begun {
            return Some(' ');
        }
        begun = true;
        characters.next()
    })
}

/// The text as people get to see it, and of a text of more than `most` characters the first so many, and `…`.
///
/// ```
/// use delivery_core::text::shortened;
///
/// assert_eq!(shortened("two\nlines,\u{202e} one direction", 99), "two lines, one direction");
/// assert_eq!(shortened("äöü", 2), "äö…");
/// ```
pub fn shortened(text: &str, most: usize) -> String {
    let mut characters = line(text);
    let mut shortened: String = characters.by_ref().take(most).collect();
    if characters.next().is_some() {
        shortened.push('…');
    }
    shortened
}

/// Of a text of more than `most` characters the first so many, and `…`; otherwise all of it. They are the characters as they
/// are, so this is for texts that are quoted with `{:?}`.
pub fn beginning(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => {
            let mut beginning = text.get(..end).unwrap_or_default().to_owned();
            beginning.push('…');
            beginning
        }
        None => text.to_owned(),
    }
}

/// An error of JSON that people may see. It quotes what stands in the document, whatever that is and however long.
pub fn of_json(error: serde_json::Error) -> serde_json::Error {
    let said = error.to_string();
    if said.len() <= SAID && hidden(&said).is_none() {
        return error;
    }
    let (line, column) = (error.line(), error.column());
    let said = said
        .rsplit_once(" at line ")
        .map_or(said.as_str(), |(said, _)| said);
    let said = shortened(said, SAID);
    serde::de::Error::custom(format_args!("{said} at line {line} column {column}"))
}

/// The first character of a text that people do not get to see as it is; none in a text in which they see every character.
pub fn hidden(text: &str) -> Option<char> {
    let inside = |it: &char| is_invisible(*it) || is_space(*it) && *it != ' ';
    text.chars().find(inside)
}

fn is_space(it: char) -> bool {
    it.is_whitespace() || it.is_control()
}

/// What Unicode calls default-ignorable, without the selectors that emoji need, and the marks of interlinear annotations.
fn is_invisible(it: char) -> bool {
    matches!(
        it,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_see_one_line_that_does_nothing() {
        for (text, seen) in [
            ("", ""),
            (" \t\r\n ", ""),
            ("as it is", "as it is"),
            ("line 1\r\n\tline 2\n", "line 1 line 2"),
            ("a  b\u{a0}\u{3000}c", "a b c"),
            ("\u{2028}a\u{2029}b\u{85}c", "a b c"),
            // What a terminal obeys.
            (
                "bell\u{7}, escape\u{1b}[31mred\u{1b}[0m",
                "bell , escape [31mred [0m",
            ),
            ("\u{9b}31mred", "31mred"),
            ("back\u{8}\u{8}space\0\u{7f}", "back space"),
            // What turns a text around.
            ("left \u{202e}to right", "left to right"),
            ("\u{2066}a\u{2069}\u{202a}b\u{202c}\u{61c}c\u{200f}d", "abcd"),
            // What nobody sees.
            ("we\u{200b}b\u{feff}\u{ad}\u{2060}\u{180e}", "web"),
            ("a\u{200b} \u{200b} b", "a b"),
            ("\u{3164}\u{115f}\u{ffa0}x", "x"),
            ("tag\u{e0041}\u{e007f}ged", "tagged"),
            ("\u{fff9}a\u{fffa}b\u{fffb}", "ab"),
            // What stays.
            (
                "grüße, 日本語, العربية, \u{5d0}",
                "grüße, 日本語, العربية, \u{5d0}",
            ),
            ("e\u{301} ❤\u{fe0f} 🐦 \u{fffd}", "e\u{301} ❤\u{fe0f} 🐦 \u{fffd}"),
            ("<b> & \"quotes\" \\", "<b> & \"quotes\" \\"),
        ] {
            assert_eq!(shortened(text, 99), seen, "{text:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        for (text, most, cut) in [
            ("four", 4, "four"),
            ("five5", 4, "five…"),
            ("äöüß", 4, "äöüß"),
            ("🐦🐦🐦", 2, "🐦🐦…"),
            ("ab   ", 2, "ab"),
            ("ab  c", 2, "ab…"),
            ("x", 0, "…"),
            ("", 0, ""),
        ] {
            assert_eq!(shortened(text, most), cut, "{text:?} in {most}");
            if text.trim() == text {
                assert_eq!(beginning(text, most), cut, "{text:?} in {most}");
            }
        }
        assert_eq!(beginning("a\u{202e}\nb", 3), "a\u{202e}\n…");
    }

    #[test]
    fn an_error_of_json_keeps_its_place_and_no_more_than_a_line() {
        let whole = serde_json::from_str::<u8>("true").unwrap_err().to_string();
        assert_eq!(
            of_json(serde_json::from_str::<u8>("true").unwrap_err()).to_string(),
            whole
        );
        let quoted = alloc::format!("\n\"\\u202e\\u0000{}\"", "x at line ".repeat(5_000));
        let said = of_json(serde_json::from_str::<u8>(&quoted).unwrap_err()).to_string();
        assert_eq!(hidden(&said), None, "{said}");
        assert!(said.starts_with("invalid type: string "), "{said}");
        assert!(said.contains("… at line 2 column "), "{said}");
        assert!(said.chars().count() < SAID + 40, "{said}");
    }

    #[test]
    fn what_people_do_not_see_is_named() {
        for (text, found) in [
            ("request duration of /", None),
            ("p99 🐦", None),
            ("a\u{202e}b", Some('\u{202e}')),
            ("a\nb", Some('\n')),
            ("a\u{a0}b", Some('\u{a0}')),
            ("web\u{200b}", Some('\u{200b}')),
        ] {
            assert_eq!(hidden(text), found, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_fit_to_be_seen(text in any::<String>(), most in 0_usize..40) {
            let seen = shortened(&text, most);
            prop_assert!(seen.chars().count() <= most + 1);
            prop_assert_eq!(hidden(&seen), None);
            prop_assert_eq!(shortened(&seen, 100), seen);
        }
    }
}
