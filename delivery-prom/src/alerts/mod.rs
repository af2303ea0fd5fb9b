//! Alerts as a gate: what Prometheus alerts about holds a rollout or rolls it back.
//!
//! An alert is a judgement that somebody has written already; a rollout need not repeat it as a metric. What it must not
//! do is take silence for health: a rule that was renamed, fails, or is not evaluated any more is silent too. So a gate
//! names the rules that it watches, and [`decide`] looks at all of them before it looks at any alert.
//!
//! | what is found | what it means |
//! |---|---|
//! | a watched rule is missing, fails, or was not evaluated for two intervals | hold |
//! | a watched rule looked at no series at all (vmalert and Grafana tell) | hold |
//! | the server says that some of its rules are missing from its answer | hold, unless something fires |
//! | an alert that was active when the rollout began | nothing, or it must not begin: [`AtStart`] |
//! | an alert of somebody else, by its labels | nothing: [`Attribution`] |
//! | an alert that nobody can be told from | hold, or ours: [`Attribution`] |
//! | a pending alert | hold, or nothing: [`Policy::pending`] |
//! | a firing alert | by its severity: [`Reaction`] |
//! | none of these | go on |
//!
//! # How it becomes a gate
//! [`AlertGate`] is an [`Approver`](delivery_core::port::Approver) for the gates that [`AlertGate::gates`] lists; they go
//! into the rollout's spec. That of kind `rollback` is asked in every interval and approves when something fires that
//! should roll back. Those of kind `confirm-rollout`, `confirm-traffic-increase` and `confirm-promotion` approve only
//! when nothing is found: while something is pending, or nobody knows, the canary keeps its weight and is asked about
//! again. A server that cannot be reached approves nothing.
//!
//! When the rollout began is in its saved state, by the controller's clock, and is compared with what the server says by
//! its own: both are assumed to agree within an evaluation interval. Where an evaluation lies further ahead, the gate
//! holds.
//!
//! ```
//! use std::sync::Arc;
//!
//! use delivery_core::host::SystemClock;
//! use delivery_core::plan::{Canary, Capabilities, Spec, Strategy};
//! use delivery_prom::Server;
//! use delivery_prom::alerts::{AlertGate, Attribution, Policy};
//!
//! let policy = Policy {
//!     attribution: Attribution::require([("service", "web")]),
//!     ..Policy::watching(["HighErrorRate", "HighLatency"])
//! };
//! let client = Server::new("http://prometheus.example.com:9090")?.client()?;
//! let gate = AlertGate::new("alerts", policy, client, Arc::new(SystemClock));
//!
//! let canary = Canary { step_weight: Some(10.0), max_weight: Some(50.0), ..Canary::default() };
//! let spec = Spec { gates: gate.gates().to_vec(), ..Spec::new(Strategy::Canary(canary)) };
//! let (plan, _warnings) = spec.compile(&Capabilities::ALL)?;
//! // `gate` is the `approver` of the `Ports` that `advance` runs the plan on.
//! # let _ = plan;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

//!
//! # Beforehand
//! Whether a rule would have told about a past incident, and how late, is what [`history`] says: it evaluates the rule
//! again, with the core's [`alerting`](delivery_core::alerting), over what the server has recorded. [`too_short`] tells
//! which rules are too slow for a plan.

mod decide;
mod dwell;
mod gate;
mod history;

use std::collections::{BTreeMap, BTreeSet};

pub use self::decide::{AlertName, Cause, Decision, Says, decide};
pub use self::dwell::{TooShort, too_short};
pub use self::gate::AlertGate;
pub use self::history::{UnusableText, evaluated, history};

/// Which alerts count, and what they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Names of the alerts whose rules are watched. Each must exist.
    pub names: BTreeSet<String>,
    /// Rules that have all of these labels are watched too. If there are any labels, at least one such rule must exist.
    /// Compared with the rule's own labels as they are written, before templates are filled in.
    pub labels: BTreeMap<String, String>,
    /// What a firing alert does.
    pub severity: Severity,
    /// What a pending alert does: at most this, and nothing where it would do nothing when it fires. Default: hold.
    pub pending: Pending,
    /// What alerts do that were active when the rollout began.
    pub at_start: AtStart,
    /// Whose alerts they are.
    pub attribution: Attribution,
}

impl Policy {
    /// Watches the rules with these names: what is critical rolls back, all else holds, and every alert is ours.
    pub fn watching<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            labels: BTreeMap::new(),
            severity: Severity::default(),
            pending: Pending::default(),
            at_start: AtStart::default(),
            attribution: Attribution::default(),
        }
    }
}

/// What a firing alert does, by one of its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Severity {
    /// The label that tells. Default: `severity`.
    pub label: String,
    /// What each of its values does. Default: `critical` rolls back.
    pub map: BTreeMap<String, Reaction>,
    /// What all other values do, and alerts without the label. Default: hold.
    pub otherwise: Reaction,
}

impl Default for Severity {
    fn default() -> Self {
        Self {
            label: "severity".into(),
            map: [("critical".into(), Reaction::RollBack)].into(),
            otherwise: Reaction::Hold,
        }
    }
}

/// What a firing alert does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reaction {
    /// Nothing.
    Ignore,
    /// The canary keeps its weight while it fires.
    Hold,
    /// The rollout is rolled back.
    RollBack,
}

/// What a pending alert does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pending {
    /// Nothing: it may well go away.
    Ignore,
    /// The canary keeps its weight until it is gone or fires.
    #[default]
    Hold,
}

/// What alerts do that were active when the rollout began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtStart {
    /// They are not the canary's fault, and are ignored for the whole rollout, for as long as they stay active.
    #[default]
    Ignore,
    /// The rollout does not begin while there is one, and they count like all others.
    Block,
}

/// Whose alerts they are: labels that tell, with the values that are ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attribution {
    /// The labels. An alert with another value is somebody else's, and ignored. Default: none, so every alert is ours.
    pub labels: BTreeMap<String, String>,
    /// What it means that an alert has no such label.
    pub missing: Missing,
}

impl Attribution {
    /// An alert is ours when it has all of these labels; one that lacks one of them holds.
    pub fn require<N: Into<String>, V: Into<String>>(labels: impl IntoIterator<Item = (N, V)>) -> Self {
        Self {
            labels: labels
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            missing: Missing::Hold,
        }
    }

    /// An alert is ours when it has all of these labels, or lacks them.
    pub fn assume_ours<N: Into<String>, V: Into<String>>(labels: impl IntoIterator<Item = (N, V)>) -> Self {
        Self {
            missing: Missing::AssumeOurs,
            ..Self::require(labels)
        }
    }
}

/// What it means that an alert lacks a label that would tell whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// Nobody knows whose it is: hold, and never roll back.
    #[default]
    Hold,
    /// It is ours.
    AssumeOurs,
}
