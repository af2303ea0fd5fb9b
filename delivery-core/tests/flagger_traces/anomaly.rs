//! Where Flagger does something that we do not do, and how that is recognised: by what happened, never by a scenario's
//! name. A1 to A22 are known defects of Flagger 1.44; the letters D name differences of design that are no defects.

use delivery_core::plan::{Flaw, PlanError, PlanErrors};
use serde_json::Value;

use crate::recording::{Pods, Recording, Seen, Tick, scripted};

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
    /// The status shows weight 0 and other iterations while it waits for the promotion, and a blue-green rollout iterates anew
    /// from there.
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
    /// While it is suspended, nothing at all is done. Here only what brings a revision forward stops: one that is not wanted any
    /// more is withdrawn, deadlines pass, and who may ask for a rollback is asked.
    D5,
    /// A target that is replaced while it is promoted step by step keeps its traffic, and nobody has analysed what it runs now.
    D6,
    /// A target that somebody scales keeps that size; here it has the size that the rollout gives it.
    D7,
    /// Metrics are asked one after the other, and what happens meanwhile is seen in the next tick; here all are asked at once,
    /// and the world is looked at before the decision.
    D8,
    /// Rollback hooks are asked while a revision is analysed, and by whatever comes after the readiness of both sides. Here they
    /// are asked in every interval of an unfinished run.
    D10,
    /// Without an analysis, the readiness of the primary is not waited for, and checks that have failed before do not count.
    D11,
    /// While the first increase of the weight is held, the pre-rollout hooks are asked again in every tick.
    D12,
    /// The status shows the failed checks of the last run while the next one waits to begin.
    D13,
    /// A newer revision is noticed when the primary is ready again; here its run begins at once.
    D14,
    /// A step above 100 % is as good as 100 %; here it is refused, because nobody means it.
    D9,
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
        Flaw::OutOfRange if is_step_above_the_whole(error) => Some(Anomaly::D9),
        _ => None,
    })
}

fn is_step_above_the_whole(error: &PlanError) -> bool {
    let percent = error
        .value
        .strip_suffix(" %")
        .and_then(|it| it.parse::<f64>().ok());
    error.path.contains("stepWeight") && percent.is_some_and(|it| it > 100.0)
}

impl Anomaly {
    /// Whether Flagger gets to the end with a plan that is refused here.
    pub(crate) const fn may_promote(self) -> bool {
        matches!(self, Self::D9)
    }
}

/// What was seen of a recording so far.
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent facts, each asked for on its own"
)]
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
    /// Somebody replaced the target since the promotion began.
    replaced: bool,
    /// Another revision is wanted, and the primary was not ready since.
    pushed: bool,
    /// Somebody scaled the target by hand.
    scaled: bool,
    /// Something happened while the last tick asked for a metric.
    meanwhile: bool,
    /// In this tick a rollback hook would have said yes.
    rollback_wanted: bool,
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
            replaced: false,
            pushed: false,
            scaled: false,
            meanwhile: false,
            rollback_wanted: false,
            swallowed: None,
        }
    }

    /// Something came from outside.
    pub(crate) fn action(&mut self, action: &Value) {
        self.route_touched |= action.get("route_weights").is_some() || action.get("delete_route").is_some();
        self.service_edited |= action.pointer("/canary/spec/service").is_some();
        self.replaced |= action.get("revision").is_some() || action.get("config").is_some();
        self.pushed |= action.get("revision").is_some() || action.get("config").is_some();
        self.scaled |= action.get("replicas").is_some();
    }

    /// A tick begins, in which this comes from outside.
    pub(crate) fn begin(&mut self, recording: &Recording, tick: usize) {
        let actions = recording.during(tick, "query");
        self.meanwhile = !actions.is_empty();
        for action in &actions {
            self.action(action);
        }
        let hooks = self.spec["spec"]["analysis"]["webhooks"].as_array();
        let mut kinds = hooks.into_iter().flatten().map(|hook| &hook["type"]);
        let status = scripted(&recording.script["hooks"]["rollback"], tick);
        let says_yes = status.is_none_or(|it| it.as_u64().is_some_and(|status| status <= 202));
        self.rollback_wanted = says_yes && kinds.any(|kind| kind == "rollback");
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
        self.pushed &= self.after.primary.as_ref().is_some_and(|it| it.ready == 0);
        if !promoting(&self.after) && !promoting(&self.before) {
            self.replaced = false;
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
        let by_hand: &[&str] = if self.scaled { &["target replicas "] } else { &[] };
        if only(by_hand) {
            return Some(Explained::Display(Anomaly::D7));
        }
        if self.after.phase == "Waiting" && only(&["failed checks "]) {
            return Some(Explained::Display(Anomaly::D13));
        }
        let shown = [&["weight ", "iterations ", "phase "], by_hand].concat();
        if self.waited && only(&shown) && self.same_phase_but_waiting() {
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
        let nobody = Pods {
            replicas: 0,
            ready: 0,
            revision: String::new(),
        };
        let target = self.after.target.as_ref().unwrap_or(&nobody);
        self.by_hand(target)
            .or_else(|| self.of_pods(target))
            .or_else(|| self.of_revisions(target))
            .or_else(|| self.of_the_plan(target))
    }

    /// Somebody did something to the objects, and Flagger takes it for its own doing.
    fn by_hand(&self, target: &Pods) -> Option<Anomaly> {
        let Self {
            before, after, ours, ..
        } = self;
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
        let withdrawn = canary_share(ours) == 0 && canary_share(after) > 0;
        let gone = matches!(ours.phase.as_str(), "Initialized" | "RollingBack" | "Failed")
            && ours.phase != after.phase;
        if self.rollback_wanted && gone && ours.phase != "Initialized" {
            return Some(Anomaly::D10);
        }
        if self.spec["spec"]["suspend"] == true && (withdrawn || gone) {
            return Some(Anomaly::D5);
        }
        if target.replicas == 0 && (canary_share(after) > 0 || promoting(after)) {
            return Some(Anomaly::A21);
        }
        None
    }

    /// Whether pods are ready, and whether there are any.
    fn of_pods(&self, target: &Pods) -> Option<Anomaly> {
        let Self {
            before, after, ours, ..
        } = self;
        let analysis = &self.spec["spec"]["analysis"];
        let primary = after.primary.as_ref();
        let progressed = !mid_run(after) && mid_run(before) || canary_share(after) > canary_share(before);
        if target.ready == 0 && reaches(before) && !reaches(ours) {
            return Some(Anomaly::D4);
        }
        let share = |key: &str| analysis[key].as_i64().unwrap_or(100);
        let rounded_away = |replicas: i64, key: &str| replicas * share(key) / 100 == 0;
        let unready = target.replicas > 0 && target.ready == 0;
        if unready && progressed && rounded_away(target.replicas, "canaryReadyThreshold") {
            return Some(Anomaly::A17);
        }
        if primary_dead(after)
            && progressed
            && primary.is_some_and(|it| rounded_away(it.replicas, "primaryReadyThreshold"))
        {
            return Some(Anomaly::A17);
        }
        None
    }

    /// Another revision is wanted, or gates have to say whether this one is.
    fn of_revisions(&self, target: &Pods) -> Option<Anomaly> {
        let Self {
            before, after, ours, ..
        } = self;
        let analysis = &self.spec["spec"]["analysis"];
        let unanalysed = |seen: &Seen| seen.primary.as_ref().map(|it| it.revision.clone()) != seen.applied;
        if after.phase == "Promoting" && mid_run(before) && unanalysed(after) {
            return Some(Anomaly::A10);
        }
        if self.meanwhile && mid_run(before) {
            return Some(Anomaly::D8);
        }
        let gets_none = canary_share(ours) == 0 && canary_share(after) > 0;
        let fixes = after.phase == "Failed" && ours.phase == "Progressing";
        if self.replaced && promoting(before) && (gets_none || fixes) {
            return Some(Anomaly::D6);
        }
        let reverted = after.promoted.as_ref() == Some(&target.revision) && after.applied != after.promoted;
        let counted = after.phase == "Succeeded" && ours.phase == "Failed";
        if self.spec["spec"]["skipAnalysis"] == true
            && (primary_dead(after) || counted)
            && ours.phase != after.phase
        {
            return Some(Anomaly::D11);
        }
        let asked_again = self
            .hooks
            .iter()
            .any(|(kind, status)| kind == "pre-rollout" && *status > 202);
        let counted_again =
            after.failed_checks > before.failed_checks && ours.failed_checks < after.failed_checks;
        if asked_again && canary_share(before) == 0 && (reaches(ours) || counted_again) {
            return Some(Anomaly::D12);
        }
        // It begins again at one before the last iteration.
        let iterated = analysis["iterations"].as_i64().is_some_and(|it| it > 0);
        if iterated && self.waited && after.phase == "WaitingPromotion" && promoting(ours) {
            return Some(Anomaly::A19);
        }
        let was_promoted = after.promoted.as_ref() == Some(&target.revision);
        if was_promoted && matches!(after.phase.as_str(), "Waiting" | "Failed") && ours.phase == "Initialized"
        {
            return Some(Anomaly::A9);
        }
        let is_behind = ours.iterations < after.iterations || canary_share(ours) < canary_share(after);
        if self.pushed && primary_dead(after) && is_behind {
            return Some(Anomaly::D14);
        }
        let ignored = mid_run(after) || promoting(after);
        let begins_anew = ours.phase == "Progressing" && canary_share(ours) == 0 && ours.iterations == 0;
        if reverted && ignored && (ours.phase == "Initialized" || begins_anew) {
            return Some(Anomaly::A9);
        }
        None
    }

    /// What the plan says, and how a run ends.
    fn of_the_plan(&self, target: &Pods) -> Option<Anomaly> {
        let Self {
            before, after, ours, ..
        } = self;
        let analysis = &self.spec["spec"]["analysis"];
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
        if after.phase == "Failed" && primary_dead(after) && !promoting(before) && ours.phase != "Failed" {
            return Some(Anomaly::A5);
        }
        if ours.phase == "Waiting"
            && mid_run(after)
            && !self.hooks.iter().any(|(kind, _)| kind == "confirm-rollout")
        {
            return Some(Anomaly::D2);
        }
        if promoting(before) && target.ready == 0 && !primary_dead(after) && ours.phase != after.phase {
            return Some(Anomaly::D3);
        }
        None
    }
}

fn promoting(seen: &Seen) -> bool {
    matches!(seen.phase.as_str(), "Promoting" | "Finalising")
}

fn mid_run(seen: &Seen) -> bool {
    matches!(seen.phase.as_str(), "Progressing" | "WaitingPromotion")
}

fn canary_share(seen: &Seen) -> i64 {
    seen.route.map_or(0, |it| it.canary)
}

/// Whether the canary sees requests of users, be it copies.
fn reaches(seen: &Seen) -> bool {
    seen.route.is_some_and(|it| it.canary > 0 || it.mirror)
}

fn primary_dead(seen: &Seen) -> bool {
    seen.primary.as_ref().is_some_and(|it| it.ready == 0)
}
