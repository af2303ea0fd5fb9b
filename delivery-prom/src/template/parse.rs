//! From text to parts, with the rules of Go's `text/template` for where a gap begins and ends.

use super::{Context, Gap, Part, TemplateError};
use crate::error::shortened;

/// White space as Go's templates have it.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

pub(super) fn parts(text: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let (mut rest, mut offset, mut trim) = (text, 0, false);
    loop {
        let (before, gap) = match rest.split_once("{{") {
            Some((before, gap)) => (before, Some(gap)),
            None => (rest, None),
        };
        let mut literal = before;
        if trim {
            literal = literal.trim_start_matches(SPACE);
        }
        let Some(gap) = gap else {
            push(&mut parts, literal);
            return Ok(parts);
        };
        let at = offset + before.len();
        // Go: a marker is `- ` behind the opening and ` -` before the closing braces.
        let opened = gap.strip_prefix('-').filter(|it| it.starts_with(SPACE));
        if opened.is_some() {
            literal = literal.trim_end_matches(SPACE);
        }
        push(&mut parts, literal);
        let inside = opened.unwrap_or(gap);
        let (content, behind) = inside.split_once("}}").ok_or(TemplateError::Unclosed { at })?;
        let (content, behind) = if content.trim_start_matches(SPACE).starts_with("/*") {
            comment(inside, at)?
        } else {
            (content, behind)
        };
        let closed = content.strip_suffix('-').filter(|it| it.ends_with(SPACE));
        trim = closed.is_some();
        let content = closed.unwrap_or(content);
        let start = text.len() - inside.len() + (content.len() - content.trim_start_matches(SPACE).len());
        let content = content.trim_matches(SPACE);
        if !content.starts_with("/*") {
            let gap = gap_of(content, at, start)?;
            parts.push(Part::Gap {
                gap,
                at,
                context: Context::Bare,
            });
        }
        offset = text.len() - behind.len();
        rest = behind;
    }
}

fn push(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

/// A comment may have braces in it; it ends with `*/}}` or `*/ -}}`.
fn comment(inside: &str, at: usize) -> Result<(&str, &str), TemplateError> {
    let unclosed = TemplateError::Unclosed { at };
    let end = inside.find("*/").ok_or_else(|| unclosed.clone())? + 2;
    let (comment, behind) = inside.split_at(end);
    let marker = behind.strip_prefix(SPACE).and_then(|it| it.strip_prefix('-'));
    match (behind.strip_prefix("}}"), marker) {
        (Some(behind), _) => Ok((comment, behind)),
        (None, Some(marked)) => {
            let behind = marked.strip_prefix("}}").ok_or(unclosed)?;
            // With the marker.
            Ok((&inside[..end + 2], behind))
        }
        (None, None) => Err(unclosed),
    }
}

/// What stands between the braces.
fn gap_of(content: &str, at: usize, start: usize) -> Result<Gap, TemplateError> {
    if content.is_empty() || content == "-" {
        return Err(TemplateError::Empty { at });
    }
    if let Some(feature) = feature(content) {
        return Err(TemplateError::Unsupported {
            text: shortened(content, 40),
            at: start,
            feature,
        });
    }
    let unknown = || TemplateError::Unknown {
        name: shortened(content, 40),
        at: start,
    };
    match content.split_once('.') {
        None => Gap::named(content),
        Some(("variables", name)) if is_name(name) => Some(Gap::Variable(name.to_owned())),
        Some(_) => None,
    }
    .ok_or_else(unknown)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|it| it.is_alphanumeric() || it == '_')
}

/// Which part of Go's template language it is that is not there.
fn feature(content: &str) -> Option<&'static str> {
    let first = content.chars().next()?;
    let word = content
        .split(|it: char| !it.is_alphanumeric() && it != '_')
        .next()
        .unwrap_or_default();
    Some(match word {
        "if" | "else" => "conditions",
        "range" | "break" | "continue" => "loops",
        "with" => "blocks with another dot",
        "end" => "conditions and loops",
        "define" | "template" | "block" => "nested templates",
        "and" | "or" | "not" | "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "len" | "index" | "slice"
        | "call" | "print" | "printf" | "println" | "html" | "js" | "urlquery" => "functions",
        "true" | "false" | "nil" => "constants",
        _ if content.contains('|') => "pipelines",
        _ if content.contains(":=") || first == '$' => "variables",
        _ if first == '.' => "fields",
        _ if first == '(' => "parentheses",
        _ if first.is_ascii_digit() || matches!(first, '"' | '`' | '\'' | '+' | '-') => "constants",
        _ if content.contains(char::is_whitespace) => "arguments",
        _ => return None,
    })
}
