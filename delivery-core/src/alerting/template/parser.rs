//! Reads templates.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Expr, Format, Function, Piece, TemplateError, TemplateFault};
use crate::text;

/// Nested parentheses and stages of a pipeline together.
const DEEPEST: usize = 32;

/// What Go calls a space in a template.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

pub(super) fn pieces(source: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut at = Cursor { source, offset: 0 };
    let mut trim = false;
    loop {
        let (text, action) = at
            .rest()
            .split_once("{{")
            .map_or((at.rest(), false), |it| (it.0, true));
        let start = at.offset.saturating_add(text.len());
        let mut text = if trim {
            text.trim_start_matches(SPACE)
        } else {
            text
        };
        if !action {
            push_text(&mut pieces, text);
            return Ok(pieces);
        }
        at.offset = start.saturating_add(2);
        if at
            .rest()
            .strip_prefix('-')
            .is_some_and(|it| it.starts_with(SPACE))
        {
            at.take("-");
            at.next();
            text = text.trim_end_matches(SPACE);
        }
        push_text(&mut pieces, text);
        trim = if at.take("/*") {
            at.end_of_comment(start)?
        } else {
            pieces.push(Piece::Action(at.pipeline(0)?));
            at.end_of_action(start)?
        };
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(String::from(text)));
    }
}

/// A place in a template.
struct Cursor<'a> {
    source: &'a str,
    offset: usize,
}

/// What a function is given: an expression, or all labels, which only `index` can use.
enum Operand {
    Expr(Expr),
    Labels,
}

impl<'a> Cursor<'a> {
    fn pipeline(&mut self, depth: usize) -> Result<Expr, TemplateError> {
        let mut depth = depth;
        let mut expr = self.command(depth, None)?;
        loop {
            self.skip_space();
            let offset = self.offset;
            if !self.take("|") {
                return Ok(expr);
            }
            depth = self.deeper(depth)?;
            self.skip_space();
            if self.word().is_empty() {
                return Err(fault(offset, self.unexpected("a function")));
            }
            expr = self.command(depth, Some(expr))?;
        }
    }

    /// A function with its arguments, the last of them from the pipeline, or a single operand.
    fn command(&mut self, depth: usize, piped: Option<Expr>) -> Result<Expr, TemplateError> {
        self.skip_space();
        let start = self.offset;
        let word = self.word();
        if word.is_empty() {
            return match self.operand(depth)? {
                Operand::Expr(expr) => Ok(expr),
                Operand::Labels => Err(fault(start, unsupported("$labels"))),
            };
        }
        self.take(word);
        let mut operands = Vec::new();
        while self.at_operand() {
            operands.push((self.offset, self.operand(depth)?));
        }
        operands.extend(piped.map(|it| (start, Operand::Expr(it))));
        if word == "index" {
            return index(start, operands);
        }
        let mut arguments = Vec::new();
        for (offset, operand) in operands {
            match operand {
                Operand::Expr(expr) => arguments.push(expr),
                Operand::Labels => return Err(fault(offset, unsupported("$labels"))),
            }
        }
        if word == "printf" {
            return printf(start, arguments);
        }
        let Some((_, function)) = Function::ALL.into_iter().find(|(name, _)| *name == word) else {
            return Err(fault(start, unsupported(word)));
        };
        call(start, word, function, arguments)
    }

    fn at_operand(&mut self) -> bool {
        self.skip_space();
        self.rest().starts_with(['$', '.', '"', '`', '('])
    }

    fn operand(&mut self, depth: usize) -> Result<Operand, TemplateError> {
        let offset = self.offset;
        if self.take("(") {
            let inner = self.deeper(depth)?;
            let expr = self.pipeline(inner)?;
            self.skip_space();
            return if self.take(")") {
                Ok(Operand::Expr(expr))
            } else {
                Err(fault(self.offset, self.unexpected("a closing parenthesis")))
            };
        }
        if self.rest().starts_with(['"', '`']) {
            return Ok(Operand::Expr(Expr::Literal(self.literal()?)));
        }
        if !self.rest().starts_with(['$', '.']) {
            return Err(fault(offset, self.unexpected("a label, `$value` or a function")));
        }
        let chain = self.chain();
        let mut fields = chain.split('.');
        let first = match fields.next() {
            // `.Labels.pod` begins with an empty field.
            Some("") => fields.next(),
            first => first,
        };
        let name = fields.next();
        match (first, name, fields.next()) {
            (Some("$value" | "Value"), None, _) => Ok(Operand::Expr(Expr::Value { offset })),
            (Some("$labels" | "Labels"), None, _) => Ok(Operand::Labels),
            (Some("$labels" | "Labels"), Some(name), None) if !name.is_empty() => {
                Ok(Operand::Expr(Expr::Label {
                    name: String::from(name),
                    offset,
                }))
            }
            _ => Err(fault(offset, unsupported(chain))),
        }
    }

    fn literal(&mut self) -> Result<String, TemplateError> {
        let start = self.offset;
        if self.take("`") {
            let Some((text, _)) = self.rest().split_once('`') else {
                return Err(fault(
                    start,
                    TemplateFault::Open {
                        what: "a text",
                        end: "`",
                    },
                ));
            };
            self.take(text);
            self.take("`");
            // Go drops carriage returns from raw texts.
            return Ok(text.replace('\r', ""));
        }
        self.take("\"");
        let mut text = String::new();
        loop {
            let offset = self.offset;
            match self.next() {
                Some('"') => return Ok(text),
                None | Some('\n') => {
                    return Err(fault(
                        start,
                        TemplateFault::Open {
                            what: "a text",
                            end: "\"",
                        },
                    ));
                }
                Some('\\') => text.push(match self.next() {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(same @ ('"' | '\\')) => same,
                    found => {
                        let found = found.map_or_else(|| String::from("the end"), |it| format!("`\\{it}`"));
                        let expected = r#"\n, \t, \r, \" or \\"#;
                        return Err(fault(offset, TemplateFault::Unexpected { found, expected }));
                    }
                }),
                Some(other) => text.push(other),
            }
        }
    }

    /// As [`end_of_action`](Self::end_of_action), of a comment: Go wants nothing between it and the braces.
    fn end_of_comment(&mut self, start: usize) -> Result<bool, TemplateError> {
        let text = self.rest().split_once("*/").map(|it| it.0);
        self.take(text.unwrap_or_default());
        if text.is_some() && self.take("*/") {
            let spaced = self.rest().starts_with(SPACE);
            if self.take("}}") {
                return Ok(false);
            }
            if spaced && self.next().is_some() && self.take("-}}") {
                return Ok(true);
            }
        }
        Err(fault(
            start,
            TemplateFault::Open {
                what: "a comment",
                end: "*/}}",
            },
        ))
    }

    /// Whether the text behind the action loses its leading space.
    fn end_of_action(&mut self, start: usize) -> Result<bool, TemplateError> {
        let spaced = self.skip_space();
        if spaced && self.take("-}}") {
            return Ok(true);
        }
        if self.take("}}") {
            return Ok(false);
        }
        Err(if self.rest().is_empty() {
            fault(
                start,
                TemplateFault::Open {
                    what: "an action",
                    end: "}}",
                },
            )
        } else {
            fault(self.offset, self.unexpected("`|` or `}}`"))
        })
    }

    fn deeper(&self, depth: usize) -> Result<usize, TemplateError> {
        match depth.checked_add(1).filter(|it| *it <= DEEPEST) {
            Some(depth) => Ok(depth),
            None => Err(fault(self.offset, TemplateFault::TooDeep { limit: DEEPEST })),
        }
    }

    fn unexpected(&self, expected: &'static str) -> TemplateFault {
        let found = match self.rest().chars().next() {
            _ if self.rest().starts_with("}}") => String::from("the end of the action"),
            Some(it) => format!("`{it}`"),
            None => String::from("the end"),
        };
        TemplateFault::Unexpected { found, expected }
    }

    fn rest(&self) -> &'a str {
        self.source.get(self.offset..).unwrap_or_default()
    }

    fn take(&mut self, text: &str) -> bool {
        let there = self.rest().starts_with(text);
        if there {
            self.offset = self.offset.saturating_add(text.len());
        }
        there
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.offset = self.offset.saturating_add(next.len_utf8());
        Some(next)
    }

    fn skip_space(&mut self) -> bool {
        let rest = self.rest();
        let space = rest.len().saturating_sub(rest.trim_start_matches(SPACE).len());
        self.offset = self.offset.saturating_add(space);
        space > 0
    }

    fn word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|it: char| !is_name(it)).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    /// `$a.b.c` or `.a.b`.
    fn chain(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest
            .char_indices()
            .find(|(at, it)| !(is_name(*it) || *it == '.' || (*at == 0 && *it == '$')))
            .map_or(rest.len(), |(at, _)| at);
        let chain = rest.get(..end).unwrap_or_default();
        self.take(chain);
        chain
    }
}

fn index(start: usize, operands: Vec<(usize, Operand)>) -> Result<Expr, TemplateError> {
    let mut operands = operands.into_iter().map(|(_, it)| it);
    match (operands.next(), operands.next(), operands.next()) {
        (Some(Operand::Labels), Some(Operand::Expr(Expr::Literal(name))), None) => {
            Ok(Expr::Label { name, offset: start })
        }
        _ => Err(fault(
            start,
            TemplateFault::Argument {
                function: String::from("index"),
                takes: "the labels and a name in quotes, e.g. index $labels \"pod\"",
                given: "something else",
            },
        )),
    }
}

fn printf(start: usize, arguments: Vec<Expr>) -> Result<Expr, TemplateError> {
    let mut arguments = arguments.into_iter();
    let Some(Expr::Literal(format)) = arguments.next() else {
        return Err(fault(
            start,
            TemplateFault::Argument {
                function: String::from("printf"),
                takes: "a format in quotes first, e.g. printf \"%.2f\" $value",
                given: "something else",
            },
        ));
    };
    let arguments: Vec<Expr> = arguments.collect();
    let format = Format::new(&format, &arguments).map_err(|it| fault(start, it))?;
    Ok(Expr::Print(format, arguments))
}

fn call(start: usize, word: &str, function: Function, arguments: Vec<Expr>) -> Result<Expr, TemplateError> {
    let takes = if function.takes_number() {
        "the value"
    } else {
        "a text"
    };
    let unfit = |given| {
        let function = word.to_string();
        Err(fault(
            start,
            TemplateFault::Argument {
                function,
                takes,
                given,
            },
        ))
    };
    let mut arguments = arguments.into_iter();
    match (arguments.next(), arguments.next()) {
        (None, _) => unfit("nothing"),
        (Some(_), Some(_)) => unfit("more than one argument"),
        (Some(one), None) if one.is_number() == function.takes_number() => {
            Ok(Expr::Call(function, Box::new(one)))
        }
        (Some(one), None) => unfit(if one.is_number() { "a number" } else { "a text" }),
    }
}

fn unsupported(word: &str) -> TemplateFault {
    TemplateFault::Unsupported {
        word: text::shortened(word, 40),
        known: Function::KNOWN,
    }
}

/// What is quoted of a template is fit to be seen: it may be anything.
fn fault(offset: usize, mut fault: TemplateFault) -> TemplateError {
    match &mut fault {
        TemplateFault::Unexpected { found: said, .. }
        | TemplateFault::Unsupported { word: said, .. }
        | TemplateFault::Argument { function: said, .. } => *said = text::shortened(said, text::NAME),
        TemplateFault::Open { .. } | TemplateFault::TooDeep { .. } => {}
    }
    TemplateError { offset, fault }
}

fn is_name(it: char) -> bool {
    it == '_' || it.is_alphanumeric()
}
