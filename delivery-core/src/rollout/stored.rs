//! The text of a saved state: the only format that the core promises. Every later version reads it.
//!
//! A JSON object `{"format": "delivery.rollout.state", "version": 1, "state": {…}}`. Times are milliseconds since the
//! epoch, durations Go's text, weights percent. Golden files beside the tests hold one state of each kind.
//!
//! # How large it can be
//! At most 1 MiB, and 5 KiB for each metric of the plan, and 24 KiB more for each that is judged by `mannWhitney`: that is
//! [`Plan::largest_state`](crate::Plan::largest_state), and holds whatever the world says, and however long nobody takes a
//! notice. Usually it is some KiB. It follows from what is kept of everything that comes from outside:
//!
//! | kept | at most |
//! |---|---|
//! | what a metric said in the last round, errors of its source too | [`SAID`](crate::text::SAID) characters per metric |
//! | what the last round said, as a reason, and in a notice that waits | the worst [`Reason::METRICS`](super::Reason::METRICS) metrics, and how many more there are |
//! | what a gate answered, and why it could not be asked | [`ANSWER`](crate::text::ANSWER) characters |
//! | names of metrics and gates (a plan with longer ones is refused), who gave a command | [`NAME`](crate::text::NAME) characters |
//! | ids of commands | the last [`State::COMMANDS`], of 128 bytes each; a longer one is kept as its hash |
//! | revisions | 128 bytes each |
//! | notices that wait | [`State::OUTBOX`], and how many were given up |
//! | points of `mannWhitney` | the last [`Series::POINTS`](crate::analysis::Series::POINTS) a side |
//!
//! Texts are cut between two characters, and are fit to be seen by people: see [`text`].

use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

use super::State;
use crate::text;

/// The most bytes that [`encode`] makes of a state, for so many metrics, and so many judged by `mannWhitney` among them.
pub(crate) const fn largest(metrics: usize, series: usize) -> usize {
    const REST: usize = 1 << 20;
    const METRIC: usize = 5 << 10;
    const SERIES: usize = 24 << 10;
    REST.saturating_add(metrics.saturating_mul(METRIC))
        .saturating_add(series.saturating_mul(SERIES))
}

const FORMAT: &str = "delivery.rollout.state";
/// The version that is written.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    format: &'a str,
    version: u32,
    state: &'a State,
}

/// What a text says of itself. Whatever stands there is read, so that it can be told.
#[derive(Default, Deserialize)]
struct Head {
    format: Option<serde_json::Value>,
    version: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Body {
    state: State,
}

/// A text that is no state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoState {
    /// It is not JSON, or is cut off.
    #[error("not a saved state: no valid JSON")]
    Json(#[source] serde_json::Error),
    /// It is something else.
    #[error("not a saved state: `format` is {found} (expected \"{FORMAT}\")")]
    Foreign {
        /// What its `format` says.
        found: String,
    },
    /// It does not say a version that there was ever.
    #[error("a saved state whose `version` is {found} (expected a whole number from 1 to {VERSION})")]
    Version {
        /// What its `version` says.
        found: String,
    },
    /// It was written by a later version.
    #[error("a saved state of version {found}; this program reads up to {VERSION}: use a newer one")]
    Newer {
        /// Its version.
        found: u64,
    },
    /// A field is missing or has a value that it cannot have.
    #[error("a damaged saved state")]
    Damaged(#[source] serde_json::Error),
}

/// The text of a state.
///
/// # Errors
/// Never for a state that [`super::step`] made; a number that JSON cannot hold otherwise.
pub fn encode(state: &State) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Written {
        format: FORMAT,
        version: VERSION,
        state,
    })
}

/// The state of a text. Fields beside `format`, `version` and `state` are somebody else's, and are left unread.
///
/// # Errors
/// [`NoState`], with what is wrong and where.
pub fn decode(document: &str) -> Result<State, NoState> {
    let head = match serde_json::from_str::<Head>(document) {
        Ok(head) => head,
        // JSON, but no object: it says nothing of itself.
        Err(other) if other.is_data() => Head::default(),
        Err(broken) => return Err(NoState::Json(text::of_json(broken))),
    };
    let said = |value: Option<serde_json::Value>| {
        value.map_or(String::from("missing"), |it| {
            text::shortened(&it.to_string(), SHOWN)
        })
    };
    if head.format.as_ref().and_then(serde_json::Value::as_str) != Some(FORMAT) {
        return Err(NoState::Foreign {
            found: said(head.format),
        });
    }
    match head.version.as_ref().and_then(serde_json::Value::as_u64) {
        Some(found) if found == u64::from(VERSION) => {}
        Some(found) if found > u64::from(VERSION) => return Err(NoState::Newer { found }),
        Some(_) | None => {
            return Err(NoState::Version {
                found: said(head.version),
            });
        }
    }
    let body: Body = serde_json::from_str(document).map_err(|it| NoState::Damaged(text::of_json(it)))?;
    Ok(body.state)
}

/// How much is shown of what a text says of itself.
const SHOWN: usize = 80;
