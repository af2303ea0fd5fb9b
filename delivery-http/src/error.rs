//! What can go wrong with somebody else's server, and here.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use delivery_core::port::{Fault, PortError};
pub use delivery_outbound::Cause;
use delivery_outbound::Error as CallError;

/// Something that could not be done over HTTP.
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
    /// A call did not succeed.
    #[error(transparent)]
    Call(delivery_outbound::Error),
    /// The answer is something else than expected.
    #[error("the answer of {host} cannot be read")]
    Unreadable {
        /// Scheme, host and port.
        host: String,
        /// Why.
        source: Cause,
    },
    /// The answer is fine by its status, and says otherwise.
    #[error("{host} declined: {said}")]
    Declined {
        /// Scheme, host and port.
        host: String,
        /// What it said.
        said: String,
    },
    /// A receiver got as many messages as it may.
    #[error("as many messages as its rate allows; the next one in {left:.0?}")]
    TooMany {
        /// How long until the next one.
        left: Duration,
    },
    /// A receiver failed a moment ago and is left alone.
    #[error("left alone for {left:.0?} more, because {why}")]
    Resting {
        /// For how long.
        left: Duration,
        /// What it failed with.
        why: String,
    },
    /// A receiver was not told.
    #[error("{receiver} was not told")]
    Receiver {
        /// Its name.
        receiver: String,
        /// Why.
        source: Box<Self>,
    },
    /// Several things at once.
    #[error("{}", Listed(failed))]
    Several {
        /// Which, and why.
        failed: Vec<Self>,
    },
    /// A file could not be used.
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
    pub fn fault(&self) -> Fault {
        match self {
            Self::Call(error) => error.fault(),
            Self::TooMany { left } | Self::Resting { left, .. } => Fault::Transient { after: Some(*left) },
            Self::Receiver { source, .. } => source.fault(),
            Self::Several { failed } => soonest(failed.iter().map(Self::fault)),
            Self::Unusable { .. }
            | Self::Declined { .. }
            | Self::Unreadable { .. }
            | Self::File { .. }
            | Self::Setup { .. } => Fault::Permanent,
        }
    }

    /// Whether somebody who was told something does not take this one as it is, and never will.
    pub(crate) const fn is_about_the_message(&self) -> bool {
        matches!(
            self,
            Self::Call(CallError::Refused {
                status: 400 | 413 | 415 | 422,
                ..
            })
        )
    }

    /// How long the other side asks to be left alone.
    pub(crate) fn asked_wait(&self) -> Option<Duration> {
        match self.fault() {
            Fault::Transient { after } => after,
            Fault::Permanent => None,
        }
    }

    /// The same, for a port: `doing` says what was being done, with the object.
    pub fn at_port(self, doing: impl Into<Cow<'static, str>>) -> PortError {
        PortError {
            fault: self.fault(),
            doing: doing.into(),
            source: Box::new(self),
        }
    }

    /// One error for all of them, of which there is at least one.
    pub(crate) fn all(mut failed: Vec<Self>) -> Self {
        match failed.pop() {
            Some(only) if failed.is_empty() => only,
            last => {
                failed.extend(last);
                Self::Several { failed }
            }
        }
    }

    /// Several as one, if there are any.
    pub(crate) fn collected(failed: Vec<Self>) -> Option<Self> {
        (!failed.is_empty()).then(|| Self::all(failed))
    }

    pub(crate) fn unreadable(host: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Unreadable {
            host: host.to_owned(),
            source: Cause::of(error),
        }
    }

    pub(crate) fn unusable(
        field: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        CallError::unusable(field, found, expected).into()
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unusable {
                field,
                found,
                expected,
            } => Self::Unusable {
                field,
                found,
                expected,
            },
            CallError::File { doing, source } => Self::File { doing, source },
            CallError::Setup { source } => Self::Setup { source },
            error => Self::Call(error),
        }
    }
}

/// When the first of them may succeed.
pub(crate) fn soonest(faults: impl Iterator<Item = Fault>) -> Fault {
    let transient = faults.filter_map(|it| match it {
        Fault::Transient { after } => Some(after),
        Fault::Permanent => None,
    });
    match transient.min() {
        Some(after) => Fault::Transient { after },
        None => Fault::Permanent,
    }
}

/// An error and its causes, as one sentence.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |it| it.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Several errors, each with its causes, as one sentence.
struct Listed<'a>(&'a [Error]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            f.write_str(&chain(error))?;
        }
        Ok(())
    }
}
