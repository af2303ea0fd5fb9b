use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Examined, Violation, both, notifier};
use crate::plan::{Scale, Step};
use crate::port::{Loaded, Saved, StateStore, Traffic, Version};
use crate::revision::Revision;
use crate::rollout::{Idle, Run, Side, Stage, State};
use crate::time::Timestamp;
use crate::weight::Weight;

const KEPT: &str = "what `save` has answered with `Now` is what the next `load` returns";
const SWAPPED: &str =
    "of several saves over the same version one is written, the others are `Stale` and write nothing";

/// Checks a [`StateStore`] that has no state yet: what was saved is loaded, nothing of it changed, and nothing is written
/// over what the writer has not seen. It is left with a state of the check.
///
/// That a save survives a crash, and that what is no state is left as it is, depends on where the store keeps it: test that
/// yourself.
///
/// # Errors
/// The [`Violation`] that was met first.
///
/// ```
/// use std::sync::Mutex;
///
/// use async_trait::async_trait;
/// use delivery_core::State;
/// use delivery_core::contract;
/// use delivery_core::port::{Loaded, PortError, Saved, StateStore, Version};
///
/// #[derive(Default)]
/// struct Memory(Mutex<Option<Loaded>>);
///
/// #[async_trait]
/// impl StateStore for Memory {
///     async fn load(&self) -> Result<Option<Loaded>, PortError> {
///         Ok(self.0.lock().unwrap().clone())
///     }
///
///     async fn save(&self, state: &State, over: Option<Version>) -> Result<Saved, PortError> {
///         let mut kept = self.0.lock().unwrap();
///         if kept.as_ref().map(|it| it.version) != over {
///             return Ok(Saved::Stale);
///         }
///         let version = Version(over.map_or(1, |it| it.0 + 1));
///         *kept = Some(Loaded { state: state.clone(), version });
///         Ok(Saved::Now(version))
///     }
/// }
///
/// async fn my_store_keeps_its_promises() -> Result<(), contract::Violation> {
///     contract::state_store(&Memory::default(), async || {}).await
/// }
/// # let mut context = core::task::Context::from_waker(core::task::Waker::noop());
/// # let checked = core::pin::pin!(my_store_keeps_its_promises()).poll(&mut context);
/// # assert_eq!(checked, core::task::Poll::Ready(Ok(())));
/// ```
pub async fn state_store(store: &dyn StateStore, wait: impl AsyncFn()) -> Result<(), Violation> {
    let it = Store {
        it: Examined {
            port: "StateStore",
            wait,
        },
        store,
    };
    let states = states();
    let [first, second] = [
        State::new(Timestamp::from_millis(1)),
        State::new(Timestamp::from_millis(2)),
    ];

    it.holds("before the first save there is no state", None).await?;
    let never = Version(u64::MAX);
    it.is_stale(&first, Some(never)).await?;
    it.holds(SWAPPED, None).await?;

    let before = it.saves(&first, None).await?;
    it.is_stale(&second, None).await?;
    it.holds(
        SWAPPED,
        Some(&Loaded {
            state: first,
            version: before,
        }),
    )
    .await?;

    let mut version = before;
    for state in states.into_iter().chain([second]) {
        let over = version;
        version = it.saves(&state, Some(over)).await?;
        it.it
            .check(version != over, "every save has a version of its own", || {
                format!("{version:?} twice")
            })?;
        let other = State {
            sequence: state.sequence.wrapping_add(1),
            ..state.clone()
        };
        it.is_stale(&other, Some(over)).await?;
        it.is_stale(&other, None).await?;
        it.holds(SWAPPED, Some(&Loaded { state, version })).await?;
    }
    it.is_stale(&State::new(Timestamp::from_millis(3)), Some(before))
        .await?;

    for round in 0..8 {
        version = it.race(round, version).await?;
    }
    Ok(())
}

struct Store<'a, W> {
    it: Examined<W>,
    store: &'a dyn StateStore,
}

impl<W: AsyncFn()> Store<'_, W> {
    async fn saves(&self, state: &State, over: Option<Version>) -> Result<Version, Violation> {
        match self.it.succeeds("save", self.store.save(state, over)).await? {
            Saved::Now(version) => {
                self.holds(
                    KEPT,
                    Some(&Loaded {
                        state: state.clone(),
                        version,
                    }),
                )
                .await?;
                Ok(version)
            }
            Saved::Stale => {
                let seen =
                    format!("a save over {over:?}, which is what `load` and `save` told last, was stale");
                Err(self.it.broken("a save over the present version is written", seen))
            }
        }
    }

    async fn is_stale(&self, state: &State, over: Option<Version>) -> Result<(), Violation> {
        let saved = self.it.succeeds("save", self.store.save(state, over)).await?;
        let seen =
            || format!("a save over {over:?}, which is not the present version, was answered with {saved:?}");
        self.it.check(saved == Saved::Stale, SWAPPED, seen)
    }

    async fn holds(&self, promise: &'static str, wanted: Option<&Loaded>) -> Result<(), Violation> {
        let loaded = self.it.succeeds("load", self.store.load()).await?;
        let in_words = |it: Option<&Loaded>| match it {
            None => String::from("no state"),
            Some(Loaded {
                state,
                version: Version(version),
            }) => format!("version {version} of {state:?}"),
        };
        self.it.check(loaded.as_ref() == wanted, promise, || {
            format!("{} instead of {}", in_words(loaded.as_ref()), in_words(wanted))
        })
    }

    /// Two that have seen the same version save at the same time.
    async fn race(&self, round: u64, over: Version) -> Result<Version, Violation> {
        let state = |racer: u64| State {
            sequence: racer,
            dropped: round,
            ..State::new(Timestamp::default())
        };
        let states = [state(1), state(2)];
        let [one, two] = &states;
        let saves = both(self.store.save(one, Some(over)), self.store.save(two, Some(over)));
        let (one, two) = self.it.returns("save", saves).await?;
        let (one, two) = (self.it.done("save", one)?, self.it.done("save", two)?);
        let [first, second] = states;
        let (state, version) = match (one, two) {
            (Saved::Now(version), Saved::Stale) => (first, version),
            (Saved::Stale, Saved::Now(version)) => (second, version),
            (Saved::Now(_), Saved::Now(_)) | (Saved::Stale, Saved::Stale) => {
                let seen = format!("two saves at the same time were answered with {one:?} and {two:?}");
                return Err(self.it.broken(SWAPPED, seen));
            }
        };
        self.holds(SWAPPED, Some(&Loaded { state, version })).await?;
        Ok(version)
    }
}

/// The largest number that every reader of JSON takes as it is.
const LARGE: u64 = (1 << 53) - 1;

/// States with everything that a store might lose or change.
fn states() -> Vec<State> {
    let Ok(revision) = Revision::new("sha256:0123456789abcdef!~\"\\<&>'") else {
        return Vec::new();
    };
    let notices = notifier::notices();
    let evidence = notices
        .iter()
        .flat_map(|it| it.reason.evidence().to_owned())
        .collect();
    let run = Run {
        revision: revision.clone(),
        began: Some(Timestamp::from_millis(LARGE)),
        plan: revision.clone(),
        at: 3,
        step: Step::Pause { lasts: None },
        entered: Timestamp::from_millis(1_777_000_000_000),
        due: None,
        traffic: Traffic::Split(Weight::ZERO),
        withheld: false,
        answer: None,
        guarded: None,
        look: Some(Timestamp::from_millis(LARGE)),
        steady: Some(Timestamp::from_millis(LARGE)),
        scale: Some(Scale::Pods(u32::MAX)),
        promoting: true,
        rounds: 7,
        iterations: Some(u32::MAX),
        denials: 1,
        rounds_since_denial: 2,
        approved: true,
        checks: crate::analysis::Checks {
            failed: 1,
            consecutive: 2,
            inconclusive: 3,
            errors: 4,
            held: 5,
        },
        evidence,
        memory: [(
            "p99 \u{1f426} of /".to_owned(),
            crate::analysis::Memory::Numbers([0.1, -1e-300, 1.0 / 3.0].into()),
        )]
        .into(),
    };
    let failed = Idle::Failed {
        refused: Some(revision.clone()),
        why: crate::rollout::Reason::NewerRevision {
            newer: revision.clone(),
        },
        serving: Side::Canary,
        checks: crate::analysis::Checks::default(),
    };
    [
        Stage::Rollout(run),
        Stage::Idle(failed),
        Stage::Idle(Idle::Initialized),
    ]
    .into_iter()
    .map(|stage| State {
        stage,
        sequence: LARGE,
        paused: Some("O'Neill \u{2603}\n\t".to_owned()),
        commands: [String::new(), "\u{1f426}".to_owned()].into(),
        outbox: notices.iter().cycle().take(State::OUTBOX).cloned().collect(),
        dropped: 1,
        ..State::initialized(revision.clone())
    })
    .collect()
}
