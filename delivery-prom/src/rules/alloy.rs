//! Reads the part of Alloy's configuration language that log pipelines are written in: blocks, attributes, texts,
//! objects and lists. Other expressions are passed over.

use super::Fault;
use super::node::{Entry, Node, Value};
use super::stages::{Pipeline, Stage};

/// Blocks and brackets may nest so deep.
const DEEPEST: usize = 64;

/// What stands between two values.
const OPERATORS: [char; 12] = ['+', '-', '*', '/', '%', '^', '<', '>', '=', '&', '|', '!'];

/// The stages of every `loki.process` block.
pub(super) fn pipelines(text: &str) -> Result<Vec<Pipeline>, Fault> {
    let tokens = tokens(text)?;
    let blocks = Reader {
        tokens: &tokens,
        at: 0,
    }
    .body(0)?;
    let processes = blocks.into_iter().filter(|it| it.kind == "loki.process");
    Ok(processes.map(|it| it.inner).filter(|it| !it.is_empty()).collect())
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Mark(char),
}

struct Reader<'a> {
    tokens: &'a [(Token, u64)],
    at: usize,
}

impl Reader<'_> {
    /// The blocks of a body, up to its closing brace or the end of the file. Blocks are taken as stages: what is no stage
    /// has no meaning for anybody who asks.
    fn body(&mut self, depth: usize) -> Result<Vec<Stage>, Fault> {
        Ok(self.block(depth)?.0)
    }

    /// Blocks and attributes.
    fn block(&mut self, depth: usize) -> Result<(Vec<Stage>, Vec<Entry>), Fault> {
        let (mut blocks, mut attributes) = (Vec::new(), Vec::new());
        while let Some((token, line)) = self.next() {
            let name = match token {
                Token::Word(name) => name,
                Token::Mark('}') if depth > 0 => return Ok((blocks, attributes)),
                other => return Err(unexpected(&other, line, "an attribute or a block")),
            };
            if self.take('=') {
                let value = self.value(deeper(depth, line)?)?;
                attributes.push(Entry {
                    key: name,
                    line,
                    value,
                });
                continue;
            }
            if let Some((Token::Text(_), _)) = self.tokens.get(self.at) {
                self.at += 1;
            }
            if !self.take('{') {
                return Err(self.missing(line, "`=` or `{`"));
            }
            let (inner, options) = self.block(deeper(depth, line)?)?;
            blocks.push(Stage {
                kind: name.strip_prefix("stage.").map_or(name.clone(), String::from),
                line,
                options: Node {
                    line,
                    value: Value::Map(options),
                },
                inner,
            });
        }
        if depth > 0 {
            return Err(Fault::whole("a block has no end (expected `}`)"));
        }
        Ok((blocks, attributes))
    }

    fn value(&mut self, depth: usize) -> Result<Node, Fault> {
        let Some((token, line)) = self.next() else {
            return Err(Fault::whole("an attribute has no value"));
        };
        let value = match token {
            Token::Text(text) => Value::Scalar(text),
            Token::Mark('{') => Value::Map(self.object(deeper(depth, line)?)?),
            Token::Mark('[') => Value::List(self.list(deeper(depth, line)?)?),
            Token::Word(word) => Value::Scalar(word),
            Token::Mark('-' | '!') => return self.value(deeper(depth, line)?),
            Token::Mark('(') => {
                let inner = self.value(deeper(depth, line)?)?;
                if !self.take(')') {
                    return Err(self.missing(line, "`)`"));
                }
                inner.value
            }
            other @ Token::Mark(_) => return Err(unexpected(&other, line, "a value")),
        };
        self.skip_operators(deeper(depth, line)?)?;
        Ok(Node { line, value })
    }

    fn object(&mut self, depth: usize) -> Result<Vec<Entry>, Fault> {
        let mut entries = Vec::new();
        while !self.take('}') {
            let (key, line) = match self.next() {
                Some((Token::Word(key) | Token::Text(key), line)) => (key, line),
                Some((other, line)) => return Err(unexpected(&other, line, "a key")),
                None => return Err(Fault::whole("an object has no end (expected `}`)")),
            };
            if !self.take('=') {
                return Err(self.missing(line, "`=`"));
            }
            let value = self.value(depth)?;
            entries.push(Entry { key, line, value });
            self.take(',');
        }
        Ok(entries)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        while !self.take(']') {
            items.push(self.value(depth)?);
            self.take(',');
        }
        Ok(items)
    }

    /// Calls, indexes, fields and operators behind a value: only their extent matters.
    fn skip_operators(&mut self, depth: usize) -> Result<(), Fault> {
        loop {
            let depth = match self.tokens.get(self.at) {
                Some((Token::Word(field), _)) if field.starts_with('.') => {
                    self.at += 1;
                    continue;
                }
                Some((Token::Mark(_), line)) => deeper(depth, *line)?,
                Some((Token::Word(_) | Token::Text(_), _)) | None => return Ok(()),
            };
            if self.take('(') {
                while !self.take(')') {
                    self.value(depth)?;
                    self.take(',');
                }
            } else if self.take('[') {
                self.list(depth)?;
            } else if OPERATORS.iter().any(|it| self.take(*it)) {
                while OPERATORS.iter().any(|it| self.take(*it)) {}
                self.value(depth)?;
            } else {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Option<(Token, u64)> {
        let next = self.tokens.get(self.at).cloned();
        self.at += 1;
        next
    }

    fn take(&mut self, mark: char) -> bool {
        let there = matches!(self.tokens.get(self.at), Some((Token::Mark(it), _)) if *it == mark);
        self.at += usize::from(there);
        there
    }

    fn missing(&self, line: u64, expected: &str) -> Fault {
        match self.tokens.get(self.at) {
            Some((token, line)) => unexpected(token, *line, expected),
            None => Fault::at(line, format!("the file ends where {expected} should stand")),
        }
    }
}

fn deeper(depth: usize, line: u64) -> Result<usize, Fault> {
    if depth < DEEPEST {
        Ok(depth + 1)
    } else {
        Err(Fault::at(line, format!("more than {DEEPEST} nested blocks")))
    }
}

fn unexpected(token: &Token, line: u64, expected: &str) -> Fault {
    let found = match token {
        Token::Word(it) => format!("`{it}`"),
        Token::Text(it) => format!("{it:?}"),
        Token::Mark(it) => format!("`{it}`"),
    };
    Fault::at(line, format!("{found} where {expected} should stand"))
}

fn tokens(text: &str) -> Result<Vec<(Token, u64)>, Fault> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1_u64);
    while let Some(first) = rest.chars().next() {
        let start = line;
        let (token, behind) = if first.is_whitespace() {
            (None, rest.trim_start())
        } else if rest.starts_with("//") || first == '#' {
            (
                None,
                rest.split_once('\n')
                    .map_or("", |it| rest.get(it.0.len()..).unwrap_or_default()),
            )
        } else if let Some(comment) = rest.strip_prefix("/*") {
            let end = comment
                .split_once("*/")
                .ok_or_else(|| Fault::at(line, "a comment has no end (expected */)"))?;
            (None, end.1)
        } else if first == '"' {
            let (text, behind) =
                quoted(rest).ok_or_else(|| Fault::at(line, "a text has no end (expected \")"))?;
            (Some(Token::Text(text)), behind)
        } else if let Some(raw) = rest.strip_prefix('`') {
            let end = raw
                .split_once('`')
                .ok_or_else(|| Fault::at(line, "a text has no end (expected `)"))?;
            (Some(Token::Text(end.0.into())), end.1)
        } else if is_word(first) {
            let end = rest.find(|it| !is_word(it)).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            (Some(Token::Word(word.into())), behind)
        } else {
            (
                Some(Token::Mark(first)),
                rest.get(first.len_utf8()..).unwrap_or_default(),
            )
        };
        tokens.extend(token.map(|it| (it, start)));
        let passed = rest.get(..rest.len() - behind.len()).unwrap_or_default();
        line += u64::try_from(passed.matches('\n').count()).unwrap_or_default();
        rest = behind;
    }
    Ok(tokens)
}

fn is_word(it: char) -> bool {
    it.is_alphanumeric() || it == '_' || it == '.'
}

/// A text in quotes without them, and what is behind.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.strip_prefix('"')?.chars();
    let mut inside = String::new();
    loop {
        match chars.next()? {
            '"' => return Some((inside, chars.as_str())),
            '\n' => return None,
            '\\' => match chars.next()? {
                'n' => inside.push('\n'),
                't' => inside.push('\t'),
                same @ ('"' | '\\') => inside.push(same),
                other => inside.extend(['\\', other]),
            },
            other => inside.push(other),
        }
    }
}
