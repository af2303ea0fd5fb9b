//! What a simulation is about: plain data, written in YAML or JSON.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::rate::Rate;
use crate::plan::{Flaw, GateKind, PlanError, PlanErrors, Warning};
use crate::revision::Revision;
use crate::rollout::Order;
use crate::weight::Weight;

/// The story of a simulation. Field names in camel case; times since its beginning, as Go durations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// The revision that serves at the beginning.
    pub primary: Revision,
    /// Whether the primary is yet to be created beside what serves; default: it serves already.
    #[serde(default)]
    pub bootstrap: bool,
    /// Requests per second, evenly spaced; default 100. A rate below one is a fraction: `0.5` is 30 a minute.
    #[serde(default = "hundred")]
    pub requests_per_second: Rate,
    /// Requests per second that a load test sends straight to the canary while it has pods, and that no user waits for;
    /// default none. A strategy that judges before there is any traffic needs one.
    #[serde(default)]
    pub load_test: Rate,
    /// Pods of the primary, at least 1; default 2.
    #[serde(default = "two")]
    pub pods: u32,
    /// How the revisions behave. One that is not listed is as [`Version::default`].
    #[serde(default)]
    pub versions: BTreeMap<Revision, Version>,
    /// How long a routing that was applied takes to be in force; default none.
    #[serde(default, with = "crate::time::written")]
    pub router_lag: Duration,
    /// How old the newest requests are that a measurement can speak about; default none.
    #[serde(default, with = "crate::time::written")]
    pub metric_lag: Duration,
    /// Bounds of the histograms' buckets in milliseconds, beside those at which a version's durations bend; default none
    /// more. A judge that counts slow requests needs one where it counts.
    #[serde(default)]
    pub buckets: Vec<f64>,
    /// The share of the requests that meets a plan's match rules, in percent; default 10.
    #[serde(default = "ten_percent")]
    pub matching: Weight,
    /// What people do, in any order.
    #[serde(default)]
    pub happenings: Vec<Happening>,
    /// What gates say. The first entry that fits counts; without one everything is approved, and nobody asks for a
    /// rollback.
    #[serde(default)]
    pub gates: Vec<GateAnswer>,
    /// What does not work, and when.
    #[serde(default)]
    pub faults: Vec<Outage>,
    /// After this time the simulation ends wherever it is; default `24h`.
    #[serde(default = "day", with = "crate::time::written")]
    pub limit: Duration,
}

const fn hundred() -> Rate {
    Rate::per_second(100)
}

const fn two() -> u32 {
    2
}

const fn ten_percent() -> Weight {
    match Weight::hundredths_const(1_000) {
        Some(it) => it,
        None => Weight::WHOLE,
    }
}

const fn day() -> Duration {
    Duration::from_secs(86_400)
}

/// How a revision behaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Version {
    /// The share of its requests that fail, in percent with at most two decimals; default 0.
    pub errors: Weight,
    /// Half of its requests take no longer than this, up to [`Version::LONGEST`]; default 20 ms.
    #[serde(with = "crate::time::written")]
    pub p50: Duration,
    /// 99 in 100 of its requests take no longer than this, and none more than twice as long; at least `p50`, up to
    /// [`Version::LONGEST`]; default 80 ms.
    #[serde(with = "crate::time::written")]
    pub p99: Duration,
    /// When its pods take requests; default 5 s after their start.
    pub ready: Becomes,
    /// The same for pods of the primary, where that is different; default: as `ready`.
    pub ready_as_primary: Option<Becomes>,
    /// Its pods end for good so long after they became ready; default: never.
    #[serde(with = "crate::time::written::option")]
    pub crashes_after: Option<Duration>,
    /// Whether anything is measured of it; default yes.
    pub instrumented: bool,
    /// What metrics of other names than `request-success-rate` and `request-duration` say of it.
    pub values: BTreeMap<String, f64>,
}

/// When the pods of a revision take requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Becomes {
    /// So long after their start.
    After(#[serde(with = "crate::time::written")] Duration),
    /// Never.
    Never,
}

/// Something that somebody does at a moment. Several at once happen in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Happening {
    /// When it happens, after the beginning.
    #[serde(with = "crate::time::written")]
    pub at: Duration,
    /// This revision is wanted from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<Revision>,
    /// Somebody gives this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Order>,
    /// Somebody scales the canary to so many pods by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_canary: Option<u32>,
    /// The clock that the rollout reads is set forward by so much, and stays so.
    #[serde(
        default,
        with = "crate::time::written::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub clock_forward: Option<Duration>,
    /// The clock that the rollout reads is set back by so much, and stays so.
    #[serde(
        default,
        with = "crate::time::written::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub clock_back: Option<Duration>,
    /// Somebody sets the canary's share by hand, in percent; in force at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_weight: Option<Weight>,
}

/// What a gate says for a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GateAnswer {
    /// Only the gate of this name; default: of any.
    #[serde(default)]
    pub name: Option<String>,
    /// Only gates of this kind; default: of any.
    #[serde(default)]
    pub kind: Option<GateKind>,
    /// Since when; default: the beginning.
    #[serde(default, with = "crate::time::written")]
    pub from: Duration,
    /// Until when, exclusive; default: for ever.
    #[serde(default, with = "crate::time::written::option")]
    pub until: Option<Duration>,
    /// What it says.
    pub says: Says,
}

/// What a gate says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Says {
    /// Yes. Of a gate of kind `rollback`: roll back.
    #[default]
    Approve,
    /// No.
    Deny,
}

/// Something that does not work for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outage {
    /// What does not work.
    pub of: Fault,
    /// When it begins not to work, after the beginning.
    #[serde(with = "crate::time::written")]
    pub from: Duration,
    /// When it works again, after the beginning.
    #[serde(with = "crate::time::written")]
    pub until: Duration,
}

/// What may not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// The metric source cannot be reached.
    Metrics,
    /// The router can be neither read nor written; what is in force stays so.
    Router,
    /// The workload can be neither read nor written; pods go on as they are.
    Workload,
    /// The state can be neither loaded nor saved.
    Store,
    /// Notices cannot be sent.
    Notifier,
    /// Measurements and gates are asked and never answer: the caller gives up.
    Answers,
}

impl Scenario {
    /// A revision that serves, and nothing happens.
    pub fn new(primary: Revision) -> Self {
        Self {
            primary,
            bootstrap: false,
            requests_per_second: hundred(),
            load_test: Rate::ZERO,
            pods: two(),
            versions: BTreeMap::new(),
            router_lag: Duration::ZERO,
            metric_lag: Duration::ZERO,
            buckets: Vec::new(),
            matching: ten_percent(),
            happenings: Vec::new(),
            gates: Vec::new(),
            faults: Vec::new(),
            limit: day(),
        }
    }

    /// With a revision that behaves like this.
    #[must_use]
    pub fn version(mut self, revision: Revision, version: Version) -> Self {
        self.versions.insert(revision, version);
        self
    }

    /// What may surprise about it.
    ///
    /// # Errors
    /// [`PlanErrors`]: everything that makes no sense, at once, with the paths of the fields. A scenario with such an
    /// error can be run all the same; it then means what the fields' docs say, as far as that goes.
    pub fn check(&self) -> Result<Vec<Warning>, PlanErrors> {
        let mut found = PlanErrors {
            errors: Vec::new(),
            warnings: Vec::new(),
        };
        if self.pods == 0 {
            found.error("pods", "0", "at least 1: a primary without pods serves nobody");
        }
        for (at, bound) in self.buckets.iter().enumerate() {
            if micros(*bound).is_none() {
                let remedy = "milliseconds, above 0 and at most a day";
                found.error(format!("buckets[{at}]"), &format!("{bound}"), remedy);
            }
        }
        for (revision, version) in &self.versions {
            version.check(&format!("versions.{revision}"), &mut found);
            let named = *revision == self.primary
                || self
                    .happenings
                    .iter()
                    .any(|it| it.push.as_ref() == Some(revision));
            if !named {
                let text = String::from(
                    "is never pushed and is not the primary: what is written here has no effect",
                );
                found.warnings.push(Warning {
                    path: format!("versions.{revision}"),
                    text,
                });
            }
        }
        for (at, happening) in self.happenings.iter().enumerate() {
            let path = format!("happenings[{at}]");
            if happening.is_nothing() {
                found.error(
                    path,
                    "nothing but a time",
                    "add push, command, scaleCanary, clockForward, clockBack or setWeight",
                );
            } else if happening.at > self.limit {
                let remedy = format!("no later than the limit of {:?}", self.limit);
                found.error(format!("{path}.at"), &format!("{:?}", happening.at), &remedy);
            }
        }
        if self.happenings.iter().all(|it| it.push.is_none()) && !self.bootstrap {
            let text = String::from("no revision is pushed: nothing is rolled out");
            found.warnings.push(Warning {
                path: String::from("happenings"),
                text,
            });
        }
        let spans = self.gates.iter().map(|it| (it.from, it.until));
        spans.enumerate().for_each(|(at, (from, until))| {
            found.span(&format!("gates[{at}]"), from, until);
        });
        for (at, outage) in self.faults.iter().enumerate() {
            found.span(&format!("faults[{at}]"), outage.from, Some(outage.until));
        }
        if found.errors.is_empty() {
            Ok(found.warnings)
        } else {
            Err(found)
        }
    }
}

/// A bound in microseconds; none for one that no bucket can have.
pub(super) fn micros(bound: f64) -> Option<u64> {
    let bound = Duration::try_from_secs_f64(bound / 1_000.0).ok()?;
    let micros = u64::try_from(bound.as_micros()).ok()?;
    (1..=86_400_000_000).contains(&micros).then_some(micros)
}

impl PlanErrors {
    fn error(&mut self, path: impl Into<String>, value: &str, remedy: &str) {
        let (value, remedy) = (String::from(value), String::from(remedy));
        self.errors.push(PlanError {
            path: path.into(),
            flaw: Flaw::OutOfRange,
            value,
            remedy,
        });
    }

    fn span(&mut self, path: &str, from: Duration, until: Option<Duration>) {
        if let Some(until) = until.filter(|until| *until <= from) {
            self.error(
                format!("{path}.until"),
                &format!("{until:?}"),
                &format!("later than `from`, {from:?}"),
            );
        }
    }
}

impl Version {
    /// The longest time that a request may be said to take: one day.
    pub const LONGEST: Duration = day();

    /// A version with nothing wrong about it.
    pub const GOOD: Self = Self {
        errors: Weight::ZERO,
        p50: Duration::from_millis(20),
        p99: Duration::from_millis(80),
        ready: Becomes::After(Duration::from_secs(5)),
        ready_as_primary: None,
        crashes_after: None,
        instrumented: true,
        values: BTreeMap::new(),
    };

    fn check(&self, path: &str, found: &mut PlanErrors) {
        if self.p99 < self.p50 {
            let remedy = format!("at least p50, {:?}", self.p50);
            found.error(format!("{path}.p99"), &format!("{:?}", self.p99), &remedy);
        }
        for (name, value) in [("p50", self.p50), ("p99", self.p99)] {
            if value > Self::LONGEST {
                found.error(format!("{path}.{name}"), &format!("{value:?}"), "at most 24h");
            }
        }
        for (name, value) in &self.values {
            if matches!(name.as_str(), "request-success-rate" | "request-duration") {
                let remedy = "this one follows from errors, p50 and p99: leave it out";
                found.error(format!("{path}.values.{name}"), &format!("{value}"), remedy);
            }
        }
    }
}

impl Default for Version {
    fn default() -> Self {
        Self::GOOD
    }
}

impl Happening {
    /// This revision is wanted from then on.
    pub fn push(at: Duration, revision: Revision) -> Self {
        Self {
            at,
            push: Some(revision),
            ..Self::default()
        }
    }

    /// Somebody gives this command.
    pub fn command(at: Duration, order: Order) -> Self {
        Self {
            at,
            command: Some(order),
            ..Self::default()
        }
    }

    /// Somebody scales the canary by hand.
    pub fn scale_canary(at: Duration, pods: u32) -> Self {
        Self {
            at,
            scale_canary: Some(pods),
            ..Self::default()
        }
    }

    /// The clock is set forward.
    pub fn clock_forward(at: Duration, by: Duration) -> Self {
        Self {
            at,
            clock_forward: Some(by),
            ..Self::default()
        }
    }

    /// The clock is set back.
    pub fn clock_back(at: Duration, by: Duration) -> Self {
        Self {
            at,
            clock_back: Some(by),
            ..Self::default()
        }
    }

    /// Somebody sets the canary's share by hand.
    pub fn set_weight(at: Duration, weight: Weight) -> Self {
        Self {
            at,
            set_weight: Some(weight),
            ..Self::default()
        }
    }

    const fn is_nothing(&self) -> bool {
        self.push.is_none()
            && self.command.is_none()
            && self.scale_canary.is_none()
            && self.clock_forward.is_none()
            && self.clock_back.is_none()
            && self.set_weight.is_none()
    }
}
