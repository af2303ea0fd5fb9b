//! A check that cannot fail is none: every promise is broken here by somebody, and each is found.
#![allow(
    clippy::match_same_arms,
    clippy::unused_async,
    reason = "a broken implementation reads as a table, and a wait may be empty"
)]

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::future::pending;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;

use super::*;
use crate::analysis::{Checks, Judge, Metric, Nothing, Range, Sample, Tally, Window};
use crate::plan::{Capabilities, Gate, GateKind};
use crate::port::{
    Answer, Approver, CanaryWish, Clock, GateQuestion, Loaded, Measure, MetricSource, Notifier, Open, Pods,
    Routing, Saved, Seen, Sent, Silent, StateStore, Traffic, TrafficRouter, Version, Wish, Workload,
};
use crate::rollout::{Notice, Phase, State};
use crate::{Revision, Timestamp, Weight};

/// The promise that was found broken, if any.
fn broken(check: impl Future<Output = Result<(), Violation>>) -> Option<&'static str> {
    let mut check = pin!(check);
    for _ in 0..1_000_000 {
        if let Poll::Ready(checked) = check
            .as_mut()
            .poll(&mut Context::from_waker(core::task::Waker::noop()))
        {
            return checked.err().map(|it| it.promise);
        }
    }
    panic!("the check hangs")
}

/// Lets others have a turn.
async fn yields() {
    let mut waited = false;
    poll_fn(|_| {
        if core::mem::replace(&mut waited, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

fn revision(name: &str) -> Revision {
    Revision::new(name).unwrap()
}

fn fails<T>() -> Result<T, PortError> {
    Err(PortError::transient("knocking", "nobody is at home"))
}

/// Time for those who live in it: it passes in pauses.
#[derive(Default)]
struct Ticks(AtomicU64);

impl Ticks {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    async fn pass(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_violation_tells_who_promised_what_and_what_was_seen() {
    let violation = Violation {
        port: "Clock",
        promise: "time goes on",
        seen: "it stood".into(),
    };
    assert_eq!(
        violation.to_string(),
        "Clock breaks its contract: time goes on. Seen: it stood"
    );
}

mod clocks {
    use super::*;

    /// Milliseconds at the first look, and how many more at each.
    struct Counts(AtomicU64, u64);

    impl Clock for Counts {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.fetch_add(self.1, Ordering::Relaxed))
        }
    }

    #[test]
    fn broken_ones_are_found() {
        for (begins, goes, promise) in [
            (1_777_000_000_000, 1, None),
            (1_777_000_000_000, 0, Some("time goes on")),
            (
                1_777_000_000,
                1,
                Some("a moment is wall-clock time, in milliseconds since 1970"),
            ),
            (
                1_777_000_000_000_000,
                1,
                Some("a moment is wall-clock time, in milliseconds since 1970"),
            ),
            (
                12_345,
                1,
                Some("a moment is wall-clock time, in milliseconds since 1970"),
            ),
        ] {
            let seen = broken(clock(&Counts(begins.into(), goes), async || {}));
            assert_eq!(seen, promise, "{begins} + {goes}");
        }
    }

    #[cfg(feature = "host")]
    #[test]
    fn the_system_clock_passes() {
        let millisecond = core::time::Duration::from_millis(1);
        #[expect(clippy::disallowed_methods, reason = "this clock goes with the world's time")]
        let wait = async || std::thread::sleep(millisecond);
        assert_eq!(broken(clock(&crate::host::SystemClock, wait)), None);
    }
}

mod stores {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Bug {
        None,
        BeginsWithSomething,
        Forgets,
        LastWriterWins,
        WritesOverWhatIsGone,
        ComparesTooEarly,
        KeepsOneVersion,
        LosesTheOutbox,
        RefusesEverything,
        Fails,
        Hangs,
    }

    struct Store(Bug, Mutex<Option<Loaded>>);

    impl Store {
        fn with(bug: Bug) -> Self {
            let state = State::initialized(revision("v1"));
            let kept = (bug == Bug::BeginsWithSomething).then_some(Loaded {
                state,
                version: Version(7),
            });
            Self(bug, Mutex::new(kept))
        }
    }

    #[async_trait]
    impl StateStore for Store {
        async fn load(&self) -> Result<Option<Loaded>, PortError> {
            Ok(self.1.lock().unwrap().clone())
        }

        async fn save(&self, state: &State, over: Option<Version>) -> Result<Saved, PortError> {
            let bug = self.0;
            let present = self.1.lock().unwrap().as_ref().map(|it| it.version);
            let blind = bug == Bug::LastWriterWins || (bug == Bug::WritesOverWhatIsGone && present.is_none());
            match bug {
                Bug::Fails => return fails(),
                Bug::Hangs => pending().await,
                Bug::RefusesEverything => return Ok(Saved::Stale),
                _ if present != over && !blind => return Ok(Saved::Stale),
                Bug::ComparesTooEarly => yields().await,
                _ => {}
            }
            let version = Version(if bug == Bug::KeepsOneVersion {
                1
            } else {
                present.map_or(1, |it| it.0 + 1)
            });
            let mut state = state.clone();
            if bug == Bug::LosesTheOutbox {
                state.outbox.clear();
            }
            if bug != Bug::Forgets {
                *self.1.lock().unwrap() = Some(Loaded { state, version });
            }
            Ok(Saved::Now(version))
        }
    }

    #[test]
    fn broken_ones_are_found() {
        const KEPT: &str = "what `save` has answered with `Now` is what the next `load` returns";
        const SWAPPED: &str =
            "of several saves over the same version one is written, the others are `Stale` and write nothing";
        for (bug, promise) in [
            (Bug::None, None),
            (
                Bug::BeginsWithSomething,
                Some("before the first save there is no state"),
            ),
            (Bug::Forgets, Some(KEPT)),
            (Bug::LastWriterWins, Some(SWAPPED)),
            (Bug::WritesOverWhatIsGone, Some(SWAPPED)),
            (Bug::ComparesTooEarly, Some(SWAPPED)),
            (Bug::KeepsOneVersion, Some("every save has a version of its own")),
            (Bug::LosesTheOutbox, Some(KEPT)),
            (
                Bug::RefusesEverything,
                Some("a save over the present version is written"),
            ),
            (Bug::Fails, Some("what is possible is done")),
            (Bug::Hangs, Some("every call returns within a bound")),
        ] {
            assert_eq!(
                broken(state_store(&Store::with(bug), async || {})),
                promise,
                "{bug:?}"
            );
        }
    }

    #[cfg(feature = "host")]
    #[test]
    fn the_memory_store_passes() {
        assert_eq!(
            broken(state_store(&crate::host::MemoryStore::default(), async || {})),
            None
        );
    }
}

mod routers {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Bug {
        None,
        CannotMirror,
        Rounds,
        Queues,
        Drifts,
        BeginsAgain,
        Flickers,
        KeepsItsLock,
        CannotTell,
        ChangesItsMind,
        Fails,
        Hangs,
    }

    /// What is coming and when, and what was in force since when.
    #[derive(Default)]
    struct Inner {
        coming: Vec<(u64, Traffic)>,
        in_force: Option<(u64, Traffic)>,
        locked: bool,
        asked: u32,
    }

    struct Router {
        bug: Bug,
        ticks: Ticks,
        inner: Mutex<Inner>,
    }

    impl Router {
        fn inner(&self) -> MutexGuard<'_, Inner> {
            let mut inner = self.inner.lock().unwrap();
            let now = self.ticks.now();
            while let Some(due) = inner.coming.iter().position(|(at, _)| *at <= now) {
                let (_, traffic) = inner.coming.remove(due);
                inner.in_force = Some((now, traffic));
            }
            inner
        }
    }

    #[async_trait]
    impl TrafficRouter for Router {
        fn capabilities(&self) -> Capabilities {
            let mut inner = self.inner();
            inner.asked += 1;
            Capabilities {
                sticky: self.bug != Bug::ChangesItsMind || inner.asked == 1,
                ..Capabilities::ALL
            }
        }

        async fn apply(&self, want: &Routing) -> Result<(), PortError> {
            let now = self.ticks.now();
            match self.bug {
                Bug::Fails => return fails(),
                Bug::Hangs => pending().await,
                Bug::CannotMirror if matches!(want.traffic, Traffic::Mirror(_)) => return Ok(()),
                Bug::KeepsItsLock => {
                    if core::mem::replace(&mut self.inner().locked, true) {
                        return fails();
                    }
                    yields().await;
                    self.inner().locked = false;
                }
                _ => {}
            }
            let traffic = match want.traffic {
                Traffic::Split(weight) if self.bug == Bug::Rounds => {
                    Traffic::Split(Weight::percent(u32::from(weight.as_hundredths()) / 100).unwrap())
                }
                traffic => traffic,
            };
            let mut inner = self.inner();
            let last = inner
                .coming
                .last()
                .map(|(_, it)| *it)
                .or(inner.in_force.map(|(_, it)| it));
            if last == Some(traffic) && self.bug != Bug::BeginsAgain {
                if self.bug == Bug::Flickers && inner.coming.is_empty() {
                    inner.in_force = None;
                    inner.coming = [(now + 2, traffic)].into();
                }
                return Ok(());
            }
            match self.bug {
                // The way to all traffic takes longer, and nobody waits for it.
                Bug::Queues => inner
                    .coming
                    .push((now + if traffic == Traffic::CANARY { 4 } else { 1 }, traffic)),
                _ => inner.coming = [(now + 2, traffic)].into(),
            }
            if self.bug == Bug::BeginsAgain {
                inner.in_force = None;
            }
            Ok(())
        }

        async fn observe(&self) -> Result<Option<Traffic>, PortError> {
            let seen = self.inner().in_force;
            Ok(match self.bug {
                Bug::CannotTell => None,
                Bug::Drifts => seen.map(|(since, it)| {
                    if self.ticks.now() > since + 3 {
                        Traffic::PRIMARY
                    } else {
                        it
                    }
                }),
                _ => seen.map(|(_, it)| it),
            })
        }
    }

    #[test]
    fn broken_ones_are_found() {
        const COMES: &str = "what was applied is in force after a while";
        const LASTS: &str = "what is in force stays so until something else is applied";
        for (bug, promise) in [
            (Bug::None, None),
            (Bug::CannotMirror, Some(COMES)),
            (Bug::Rounds, Some(COMES)),
            (Bug::Queues, Some(LASTS)),
            (Bug::Drifts, Some(LASTS)),
            (Bug::BeginsAgain, Some(COMES)),
            (
                Bug::Flickers,
                Some("applying the same routing again changes nothing"),
            ),
            (Bug::KeepsItsLock, Some("what is possible is done")),
            (Bug::CannotTell, Some(COMES)),
            (Bug::ChangesItsMind, Some("capabilities are constant")),
            (Bug::Fails, Some("what is possible is done")),
            (Bug::Hangs, Some("every call returns within a bound")),
        ] {
            let router = Router {
                bug,
                ticks: Ticks::default(),
                inner: Mutex::default(),
            };
            assert_eq!(
                broken(traffic_router(&router, async || router.ticks.pass().await)),
                promise,
                "{bug:?}"
            );
        }
    }
}

mod workloads {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Bug {
        None,
        RestartsWhenAskedAgain,
        LeavesAGap,
        ResizesThePrimary,
        EndsBothSides,
        EndsWhatItShouldLeave,
        ScalesWhatItShouldLeave,
        KeepsTheCanary,
        SaysItIsReadyAtOnce,
        CannotTell,
        Fails,
        Hangs,
    }

    /// A side with pods that take requests two pauses after their start; the former ones stay until then.
    #[derive(Default)]
    struct Half {
        revision: Option<Revision>,
        former: u32,
        wanted: u32,
        started: u64,
    }

    impl Half {
        fn run(&mut self, revision: Option<&Revision>, pods: u32, now: u64, bug: Bug) {
            if self.revision.as_ref() == revision && self.wanted == pods && bug != Bug::RestartsWhenAskedAgain
            {
                return;
            }
            self.former = if bug == Bug::LeavesAGap || revision.is_none() {
                0
            } else {
                self.wanted
            };
            (self.revision, self.wanted, self.started) = (revision.cloned(), pods, now);
        }

        fn seen(&self, now: u64, bug: Bug) -> Pods {
            let (updated, ready) = (self.wanted, now >= self.started + 2);
            Pods {
                revision: self.revision.clone(),
                wanted: self.wanted,
                total: match (ready, bug) {
                    (true, _) => updated,
                    (false, Bug::SaysItIsReadyAtOnce) => 0,
                    (false, _) => updated + self.former,
                },
                updated,
                available: if ready || bug == Bug::SaysItIsReadyAtOnce {
                    updated
                } else {
                    0
                },
                unready_since: None,
            }
        }
    }

    struct Machine {
        bug: Bug,
        ticks: Ticks,
        sides: Mutex<[Half; 2]>,
    }

    #[async_trait]
    impl Workload for Machine {
        async fn apply(&self, want: &Wish) -> Result<(), PortError> {
            match self.bug {
                Bug::Fails => return fails(),
                Bug::Hangs => pending().await,
                _ => {}
            }
            let (now, bug) = (self.ticks.now(), self.bug);
            let mut sides = self.sides.lock().unwrap();
            let [primary, canary] = &mut *sides;
            match &want.primary {
                Some(revision) => primary.run(Some(revision), 2, now, bug),
                None if bug == Bug::EndsWhatItShouldLeave => primary.run(None, 0, now, bug),
                None => {}
            }
            match &want.canary {
                CanaryWish::AsIs if bug == Bug::ScalesWhatItShouldLeave => canary.wanted = 2,
                CanaryWish::AsIs => {}
                CanaryWish::Down if bug == Bug::KeepsTheCanary && canary.wanted > 0 => {}
                CanaryWish::Down => {
                    if bug == Bug::EndsBothSides && canary.wanted > 0 {
                        primary.run(None, 0, now, bug);
                    }
                    canary.run(None, 0, now, bug);
                }
                CanaryWish::Up { revision, .. } => {
                    canary.run(Some(revision), 1, now, bug);
                    if bug == Bug::ResizesThePrimary {
                        primary.wanted = 1;
                    }
                }
            }
            Ok(())
        }

        async fn observe(&self) -> Result<Seen, PortError> {
            let sides = self.sides.lock().unwrap();
            let [primary, canary] = sides
                .each_ref()
                .map(|it| Some(it.seen(self.ticks.now(), self.bug)));
            let known = self.bug != Bug::CannotTell;
            Ok(Seen {
                target: None,
                primary: primary.filter(|_| known),
                canary,
            })
        }
    }

    #[test]
    fn broken_ones_are_found() {
        const COMES: &str = "what was applied is so after a while";
        const SERVES: &str =
            "a side whose revision changes is replaced pod by pod: it goes on taking requests";
        const LEFT: &str = "only a difference is written, and what is not mentioned is left as it is";
        const SIZE: &str = "the primary is not resized";
        const COUNTED: &str =
            "of the pods that a side has, some are of its revision, and some of these take requests";
        for (bug, promise) in [
            (Bug::None, None),
            (Bug::RestartsWhenAskedAgain, Some(COMES)),
            (Bug::LeavesAGap, Some(SERVES)),
            (Bug::ResizesThePrimary, Some(SIZE)),
            (Bug::EndsBothSides, Some(SERVES)),
            (Bug::EndsWhatItShouldLeave, Some(SERVES)),
            (Bug::ScalesWhatItShouldLeave, Some(LEFT)),
            (Bug::KeepsTheCanary, Some(COMES)),
            (Bug::SaysItIsReadyAtOnce, Some(COUNTED)),
            (Bug::CannotTell, Some(COMES)),
            (Bug::Fails, Some("what is possible is done")),
            (Bug::Hangs, Some("every call returns within a bound")),
        ] {
            let machine = Machine {
                bug,
                ticks: Ticks::default(),
                sides: Mutex::default(),
            };
            let (old, new) = (revision("v1"), revision("v2"));
            let check = workload(&machine, &old, &new, async || machine.ticks.pass().await);
            assert_eq!(broken(check), promise, "{bug:?}");
        }
    }
}

mod sources {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Bug {
        None,
        CountsAnew,
        OneAtATime,
        IgnoresTheName,
        IgnoresTheWindow,
        SaysZero,
        SaysNotANumber,
        CountsTooManyErrors,
        KnowsNothing,
        Fails,
        Hangs,
    }

    struct Source {
        bug: Bug,
        asked: AtomicU64,
        busy: AtomicU64,
    }

    const BEGINNING: Timestamp = Timestamp::from_millis(1_777_000_000_000);

    #[async_trait]
    impl MetricSource for Source {
        async fn measure(&self, ask: &Measure<'_>) -> Result<Sample, PortError> {
            let bug = self.bug;
            let asked = self.asked.fetch_add(1, Ordering::Relaxed);
            match bug {
                Bug::Fails => return fails(),
                Bug::Hangs => pending().await,
                Bug::OneAtATime => {
                    if self.busy.fetch_add(1, Ordering::Relaxed) > 0 {
                        return fails();
                    }
                    yields().await;
                    self.busy.store(0, Ordering::Relaxed);
                }
                Bug::KnowsNothing => return Ok(Sample::Nothing(Nothing::NoData)),
                Bug::SaysNotANumber => return Ok(Sample::Value(f64::NAN)),
                _ => {}
            }
            let known = (ask.metric.name == "errors" || bug == Bug::IgnoresTheName)
                && (ask.window.from >= BEGINNING || bug == Bug::IgnoresTheWindow);
            let total = if bug == Bug::CountsAnew && asked > 0 {
                0
            } else {
                100
            };
            let errors = if bug == Bug::CountsTooManyErrors { 101 } else { 1 };
            Ok(match (known, bug) {
                (true, _) => Sample::Counts {
                    canary: Tally { total, errors },
                    primary: None,
                },
                (false, Bug::SaysZero) => Sample::Value(0.0),
                (false, _) => Sample::Nothing(Nothing::NoData),
            })
        }
    }

    pub(super) fn metric(name: &str) -> Metric {
        let judge = Judge::Range(Range {
            min: Some(99.0),
            max: None,
            quantile: 0.99,
        });
        let window = core::time::Duration::from_secs(60);
        Metric {
            name: name.into(),
            query: None,
            window,
            min_sample: 0,
            judge,
        }
    }

    #[test]
    fn broken_ones_are_found() {
        const UNCHANGED: &str = "measuring changes nothing";
        const NOTHING: &str = "what is not known is `Sample::Nothing` or an error, and never a number";
        let (metric, canary) = (metric("errors"), revision("v2"));
        let window = Window {
            from: BEGINNING,
            to: BEGINNING.after(metric.window),
        };
        let ask = Measure {
            metric: &metric,
            window,
            canary: &canary,
            primary: None,
            weight: Weight::ZERO,
        };
        for (bug, promise) in [
            (Bug::None, None),
            (Bug::CountsAnew, Some(UNCHANGED)),
            (
                Bug::OneAtATime,
                Some("several measurements may be asked for at the same time"),
            ),
            (Bug::IgnoresTheName, Some(NOTHING)),
            (Bug::IgnoresTheWindow, Some(NOTHING)),
            (Bug::SaysZero, Some(NOTHING)),
            (Bug::SaysNotANumber, Some(NOTHING)),
            (
                Bug::CountsTooManyErrors,
                Some("there are never more errors than requests"),
            ),
            (Bug::KnowsNothing, Some("what is known is told")),
            (Bug::Fails, Some("what is possible is done")),
            (Bug::Hangs, Some("every call returns within a bound")),
        ] {
            let source = Source {
                bug,
                asked: AtomicU64::new(0),
                busy: AtomicU64::new(0),
            };
            assert_eq!(
                broken(metric_source(&source, &ask, async || {})),
                promise,
                "{bug:?}"
            );
        }
    }
}

mod approvers {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Bug {
        None,
        UsesItsApprovalUp,
        Fails,
        Hangs,
    }

    /// Somebody approves after the first question.
    struct Person(Bug, AtomicU64);

    #[async_trait]
    impl Approver for Person {
        async fn ask(&self, _question: &GateQuestion<'_>) -> Result<Answer, PortError> {
            Ok(match (self.0, self.1.fetch_add(1, Ordering::Relaxed)) {
                (Bug::Fails, _) => return fails(),
                (Bug::Hangs, _) => pending().await,
                (_, 0) => Answer::Denied("nobody has answered yet".into()),
                (Bug::UsesItsApprovalUp, 2..) => Answer::Denied("nobody has answered yet".into()),
                (_, _) => Answer::Approved,
            })
        }
    }

    fn examined(approver: &dyn Approver) -> Option<&'static str> {
        let (gate, revision) = (Gate::new(GateKind::ConfirmPromotion, "boss"), revision("v2"));
        let (phase, checks, key) = (
            Phase::Progressing,
            Checks::default(),
            "v2/1/confirm-promotion/boss",
        );
        let question = GateQuestion {
            gate: &gate,
            revision: &revision,
            phase,
            began: None,
            checks,
            key,
        };
        broken(super::approver(approver, &question, async || {}))
    }

    #[test]
    fn broken_ones_are_found() {
        for (bug, promise) in [
            (Bug::None, None),
            (
                Bug::UsesItsApprovalUp,
                Some("asking again with the same key is harmless"),
            ),
            (Bug::Fails, Some("what is possible is done")),
            (Bug::Hangs, Some("every call returns within a bound")),
        ] {
            assert_eq!(examined(&Person(bug, AtomicU64::new(0))), promise, "{bug:?}");
        }
    }

    #[test]
    fn the_open_gate_passes() {
        assert_eq!(examined(&Open), None);
    }
}

mod notifiers {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Bug {
        None,
        RefusesARepeat,
        RefusesWhatItCannotSpell,
        NeverArrives,
        Hangs,
    }

    struct Chat(Bug, Mutex<Vec<u64>>);

    #[async_trait]
    impl Notifier for Chat {
        async fn send(&self, notice: &Notice) -> Result<Sent, PortError> {
            let mut told = self.1.lock().unwrap().clone();
            match self.0 {
                Bug::RefusesARepeat if told.contains(&notice.id) => return fails(),
                Bug::RefusesWhatItCannotSpell if !notice.reason.to_string().is_ascii() => return fails(),
                Bug::NeverArrives => return Ok(Sent::Underway),
                Bug::Hangs => pending().await,
                _ => {}
            }
            told.push(notice.id);
            *self.1.lock().unwrap() = told;
            Ok(Sent::Delivered)
        }
    }

    #[test]
    fn broken_ones_are_found() {
        for (bug, promise) in [
            (Bug::None, None),
            (Bug::RefusesARepeat, Some("a notice may be sent again")),
            (Bug::RefusesWhatItCannotSpell, Some("what is possible is done")),
            (Bug::NeverArrives, Some("what is possible is done")),
            (Bug::Hangs, Some("every call returns within a bound")),
        ] {
            assert_eq!(
                broken(notifier(&Chat(bug, Mutex::default()), async || {})),
                promise,
                "{bug:?}"
            );
        }
    }

    #[test]
    fn silence_passes() {
        assert_eq!(broken(notifier(&Silent, async || {})), None);
    }
}

#[cfg(feature = "sim")]
mod simulated {
    use core::time::Duration;

    use super::*;
    use crate::sim::{Scenario, World};
    use crate::weight::Split;

    const SECOND: Duration = Duration::from_secs(1);

    fn scenario() -> Scenario {
        Scenario {
            router_lag: Duration::from_secs(3),
            metric_lag: Duration::from_secs(2),
            ..Scenario::new(revision("v1"))
        }
    }

    fn passes(world: &World<'_>) {
        world.advance_to(world.now().after(SECOND));
    }

    #[test]
    fn its_clock_passes() {
        let scenario = scenario();
        let world = World::new(&scenario);
        assert_eq!(broken(clock(&world, async || passes(&world))), None);
    }

    #[test]
    fn its_store_passes() {
        let scenario = Scenario {
            bootstrap: true,
            ..scenario()
        };
        let world = World::new(&scenario);
        assert_eq!(broken(state_store(&world, async || passes(&world))), None);
    }

    #[test]
    fn its_pods_pass() {
        let scenario = scenario();
        let world = World::new(&scenario);
        let (old, new) = (revision("v1"), revision("v2"));
        assert_eq!(
            broken(workload(&world, &old, &new, async || passes(&world))),
            None
        );
    }

    #[test]
    fn its_router_passes() {
        let scenario = scenario();
        let world = World::new(&scenario);
        assert_eq!(broken(traffic_router(&world, async || passes(&world))), None);
    }

    #[test]
    fn its_metrics_pass() {
        let scenario = Scenario {
            router_lag: Duration::ZERO,
            ..scenario()
        };
        let world = World::new(&scenario);
        let scale = crate::plan::Scale::LikePrimary;
        let canary = revision("v2");
        let wish = Wish {
            primary: None,
            canary: CanaryWish::Up {
                revision: canary.clone(),
                scale,
            },
        };
        let half = Routing::split(Split::canary(Weight::percent(50).unwrap()));
        let ready = async {
            Workload::apply(&world, &wish).await.unwrap();
            TrafficRouter::apply(&world, &half).await.unwrap();
            Ok(())
        };
        assert_eq!(broken(ready), None);
        let from = world.now().after(SECOND * 10);
        let window = Window {
            from,
            to: from.after(SECOND * 60),
        };
        world.advance_to(window.to.after(SECOND * 10));
        for name in ["request-success-rate", "request-duration"] {
            let metric = sources::metric(name);
            let weight = Weight::percent(50).unwrap();
            let ask = Measure {
                metric: &metric,
                window,
                canary: &canary,
                primary: None,
                weight,
            };
            assert_eq!(
                broken(metric_source(&world, &ask, async || passes(&world))),
                None,
                "{name}"
            );
        }
    }

    #[test]
    fn its_gates_and_its_notices_pass() {
        let scenario = scenario();
        let world = World::new(&scenario);
        let (gate, revision) = (Gate::new(GateKind::ConfirmRollout, "boss"), revision("v2"));
        let (phase, checks, key) = (Phase::Waiting, Checks::default(), "v2/1/confirm-rollout/boss");
        let question = GateQuestion {
            gate: &gate,
            revision: &revision,
            phase,
            began: None,
            checks,
            key,
        };
        assert_eq!(broken(approver(&world, &question, async || passes(&world))), None);
        assert_eq!(broken(notifier(&world, async || passes(&world))), None);
    }
}
