//! What a notice says, before any receiver's format.

use delivery_core::plan::{Canary, Spec, Strategy};
use delivery_core::rollout::{Notice, Reason, Severity};

use crate::Error;

/// Whose notices these are. A notice itself does not know: a state belongs to one rollout, and only its owner knows which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The rollout's name; Flagger's canary.
    pub name: String,
    /// Its namespace, or whatever keeps two rollouts of the same name apart.
    pub namespace: String,
    /// The cluster or site, told in every message when there is one; Flagger's `-cluster-name`.
    pub cluster: Option<String>,
    /// Facts about the plan that are told when a rollout begins. [`About::planned`] has Flagger's.
    pub fields: Vec<Field>,
}

impl About {
    /// A rollout, without cluster and facts.
    pub fn new(name: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            cluster: None,
            fields: Vec::new(),
        }
    }

    /// Adds the cluster.
    #[must_use]
    pub fn cluster(self, cluster: impl Into<String>) -> Self {
        Self {
            cluster: Some(cluster.into()),
            ..self
        }
    }

    /// Adds the facts that Flagger tells about a plan: the target (`Deployment/web`), the threshold of failed checks,
    /// the deadline, and how traffic moves.
    #[must_use]
    pub fn planned(mut self, target: &str, spec: &Spec) -> Self {
        self.fields.extend([
            Field::new("Target", format!("{target}.{}", self.namespace)),
            Field::new("Failed checks threshold", spec.threshold.to_string()),
            Field::new("Progress deadline", format!("{}s", spec.deadline.as_secs())),
            Field::new("Traffic routing", routing(&spec.strategy)),
        ]);
        self
    }

    /// `web.shop`: the rollout as Flagger names it.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.name, self.namespace)
    }
}

/// A fact with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name.
    pub name: String,
    /// The fact.
    pub value: String,
}

impl Field {
    /// A fact with a name.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }
}

/// A notice and whose it is: what senders make their bodies of.
///
/// Nothing in it is escaped or shortened, and a reason may quote what a gate said: each sender makes that harmless in its
/// own format.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Whose notice it is.
    pub about: &'a About,
    /// The notice.
    pub notice: &'a Notice,
}

impl<'a> Message<'a> {
    /// What happened, as a sentence: phase, revision, the canary's share, and why.
    pub fn text(&self) -> String {
        let Notice {
            phase,
            weight,
            reason,
            ..
        } = self.notice;
        let revision = self.revision();
        let space = if revision.is_empty() { "" } else { " " };
        format!("{phase}{space}{revision}, {weight} to the canary: {reason}")
    }

    /// The facts to tell with it: the cluster always, those about the plan when the rollout begins.
    pub fn fields(&self) -> impl Iterator<Item = Field> + 'a {
        let About { cluster, fields, .. } = self.about;
        let begins = matches!(self.notice.reason, Reason::Bootstrapped | Reason::NewRevision);
        let cluster = cluster.iter().map(|it| Field::new("Cluster", it));
        cluster.chain(fields.iter().filter(move |_| begins).cloned())
    }

    /// The revision that it is about; empty where there is none.
    pub fn revision(&self) -> &'a str {
        self.notice.revision.as_ref().map_or("", |it| it.as_str())
    }

    /// Whether Flagger would paint it red.
    pub fn is_error(&self) -> bool {
        self.notice.severity == Severity::Error
    }

    /// What identifies the message, also when it is sent again after a crash: no other of this rollout has the same.
    ///
    /// A notice's id is unique within the life of a state; with the moment, it also is when a rollout was deleted and
    /// created anew.
    pub fn key(&self) -> String {
        let About { name, namespace, .. } = self.about;
        let Notice { id, at, .. } = self.notice;
        format!("{namespace}/{name}/{}/{id}", at.as_millis())
    }
}

/// A severity as it is written in Flagger's `alerts`: `info`, `warn` or `error`. None at all means `info`, as Flagger's
/// documentation says.
///
/// # Errors
/// [`Error::Unusable`] for anything else.
pub fn severity(text: &str) -> Result<Severity, Error> {
    match text {
        "" | "info" => Ok(Severity::Info),
        "warn" => Ok(Severity::Warn),
        "error" => Ok(Severity::Error),
        _ => Err(Error::unusable(
            "severity",
            format!("{text:?}"),
            "info, warn or error",
        )),
    }
}

/// A severity as [`severity`] reads it.
pub(super) const fn written(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warn => "warn",
        Severity::Error => "error",
    }
}

fn routing(strategy: &Strategy) -> String {
    match strategy {
        Strategy::Canary(canary) => weights(canary),
        Strategy::MirrorFirst(it) => weights(&it.canary),
        Strategy::AbTest(_) => String::from("A/B Testing"),
        Strategy::BlueGreen(_) => String::from("Blue/Green"),
        Strategy::Steps(steps) => format!("{} steps", steps.len()),
    }
}

fn weights(canary: &Canary) -> String {
    if let Some(step) = canary.step_weight {
        let max = canary.max_weight.filter(|it| *it > 0.0).unwrap_or(100.0);
        return format!("Weight step: {step} max: {max}");
    }
    let max = canary.step_weights.iter().copied().fold(0.0, f64::max);
    let steps: Vec<String> = canary.step_weights.iter().map(f64::to_string).collect();
    format!("Weight steps: {} max: {max}", steps.join(","))
}
