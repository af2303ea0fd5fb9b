//! The world: what there is, what happens to it, and when the next thing happens.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use spin::Mutex;

use super::history::{Half, History, Stretch, Users};
use super::pods::Side;
use super::recording::Row;
use super::scenario::{Fault, Happening, Outage, Says, Scenario, Version, micros};
use crate::analysis::{Nothing, Sample, Window};
use crate::driver::Ports;
use crate::plan::{Gate, GateKind};
use crate::port::{Loaded, PortError, Traffic};
use crate::revision::Revision;
use crate::rollout::{Command, Notice, State};
use crate::time::Timestamp;

/// When a simulation begins: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

static GOOD: Version = Version::GOOD;

/// A simulated world, which implements all ports.
///
/// Its clock stands still until [`World::advance_to`] moves it. All ports answer at once: a future of theirs is ready
/// when it is polled first.
pub struct World<'s> {
    pub(super) scenario: &'s Scenario,
    pub(super) inner: Mutex<Inner<'s>>,
}

/// Where a port call is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Before it had an effect.
    Before,
    /// After it had its effect, before the caller learned of it.
    After,
}

/// A revision that was met.
pub(super) struct Known<'s> {
    pub(super) revision: Revision,
    pub(super) version: &'s Version,
    /// How many of a million requests take no longer than the bounds of `Inner::bounds`.
    pub(super) faster: Vec<u64>,
}

/// Times are in milliseconds since the beginning.
pub(super) struct Inner<'s> {
    pub(super) now: u64,
    /// How far the clock that a rollout reads is ahead of that, or behind.
    skew: i64,
    pub(super) known: Vec<Known<'s>>,
    /// Bounds of histograms, in milliseconds and in microseconds.
    pub(super) bounds: Vec<(f64, u64)>,
    /// What people do, by time.
    script: Vec<&'s Happening>,
    /// How much of that has happened.
    happened: usize,
    target: usize,
    pub(super) primary: Side,
    pub(super) canary: Side,
    /// What the router was told last; none: requests go to what served before there was a primary.
    told: Option<Traffic>,
    in_force: Option<Traffic>,
    /// What will be in force, and when.
    coming: Option<(u64, Traffic)>,
    pub(super) history: History,
    pub(super) saved: Option<Loaded>,
    pub(super) rows: Vec<Row>,
    pub(super) notices: Vec<Notice>,
    told_ids: BTreeSet<u64>,
    pub(super) given: Vec<Command>,
    calls: u64,
    crash: Option<(u64, Crash)>,
    dead: bool,
}

impl<'s> World<'s> {
    /// The world at [`START`].
    pub fn new(scenario: &'s Scenario) -> Self {
        let mut script: Vec<&Happening> = scenario.happenings.iter().collect();
        script.sort_by_key(|it| it.at);
        let mut inner = Inner {
            now: 0,
            skew: 0,
            known: Vec::with_capacity(scenario.versions.len().saturating_add(1)),
            bounds: bounds(scenario),
            script,
            happened: 0,
            target: 0,
            primary: Side::default(),
            canary: Side::default(),
            told: None,
            in_force: None,
            coming: None,
            history: History::new(scenario.requests_per_second, scenario.load_test),
            saved: None,
            rows: Vec::new(),
            notices: Vec::new(),
            told_ids: BTreeSet::new(),
            given: Vec::new(),
            calls: 0,
            crash: None,
            dead: false,
        };
        let first = inner.known(&scenario.primary, scenario);
        inner.target = first;
        let pods = Side::long_since(first, scenario.pods.max(1), version(scenario, &scenario.primary));
        if scenario.bootstrap {
            inner.canary = pods;
        } else {
            inner.primary = pods;
            (inner.told, inner.in_force) = (Some(Traffic::PRIMARY), Some(Traffic::PRIMARY));
            let state = State::initialized(scenario.primary.clone());
            inner.saved = Some(Loaded {
                state,
                version: crate::port::Version(0),
            });
        }
        inner.catch_up(scenario);
        Self {
            scenario,
            inner: Mutex::new(inner),
        }
    }

    /// This world as the ports of a rollout.
    pub fn ports(&self) -> Ports<'_> {
        Ports {
            clock: self,
            store: self,
            workload: self,
            traffic: self,
            metrics: self,
            approver: self,
            notifier: self,
        }
    }

    /// Lets time pass until the clock shows that moment, if nobody sets it meanwhile. Everything on the way happens at its
    /// own moment. Never goes back.
    pub fn advance_to(&self, moment: Timestamp) {
        let mut inner = self.inner.lock();
        let to = inner.at(moment);
        while let Some(next) = inner.next().filter(|next| *next <= to) {
            inner.now = next;
            inner.catch_up(self.scenario);
        }
        inner.now = inner.now.max(to);
    }

    /// The next moment at which something changes by itself, if nobody touches the world before.
    pub fn next_change(&self) -> Option<Timestamp> {
        let inner = self.inner.lock();
        let faults = self.scenario.faults.iter().flat_map(|it| [it.from, it.until]);
        let gates = self
            .scenario
            .gates
            .iter()
            .flat_map(|it| [Some(it.from), it.until])
            .flatten();
        let edges = faults.chain(gates).map(millis).filter(|at| *at > inner.now).min();
        let next = [inner.next(), edges].into_iter().flatten().min()?;
        Some(inner.shown(next))
    }

    /// How much time has passed since the beginning, whatever the clock shows.
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.inner.lock().now)
    }

    /// Whether nobody will do anything any more, and no routing is on its way.
    pub fn is_quiet(&self) -> bool {
        let inner = self.inner.lock();
        inner.happened >= inner.script.len() && inner.coming.is_none()
    }

    /// Commands that were given until now, and not taken yet. Taking one that is not carried out loses it.
    pub fn take_commands(&self) -> Vec<Command> {
        core::mem::take(&mut self.inner.lock().given)
    }

    /// Cuts the driver off at its `call`th port call, counted from 1 since the beginning.
    ///
    /// From then on every port refuses, without any effect, until [`World::restart`]. Reading the clock is no call.
    pub fn crash_at(&self, call: u64, moment: Crash) {
        self.inner.lock().crash = Some((call, moment));
    }

    /// Whether the driver was cut off since the last restart; after this call the ports answer again.
    pub fn restart(&self) -> bool {
        core::mem::take(&mut self.inner.lock().dead)
    }

    /// How many port calls there were.
    pub fn calls(&self) -> u64 {
        self.inner.lock().calls
    }

    /// What users saw until now.
    pub fn users(&self) -> Users {
        let inner = self.inner.lock();
        inner.history.users(inner.now, &inner.known)
    }

    /// Requests of users that a revision answered within a window; copies are not counted.
    pub fn served(&self, revision: &Revision, window: Window) -> u64 {
        let inner = self.inner.lock();
        let Some(version) = inner.known.iter().position(|it| it.revision == *revision) else {
            return 0;
        };
        let to = millis(window.to.since(START)).min(inner.now);
        inner
            .history
            .served(millis(window.from.since(START)), to, version)
    }

    /// One call of a port.
    pub(super) fn call<T>(
        &self,
        of: Fault,
        doing: &'static str,
        effect: impl FnOnce(&mut Inner<'s>) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        let mut inner = self.inner.lock();
        if inner.dead {
            return Err(crashed(doing));
        }
        inner.calls = inner.calls.saturating_add(1);
        let crash = inner
            .crash
            .filter(|(call, _)| *call == inner.calls)
            .map(|(_, moment)| moment);
        inner.dead = crash.is_some();
        if crash == Some(Crash::Before) {
            return Err(crashed(doing));
        }
        let done = match self.outage(&inner, of) {
            Some(why) => Err(PortError::transient(doing, why)),
            None => effect(&mut inner),
        };
        if crash.is_some() {
            Err(crashed(doing))
        } else {
            done
        }
    }

    /// Why it does not work now, if it does not.
    pub(super) fn outage(&self, inner: &Inner<'_>, of: Fault) -> Option<&'static str> {
        let now = |it: &Outage| it.of == of && inner.between(it.from, Some(it.until));
        let why = if of == Fault::Answers {
            "no answer in time"
        } else {
            "unreachable"
        };
        self.scenario.faults.iter().any(now).then_some(why)
    }

    /// What a gate says.
    pub(super) fn says(&self, inner: &Inner<'_>, gate: &Gate) -> Says {
        let fits = self.scenario.gates.iter().find(|it| {
            it.name.as_ref().is_none_or(|name| *name == gate.name)
                && it.kind.is_none_or(|kind| kind == gate.kind)
                && inner.between(it.from, it.until)
        });
        match (fits, gate.kind) {
            (Some(answer), _) => answer.says,
            (None, GateKind::Rollback) => Says::Deny,
            (
                None,
                GateKind::ConfirmRollout
                | GateKind::PreRollout
                | GateKind::Rollout
                | GateKind::ConfirmTrafficIncrease
                | GateKind::ConfirmPromotion,
            ) => Says::Approve,
        }
    }
}

impl core::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("World")
            .field("scenario", &self.scenario)
            .finish_non_exhaustive()
    }
}

impl<'s> Inner<'s> {
    /// Everything that is due now happens, in the order of its kind, and is remembered.
    fn catch_up(&mut self, scenario: &'s Scenario) {
        if let Some((_, traffic)) = self.coming.filter(|(at, _)| *at <= self.now) {
            (self.in_force, self.coming) = (Some(traffic), None);
        }
        while let Some(happening) = self
            .script
            .get(self.happened)
            .copied()
            .filter(|it| millis(it.at) <= self.now)
        {
            self.happened = self.happened.saturating_add(1);
            self.happens(happening, scenario);
        }
        self.primary.settle(self.now);
        self.canary.settle(self.now);
        self.note(scenario);
    }

    fn happens(&mut self, happening: &'s Happening, scenario: &'s Scenario) {
        if let Some(revision) = &happening.push {
            self.target = self.known(revision, scenario);
        }
        if let Some(order) = happening.command {
            let id = format!("scenario-{}", self.happened);
            self.given.push(Command {
                id,
                actor: "somebody".into(),
                order,
            });
        }
        if let Some((pods, version)) = happening.scale_canary.zip(self.canary.version) {
            self.run_canary(version, pods);
        }
        let step = |by: Option<Duration>| i64::try_from(millis(by.unwrap_or_default())).unwrap_or(i64::MAX);
        let (forward, back) = (step(happening.clock_forward), step(happening.clock_back));
        self.skew = self.skew.saturating_add(forward).saturating_sub(back);
        if let Some(weight) = happening.set_weight {
            let traffic = Traffic::Split(weight);
            (self.told, self.in_force, self.coming) = (Some(traffic), Some(traffic), None);
        }
    }

    /// What the clock that a rollout reads shows at a moment.
    pub(super) fn shown(&self, at: u64) -> Timestamp {
        let at = START.after(Duration::from_millis(at));
        let by = Duration::from_millis(self.skew.unsigned_abs());
        if self.skew < 0 {
            at.before(by)
        } else {
            at.after(by)
        }
    }

    /// When that clock shows a moment.
    pub(super) fn at(&self, moment: Timestamp) -> u64 {
        let by = Duration::from_millis(self.skew.unsigned_abs());
        let moment = if self.skew < 0 {
            moment.after(by)
        } else {
            moment.before(by)
        };
        millis(moment.since(START))
    }

    /// Remembers how things are.
    pub(super) fn note(&mut self, scenario: &Scenario) {
        let (share, copied) = match self.in_force {
            None => (crate::weight::Weight::WHOLE.as_hundredths(), 0),
            Some(Traffic::Split(weight)) => (weight.as_hundredths(), 0),
            Some(Traffic::Mirror(share)) => (0, share.as_hundredths()),
            Some(Traffic::Match) => (scenario.matching.as_hundredths(), 0),
        };
        self.history.note(Stretch {
            from: self.now,
            primary: self.primary.server(self.now),
            canary: self.canary.server(self.now),
            share: share.into(),
            copied: copied.into(),
        });
    }

    fn next(&self) -> Option<u64> {
        let happening = self.script.get(self.happened).map(|it| millis(it.at));
        let coming = self.coming.map(|(at, _)| at);
        [
            happening,
            coming,
            self.primary.next(self.now),
            self.canary.next(self.now),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn between(&self, from: Duration, until: Option<Duration>) -> bool {
        millis(from) <= self.now && until.is_none_or(|until| self.now < millis(until))
    }

    /// The index of a revision.
    pub(super) fn known(&mut self, revision: &Revision, scenario: &'s Scenario) -> usize {
        if let Some(at) = self.known.iter().position(|it| it.revision == *revision) {
            return at;
        }
        let version = version(scenario, revision);
        let faster = self
            .bounds
            .iter()
            .map(|(_, micros)| version.faster_than(*micros))
            .collect();
        self.known.push(Known {
            revision: revision.clone(),
            version,
            faster,
        });
        self.known.len().saturating_sub(1)
    }

    pub(super) fn run_primary(&mut self, version: usize, pods: u32) {
        let Some(known) = self.known.get(version) else {
            return;
        };
        let becomes = known.version.ready_as_primary.unwrap_or(known.version.ready);
        self.primary
            .tell(version, pods, becomes, known.version.crashes_after, self.now);
    }

    pub(super) fn run_canary(&mut self, version: usize, pods: u32) {
        let Some(known) = self.known.get(version) else {
            return;
        };
        self.canary.tell(
            version,
            pods,
            known.version.ready,
            known.version.crashes_after,
            self.now,
        );
    }

    /// The router is told; what it was told already changes nothing.
    pub(super) fn route(&mut self, traffic: Traffic, lag: Duration) {
        if self.told == Some(traffic) {
            return;
        }
        self.told = Some(traffic);
        match millis(lag) {
            0 => self.in_force = Some(traffic),
            lag => self.coming = Some((self.now.saturating_add(lag), traffic)),
        }
    }

    pub(super) fn in_force(&self) -> Option<Traffic> {
        self.in_force
    }

    pub(super) fn target(&self) -> Option<Revision> {
        self.known.get(self.target).map(|it| it.revision.clone())
    }

    pub(super) fn serves(&self, side: Half, at: u64) -> Option<&Known<'s>> {
        self.known.get(self.history.server(side, at)?)
    }

    /// What the primary did in a window of the past.
    pub(super) fn past(&self, metric: &str, from: u64, to: u64) -> Sample {
        match metric {
            _ if to <= from => Sample::Nothing(Nothing::NoData),
            "request-success-rate" => self.history.past_counts(from, to, &self.known),
            "request-duration" => self.history.past_durations(from, to, &self.known, &self.bounds),
            _ => Sample::Nothing(Nothing::NoData),
        }
    }

    pub(super) fn hear(&mut self, notice: &Notice) {
        if self.told_ids.insert(notice.id) {
            self.notices.push(notice.clone());
        }
    }
}

impl Version {
    /// How many of a million requests take at most so many microseconds: a straight line from 0 to `p50`, to `p99`, and
    /// to twice that.
    fn faster_than(&self, micros: u64) -> u64 {
        let micros_of = |it: Duration| u64::try_from(it.min(Self::LONGEST).as_micros()).unwrap_or(u64::MAX);
        let p50 = micros_of(self.p50);
        let p99 = micros_of(self.p99).max(p50);
        let part = |of: u64, from: u64, to: u64| {
            let (done, whole) = (micros.saturating_sub(from), to.saturating_sub(from));
            of.saturating_mul(done).checked_div(whole).unwrap_or(of)
        };
        match micros {
            it if it < p50 => part(500_000, 0, p50),
            it if it < p99 => part(490_000, p50, p99).saturating_add(500_000),
            it if it < p99.saturating_mul(2) => {
                part(10_000, p99, p99.saturating_mul(2)).saturating_add(990_000)
            }
            _ => 1_000_000,
        }
    }
}

fn version<'s>(scenario: &'s Scenario, revision: &Revision) -> &'s Version {
    scenario.versions.get(revision).unwrap_or(&GOOD)
}

/// Histograms have a bound wherever a version's distribution bends, so that a quantile is what the scenario says.
fn bounds(scenario: &Scenario) -> Vec<(f64, u64)> {
    let versions = scenario.versions.values().chain([&GOOD]);
    let bends = versions.flat_map(|it| [it.p50, it.p99, it.p99.saturating_mul(2)]);
    let mut bounds: Vec<Duration> = bends.filter(|it| !it.is_zero()).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let both = |it: Duration| {
        (
            it.as_secs_f64() * 1_000.0,
            u64::try_from(it.as_micros()).unwrap_or(u64::MAX),
        )
    };
    let mut bounds: Vec<(f64, u64)> = bounds.into_iter().map(both).collect();
    for (bound, micros) in scenario.buckets.iter().filter_map(|it| Some((*it, micros(*it)?))) {
        if bounds.iter().all(|it| it.1 != micros) {
            bounds.push((bound, micros));
        }
    }
    bounds.sort_unstable_by_key(|it| it.1);
    bounds
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether this is the error of a port that refuses because the driver was cut off.
fn crashed(doing: &'static str) -> PortError {
    PortError::transient(doing, "the driver was cut off here")
}
