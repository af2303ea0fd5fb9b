//! Answers gates.

use alloc::boxed::Box;
use alloc::string::String;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::PortError;
use crate::analysis::Checks;
use crate::plan::Gate;
use crate::revision::Revision;
use crate::rollout::Phase;
use crate::time::Timestamp;

/// One gate that is asked.
#[derive(Clone, Debug)]
pub struct GateQuestion<'a> {
    /// The gate.
    pub gate: &'a Gate,
    /// The revision that it is about.
    pub revision: &'a Revision,
    /// The phase of the rollout.
    pub phase: Phase,
    /// Since when the rollout changes anything, pods or traffic; none before it does.
    pub began: Option<Timestamp>,
    /// What has gone wrong so far.
    pub checks: Checks,
    /// The question's identity: the same when it is repeated after a crash, another for every other question.
    pub key: &'a str,
}

/// What a gate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// Yes. Of a gate of kind `Rollback`: roll back.
    Approved,
    /// No, in the gate's words.
    Denied(String),
}

/// Answers gates.
///
/// # Contract
/// - Asking again with the same key is harmless: a crash repeats a question.
/// - It answers within a bound of its own; a driver waits for it.
/// - An error is no answer: it is treated as a denial, and its cause is shown.
///
/// `contract::approver` checks this for any implementation, as far as it can be seen from outside.
///
/// # Example
/// ```
/// use async_trait::async_trait;
/// use delivery_core::plan::GateKind;
/// use delivery_core::port::{Answer, Approver, GateQuestion, PortError};
///
/// /// Nothing is promoted on a Friday.
/// struct Friday(fn() -> bool);
///
/// #[async_trait]
/// impl Approver for Friday {
///     async fn ask(&self, question: &GateQuestion<'_>) -> Result<Answer, PortError> {
///         Ok(match question.gate.kind {
///             GateKind::ConfirmPromotion if (self.0)() => Answer::Denied("it is Friday".into()),
///             GateKind::Rollback => Answer::Denied("no reason to roll back".into()),
///             _ => Answer::Approved,
///         })
///     }
/// }
/// ```
#[async_trait]
pub trait Approver: Send + Sync {
    /// Asks once.
    async fn ask(&self, question: &GateQuestion<'_>) -> Result<Answer, PortError>;
}

const _: Option<&dyn Approver> = None;

/// Approves everything, and never asks for a rollback: for plans without gates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

#[async_trait]
impl Approver for Open {
    async fn ask(&self, question: &GateQuestion<'_>) -> Result<Answer, PortError> {
        Ok(match question.gate.kind {
            crate::plan::GateKind::Rollback => Answer::Denied(String::from("nobody asks for a rollback")),
            crate::plan::GateKind::ConfirmRollout
            | crate::plan::GateKind::PreRollout
            | crate::plan::GateKind::Rollout
            | crate::plan::GateKind::ConfirmTrafficIncrease
            | crate::plan::GateKind::ConfirmPromotion => Answer::Approved,
        })
    }
}
