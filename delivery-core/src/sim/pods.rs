//! The pods of a side: they start, take requests, end.

use alloc::vec::Vec;
use core::time::Duration;

use super::scenario::{Becomes, Version};
use super::world::{Known, START, millis};
use crate::port::Pods;

/// The pods of a side.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// Which version it was told to run; none when it was told to run nothing.
    pub(super) version: Option<usize>,
    /// How many pods there should be.
    pub(super) wanted: u32,
    batches: Vec<Batch>,
}

/// Pods that started together. Times are in milliseconds since the beginning.
#[derive(Debug)]
struct Batch {
    version: usize,
    pods: u32,
    started: u64,
    ready: Option<u64>,
    crash: Option<u64>,
}

impl Batch {
    fn available(&self, now: u64) -> bool {
        self.ready.is_some_and(|it| it <= now) && self.crash.is_none_or(|it| it > now)
    }

    /// Since when it takes no requests.
    fn unready_since(&self, now: u64) -> Option<u64> {
        match self.crash {
            Some(crash) if crash <= now => Some(crash),
            Some(_) | None => (!self.available(now)).then_some(self.started),
        }
    }
}

impl Side {
    /// Pods that have been there before the beginning.
    pub(super) fn long_since(version: usize, pods: u32, behaviour: &Version) -> Self {
        let ready = match behaviour.ready {
            Becomes::After(_) => Some(0),
            Becomes::Never => None,
        };
        let crash = ready.and(behaviour.crashes_after.map(millis));
        let batches = alloc::vec![Batch {
            version,
            pods,
            started: 0,
            ready,
            crash
        }];
        Self {
            version: Some(version),
            wanted: pods,
            batches,
        }
    }

    /// From now on, this number of pods of this version is wanted. What takes requests goes on until the new pods do.
    pub(super) fn tell(
        &mut self,
        version: usize,
        pods: u32,
        becomes: Becomes,
        crashes: Option<Duration>,
        now: u64,
    ) {
        (self.version, self.wanted) = (Some(version), pods);
        if pods == 0 {
            self.batches.clear();
            return;
        }
        self.batches
            .retain(|it| it.version == version || it.available(now));
        let mut surplus = self.of(version, |_| true).saturating_sub(pods);
        for batch in self.batches.iter_mut().rev().filter(|it| it.version == version) {
            let ended = surplus.min(batch.pods);
            batch.pods = batch.pods.saturating_sub(ended);
            surplus = surplus.saturating_sub(ended);
        }
        self.batches.retain(|it| it.pods > 0);
        let missing = pods.saturating_sub(self.of(version, |_| true));
        if missing > 0 {
            let ready = match becomes {
                Becomes::After(delay) => Some(now.saturating_add(millis(delay))),
                Becomes::Never => None,
            };
            let crash = ready
                .zip(crashes)
                .map(|(ready, after)| ready.saturating_add(millis(after)));
            self.batches.push(Batch {
                version,
                pods: missing,
                started: now,
                ready,
                crash,
            });
        }
        self.settle(now);
    }

    /// No pods.
    pub(super) fn end(&mut self) {
        (self.version, self.wanted) = (None, 0);
        self.batches.clear();
    }

    /// When all new pods take requests, the old ones go.
    pub(super) fn settle(&mut self, now: u64) {
        let Some(version) = self.version else { return };
        if self.batches.iter().any(|it| it.version != version)
            && self.of(version, |it| it.available(now)) >= self.wanted
        {
            self.batches.retain(|it| it.version == version);
        }
    }

    /// Which version takes the side's requests: the oldest that can.
    pub(super) fn server(&self, now: u64) -> Option<usize> {
        self.batches
            .iter()
            .find(|it| it.available(now))
            .map(|it| it.version)
    }

    /// When something changes next.
    pub(super) fn next(&self, now: u64) -> Option<u64> {
        self.batches
            .iter()
            .flat_map(|it| [it.ready, it.crash])
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    /// What can be observed.
    pub(super) fn seen(&self, now: u64, known: &[Known<'_>]) -> Pods {
        let Some(version) = self.version else {
            return Pods::default();
        };
        let unready = self
            .batches
            .iter()
            .filter(|it| it.version == version)
            .filter_map(|it| it.unready_since(now));
        Pods {
            revision: known.get(version).map(|it| it.revision.clone()),
            wanted: self.wanted,
            total: self.batches.iter().fold(0, |sum, it| sum.saturating_add(it.pods)),
            updated: self.of(version, |_| true),
            available: self.of(version, |it| it.available(now)),
            unready_since: unready
                .min()
                .map(|since| START.after(Duration::from_millis(since))),
        }
    }

    fn of(&self, version: usize, which: impl Fn(&Batch) -> bool) -> u32 {
        let batches = self
            .batches
            .iter()
            .filter(|it| it.version == version && which(it));
        batches.fold(0, |sum, it| sum.saturating_add(it.pods))
    }
}
