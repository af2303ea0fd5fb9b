//! The rollout state machine: [`step`] decides, [`desired`] says what the world should look like. Both are pure.
//!
//! A [`State`] is what is remembered, an [`Observation`] is what is known of the world now, and an [`Outcome`] is the
//! whole decision. The rules for every stage are the functions below, in the order of a rollout's life:
//! [`bootstrap`](Stage::Bootstrap) → [`idle`](Stage::Idle) → [`progress`](Stage::Rollout) → promotion → idle, or
//! [`retreat`](Stage::Retreat) → idle.

mod asked;
mod check;
mod command;
mod desired;
mod explain;
mod guard;
mod measured;
mod observation;
mod passing;
mod readiness;
mod reason;
mod relocate;
mod state;
pub mod stored;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use self::command::obey;
pub use self::command::{Command, Order};
pub use self::desired::{Desired, desired};
pub use self::explain::explain;
pub use self::observation::{Content, Observation, Reply};
pub(crate) use self::passing::PARTS;
pub use self::passing::Passing;
use self::readiness::{Readiness, note_readiness, readiness, serves};
pub use self::reason::{Notice, Reason, Severity, Side};
pub use self::state::{Bootstrap, End, Idle, Phase, Retreat, Run, Stage, State, Status, Unready};
use crate::analysis;
use crate::plan::{Gate, Plan, Step};
use crate::port::Traffic;
use crate::revision::Revision;
use crate::time::Timestamp;

/// What must be known before a decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Question<'a> {
    /// What a gate says.
    Gate(&'a Gate),
    /// What the primary did before a moment, for the metrics of sequential judges that know nothing yet: what
    /// [`Run::history`] says.
    History {
        /// That moment.
        until: Timestamp,
    },
    /// What the plan's metrics are, measured no further back than this moment: what [`Run::windows`] says.
    Measure {
        /// Since when the present routing is in force.
        since: Timestamp,
    },
}

/// The whole decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<'a> {
    /// Answer this, observe, and call [`step`] again.
    Ask(Question<'a>),
    /// Save this state, then make the world equal to `desired(plan, &state)`.
    Go(Box<State>, Reason),
    /// Call again at `until`, or when something changes.
    Hold {
        /// The moment to look again; none: nothing will change by itself.
        until: Option<Timestamp>,
        /// What is waited for.
        why: Reason,
    },
}

/// Decides. Total and deterministic: the same three values give the same outcome, on every machine.
///
/// What comes first: commands, since when a side is not ready, a clock that was set back; then the rules of the stage. A
/// pause stops what brings a revision forward, and nothing else: see [`State::holds_forward`].
pub fn step<'a>(plan: &'a Plan, state: &'a State, seen: &Observation) -> Outcome<'a> {
    if let Some(command) = seen.commands.iter().find(|it| !state.knows(&it.id)) {
        return obey(plan, state, command, seen);
    }
    if let Some(noted) = note_readiness(plan, state, seen) {
        return noted;
    }
    if let Some(next) = guard::anchored(plan, state, seen.now) {
        return state.goes(next, Reason::ClockSetBack, seen);
    }
    match &state.stage {
        Stage::Bootstrap(it) => bootstrap(plan, state, it, seen),
        Stage::Idle(it) => idle(plan, state, it, seen),
        Stage::Rollout(run) if run.plan != plan.fingerprint => relocate::relocate(plan, state, run, seen),
        Stage::Rollout(run) if run.promoting => promotion(plan, state, run, seen),
        Stage::Rollout(run) => progress(plan, state, run, seen),
        Stage::Retreat(it) => retreat(plan, state, it, seen),
    }
}

/// The primary is created, becomes ready, gets the traffic; only then may what served before go.
fn bootstrap<'a>(plan: &'a Plan, state: &'a State, it: &Bootstrap, seen: &Observation) -> Outcome<'a> {
    let Some(target) = &seen.target else {
        return look_again(plan, seen, Reason::TargetUnknown);
    };
    let to = |bootstrap: Bootstrap, reason| state.enters(Stage::Bootstrap(bootstrap), reason, seen);
    let wanted = |revision: &&Revision| it.routed || *revision == target;
    let Some(revision) = it.revision.as_ref().filter(wanted) else {
        if state.holds_forward() {
            return hold(None, Reason::Paused);
        }
        let stage = Stage::Bootstrap(Bootstrap {
            revision: Some(target.clone()),
            entered: seen.now,
            routed: false,
            overdue: false,
        });
        let mut created = state.at_stage(stage);
        created.unready.primary = Some(Passing::from(seen.now));
        return state.goes(created, Reason::NewRevision, seen);
    };
    if it.routed {
        if seen.in_force != Some(Traffic::PRIMARY) {
            return look_again(plan, seen, Reason::TrafficNotInForce);
        }
        let mut served = state.at_stage(Stage::Idle(Idle::Initialized));
        served.primary = Some(revision.clone());
        return state.goes(served, Reason::Bootstrapped, seen);
    }
    let due = it.entered.after(plan.bootstrap_dwell);
    let ready = Reason::Ready { side: Side::Primary };
    let not_ready = Reason::NotReady { side: Side::Primary };
    match readiness(plan, state, seen, Side::Primary) {
        Readiness::Ready if state.holds_forward() => hold(None, Reason::Paused),
        Readiness::Ready if seen.now < due => hold(Some(due), Reason::NotDue),
        Readiness::Ready => to(
            Bootstrap {
                routed: true,
                ..it.clone()
            },
            ready,
        ),
        // What serves now goes on serving: a primary that never comes up harms nobody.
        Readiness::Dead if !it.overdue => {
            let reason = Reason::DeadlineExceeded { side: Side::Primary };
            to(
                Bootstrap {
                    overdue: true,
                    ..it.clone()
                },
                reason,
            )
        }
        Readiness::Dead | Readiness::Unknown => look_again(plan, seen, not_ready),
        Readiness::Waiting { until } => look_until(plan, seen, until, not_ready),
    }
}

/// Nothing is rolled out: is another revision wanted?
fn idle<'a>(plan: &'a Plan, state: &'a State, it: &Idle, seen: &Observation) -> Outcome<'a> {
    let Some(target) = &seen.target else {
        return look_again(plan, seen, Reason::TargetUnknown);
    };
    let (refused, serving) = match it {
        Idle::Failed { refused, serving, .. } => (refused.as_ref(), *serving),
        Idle::Initialized | Idle::Succeeded { .. } => (None, Side::Primary),
    };
    if refused == Some(target) {
        return hold(None, Reason::Refused);
    }
    let unchanged = state.primary.as_ref() == Some(target);
    if refused.is_some() && unchanged {
        // Something else was wanted since: wanting the refused one again is then a new wish.
        return state.enters(Stage::Idle(it.forgiven()), Reason::Withdrawn, seen);
    }
    if unchanged && serving == Side::Primary {
        return hold(None, Reason::NothingToDo);
    }
    let not_ready = Reason::NotReady { side: Side::Primary };
    match readiness(plan, state, seen, Side::Primary) {
        Readiness::Unknown => look_again(plan, seen, not_ready),
        Readiness::Waiting { until } => look_until(plan, seen, until, not_ready),
        // The canary's side is needed for the new revision: first its traffic goes to whatever the primary serves.
        Readiness::Ready | Readiness::Dead if serving == Side::Canary && serves(seen.primary.as_ref()) => {
            give_up(state, target, Reason::NewRevision, End::Superseded, seen)
        }
        Readiness::Dead if unchanged => look_again(plan, seen, not_ready),
        Readiness::Ready | Readiness::Dead if state.holds_forward() => hold(None, Reason::Paused),
        // A primary that is dead is a reason to go on, not to wait: this may be the fix.
        Readiness::Ready | Readiness::Dead => start(plan, state, target, seen),
    }
}

/// A new run, from the plan's first step. Traffic stays where it is until a step moves it.
fn start<'a>(plan: &Plan, state: &State, target: &Revision, seen: &Observation) -> Outcome<'a> {
    let run = Run {
        revision: target.clone(),
        began: None,
        plan: plan.fingerprint.clone(),
        at: 0,
        step: Step::Pause { lasts: None },
        entered: seen.now,
        due: Some(seen.now),
        look: None,
        traffic: state.traffic(),
        withheld: false,
        answer: None,
        guarded: None,
        steady: None,
        scale: None,
        promoting: false,
        rounds: 0,
        iterations: plan.iterated.then_some(0),
        denials: 0,
        rounds_since_denial: 0,
        approved: false,
        checks: analysis::Checks::default(),
        evidence: Vec::new(),
        memory: BTreeMap::new(),
    };
    enter(plan, state, &run, 0, Reason::NewRevision, seen)
}

/// A revision is judged. What comes first wins: a canary that serves nothing, another revision that is wanted, a canary that
/// is dead; then, as long as the run waits for anything, whoever may ask for a rollback.
fn progress<'a>(plan: &'a Plan, state: &'a State, run: &'a Run, seen: &Observation) -> Outcome<'a> {
    if let Some(safe) = withhold(plan, state, run, seen).or_else(|| superseded(state, run, seen)) {
        return safe;
    }
    if run.scale.is_some() && readiness(plan, state, seen, Side::Canary) == Readiness::Dead {
        let why = Reason::DeadlineExceeded { side: Side::Canary };
        return give_up(state, &run.revision, why, End::Failed, seen);
    }
    guard::guarded(plan, state, run, seen, forward(plan, state, run, seen))
}

/// What brings a run forward. In order: the primary, the canary, the routing, a gate's deadline, a pause, the time, the step.
fn forward<'a>(plan: &'a Plan, state: &'a State, run: &'a Run, seen: &Observation) -> Outcome<'a> {
    let sides = [(Side::Primary, true), (Side::Canary, run.scale.is_some())];
    for (side, _) in sides.into_iter().filter(|(_, needed)| *needed) {
        match readiness(plan, state, seen, side) {
            // A primary that is dead is a reason to go on: this may be the fix.
            Readiness::Ready | Readiness::Dead => {}
            Readiness::Waiting { until } => return look_until(plan, seen, until, Reason::NotReady { side }),
            Readiness::Unknown => return look_again(plan, seen, Reason::NotReady { side }),
        }
    }
    match (seen.in_force == Some(run.wanted()), run.steady) {
        (false, None) => return look_again(plan, seen, Reason::TrafficNotInForce),
        (false, Some(_)) => {
            return state.runs(
                Run {
                    steady: None,
                    ..run.clone()
                },
                Reason::Drifted,
                seen,
            );
        }
        (true, None) => {
            // A window lies inside one routing: what was measured before says nothing about this one.
            let due = if matches!(run.step, Step::Analyse { .. }) {
                run.due.max(Some(seen.now.after(plan.interval)))
            } else {
                run.due
            };
            let look = next_look(plan, &run.step, seen.now, due);
            if !run.step.moves_traffic() {
                let steady = Run {
                    steady: Some(seen.now),
                    look,
                    due,
                    ..run.clone()
                };
                return state.runs(steady, Reason::InForce, seen);
            }
        }
        (true, Some(_)) => {}
    }
    if let Some(by_default) = check::gate_deadline(plan, state, run, seen) {
        return by_default;
    }
    if state.holds_forward() {
        return hold(check::answer_by(plan, run, seen.now), Reason::Paused);
    }
    if let Some(look) = run.glance(plan) {
        if seen.now < look {
            return hold(Some(look), Reason::NotDue);
        }
        return check::glance(plan, state, run, look, seen);
    }
    match run.due {
        None => return hold(None, Reason::UntilResumed),
        Some(due) if seen.now < due => {
            let answer = check::answer_by(plan, run, seen.now);
            return hold(Some(due.min(answer.unwrap_or(due))), Reason::NotDue);
        }
        Some(_) => {}
    }
    let next = run.at.saturating_add(1);
    match &run.step {
        Step::Gate(gate) => check::ask(plan, state, run, gate, seen),
        Step::Analyse { rounds } => check::analyse(plan, state, run, *rounds, seen),
        Step::Scale { .. } => check::stop_first(plan, state, run, seen)
            .unwrap_or_else(|| enter(plan, state, run, next, Reason::Ready { side: Side::Canary }, seen)),
        Step::Pause { .. } => check::stop_first(plan, state, run, seen)
            .unwrap_or_else(|| enter(plan, state, run, next, Reason::StepDone, seen)),
        Step::Shift { .. }
        | Step::Mirror { .. }
        | Step::Match
        | Step::Promote { .. }
        | Step::Return { .. }
        | Step::Settle { .. } => enter(plan, state, run, next, Reason::InForce, seen),
    }
}

/// A canary none of whose pods takes requests gets none, as long as the primary takes them, and that counts as a failed
/// check. It gets its share back when it was observed ready again, and at once when the primary serves nothing; its deadline
/// runs meanwhile.
fn withhold<'a>(plan: &Plan, state: &State, run: &Run, seen: &Observation) -> Option<Outcome<'a>> {
    let moved = |withheld| Run {
        withheld,
        steady: None,
        ..run.clone()
    };
    if run.withheld {
        let primary_serves_nothing = seen.primary.as_ref().is_some_and(|pods| pods.available == 0);
        let may = primary_serves_nothing || !state.holds_forward();
        let ready = readiness(plan, state, seen, Side::Canary) == Readiness::Ready;
        let reason = Reason::Ready { side: Side::Canary };
        return (ready && may).then(|| state.runs(moved(false), reason, seen));
    }
    let dead = run.scale.is_some()
        && run.traffic.reaches_canary()
        && seen.canary.is_some()
        && !serves(seen.canary.as_ref())
        && serves(seen.primary.as_ref());
    if !dead {
        return None;
    }
    // What is being promoted has passed its checks: from there on nothing is counted.
    let next = if run.promoting {
        moved(true)
    } else {
        check::failed(
            moved(true),
            check::READINESS,
            "no pod of the canary takes requests",
        )
    };
    Some(check::stop_or_go(plan, state, next, Reason::Withheld, seen))
}

/// Another revision is wanted. The one that the primary had before is wanted back at any time; a newer one takes its turn
/// after a promotion that has begun.
fn superseded<'a>(state: &State, run: &Run, seen: &Observation) -> Option<Outcome<'a>> {
    let wanted = seen.target.as_ref().filter(|wanted| **wanted != run.revision)?;
    let why = if state.primary.as_ref() == Some(wanted) {
        Reason::Withdrawn
    } else if run.promoting {
        return None;
    } else {
        Reason::NewerRevision {
            newer: wanted.clone(),
        }
    };
    Some(give_up(state, &run.revision, why, End::Superseded, seen))
}

/// The primary takes the revision, and then the traffic. Until the run has ended, the state remembers what the primary had
/// before, so there is a way back: for a revision that is withdrawn, and for whoever asks for a rollback.
fn promotion<'a>(plan: &'a Plan, state: &'a State, run: &'a Run, seen: &Observation) -> Outcome<'a> {
    if let Some(safe) = withhold(plan, state, run, seen).or_else(|| superseded(state, run, seen)) {
        return safe;
    }
    let dead = readiness(plan, state, seen, Side::Primary) == Readiness::Dead;
    if dead && readiness(plan, state, seen, Side::Canary) == Readiness::Ready {
        let stage = Stage::Idle(Idle::Failed {
            refused: Some(run.revision.clone()),
            why: Reason::PromotionFailed,
            serving: Side::Canary,
            checks: run.checks,
        });
        let mut failed = state.at_stage(stage);
        failed.primary = Some(run.revision.clone());
        return state.goes(failed, Reason::PromotionFailed, seen);
    }
    let newer = seen
        .target
        .as_ref()
        .filter(|wanted| dead && **wanted != run.revision);
    if let Some(newer) = newer {
        // Neither side serves, and somebody has pushed what may be the fix.
        let mut tried = state.clone();
        tried.primary = Some(run.revision.clone());
        let why = Reason::NewerRevision { newer: newer.clone() };
        return give_up(&tried, &run.revision, why, End::Superseded, seen);
    }
    guard::guarded(plan, state, run, seen, promoted(plan, state, run, seen))
}

/// What brings a promotion forward.
fn promoted<'a>(plan: &'a Plan, state: &'a State, run: &'a Run, seen: &Observation) -> Outcome<'a> {
    let canary_ready = readiness(plan, state, seen, Side::Canary) == Readiness::Ready;
    let not_ready = Reason::NotReady { side: Side::Primary };
    match readiness(plan, state, seen, Side::Primary) {
        Readiness::Ready => {}
        Readiness::Waiting { until } => return look_until(plan, seen, until, not_ready),
        Readiness::Unknown => return look_again(plan, seen, not_ready),
        Readiness::Dead => return look_again(plan, seen, Reason::NoSideServes),
    }
    if state.holds_forward() {
        return hold(None, Reason::Paused);
    }
    let settle = plan.settle_after(run.at);
    if let Some(settle) = settle.filter(|_| !canary_ready && run.traffic.reaches_canary()) {
        // The canary can no longer be relied on, and the primary is ready: no reason to go slowly.
        let reason = Reason::NotReady { side: Side::Canary };
        return enter(plan, state, run, settle, reason, seen);
    }
    if seen.in_force != Some(run.wanted()) {
        return look_again(plan, seen, Reason::TrafficNotInForce);
    }
    match run.due {
        None => return hold(None, Reason::UntilResumed),
        Some(due) if seen.now < due => return hold(Some(due), Reason::NotDue),
        Some(_) => {}
    }
    let reason = if matches!(run.step, Step::Promote { .. }) {
        Reason::Ready { side: Side::Primary }
    } else {
        Reason::InForce
    };
    enter(plan, state, run, run.at.saturating_add(1), reason, seen)
}

/// Traffic goes back to the primary, as soon as that serves anything; then the run is over. Nothing stops it.
fn retreat<'a>(plan: &'a Plan, state: &'a State, it: &'a Retreat, seen: &Observation) -> Outcome<'a> {
    let not_ready = Reason::NotReady { side: Side::Primary };
    if it.traffic != Traffic::PRIMARY {
        if !serves(seen.primary.as_ref()) {
            let dead = readiness(plan, state, seen, Side::Primary) == Readiness::Dead;
            let newer = seen
                .target
                .as_ref()
                .filter(|wanted| dead && **wanted != it.revision);
            return match newer {
                // The primary does not come back, and somebody has pushed what may be the fix.
                Some(newer) if !state.holds_forward() => start(plan, state, newer, seen),
                Some(_) | None => look_again(plan, seen, not_ready),
            };
        }
        let back = Retreat {
            traffic: Traffic::PRIMARY,
            ..it.clone()
        };
        return state.enters(Stage::Retreat(back), it.why.clone(), seen);
    }
    if seen.in_force != Some(Traffic::PRIMARY) {
        return look_again(plan, seen, Reason::TrafficNotInForce);
    }
    // A promotion that was broken off: the primary takes back what it had before.
    let observed = seen.primary.as_ref().and_then(|pods| pods.revision.as_ref());
    if observed.is_some() && observed != state.primary.as_ref() {
        match readiness(plan, state, seen, Side::Primary) {
            Readiness::Waiting { until } => return look_until(plan, seen, until, not_ready),
            Readiness::Unknown => return look_again(plan, seen, not_ready),
            Readiness::Ready | Readiness::Dead => {}
        }
    }
    let idle = match (it.end, &seen.target) {
        (End::Failed, _) => Idle::Failed {
            refused: Some(it.revision.clone()),
            why: it.why.clone(),
            serving: Side::Primary,
            checks: it.checks,
        },
        (End::Superseded, None) => return look_again(plan, seen, Reason::TargetUnknown),
        (End::Superseded, Some(target))
            if state.primary.as_ref() != Some(target) && !state.holds_forward() =>
        {
            return start(plan, state, target, seen);
        }
        (End::Superseded, Some(_)) => Idle::Initialized,
    };
    state.enters(Stage::Idle(idle), Reason::TrafficBack, seen)
}

/// Gives a revision up. Traffic moves at once if the primary serves anything, otherwise as soon as it does.
fn give_up<'a>(state: &State, revision: &Revision, why: Reason, end: End, seen: &Observation) -> Outcome<'a> {
    let traffic = if serves(seen.primary.as_ref()) {
        Traffic::PRIMARY
    } else {
        state.traffic()
    };
    let retreat = Retreat {
        revision: revision.clone(),
        traffic,
        why: why.clone().kept(),
        end,
        checks: state.checks(),
    };
    state.enters(Stage::Retreat(retreat), why, seen)
}

/// Takes the run to step `at`: this is the only place where a run moves traffic, scales or promotes.
fn enter<'a>(
    plan: &Plan,
    state: &State,
    run: &Run,
    at: usize,
    reason: Reason,
    seen: &Observation,
) -> Outcome<'a> {
    let Some(step) = plan.steps.get(at) else {
        let mut done = state.at_stage(Stage::Idle(Idle::Succeeded { checks: run.checks }));
        done.primary = Some(run.revision.clone());
        return state.goes(done, Reason::Promoted, seen);
    };
    let mut run = Run {
        at,
        step: step.clone(),
        entered: seen.now,
        due: Some(seen.now),
        look: None,
        rounds: 0,
        denials: 0,
        rounds_since_denial: 0,
        approved: false,
        withheld: false,
        answer: None,
        guarded: (!plan.rollback_gates.is_empty()).then_some(seen.now),
        ..run.clone()
    };
    let mut unready = state.unready;
    let before = run.traffic;
    let now = seen.now;
    if !matches!(step, Step::Gate(_)) {
        run.began = run.began.or(Some(now));
    }
    match *step {
        Step::Gate(ref gate) => run.answer = gate.deadline.map(|_| Passing::from(now)),
        Step::Scale { .. }
            if run.scale.is_none() && before.reaches_canary() && serves(seen.primary.as_ref()) =>
        {
            // A failed promotion left the traffic here, and the primary has come back meanwhile: that first.
            return give_up(state, &run.revision, Reason::NewRevision, End::Superseded, seen);
        }
        Step::Scale { scale, dwell } => {
            run.scale = Some(scale);
            run.due = Some(now.after(dwell));
            unready.canary = Some(Passing::from(now));
        }
        Step::Shift { weight, dwell } => {
            run.traffic = Traffic::Split(weight);
            run.due = Some(now.after(dwell));
        }
        Step::Mirror { share } => run.traffic = Traffic::Mirror(share),
        Step::Match => run.traffic = Traffic::Match,
        Step::Analyse { .. } => {
            run.due = Some(now.after(plan.interval));
            run.look = next_look(plan, step, now, run.due);
            run.iterations = run.iterations.map(|it| it.saturating_add(1));
        }
        Step::Pause { lasts } => run.due = lasts.map(|lasts| now.after(lasts)),
        Step::Promote { dwell } => {
            if seen.target.is_none() {
                return look_again(plan, seen, Reason::TargetUnknown);
            }
            run.promoting = true;
            run.due = Some(now.after(dwell));
            unready.primary = Some(Passing::from(now));
        }
        Step::Return { weight, dwell } => {
            run.traffic = Traffic::Split(weight.min(before.weight()));
            run.due = Some(now.after(dwell));
        }
        Step::Settle { drain } => {
            run.traffic = Traffic::PRIMARY;
            run.due = Some(now.after(drain));
        }
    }
    if run.traffic.weight() < before.weight() && !serves(seen.primary.as_ref()) {
        // A primary that serves nothing gets no traffic back from the canary.
        run.traffic = before;
    }
    let in_force = run.traffic == before && seen.in_force == Some(before);
    run.steady = in_force.then(|| run.steady.unwrap_or(now));
    let mut entered = state.at_stage(Stage::Rollout(run));
    entered.unready = unready;
    state.goes(entered, reason, seen)
}

/// The vocabulary of transitions. Nothing else makes a next state.
impl State {
    /// The same state at another stage.
    fn at_stage(&self, stage: Stage) -> Self {
        Self {
            stage,
            sequence: self.sequence,
            primary: self.primary.clone(),
            paused: self.paused.clone(),
            unready: self.unready,
            commands: self.commands.clone(),
            outbox: self.outbox.clone(),
            dropped: self.dropped,
        }
    }

    /// Goes to another stage.
    fn enters<'a>(&self, stage: Stage, reason: Reason, seen: &Observation) -> Outcome<'a> {
        self.goes(self.at_stage(stage), reason, seen)
    }

    /// Goes on with the run, changed so.
    fn runs<'a>(&self, run: Run, reason: Reason, seen: &Observation) -> Outcome<'a> {
        self.enters(Stage::Rollout(run), reason, seen)
    }

    /// Goes to a next state: it is counted, and told to people if they would notice.
    fn goes<'a>(&self, next: Self, reason: Reason, seen: &Observation) -> Outcome<'a> {
        go(self, next, reason, seen)
    }

    /// Whether nothing may bring a revision forward: somebody has paused the rollout.
    ///
    /// It does not stop what keeps users safe: traffic leaves a dead canary, a revision that is no longer wanted is
    /// withdrawn, deadlines pass, gates of kind `rollback` are asked, and a rollback that has begun goes on.
    pub const fn holds_forward(&self) -> bool {
        self.paused.is_some()
    }

    fn with(&self, run: Run) -> Self {
        self.at_stage(Stage::Rollout(run))
    }
}

impl Idle {
    /// The same, and nothing is refused any more.
    fn forgiven(&self) -> Self {
        let mut idle = self.clone();
        if let Self::Failed { refused, .. } = &mut idle {
            *refused = None;
        }
        idle
    }
}

impl Run {
    const fn waits_for_approval(&self) -> bool {
        matches!(self.step, Step::Gate(_) | Step::Pause { .. }) && !self.promoting
    }
}

/// When sequential judges look after `now`, if that is before the next decision.
fn next_look(plan: &Plan, step: &Step, now: Timestamp, due: Option<Timestamp>) -> Option<Timestamp> {
    if !matches!(step, Step::Analyse { .. }) {
        return None;
    }
    let look = now.after(plan.look()?);
    (look < due?).then_some(look)
}

impl Step {
    const fn moves_traffic(&self) -> bool {
        matches!(self, Self::Shift { .. } | Self::Mirror { .. } | Self::Match)
    }
}

/// The only way to a next state: it is counted, and told to people if they would notice.
fn go<'a>(before: &State, next: State, reason: Reason, seen: &Observation) -> Outcome<'a> {
    let denials = |state: &State| match &state.stage {
        Stage::Rollout(run) => run.denials.min(1),
        Stage::Bootstrap(_) | Stage::Idle(_) | Stage::Retreat(_) => 0,
    };
    let overdue = |state: &State| matches!(&state.stage, Stage::Bootstrap(it) if it.overdue);
    let shows = matches!(reason, Reason::Drifted | Reason::Confirmed { .. })
        || (before.phase(), before.traffic()) != (next.phase(), next.traffic())
        || before.checks() != next.checks()
        || denials(before) < denials(&next)
        || overdue(before) != overdue(&next);
    if shows {
        go_and_tell(before, next, reason, seen)
    } else {
        counted(before, next, reason)
    }
}

fn go_and_tell<'a>(before: &State, mut next: State, reason: Reason, seen: &Observation) -> Outcome<'a> {
    next.sequence = before.sequence.saturating_add(1);
    next.notify(seen.now, &reason);
    Outcome::Go(Box::new(next), reason)
}

fn counted<'a>(before: &State, mut next: State, reason: Reason) -> Outcome<'a> {
    next.sequence = before.sequence.saturating_add(1);
    Outcome::Go(Box::new(next), reason)
}

const fn hold<'a>(until: Option<Timestamp>, why: Reason) -> Outcome<'a> {
    Outcome::Hold { until, why }
}

/// Waits for something in the world that may not announce itself.
fn look_again<'a>(plan: &Plan, seen: &Observation, why: Reason) -> Outcome<'a> {
    hold(Some(seen.now.after(plan.poll)), why)
}

/// As [`look_again`], but no later than a deadline.
fn look_until<'a>(plan: &Plan, seen: &Observation, until: Timestamp, why: Reason) -> Outcome<'a> {
    hold(Some(seen.now.after(plan.poll).min(until)), why)
}

#[cfg(test)]
mod tests;
