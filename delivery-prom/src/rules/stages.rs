//! The lints of log pipelines: promtail's, Alloy's.

use std::collections::BTreeSet;

use super::node::{Node, Value};
use super::{Finding, Lint};

/// Stages that a line passes one after the other.
pub(super) type Pipeline = Vec<Stage>;

/// One stage.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stage {
    /// `json`, `labels`, `drop`, ...
    pub(super) kind: String,
    pub(super) line: u64,
    pub(super) options: Node,
    /// What is inside a `match`.
    pub(super) inner: Pipeline,
}

/// All lists of stages, however deep: in promtail's configuration and in the values of its Helm chart.
pub(super) fn pipelines(documents: &[Node]) -> Vec<Pipeline> {
    let mut found = Vec::new();
    for document in documents {
        search(document, &mut found);
    }
    found
}

fn search(node: &Node, found: &mut Vec<Pipeline>) {
    for item in node.items() {
        search(item, found);
    }
    for entry in node.entries() {
        if matches!(entry.key.as_str(), "pipeline_stages" | "pipelineStages") {
            found.push(pipeline(&entry.value));
        } else {
            search(&entry.value, found);
        }
    }
}

fn pipeline(list: &Node) -> Pipeline {
    list.items()
        .iter()
        .flat_map(Node::entries)
        .map(|it| Stage {
            kind: it.key.clone(),
            line: it.line,
            options: it.value.clone(),
            inner: it.value.find("stages").map(pipeline).unwrap_or_default(),
        })
        .collect()
}

pub(super) fn check(pipelines: &[Pipeline]) -> Vec<Finding> {
    let mut found = Vec::new();
    for pipeline in pipelines {
        walk(pipeline, BTreeSet::new(), &mut found);
    }
    found
}

/// `fields` are the names that a JSON line has, as far as the stages before tell.
fn walk(pipeline: &[Stage], mut fields: BTreeSet<String>, found: &mut Vec<Finding>) {
    for stage in pipeline {
        match stage.kind.as_str() {
            "json" => fields.extend(json_fields(stage)),
            "labels" => found.extend(high_cardinality(stage)),
            "drop" => found.extend(never_matches(stage, &fields)),
            _ => {}
        }
        walk(&stage.inner, fields.clone(), found);
    }
}

/// What a `json` stage extracts, by both of its names.
fn json_fields(stage: &Stage) -> BTreeSet<String> {
    let expressions = stage
        .options
        .find("expressions")
        .map(Node::entries)
        .unwrap_or_default();
    expressions
        .iter()
        .flat_map(|it| [Some(it.key.clone()), it.value.scalar().map(String::from)])
        .flatten()
        .filter(|it| !it.is_empty())
        .collect()
}

fn never_matches(stage: &Stage, fields: &BTreeSet<String>) -> Option<Finding> {
    let expression = stage.options.find("expression")?.scalar()?;
    let source = stage.options.find("source").filter(|it| it.value != Value::Null);
    let sources: BTreeSet<String> = match source {
        None => fields.clone(),
        Some(source) => source
            .items()
            .iter()
            .chain([source])
            .filter_map(Node::scalar)
            .map(String::from)
            .collect(),
    };
    let (field, value) = sources
        .iter()
        .find_map(|it| Some((it, written_as_pair(expression, it)?)))?;
    let wrong = if source.is_none() {
        format!(
            "`drop` without `source` looks at the raw line, which is JSON here: `{expression}` never matches \
             {{\"{field}\":\"{value}\"}}, so nothing is dropped"
        )
    } else {
        format!(
            "`drop` looks at what was extracted as `{field}`: `{expression}` never matches the value `{value}`, so \
             nothing is dropped"
        )
    };
    Some(Finding {
        file: String::new(),
        line: stage.line,
        lint: Lint::DropNeverMatches,
        rule: None,
        wrong,
        right: format!("compare the extracted field: `source: {field}` with `value: {value}`"),
    })
}

/// The value in `field=value`, where an expression has that.
fn written_as_pair(expression: &str, field: &str) -> Option<String> {
    let pair = [field, "="].concat();
    let (before, behind) = expression.split_once(&pair)?;
    if before.ends_with(|it: char| it.is_alphanumeric() || it == '_') {
        return None;
    }
    let value = behind.trim_start_matches(['"', '\\', '(']);
    let end = value
        .find(|it: char| !it.is_alphanumeric() && it != '_' && it != '-')
        .unwrap_or(value.len());
    value.get(..end).filter(|it| !it.is_empty()).map(String::from)
}

/// Names of things that are different for each request or user, without underscores.
const MANY: [&str; 23] = [
    "traceid",
    "spanid",
    "requestid",
    "reqid",
    "correlationid",
    "transactionid",
    "messageid",
    "userid",
    "customerid",
    "accountid",
    "orderid",
    "sessionid",
    "uuid",
    "guid",
    "ip",
    "clientip",
    "remoteaddr",
    "url",
    "uri",
    "useragent",
    "email",
    "timestamp",
    "duration",
];

fn high_cardinality(stage: &Stage) -> Vec<Finding> {
    // Alloy has them one level deeper.
    let labels = stage
        .options
        .find("values")
        .map_or(stage.options.entries(), Node::entries);
    labels
        .iter()
        .filter_map(|it| {
            let source = it.value.scalar().filter(|it| !it.is_empty());
            [Some(it.key.as_str()), source]
                .into_iter()
                .flatten()
                .find(|it| has_many_values(it))?;
            let label = &it.key;
            Some(Finding {
                file: String::new(),
                line: it.line,
                lint: Lint::HighCardinality,
                rule: None,
                wrong: format!(
                    "label `{label}` has a value for each request, and each value is a stream of its own"
                ),
                right: format!("keep `{label}` out of `labels`: put it into `structured_metadata`"),
            })
        })
        .collect()
}

fn has_many_values(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(|it| it.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    MANY.contains(&plain.as_str())
}
