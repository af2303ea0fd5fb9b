//! The gate: asks the server, and answers what [`decide`] says.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use delivery_core::plan::{Gate, GateKind};
use delivery_core::port::{Answer, Approver, Clock, GateQuestion, PortError};
use delivery_core::{Revision, Timestamp};

use super::{Decision, Policy, Says, Start, decide};
use crate::Client;

/// Answers the gates of one rollout from the alerts of one server.
///
/// It must know when the rollout began. It learns that from its gate of kind `confirm-rollout`, which is asked before
/// anything moves, and keeps it in memory: whoever restarts in the middle of a rollout passes on what
/// [`start`](Self::start) said, or it is [`Start::Before`] the restart.
pub struct AlertGate {
    name: String,
    policy: Policy,
    client: Client,
    clock: Arc<dyn Clock>,
    others: Option<Arc<dyn Approver>>,
    starts: Mutex<BTreeMap<Revision, Start>>,
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
            starts: Mutex::default(),
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

    /// Tells when the rollout of a revision began, after a restart.
    #[must_use]
    pub fn starting(self, revision: &Revision, start: Start) -> Self {
        self.remember(revision, start);
        self
    }

    /// When the rollout of a revision began, if it did.
    pub fn start(&self, revision: &Revision) -> Option<Start> {
        self.starts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(revision)
            .copied()
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

    /// What the alerts say about a rollout that began at `start`; none before it does.
    ///
    /// # Errors
    /// What an exchange with the server brings.
    pub async fn look(&self, start: Option<Start>) -> Result<Decision, crate::Error> {
        let groups = self.client.rules().await?;
        Ok(decide(&self.policy, &groups, start, self.clock.now()))
    }

    fn remember(&self, revision: &Revision, start: Start) {
        let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        // One rollout at a time: what was rolled out before does not begin again without being asked about.
        starts.clear();
        starts.insert(revision.clone(), start);
    }

    /// When the run began that is asked about; none when it is just about to.
    fn started(&self, question: &GateQuestion<'_>, now: Timestamp) -> Option<Start> {
        if question.gate.kind == GateKind::ConfirmRollout {
            self.remember(question.revision, Start::At(now));
            return None;
        }
        let known = self.start(question.revision);
        let start = known.unwrap_or(Start::Before(now));
        if known.is_none() {
            self.remember(question.revision, start);
        }
        Some(start)
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
        let start = self.started(question, self.clock.now());
        let decision = self.look(start).await.map_err(|error| PortError {
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
