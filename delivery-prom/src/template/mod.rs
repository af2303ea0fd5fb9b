//! Queries with gaps: the part of Flagger's `MetricTemplate` language that queries are written in.
//!
//! A template is text with gaps: `{{ namespace }}`. White space within a gap does not matter; `{{-` and `-}}` also
//! remove the white space before and after it, as in Go; `{{/* … */}}` is a comment.
//!
//! | gap | what is put in |
//! |---|---|
//! | `{{ name }}` | the rollout's name |
//! | `{{ namespace }}` | its namespace |
//! | `{{ target }}` | the workload's name |
//! | `{{ service }}` | the service's name; the target's where there is none |
//! | `{{ ingress }}`, `{{ route }}` | the ingress' or route's name; the target's where there is none |
//! | `{{ interval }}` | how far the measurement looks back, e.g. `1m` |
//! | `{{ variables.x }}` | the variable `x`, as it is |
//! | `{{ revision }}` | the revision that is measured; not in Flagger |
//!
//! Nothing else of Go's `text/template` is there: no pipelines, functions, conditions, loops, template variables,
//! constants or fields. Each is an error that names it and its place when the template is read. A gap that nothing is
//! known to fill is an error before a query is sent.
//!
//! Names are escaped for where they stand: in a quoted text, in a regular expression (behind `=~`, `!~` or `|~`), or in
//! no quotes at all, where a name that would be read as something else is an error. What ordinary names of Kubernetes
//! look like afterwards is what Flagger makes of them. Variables are the query's own text and are put in as they are.

mod escape;
mod parse;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use delivery_core::time::PromDuration;
use serde::Deserialize;

use self::escape::Context;

/// A query with gaps.
///
/// ```
/// use std::time::Duration;
/// use delivery_prom::template::{Filling, Names, Template};
///
/// let template = Template::parse(r#"sum(rate(requests{app="{{ target }}"}[{{ interval }}]))"#)?;
/// let names = Names { target: Some("web".into()), ..Names::default() };
/// let filling = Filling { names: &names, revision: None, interval: Duration::from_secs(60) };
/// assert_eq!(template.render(&filling)?, r#"sum(rate(requests{app="web"}[1m]))"#);
///
/// let error = Template::parse("rate({{ targt }}[1m])").unwrap_err();
/// assert!(error.to_string().starts_with("`targt` at offset 8 is unknown"));
/// # Ok::<(), delivery_prom::template::TemplateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Gap { gap: Gap, at: usize, context: Context },
}

/// What a gap is filled with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Gap {
    Name,
    Namespace,
    Target,
    Service,
    Ingress,
    Route,
    Revision,
    Interval,
    Variable(String),
}

/// What queries are about, by name. A gap for which there is none is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Names {
    /// The rollout.
    pub name: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// The workload.
    pub target: Option<String>,
    /// The service; default: as the target.
    pub service: Option<String>,
    /// The ingress; default: as the target.
    pub ingress: Option<String>,
    /// The route; default: as the target.
    pub route: Option<String>,
    /// Whatever else queries need.
    pub variables: BTreeMap<String, String>,
}

/// What gaps are filled with.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    /// What the query is about.
    pub names: &'a Names,
    /// The revision that is measured.
    pub revision: Option<&'a str>,
    /// How far it looks back, at least 1 ms; what is finer than that is dropped.
    pub interval: Duration,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`], with the place.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let parts = escape::contexts(parse::parts(text)?);
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// Whether it says which revision it is about.
    pub fn has_revision(&self) -> bool {
        let is_revision = |part: &Part| {
            matches!(
                part,
                Part::Gap {
                    gap: Gap::Revision,
                    ..
                }
            )
        };
        self.parts.iter().any(is_revision)
    }

    /// The query.
    ///
    /// # Errors
    /// [`TemplateError::Missing`] for a gap that nothing fills, [`TemplateError::Unfit`] for a name that cannot stand
    /// where the gap is.
    pub fn render(&self, filling: &Filling<'_>) -> Result<String, TemplateError> {
        let mut query = String::with_capacity(self.text.len());
        for part in &self.parts {
            match part {
                Part::Text(text) => query.push_str(text),
                Part::Gap { gap, at, context } => {
                    let missing = || TemplateError::Missing {
                        name: gap.to_string(),
                        at: *at,
                    };
                    let value = filling.value(gap).ok_or_else(missing)?;
                    let verbatim = matches!(gap, Gap::Variable(_) | Gap::Interval);
                    if verbatim {
                        query.push_str(&value);
                    } else {
                        let unfit = |why| TemplateError::Unfit {
                            name: gap.to_string(),
                            at: *at,
                            value: crate::error::shortened(&value, 80),
                            why,
                        };
                        context.write(&value, &mut query).map_err(unfit)?;
                    }
                }
            }
        }
        Ok(query)
    }

    /// The text that it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the query follows the window that it is asked over: whether it has a gap for the interval.
    pub fn has_interval(&self) -> bool {
        let interval = |it: &Part| {
            matches!(
                it,
                Part::Gap {
                    gap: Gap::Interval,
                    ..
                }
            )
        };
        self.parts.iter().any(interval)
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        Self::parse(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Filling<'_> {
    fn value(&self, gap: &Gap) -> Option<String> {
        let Names {
            name,
            namespace,
            target,
            service,
            ingress,
            route,
            variables,
        } = self.names;
        let or_target = |it: &Option<String>| it.clone().or_else(|| target.clone());
        match gap {
            Gap::Name => name.clone(),
            Gap::Namespace => namespace.clone(),
            Gap::Target => target.clone(),
            Gap::Service => or_target(service),
            Gap::Ingress => or_target(ingress),
            Gap::Route => or_target(route),
            Gap::Revision => self.revision.map(str::to_owned),
            Gap::Interval => {
                let interval = PromDuration::saturating_from(self.interval);
                (interval.as_millis() > 0).then(|| interval.to_string())
            }
            Gap::Variable(name) => variables.get(name).cloned(),
        }
    }
}

impl Gap {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "name" => Self::Name,
            "namespace" => Self::Namespace,
            "target" => Self::Target,
            "service" => Self::Service,
            "ingress" => Self::Ingress,
            "route" => Self::Route,
            "revision" => Self::Revision,
            "interval" => Self::Interval,
            _ => return None,
        })
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Namespace => "namespace",
            Self::Target => "target",
            Self::Service => "service",
            Self::Ingress => "ingress",
            Self::Route => "route",
            Self::Revision => "revision",
            Self::Interval => "interval",
            Self::Variable(name) => return write!(f, "variables.{name}"),
        })
    }
}

/// A template that cannot be used. Places are offsets in bytes from the beginning of the template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A gap without an end.
    #[error("`{{{{` at offset {at} is never closed (expected `}}}}`)")]
    Unclosed {
        /// Where it begins.
        at: usize,
    },
    /// A gap with nothing in it.
    #[error("the gap at offset {at} is empty (expected e.g. {{{{ target }}}})")]
    Empty {
        /// Where it begins.
        at: usize,
    },
    /// A name that nothing has.
    #[error(
        "`{name}` at offset {at} is unknown (expected name, namespace, target, service, ingress, route, revision, interval \
         or variables.x)"
    )]
    Unknown {
        /// The name, shortened.
        name: String,
        /// Where it stands.
        at: usize,
    },
    /// Something that Go's `text/template` has and this has not.
    #[error("`{text}` at offset {at}: {feature} of Go templates are not supported (write the query out)")]
    Unsupported {
        /// The text, shortened.
        text: String,
        /// Where it stands.
        at: usize,
        /// Which feature it belongs to, in the plural.
        feature: &'static str,
    },
    /// A gap for which nothing is known.
    #[error("there is nothing to put in for `{name}` at offset {at}")]
    Missing {
        /// What should be put in.
        name: String,
        /// Where the gap is.
        at: usize,
    },
    /// A name that would be read as something else where the gap is.
    #[error("{value:?} cannot be put in for `{name}` at offset {at}: {why}")]
    Unfit {
        /// What should be put in.
        name: String,
        /// Where the gap is.
        at: usize,
        /// The name, shortened.
        value: String,
        /// Why not.
        why: &'static str,
    },
}

#[cfg(test)]
mod tests;
