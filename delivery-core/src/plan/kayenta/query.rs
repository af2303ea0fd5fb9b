//! The query of a metric: which text Kayenta would send to a Prometheus, with gaps where it puts the scope in.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;

/// A metric's query, as a canary config has it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Query {
    #[serde(rename = "type")]
    kind: Option<String>,
    service_type: Option<String>,
    custom_inline_template: Option<String>,
    custom_filter_template: Option<String>,
    custom_filter: Option<String>,
    metric_name: Option<String>,
    resource_type: Option<String>,
    label_bindings: Option<Vec<String>>,
    group_by_fields: Option<Vec<String>>,
}

/// What fills the placeholders of a template, each as it is.
pub(super) struct Filling<'a> {
    pub(super) templates: &'a BTreeMap<String, String>,
    pub(super) values: &'a [(&'a str, &'a str)],
}

/// A query that was read.
pub(super) struct Text {
    pub(super) text: String,
    /// Whether the sides are told apart by it.
    pub(super) has_revision: bool,
}

/// The gap for the revision that is measured, as the adapters fill it.
const REVISION: &str = "{{ revision }}";

impl Query {
    /// What a Prometheus is asked, or the field that stands against it, and why.
    pub(super) fn text(&self, filling: &Filling<'_>) -> Result<Text, (&'static str, String)> {
        let kind = self.kind.as_ref().or(self.service_type.as_ref());
        match kind.map(String::as_str) {
            Some("prometheus") => {}
            Some(other) => {
                return Err((
                    "type",
                    format!("a query of {other} is written in its own language"),
                ));
            }
            None => {
                return Err((
                    "type",
                    String::from("nothing says whose query it is (expected prometheus)"),
                ));
            }
        }
        if filled(self.custom_filter.as_ref()).is_some() {
            let why = "customFilter is no longer read by Kayenta itself: use customInlineTemplate";
            return Err(("customFilter", String::from(why)));
        }
        let template = self.template(filling.templates)?;
        let Some(template) = template else {
            return Err((
                "resourceType",
                match filled(self.resource_type.as_ref()) {
                    Some(kind) => format!("the filters for {kind} are made of a scope and a location there"),
                    None => String::from("there is no template that selects the series"),
                },
            ));
        };
        let expanded = expand(&template.1, filling.values).map_err(|why| (template.0, why))?;
        let has_revision = expanded.contains(REVISION);
        let text = match expanded.strip_prefix("PromQL:") {
            Some(expression) => String::from(expression.trim()),
            None => self.filtered(&expanded)?,
        };
        if text.is_empty() {
            return Err((template.0, String::from("it is empty")));
        }
        Ok(Text { text, has_revision })
    }

    /// The template, and the field that names it.
    fn template(
        &self,
        templates: &BTreeMap<String, String>,
    ) -> Result<Option<(&'static str, String)>, (&'static str, String)> {
        if let Some(inline) = filled(self.custom_inline_template.as_ref()) {
            return Ok(Some(("customInlineTemplate", unescaped(inline))));
        }
        let Some(name) = filled(self.custom_filter_template.as_ref()) else {
            return Ok(None);
        };
        let field = "customFilterTemplate";
        match templates.get(name) {
            Some(named) => Ok(Some((field, unescaped(named)))),
            None => Err((field, format!("`templates` has no {name:?}"))),
        }
    }

    /// What Kayenta makes of a filter: the average of the metric's series that it selects.
    fn filtered(&self, filter: &str) -> Result<String, (&'static str, String)> {
        if self.group_by_fields.as_ref().is_some_and(|it| !it.is_empty()) {
            let why = "each group was judged by itself there, and a metric is one number here: write one metric for \
                       each group";
            return Err(("groupByFields", String::from(why)));
        }
        let Some(name) = filled(self.metric_name.as_ref()) else {
            let why =
                "a template that does not begin with `PromQL:` is a filter, and there is no metric to filter";
            return Err(("metricName", String::from(why)));
        };
        let bindings = self.label_bindings.iter().flatten().map(String::as_str);
        let matchers: Vec<&str> = [filter].into_iter().chain(bindings).collect();
        Ok(format!("avg({name}{{{}}})", matchers.join(",")))
    }
}

/// Kayenta takes an empty text for none.
fn filled(text: Option<&String>) -> Option<&String> {
    text.filter(|it| !it.is_empty())
}

/// Spinnaker keeps `$\{…}` in pipelines, so that its own expressions do not touch it.
fn unescaped(template: &str) -> String {
    template.replace("$\\{", "${")
}

/// Fills the placeholders: those with a value by it, the scope by the gap for the revision.
fn expand(template: &str, values: &[(&str, &str)]) -> Result<String, String> {
    if template.contains("{{") {
        return Err(String::from(
            "`{{` begins a gap here: write what stands there in another way",
        ));
    }
    if let Some(directive) = ["<#", "</#", "<@", "#{", "[="]
        .iter()
        .find(|it| template.contains(**it))
    {
        return Err(format!(
            "`{directive}` of FreeMarker is not known: only ${{name}} is"
        ));
    }
    let mut expanded = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let (name, behind) = after
            .split_once('}')
            .ok_or_else(|| String::from("a `${` is never closed"))?;
        let given = values.iter().find(|(known, _)| *known == name);
        expanded.push_str(&match given {
            Some((_, value)) => Cow::from(*value),
            None if name != "scope" => {
                return Err(format!(
                    "${{{name}}} has no value: give it one, or `{REVISION}` if it tells the sides apart"
                ));
            }
            None if !in_quotes(&expanded) => {
                let why = "${scope} stands outside of quotes: give it a value, such as a matcher of labels with \
                           `{{ revision }}` in it";
                return Err(String::from(why));
            }
            None => Cow::from(REVISION),
        });
        rest = behind;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Whether a text ends inside a quoted one, as a Prometheus reads it.
fn in_quotes(text: &str) -> bool {
    let mut quote = None;
    let mut escaped = false;
    for character in text.chars() {
        match quote {
            None => quote = matches!(character, '"' | '\'' | '`').then_some(character),
            Some(_) if escaped => escaped = false,
            Some(open) if character == open => quote = None,
            Some(open) => escaped = character == '\\' && open != '`',
        }
    }
    quote.is_some()
}
