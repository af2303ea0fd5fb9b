//! Cuts a template into tokens.

use super::Refused;

/// White space as Go's templates have it.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) at: usize,
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Between actions.
    Text,
    Open,
    Close,
    Space,
    Assign,
    Declare,
    Pipe,
    Quoted,
    Char,
    Variable,
    Dot,
    Field,
    Number,
    Complex,
    Bool,
    Word,
    Keyword(Keyword),
    OpenParenthesis,
    CloseParenthesis,
    Comma,
    /// Anything else that can be printed.
    Other,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

impl Keyword {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "block" => Self::Block,
            "break" => Self::Break,
            "continue" => Self::Continue,
            "define" => Self::Define,
            "else" => Self::Else,
            "end" => Self::End,
            "if" => Self::If,
            "nil" => Self::Nil,
            "range" => Self::Range,
            "template" => Self::Template,
            "with" => Self::With,
            _ => return None,
        })
    }
}

/// All tokens, the last of which is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Refused> {
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: Vec::new(),
    };
    while lexer.at < text.len() {
        lexer.text()?;
    }
    lexer.push(text.len(), Kind::End);
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take(&mut self, text: &str) -> bool {
        let there = self.rest().starts_with(text);
        self.at += if there { text.len() } else { 0 };
        there
    }

    fn push(&mut self, start: usize, kind: Kind) {
        self.tokens.push(Token {
            at: start,
            kind,
            text: self.text.get(start..self.at).unwrap_or_default(),
        });
    }

    fn refused(at: usize, why: impl Into<String>) -> Refused {
        Refused {
            at,
            why: why.into(),
            only_here: false,
        }
    }

    /// Text up to the next action, and that action.
    fn text(&mut self) -> Result<(), Refused> {
        let start = self.at;
        let Some(length) = self.rest().find("{{") else {
            self.at = self.text.len();
            self.push(start, Kind::Text);
            return Ok(());
        };
        let open = start + length;
        let behind = self.text.get(open + 2..).unwrap_or_default();
        let trims = behind.starts_with('-') && behind.get(1..).is_some_and(|it| it.starts_with(SPACE));
        self.at = open;
        let before = self.text.get(start..open).unwrap_or_default();
        let before = if trims {
            before.trim_end_matches(SPACE)
        } else {
            before
        };
        if !before.is_empty() {
            self.tokens.push(Token {
                at: start,
                kind: Kind::Text,
                text: before,
            });
        }
        self.at = open + 2;
        let marker = if trims { 2 } else { 0 };
        if self
            .text
            .get(self.at + marker..)
            .is_some_and(|it| it.starts_with("/*"))
        {
            self.at += marker;
            return self.comment(open);
        }
        self.push(open, Kind::Open);
        self.at += marker;
        self.action(open)
    }

    fn comment(&mut self, open: usize) -> Result<(), Refused> {
        let length = self
            .rest()
            .find("*/")
            .ok_or_else(|| Self::refused(open, "a comment has no end (expected */}})"))?;
        self.at += length + 2;
        if self.closing().is_none() {
            return Err(Self::refused(
                self.at,
                "a comment is not alone in its braces (expected }} behind */)",
            ));
        }
        self.close();
        Ok(())
    }

    /// The length of the action's end, where it is here; the marker that trims is its first part.
    fn closing(&self) -> Option<usize> {
        let rest = self.rest();
        let marked = rest.strip_prefix(SPACE).is_some_and(|it| it.starts_with("-}}"));
        if marked {
            Some(4)
        } else {
            rest.starts_with("}}").then_some(2)
        }
    }

    fn close(&mut self) {
        let length = self.closing().unwrap_or_default();
        self.at += length;
        if length > 2 {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches(SPACE).len();
        }
    }

    /// What is inside the braces, and their end.
    fn action(&mut self, open: usize) -> Result<(), Refused> {
        let mut parentheses = Vec::new();
        loop {
            let start = self.at;
            if self.closing().is_some() {
                if let Some(at) = parentheses.pop() {
                    return Err(Self::refused(at, "a parenthesis has no end (expected `)`)"));
                }
                self.close();
                self.push(start, Kind::Close);
                return Ok(());
            }
            let Some(first) = self.next() else {
                return Err(Self::refused(open, "an action has no end (expected }})"));
            };
            let kind = match first {
                ' ' | '\t' | '\r' | '\n' => self.space(),
                '=' => Kind::Assign,
                ':' if self.take("=") => Kind::Declare,
                ':' => return Err(Self::refused(start, "`:` where `:=` should stand")),
                '|' => Kind::Pipe,
                '"' => self.quoted('"', start)?,
                '`' => self.raw(start)?,
                '\'' => self.quoted('\'', start)?,
                '$' => self.field(Kind::Variable)?,
                '.' if !self.peek().is_some_and(|it| it.is_ascii_digit()) => self.field(Kind::Field)?,
                '.' | '+' | '-' | '0'..='9' => {
                    self.at = start;
                    self.number(start)?
                }
                '(' => {
                    parentheses.push(start);
                    Kind::OpenParenthesis
                }
                ')' if parentheses.pop().is_some() => Kind::CloseParenthesis,
                ')' => return Err(Self::refused(start, "`)` without a `(` before it")),
                ',' => Kind::Comma,
                _ if is_word(first) => self.word(start)?,
                _ if first.is_ascii() && !first.is_ascii_control() => Kind::Other,
                _ => {
                    return Err(Self::refused(
                        start,
                        format!("{first:?} is no character of an action"),
                    ));
                }
            };
            self.push(start, kind);
        }
    }

    /// One space was taken. The last one belongs to a marker that trims, where such a one follows.
    fn space(&mut self) -> Kind {
        self.at -= 1;
        let rest = self.rest();
        let length = rest.len() - rest.trim_start_matches(SPACE).len();
        let behind = rest.get(length..).unwrap_or_default();
        self.at += if behind.starts_with("-}}") {
            length - 1
        } else {
            length
        };
        Kind::Space
    }

    fn quoted(&mut self, quote: char, start: usize) -> Result<Kind, Refused> {
        loop {
            match self.next() {
                Some('\\') if !matches!(self.peek(), None | Some('\n')) => _ = self.next(),
                None | Some('\n' | '\\') => {
                    return Err(Self::refused(
                        start,
                        format!("a text has no end (expected {quote} on the same line)"),
                    ));
                }
                Some(it) if it == quote => break,
                Some(_) => {}
            }
        }
        Ok(if quote == '"' { Kind::Quoted } else { Kind::Char })
    }

    fn raw(&mut self, start: usize) -> Result<Kind, Refused> {
        let length = self
            .rest()
            .find('`')
            .ok_or_else(|| Self::refused(start, "a text has no end (expected `)"))?;
        self.at += length + 1;
        Ok(Kind::Quoted)
    }

    fn words(&mut self) {
        let rest = self.rest();
        self.at += rest.find(|it| !is_word(it)).unwrap_or(rest.len());
    }

    /// What may stand behind a word, a field or a variable.
    fn ends(&self) -> Result<(), Refused> {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => Ok(()),
            Some(_) if self.rest().starts_with("}}") => Ok(()),
            Some(other) => Err(Self::refused(
                self.at,
                format!("{other:?} directly behind a name (expected a space, or no such character)"),
            )),
        }
    }

    fn field(&mut self, kind: Kind) -> Result<Kind, Refused> {
        let start = self.at;
        if self.ends().is_err() {
            self.words();
            self.ends()?;
        }
        Ok(if self.at == start && kind == Kind::Field {
            Kind::Dot
        } else {
            kind
        })
    }

    fn word(&mut self, start: usize) -> Result<Kind, Refused> {
        self.words();
        self.ends()?;
        let word = self.text.get(start..self.at).unwrap_or_default();
        Ok(match word {
            "true" | "false" => Kind::Bool,
            _ => Keyword::of(word).map_or(Kind::Word, Kind::Keyword),
        })
    }

    fn number(&mut self, start: usize) -> Result<Kind, Refused> {
        let whole = self.scan();
        let second = whole && matches!(self.peek(), Some('+' | '-'));
        let imaginary =
            !second || (self.scan() && self.text.get(..self.at).is_some_and(|it| it.ends_with('i')));
        if whole && imaginary {
            return Ok(if second { Kind::Complex } else { Kind::Number });
        }
        let end = self.peek().map_or(0, char::len_utf8);
        let text = self.text.get(start..self.at + end).unwrap_or_default();
        Err(Self::refused(start, format!("{text:?} is no number")))
    }

    /// Whether no letter or digit stands behind what was taken as a number.
    fn scan(&mut self) -> bool {
        self.one_of("+-");
        let mut digits = "0123456789_";
        if self.one_of("0") {
            if self.one_of("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.one_of("oO") {
                digits = "01234567_";
            } else if self.one_of("bB") {
                digits = "01_";
            }
        }
        while self.one_of(digits) {}
        if self.one_of(".") {
            while self.one_of(digits) {}
        }
        let exponent = match digits.len() {
            11 => "eE",
            23 => "pP",
            _ => "",
        };
        if self.one_of(exponent) {
            self.one_of("+-");
            while self.one_of("0123456789_") {}
        }
        self.one_of("i");
        !self.peek().is_some_and(is_word)
    }

    fn one_of(&mut self, any: &str) -> bool {
        let there = self.peek().is_some_and(|it| any.contains(it));
        self.at += usize::from(there);
        there
    }
}

fn is_word(it: char) -> bool {
    it == '_' || it.is_alphanumeric()
}
