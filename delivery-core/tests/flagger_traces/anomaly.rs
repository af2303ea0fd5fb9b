//! Where Flagger does something that we do not do, and how that is recognised: by what happened, never by a scenario's
//! name. A1 to A22 are known defects of Flagger 1.44; the letters D name differences of design that are no defects.

use delivery_core::plan::{Flaw, PlanErrors};
use serde_json::Value;

use crate::recording::{Recording, Seen, Tick};

/// The anomalies that can show in a recording without a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anomaly {
    /// Weights are read back from the routing object: reset to 100/0 while promoting, it is stuck for ever.
    A1,
    /// A revision that appears in `Failed` while the primary is not ready is swallowed.
    A3,
    /// A take-over whose primary misses its deadline takes the live workload down.
    A4,
    /// A dead primary makes every new revision fail at once.
    A5,
    /// Mirroring on a router that cannot: no weight is ever set.
    A6,
    /// Weights that do not rise get stuck; a weight that is not in an edited list jumps to 100.
    A7,
    /// A step of 0, or a maximum above 100, never promotes.
    A8,
    /// A revert to the promoted revision in mid-run is ignored.
    A9,
    /// A target that is edited while the last check runs is promoted unanalysed.
    A10,
    /// An edit of the service in mid-run resets the weights and keeps the counters.
    A11,
    /// A share of the ready pods is rounded down: half of one pod is none.
    A17,
    /// The status shows weight 0 and other iterations while it waits for the promotion.
    A19,
    /// A canary without pods is ready, gets traffic, and is promoted with no pods.
    A21,
    /// Weights are read back from the routing object: set by hand, they count as the run's own progress.
    D1,
    /// A newer revision in mid-run is not confirmed by `confirm-rollout` again.
    D2,
    /// After the promotion the canary's readiness is waited for, although it is about to go.
    D3,
    /// A canary none of whose pods is ready keeps its weight until its deadline.
    D4,
    /// While it is suspended, a revision that is not wanted any more keeps its traffic.
    D5,
}

/// What a difference means for the rest of the recording.
pub(crate) enum Explained {
    /// Only what is shown differs: the rest is compared.
    Display(Anomaly),
    /// From here on the two do different things: ours must end well by itself.
    Decision(Anomaly),
}

/// A plan that Flagger accepts and that leads nowhere.
pub(crate) fn of_plan(errors: &PlanErrors) -> Option<Anomaly> {
    errors.errors.iter().find_map(|error| match error.flaw {
        Flaw::NotRising => Some(Anomaly::A7),
        Flaw::NoStep | Flaw::Unreachable => Some(Anomaly::A8),
        Flaw::Unsupported => Some(Anomaly::A6),
        _ => None,
    })
}

/// What was seen of a recording so far.
pub(crate) struct Witness {
    spec: Value,
    before: Seen,
    after: Seen,
    ours: Seen,
    hooks: Vec<(String, u64)>,
    /// Somebody set or removed the route since the last tick.
    route_touched: bool,
    /// Somebody edited the service since the last tick.
    service_edited: bool,
    /// It has waited for the promotion in this run: its counters are not what they were.
    waited: bool,
    /// The revision that was written down in `Failed` without being rolled out.
    swallowed: Option<String>,
}

impl Witness {
    pub(crate) fn new(recording: &Recording) -> Self {
        Self {
            spec: recording.canary.clone(),
            before: recording.initial.clone(),
            after: recording.initial.clone(),
            ours: recording.initial.clone(),
            hooks: Vec::new(),
            route_touched: false,
            service_edited: false,
            waited: false,
            swallowed: None,
        }
    }

    /// Something came from outside.
    pub(crate) fn action(&mut self, action: &Value) {
        self.route_touched |= action.get("route_weights").is_some() || action.get("delete_route").is_some();
        self.service_edited |= action.pointer("/canary/spec/service").is_some();
    }

    /// A tick is over.
    pub(crate) fn tick(&mut self, spec: &Value, tick: &Tick, ours: &Seen) {
        self.spec = spec.clone();
        self.before = std::mem::replace(&mut self.after, tick.after.clone());
        self.ours = ours.clone();
        self.hooks.clone_from(&tick.hooks);
        match self.after.phase.as_str() {
            "WaitingPromotion" => self.waited = true,
            "Promoting" => {}
            _ => self.waited = false,
        }
        if self.before.phase == "Failed"
            && self.after.phase == "Failed"
            && self.before.applied != self.after.applied
        {
            self.swallowed = self.after.applied.clone();
        }
    }

    /// Which anomaly is at work, if any.
    pub(crate) fn explain(&mut self, differences: &[String]) -> Option<Explained> {
        let only = |fields: &[&str]| {
            differences
                .iter()
                .all(|it| fields.iter().any(|field| it.starts_with(field)))
        };
        if self.waited && only(&["weight ", "iterations ", "phase "]) && self.same_phase_but_waiting() {
            return Some(Explained::Display(Anomaly::A19));
        }
        let decision = self.decision()?;
        Some(Explained::Decision(decision))
    }

    /// It still shows `WaitingPromotion` although the gate has approved.
    fn same_phase_but_waiting(&self) -> bool {
        self.before.phase == self.after.phase && self.after.phase == "WaitingPromotion"
            || self.ours.phase == self.after.phase
    }

    fn decision(&self) -> Option<Anomaly> {
        let Self {
            before, after, ours, ..
        } = self;
        let analysis = &self.spec["spec"]["analysis"];
        let mid_run = |seen: &Seen| matches!(seen.phase.as_str(), "Progressing" | "WaitingPromotion");
        let promoting = |seen: &Seen| matches!(seen.phase.as_str(), "Promoting" | "Finalising");
        let canary_share = |seen: &Seen| seen.route.map_or(0, |it| it.canary);
        let target = after.target.as_ref()?;
        let primary = after.primary.as_ref();
        let primary_dead = primary.is_some_and(|it| it.ready == 0);
        let progressed = !mid_run(after) && mid_run(before) || canary_share(after) > canary_share(before);

        if matches!(before.phase.as_str(), "" | "Initializing") && after.phase == "Failed" {
            return Some(Anomaly::A4);
        }
        if self.swallowed.as_ref() == Some(&target.revision)
            && after.phase == "Failed"
            && ours.phase != "Failed"
        {
            return Some(Anomaly::A3);
        }
        if after.phase == "Promoting" && canary_share(after) == 0 && self.route_touched {
            return Some(Anomaly::A1);
        }
        if self.service_edited && mid_run(after) && canary_share(before) > 0 && canary_share(after) == 0 {
            return Some(Anomaly::A11);
        }
        if self.route_touched && mid_run(before) {
            return Some(Anomaly::D1);
        }
        let is_unwanted = after.applied.as_ref() != Some(&target.revision);
        if self.spec["spec"]["suspend"] == true && is_unwanted && canary_share(ours) == 0 {
            return Some(Anomaly::D5);
        }
        if target.replicas == 0 && (canary_share(after) > 0 || promoting(after)) {
            return Some(Anomaly::A21);
        }
        if target.ready == 0 && canary_share(before) > 0 && canary_share(ours) == 0 {
            return Some(Anomaly::D4);
        }
        let share = |key: &str| analysis[key].as_i64().unwrap_or(100);
        let rounded_away = |replicas: i64, key: &str| replicas * share(key) / 100 == 0;
        if target.ready == 0 && progressed && rounded_away(target.replicas, "canaryReadyThreshold") {
            return Some(Anomaly::A17);
        }
        if primary_dead
            && progressed
            && primary.is_some_and(|it| rounded_away(it.replicas, "primaryReadyThreshold"))
        {
            return Some(Anomaly::A17);
        }
        let unanalysed = |seen: &Seen| seen.primary.as_ref().map(|it| it.revision.clone()) != seen.applied;
        if after.phase == "Promoting" && mid_run(before) && unanalysed(after) {
            return Some(Anomaly::A10);
        }
        let reverted = after.promoted.as_ref() == Some(&target.revision) && after.applied != after.promoted;
        if reverted && (mid_run(after) || promoting(after)) && ours.phase == "Initialized" {
            return Some(Anomaly::A9);
        }
        let weights: Vec<i64> = analysis["stepWeights"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_i64)
            .collect();
        let unlisted = !weights.is_empty() && !weights.contains(&canary_share(before));
        if unlisted && canary_share(before) > 0 && canary_share(after) == 100 && mid_run(after) {
            return Some(Anomaly::A7);
        }
        if after.phase == "Failed" && primary_dead && !promoting(before) && ours.phase != "Failed" {
            return Some(Anomaly::A5);
        }
        if ours.phase == "Waiting"
            && mid_run(after)
            && !self.hooks.iter().any(|(kind, _)| kind == "confirm-rollout")
        {
            return Some(Anomaly::D2);
        }
        if promoting(before) && target.ready == 0 && !primary_dead && ours.phase != after.phase {
            return Some(Anomaly::D3);
        }
        None
    }
}
