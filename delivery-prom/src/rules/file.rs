//! Reads rules. What Prometheus would refuse is a finding, and everything around it is read all the same.

use std::collections::BTreeSet;
use std::time::Duration;

use delivery_core::time::PromDuration;
use promql_parser::parser::Expr;

use super::node::{Entry, Node, Value};
use super::{Finding, Lint, RuleName, expression};

/// The rules of a file, and what is wrong with its structure.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) alerts: Vec<Alerting>,
    pub(super) records: Vec<Recording>,
    pub(super) refused: Vec<Finding>,
}

/// An alerting rule.
#[derive(Debug)]
pub(super) struct Alerting {
    pub(super) name: RuleName,
    pub(super) line: u64,
    /// None where it is no expression: the texts can be checked all the same.
    pub(super) expr: Option<Expr>,
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

/// What may stand at the top of a file; `namespace` is Mimir's.
const FILE: [&str; 2] = ["groups", "namespace"];

/// What a group may have; the last ones are Thanos' and Mimir's.
const GROUP: [&str; 10] = [
    "name",
    "interval",
    "query_offset",
    "limit",
    "labels",
    "rules",
    "partial_response_strategy",
    "source_tenants",
    "evaluation_delay",
    "align_evaluation_time_on_interval",
];

const RULE: [&str; 7] = [
    "record",
    "alert",
    "expr",
    "for",
    "keep_firing_for",
    "labels",
    "annotations",
];

/// All rules of all documents; none where no document has any groups.
pub(super) fn rules(documents: &[Node]) -> Option<Rules> {
    let mut rules = None;
    for document in documents {
        let items = document.find("items").map(Node::items).unwrap_or_default();
        for manifest in items.iter().chain([document]) {
            let spec = manifest
                .find("spec")
                .filter(|_| kind(manifest) == Some("PrometheusRule"));
            let place = spec.unwrap_or(manifest);
            let groups = place.entry("groups");
            if groups.is_none() && spec.is_none() {
                continue;
            }
            let mut reader = Reader {
                rules: rules.get_or_insert_with(Rules::default),
                rule: None,
            };
            match groups {
                Some(groups) => reader.groups(groups),
                None => reader.refuse(
                    place.line,
                    String::from("a PrometheusRule without `spec.groups`"),
                    "give it a list of groups",
                ),
            }
            if manifest.entry("kind").is_none() {
                reader.fields(manifest, "a rules file", &FILE);
            }
        }
    }
    rules
}

/// What stands twice where it may stand once.
pub(super) fn repeated(documents: &[Node]) -> Vec<Finding> {
    let entries = documents.iter().flat_map(Node::repeated);
    let finding = |entry: &Entry| Finding {
        file: String::new(),
        line: entry.line,
        lint: Lint::Refused,
        rule: None,
        wrong: format!("`{}` stands twice in the same mapping", entry.key),
        right: String::from("keep one of them"),
    };
    entries.map(finding).collect()
}

fn kind(manifest: &Node) -> Option<&str> {
    manifest.find("kind")?.scalar()
}

struct Reader<'a> {
    rules: &'a mut Rules,
    /// The rule that is read.
    rule: Option<RuleName>,
}

impl Reader<'_> {
    fn refuse(&mut self, line: u64, wrong: String, right: impl Into<String>) {
        self.rules.refused.push(Finding {
            file: String::new(),
            line,
            lint: Lint::Refused,
            rule: self.rule.clone(),
            wrong,
            right: right.into(),
        });
    }

    /// Reports fields that nobody knows.
    fn fields(&mut self, node: &Node, of: &str, known: &[&str]) {
        for entry in node.entries() {
            if !known.contains(&entry.key.as_str()) {
                self.refuse(
                    entry.line,
                    format!("{of} has no field `{}`", entry.key),
                    format!("expected {}", known.join(", ")),
                );
            }
        }
    }

    fn groups(&mut self, entry: &Entry) {
        let mut names = BTreeSet::new();
        for group in self.list(entry).iter().filter(|it| it.value != Value::Null) {
            self.group(group, &mut names);
        }
    }

    fn list<'n>(&mut self, entry: &'n Entry) -> &'n [Node] {
        match &entry.value.value {
            Value::List(items) => items,
            Value::Null => &[],
            Value::Scalar(_) | Value::Map(_) => {
                self.refuse(
                    entry.line,
                    format!("`{}` is {}", entry.key, entry.value.kind()),
                    "expected a list",
                );
                &[]
            }
        }
    }

    fn group<'n>(&mut self, group: &'n Node, names: &mut BTreeSet<&'n str>) {
        if !matches!(group.value, Value::Map(_)) {
            self.refuse(
                group.line,
                format!("a group is {}", group.kind()),
                "expected a mapping with `name` and `rules`",
            );
            return;
        }
        let name = self.text(group, "name", "a group").map_or("", |it| it.1);
        if !name.is_empty() && !names.insert(name) {
            self.refuse(
                group.line,
                format!("there is another group `{name}` in the file"),
                "give each group a name of its own",
            );
        }
        self.fields(group, "a group", &GROUP);
        let evaluation = self.duration(group, "interval").filter(|it| !it.is_zero());
        self.duration(group, "query_offset");
        if let Some(limit) = group.entry("limit")
            && limit.value.value != Value::Null
            && limit.value.scalar().is_none_or(|it| it.parse::<f64>().is_err())
        {
            self.refuse(
                limit.line,
                String::from("`limit` is no number"),
                "expected e.g. 100",
            );
        }
        let labels = self.texts(group, "labels");
        self.label_names(&labels);
        let Some(entry) = group.entry("rules") else {
            return;
        };
        for rule in self.list(entry).iter().filter(|it| it.value != Value::Null) {
            self.rule(rule, name, evaluation);
            self.rule = None;
        }
    }

    fn rule(&mut self, rule: &Node, group: &str, evaluation: Option<Duration>) {
        if !matches!(rule.value, Value::Map(_)) {
            self.refuse(
                rule.line,
                format!("a rule is {}", rule.kind()),
                "expected a mapping with `alert` or `record`, and `expr`",
            );
            return;
        }
        let given = |key: &str| {
            rule.entry(key)
                .filter(|it| it.value.value != Value::Null && it.value.scalar() != Some(""))
        };
        let (alert, record) = (given("alert"), given("record"));
        let name = alert
            .or(record)
            .and_then(|it| it.value.scalar())
            .unwrap_or_default();
        if !name.is_empty() {
            self.rule = Some(RuleName {
                group: group.into(),
                rule: name.into(),
            });
        }
        self.fields(rule, "a rule", &RULE);
        let labels = self.texts(rule, "labels");
        self.label_names(&labels);
        let annotations = self.texts(rule, "annotations");
        if let Some(nameless) = annotations.iter().find(|it| it.name.is_empty()) {
            self.refuse(
                nameless.line,
                String::from("an annotation has no name"),
                "name it",
            );
        }
        let hold = self.duration(rule, "for");
        self.duration(rule, "keep_firing_for");
        let expr = self.expr(rule);
        match (alert, record) {
            (Some(alert), Some(_)) => self.refuse(
                alert.line,
                String::from("a rule has both `alert` and `record`"),
                "make two rules of it",
            ),
            (Some(_), None) => {
                let line = self.text(rule, "alert", "a rule").map(|it| it.0);
                self.rules.alerts.push(Alerting {
                    name: RuleName {
                        group: group.into(),
                        rule: name.into(),
                    },
                    line: line.unwrap_or(rule.line),
                    expr_line: rule.entry("expr").map_or(rule.line, |it| it.line),
                    expr,
                    hold: hold.unwrap_or_default(),
                    evaluation,
                    labels,
                    annotations,
                });
            }
            (None, Some(_)) => {
                self.text(rule, "record", "a rule");
                self.recording(rule, name, labels, expr);
            }
            (None, None) => {
                self.refuse(
                    rule.line,
                    String::from("a rule has neither `alert` nor `record`"),
                    "name it",
                );
            }
        }
    }

    fn label_names(&mut self, labels: &[Text]) {
        for label in labels {
            if label.name.is_empty() || label.name == "__name__" {
                self.refuse(
                    label.line,
                    format!("the label `{}` cannot be set", label.name),
                    "name another label",
                );
            }
        }
    }

    fn recording(&mut self, rule: &Node, name: &str, labels: Vec<Text>, expr: Option<Expr>) {
        for key in ["for", "keep_firing_for", "annotations"] {
            let given = rule.entry(key).filter(|it| match &it.value.value {
                Value::Null => false,
                Value::Map(entries) => !entries.is_empty(),
                // No time is as good as none.
                Value::Scalar(text) => !text.parse::<PromDuration>().is_ok_and(|it| it.as_millis() == 0),
                Value::List(_) => true,
            });
            if let Some(entry) = given {
                self.refuse(
                    entry.line,
                    format!("a rule with `record` has `{key}`"),
                    "leave it out: only alerts have it",
                );
            }
        }
        if name.contains(['{', '}']) {
            self.refuse(
                rule.line,
                format!("`record` is {name:?}, which is no name of a metric"),
                "put labels into `labels`, and what is measured into `expr`",
            );
        }
        if let Some(expr) = expr
            && !name.is_empty()
        {
            self.rules.records.push(Recording {
                name: name.into(),
                expr,
                labels,
            });
        }
    }

    fn text<'n>(&mut self, node: &'n Node, key: &str, what: &str) -> Option<(u64, &'n str)> {
        let Some(entry) = node.entry(key).filter(|it| it.value.value != Value::Null) else {
            self.refuse(
                node.line,
                format!("{what} needs `{key}`"),
                format!("give it `{key}`"),
            );
            return None;
        };
        match entry.value.scalar() {
            Some(text) if !text.is_empty() => return Some((entry.line, text)),
            Some(_) => self.refuse(entry.line, format!("`{key}` is empty"), "expected a text"),
            None => self.refuse(
                entry.line,
                format!("`{key}` is {}", entry.value.kind()),
                "expected a text",
            ),
        }
        None
    }

    fn expr(&mut self, rule: &Node) -> Option<Expr> {
        let (line, text) = self.text(rule, "expr", "a rule")?;
        match expression::parse(text) {
            Ok(expr) => Some(expr),
            Err(why) => {
                self.refuse(
                    line,
                    format!("`expr` is no PromQL that we can read: {}", on_one_line(&why)),
                    "correct the expression",
                );
                None
            }
        }
    }

    fn duration(&mut self, node: &Node, key: &str) -> Option<Duration> {
        let entry = node.entry(key).filter(|it| it.value.value != Value::Null)?;
        let Some(text) = entry.value.scalar() else {
            self.refuse(
                entry.line,
                format!("`{key}` is {}", entry.value.kind()),
                "expected a duration, e.g. 2m",
            );
            return None;
        };
        match text.parse::<PromDuration>() {
            Ok(duration) => Some(duration.into()),
            Err(why) => {
                self.refuse(
                    entry.line,
                    format!("`{key}`: {why}"),
                    "expected a duration, e.g. 2m",
                );
                None
            }
        }
    }

    fn texts(&mut self, node: &Node, key: &str) -> Vec<Text> {
        let Some(entry) = node.entry(key) else {
            return Vec::new();
        };
        let entries = match &entry.value.value {
            Value::Null => return Vec::new(),
            Value::Map(entries) => entries,
            Value::Scalar(_) | Value::List(_) => {
                self.refuse(
                    entry.line,
                    format!("`{key}` is {}", entry.value.kind()),
                    "expected a mapping of texts",
                );
                return Vec::new();
            }
        };
        let mut texts = Vec::new();
        for entry in entries {
            let source = match &entry.value.value {
                Value::Scalar(text) => text.clone(),
                Value::Null => String::new(),
                Value::List(_) | Value::Map(_) => {
                    self.refuse(
                        entry.line,
                        format!("`{}` of `{key}` is {}", entry.key, entry.value.kind()),
                        "expected a text",
                    );
                    continue;
                }
            };
            texts.push(Text {
                name: entry.key.clone(),
                line: entry.line,
                source,
            });
        }
        texts
    }
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
