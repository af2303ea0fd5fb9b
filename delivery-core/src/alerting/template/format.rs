//! `printf`: Go's `fmt.Sprintf` for numbers and texts.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Expr, TemplateFault};
use crate::alerting::number;

/// The largest width and precision; Go takes up to a million.
const WIDEST: usize = 100;

/// A format that was read, and fits its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Verb(Verb),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Verb {
    flags: String,
    width: usize,
    precision: Option<usize>,
    letter: char,
    number: bool,
}

impl Format {
    /// Reads a format for these arguments.
    pub(super) fn new(text: &str, arguments: &[Expr]) -> Result<Self, TemplateFault> {
        let mut parts = Vec::new();
        let mut left = arguments.iter();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('%') {
            parts.push(Part::Text(String::from(before)));
            if let Some(behind) = behind.strip_prefix('%') {
                parts.push(Part::Text(String::from("%")));
                rest = behind;
                continue;
            }
            let (mut verb, behind) = Verb::read(behind)?;
            let Some(argument) = left.next() else {
                return Err(verb.unfit("an argument", "none"));
            };
            verb.number = argument.is_number();
            verb.check()?;
            parts.push(Part::Verb(verb));
            rest = behind;
        }
        parts.push(Part::Text(String::from(rest)));
        match left.next() {
            None => Ok(Self(parts)),
            Some(_) => Err(TemplateFault::Argument {
                function: format!("printf {text:?}"),
                takes: "one argument for each verb",
                given: "more",
            }),
        }
    }

    pub(super) fn print(&self, value: f64, mut texts: impl Iterator<Item = String>) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Verb(verb) => {
                    let text = texts.next().unwrap_or_default();
                    out.push_str(&if verb.number {
                        verb.number(value)
                    } else {
                        verb.text(&text)
                    });
                }
            }
        }
        out
    }
}

impl Verb {
    fn read(text: &str) -> Result<(Self, &str), TemplateFault> {
        let mut verb = Self::default();
        let mut rest = text.trim_start_matches(['+', '-', ' ', '0']);
        verb.flags = text.chars().take(text.len().saturating_sub(rest.len())).collect();
        (verb.width, rest) = size(rest)?;
        if let Some(behind) = rest.strip_prefix('.') {
            let (precision, behind) = size(behind)?;
            (verb.precision, rest) = (Some(precision), behind);
        }
        let mut chars = rest.chars();
        let Some(letter) = chars.next() else {
            return Err(TemplateFault::Open {
                what: "a verb of printf",
                end: "a letter like f or s; a percent sign is written %%",
            });
        };
        verb.letter = letter;
        Ok((verb, chars.as_str()))
    }

    /// Whether it can print what it is given.
    fn check(&self) -> Result<(), TemplateFault> {
        match (self.letter, self.number) {
            ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'v', true) => Ok(()),
            ('s' | 'v', false) if !self.has('0') => Ok(()),
            ('e' | 'E' | 'f' | 'F' | 'g' | 'G', false) => Err(self.unfit("a number", "a text")),
            ('s', true) => Err(self.unfit("a text", "a number (expected e.g. %.2f)")),
            ('s' | 'v', false) => Err(self.unfit("no flag 0 with a text", "one")),
            (_, true) => Err(self.unfit("no number here", "one (expected e.g. %.2f)")),
            (_, false) => Err(self.unfit("no text here", "one (expected %s)")),
        }
    }

    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    fn unfit(&self, takes: &'static str, given: &'static str) -> TemplateFault {
        TemplateFault::Argument {
            function: format!("%{} of printf", self.letter),
            takes,
            given,
        }
    }

    fn number(&self, value: f64) -> String {
        let text = match self.letter {
            'e' | 'E' => number::scientific(value, self.precision.unwrap_or(6)),
            'f' | 'F' => number::fixed(value, self.precision.unwrap_or(6)),
            _ => number::general(value, self.precision),
        };
        let text = if self.letter == 'E' || self.letter == 'G' {
            upper(&text)
        } else {
            text
        };
        let (sign, digits) = match text.strip_prefix(['-', '+']) {
            Some(digits) if text.starts_with('-') => ("-", digits),
            Some(digits) if self.has(' ') && !self.has('+') => (" ", digits),
            Some(digits) => ("+", digits),
            None if self.has('+') => ("+", text.as_str()),
            None if self.has(' ') => (" ", text.as_str()),
            None => ("", text.as_str()),
        };
        if self.has('0') && !self.has('-') && value.is_finite() {
            let room = self.width.saturating_sub(sign.len());
            return format!("{sign}{digits:0>room$}");
        }
        self.padded(&format!("{sign}{digits}"))
    }

    fn text(&self, text: &str) -> String {
        match self.precision {
            Some(most) => self.padded(&text.chars().take(most).collect::<String>()),
            None => self.padded(text),
        }
    }

    fn padded(&self, text: &str) -> String {
        let width = self.width;
        if self.has('-') {
            format!("{text:<width$}")
        } else {
            format!("{text:>width$}")
        }
    }
}

/// Infinities keep their letters.
fn upper(number: &str) -> String {
    if number.ends_with(|it: char| it.is_ascii_digit()) {
        number.to_ascii_uppercase()
    } else {
        number.to_string()
    }
}

/// The number at the beginning, zero for none.
fn size(text: &str) -> Result<(usize, &str), TemplateFault> {
    let end = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let size = if digits.is_empty() {
        Some(0)
    } else {
        digits.parse().ok()
    };
    match size.filter(|it| *it <= WIDEST) {
        Some(size) => Ok((size, rest)),
        None => Err(TemplateFault::Argument {
            function: String::from("printf"),
            takes: "a width and a precision of at most 100",
            given: "more",
        }),
    }
}
