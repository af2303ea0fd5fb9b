//! Finds the one value that a JSONPath points at.

use delivery_core::analysis::Nothing;
use jsonpath_rust::parser::errors::JsonPathError;
use jsonpath_rust::parser::model::JpQuery;
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use pest::error::LineColLocation;
use serde_json::Value;

use crate::error::Error;

/// A JSONPath by [RFC 9535](https://www.rfc-editor.org/rfc/rfc9535).
#[derive(Debug)]
pub(super) struct Path(JpQuery);

impl Path {
    /// Reads a path. Around it may be the braces of Kubernetes and Argo Rollouts, in which the `$` may be missing:
    /// `{$.a}` and `{.a}` are `$.a`.
    ///
    /// # Errors
    /// [`Error::Unusable`]; the text names the position. Also for a path with which an answer of some kilobytes could keep
    /// a processor busy for minutes.
    pub(super) fn parse(field: &str, written: &str) -> Result<Self, Error> {
        let bare = written.trim();
        let path = match bare.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
            Some(inner) if inner.trim().starts_with('.') => format!("${}", inner.trim()),
            Some(inner) => inner.trim().to_owned(),
            None => bare.to_owned(),
        };
        let parsed = parse_json_path(&path).map_err(|error| {
            let found = match column(&error) {
                Some(column) => format!("`{path}`, wrong from column {column} on"),
                None => format!("`{path}` ({error})"),
            };
            Error::unusable(field, found, "a JSONPath (RFC 9535) such as $.data[0].value")
        })?;
        if let Some(column) = second_search(&path) {
            let found = format!("`{path}`, which searches the answer again and again at column {column}");
            let expected = "at most one `..`, and in a filter `$` with names and numbers only";
            return Err(Error::unusable(field, found, expected));
        }
        Ok(Self(parsed))
    }

    /// The value at which it points.
    ///
    /// # Errors
    /// [`Nothing::NoData`] where it points at nothing, [`Nothing::Unusable`] where it points at several values.
    pub(super) fn find<'a>(&self, within: &'a Value) -> Result<&'a Value, Nothing> {
        let found = js_path_process(&self.0, within);
        let found = found.map_err(|it| Nothing::Unusable(it.to_string()))?;
        match found.as_slice() {
            [] => Err(Nothing::NoData),
            [one] => Ok(one.val),
            [first, second, ..] => Err(Nothing::Unusable(format!(
                "{} values match where there should be one, the first at {} and {}",
                found.len(),
                first.path,
                second.path,
            ))),
        }
    }
}

/// The column at which a path begins to look at everything once more for each thing that it has found: a second `..`, and
/// more than a name or a number behind the `$` of a filter. It is a path already.
fn second_search(path: &str) -> Option<usize> {
    let (mut quote, mut escaped, mut before) = (None, false, ' ');
    let (mut depth, mut searches, mut in_root) = (0_usize, 0_usize, false);
    for (column, it) in (1..).zip(path.chars()) {
        match (quote, it) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(end), _) if end == it => quote = None,
            (None, '\'' | '"') => quote = Some(it),
            (None, '[') => depth = depth.saturating_add(1),
            (None, ']') => {
                depth = depth.saturating_sub(1);
                in_root &= depth > 0;
            }
            (None, '$') => in_root = column > 1,
            (None, '*' | ':' | '?') if in_root => return Some(column),
            (None, '.') if before == '.' => {
                searches = searches.saturating_add(1);
                if in_root || searches > 1 {
                    return Some(column.saturating_sub(1));
                }
            }
            (Some(_) | None, _) => {}
        }
        before = it;
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
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_that_searches_again_and_again_is_refused_at_its_column() {
        for (path, column) in [
            ("$..a", None),
            ("$..a[?@.b == $.c].d[*]", None),
            ("$[?@..a]", None),
            ("$['..']..a['..']", None),
            (r#"$["a\"..b"]..c"#, None),
            ("$[1:3].*", None),
            ("$..a..b", Some(5)),
            ("{.a..b..c}", Some(7)),
            ("$..[?@..a]", Some(7)),
            ("$[?$..a]", Some(5)),
            ("$[?$[*].a]", Some(6)),
            ("$[?count($.a[?@.b]) > 1]", Some(14)),
        ] {
            let error = Path::parse("jsonPath", path).err().map(|it| it.to_string());
            let says = column.map(|it: usize| format!("again and again at column {it}; "));
            match (&error, &says) {
                (Some(error), Some(says)) => assert!(error.contains(says), "{error}"),
                _ => assert_eq!(error, says, "{path}"),
            }
        }
    }

    #[test]
    fn a_path_points_at_one_value() {
        let document = json!({
            "ok": true,
            "data": [{ "name": "web", "value": 1 }, { "name": "db", "value": "2" }],
            "a-b": { "c": null },
        });
        let several = |count, first: &str, second: &str| {
            let seen = format!("the first at {first} and {second}");
            Err(Nothing::Unusable(format!(
                "{count} values match where there should be one, {seen}"
            )))
        };
        let (one, two, null, yes) = (json!(1), json!("2"), Value::Null, json!(true));
        for (path, found) in [
            ("$.ok", Ok(&yes)),
            ("{$.ok}", Ok(&yes)),
            ("{.ok}", Ok(&yes)),
            (" { $.ok } ", Ok(&yes)),
            ("$.data[0].value", Ok(&one)),
            ("$.data[-1].value", Ok(&two)),
            ("$['a-b'].c", Ok(&null)),
            ("{$.data[?(@.name == 'db')].value}", Ok(&two)),
            ("$.missing", Err(Nothing::NoData)),
            ("$.data[7].value", Err(Nothing::NoData)),
            ("$.data[?@.name == 'none'].value", Err(Nothing::NoData)),
            (
                "$.data[*].value",
                several(2, "$['data'][0]['value']", "$['data'][1]['value']"),
            ),
        ] {
            assert_eq!(
                Path::parse("jsonPath", path).unwrap().find(&document),
                found,
                "{path}"
            );
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_position() {
        for (path, found) in [
            ("", "``, wrong from column 1 on"),
            ("data", "`data`, wrong from column 1 on"),
            ("$.data[", "`$.data[`, wrong from column 8 on"),
            (
                "{$.data[?@.x = 1]}",
                "`$.data[?@.x = 1]`, wrong from column 13 on",
            ),
            ("{range .items}", "`range .items`, wrong from column 1 on"),
        ] {
            let error = Path::parse("jsonPath", path).unwrap_err().to_string();
            let expected = "expected a JSONPath (RFC 9535) such as $.data[0].value";
            assert_eq!(error, format!("jsonPath: {found}; {expected}"));
        }
    }
}
