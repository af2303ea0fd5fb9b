//! Templates of rule labels and annotations: the part of Go's `text/template` that prints a label or the value.
//!
//! | supported | |
//! |---|---|
//! | `{{ $value }}`, `{{ .Value }}` | the value, as [`sample_text`](super::sample_text) |
//! | `{{ $labels.pod }}`, `{{ .Labels.pod }}`, `{{ index $labels "pod" }}` | the element's label; nothing where it has none |
//! | `humanize`, `humanize1024`, `humanizeDuration`, `humanizePercentage` | of a number |
//! | `toUpper`, `toLower` | of a text |
//! | `printf` | `%e %E %f %F %g %G %v` of a number, `%s %v` of a text, with flags, width and precision |
//! | `"text"`, `` `text` ``, `( … )`, `a \| b`, `{{- … -}}`, `{{/* comment */}}` | as in Go |
//!
//! Everything else is refused when the template is read, with the offset of what is not supported: variables of one's
//! own, `if` and its kin, queries, regular expressions, links, `$externalLabels`. So is what Prometheus takes and then
//! prints nonsense for, like `printf "%d" $value` (`%!d(float64=4.1)`).

mod format;
mod parser;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use self::format::Format;
use super::{Labels, number};

/// A template that was read: rendering cannot fail.
///
/// ```
/// use delivery_core::alerting::{Labels, Template};
///
/// let template: Template = "{{ $labels.pod }} restarted {{ $value }} times".parse()?;
/// assert_eq!(template.render(&Labels::new(), 4.1), " restarted 4.1 times");
///
/// let error = "{{ if $value }}x{{ end }}".parse::<Template>().unwrap_err();
/// assert_eq!(error.offset, 3);
/// # Ok::<(), delivery_core::alerting::TemplateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    source: String,
    pieces: Vec<Piece>,
}

impl Template {
    /// The text for an element with these labels and this value. A label that it does not have is nothing.
    pub fn render(&self, labels: &Labels, value: f64) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(it) => text.push_str(it),
                Piece::Action(it) => text.push_str(&it.text(labels, value)),
            }
        }
        text
    }

    /// The labels that it prints, each with the offset in bytes of its first use.
    pub fn labels(&self) -> BTreeMap<&str, usize> {
        let mut found = BTreeMap::new();
        for action in self.actions() {
            action.walk(&mut |it| {
                if let Expr::Label { name, offset } = it {
                    found.entry(name.as_str()).or_insert(*offset);
                }
            });
        }
        found
    }

    /// The offset in bytes of the first place that prints the value with whatever decimals it has: as it is, or through
    /// `humanize` or `humanize1024`.
    pub fn unrounded_value(&self) -> Option<usize> {
        self.actions().find_map(|it| match it {
            Expr::Call(Function::Humanize | Function::Humanize1024, of) => of.value_offset(),
            Expr::Value { .. } | Expr::Label { .. } | Expr::Literal(_) | Expr::Call(..) | Expr::Print(..) => {
                it.value_offset()
            }
        })
    }

    /// The text that it was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    fn actions(&self) -> impl Iterator<Item = &Expr> {
        self.pieces.iter().filter_map(|it| match it {
            Piece::Action(it) => Some(it),
            Piece::Text(_) => None,
        })
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(source: &str) -> Result<Self, TemplateError> {
        Ok(Self {
            source: String::from(source),
            pieces: parser::pieces(source)?,
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// A template that cannot be used, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset} of the template: {fault}")]
pub struct TemplateError {
    /// Where, in bytes from the template's beginning.
    pub offset: usize,
    /// What is wrong there.
    pub fault: TemplateFault,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateFault {
    /// It is no template in Go's language either.
    #[error("{found} where {expected} should stand")]
    Unexpected {
        /// What stands there.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// An action, a text or a comment does not end.
    #[error("{what} has no end (expected {end})")]
    Open {
        /// What it is.
        what: &'static str,
        /// What would end it.
        end: &'static str,
    },
    /// Go's language has it, we do not.
    #[error("`{word}` is not supported (expected a label, `$value`, or one of {known})")]
    Unsupported {
        /// The word.
        word: String,
        /// The functions that are supported.
        known: &'static str,
    },
    /// A function is given something that it cannot take.
    #[error("{function} takes {takes}, and is given {given}")]
    Argument {
        /// The function or the verb of a format.
        function: String,
        /// What it takes.
        takes: &'static str,
        /// What it is given.
        given: &'static str,
    },
    /// More nesting or a longer pipeline than anybody writes.
    #[error("more than {limit} nested expressions")]
    TooDeep {
        /// How many are taken.
        limit: usize,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Action(Expr),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expr {
    Value { offset: usize },
    Label { name: String, offset: usize },
    Literal(String),
    Call(Function, Box<Expr>),
    Print(Format, Vec<Expr>),
}

/// Functions of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Humanize,
    Humanize1024,
    HumanizeDuration,
    HumanizePercentage,
    ToUpper,
    ToLower,
}

impl Function {
    const ALL: [(&'static str, Self); 6] = [
        ("humanize", Self::Humanize),
        ("humanize1024", Self::Humanize1024),
        ("humanizeDuration", Self::HumanizeDuration),
        ("humanizePercentage", Self::HumanizePercentage),
        ("toUpper", Self::ToUpper),
        ("toLower", Self::ToLower),
    ];

    /// All functions, for errors.
    const KNOWN: &'static str =
        "humanize, humanize1024, humanizeDuration, humanizePercentage, toUpper, toLower, printf, index";

    const fn takes_number(self) -> bool {
        match self {
            Self::Humanize | Self::Humanize1024 | Self::HumanizeDuration | Self::HumanizePercentage => true,
            Self::ToUpper | Self::ToLower => false,
        }
    }
}

impl Expr {
    const fn is_number(&self) -> bool {
        self.value_offset().is_some()
    }

    const fn value_offset(&self) -> Option<usize> {
        match self {
            Self::Value { offset } => Some(*offset),
            Self::Label { .. } | Self::Literal(_) | Self::Call(..) | Self::Print(..) => None,
        }
    }

    fn text(&self, labels: &Labels, value: f64) -> String {
        match self {
            Self::Value { .. } => number::sample_text(value),
            Self::Label { name, .. } => labels.get(name).cloned().unwrap_or_default(),
            Self::Literal(text) => text.clone(),
            Self::Call(Function::Humanize, _) => number::humanize(value),
            Self::Call(Function::Humanize1024, _) => number::humanize_1024(value),
            Self::Call(Function::HumanizeDuration, _) => number::humanize_duration(value),
            Self::Call(Function::HumanizePercentage, _) => number::humanize_percentage(value),
            Self::Call(Function::ToUpper, of) => mapped(&of.text(labels, value), char::to_uppercase),
            Self::Call(Function::ToLower, of) => mapped(&of.text(labels, value), char::to_lowercase),
            Self::Print(format, of) => format.print(value, of.iter().map(|it| it.text(labels, value))),
        }
    }

    fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        match self {
            Self::Value { .. } | Self::Label { .. } | Self::Literal(_) => {}
            Self::Call(_, of) => of.walk(visit),
            Self::Print(_, of) => of.iter().for_each(|it| it.walk(visit)),
        }
    }
}

/// Go maps each character to one, and leaves alone what would become several.
fn mapped<I: Iterator<Item = char>>(text: &str, map: impl Fn(char) -> I) -> String {
    text.chars()
        .map(|it| {
            let mut to = map(it);
            match (to.next(), to.next()) {
                (Some(one), None) => one,
                _ => it,
            }
        })
        .collect()
}
