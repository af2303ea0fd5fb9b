//! The ports of a world.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use async_trait::async_trait;

use super::history::Half;
use super::recording::Row;
use super::scenario::{Fault, Says};
use super::world::{START, World, millis};
use crate::analysis::{Nothing, Sample, Window};
use crate::plan::Capabilities;
use crate::port::{
    Answer, Approver, CanaryWish, Clock, GateQuestion, Loaded, Measure, MetricSource, Notifier, PortError,
    Routing, Saved, Seen, Sent, StateStore, Traffic, TrafficRouter, Version, Wish, Workload,
};
use crate::rollout::{Notice, State};
use crate::time::Timestamp;

impl Clock for World<'_> {
    fn now(&self) -> Timestamp {
        let inner = self.inner.lock();
        inner.shown(inner.now)
    }
}

#[async_trait]
impl StateStore for World<'_> {
    async fn load(&self) -> Result<Option<Loaded>, PortError> {
        self.call(Fault::Store, "loading the state", |inner| Ok(inner.saved.clone()))
    }

    async fn save(&self, state: &State, over: Option<Version>) -> Result<Saved, PortError> {
        self.call(Fault::Store, "saving the state", |inner| {
            if inner.saved.as_ref().map(|it| it.version) != over {
                return Ok(Saved::Stale);
            }
            let version = Version(over.map_or(1, |it| it.0.saturating_add(1)));
            let at = START.after(core::time::Duration::from_millis(inner.now));
            let before = inner.saved.take().map(|it| it.state);
            inner.rows.extend(Row::between(before.as_ref(), state, at));
            inner.saved = Some(Loaded {
                state: state.clone(),
                version,
            });
            Ok(Saved::Now(version))
        })
    }
}

#[async_trait]
impl Workload for World<'_> {
    async fn apply(&self, want: &Wish) -> Result<(), PortError> {
        self.call(Fault::Workload, "setting the pods", |inner| {
            if let Some(revision) = &want.primary {
                let version = inner.known(revision, self.scenario);
                if inner.primary.version != Some(version) {
                    inner.run_primary(version, self.scenario.pods.max(1));
                }
            }
            match &want.canary {
                CanaryWish::AsIs => {}
                CanaryWish::Down => inner.canary.end(),
                CanaryWish::Up { revision, scale } => {
                    let version = inner.known(revision, self.scenario);
                    let pods = scale.pods(self.scenario.pods.max(1));
                    if (inner.canary.version, inner.canary.wanted) != (Some(version), pods) {
                        inner.run_canary(version, pods);
                    }
                }
            }
            inner.note(self.scenario);
            Ok(())
        })
    }

    async fn observe(&self) -> Result<Seen, PortError> {
        self.call(Fault::Workload, "looking at the pods", |inner| {
            Ok(Seen {
                target: inner.target(),
                primary: Some(inner.primary.seen(inner.now, &inner.known)),
                canary: Some(inner.canary.seen(inner.now, &inner.known)),
            })
        })
    }
}

#[async_trait]
impl TrafficRouter for World<'_> {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    async fn apply(&self, want: &Routing) -> Result<(), PortError> {
        self.call(Fault::Router, "setting the routing", |inner| {
            inner.route(want.traffic, self.scenario.router_lag);
            inner.note(self.scenario);
            Ok(())
        })
    }

    async fn observe(&self) -> Result<Option<Traffic>, PortError> {
        self.call(Fault::Router, "looking at the routing", |inner| {
            Ok(inner.in_force())
        })
    }
}

#[async_trait]
impl MetricSource for World<'_> {
    async fn measure(&self, ask: &Measure<'_>) -> Result<Sample, PortError> {
        self.call(Fault::Metrics, "measuring", |inner| {
            if let Some(why) = self.outage(inner, Fault::Answers) {
                return Err(PortError::transient("measuring", why));
            }
            let from = inner.at(ask.window.from);
            let newest = inner.now.saturating_sub(millis(self.scenario.metric_lag));
            let to = inner.at(ask.window.to).min(newest);
            Ok(match ask.metric.name.as_str() {
                _ if to <= from => Sample::Nothing(Nothing::NoData),
                "request-success-rate" => inner.history.counts(from, to, &inner.known),
                "request-duration" => inner.history.durations(from, to, &inner.known, &inner.bounds),
                name => {
                    let value = |side| {
                        let known = inner.serves(side, to).filter(|it| it.version.instrumented)?;
                        known.version.values.get(name).copied()
                    };
                    match (value(Half::Canary), value(Half::Primary)) {
                        (Some(canary), Some(primary)) => Sample::Pair { canary, primary },
                        (Some(canary), None) => Sample::Value(canary),
                        (None, _) => Sample::Nothing(Nothing::NoData),
                    }
                }
            })
        })
    }

    async fn history(&self, ask: &Measure<'_>, windows: &[Window]) -> Result<Vec<Sample>, PortError> {
        self.call(Fault::Metrics, "measuring the past", |inner| {
            if let Some(why) = self.outage(inner, Fault::Answers) {
                return Err(PortError::transient("measuring the past", why));
            }
            let past = windows.iter().map(|it| {
                let (from, to) = (inner.at(it.from), inner.at(it.to));
                inner.past(&ask.metric.name, from, to)
            });
            Ok(past.collect())
        })
    }
}

#[async_trait]
impl Approver for World<'_> {
    async fn ask(&self, question: &GateQuestion<'_>) -> Result<Answer, PortError> {
        // A gate has no outage of its own: one that cannot be reached gives no answer.
        self.call(Fault::Answers, "asking a gate", |inner| {
            Ok(match self.says(inner, question.gate) {
                Says::Approve => Answer::Approved,
                Says::Deny => Answer::Denied(String::new()),
            })
        })
    }
}

#[async_trait]
impl Notifier for World<'_> {
    async fn send(&self, notice: &Notice) -> Result<Sent, PortError> {
        self.call(Fault::Notifier, "sending a notice", |inner| {
            inner.hear(notice);
            Ok(Sent::Delivered)
        })
    }
}
