//! What a user writes: the words of Flagger's `analysis`, and a list of steps for those who want their own.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use alloc::format;

use serde::{Deserialize, Serialize};

use super::metric::{self, MetricSpec};
use super::problem::Problems;
use super::{
    Capabilities, Expected, Flaw, Gate, GateKind, MatchRule, Plan, PlanErrors, ReadyShare, Step, Warning,
    sequential, strategy,
};
use super::{comparing, matching};
use crate::analysis::{Act, Budget, OnNothing, Terms};
use crate::revision::Revision;

/// A rollout as it is written, in YAML or JSON; field names in camel case.
///
/// ```
/// use core::time::Duration;
/// use delivery_core::plan::{Canary, Capabilities, MetricSpec, Spec, Strategy};
///
/// let canary = Canary { step_weight: Some(10.0), max_weight: Some(50.0), ..Canary::default() };
/// let spec = Spec {
///     interval: Duration::from_secs(60),
///     metrics: vec![MetricSpec::at_least("request-success-rate", 99.0), MetricSpec::at_most("request-duration", 500.0)],
///     ..Spec::new(Strategy::Canary(canary))
/// };
/// let (plan, warnings) = spec.compile(&Capabilities::ALL)?;
/// assert!(warnings.is_empty());
/// assert_eq!(plan.timetable().shortest(), Duration::from_secs(8 * 60));
/// # Ok::<(), delivery_core::plan::PlanErrors>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// How often the metrics are judged, and the beat of a strategy: `100ms` to `24h`, default `1m`.
    #[serde(default = "minute", with = "crate::time::written")]
    pub interval: Duration,
    /// How the new revision gets its traffic.
    pub strategy: Strategy,
    /// What is measured in every round. Without any, nothing but readiness can stop a bad revision.
    #[serde(default)]
    pub metrics: Vec<MetricSpec>,
    /// What the sequential judges have in common: `compare` and `objective`.
    #[serde(default, skip_serializing_if = "Terms::is_default")]
    pub sequential: Terms,
    /// The traffic that the plan is made for: what is found at it stands in the timetable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// Who is asked.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// Failed checks of the whole run until it is rolled back; default 1.
    #[serde(default = "one")]
    pub threshold: u32,
    /// Failed checks in a row until it is rolled back. None: no limit of its own.
    #[serde(default)]
    pub consecutive: Option<u32>,
    /// Checks without usable data until it is rolled back. None: no limit of their own.
    #[serde(default)]
    pub inconclusive: Option<u32>,
    /// Checks with an unreachable source until it is rolled back. None: no limit of their own.
    #[serde(default)]
    pub errors: Option<u32>,
    /// What a round without usable data means.
    #[serde(default)]
    pub on_nothing: OnNothing,
    /// When an exhausted budget is acted upon. Default: as Flagger for a named strategy, at once for a list of steps.
    #[serde(default)]
    pub act: Option<Act>,
    /// How long a side may be not ready: `1s` to `720h`, default `10m`. Flagger's `progressDeadlineSeconds`.
    #[serde(default = "ten_minutes", with = "crate::time::written")]
    pub deadline: Duration,
    /// How often the world is looked at while something is expected to happen; default a tenth of the interval, between
    /// 100 ms and 10 s.
    #[serde(default, with = "crate::time::written::option")]
    pub poll: Option<Duration>,
    /// The share of a side's pods that must be available, in percent; default 100.
    #[serde(default)]
    pub ready: ReadyShare,
    /// A cookie that keeps a user on the canary.
    #[serde(default)]
    pub affinity: Option<Affinity>,
    /// Promote without any analysis, as soon as the canary is ready.
    #[serde(default)]
    pub skip_analysis: bool,
}

const fn minute() -> Duration {
    Duration::from_secs(60)
}

const fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

const fn one() -> u32 {
    1
}

/// How a new revision gets its traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Strategy {
    /// Rising weights.
    Canary(Canary),
    /// No traffic while it is judged, then all of it, then promotion.
    BlueGreen(BlueGreen),
    /// The requests that match go to the canary.
    AbTest(AbTest),
    /// A canary that sees copies of the requests before it answers any.
    MirrorFirst(MirrorFirst),
    /// A list of steps, written by hand. Nothing is added to it: gates are steps too.
    Steps(Vec<Step>),
}

/// Rising weights; all numbers in percent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Canary {
    /// How much the weight rises per interval. Weights are not cut at `max_weight`: 20 up to 50 goes 20, 40, 60.
    pub step_weight: Option<f64>,
    /// The weight from which on a good round leads to promotion; default 100.
    pub max_weight: Option<f64>,
    /// The weights, one by one, instead of `step_weight` and `max_weight`.
    pub step_weights: Vec<f64>,
    /// How much traffic returns to the promoted primary per interval; default: all at once.
    pub step_weight_promotion: Option<f64>,
}

/// No traffic while it is judged, then all of it, then promotion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlueGreen {
    /// How many good rounds before the traffic is switched; at least 1.
    pub iterations: u32,
    /// The share of the requests that is copied to the canary meanwhile, in percent.
    #[serde(default)]
    pub mirror: Option<f64>,
}

/// The requests that match go to the canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AbTest {
    /// How many good rounds until promotion; at least 1.
    pub iterations: u32,
    /// Which requests: those that meet any of the rules.
    #[serde(rename = "match")]
    pub rules: Vec<MatchRule>,
}

/// A canary that sees copies of the requests for one round before it answers any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MirrorFirst {
    /// The share of the requests that is copied, in percent; default 100.
    #[serde(default = "hundred")]
    pub share: f64,
    /// What comes after.
    pub canary: Canary,
}

const fn hundred() -> f64 {
    100.0
}

/// Cookies that keep a user on a side. Their values come from the revision, so no restart moves anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Affinity {
    /// The name of the cookie that users get from the canary, and that keeps them there.
    pub cookie_name: String,
    /// The name of the cookie that users get from the primary, and that keeps them there while the weight stays; a browser
    /// keeps it for an interval. Default: they have none, and each of their requests may be the canary's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_cookie_name: Option<String>,
    /// How long a browser keeps the canary's cookie, at least `1s`; default `24h`.
    #[serde(default = "day", with = "crate::time::written")]
    pub max_age: Duration,
}

const fn day() -> Duration {
    Duration::from_secs(86_400)
}

/// A gate as it is written: as [`Gate`].
pub type GateSpec = Gate;

impl Spec {
    /// A spec with this strategy, and the defaults for everything else.
    pub const fn new(strategy: Strategy) -> Self {
        Self {
            interval: minute(),
            strategy,
            metrics: Vec::new(),
            sequential: Terms::DEFAULT,
            expected: None,
            gates: Vec::new(),
            threshold: one(),
            consecutive: None,
            inconclusive: None,
            errors: None,
            on_nothing: OnNothing::Fail,
            act: None,
            deadline: ten_minutes(),
            poll: None,
            ready: ReadyShare {
                primary: 100,
                canary: 100,
            },
            affinity: None,
            skip_analysis: false,
        }
    }

    /// The plan for a router that can do this much, and what may surprise about it.
    ///
    /// # Errors
    /// [`PlanErrors`]: everything that makes it impossible, at once.
    pub fn compile(&self, can: &Capabilities) -> Result<(Plan, Vec<Warning>), PlanErrors> {
        let mut problems = Problems::default();
        self.check_durations(&mut problems);
        self.check_budget(&mut problems);
        self.check_gates(&mut problems);
        let metrics = metric::compile(&self.metrics, self.interval, &self.sequential, &mut problems);
        sequential::check_expected(self.expected.as_ref(), &mut problems);
        sequential::check(&self.sequential, self.interval, &self.metrics, &mut problems);
        let list = strategy::steps(self, can, &mut problems);
        strategy::check(&self.strategy, &list.steps, can, &mut problems);
        if metrics.is_empty() && !self.skip_analysis {
            problems.warn(
                "metrics",
                "without metrics, only readiness can stop a bad revision",
            );
        }
        if let Some(affinity) = &self.affinity {
            matching::check_affinity(affinity, can, &mut problems);
        }
        if !problems.errors.is_empty() {
            return Err(PlanErrors {
                errors: problems.errors,
                warnings: problems.warnings,
            });
        }
        let by_hand = matches!(self.strategy, Strategy::Steps(_));
        let of_kind = |kind| self.gates.iter().filter(|it| it.kind == kind).cloned().collect();
        let mut plan = Plan {
            steps: list.steps,
            interval: self.interval,
            poll: self.poll.unwrap_or(self.default_poll()),
            deadline: self.deadline,
            deadline_parts: crate::rollout::PARTS,
            bootstrap_dwell: if by_hand || self.skip_analysis {
                Duration::ZERO
            } else {
                self.interval
            },
            ready: self.ready,
            metrics,
            terms: self.sequential,
            expected: self.expected,
            budget: Budget {
                failed: self.threshold.max(1),
                consecutive: self.consecutive,
                inconclusive: self.inconclusive,
                errors: self.errors,
                held: self.sequential.held_until_rollback(),
                nothing: self.on_nothing,
                act: self
                    .act
                    .unwrap_or(if by_hand { Act::AtOnce } else { Act::NextInterval }),
            },
            rollback_gates: of_kind(GateKind::Rollback),
            rollout_gates: of_kind(GateKind::Rollout),
            rules: list.rules,
            affinity: self.affinity.clone(),
            iterated: list.iterated,
            fingerprint: Revision::of(&serde_json::Value::Null),
        };
        plan.fingerprint = self.fingerprint(&plan);
        sequential::promises(&plan, &mut problems);
        comparing::warn(&plan, &mut problems);
        Ok((plan, problems.warnings))
    }

    fn default_poll(&self) -> Duration {
        self.interval
            .checked_div(10)
            .unwrap_or(self.interval)
            .clamp(Duration::from_millis(100), Duration::from_secs(10))
    }

    /// The spec decides everything but what the router's abilities changed, and that shows in the steps.
    fn fingerprint(&self, plan: &Plan) -> Revision {
        let content = (serde_json::to_value(self), serde_json::to_value(&plan.steps));
        let content = [content.0.unwrap_or_default(), content.1.unwrap_or_default()];
        Revision::of(&serde_json::Value::Array(Vec::from(content)))
    }

    fn check_durations(&self, problems: &mut Problems) {
        let mut within = |path: &str, value: Duration, least: Duration, most: Duration| {
            if value < least || value > most {
                let remedy = format!("from {least:?} to {most:?}");
                problems.error(path, Flaw::OutOfRange, format!("{value:?}"), remedy);
            }
        };
        within(
            "interval",
            self.interval,
            Duration::from_millis(100),
            Duration::from_secs(86_400),
        );
        within(
            "deadline",
            self.deadline,
            Duration::from_secs(1),
            Duration::from_secs(720 * 3_600),
        );
        if let Some(poll) = self.poll {
            within(
                "poll",
                poll,
                Duration::from_millis(10),
                Duration::from_secs(3_600),
            );
        }
        for (path, share) in [
            ("ready.primary", self.ready.primary),
            ("ready.canary", self.ready.canary),
        ] {
            if !(1..=100).contains(&share) {
                problems.error(path, Flaw::OutOfRange, format!("{share} %"), "from 1 to 100");
            }
        }
    }

    fn check_budget(&self, problems: &mut Problems) {
        if self.threshold == 0 {
            problems.warn("threshold", "0 is taken as 1: the first failed check rolls back");
        }
        let limits = [
            ("consecutive", self.consecutive),
            ("inconclusive", self.inconclusive),
            ("errors", self.errors),
        ];
        for (path, _) in limits.into_iter().filter(|(_, limit)| *limit == Some(0)) {
            problems.error(path, Flaw::OutOfRange, 0, "at least 1; leave it out for no limit");
        }
    }

    fn check_gates(&self, problems: &mut Problems) {
        for (at, gate) in self.gates.iter().enumerate() {
            let path = format!("gates[{at}].name");
            problems.name(&path, &gate.name, "gate");
            if !gate.name.is_empty()
                && self
                    .gates
                    .iter()
                    .take(at)
                    .any(|it| (&it.name, it.kind) == (&gate.name, gate.kind))
            {
                problems.error(
                    path,
                    Flaw::Name,
                    &gate.name,
                    "two gates of one kind need two names",
                );
            }
            if gate.every == 0 {
                problems.error(format!("gates[{at}].every"), Flaw::OutOfRange, 0, "at least 1");
            }
        }
    }
}

/// A strategy's steps, and what belongs to them.
pub(super) struct List {
    pub(super) steps: Vec<Step>,
    pub(super) rules: Arc<[MatchRule]>,
    pub(super) iterated: bool,
}
