//! What can go wrong between here and somebody else's server.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use delivery_core::port::Fault;
use delivery_core::text::{NAME, SAID, shortened};

/// A call that did not succeed, or that cannot be made.
///
/// No text holds a secret: of a URL only scheme, host and port are named, because the rest of it may be one, as in
/// Slack's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value cannot be used. Found when something is built, before anything is called.
    #[error("{field}: {found}; expected {expected}")]
    Unusable {
        /// The field, as the user wrote it, e.g. `webhooks[0].url`.
        field: String,
        /// What is wrong.
        found: String,
        /// What would be right.
        expected: Cow<'static, str>,
    },
    /// The list of allowed hosts does not have this one.
    #[error("{host} is not among the allowed hosts")]
    HostNotAllowed {
        /// Scheme, host and port.
        host: String,
    },
    /// The host's name leads to an address that is refused.
    #[error("{host} is at {address}, a link-local or metadata address, which is refused")]
    AddressRefused {
        /// The host.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// No connection could be made.
    #[error("could not reach {host}{}", Through(proxy.as_deref()))]
    Unreachable {
        /// Scheme, host and port.
        host: String,
        /// The proxy between, if there is one: scheme, host and port. It may be the one that cannot be reached.
        proxy: Option<String>,
        /// Why.
        source: Cause,
    },
    /// The other side's certificate is not trusted, or it does not speak TLS.
    #[error("no trusted connection to {host}")]
    Tls {
        /// Scheme, host and port.
        host: String,
        /// Why.
        source: Cause,
    },
    /// The connection ended before the answer was complete, or what came was not HTTP.
    #[error("{host} broke off its answer")]
    CutOff {
        /// Scheme, host and port.
        host: String,
        /// Why.
        source: Cause,
    },
    /// The answer was not complete in time.
    #[error("no complete answer from {host}{} within {limit:?}", Through(proxy.as_deref()))]
    TimedOut {
        /// Scheme, host and port.
        host: String,
        /// The proxy between, if there is one: scheme, host and port.
        proxy: Option<String>,
        /// The time that it had.
        limit: Duration,
    },
    /// Every answer points somewhere else.
    #[error("{host} redirects more than {limit} times")]
    Redirects {
        /// Scheme, host and port of the first.
        host: String,
        /// How many are followed.
        limit: usize,
    },
    /// The answer has a status outside 200 to 299.
    #[error("{host} answered {status}{}", Quoted(.said))]
    Refused {
        /// Scheme, host and port.
        host: String,
        /// The status.
        status: u16,
        /// The beginning of the body; secrets that it repeats are blotted out.
        said: String,
        /// How long to wait, when the other side said so.
        after: Option<Duration>,
    },
    /// The body is longer than what is read.
    #[error("the answer of {host} is longer than {limit} bytes")]
    TooLong {
        /// Scheme, host and port.
        host: String,
        /// How much is read.
        limit: usize,
    },
    /// A file with a secret could not be used.
    #[error("{doing}")]
    File {
        /// What was being done, with its path.
        doing: String,
        /// Why.
        source: std::io::Error,
    },
    /// The connections could not be set up at all.
    #[error("HTTP could not be set up")]
    Setup {
        /// Why.
        source: Cause,
    },
}

impl Error {
    /// Whether trying again can help.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Unreachable { .. } | Self::CutOff { .. } | Self::TimedOut { .. } => {
                Fault::Transient { after: None }
            }
            Self::Refused { status, after, .. } if passes(*status) => Fault::Transient { after: *after },
            Self::Unusable { .. }
            | Self::HostNotAllowed { .. }
            | Self::AddressRefused { .. }
            | Self::Tls { .. }
            | Self::Redirects { .. }
            | Self::Refused { .. }
            | Self::File { .. }
            | Self::TooLong { .. }
            | Self::Setup { .. } => Fault::Permanent,
        }
    }

    /// A value that cannot be used: which field, what is wrong with it, and what would be right.
    pub fn unusable(
        field: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        // Somebody else may have written it: a plan, a body, a file.
        Self::Unusable {
            field: shortened(&field.into(), NAME),
            found: shortened(&found.into(), FOUND),
            expected: expected.into(),
        }
    }
}

/// How much is told of what was found in a field, in characters: a whole JSONPath, and what is wrong with it.
const FOUND: usize = 1_200;

/// Whether a status tells of trouble that may pass: 408, 429, and all from 500 on except 501.
pub(crate) const fn passes(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502..)
}

/// The innermost cause of a failure on the wire. What lies between says nothing that [`Error`] does not, and would name
/// the URL.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cause(String);

impl Cause {
    /// What lies at the bottom of an error, in one line of bounded length.
    pub fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut innermost = error;
        while let Some(cause) = innermost.source() {
            innermost = cause;
        }
        // It may quote an answer.
        Self(shortened(&innermost.to_string(), SAID))
    }
}

/// A body in an error's text, if there is one.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.0)
        }
    }
}

/// A proxy in an error's text, if there is one.
struct Through<'a>(Option<&'a str>);

impl fmt::Display for Through<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |proxy| write!(f, " through the proxy {proxy}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unusable_is_quoted_in_one_line_with_a_bound() {
        let odd = "\u{202e}\n".to_owned() + &"x".repeat(9_000);
        let said = Error::unusable(odd.as_str(), odd.as_str(), "less").to_string();
        assert_eq!(delivery_core::text::hidden(&said), None, "{said}");
        assert!(said.chars().count() < 1_500, "{said}");
    }
}
