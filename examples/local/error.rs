//! What can go wrong, in words that a person can act upon.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use delivery_core::contract::Violation;
use delivery_core::port::PortError;

/// Why the run could not go on. Printed with its causes it reads as a sentence: see [`chain`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot find this program's own file, which is started again as service and controller")]
    OwnFile { source: io::Error },
    #[error("cannot start the {what} {program}", program = program.display())]
    Start {
        what: String,
        program: PathBuf,
        source: io::Error,
    },
    #[error("the service does not come up: {0}")]
    NotReady(String),
    #[error("the Prometheus does not come up: {0}")]
    Prometheus(String),
    #[error("cannot keep the rollout's state in {path}", path = path.display())]
    StateFolder { path: PathBuf, source: io::Error },
    #[error("cannot write the report to {path}", path = path.display())]
    Report { path: PathBuf, source: io::Error },
    #[error("the controller gave up: {0}")]
    Controller(String),
    #[error("the gate cannot be used")]
    Gate(#[source] delivery_http::Error),
    #[error(transparent)]
    Port(PortError),
    #[error("the primary did not become ready on the new version: the canary keeps the traffic")]
    PromotionFailed,
    #[error("a promise of a port is not kept")]
    Contract(#[from] Violation),
    #[error("{failed} requests failed, for example: {why}")]
    Noticed { failed: u64, why: String },
    #[error("the rollout did not end within {0:?}; all traffic is back at the primary")]
    Endless(Duration),
    #[error("the plan cannot work: {0}")]
    Plan(String),
    #[error("cannot {doing}")]
    Io { doing: &'static str, source: io::Error },
}

/// An error and its causes, as one sentence.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some libraries say their cause in their own text already.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
