//! The known defects of Flagger 1.44, A1 to A22, as stories with the end that we give them. A14 to A16 are about parts
//! of Flagger that have no counterpart here.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

use crate::analysis::{Nothing, Sample};
use crate::plan::{
    Affinity, BlueGreen, Canary, Capabilities, Flaw, Gate, GateKind, MetricSpec, MirrorFirst, Plan,
    ReadyShare, Spec, Strategy,
};
use crate::port::{Answer, CanaryWish, Pods, Traffic};
use crate::rollout::stored::{decode, encode};
use crate::rollout::{
    Command, Content, Idle, Observation, Order, Outcome, Phase, Question, Reason, Reply, Run, Side, Stage,
    State, desired, step,
};
use crate::weight::Weight;
use crate::{Revision, Timestamp};

#[test]
fn a1_a_promotion_whose_routing_was_reset_by_somebody_still_ends() {
    let mut rig = Rig::new(&slow_return());
    rig.push(2).until(|rig| rig.phase() == Phase::Promoting);
    rig.in_force = Traffic::PRIMARY;
    rig.crash().tick();
    rig.until(|rig| rig.state.is_idle());
    rig.expect("Succeeded 0 %").runs(2);
}

#[test]
fn a1_a_promotion_survives_a_crash_after_each_of_its_transitions() {
    let mut rig = Rig::new(&slow_return());
    rig.push(2).until(|rig| rig.phase() == Phase::Promoting);
    for _ in 0..100 {
        if !rig.one() {
            rig.now = rig.now.after(rig.plan.interval());
        }
        rig.crash();
    }
    rig.expect("Succeeded 0 %").runs(2);
}

#[test]
fn a2_a_crash_while_the_primary_takes_the_revision_neither_judges_nor_promotes_again() {
    let mut rig = Rig::new(&canary(&[50.0]));
    rig.push(2).until(|rig| rig.phase() == Phase::Promoting);
    rig.crash().bad();
    let (rounds, since) = (rig.measured, rig.state.sequence);
    rig.until(|rig| rig.state.is_idle());
    rig.expect("Succeeded 0 %").runs(2);
    assert_eq!(
        rig.measured, rounds,
        "nothing is judged after the decision to promote"
    );
    assert!(rig.state.sequence > since);
}

#[test]
fn a2_a_crash_before_the_promotion_is_saved_has_changed_no_primary() {
    let mut rig = Rig::new(&canary(&[50.0]));
    rig.push(2)
        .until(|rig| rig.told == Traffic::Split(percent(50)))
        .run();
    rig.now = rig.now.after(rig.plan.interval());
    rig.forget_one();
    rig.crash().bad().run();
    rig.expect("Progressing 50 % failed 1").runs(1);
    rig.tick().expect("Failed 0 %").runs(1);
}

#[test]
fn a3_a_revision_that_appears_while_the_primary_is_not_ready_is_not_swallowed() {
    let mut rig = failed();
    rig.lost(Side::Primary).push(3).tick();
    rig.expect("Failed 0 %");
    rig.found(Side::Primary).tick();
    rig.expect("Progressing 0 %");
    rig.good().until(|rig| rig.state.is_idle());
    rig.expect("Succeeded 0 %").runs(3);
}

#[test]
fn a4_a_first_primary_that_misses_its_deadline_leaves_what_serves_alone() {
    let mut rig = Rig::new(&canary(&[50.0]));
    rig.state = State::new(rig.now);
    rig.lost(Side::Primary).run();
    for _ in 0..30 {
        rig.tick();
        let want = desired(&rig.plan, &rig.state);
        assert_eq!((want.pods.canary, want.routing), (CanaryWish::AsIs, None));
    }
    assert!(matches!(&rig.state.stage, Stage::Bootstrap(it) if it.overdue));
    rig.expect("Initializing 0 %");
    rig.found(Side::Primary).tick();
    rig.tick().expect("Initialized 0 %");
}

#[test]
fn a5_a_dead_primary_does_not_stop_the_revision_that_repairs_it() {
    let mut rig = Rig::new(&canary(&[50.0]));
    rig.lost(Side::Primary).push(2);
    for _ in 0..11 {
        rig.tick();
    }
    rig.until(|rig| rig.phase() == Phase::Promoting);
    rig.found(Side::Primary).until(|rig| rig.state.is_idle());
    rig.expect("Succeeded 0 %").runs(2);
}

#[test]
fn a6_mirroring_on_a_router_that_cannot_is_refused_before_anything_moves() {
    let without = Capabilities {
        mirror: false,
        ..Capabilities::ALL
    };
    let first = MirrorFirst {
        share: 100.0,
        canary: Canary {
            step_weight: Some(50.0),
            ..Canary::default()
        },
    };
    let blue_green = BlueGreen {
        iterations: 2,
        mirror: Some(100.0),
    };
    for strategy in [Strategy::MirrorFirst(first), Strategy::BlueGreen(blue_green)] {
        let spec = Spec::new(strategy);
        let flaws = flaws(&spec, &without);
        assert!(
            !flaws.is_empty() && flaws.iter().all(|it| *it == Flaw::Unsupported),
            "{flaws:?}"
        );
        assert!(spec.compile(&Capabilities::ALL).is_ok());
    }
}

#[test]
fn a7_weights_that_do_not_rise_are_refused() {
    for weights in [&[50.0, 20.0][..], &[20.0, 20.0, 50.0]] {
        assert_eq!(flaws(&canary(weights), &Capabilities::ALL), [Flaw::NotRising]);
    }
}

#[test]
fn a7_an_edited_list_without_the_present_weight_never_jumps_over_one_of_its_weights() {
    let mut rig = Rig::new(&canary(&[10.0, 30.0, 50.0]));
    rig.push(2)
        .until(|rig| rig.told == Traffic::Split(percent(30)))
        .run();
    rig.edit(&canary(&[20.0, 40.0, 60.0])).crash();
    rig.until(|rig| rig.phase() == Phase::Promoting);
    assert_eq!(
        rig.shown,
        [0, 10, 30, 40, 60].map(|it| Traffic::Split(percent(it)))
    );
    rig.until(|rig| rig.state.is_idle());
    rig.expect("Succeeded 0 %").runs(2);
}

#[test]
fn a8_a_plan_that_would_never_promote_is_refused() {
    let stepping = |step, max| {
        let canary = Canary {
            step_weight: Some(step),
            max_weight: Some(max),
            ..Canary::default()
        };
        flaws(&Spec::new(Strategy::Canary(canary)), &Capabilities::ALL)
    };
    assert_eq!(stepping(0.0, 50.0), [Flaw::NoStep]);
    assert_eq!(stepping(10.0, 120.0), [Flaw::Unreachable]);
    assert_eq!(stepping(10.0, 50.0), []);
}

#[test]
fn a9_going_back_to_the_promoted_revision_ends_the_run_and_starts_no_other() {
    let mut rig = Rig::new(&canary(&[10.0, 30.0, 50.0]));
    rig.push(2)
        .until(|rig| rig.told == Traffic::Split(percent(30)))
        .run();
    rig.push(1).tick();
    rig.expect("Initialized 0 %").runs(1);
    let sequence = rig.state.sequence;
    for _ in 0..10 {
        rig.tick();
    }
    assert_eq!(rig.state.sequence, sequence, "there is nothing left to do");
}

#[test]
fn a10_a_revision_pushed_during_the_last_check_is_not_promoted_unanalysed() {
    let mut rig = Rig::new(&canary(&[50.0]));
    rig.push(2).until(|rig| rig.told == Traffic::Split(percent(50)));
    rig.push_during_measurement = Some(3);
    rig.until(|rig| rig.push_during_measurement.is_none());
    rig.runs(1);
    rig.tick().expect("Progressing 0 %").runs(1);
    rig.until(|rig| rig.state.is_idle());
    rig.expect("Succeeded 0 %").runs(3);
    assert_eq!(rig.promoted, [revision(3)]);
}

#[test]
fn a10_a_revision_pushed_during_the_promotion_gets_a_run_of_its_own() {
    let mut rig = Rig::new(&canary(&[50.0]));
    rig.push(2).until(|rig| rig.phase() == Phase::Promoting);
    rig.push(3).until(|rig| rig.state.is_idle());
    rig.expect("Succeeded 0 %").runs(2);
    let rounds = rig.measured;
    rig.tick();
    rig.until(|rig| rig.state.is_idle());
    rig.expect("Succeeded 0 %").runs(3);
    assert!(rig.measured > rounds, "it was judged for itself");
}

#[test]
fn a11_a_routing_reset_in_mid_run_is_put_back_and_restarts_nothing() {
    let mut spec = canary(&[10.0, 30.0, 50.0]);
    spec.threshold = 3;
    spec.gates = vec![Gate::new(GateKind::PreRollout, "smoke")];
    let mut rig = Rig::new(&spec);
    rig.answer("smoke", true).push(2);
    rig.until(|rig| rig.told == Traffic::Split(percent(30))).run();
    rig.bad().tick().expect("Progressing 30 % failed 1");
    rig.in_force = Traffic::PRIMARY;
    rig.good().tick().expect("Progressing 30 % failed 1");
    assert_eq!(rig.in_force, Traffic::Split(percent(30)));
    rig.until(|rig| rig.state.is_idle());
    rig.expect("Succeeded 0 % failed 1").runs(2);
    assert_eq!(rig.asked, ["smoke"], "the gate before the traffic is asked once");
}

#[test]
fn a12_a_target_that_nobody_can_tell_is_no_change() {
    let mut rig = Rig::new(&canary(&[10.0, 30.0, 50.0]));
    rig.push(2)
        .until(|rig| rig.told == Traffic::Split(percent(30)))
        .run();
    rig.target = None;
    for _ in 0..10 {
        rig.tick();
        assert!(rig.weight() >= percent(30), "the traffic was reset");
    }
    rig.runs(1);
    rig.push(2).until(|rig| rig.state.is_idle());
    rig.expect("Succeeded 0 %").runs(2);
}

#[test]
fn a13_the_cookie_of_a_revision_is_the_same_after_every_restart() {
    let mut spec = canary(&[10.0, 30.0, 50.0]);
    spec.affinity = Some(Affinity {
        cookie_name: String::from("side"),
        max_age: Duration::from_secs(3_600),
        primary_cookie_name: Some(String::from("primary-side")),
    });
    let mut rig = Rig::new(&spec);
    let (mut cookies, mut primary_cookies) = (BTreeSet::new(), BTreeSet::new());
    rig.push(2);
    while !rig.state.is_idle() || rig.state.sequence == 0 {
        rig.crash().tick();
        let routing = desired(&rig.plan, &rig.state).routing.unwrap();
        assert_eq!(routing.cookie.is_some(), !rig.weight().is_zero());
        assert_eq!(routing.primary_cookie.is_some(), !rig.weight().is_zero());
        cookies.extend(routing.cookie.map(|it| (it.name, it.value)));
        let primary = routing.primary_cookie.map(|it| (rig.weight(), it.name, it.value));
        primary_cookies.extend(primary);
    }
    assert_eq!(cookies.len(), 1);
    // One for each weight, so that a higher weight gets its share of those who were the primary's.
    assert_eq!(primary_cookies.len(), 3);
    let values: BTreeSet<_> = primary_cookies.iter().map(|(_, _, value)| value).collect();
    assert_eq!(values.len(), 3);
}

#[test]
fn a17_half_of_one_pod_is_one_pod() {
    let mut spec = canary(&[50.0]);
    spec.ready = ReadyShare {
        primary: 50,
        canary: 50,
    };
    let mut rig = Rig::new(&spec);
    rig.lost(Side::Canary).push(2);
    for _ in 0..9 {
        rig.tick().expect("Progressing 0 %");
    }
    rig.tick().tick().expect("Failed 0 %");
}

#[test]
fn a18_what_happened_is_told_after_a_crash() {
    let mut rig = Rig::new(&canary(&[50.0]));
    rig.push(2).until(|rig| rig.state.is_idle());
    rig.crash();
    let told: Vec<_> = rig.state.outbox.iter().map(|it| it.reason.clone()).collect();
    assert_eq!(told.first(), Some(&Reason::NewRevision));
    assert_eq!(told.last(), Some(&Reason::Promoted));
    let ids: BTreeSet<_> = rig.state.outbox.iter().map(|it| it.id).collect();
    assert_eq!(
        ids.len(),
        told.len(),
        "a notice that is sent twice is known by its id"
    );
}

#[test]
fn a19_the_status_while_waiting_for_the_promotion_shows_what_is() {
    let mut spec = canary(&[50.0]);
    spec.gates = vec![Gate::new(GateKind::ConfirmPromotion, "boss")];
    let mut rig = Rig::new(&spec);
    rig.answer("boss", false)
        .push(2)
        .until(|rig| rig.phase() == Phase::WaitingPromotion);
    for _ in 0..5 {
        rig.tick().expect("WaitingPromotion 50 %");
        assert_eq!(
            (rig.state.status().weight, rig.state.status().iterations),
            (percent(50), 0)
        );
    }
    rig.answer("boss", true).until(|rig| rig.state.is_idle());
    rig.expect("Succeeded 0 %").runs(2);
}

#[test]
fn a20_a_failed_rollout_writes_nothing() {
    let mut rig = failed();
    rig.run();
    let before = rig.state.clone();
    for _ in 0..20 {
        rig.tick();
    }
    assert_eq!(rig.state, before);
}

#[test]
fn a21_a_canary_without_pods_is_never_ready_and_never_promoted() {
    let patient = Spec {
        threshold: 2,
        ..canary(&[10.0, 30.0, 50.0])
    };
    let mut rig = Rig::new(&patient);
    rig.push(2)
        .until(|rig| rig.told == Traffic::Split(percent(30)))
        .run();
    rig.scaled_to_nothing = true;
    for _ in 0..9 {
        rig.tick().expect("Progressing 0 % failed 1");
    }
    rig.tick().tick().expect("Failed 0 %").runs(1);
    assert_eq!(rig.primary.wanted, 1, "the primary keeps its size");
}

#[test]
fn a22_a_rejection_that_was_given_once_survives_a_crash_at_any_moment_of_the_rollback() {
    for crash_after in 1..6 {
        let mut spec = canary(&[10.0, 30.0, 50.0]);
        spec.gates = vec![Gate::new(GateKind::Rollback, "stop")];
        let mut rig = Rig::new(&spec);
        rig.answer("stop", false).push(2);
        rig.until(|rig| rig.told == Traffic::Split(percent(30))).run();
        rig.answer("stop", true);
        rig.now = rig.now.after(rig.plan.interval());
        while rig.phase() == Phase::Progressing {
            assert!(rig.one());
        }
        rig.answer("stop", false);
        for _ in 1..crash_after {
            rig.one();
        }
        rig.crash();
        for _ in 0..20 {
            rig.tick();
        }
        rig.expect("Failed 0 %").runs(1);
        assert_eq!(rig.state.revision(), Some(&revision(2)));
    }
}

// ---- the words of the stories

/// A canary with these weights and one metric.
pub(super) fn canary(weights: &[f64]) -> Spec {
    let canary = Canary {
        step_weights: weights.into(),
        ..Canary::default()
    };
    judged(Strategy::Canary(canary))
}

pub(super) fn judged(strategy: Strategy) -> Spec {
    Spec {
        metrics: vec![MetricSpec::at_least("success", 99.0)],
        ..Spec::new(strategy)
    }
}

/// Promoted at 50 %, traffic returns in steps of 20 %.
fn slow_return() -> Spec {
    let canary = Canary {
        step_weights: vec![50.0],
        step_weight_promotion: Some(20.0),
        ..Canary::default()
    };
    judged(Strategy::Canary(canary))
}

/// Revision 2 was refused.
fn failed() -> Rig {
    let mut rig = Rig::new(&canary(&[50.0]));
    rig.bad().push(2).tick();
    rig.until(|rig| rig.state.is_idle());
    rig.expect("Failed 0 %").runs(1);
    rig
}

fn flaws(spec: &Spec, can: &Capabilities) -> Vec<Flaw> {
    let errors = spec.compile(can).map_or_else(|it| it.errors, |_| Vec::new());
    errors.into_iter().map(|it| it.flaw).collect()
}

pub(super) fn revision(number: u32) -> Revision {
    Revision::new(&format!("r{number}")).unwrap()
}

pub(super) fn percent(percent: u32) -> Weight {
    Weight::percent(percent).unwrap()
}

/// A state and a world that obeys it.
#[allow(clippy::struct_excessive_bools, reason = "independent facts about the world")]
pub(super) struct Rig {
    pub(super) plan: Plan,
    pub(super) state: State,
    pub(super) now: Timestamp,
    pub(super) target: Option<Revision>,
    pub(super) primary: Pods,
    pub(super) canary: Pods,
    /// What the router was told last, what it does, and whether it does what it is told.
    pub(super) told: Traffic,
    pub(super) in_force: Traffic,
    pub(super) lags: bool,
    /// What every metric says, and the gates' answers by name.
    pub(super) says: Sample,
    pub(super) gates: BTreeMap<String, bool>,
    pub(super) commands: Vec<Command>,
    primary_lost: bool,
    canary_lost: bool,
    scaled_to_nothing: bool,
    push_during_measurement: Option<u32>,
    /// Rounds that were measured, gates that were asked, weights that were told, revisions that were promoted.
    pub(super) measured: u32,
    pub(super) asked: Vec<String>,
    shown: Vec<Traffic>,
    promoted: Vec<Revision>,
    pub(super) why: Option<Reason>,
}

impl Rig {
    /// A primary that serves revision 1, one pod on each side.
    pub(super) fn new(spec: &Spec) -> Self {
        let one = Pods {
            revision: Some(revision(1)),
            wanted: 1,
            total: 1,
            updated: 1,
            available: 1,
            unready_since: None,
        };
        Self {
            plan: spec.compile(&Capabilities::ALL).unwrap().0,
            state: State::initialized(revision(1)),
            now: Timestamp::from_millis(0),
            target: Some(revision(1)),
            primary: one,
            canary: Pods::default(),
            told: Traffic::PRIMARY,
            in_force: Traffic::PRIMARY,
            lags: false,
            says: Sample::Value(100.0),
            gates: BTreeMap::new(),
            commands: Vec::new(),
            primary_lost: false,
            canary_lost: false,
            scaled_to_nothing: false,
            push_during_measurement: None,
            measured: 0,
            asked: Vec::new(),
            shown: vec![Traffic::PRIMARY],
            promoted: Vec::new(),
            why: None,
        }
    }

    pub(super) fn push(&mut self, number: u32) -> &mut Self {
        self.target = Some(revision(number));
        self
    }

    pub(super) fn good(&mut self) -> &mut Self {
        self.says(Sample::Value(100.0))
    }

    pub(super) fn bad(&mut self) -> &mut Self {
        self.says(Sample::Value(90.0))
    }

    pub(super) fn empty(&mut self) -> &mut Self {
        self.says(Sample::Nothing(Nothing::NoData))
    }

    pub(super) fn unreachable(&mut self) -> &mut Self {
        self.says(Sample::Nothing(Nothing::Unreachable(String::from("refused"))))
    }

    fn says(&mut self, sample: Sample) -> &mut Self {
        self.says = sample;
        self
    }

    pub(super) fn answer(&mut self, gate: &str, yes: bool) -> &mut Self {
        self.gates.insert(gate.to_string(), yes);
        self
    }

    pub(super) fn lost(&mut self, side: Side) -> &mut Self {
        self.set_lost(side, true)
    }

    pub(super) fn found(&mut self, side: Side) -> &mut Self {
        self.set_lost(side, false)
    }

    fn set_lost(&mut self, side: Side, lost: bool) -> &mut Self {
        match side {
            Side::Primary => self.primary_lost = lost,
            Side::Canary => self.canary_lost = lost,
        }
        self
    }

    pub(super) fn order(&mut self, id: &str, order: Order) -> &mut Self {
        self.commands = vec![Command {
            id: id.to_string(),
            actor: String::from("ann"),
            order,
        }];
        self
    }

    /// Another plan from now on.
    pub(super) fn edit(&mut self, spec: &Spec) -> &mut Self {
        self.plan = spec.compile(&Capabilities::ALL).unwrap().0;
        self
    }

    /// Everything is forgotten but what was saved.
    pub(super) fn crash(&mut self) -> &mut Self {
        self.state = decode(&encode(&self.state).unwrap()).unwrap();
        self.commands.clear();
        self.why = None;
        self
    }

    /// An interval passes.
    pub(super) fn tick(&mut self) -> &mut Self {
        self.wait(self.plan.interval())
    }

    /// Time passes, and the world is looked at as often as a driver does.
    pub(super) fn wait(&mut self, time: Duration) -> &mut Self {
        let end = self.now.after(time);
        while self.now < end {
            self.now = self.now.after(self.plan.poll()).min(end);
            self.run();
        }
        self
    }

    /// As far as it goes without time passing.
    pub(super) fn run(&mut self) -> &mut Self {
        for _ in 0..100 {
            if !self.one() {
                return self;
            }
        }
        panic!("it never holds: {:?}", self.state);
    }

    /// Transition by transition, and interval by interval, until something is so.
    pub(super) fn until(&mut self, so: impl Fn(&Self) -> bool) -> &mut Self {
        self.one();
        for _ in 0..1_000 {
            if so(self) {
                return self;
            }
            if !self.one() {
                self.now = self.now.after(self.plan.interval());
            }
        }
        panic!("it never comes to that: {:?}", self.state);
    }

    /// Applies, observes, decides, saves: whether it moved.
    pub(super) fn one(&mut self) -> bool {
        let Some(next) = self.decide() else { return false };
        self.state = next;
        self.apply();
        true
    }

    /// Applies, observes, decides, and does not come to saving.
    fn forget_one(&mut self) {
        assert!(self.decide().is_some_and(|it| it.phase() != self.phase()));
    }

    fn apply(&mut self) {
        let want = desired(&self.plan, &self.state);
        let replaced = |pods: &mut Pods, revision: &Revision, lost: bool| {
            *pods = Pods {
                revision: Some(revision.clone()),
                wanted: 1,
                total: 1,
                updated: 1,
                available: u32::from(!lost),
                unready_since: None,
            };
        };
        if let Some(revision) = &want.pods.primary {
            if self.primary.revision.as_ref() != Some(revision) {
                self.promoted.push(revision.clone());
            }
            replaced(&mut self.primary, revision, self.primary_lost);
        }
        match &want.pods.canary {
            CanaryWish::AsIs => {}
            CanaryWish::Down => self.canary = Pods::default(),
            CanaryWish::Up { revision, .. } => replaced(&mut self.canary, revision, self.canary_lost),
        }
        if self.scaled_to_nothing {
            self.canary = Pods {
                revision: self.canary.revision.clone(),
                ..Pods::default()
            };
        }
        if let Some(routing) = want.routing {
            self.told = routing.traffic;
            if self.shown.last() != Some(&self.told) {
                self.shown.push(self.told);
            }
            if !self.lags {
                self.in_force = self.told;
            }
        }
    }

    fn decide(&mut self) -> Option<State> {
        let drifted = self.in_force != self.told && !self.lags;
        let mut replies = Vec::new();
        loop {
            if !drifted {
                self.apply();
            }
            let seen = Observation {
                now: self.now,
                target: self.target.clone(),
                primary: Some(self.primary.clone()),
                canary: Some(self.canary.clone()),
                in_force: Some(self.in_force),
                replies: core::mem::take(&mut replies),
                commands: self.commands.clone(),
            };
            let content = match step(&self.plan, &self.state, &seen) {
                Outcome::Go(next, why) => {
                    assert!(next.sequence > self.state.sequence);
                    self.why = Some(why);
                    let next = *next;
                    return Some(next);
                }
                Outcome::Hold { why, .. } => {
                    self.why = Some(why);
                    self.apply();
                    return None;
                }
                Outcome::Ask(Question::Gate(gate)) => {
                    self.asked.push(gate.name.clone());
                    let said = match self.gates.get(&gate.name) {
                        Some(true) => Ok(Answer::Approved),
                        Some(false) => Ok(Answer::Denied(String::from("not yet"))),
                        None => Err(String::from("nobody there")),
                    };
                    Content::Gate {
                        kind: gate.kind,
                        name: gate.name.clone(),
                        said,
                    }
                }
                Outcome::Ask(Question::History { .. }) => Content::History(BTreeMap::new()),
                Outcome::Ask(Question::Measure { .. }) => {
                    self.measured += 1;
                    if let Some(number) = self.push_during_measurement.take() {
                        self.target = Some(revision(number));
                    }
                    let metrics = self.plan.metrics().iter();
                    Content::Measured(metrics.map(|it| (it.name.clone(), self.says.clone())).collect())
                }
            };
            replies = seen.replies;
            replies.push(Reply {
                sequence: self.state.sequence,
                content,
            });
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.state.phase()
    }

    pub(super) fn weight(&self) -> Weight {
        self.state.traffic().weight()
    }

    /// Phase, routing, and what went wrong, as one line.
    pub(super) fn line(&self) -> String {
        let traffic = match self.state.traffic() {
            Traffic::Split(weight) => weight.to_string(),
            Traffic::Mirror(share) => format!("mirror {share}"),
            Traffic::Match => String::from("match"),
        };
        let mut line = format!("{} {traffic}", self.phase());
        if let Stage::Rollout(Run {
            iterations: Some(iterations @ 1..),
            ..
        }) = &self.state.stage
        {
            write!(line, " round {iterations}").unwrap();
        }
        let checks = self.state.checks();
        for (name, count) in [
            ("failed", checks.failed),
            ("inconclusive", checks.inconclusive),
            ("errors", checks.errors),
        ] {
            if count > 0
                && !(name == "failed" && matches!(self.state.stage, Stage::Idle(Idle::Failed { .. })))
            {
                write!(line, " {name} {count}").unwrap();
            }
        }
        if self.state.paused.is_some() {
            line += " paused";
        }
        line
    }

    #[track_caller]
    pub(super) fn expect(&mut self, line: &str) -> &mut Self {
        assert_eq!(self.line(), line, "{:?}", self.why);
        self
    }

    /// The primary runs this revision, in the state and in the world.
    #[track_caller]
    pub(super) fn runs(&mut self, number: u32) -> &mut Self {
        assert_eq!(self.state.primary, Some(revision(number)));
        assert_eq!(self.primary.revision, Some(revision(number)));
        self
    }
}
