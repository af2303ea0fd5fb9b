//! What is known of the world when a decision is made.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::Command;
use crate::analysis::Sample;
use crate::plan::GateKind;
use crate::port::{Answer, Pods, Traffic};
use crate::revision::Revision;
use crate::time::Timestamp;

/// What is known of the world now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// The present moment.
    pub now: Timestamp,
    /// The revision that should be rolled out; none when nobody can tell.
    pub target: Option<Revision>,
    /// The primary's pods; none when nobody can tell.
    pub primary: Option<Pods>,
    /// The canary's pods; none when nobody can tell.
    pub canary: Option<Pods>,
    /// How requests are divided in fact; none when nobody can tell.
    pub in_force: Option<Traffic>,
    /// Answers to what was asked since the last transition.
    pub replies: Vec<Reply>,
    /// Orders that were given.
    pub commands: Vec<Command>,
}

/// An answer to a [`Question`](super::Question).
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The state's `sequence` when it was asked: an answer that comes after the next transition is dropped.
    pub sequence: u64,
    /// The answer.
    pub content: Content,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// What a gate said; the text of the error when it could not be asked.
    Gate {
        /// The gate's kind.
        kind: GateKind,
        /// The gate's name.
        name: String,
        /// What it said.
        said: Result<Answer, String>,
    },
    /// What was measured, by metric.
    Measured(BTreeMap<String, Sample>),
    /// What the primary did before, window by window, by metric; the text of the error where nobody could tell.
    History(BTreeMap<String, Result<Vec<Sample>, String>>),
}
