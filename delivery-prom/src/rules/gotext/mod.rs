//! Reads the templates of Go's `text/template`: what it takes, and what it refuses.
//!
//! Nothing is evaluated. What a template refers to that only its user knows (functions, variables of the surroundings) is
//! given to [`parse`]; everything else is as in Go 1.23 and later, which is what Prometheus 3 is built with.

mod lexer;
mod literal;
mod parser;

use std::collections::BTreeMap;

pub(super) use self::parser::parse;

/// A template that Go takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tree {
    pub(super) body: Vec<Node>,
    /// What `define` and `block` name.
    pub(super) defined: BTreeMap<String, Vec<Node>>,
}

/// A template that Go refuses, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Bytes from the template's beginning.
    pub(super) at: usize,
    /// What is wrong there, and what would be right.
    pub(super) why: String,
    /// It is only we who do not read it: Go may take it.
    pub(super) only_here: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// Text between actions; whether it is more than white space.
    Text {
        blank: bool,
    },
    /// `{{ pipeline }}`
    Action(Pipe),
    If(Branch),
    Range(Branch),
    With(Branch),
    /// `{{ template "name" pipeline }}`, and what is left of a `block`.
    Template {
        at: usize,
        name: String,
        pipe: Option<Pipe>,
    },
    Break,
    Continue,
}

/// What `if`, `range` and `with` have in common.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands, each of which is given the result of the one before.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pipe {
    /// Variables that take the result.
    pub(super) takes: Vec<String>,
    /// They are variables that exist (`=`) and not new ones (`:=`).
    pub(super) assigns: bool,
    /// At least one.
    pub(super) commands: Vec<Command>,
}

/// A function and its arguments, or a single value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    pub(super) first: Operand,
    pub(super) others: Vec<Operand>,
}

/// A value and the fields behind it: `$labels.pod`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) term: Term,
    pub(super) fields: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Term {
    Dot,
    Nil,
    Bool,
    Number(Number),
    Text(String),
    /// With its `$`.
    Variable(String),
    Function(String),
    Parentheses(Box<Pipe>),
}

/// What a constant is where nothing says what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Integer,
    Float,
    Complex,
}

#[cfg(test)]
mod tests;
