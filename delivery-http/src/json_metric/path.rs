//! Finds the one value that a JSONPath points at, with a bound on the work.

mod expression;
mod pattern;
mod walk;

use std::fmt::Write;
use std::ops::ControlFlow;

use delivery_core::analysis::Nothing;
use jsonpath_rust::parser::errors::JsonPathError;
use jsonpath_rust::parser::parse_json_path;
use pest::error::LineColLocation;
use serde_json::Value;

use self::expression::Steps;
use self::walk::{Hop, MOST, Stop, Walk};
use crate::error::Error;

/// The longest path, in bytes.
const LONGEST: usize = 1_024;

/// How deep brackets and parentheses may lie in each other. Each level may double the time that reading a path takes.
const DEEPEST: usize = 8;

/// A JSONPath by [RFC 9535](https://www.rfc-editor.org/rfc/rfc9535).
#[derive(Debug)]
pub(super) struct Path(Steps);

impl Path {
    /// Reads a path. Around it may be the braces of Kubernetes and Argo Rollouts, in which the `$` may be missing:
    /// `{$.a}` and `{.a}` are `$.a`.
    ///
    /// # Errors
    /// [`Error::Unusable`]; the text names the position of what is no path, or quotes what cannot be used.
    pub(super) fn parse(field: &str, written: &str) -> Result<Self, Error> {
        let bare = written.trim();
        let path = match bare.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
            Some(inner) if inner.trim().starts_with('.') => format!("${}", inner.trim()),
            Some(inner) => inner.trim().to_owned(),
            None => bare.to_owned(),
        };
        if path.len() > LONGEST {
            let (found, expected) = (
                format!("{} bytes", path.len()),
                format!("at most {LONGEST} bytes"),
            );
            return Err(Error::unusable(field, found, expected));
        }
        if let Some(column) = too_deep(&path) {
            let found = format!("`{path}`, too deep at column {column}");
            let expected = format!("at most {DEEPEST} brackets and parentheses in each other");
            return Err(Error::unusable(field, found, expected));
        }
        let read = parse_json_path(&path).map_err(|error| {
            let found = match column(&error) {
                Some(column) => format!("`{path}`, wrong from column {column} on"),
                None => format!("`{path}` ({error})"),
            };
            Error::unusable(field, found, "a JSONPath (RFC 9535) such as $.data[0].value")
        })?;
        let steps = expression::steps(read.segments);
        let steps = steps.map_err(|(found, expected)| Error::unusable(field, found, expected))?;
        Ok(Self(steps))
    }

    /// The value at which it points.
    ///
    /// # Errors
    /// [`Nothing::NoData`] where it points at nothing; [`Nothing::Unusable`] where it points at several values, or takes
    /// more steps than a walk may have.
    pub(super) fn find<'a>(&'a self, within: &'a Value) -> Result<&'a Value, Nothing> {
        self.walked(&mut Walk::new(within))
    }

    fn walked<'a>(&'a self, walk: &mut Walk<'a>) -> Result<&'a Value, Nothing> {
        let mut first: Option<(&Value, String)> = None;
        let mut second = None;
        let walked = walk.along(&self.0, &mut |node, trail| {
            if first.is_some() {
                second = Some(at(trail));
                return ControlFlow::Break(Stop::Enough);
            }
            first = Some((node, at(trail)));
            ControlFlow::Continue(())
        });
        match (walked, first, second) {
            (_, Some((_, first)), Some(second)) => Err(Nothing::Unusable(format!(
                "several values match where there should be one, the first at {first} and {second}"
            ))),
            (ControlFlow::Break(_), _, None) => Err(Nothing::Unusable(format!(
                "the path takes more than {MOST} steps in this answer"
            ))),
            (ControlFlow::Continue(()), Some((one, _)), None) => Ok(one),
            (_, None, _) => Err(Nothing::NoData),
        }
    }
}

/// Where a walk is, as a path.
fn at(trail: &[Hop<'_>]) -> String {
    trail.iter().fold(String::from("$"), |mut path, hop| {
        // Nothing can go wrong in a text.
        let _ = match hop {
            Hop::Name(name) => write!(path, "['{name}']"),
            Hop::Index(index) => write!(path, "[{index}]"),
        };
        path
    })
}

/// The column at which brackets and parentheses lie too deep in each other.
fn too_deep(path: &str) -> Option<usize> {
    let (mut quote, mut escaped, mut depth) = (None, false, 0_usize);
    for (column, it) in (1..).zip(path.chars()) {
        match (quote, it) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(end), _) if end == it => quote = None,
            (None, '\'' | '"') => quote = Some(it),
            (None, '[' | '(') => {
                depth = depth.saturating_add(1);
                if depth > DEEPEST {
                    return Some(column);
                }
            }
            (None, ']' | ')') => depth = depth.saturating_sub(1),
            (Some(_) | None, _) => {}
        }
    }
    None
}

fn column(error: &JsonPathError) -> Option<usize> {
    let JsonPathError::PestError(error) = error else {
        return None;
    };
    Some(match error.line_col {
        LineColLocation::Pos((_, column)) | LineColLocation::Span((_, column), _) => column,
    })
}

#[cfg(test)]
mod tests;
