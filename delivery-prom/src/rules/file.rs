//! Reads rules.

use std::time::Duration;

use delivery_core::time::PromDuration;
use promql_parser::parser::Expr;

use super::node::{Entry, Node, Value};
use super::{Fault, RuleName, expression};

/// The rules of a file.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) alerts: Vec<Alerting>,
    pub(super) records: Vec<Recording>,
}

/// An alerting rule.
#[derive(Debug)]
pub(super) struct Alerting {
    pub(super) name: RuleName,
    pub(super) line: u64,
    pub(super) expr: Expr,
    pub(super) expr_line: u64,
    pub(super) hold: Duration,
    /// How often its group is evaluated, where the group says so.
    pub(super) evaluation: Option<Duration>,
    pub(super) labels: Vec<Text>,
    pub(super) annotations: Vec<Text>,
}

/// A recording rule.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) name: String,
    pub(super) expr: Expr,
    pub(super) labels: Vec<Text>,
}

/// A label or an annotation.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) name: String,
    pub(super) line: u64,
    pub(super) source: String,
}

/// All rules of all documents; none where no document has any groups.
pub(super) fn rules(documents: &[Node]) -> Result<Option<Rules>, Fault> {
    let mut rules = None;
    for document in documents {
        let items = document.find("items").map(Node::items).unwrap_or_default();
        for manifest in items.iter().chain([document]) {
            let spec = manifest
                .find("spec")
                .filter(|_| kind(manifest) == Some("PrometheusRule"));
            let Some(groups) = spec.unwrap_or(manifest).entry("groups") else {
                if let Some(spec) = spec {
                    return Err(Fault::at(spec.line, "a PrometheusRule without `spec.groups`"));
                }
                continue;
            };
            let rules = rules.get_or_insert_with(Rules::default);
            for group in list(groups)? {
                read_group(group, rules)?;
            }
        }
    }
    Ok(rules)
}

fn kind(manifest: &Node) -> Option<&str> {
    manifest.find("kind")?.scalar()
}

fn read_group(group: &Node, rules: &mut Rules) -> Result<(), Fault> {
    let name = text(group, "name", "a group")?.1;
    let evaluation = duration(group, "interval")?;
    let Some(entry) = group.entry("rules") else {
        return Err(Fault::at(
            group.line,
            format!("group `{name}` has no `rules` (expected a list)"),
        ));
    };
    for rule in list(entry)? {
        let labels = texts(rule, "labels")?;
        if let Some(record) = rule.find("record") {
            let (_, expr) = expr(rule)?;
            let Some(name) = record.scalar() else {
                return Err(Fault::at(record.line, "`record` is not a name"));
            };
            rules.records.push(Recording {
                name: name.into(),
                expr,
                labels,
            });
            continue;
        }
        let (line, alert) = text(rule, "alert", "a rule (unless it has `record`)")?;
        let (expr_line, expr) = expr(rule)?;
        rules.alerts.push(Alerting {
            name: RuleName {
                group: name.clone(),
                rule: alert,
            },
            line,
            expr,
            expr_line,
            hold: duration(rule, "for")?.unwrap_or_default(),
            evaluation,
            labels,
            annotations: texts(rule, "annotations")?,
        });
    }
    Ok(())
}

fn list(entry: &Entry) -> Result<&[Node], Fault> {
    match &entry.value.value {
        Value::List(items) => Ok(items),
        Value::Null => Ok(&[]),
        Value::Scalar(_) | Value::Map(_) => Err(Fault::at(
            entry.line,
            format!("`{}` is {} (expected a list)", entry.key, entry.value.kind()),
        )),
    }
}

fn text(node: &Node, key: &str, what: &str) -> Result<(u64, String), Fault> {
    let Some(entry) = node.entry(key) else {
        return Err(Fault::at(node.line, format!("{what} needs `{key}`")));
    };
    match entry.value.scalar() {
        Some(text) if !text.trim().is_empty() => Ok((entry.line, text.into())),
        _ => Err(Fault::at(
            entry.line,
            format!("`{key}` is {} (expected a text)", entry.value.kind()),
        )),
    }
}

fn expr(rule: &Node) -> Result<(u64, Expr), Fault> {
    let (line, text) = text(rule, "expr", "a rule")?;
    let expr = expression::parse(&text)
        .map_err(|it| Fault::at(line, format!("`expr` is no PromQL that we can read: {it}")))?;
    Ok((line, expr))
}

fn duration(node: &Node, key: &str) -> Result<Option<Duration>, Fault> {
    let Some(entry) = node.entry(key).filter(|it| it.value.value != Value::Null) else {
        return Ok(None);
    };
    let wrong = |why: String| Fault::at(entry.line, format!("`{key}`: {why}"));
    let text = entry.value.scalar().ok_or_else(|| {
        wrong(format!(
            "{} is no duration (expected e.g. 2m)",
            entry.value.kind()
        ))
    })?;
    let duration: PromDuration = text.parse().map_err(|it| wrong(format!("{it}")))?;
    Ok(Some(duration.into()))
}

fn texts(rule: &Node, key: &str) -> Result<Vec<Text>, Fault> {
    let Some(entry) = rule.entry(key) else {
        return Ok(Vec::new());
    };
    let wrong = |line: u64, it: &Node| {
        Fault::at(
            line,
            format!("`{key}` is {} (expected a mapping of texts)", it.kind()),
        )
    };
    match &entry.value.value {
        Value::Null => Ok(Vec::new()),
        Value::Map(entries) => entries
            .iter()
            .map(|it| match &it.value.value {
                Value::Scalar(text) => Ok(Text {
                    name: it.key.clone(),
                    line: it.line,
                    source: text.clone(),
                }),
                Value::Null => Ok(Text {
                    name: it.key.clone(),
                    line: it.line,
                    source: String::new(),
                }),
                Value::List(_) | Value::Map(_) => Err(wrong(it.line, &it.value)),
            })
            .collect(),
        Value::Scalar(_) | Value::List(_) => Err(wrong(entry.line, &entry.value)),
    }
}
