//! The gate: asks the server, and answers what [`decide`] says.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use delivery_core::Timestamp;
use delivery_core::plan::{Gate, GateKind};
use delivery_core::port::{Answer, Approver, Clock, GateQuestion, PortError};

use super::{Cause, Decision, Policy, Says, decide};
use crate::Client;

/// Answers the gates of a rollout from the alerts of one server.
///
/// It keeps nothing between two questions: when the rollout began is in its saved state, and comes with each question.
pub struct AlertGate {
    name: String,
    policy: Policy,
    client: Client,
    clock: Arc<dyn Clock>,
    others: Option<Arc<dyn Approver>>,
}

impl AlertGate {
    /// The gates of this name, answered by a policy from the rules of a server.
    pub fn new(name: impl Into<String>, policy: Policy, client: Client, clock: Arc<dyn Clock>) -> Self {
        Self {
            name: name.into(),
            policy,
            client,
            clock,
            others: None,
        }
    }

    /// Hands gates of other names on to another approver. Without one they are errors, which approve nothing.
    #[must_use]
    pub fn others(self, others: Arc<dyn Approver>) -> Self {
        Self {
            others: Some(others),
            ..self
        }
    }

    /// The gates to put into the rollout's spec.
    pub fn gates(&self) -> [Gate; 4] {
        [
            GateKind::ConfirmRollout,
            GateKind::ConfirmTrafficIncrease,
            GateKind::ConfirmPromotion,
            GateKind::Rollback,
        ]
        .map(|kind| Gate::new(kind, self.name.clone()))
    }

    /// What the alerts say about a rollout that began to change anything at `began`; none before it does.
    ///
    /// # Errors
    /// What an exchange with the server brings.
    pub async fn look(&self, began: Option<Timestamp>) -> Result<Decision, crate::Error> {
        let (groups, partial) = self.client.known_rules().await?;
        let decision = decide(&self.policy, &groups, began, self.clock.now());
        Ok(match partial {
            // What fires, fires; but the silence of those that are missing means nothing.
            Some(why) => decision.and(Says::Inconclusive, Cause::Partial { why }),
            None => decision,
        })
    }
}

impl fmt::Debug for AlertGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertGate")
            .field("name", &self.name)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Approver for AlertGate {
    async fn ask(&self, question: &GateQuestion<'_>) -> Result<Answer, PortError> {
        if question.gate.name != self.name {
            return match &self.others {
                Some(others) => others.ask(question).await,
                None => Err(PortError::permanent(
                    format!("asking the gate `{}`", question.gate.name),
                    format!("nobody answers it (the only gate is `{}`)", self.name),
                )),
            };
        }
        let decision = self.look(question.began).await.map_err(|error| PortError {
            fault: error.fault(),
            doing: "looking at alerts".into(),
            source: Box::new(error),
        })?;
        tracing::debug!(gate = self.name, kind = %question.gate.kind, says = ?decision.says, %decision);
        Ok(answer(question.gate.kind, &decision))
    }
}

/// A gate of kind `rollback` approves a rollback; all others approve going on.
fn answer(kind: GateKind, decision: &Decision) -> Answer {
    let approved = match kind {
        GateKind::Rollback => decision.says == Says::RollBack,
        GateKind::ConfirmRollout
        | GateKind::PreRollout
        | GateKind::Rollout
        | GateKind::ConfirmTrafficIncrease
        | GateKind::ConfirmPromotion => decision.says == Says::GoOn,
    };
    if approved {
        Answer::Approved
    } else {
        Answer::Denied(decision.to_string())
    }
}

#[cfg(test)]
mod tests;
