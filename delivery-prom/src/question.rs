//! What is asked for a metric.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::reply::Pick;
use crate::template::{Template, TemplateError};

/// What is asked for a metric, and what is made of the answer. All texts are [templates](crate::template).
///
/// ```
/// use delivery_prom::{Form, Question};
///
/// let question = Question::new(Form::counts(
///     r#"http_requests_total{app="{{ target }}"}"#,
///     r#"http_requests_total{app="{{ target }}", code=~"5.."}"#,
/// )?)
/// .against(Form::counts(
///     r#"http_requests_total{app="{{ target }}-primary"}"#,
///     r#"http_requests_total{app="{{ target }}-primary", code=~"5.."}"#,
/// )?);
/// assert!(question.primary.is_some());
/// # Ok::<(), delivery_prom::template::TemplateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Question {
    /// About the canary.
    pub canary: Form,
    /// About the primary, for judges that compare. In the same form.
    #[serde(default)]
    pub primary: Option<Form>,
    /// Which series counts where a value has several.
    #[serde(default)]
    pub pick: Pick,
    /// The oldest good age of data; never more than the window's length, which is the default.
    #[serde(default, deserialize_with = "duration")]
    pub max_age: Option<Duration>,
    /// A query for the time of the newest data (seconds since 1970), e.g. `max(timestamp(up{app="web"}))`, which is held
    /// against `max_age`. A value that is computed, like a rate, does not tell how old it is.
    #[serde(default)]
    pub newest: Option<Template>,
    /// The labels by which the counters of one process are known.
    #[serde(default = "job_and_instance")]
    pub process: Vec<String>,
}

/// In what form a metric is measured.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Form {
    /// A number, by a query for it. It looks back as far as its ranges say; write them `[{{ interval }}]`, and it keeps to
    /// the window.
    Value(Template),
    /// Requests and how many of them failed, by selectors of counters.
    #[serde(rename_all = "camelCase")]
    Counts {
        /// All requests.
        total: Template,
        /// Some of them.
        part: Part,
    },
    /// Requests and how many of them were slower than a bound of a histogram, by a selector of its buckets.
    #[serde(rename_all = "camelCase")]
    Slower {
        /// The buckets, e.g. `request_duration_seconds_bucket{app="web"}`.
        buckets: Template,
        /// The bound, in the histogram's unit.
        than: f64,
    },
    /// How long requests took, by a selector of a histogram's buckets.
    #[serde(rename_all = "camelCase")]
    Histogram {
        /// The buckets.
        buckets: Template,
        /// What makes the metric's unit of the histogram's: 1000 for milliseconds of seconds.
        #[serde(default = "one")]
        scale: f64,
    },
}

/// Some of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// Those that failed.
    Failed(Template),
    /// Those that did not.
    Good(Template),
}

const fn one() -> f64 {
    1.0
}

fn job_and_instance() -> Vec<String> {
    vec!["job".into(), "instance".into()]
}

impl Question {
    /// A question about the canary alone, with the defaults for everything else.
    pub fn new(canary: Form) -> Self {
        Self {
            canary,
            primary: None,
            pick: Pick::default(),
            max_age: None,
            newest: None,
            process: job_and_instance(),
        }
    }

    /// The same about the primary, to compare with.
    #[must_use]
    pub fn against(self, primary: Form) -> Self {
        Self {
            primary: Some(primary),
            ..self
        }
    }

    /// Which series counts.
    #[must_use]
    pub fn pick(self, pick: Pick) -> Self {
        Self { pick, ..self }
    }

    /// How old data may be.
    #[must_use]
    pub fn max_age(self, max_age: Duration) -> Self {
        Self {
            max_age: Some(max_age),
            ..self
        }
    }

    /// All templates.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Template> {
        [Some(&self.canary), self.primary.as_ref()]
            .into_iter()
            .flatten()
            .flat_map(Form::templates)
            .chain(&self.newest)
    }
}

impl Form {
    /// A number, by a query for it.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn value(query: &str) -> Result<Self, TemplateError> {
        Template::parse(query).map(Self::Value)
    }

    /// Requests and those that failed, by selectors of counters.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn counts(total: &str, failed: &str) -> Result<Self, TemplateError> {
        Ok(Self::Counts {
            total: Template::parse(total)?,
            part: Part::Failed(Template::parse(failed)?),
        })
    }

    /// Requests and those that were slower than a bound, by a selector of a histogram's buckets.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn slower(buckets: &str, than: f64) -> Result<Self, TemplateError> {
        Ok(Self::Slower {
            buckets: Template::parse(buckets)?,
            than,
        })
    }

    /// How long requests took, by a selector of a histogram's buckets; `scale` makes the metric's unit of its own.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn histogram(buckets: &str, scale: f64) -> Result<Self, TemplateError> {
        Ok(Self::Histogram {
            buckets: Template::parse(buckets)?,
            scale,
        })
    }

    fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Value(query) => vec![query],
            Self::Counts {
                total,
                part: Part::Failed(part) | Part::Good(part),
            } => vec![total, part],
            Self::Slower { buckets, .. } | Self::Histogram { buckets, .. } => vec![buckets],
        }
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else {
        return Ok(None);
    };
    delivery_core::time::parse_interval(&text)
        .map(Some)
        .map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_written_in_yaml() {
        let question: Question = serde_saphyr::from_str(
            r#"
            canary: {counts: {total: 'all{a="{{ target }}"}', part: {good: 'all{code="200"}'}}}
            primary: {slower: {buckets: x_bucket, than: 0.5}}
            pick: worst
            maxAge: 90s
            newest: max(timestamp(all))
            "#,
        )
        .unwrap();
        assert!(matches!(
            question.canary,
            Form::Counts {
                part: Part::Good(_),
                ..
            }
        ));
        assert_eq!(question.primary, Some(Form::slower("x_bucket", 0.5).unwrap()));
        assert_eq!(
            (question.pick, question.max_age),
            (Pick::Worst, Some(Duration::from_secs(90)))
        );
        assert_eq!(question.process, ["job", "instance"]);
        assert_eq!(question.templates().count(), 4);
    }

    #[test]
    fn what_is_wrong_with_one_is_said() {
        for (text, says) in [
            ("canary: {value: '{{ targt }}'}", "`targt` at offset 3"),
            ("canary: {value: x}\nmaxAge: soon", "\"soon\" is no duration"),
            ("canary: {value: x}\npick: best", "best"),
            ("canary: {number: x}", "number"),
            ("primary: {value: x}", "canary"),
            ("canary: {value: x}\nage: 1s", "age"),
        ] {
            let error = serde_saphyr::from_str::<Question>(text).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
