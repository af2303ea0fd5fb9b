//! A rollout as data: an ordered list of steps. The state machine knows only steps, so a strategy is a way to write a
//! list, not a branch in the machine.
//!
//! A [`Spec`] says what is wanted, in the words of the field; [`Spec::compile`] makes the [`Plan`] or reports everything
//! that is wrong with it at once. A plan that exists is a plan that can work.

mod comparing;
mod detects;
mod kayenta;
mod matching;
mod metric;
mod problem;
mod sequential;
mod spec;
mod strategy;
mod timetable;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::detects::{Detection, Expected, Find, Found};
pub use self::kayenta::{Imported, NoConfig, kayenta};
pub use self::metric::{JudgeSpec, MetricSpec};
pub use self::problem::{Flaw, PlanError, PlanErrors, Warning};
pub use self::spec::{AbTest, Affinity, BlueGreen, Canary, GateSpec, MirrorFirst, Spec, Strategy};
pub use self::timetable::{Row, Timetable};
use crate::analysis::{Budget, Due, Judge, Look, Metric, Terms};
use crate::revision::Revision;
use crate::rollout::stored;
use crate::time::Timestamp;
use crate::weight::Weight;

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Step {
    /// Ask somebody. Done when approved.
    Gate(Gate),
    /// Bring the canary's pods up. Done when they were observed ready, and `dwell` has passed.
    Scale {
        /// How many pods it gets.
        scale: Scale,
        /// The least time until the next step.
        #[serde(default, with = "crate::time::written")]
        dwell: Duration,
    },
    /// Move traffic to the canary. Done when the weight was observed in force, and `dwell` has passed.
    Shift {
        /// What the canary gets.
        weight: Weight,
        /// The least time until the next step.
        #[serde(default, with = "crate::time::written")]
        dwell: Duration,
    },
    /// Copy a share of the requests to the canary; their answers are dropped. Done when observed in force.
    Mirror {
        /// The share that is copied.
        share: Weight,
    },
    /// Send the requests that match the plan's rules to the canary. Done when observed in force.
    Match,
    /// Judge all metrics every interval. Done after `rounds` good rounds.
    Analyse {
        /// How many good rounds; at least 1.
        rounds: u32,
    },
    /// Wait: for a time, or until a command resumes. The metrics are not judged meanwhile.
    Pause {
        /// How long; none: until resumed.
        #[serde(default, with = "crate::time::written::option")]
        lasts: Option<Duration>,
    },
    /// Give the primary the canary's revision. Done when the primary was observed ready on it, and `dwell` has passed.
    Promote {
        /// The least time until the next step.
        #[serde(default, with = "crate::time::written")]
        dwell: Duration,
    },
    /// Move traffic back to the promoted primary, down to `weight` for the canary. Done when observed in force, and
    /// `dwell` has passed.
    Return {
        /// What the canary keeps.
        weight: Weight,
        /// The least time until the next step.
        #[serde(default, with = "crate::time::written")]
        dwell: Duration,
    },
    /// All traffic to the primary; when that was observed and `drain` has passed, the canary's pods go.
    Settle {
        /// How long the canary lives on without traffic, so that its last requests can end.
        #[serde(default, with = "crate::time::written")]
        drain: Duration,
    },
}

impl Step {
    /// The step's name, as in the docs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Gate(_) => "gate",
            Self::Scale { .. } => "scale",
            Self::Shift { .. } => "shift",
            Self::Mirror { .. } => "mirror",
            Self::Match => "match",
            Self::Analyse { .. } => "analyse",
            Self::Pause { .. } => "pause",
            Self::Promote { .. } => "promote",
            Self::Return { .. } => "return",
            Self::Settle { .. } => "settle",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gate(gate) => write!(f, "gate {} {}", gate.kind, gate.name),
            Self::Scale { scale, .. } => write!(f, "scale the canary to {scale}"),
            Self::Shift { weight, .. } => write!(f, "shift traffic to {weight}"),
            Self::Mirror { share } => write!(f, "mirror {share} of the requests"),
            Self::Match => f.write_str("route matching requests to the canary"),
            Self::Analyse { rounds: 1 } => f.write_str("analyse, 1 round"),
            Self::Analyse { rounds } => write!(f, "analyse, {rounds} rounds"),
            Self::Pause { lasts: Some(lasts) } => write!(f, "pause {lasts:?}"),
            Self::Pause { lasts: None } => f.write_str("pause until resumed"),
            Self::Promote { .. } => f.write_str("promote: the primary takes the revision"),
            Self::Return { weight, .. } => write!(f, "return traffic, canary keeps {weight}"),
            Self::Settle { .. } => f.write_str("settle: all traffic to the primary, then the canary goes"),
        }
    }
}

/// Somebody who is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gate {
    /// What it is called; unique among the gates of its kind.
    pub name: String,
    /// What is asked, and what a denial means.
    pub kind: GateKind,
    /// How long the answer may take until `default` counts as the answer. None: for ever.
    #[serde(default, with = "crate::time::written::option")]
    pub deadline: Option<Duration>,
    /// What counts when the deadline has passed.
    #[serde(default)]
    pub default: Fallback,
    /// After a denial it is asked again after this many rounds. Flagger: 2 before the promotion of A/B and blue-green.
    #[serde(default = "one")]
    pub every: u32,
}

const fn one() -> u32 {
    1
}

impl Gate {
    /// A gate without a deadline that is asked again every interval.
    pub fn new(kind: GateKind, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind,
            deadline: None,
            default: Fallback::Reject,
            every: 1,
        }
    }
}

/// The answer of a gate that nobody gave in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fallback {
    /// Go on.
    Approve,
    /// Roll back.
    #[default]
    Reject,
}

/// What a gate is about: Flagger's webhook types that are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateKind {
    /// Before anything moves. Denied: wait, and ask again.
    ConfirmRollout,
    /// Before the first traffic. Denied: a failed check.
    PreRollout,
    /// In every round, before the metrics. Denied: a failed check.
    Rollout,
    /// Before each increase of traffic. Denied: hold the weight and keep judging.
    ConfirmTrafficIncrease,
    /// Before the promotion. Denied: hold and keep judging.
    ConfirmPromotion,
    /// In every interval. *Approved*: roll back.
    Rollback,
}

impl GateKind {
    /// All kinds, in the order in which a run meets them.
    pub const ALL: [Self; 6] = [
        Self::ConfirmRollout,
        Self::PreRollout,
        Self::Rollout,
        Self::ConfirmTrafficIncrease,
        Self::ConfirmPromotion,
        Self::Rollback,
    ];

    /// The kind as it is written in specs: Flagger's `type` of a webhook.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConfirmRollout => "confirm-rollout",
            Self::PreRollout => "pre-rollout",
            Self::Rollout => "rollout",
            Self::ConfirmTrafficIncrease => "confirm-traffic-increase",
            Self::ConfirmPromotion => "confirm-promotion",
            Self::Rollback => "rollback",
        }
    }
}

impl fmt::Display for GateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many pods the canary gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scale {
    /// As many as the primary has.
    #[default]
    LikePrimary,
    /// A fixed number of pods; at least 1.
    Pods(u32),
    /// A share of the primary's, rounded up, at least one pod.
    Share(Weight),
}

impl Scale {
    /// How many pods that is beside a primary of `primary` pods. Never none.
    pub fn pods(self, primary: u32) -> u32 {
        match self {
            Self::LikePrimary => primary,
            Self::Pods(pods) => pods,
            Self::Share(share) => {
                let parts = u64::from(primary).saturating_mul(u64::from(share.as_hundredths()));
                u32::try_from(parts.div_ceil(10_000)).unwrap_or(u32::MAX)
            }
        }
        .max(1)
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LikePrimary => f.write_str("the primary's size"),
            Self::Pods(1) => f.write_str("1 pod"),
            Self::Pods(pods) => write!(f, "{pods} pods"),
            Self::Share(share) => write!(f, "{share} of the primary's size"),
        }
    }
}

/// A condition on requests: all of its parts must hold, and there is at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatchRule {
    /// Conditions on headers, by lower-case name. A cookie is a condition on `cookie`.
    #[serde(default)]
    pub headers: BTreeMap<String, Text>,
    /// Conditions on parameters of the query, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query_params: BTreeMap<String, Text>,
}

/// A condition on a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Text {
    /// It is exactly this.
    Exact(String),
    /// It begins with this.
    Prefix(String),
    /// It ends with this.
    Suffix(String),
    /// It matches this regular expression, in the router's own syntax.
    Regex(String),
}

/// What a traffic router can do, so that a plan can be refused before anything moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent abilities, each asked for on its own"
)]
pub struct Capabilities {
    /// The smallest share it can set; [`Weight::ZERO`] when it cannot split traffic at all.
    pub granularity: Weight,
    /// Whether it can copy requests.
    pub mirror: bool,
    /// Whether it can copy a share of the requests rather than all.
    pub mirror_share: bool,
    /// Whether it can route by [`MatchRule`]s.
    pub matching: bool,
    /// Whether such a rule may have conditions on parameters of the query.
    pub query_params: bool,
    /// Which regular expressions it runs.
    pub patterns: Patterns,
    /// Whether it can keep a user on one side.
    pub sticky: bool,
}

/// Which regular expressions a router runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Patterns {
    /// None.
    None,
    /// Those whose time grows with the text alone, as RE2 and Go have them: no look-around, no references to groups.
    Linear,
    /// All that PCRE has.
    Backtracking,
}

impl Capabilities {
    /// Everything, in steps of 0.01 %.
    pub const ALL: Self = Self {
        granularity: match Weight::hundredths_const(1) {
            Some(it) => it,
            None => Weight::WHOLE,
        },
        mirror: true,
        mirror_share: true,
        matching: true,
        query_params: true,
        patterns: Patterns::Backtracking,
        sticky: true,
    };
    /// No traffic control: pods can be replaced, and that is all.
    pub const NONE: Self = Self {
        granularity: Weight::ZERO,
        mirror: false,
        mirror_share: false,
        matching: false,
        query_params: false,
        patterns: Patterns::None,
        sticky: false,
    };

    /// Whether it can split traffic.
    pub const fn weights(&self) -> bool {
        !self.granularity.is_zero()
    }
}

/// A plan that can work.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) interval: Duration,
    pub(crate) poll: Duration,
    pub(crate) deadline: Duration,
    /// In how many parts every deadline is seen passing. The exhaustive check explores one: more are more states, and
    /// no other decisions.
    pub(crate) deadline_parts: u8,
    pub(crate) bootstrap_dwell: Duration,
    pub(crate) ready: ReadyShare,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) terms: Terms,
    pub(crate) expected: Option<Expected>,
    pub(crate) budget: Budget,
    /// Gates that are asked in every interval, of kind `Rollback`.
    pub(crate) rollback_gates: Vec<Gate>,
    /// Gates that are asked in every round before the metrics, of kind `Rollout`.
    pub(crate) rollout_gates: Vec<Gate>,
    pub(crate) rules: Arc<[MatchRule]>,
    pub(crate) affinity: Option<Affinity>,
    pub(crate) iterated: bool,
    pub(crate) fingerprint: Revision,
}

/// The share of a side's pods that must be available for the side to be ready, in percent, `1..=100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ReadyShare {
    /// Of the primary.
    pub primary: u8,
    /// Of the canary.
    pub canary: u8,
}

impl Default for ReadyShare {
    fn default() -> Self {
        Self {
            primary: 100,
            canary: 100,
        }
    }
}

impl Plan {
    /// The steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How often the metrics are judged.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How often the world is looked at while something is expected to happen in it.
    pub const fn poll(&self) -> Duration {
        self.poll
    }

    /// How long a side may be not ready.
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// What is measured in every round.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// What the sequential judges have in common.
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// How much may go wrong.
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// All gates of the plan: those that are steps, and those that are asked again and again.
    pub fn gates(&self) -> impl Iterator<Item = &Gate> {
        let steps = self.steps.iter().filter_map(|step| match step {
            Step::Gate(gate) => Some(gate),
            Step::Scale { .. }
            | Step::Shift { .. }
            | Step::Mirror { .. }
            | Step::Match
            | Step::Analyse { .. }
            | Step::Pause { .. }
            | Step::Promote { .. }
            | Step::Return { .. }
            | Step::Settle { .. } => None,
        });
        steps.chain(&self.rollout_gates).chain(&self.rollback_gates)
    }

    /// A name for exactly this plan: two plans with the same fingerprint decide alike.
    pub const fn fingerprint(&self) -> &Revision {
        &self.fingerprint
    }

    /// The most bytes that the text of a state of this plan takes: see [`stored`].
    pub fn largest_state(&self) -> usize {
        let series = |it: &&Metric| matches!(it.judge, Judge::MannWhitney(_));
        stored::largest(self.metrics.len(), self.metrics.iter().filter(series).count())
    }

    /// A round of this plan in which both sides have traffic, for [`judge`](crate::analysis::judge).
    pub fn due(&self, look: Look, at: Timestamp) -> Due<'_> {
        Due {
            metrics: &self.metrics,
            terms: &self.terms,
            look,
            at,
            primary_rests: false,
        }
    }

    /// What the sequential judges find before the plan is over, and what they do not, at a traffic.
    ///
    /// ```
    /// use delivery_core::plan::{Canary, Capabilities, Expected, JudgeSpec, MetricSpec, Spec, Strategy};
    ///
    /// let canary = Canary { step_weight: Some(10.0), max_weight: Some(50.0), ..Canary::default() };
    /// let compare = JudgeSpec::Compare(Default::default());
    /// let metrics = vec![MetricSpec::judged("request-success-rate", compare)];
    /// let (plan, _) = Spec { metrics, ..Spec::new(Strategy::Canary(canary)) }.compile(&Capabilities::ALL)?;
    /// let traffic = Expected { requests_per_second: 50.0, error_rate: 0.1 };
    /// let found = plan.detects(&traffic)[0].to_string();
    /// assert!(found.starts_with("request-success-rate: every request failing in 2m0s, 10× more errors in 3m0s"), "{found}");
    /// # Ok::<(), delivery_core::plan::PlanErrors>(())
    /// ```
    pub fn detects(&self, traffic: &Expected) -> Vec<Detection> {
        detects::detects(self, traffic)
    }

    /// The plan's steps with the shortest and the longest time that each can take.
    pub fn timetable(&self) -> Timetable {
        Timetable::of(self)
    }
}

impl Plan {
    /// The index of the step that promotes.
    pub(crate) fn promote_step(&self) -> Option<usize> {
        self.steps
            .iter()
            .position(|it| matches!(it, Step::Promote { .. }))
    }

    /// The index of the step that ends the traffic on the canary, if it is after `at`.
    pub(crate) fn settle_after(&self, at: usize) -> Option<usize> {
        self.steps
            .iter()
            .position(|it| matches!(it, Step::Settle { .. }))
            .filter(|settle| *settle > at)
    }

    /// The gate, and those that the same round asks after it.
    pub(crate) fn round_of<'a>(&'a self, gate: &'a Gate) -> &'a [Gate] {
        let rounds = [&self.rollback_gates, &self.rollout_gates].into_iter();
        let mut rest = rounds.filter_map(|gates| gates.get(gates.iter().position(|it| it == gate)?..));
        rest.next().unwrap_or(core::slice::from_ref(gate))
    }

    /// How often sequential judges look between two rounds, if they do.
    pub(crate) fn look(&self) -> Option<Duration> {
        let sequential = self.metrics.iter().any(|it| it.judge.is_sequential());
        self.terms.look.filter(|look| sequential && *look < self.interval)
    }

    /// Whether no step after `at` judges.
    pub(crate) fn judges_last(&self, at: usize) -> bool {
        let mut later = self.steps.iter().skip(at.saturating_add(1));
        !later.any(|it| matches!(it, Step::Analyse { .. }))
    }

    /// Where a run goes that is promoted early: to the promotion, or to what is asked right before it.
    pub(crate) fn early_promotion(&self) -> Option<usize> {
        let promote = self.promote_step()?;
        let before = self.steps.get(..promote)?;
        let asked = before.iter().rev().take_while(|it| matches!(it, Step::Gate(_)));
        promote.checked_sub(asked.count())
    }

    /// Whether something was judged before step `at`.
    pub(crate) fn analyses_before(&self, at: usize) -> bool {
        self.steps
            .iter()
            .take(at)
            .any(|it| matches!(it, Step::Analyse { .. }))
    }
}

#[cfg(test)]
mod tests;
