//! What a template of an alert prints, as far as that is certain before anything is measured: which labels of the alert it
//! reads, whether it prints the value with all its decimals, and where it prints an error instead.
//!
//! Everything has a [`Shape`], as Go's values have a type. What is not certain is [`Shape::Unknown`], and nothing is said of it.

use std::collections::{BTreeMap, BTreeSet};

use super::functions::{self, Takes};
use super::gotext::{Branch, Command, Node, Number, Operand, Pipe, Term, Tree};
use super::verbs;

/// What kind of value something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    /// The dot of the whole template.
    Alert,
    /// The labels of the alert's element.
    Labels,
    /// Any other labels.
    Map,
    /// The alert's value.
    Value,
    /// A text with the decimals of the alert's value.
    Decimals,
    Float,
    Integer,
    Text,
    Bool,
    /// One of a query's results.
    Sample,
    /// What `query` gives.
    Samples,
    Unknown,
}

impl Shape {
    const fn name(self) -> &'static str {
        match self {
            Self::Alert => "the alert's data",
            Self::Labels | Self::Map => "labels",
            Self::Value => "the value, which is a number",
            Self::Float => "a number",
            Self::Integer => "an integer",
            Self::Decimals | Self::Text => "a text",
            Self::Bool => "a truth value",
            Self::Sample => "a sample",
            Self::Samples => "a query's result",
            Self::Unknown => "something",
        }
    }

    /// What Go compares with each other.
    const fn comparable(self) -> Option<&'static str> {
        match self {
            Self::Value | Self::Float => Some("a number with a point"),
            Self::Integer => Some("an integer"),
            Self::Text | Self::Decimals => Some("a text"),
            Self::Bool => Some("a truth value"),
            _ => None,
        }
    }

    fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Unknown }
    }
}

/// What was found in a template.
#[derive(Debug, Default)]
pub(super) struct Printed {
    /// Labels of the alert's element that it reads.
    pub(super) labels: BTreeSet<String>,
    /// It prints the alert's value as it is.
    pub(super) decimals: bool,
    /// What prints an error, with its offset in bytes.
    pub(super) errors: BTreeSet<(usize, String)>,
}

/// Variables that Prometheus declares for each template of an alert.
pub(super) const VARIABLES: [&str; 4] = ["$labels", "$externalLabels", "$externalURL", "$value"];

/// What a template prints.
pub(super) fn printed(tree: &Tree) -> Printed {
    let mut assigned = BTreeSet::new();
    for nodes in tree.defined.values().chain([&tree.body]) {
        assigned_in(nodes, &mut assigned);
    }
    let mut variables = Variables::default();
    for (name, shape) in [
        ("$", Shape::Alert),
        ("$labels", Shape::Labels),
        ("$externalLabels", Shape::Map),
        ("$externalURL", Shape::Text),
        ("$value", Shape::Value),
    ] {
        variables.declare(name, shape);
    }
    let mut reader = Reader {
        tree,
        assigned,
        called: BTreeSet::new(),
        calls: Vec::new(),
        variables,
        found: Printed::default(),
    };
    reader.nodes(&tree.body, Shape::Alert);
    while let Some((body, dot)) = reader.calls.pop() {
        reader.variables = Variables::default();
        reader.variables.declare("$", dot);
        reader.nodes(body, dot);
    }
    reader.found
}

/// Variables that are assigned to after they were declared: nothing is certain of them.
fn assigned_in(nodes: &[Node], found: &mut BTreeSet<String>) {
    let pipe = |pipe: &Pipe, found: &mut BTreeSet<String>| {
        if pipe.assigns {
            found.extend(pipe.takes.iter().cloned());
        }
    };
    for node in nodes {
        match node {
            Node::Action(it) | Node::Template { pipe: Some(it), .. } => pipe(it, found),
            Node::If(it) | Node::Range(it) | Node::With(it) => {
                pipe(&it.pipe, found);
                assigned_in(&it.body, found);
                assigned_in(&it.otherwise, found);
            }
            Node::Template { pipe: None, .. } | Node::Text { .. } | Node::Break | Node::Continue => {}
        }
    }
}

struct Reader<'a> {
    tree: &'a Tree,
    assigned: BTreeSet<String>,
    /// Templates that are called, each with the dot that it is given.
    called: BTreeSet<(&'a str, Shape)>,
    /// Those of them that are still to be looked at: one after the other, since they may call each other without end.
    calls: Vec<(&'a [Node], Shape)>,
    variables: Variables<'a>,
    found: Printed,
}

/// Variables in the order in which they were declared, found by their names.
#[derive(Default)]
struct Variables<'a> {
    order: Vec<&'a str>,
    shapes: BTreeMap<&'a str, Vec<Shape>>,
}

impl<'a> Variables<'a> {
    fn declare(&mut self, name: &'a str, shape: Shape) {
        self.order.push(name);
        self.shapes.entry(name).or_default().push(shape);
    }

    fn get(&self, name: &str) -> Option<Shape> {
        self.shapes.get(name)?.last().copied()
    }

    /// Changes the one that was declared last under this name.
    fn set(&mut self, name: &str, shape: Shape) {
        if let Some(last) = self.shapes.get_mut(name).and_then(|it| it.last_mut()) {
            *last = shape;
        }
    }

    /// Forgets all but the first ones.
    fn truncate(&mut self, count: usize) {
        for name in self.order.split_off(count.min(self.order.len())) {
            _ = self.shapes.get_mut(name).and_then(Vec::pop);
        }
    }

    fn len(&self) -> usize {
        self.order.len()
    }
}

impl<'a> Reader<'a> {
    fn error(&mut self, at: usize, why: String) {
        self.found.errors.insert((at, why));
    }

    fn nodes(&mut self, nodes: &'a [Node], dot: Shape) {
        for node in nodes {
            match node {
                Node::Text { .. } | Node::Break | Node::Continue => {}
                Node::Action(pipe) => {
                    let shape = self.pipe(pipe, dot);
                    let prints = pipe.takes.is_empty();
                    self.found.decimals |= prints && matches!(shape, Shape::Value | Shape::Decimals);
                }
                Node::If(branch) => self.branch(branch, dot, |_, _, _| dot),
                Node::With(branch) => self.branch(branch, dot, |_, _, shape| shape),
                Node::Range(branch) => self.branch(branch, dot, Self::element),
                Node::Template { at, name, pipe } => {
                    let given = pipe.as_ref().map_or(Shape::Unknown, |it| self.pipe(it, dot));
                    self.template(*at, name, given);
                }
            }
        }
    }

    /// What a pipeline declares is there in both branches and not behind them.
    fn branch(
        &mut self,
        branch: &'a Branch,
        dot: Shape,
        inner: impl FnOnce(&mut Self, &'a Pipe, Shape) -> Shape,
    ) {
        let outer = self.variables.len();
        let shape = self.pipe(&branch.pipe, dot);
        let inner = inner(self, &branch.pipe, shape);
        let declared = self.variables.len();
        self.nodes(&branch.body, inner);
        self.variables.truncate(declared);
        self.nodes(&branch.otherwise, dot);
        self.variables.truncate(outer);
    }

    /// What `range` makes the dot of its body, and of its variables.
    fn element(&mut self, pipe: &Pipe, over: Shape) -> Shape {
        let (key, element) = match over {
            Shape::Samples => (Shape::Integer, Shape::Sample),
            Shape::Labels | Shape::Map => (Shape::Text, Shape::Text),
            Shape::Integer => (Shape::Integer, Shape::Integer),
            _ => (Shape::Unknown, Shape::Unknown),
        };
        if let Some(command) = pipe.commands.last()
            && matches!(
                over,
                Shape::Value | Shape::Float | Shape::Text | Shape::Decimals | Shape::Bool
            )
        {
            let why = format!(
                "`range` over {} (expected a query's result or labels)",
                over.name()
            );
            self.error(command.first.at, why);
        }
        if !pipe.assigns {
            match &pipe.takes[..] {
                [one] => self.variables.set(one, element),
                [first, second] => {
                    self.variables.set(first, key);
                    self.variables.set(second, element);
                }
                _ => {}
            }
        }
        element
    }

    fn template(&mut self, at: usize, name: &str, given: Shape) {
        let Some((name, body)) = self.tree.defined.get_key_value(name) else {
            self.error(
                at,
                format!("there is no template {name:?} (expected one that `define` names in the same text)"),
            );
            return;
        };
        if self.called.insert((name, given)) {
            self.calls.push((body, given));
        }
    }

    fn pipe(&mut self, pipe: &'a Pipe, dot: Shape) -> Shape {
        let mut result = None;
        for command in &pipe.commands {
            result = Some(self.command(command, dot, result));
        }
        let result = result.unwrap_or(Shape::Unknown);
        for name in &pipe.takes {
            if !pipe.assigns {
                self.variables.declare(name, result);
            } else if self.variables.get(name).is_none() {
                let at = pipe.commands.first().map_or(0, |it| it.first.at);
                self.error(
                    at,
                    format!("`{name}` is assigned to and was never declared (expected `{name} :=`)"),
                );
            }
        }
        result
    }

    fn command(&mut self, command: &'a Command, dot: Shape, before: Option<Shape>) -> Shape {
        let Command { first, others } = command;
        let mut given: Vec<(Shape, Option<&'a Term>)> = others
            .iter()
            .map(|it| (self.operand(it, dot), it.fields.is_empty().then_some(&it.term)))
            .collect();
        given.extend(before.map(|it| (it, None)));
        if let Term::Function(name) = &first.term {
            if first.fields.is_empty() {
                return self.call(first.at, name, &given);
            }
            // Arguments belong to the last field, and the function has none.
            self.call(first.at, name, &[]);
            return Shape::Unknown;
        }
        if first.term == Term::Nil {
            self.error(first.at, String::from("`nil` is no value that can be printed"));
            return Shape::Unknown;
        }
        let shape = self.operand(first, dot);
        // The field of something unknown may be a method.
        let method = !first.fields.is_empty() && shape == Shape::Unknown;
        if !given.is_empty() && !method {
            self.error(
                first.at,
                String::from("only a function can be given an argument, and this is none"),
            );
        }
        shape
    }

    fn operand(&mut self, operand: &'a Operand, dot: Shape) -> Shape {
        let mut shape = match &operand.term {
            Term::Dot => dot,
            Term::Nil | Term::Number(Number::Complex) => Shape::Unknown,
            Term::Bool => Shape::Bool,
            Term::Number(Number::Integer) => Shape::Integer,
            Term::Number(Number::Float) => Shape::Float,
            Term::Text(_) => Shape::Text,
            Term::Variable(name) => self.variable(name),
            Term::Function(name) => self.call(operand.at, name, &[]),
            Term::Parentheses(pipe) => self.pipe(pipe, dot),
        };
        for field in &operand.fields {
            shape = self.field(operand.at, shape, field);
        }
        shape
    }

    fn variable(&self, name: &str) -> Shape {
        if self.assigned.contains(name) {
            return Shape::Unknown;
        }
        self.variables.get(name).unwrap_or(Shape::Unknown)
    }

    fn field(&mut self, at: usize, of: Shape, name: &str) -> Shape {
        let expected = match (of, name) {
            // A sample's value is a number, or a native histogram as text.
            (Shape::Unknown, _) | (Shape::Sample, "Value") => return Shape::Unknown,
            (Shape::Alert, "Labels") => return Shape::Labels,
            (Shape::Alert, "ExternalLabels") | (Shape::Sample, "Labels") => return Shape::Map,
            (Shape::Alert, "ExternalURL") | (Shape::Map, _) => return Shape::Text,
            (Shape::Alert, "Value") => return Shape::Value,
            // It may be a native histogram, which has fields.
            (Shape::Value, _) if name.starts_with(char::is_uppercase) => return Shape::Unknown,
            (Shape::Labels, _) => {
                self.found.labels.insert(name.to_owned());
                return Shape::Text;
            }
            (Shape::Alert, _) => "Labels, ExternalLabels, ExternalURL or Value",
            (Shape::Sample, _) => "Labels or Value",
            (Shape::Samples, _) => "`first` or `range` before it",
            _ => "no field",
        };
        self.error(
            at,
            format!(
                "field `{name}` of {}, which has none of that name (expected {expected})",
                of.name()
            ),
        );
        Shape::Unknown
    }

    fn call(&mut self, at: usize, name: &str, given: &[(Shape, Option<&'a Term>)]) -> Shape {
        let shapes: Vec<Shape> = given.iter().map(|it| it.0).collect();
        if let Some(function) = functions::find(name) {
            if !self.counted(
                at,
                name,
                &shapes,
                function.takes.len(),
                Some(function.takes.len()),
            ) {
                return function.gives;
            }
            for (takes, (shape, term)) in function.takes.iter().zip(given) {
                self.taken(at, name, *takes, *shape, *term);
            }
            let humanized = matches!(name, "humanize" | "humanize1024") && shapes == [Shape::Value];
            return if humanized {
                Shape::Decimals
            } else {
                function.gives
            };
        }
        match name {
            "and" | "or" => {
                self.counted(at, name, &shapes, 1, None);
                shapes.iter().copied().reduce(Shape::or).unwrap_or(Shape::Unknown)
            }
            "not" => {
                self.counted(at, name, &shapes, 1, Some(1));
                Shape::Bool
            }
            "len" => {
                self.counted(at, name, &shapes, 1, Some(1));
                if let [shape] = shapes[..]
                    && matches!(shape, Shape::Value | Shape::Float | Shape::Integer | Shape::Bool)
                {
                    self.error(
                        at,
                        format!("`len` takes a text or a list, and is given {}", shape.name()),
                    );
                }
                Shape::Integer
            }
            "index" => self.index(at, given, &shapes),
            "slice" => {
                self.counted(at, name, &shapes, 1, None);
                shapes
                    .first()
                    .copied()
                    .filter(|it| *it == Shape::Text)
                    .unwrap_or(Shape::Unknown)
            }
            "eq" | "ne" | "lt" | "le" | "gt" | "ge" => {
                let most = if name == "eq" { None } else { Some(2) };
                if self.counted(at, name, &shapes, 2, most) {
                    self.compared(at, name, &shapes);
                }
                Shape::Bool
            }
            "printf" => {
                if self.counted(at, name, &shapes, 1, None) {
                    self.formatted(at, given);
                }
                Shape::Text
            }
            "print" | "println"
                if shapes
                    .iter()
                    .any(|it| matches!(it, Shape::Value | Shape::Decimals)) =>
            {
                Shape::Decimals
            }
            "print" | "println" | "html" | "js" | "urlquery" => Shape::Text,
            _ => Shape::Unknown,
        }
    }

    /// Whether a function has as many arguments as it takes.
    fn counted(&mut self, at: usize, name: &str, given: &[Shape], least: usize, most: Option<usize>) -> bool {
        let count = given.len();
        let right = count >= least && most.is_none_or(|it| count <= it);
        if !right {
            let at_least = if most.is_none() { "at least " } else { "" };
            self.error(
                at,
                format!("`{name}` takes {at_least}{least} arguments, and is given {count}"),
            );
        }
        right
    }

    fn taken(&mut self, at: usize, name: &str, takes: Takes, shape: Shape, term: Option<&Term>) {
        let nil = term == Some(&Term::Nil);
        // A text that is written out can be seen to be no number.
        let words = takes == Takes::Numeric
            && matches!(term, Some(Term::Text(text)) if text.parse::<f64>().is_err() && !text.contains(['x', 'X']));
        if !takes.may_be(&shape) || nil || words {
            let given = if nil { "nothing" } else { shape.name() };
            self.error(
                at,
                format!("`{name}` takes {}, and is given {given}", takes.name()),
            );
        }
    }

    fn index(&mut self, at: usize, given: &[(Shape, Option<&Term>)], shapes: &[Shape]) -> Shape {
        if !self.counted(at, "index", shapes, 1, None) {
            return Shape::Unknown;
        }
        let mut shape = shapes.first().copied().unwrap_or(Shape::Unknown);
        for (key, term) in given.iter().skip(1) {
            let wrong = match shape {
                Shape::Unknown => return Shape::Unknown,
                Shape::Labels | Shape::Map => {
                    *key != Shape::Unknown && !matches!(key, Shape::Text | Shape::Decimals)
                }
                Shape::Samples | Shape::Text | Shape::Decimals => {
                    !matches!(key, Shape::Integer | Shape::Unknown)
                }
                _ => true,
            };
            if wrong {
                self.error(
                    at,
                    format!("`index` looks for {} in {}", key.name(), shape.name()),
                );
                return Shape::Unknown;
            }
            if let (Shape::Labels, Some(Term::Text(label))) = (shape, term) {
                self.found.labels.insert(label.clone());
            }
            shape = match shape {
                Shape::Labels | Shape::Map => Shape::Text,
                Shape::Samples => Shape::Sample,
                _ => Shape::Integer,
            };
        }
        shape
    }

    fn compared(&mut self, at: usize, name: &str, given: &[Shape]) {
        let Some((first, others)) = given.split_first() else {
            return;
        };
        for other in others {
            if let (Some(one), Some(two)) = (first.comparable(), other.comparable())
                && one != two
            {
                let right = if one.contains("number") || two.contains("number") {
                    " (expected e.g. 1.0 and not 1 to compare with the value)"
                } else {
                    ""
                };
                self.error(
                    at,
                    format!("`{name}` compares {one} with {two}, which Go refuses{right}"),
                );
            }
        }
    }

    fn formatted(&mut self, at: usize, given: &[(Shape, Option<&Term>)]) {
        let Some(((shape, term), values)) = given.split_first() else {
            return;
        };
        if *shape != Shape::Unknown && !Takes::Text.may_be(shape) {
            self.error(
                at,
                format!("`printf` takes a format, and is given {}", shape.name()),
            );
            return;
        }
        let Some(Term::Text(format)) = term else {
            return;
        };
        let Some(verbs) = verbs::of(format) else {
            return;
        };
        if verbs.len() != values.len() {
            self.error(
                at,
                format!(
                    "`printf` has {} verbs in {format:?} for {} values",
                    verbs.len(),
                    values.len()
                ),
            );
        }
        for (verb, (shape, _)) in verbs.iter().zip(values) {
            if !verbs::prints(*verb, *shape) {
                self.error(
                    at,
                    format!(
                        "`%{verb}` of `printf` does not print {} (expected {})",
                        shape.name(),
                        verbs::right(*shape)
                    ),
                );
            }
        }
    }
}
