//! The functions that Prometheus' templates have: Go's own and Prometheus', with what they take and give.

use Takes::{Numeric, Sample, Samples, Text};

use super::printed::Shape;

/// What a function takes as one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Text,
    /// A number, or a text that is one.
    Numeric,
    Sample,
    Samples,
}

impl Takes {
    /// Whether it may be this, as far as anybody can tell.
    pub(super) const fn may_be(self, given: &Shape) -> bool {
        match given {
            Shape::Unknown => true,
            Shape::Text | Shape::Decimals => matches!(self, Self::Text | Self::Numeric),
            Shape::Value | Shape::Float | Shape::Integer => matches!(self, Self::Numeric),
            Shape::Sample => matches!(self, Self::Sample),
            Shape::Samples => matches!(self, Self::Samples),
            Shape::Alert | Shape::Labels | Shape::Map | Shape::Bool => false,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Numeric => "a number",
            Self::Sample => "a sample of a query's result (as `first` gives it)",
            Self::Samples => "a query's result",
        }
    }
}

/// A function of Prometheus': what it takes, and what it gives.
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) takes: &'static [Takes],
    pub(super) gives: Shape,
}

const fn function(name: &'static str, takes: &'static [Takes], gives: Shape) -> Function {
    Function { name, takes, gives }
}

/// All but `args`, which takes any number of anything. `tmpl` is for consoles only.
const PROMETHEUS: [Function; 28] = [
    function("externalURL", &[], Shape::Text),
    function("first", &[Samples], Shape::Sample),
    function("graphLink", &[Text], Shape::Text),
    function("humanize", &[Numeric], Shape::Text),
    function("humanize1024", &[Numeric], Shape::Text),
    function("humanizeDuration", &[Numeric], Shape::Text),
    function("humanizePercentage", &[Numeric], Shape::Text),
    function("humanizeTimestamp", &[Numeric], Shape::Text),
    function("label", &[Text, Sample], Shape::Text),
    function("match", &[Text, Text], Shape::Bool),
    function("now", &[], Shape::Float),
    function("parseDuration", &[Text], Shape::Float),
    function("pathPrefix", &[], Shape::Text),
    function("query", &[Text], Shape::Samples),
    function("reReplaceAll", &[Text, Text, Text], Shape::Text),
    function("safeHtml", &[Text], Shape::Text),
    function("sortByLabel", &[Text, Samples], Shape::Samples),
    function("stripDomain", &[Text], Shape::Text),
    function("stripPort", &[Text], Shape::Text),
    function("strvalue", &[Sample], Shape::Text),
    function("tableLink", &[Text], Shape::Text),
    function("title", &[Text], Shape::Text),
    function("toDuration", &[Numeric], Shape::Unknown),
    function("toLower", &[Text], Shape::Text),
    function("toTime", &[Numeric], Shape::Unknown),
    function("toUpper", &[Text], Shape::Text),
    function("urlQueryEscape", &[Text], Shape::Text),
    // A sample's value may be a native histogram, as text.
    function("value", &[Sample], Shape::Unknown),
];

/// Go's own.
const GO: [&str; 19] = [
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print",
    "printf", "println", "slice", "urlquery",
];

/// A function of Prometheus' that takes a certain number of arguments.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    PROMETHEUS.iter().find(|it| it.name == name)
}

/// Whether an alert's template may call it.
pub(super) fn exists(name: &str) -> bool {
    GO.contains(&name) || name == "args" || find(name).is_some()
}

/// All of Prometheus', for errors.
pub(super) fn known() -> String {
    let names: Vec<&str> = PROMETHEUS.iter().map(|it| it.name).collect();
    names.join(", ")
}

/// The one that differs only in its case.
pub(super) fn alike(name: &str) -> Option<&'static str> {
    let all = PROMETHEUS.iter().map(|it| it.name).chain(GO);
    all.into_iter().find(|it| it.eq_ignore_ascii_case(name))
}
