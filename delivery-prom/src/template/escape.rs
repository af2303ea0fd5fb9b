//! Where in a query a gap stands, and how a name is written there.

use super::Part;

/// Where a gap stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// Not in quotes: part of a metric's name, most likely.
    Bare,
    /// In a quoted text.
    Quoted(char),
    /// In a quoted regular expression.
    Pattern(char),
}

impl Context {
    /// Writes a name so that it means itself.
    pub(super) fn write(self, name: &str, query: &mut String) -> Result<(), &'static str> {
        match self {
            Self::Bare => {
                let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | ':');
                if name.is_empty() || !name.chars().all(plain) {
                    return Err("outside of quotes only letters, digits, `_` and `:` are a name");
                }
                query.push_str(name);
                Ok(())
            }
            Self::Quoted(quote) => quoted(name, quote, query),
            Self::Pattern(quote) => quoted(&literally(name), quote, query),
        }
    }
}

/// Finds out where each gap stands, by reading the text around it as PromQL (or LogQL) is read.
pub(super) fn contexts(mut parts: Vec<Part>) -> Vec<Part> {
    let mut reader = Reader::default();
    for part in &mut parts {
        match part {
            Part::Text(text) => text.chars().for_each(|it| reader.read(it)),
            Part::Gap { context, .. } => {
                *context = reader.context;
                reader.last = ['x'; 2];
            }
        }
    }
    parts
}

struct Reader {
    context: Context,
    /// The last two characters that were no white space.
    last: [char; 2],
    escaped: bool,
    comment: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            context: Context::Bare,
            last: [' '; 2],
            escaped: false,
            comment: false,
        }
    }
}

impl Reader {
    fn read(&mut self, character: char) {
        match (self.context, character) {
            (Context::Bare, '\n') => self.comment = false,
            (Context::Bare, _) if self.comment => {}
            (Context::Bare, '#') => self.comment = true,
            (Context::Bare, '"' | '\'' | '`') => {
                let pattern = matches!(self.last, ['=' | '!' | '|', '~']);
                self.context = if pattern {
                    Context::Pattern(character)
                } else {
                    Context::Quoted(character)
                };
                self.last = [' '; 2];
            }
            (Context::Bare, _) if !character.is_whitespace() => self.last = [self.last[1], character],
            (Context::Bare, _) => {}
            (Context::Quoted(quote) | Context::Pattern(quote), _) => {
                if self.escaped {
                    self.escaped = false;
                } else if character == '\\' && quote != '`' {
                    self.escaped = true;
                } else if character == quote {
                    self.context = Context::Bare;
                }
            }
        }
    }
}

fn quoted(text: &str, quote: char, query: &mut String) -> Result<(), &'static str> {
    for character in text.chars() {
        match character {
            '`' if quote == '`' => return Err("between back quotes nothing can stand for a back quote"),
            '\\' if quote != '`' => query.push_str("\\\\"),
            '\n' if quote != '`' => query.push_str("\\n"),
            it if it == quote => query.extend(['\\', it]),
            it => query.push(it),
        }
    }
    Ok(())
}

/// As Go's `regexp.QuoteMeta`.
fn literally(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for character in name.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}
