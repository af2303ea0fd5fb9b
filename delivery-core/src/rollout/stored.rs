//! The text of a saved state: the only format that the core promises. Every later version reads it.
//!
//! A JSON object `{"format": "delivery.rollout.state", "version": 1, "state": {…}}`. Times are milliseconds since the
//! epoch, durations Go's text, weights percent. Golden files beside the tests hold one state of each kind.

use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

use super::State;

const FORMAT: &str = "delivery.rollout.state";
/// The version that is written.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    format: &'a str,
    version: u32,
    state: &'a State,
}

#[derive(Deserialize)]
struct Head {
    format: Option<String>,
    version: Option<u32>,
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
    /// It was written by a later version.
    #[error("a saved state of version {found}; this program reads up to {VERSION}: use a newer one")]
    Newer {
        /// Its version.
        found: u32,
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

/// The state of a text.
///
/// # Errors
/// [`NoState`], with what is wrong and where.
pub fn decode(text: &str) -> Result<State, NoState> {
    let head: Head = serde_json::from_str(text).map_err(NoState::Json)?;
    match (head.format.as_deref(), head.version) {
        (Some(FORMAT), Some(VERSION)) => {}
        (Some(FORMAT), Some(found)) if found > VERSION => return Err(NoState::Newer { found }),
        (Some(FORMAT), Some(found)) => {
            return Err(NoState::Foreign {
                found: found.to_string(),
            });
        }
        (found, _) => {
            let found = found.map_or(String::from("missing"), |it| alloc::format!("{it:?}"));
            return Err(NoState::Foreign { found });
        }
    }
    let body: Body = serde_json::from_str(text).map_err(NoState::Damaged)?;
    Ok(body.state)
}
