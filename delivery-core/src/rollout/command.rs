//! What a person or a program may order: each order has an id and an actor, and giving it twice is harmless.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// Its identity: a second command with the same id is the same command. The last 32 are remembered.
    pub id: String,
    /// Who gives it, for the record.
    pub actor: String,
    /// What to do.
    pub order: Order,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Order {
    /// Approve the gate that is waited for, or `resume` the step that waits for it.
    Approve,
    /// Promote now: skip what is left of gates and analysis. Readiness is not skipped, and neither is a rollback.
    Promote,
    /// Hold everything where it is.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Roll back; the revision is refused.
    Abort,
    /// Roll out the refused revision once more.
    Retry,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Approve => "approve",
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Retry => "retry",
        })
    }
}
