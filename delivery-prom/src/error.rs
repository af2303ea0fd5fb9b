//! What can go wrong, in words that a person can act upon, and without secrets.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use delivery_core::port::{Fault, PortError};

use crate::template::TemplateError;

/// A cause that comes from elsewhere.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// What could not be done.
///
/// Printed with its causes it reads as a sentence. No text has a secret in it: addresses are shown without credentials
/// and parameters, and what a server says is searched for the secrets that were sent to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text that is no address of a server.
    #[error("{address:?} is no address of a server: {why} (expected e.g. http://prometheus:9090)")]
    Address {
        /// The text, as far as it has no secrets.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// A header that cannot be sent.
    #[error("header {name:?} cannot be sent: {why}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A bound that no exchange could keep.
    #[error("{field} cannot be {value} (expected {expected})")]
    Setting {
        /// Which one.
        field: &'static str,
        /// What it was set to.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A file that has no certificate in it.
    #[error("the certificate of the authority cannot be read (expected PEM)")]
    Certificate {
        /// Why.
        source: Cause,
    },
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be set up")]
    Setup {
        /// Why.
        source: Cause,
    },
    /// A template that cannot be used, or has nothing to fill a gap with.
    #[error("query {template:?} cannot be used")]
    Template {
        /// The template, shortened.
        template: String,
        /// Why.
        source: TemplateError,
    },
    /// A query that this server cannot answer with a number. Nothing was sent.
    #[error("query `{query}` cannot be used: {why}")]
    Query {
        /// The query, shortened.
        query: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// A metric that nobody knows how to measure.
    #[error("there is no query for metric {metric:?} (known: {known}; or write one in the plan)")]
    NoQuery {
        /// The metric, shortened.
        metric: String,
        /// The metrics for which there is one.
        known: String,
    },
    /// No answer in time.
    #[error("{asked}: no answer within {limit:?}{}", through(proxy.as_deref()))]
    TimedOut {
        /// What was asked for.
        asked: Asked,
        /// The proxy between, if there is one: scheme, host and port.
        proxy: Option<String>,
        /// How long it was waited for.
        limit: Duration,
    },
    /// No connection, one that broke, or one that may not be made.
    #[error("{asked}: it cannot be reached")]
    Unreachable {
        /// What was asked for.
        asked: Asked,
        /// Why.
        source: Box<delivery_outbound::Error>,
    },
    /// The server, or what stands before it, is busy or on its way: 429, 502, 503, 504.
    #[error("{asked}: it is not available now ({status}{message})", message = said(message))]
    Unavailable {
        /// What was asked for.
        asked: Asked,
        /// The HTTP status.
        status: u16,
        /// What the server said, shortened.
        message: String,
        /// How long to wait, where it said so.
        after: Option<Duration>,
    },
    /// The server does not want to answer this.
    #[error("{asked}: it refused ({status}{message})", message = said(message))]
    Refused {
        /// What was asked for.
        asked: Asked,
        /// The HTTP status.
        status: u16,
        /// What the server said, shortened.
        message: String,
    },
    /// An answer that is a part of what was asked for.
    #[error("{asked}: only a part of it was answered ({why})")]
    Partial {
        /// What was asked for.
        asked: Asked,
        /// What the server says, shortened.
        why: String,
    },
    /// An answer that is larger than what may be read.
    #[error("{asked}: the answer is larger than {limit} bytes (ask for fewer series, or raise the limit)")]
    TooLarge {
        /// What was asked for.
        asked: Asked,
        /// The limit.
        limit: usize,
    },
    /// An answer in another language.
    #[error("{asked}: the answer cannot be read")]
    Unreadable {
        /// What was asked for.
        asked: Asked,
        /// Why.
        source: Cause,
    },
}

impl Error {
    /// Whether trying again can help, and when.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::TimedOut { .. } | Self::Partial { .. } => Fault::Transient { after: None },
            Self::Unreachable { source, .. } => source.fault(),
            Self::Unavailable { after, .. } => Fault::Transient { after: *after },
            Self::Address { .. }
            | Self::Header { .. }
            | Self::Setting { .. }
            | Self::Certificate { .. }
            | Self::Setup { .. }
            | Self::Template { .. }
            | Self::Query { .. }
            | Self::NoQuery { .. }
            | Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::Unreadable { .. } => Fault::Permanent,
        }
    }

    /// The same as the error of a port that was measuring `metric`.
    pub(crate) fn measuring(self, metric: &str) -> PortError {
        PortError {
            fault: self.fault(),
            doing: format!("measuring {metric}").into(),
            source: self.into(),
        }
    }
}

/// What was asked, and whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The server's address without credentials and parameters.
    pub server: String,
    /// The query, shortened, in back quotes; or what else was asked for, in words.
    pub what: String,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asking {} for {}", self.server, self.what)
    }
}

fn through(proxy: Option<&str>) -> String {
    proxy.map_or(String::new(), |it| format!(" through the proxy {it}"))
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

pub(crate) use delivery_core::text::shortened;

/// How much of a query is shown.
pub(crate) const SHOWN: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shown_in_one_line_of_bounded_length() {
        for (text, most, line) in [
            ("up", 10, "up"),
            ("sum(\n  up\n)", 20, "sum( up )"),
            ("  \t ", 20, ""),
            ("0123456789", 10, "0123456789"),
            ("01234567890", 10, "0123456789…"),
            ("äöüäöü", 3, "äöü…"),
            ("a\u{1b}[31mred\u{202e}", 20, "a [31mred"),
        ] {
            assert_eq!(shortened(text, most), line);
        }
        assert_eq!(shortened(&"x ".repeat(1 << 20), 10).chars().count(), 11);
    }
}
