//! Texts with variables: `{{ from }}`.

use crate::error::Error;

/// A text with variables, of which every one is known.
#[derive(Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

/// How a value is written, so that it stays one value.
pub(super) type Escape = fn(&str) -> String;

impl Template {
    /// Reads a template of which `known` are the variables.
    ///
    /// # Errors
    /// [`Error::Unusable`] for braces without an end, and for unknown variables; the text names the position.
    pub(super) fn parse(field: &str, text: &str, known: &[&str]) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut rest = text;
        let column = |rest: &str| {
            let before = text.len().saturating_sub(rest.len());
            text.get(..before)
                .map_or(0, |it| it.chars().count())
                .saturating_add(1)
        };
        while let Some((before, after)) = rest.split_once("{{") {
            let at = column(after).saturating_sub(2);
            let Some((name, next)) = after.split_once("}}") else {
                let found = format!("braces that are not closed, at column {at}");
                return Err(Error::unusable(field, found, "a variable such as {{ from }}"));
            };
            let name = name.trim();
            if !known.contains(&name) {
                let found = format!("the variable `{name}` at column {at}");
                return Err(Error::unusable(
                    field,
                    found,
                    format!("one of {}", known.join(", ")),
                ));
            }
            parts.extend([Part::Text(before.to_owned()), Part::Variable(name.to_owned())]);
            rest = next;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Whether it has one of these variables.
    pub(super) fn names(&self, any: &[&str]) -> bool {
        self.variables().any(|it| any.contains(&it))
    }

    fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|it| match it {
            Part::Variable(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with the values in it.
    ///
    /// # Errors
    /// Those of `value`.
    pub(super) fn fill<E>(
        &self,
        escape: Escape,
        value: impl Fn(&str) -> Result<String, E>,
    ) -> Result<String, E> {
        self.0
            .iter()
            .map(|it| match it {
                Part::Text(text) => Ok(text.clone()),
                Part::Variable(name) => value(name).map(|it| escape(&it)),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use super::*;

    const KNOWN: &[&str] = &["from", "to", "args.job"];

    fn filled(text: &str) -> String {
        let template = Template::parse("url", text, KNOWN).unwrap();
        let value = |name: &str| Ok::<_, Infallible>(format!("<{name}>"));
        template.fill(str::to_owned, value).unwrap()
    }

    #[test]
    fn variables_are_replaced_and_nothing_else_is() {
        for (text, reads) in [
            ("", ""),
            ("no variable", "no variable"),
            ("{{from}}", "<from>"),
            ("a{{ from }}b{{  to}}c", "a<from>b<to>c"),
            ("{{ args.job }}", "<args.job>"),
            (r#"{"a":{"b":1}}"#, r#"{"a":{"b":1}}"#),
            ("{ from }", "{ from }"),
        ] {
            assert_eq!(filled(text), reads);
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_position() {
        for (text, says) in [
            (
                "ä{{ fro }}",
                "url: the variable `fro` at column 2; expected one of from, to, args.job",
            ),
            (
                "{{ from }}{{",
                "url: braces that are not closed, at column 11; expected a variable such as {{ from }}",
            ),
            (
                "{{ }}",
                "url: the variable `` at column 1; expected one of from, to, args.job",
            ),
            (
                "{{ From }}",
                "url: the variable `From` at column 1; expected one of from, to, args.job",
            ),
        ] {
            assert_eq!(Template::parse("url", text, KNOWN).unwrap_err().to_string(), says);
        }
    }
}
