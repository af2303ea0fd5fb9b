//! Makes a tree of a template's tokens, as Go's own parser does: with the same variables in scope at the same places, and
//! refusing the same things.

use std::collections::BTreeMap;

use super::lexer::{Keyword, Kind, Token, tokens};
use super::literal::{complex, number, unquoted};
use super::{Branch, Command, Node, Operand, Pipe, Refused, Term, Tree};

/// Parentheses, blocks and chains of `else if` may nest so deep.
const DEEPEST: usize = 100;

/// What may stand where a value is expected.
const VALUE: &str = "a function, a variable, a field, a constant or a pipeline in parentheses";

/// Reads a template whose surroundings declare `variables` (with their `$`) and define what `is_function` knows.
pub(in super::super) fn parse(
    text: &str,
    variables: &[&str],
    is_function: &dyn Fn(&str) -> bool,
) -> Result<Tree, Refused> {
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        is_function,
        scope: Scope::with(variables),
        defined: BTreeMap::new(),
        depth: 0,
    };
    let body = parser.template()?;
    Ok(Tree {
        body,
        defined: parser.defined,
    })
}

struct Parser<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    is_function: &'a dyn Fn(&str) -> bool,
    scope: Scope,
    defined: BTreeMap<String, Vec<Node>>,
    depth: usize,
}

/// What one template can see: a nested one sees nothing of those around it.
#[derive(Default)]
struct Scope {
    order: Vec<String>,
    /// How many there are of each name.
    known: BTreeMap<String, usize>,
    ranges: usize,
}

impl Scope {
    fn with(variables: &[&str]) -> Self {
        let mut scope = Self::default();
        for name in ["$"].iter().chain(variables) {
            scope.declare(name);
        }
        scope
    }

    fn declare(&mut self, name: &str) {
        self.order.push(name.to_owned());
        *self.known.entry(name.to_owned()).or_default() += 1;
    }

    /// Forgets all but the first ones.
    fn truncate(&mut self, count: usize) {
        for name in self.order.split_off(count.min(self.order.len())) {
            if let Some(left) = self.known.get_mut(&name) {
                *left -= 1;
                if *left == 0 {
                    self.known.remove(&name);
                }
            }
        }
    }
}

/// What ends a list of nodes.
enum Ending {
    End,
    Else { at: usize },
}

impl Ending {
    fn refused(&self, expected: &str) -> Option<Refused> {
        match self {
            Self::End => None,
            Self::Else { at } => Some(refused(*at, format!("`else` where {expected} should stand"))),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Control {
    If,
    Range,
    With,
}

impl<'a> Parser<'a> {
    /// The next token; behind the last one, that again.
    fn peek(&self) -> &'a Token<'a> {
        let last = self.tokens.len().saturating_sub(1);
        self.tokens.get(self.at.min(last)).unwrap_or(&Token {
            at: 0,
            kind: Kind::End,
            text: "",
        })
    }

    fn next(&mut self) -> &'a Token<'a> {
        let next = self.peek();
        self.at += 1;
        next
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.at += 1;
        }
    }

    /// The next token that is no space, which is not taken.
    fn peek_word(&mut self) -> &'a Token<'a> {
        self.skip_space();
        self.peek()
    }

    fn next_word(&mut self) -> &'a Token<'a> {
        self.skip_space();
        self.next()
    }

    fn close(&mut self, behind: &str) -> Result<(), Refused> {
        match self.next_word() {
            token if token.kind == Kind::Close => Ok(()),
            token => Err(unexpected(token, &format!("}}}} behind {behind}"))),
        }
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Refused>) -> Result<T, Refused> {
        if self.depth >= DEEPEST {
            return Err(Refused {
                at: self.peek().at,
                why: format!("more than {DEEPEST} levels of blocks and parentheses"),
                only_here: true,
            });
        }
        self.depth += 1;
        let found = inner(self);
        self.depth -= 1;
        found
    }

    /// The whole template. Only here may another one be defined.
    fn template(&mut self) -> Result<Vec<Node>, Refused> {
        let mut body = Vec::new();
        loop {
            match self.peek().kind {
                Kind::End => return Ok(body),
                Kind::Open => {
                    let open = self.at;
                    self.at += 1;
                    if self.next_word().kind == Kind::Keyword(Keyword::Define) {
                        self.definition()?;
                        continue;
                    }
                    self.at = open;
                }
                _ => {}
            }
            let at = self.peek().at;
            match self.node()? {
                Ok(node) => body.push(node),
                Err(Ending::End) => {
                    return Err(refused(at, "`end` without a block that it could end"));
                }
                Err(Ending::Else { at }) => {
                    return Err(refused(at, "`else` without an `if`, `range` or `with` before it"));
                }
            }
        }
    }

    fn definition(&mut self) -> Result<(), Refused> {
        let (at, name) = self.name("define")?;
        self.close("the name in `define`")?;
        self.nested(at, name, "`end` of `define`")
    }

    fn name(&mut self, of: &str) -> Result<(usize, String), Refused> {
        let token = self.next_word();
        if token.kind != Kind::Quoted {
            return Err(unexpected(token, &format!("the name in quotes of `{of}`")));
        }
        Ok((token.at, text(token)?))
    }

    /// The body of a template inside this one.
    fn nested(&mut self, at: usize, name: String, end: &str) -> Result<(), Refused> {
        let outer = std::mem::replace(&mut self.scope, Scope::with(&[]));
        let (body, ending) = self.deeper(Self::list)?;
        self.scope = outer;
        if let Some(refused) = ending.refused(end) {
            return Err(refused);
        }
        match self.defined.get(&name) {
            Some(before) if !is_empty(before) => {
                if !is_empty(&body) {
                    return Err(refused(at, format!("template {name:?} is defined twice")));
                }
            }
            _ => _ = self.defined.insert(name, body),
        }
        Ok(())
    }

    /// Nodes up to `end` or `else`.
    fn list(&mut self) -> Result<(Vec<Node>, Ending), Refused> {
        let mut nodes = Vec::new();
        while self.peek_word().kind != Kind::End {
            match self.node()? {
                Ok(node) => nodes.push(node),
                Err(ending) => return Ok((nodes, ending)),
            }
        }
        Err(refused(
            self.peek().at,
            "the template ends inside a block (expected {{ end }})",
        ))
    }

    fn node(&mut self) -> Result<Result<Node, Ending>, Refused> {
        let token = self.next_word();
        match token.kind {
            Kind::Text => Ok(Ok(Node::Text {
                blank: token.text.trim().is_empty(),
            })),
            Kind::Open => self.action(),
            _ => Err(unexpected(token, "text or an action")),
        }
    }

    fn action(&mut self) -> Result<Result<Node, Ending>, Refused> {
        let token = self.peek_word();
        let Kind::Keyword(keyword) = token.kind else {
            return Ok(Ok(Node::Action(self.pipe("an action", Kind::Close, false)?)));
        };
        if !matches!(keyword, Keyword::Nil | Keyword::Define) {
            self.at += 1;
        }
        let at = token.at;
        Ok(Ok(match keyword {
            Keyword::Nil | Keyword::Define => Node::Action(self.pipe("an action", Kind::Close, false)?),
            Keyword::Block => self.block()?,
            Keyword::Template => self.template_call()?,
            Keyword::Break => {
                self.only_in_range("break", at)?;
                Node::Break
            }
            Keyword::Continue => {
                self.only_in_range("continue", at)?;
                Node::Continue
            }
            Keyword::If => Node::If(self.deeper(|it| it.control(Control::If))?),
            Keyword::Range => Node::Range(self.deeper(|it| it.control(Control::Range))?),
            Keyword::With => Node::With(self.deeper(|it| it.control(Control::With))?),
            Keyword::End => {
                self.close("`end`")?;
                return Ok(Err(Ending::End));
            }
            Keyword::Else => {
                // `else if` and `else with` go on where these words stand.
                if !matches!(self.peek_word().kind, Kind::Keyword(Keyword::If | Keyword::With)) {
                    self.close("`else`")?;
                }
                return Ok(Err(Ending::Else { at }));
            }
        }))
    }

    fn only_in_range(&mut self, word: &str, at: usize) -> Result<(), Refused> {
        self.close(&format!("`{word}`"))?;
        if self.scope.ranges == 0 {
            return Err(refused(at, format!("`{word}` outside of `range`")));
        }
        Ok(())
    }

    fn block(&mut self) -> Result<Node, Refused> {
        let (at, name) = self.name("block")?;
        let pipe = self.pipe("`block`", Kind::Close, false)?;
        self.nested(at, name.clone(), "`end` of `block`")?;
        Ok(Node::Template {
            at,
            name,
            pipe: Some(pipe),
        })
    }

    fn template_call(&mut self) -> Result<Node, Refused> {
        let (at, name) = self.name("template")?;
        let pipe = if self.peek_word().kind == Kind::Close {
            self.at += 1;
            None
        } else {
            Some(self.pipe("`template`", Kind::Close, false)?)
        };
        Ok(Node::Template { at, name, pipe })
    }

    fn control(&mut self, control: Control) -> Result<Branch, Refused> {
        let variables = self.scope.order.len();
        let is_range = control == Control::Range;
        let name = match control {
            Control::If => "`if`",
            Control::Range => "`range`",
            Control::With => "`with`",
        };
        let pipe = self.pipe(name, Kind::Close, is_range)?;
        self.scope.ranges += usize::from(is_range);
        let (body, ending) = self.list()?;
        self.scope.ranges -= usize::from(is_range);
        let mut otherwise = Vec::new();
        if let Ending::Else { .. } = ending {
            match (control, self.peek().kind) {
                (Control::If, Kind::Keyword(Keyword::If)) => {
                    self.at += 1;
                    otherwise.push(Node::If(self.deeper(|it| it.control(Control::If))?));
                }
                (Control::With, Kind::Keyword(Keyword::With)) => {
                    self.at += 1;
                    otherwise.push(Node::With(self.deeper(|it| it.control(Control::With))?));
                }
                _ => {
                    let (list, ending) = self.list()?;
                    if let Some(refused) = ending.refused("`end`") {
                        return Err(refused);
                    }
                    otherwise = list;
                }
            }
        }
        self.scope.truncate(variables);
        Ok(Branch {
            pipe,
            body,
            otherwise,
        })
    }

    /// Declarations and commands, up to and with `end`.
    fn pipe(&mut self, of: &str, end: Kind, is_range: bool) -> Result<Pipe, Refused> {
        let mut pipe = Pipe {
            takes: Vec::new(),
            assigns: false,
            commands: Vec::new(),
        };
        while self.peek_word().kind == Kind::Variable {
            let start = self.at;
            let variable = self.next();
            let next = self.next_word();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    pipe.assigns = next.kind == Kind::Assign;
                    self.declare(variable, &mut pipe);
                    break;
                }
                Kind::Comma => {
                    self.declare(variable, &mut pipe);
                    if !is_range || pipe.takes.len() > 1 {
                        return Err(refused(
                            next.at,
                            format!("too many variables in {of} (expected one, or two in `range`)"),
                        ));
                    }
                    let behind = self.peek_word();
                    if !matches!(behind.kind, Kind::Variable | Kind::Close | Kind::CloseParenthesis) {
                        return Err(unexpected(behind, "the second variable of `range`"));
                    }
                }
                _ => {
                    self.at = start;
                    break;
                }
            }
        }
        loop {
            let token = self.peek_word();
            if token.kind == end {
                if pipe.commands.is_empty() {
                    return Err(refused(token.at, format!("{of} has no value (expected {VALUE})")));
                }
                self.at += 1;
                return Ok(pipe);
            }
            if !begins_value(token.kind) {
                return Err(unexpected(token, VALUE));
            }
            let command = self.command()?;
            if !pipe.commands.is_empty() && is_constant(&command.first) {
                return Err(refused(
                    command.first.at,
                    "a constant or `.` behind `|` (expected a function that takes what is before)",
                ));
            }
            pipe.commands.push(command);
        }
    }

    fn declare(&mut self, variable: &Token<'_>, pipe: &mut Pipe) {
        pipe.takes.push(variable.text.to_owned());
        self.scope.declare(variable.text);
    }

    /// Values up to the pipeline's end, or up to and with `|`.
    fn command(&mut self) -> Result<Command, Refused> {
        let (mut first, mut others) = (None, Vec::new());
        loop {
            let at = self.peek_word().at;
            if let Some(operand) = self.operand()? {
                if first.is_none() {
                    first = Some(operand);
                } else {
                    others.push(operand);
                }
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::Close | Kind::CloseParenthesis => self.at -= 1,
                Kind::Pipe => {}
                _ => return Err(unexpected(token, "a space, `|` or the end of the action")),
            }
            let Some(first) = first else {
                return Err(refused(at, format!("nothing where {VALUE} should stand")));
            };
            return Ok(Command { first, others });
        }
    }

    /// A value with its fields; none where something else stands.
    fn operand(&mut self) -> Result<Option<Operand>, Refused> {
        let token = self.peek_word();
        let Some((term, mut fields)) = self.term()? else {
            return Ok(None);
        };
        let has_fields = matches!(term, Term::Variable(_) | Term::Function(_) | Term::Parentheses(_))
            || !fields.is_empty();
        while self.peek().kind == Kind::Field {
            let field = self.next();
            if !has_fields {
                return Err(refused(
                    field.at,
                    format!("field `{}` of {}, which has none", field.text, shown(token)),
                ));
            }
            fields.push(field_name(field));
        }
        Ok(Some(Operand {
            at: token.at,
            term,
            fields,
        }))
    }

    fn term(&mut self) -> Result<Option<(Term, Vec<String>)>, Refused> {
        let token = self.next_word();
        let mut fields = Vec::new();
        let term = match token.kind {
            Kind::Word => {
                if !(self.is_function)(token.text) {
                    return Err(refused(
                        token.at,
                        format!("there is no function `{}`", token.text),
                    ));
                }
                Term::Function(token.text.to_owned())
            }
            Kind::Dot => Term::Dot,
            Kind::Field => {
                fields.push(field_name(token));
                Term::Dot
            }
            Kind::Keyword(Keyword::Nil) => Term::Nil,
            Kind::Variable => {
                if !self.scope.known.contains_key(token.text) {
                    return Err(refused(token.at, self.undeclared(token.text)));
                }
                Term::Variable(token.text.to_owned())
            }
            Kind::Bool => Term::Bool,
            Kind::Number | Kind::Complex => {
                let of = if token.kind == Kind::Complex {
                    complex
                } else {
                    number
                };
                let number =
                    of(token.text).map_err(|why| refused(token.at, format!("`{}` {why}", token.text)))?;
                Term::Number(number)
            }
            Kind::Char => {
                text(token)?;
                Term::Number(super::Number::Integer)
            }
            Kind::Quoted => Term::Text(text(token)?),
            Kind::OpenParenthesis => {
                let pipe =
                    self.deeper(|it| it.pipe("a pair of parentheses", Kind::CloseParenthesis, false))?;
                Term::Parentheses(Box::new(pipe))
            }
            _ => {
                self.at -= 1;
                return Ok(None);
            }
        };
        Ok(Some((term, fields)))
    }

    fn undeclared(&self, name: &str) -> String {
        let known: Vec<_> = self.scope.known.keys().map(|it| format!("`{it}`")).collect();
        format!(
            "variable `{name}` is not declared here (expected {})",
            known.join(", ")
        )
    }
}

fn begins_value(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bool
            | Kind::Char
            | Kind::Complex
            | Kind::Dot
            | Kind::Field
            | Kind::Word
            | Kind::Number
            | Kind::Keyword(Keyword::Nil)
            | Kind::Quoted
            | Kind::Variable
            | Kind::OpenParenthesis
    )
}

/// Whether there is nothing to call.
fn is_constant(operand: &Operand) -> bool {
    operand.fields.is_empty()
        && matches!(
            operand.term,
            Term::Bool | Term::Dot | Term::Nil | Term::Number(_) | Term::Text(_)
        )
}

/// Whether a template prints nothing but white space; such a one may be defined again.
fn is_empty(nodes: &[Node]) -> bool {
    nodes.iter().all(|it| matches!(it, Node::Text { blank: true }))
}

fn field_name(token: &Token<'_>) -> String {
    token.text.strip_prefix('.').unwrap_or(token.text).to_owned()
}

fn text(token: &Token<'_>) -> Result<String, Refused> {
    unquoted(token.text).ok_or_else(|| {
        refused(
            token.at,
            format!(
                "{} has an escape that Go does not know, or too many characters",
                shown(token)
            ),
        )
    })
}

fn refused(at: usize, why: impl Into<String>) -> Refused {
    Refused {
        at,
        why: why.into(),
        only_here: false,
    }
}

fn unexpected(token: &Token<'_>, expected: &str) -> Refused {
    let lone = if token.text == "}" {
        " (an action ends with }})"
    } else {
        ""
    };
    refused(
        token.at,
        format!("{} where {expected} should stand{lone}", shown(token)),
    )
}

fn shown(token: &Token<'_>) -> String {
    match token.kind {
        Kind::End => String::from("the template's end"),
        Kind::Space => String::from("a space"),
        Kind::Text => String::from("text"),
        _ => {
            let short: String = token.text.chars().take(40).collect();
            format!("`{short}`")
        }
    }
}
