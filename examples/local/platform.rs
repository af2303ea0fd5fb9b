//! The platform that the rollout runs on: it keeps the wanted number of processes of each side up, and replaces them
//! one by one when a side gets another revision.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use delivery_core::rollout::Side;
use delivery_core::{Revision, Timestamp};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::error::Error;
use crate::pod::{Health, Pod, Ready, Recipe};
use crate::proxy::Proxy;
use crate::screen::now;
use crate::wire::{CanaryBody, PodsBody, SeenBody, WishBody};

/// The platform. Clones are the same platform.
#[derive(Clone)]
pub(crate) struct Platform(Arc<Shared>);

struct Shared {
    proxy: Proxy,
    recipe: Recipe,
    settled: Duration,
    changed: Arc<Notify>,
    inner: Mutex<Inner>,
}

struct Inner {
    target: Revision,
    primary: Fleet,
    canary: Fleet,
}

/// The pods of one side.
struct Fleet {
    side: Side,
    revision: Option<Revision>,
    wanted: u32,
    pods: Vec<Pod>,
    named: u32,
    unready_since: Option<Timestamp>,
}

/// A process that can be scraped.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) pod: String,
    pub(crate) side: Side,
    pub(crate) revision: Revision,
    pub(crate) ready: Ready,
}

impl Platform {
    /// A platform whose primary runs `size` processes of `revision`.
    ///
    /// A process that has died before counts as available only after it stayed up for `settled` (Kubernetes'
    /// `minReadySeconds`); requests it gets as soon as it is healthy.
    pub(crate) fn start(
        proxy: Proxy,
        recipe: Recipe,
        settled: Duration,
        revision: Revision,
        size: u32,
    ) -> Self {
        let inner = Inner {
            target: revision.clone(),
            primary: Fleet::new(Side::Primary, Some(revision), size),
            canary: Fleet::new(Side::Canary, None, 0),
        };
        let shared = Shared {
            proxy,
            recipe,
            settled,
            changed: Arc::new(Notify::new()),
            inner: Mutex::new(inner),
        };
        let platform = Self(Arc::new(shared));
        platform.converge();
        platform.keep();
        platform
    }

    /// Looks after the pods whenever one of them changes.
    fn keep(&self) {
        let (changed, weak) = (Arc::clone(&self.0.changed), Arc::downgrade(&self.0));
        tokio::spawn(async move {
            loop {
                let _ = timeout(Duration::from_millis(100), changed.notified()).await;
                let Some(shared) = weak.upgrade() else { return };
                Self(shared).converge();
            }
        });
    }

    /// Waits until the primary takes requests.
    pub(crate) async fn ready(&self, limit: Duration) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            if self.observe().primary.available > 0 {
                return Ok(());
            }
            let why = self
                .inner()
                .primary
                .pods
                .iter()
                .find_map(|it| it.health().trouble);
            if begun.elapsed() >= limit || why.is_some() {
                let silent = || format!("it did not say within {limit:?} that it is healthy");
                return Err(Error::NotReady(why.unwrap_or_else(silent)));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// From now on, this is the revision that should be rolled out.
    pub(crate) fn set_target(&self, revision: Revision) {
        self.inner().target = revision;
    }

    /// Makes the pods so. Returns at once; asking again changes nothing.
    pub(crate) fn apply(&self, wish: WishBody) {
        {
            let mut inner = self.inner();
            let size = inner.primary.wanted;
            if let Some(revision) = wish.primary {
                inner.primary.revision = Some(revision);
            }
            match wish.canary {
                CanaryBody::AsIs => {}
                CanaryBody::Down => inner.canary.wanted = 0,
                CanaryBody::Up { revision, scale } => {
                    inner.canary.revision = Some(revision);
                    inner.canary.wanted = scale.pods(size);
                }
            }
        }
        self.converge();
    }

    /// What the pods are.
    pub(crate) fn observe(&self) -> SeenBody {
        let inner = self.inner();
        let pods = |fleet: &Fleet| fleet.observe(self.0.settled);
        SeenBody {
            target: inner.target.clone(),
            primary: pods(&inner.primary),
            canary: pods(&inner.canary),
        }
    }

    /// The processes that take requests.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let inner = self.inner();
        let target = |side: Side, pod: &Pod| {
            let ready = pod.health().ready?;
            Some(Target {
                pod: pod.name.clone(),
                side,
                revision: pod.revision.clone(),
                ready,
            })
        };
        let of = |fleet: &Fleet| {
            fleet
                .pods
                .iter()
                .filter_map(|pod| target(fleet.side, pod))
                .collect::<Vec<_>>()
        };
        [of(&inner.primary), of(&inner.canary)].concat()
    }

    /// How many processes the canary has left, those that are about to end included.
    pub(crate) fn canaries(&self) -> usize {
        self.inner().canary.pods.len()
    }

    /// Ends all processes, and waits for them.
    pub(crate) async fn stop(&self) {
        {
            let mut inner = self.inner();
            inner.primary.wanted = 0;
            inner.canary.wanted = 0;
        }
        while self.left() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// How many processes there are still, after another move.
    fn left(&self) -> usize {
        self.converge();
        let inner = self.inner();
        inner.primary.pods.len() + inner.canary.pods.len()
    }

    fn converge(&self) {
        let inner = &mut *self.inner();
        for fleet in [&mut inner.primary, &mut inner.canary] {
            fleet.converge(&self.0);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fleet {
    const fn new(side: Side, revision: Option<Revision>, wanted: u32) -> Self {
        Self {
            side,
            revision,
            wanted,
            pods: Vec::new(),
            named: 0,
            unready_since: None,
        }
    }

    /// One move towards what is wanted: it is called again when a pod changes.
    fn converge(&mut self, shared: &Shared) {
        self.pods.retain(|it| !it.gone());
        let (new, old): (Vec<&Pod>, Vec<&Pod>) = self
            .pods
            .iter()
            .filter(|it| !it.stopping())
            .partition(|it| Some(&it.revision) == self.revision.as_ref());
        let wanted = usize::try_from(self.wanted).unwrap_or(usize::MAX);
        new.iter().skip(wanted).for_each(|it| it.stop());
        // An old one goes when a new one has taken its place: at no time are there fewer than wanted.
        let ready = new
            .iter()
            .take(wanted)
            .filter(|it| it.health().ready.is_some())
            .count();
        old.iter().skip(wanted - ready).for_each(|it| it.stop());
        let missing = wanted.saturating_sub(new.len());
        if let Some(revision) = self.revision.clone() {
            for _ in 0..missing {
                self.named += 1;
                let name = format!("{}-{}", self.side, self.named);
                let (recipe, proxy, changed) = (
                    shared.recipe.clone(),
                    shared.proxy.clone(),
                    Arc::clone(&shared.changed),
                );
                self.pods.push(Pod::start(
                    name,
                    self.side,
                    revision.clone(),
                    recipe,
                    proxy,
                    changed,
                ));
            }
        }
        let seen = self.observe(shared.settled);
        let ready = seen.available >= self.wanted && seen.total == seen.updated;
        self.unready_since = (!ready).then(|| self.unready_since.unwrap_or_else(now));
    }

    fn observe(&self, settled: Duration) -> PodsBody {
        let live = || self.pods.iter().filter(|it| !it.stopping());
        let updated = || live().filter(|it| Some(&it.revision) == self.revision.as_ref());
        let available = |health: Health| {
            health
                .ready
                .is_some_and(|it| health.deaths == 0 || it.since.elapsed() >= settled)
        };
        PodsBody {
            revision: self
                .revision
                .clone()
                .filter(|_| self.wanted > 0 || live().next().is_some()),
            wanted: self.wanted,
            total: count(live().count()),
            updated: count(updated().count()),
            available: count(updated().filter(|it| available(it.health())).count()),
            unready_since: self.unready_since,
        }
    }
}

fn count(pods: usize) -> u32 {
    u32::try_from(pods).unwrap_or(u32::MAX)
}
