//! The monitoring: it scrapes every process, keeps what it saw for a while, and tells what was counted within a window.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use delivery_core::rollout::Side;
use delivery_core::{Revision, Timestamp};
use hyper::Method;
use hyper::body::Bytes;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use crate::error::chain;
use crate::http::Api;
use crate::platform::{Platform, Target};
use crate::scrape::{Counters, parse};
use crate::screen::{self, now};
use crate::wire::{SideBody, WindowBody};

/// How many snapshots are kept.
const KEPT: usize = 1_200;

/// What was scraped. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Monitoring(Arc<Mutex<Ring>>);

/// The newest snapshots, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ring(VecDeque<Snapshot>);

/// All processes' counters at about one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// No counter is older than this,
    pub(crate) begun: Timestamp,
    /// and none is newer than this.
    pub(crate) ended: Timestamp,
    pub(crate) counters: BTreeMap<Source, Counters>,
}

/// One process. A pod whose process was started again is another source: its counters begin at 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    pub(crate) side: Side,
    pub(crate) revision: Revision,
    pub(crate) pod: String,
    pub(crate) started: Timestamp,
}

impl Monitoring {
    /// Scrapes all processes that take requests, `every` so often, until the handle is aborted.
    pub(crate) fn watch(&self, platform: Platform, every: Duration) -> JoinHandle<()> {
        let ring = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let mut clients = BTreeMap::new();
            loop {
                ticks.tick().await;
                let snapshot = snapshot(platform.targets(), &mut clients).await;
                ring.lock().unwrap_or_else(PoisonError::into_inner).push(snapshot);
            }
        })
    }

    /// What was counted from one moment to another.
    pub(crate) fn window(
        &self,
        from: Timestamp,
        to: Timestamp,
        canary: &Revision,
        primary: Option<&Revision>,
    ) -> WindowBody {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        WindowBody {
            canary: ring.window(from, to, Side::Canary, canary).into(),
            primary: primary
                .map(|it| ring.window(from, to, Side::Primary, it).into())
                .unwrap_or_default(),
        }
    }
}

impl Ring {
    fn push(&mut self, snapshot: Snapshot) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(snapshot);
    }

    /// What the processes of one revision on one side counted between the first and the last snapshot within the window.
    fn window(&self, from: Timestamp, to: Timestamp, side: Side, revision: &Revision) -> Counters {
        let mut sum = Counters::default();
        let mut last: BTreeMap<&Source, &Counters> = BTreeMap::new();
        let mut first = true;
        for snapshot in self.0.iter().filter(|it| it.begun >= from && it.ended <= to) {
            for (source, counters) in &snapshot.counters {
                if source.side != side || source.revision != *revision {
                    continue;
                }
                match last.insert(source, counters) {
                    Some(before) => sum.add(&counters.since(before)),
                    // Started within the window: it counted from 0. Otherwise nobody knows where it stood.
                    None if !first && source.started >= from => sum.add(counters),
                    None => {}
                }
            }
            first = false;
        }
        sum
    }
}

impl From<Counters> for SideBody {
    fn from(counters: Counters) -> Self {
        let bound = |bound: f64| bound.is_finite().then_some(bound);
        let durations = counters
            .durations
            .map(|it| it.into_iter().map(|(le, count)| (bound(le.0), count)).collect());
        Self {
            requests: counters.requests,
            durations,
        }
    }
}

async fn snapshot(targets: Vec<Target>, clients: &mut BTreeMap<Source, Api>) -> Snapshot {
    let begun = now();
    let mut scrapes = JoinSet::new();
    let mut known = BTreeMap::new();
    for Target {
        pod,
        side,
        revision,
        ready,
    } in targets
    {
        let source = Source {
            side,
            revision,
            pod,
            started: ready.started,
        };
        let client = clients
            .remove(&source)
            .unwrap_or_else(|| Api::new(ready.address, Duration::from_secs(1)));
        known.insert(source.clone(), client.clone());
        scrapes.spawn(async move { scrape(&client, &source).await.map(|counters| (source, counters)) });
    }
    *clients = known;
    let counters = scrapes.join_all().await.into_iter().flatten().collect();
    Snapshot {
        begun,
        ended: now(),
        counters,
    }
}

/// One process's counters; none when it does not answer, which happens when it has just died.
async fn scrape(client: &Api, source: &Source) -> Option<Counters> {
    let page = client.call(Method::GET, "/metrics", Bytes::new()).await.ok()?;
    match parse(&String::from_utf8_lossy(&page)) {
        Ok(page) => Some(Counters::of(&page)),
        Err(error) => {
            screen::remark(&format!(
                "the metrics of {} cannot be read: {}",
                source.pod,
                chain(&error)
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::{new, old};
    use crate::wire::RequestsBody;

    /// Snapshots, 100 ms apart from 1000 on; each is a list of `pod@started total`.
    fn ring(snapshots: &[&str]) -> Ring {
        let mut ring = Ring::default();
        for (at, text) in (10..).map(|it| it * 100).zip(snapshots) {
            let counters = text.split(", ").filter(|it| !it.is_empty()).map(source).collect();
            let moment = Timestamp::from_millis(at);
            ring.push(Snapshot {
                begun: moment,
                ended: moment,
                counters,
            });
        }
        ring
    }

    fn source(text: &str) -> (Source, Counters) {
        let (source, total) = text.split_once(' ').unwrap();
        let (pod, started) = source.split_once('@').unwrap();
        let revision = if pod.starts_with('p') { old() } else { new() };
        let side = if pod.starts_with('p') {
            Side::Primary
        } else {
            Side::Canary
        };
        let started = Timestamp::from_millis(started.parse().unwrap());
        let requests = total.parse().ok().map(|total| RequestsBody { total, errors: 0 });
        (
            Source {
                side,
                revision,
                pod: pod.to_owned(),
                started,
            },
            Counters {
                requests,
                durations: None,
            },
        )
    }

    fn total(ring: &Ring, from: u64, to: u64) -> Option<u64> {
        let (from, to) = (Timestamp::from_millis(from), Timestamp::from_millis(to));
        ring.window(from, to, Side::Canary, &new())
            .requests
            .map(|it| it.total)
    }

    #[test]
    fn a_window_lies_between_the_snapshots_inside_it() {
        let ring = ring(&["c1@0 10", "c1@0 11", "c1@0 13", "c1@0 17", "c1@0 25"]);
        assert_eq!(total(&ring, 1_000, 1_400), Some(15));
        assert_eq!(total(&ring, 1_050, 1_350), Some(6));
        assert_eq!(total(&ring, 0, 9_999), Some(15));
    }

    #[test]
    fn a_window_with_less_than_two_snapshots_knows_nothing() {
        let ring = ring(&["c1@0 10", "c1@0 11", "c1@0 13"]);
        assert_eq!(total(&ring, 1_150, 1_250), None);
        assert_eq!(total(&ring, 1_250, 9_999), None);
        assert_eq!(total(&ring, 5_000, 9_999), None);
    }

    #[test]
    fn processes_of_the_side_are_added_up_and_others_are_not() {
        let ring = ring(&["c1@0 10, c2@0 5, p1@0 100", "c1@0 11, c2@0 9, p1@0 900"]);
        assert_eq!(total(&ring, 0, 9_999), Some(5));
    }

    #[test]
    fn a_process_that_was_started_again_counts_from_0() {
        let ring = ring(&["c1@0 10", "c1@0 14", "", "c1@1250 3", "c1@1250 8"]);
        assert_eq!(total(&ring, 1_000, 9_999), Some(4 + 8));
        let same_start = self::ring(&["c1@0 10", "c1@0 14", "c1@0 3", "c1@0 8"]);
        assert_eq!(total(&same_start, 1_000, 9_999), Some(4 + 3 + 5));
    }

    #[test]
    fn a_missed_scrape_loses_and_invents_nothing() {
        let ring = ring(&["c1@0 10, c2@0 10", "c1@0 11", "c1@0 12, c2@0 16"]);
        assert_eq!(total(&ring, 0, 9_999), Some(2 + 6));
        let late = self::ring(&["c1@0 10", "c1@0 11, c2@0 500", "c1@0 12, c2@0 503"]);
        assert_eq!(total(&late, 1_000, 9_999), Some(2 + 3));
    }

    #[test]
    fn what_is_not_exported_is_missing() {
        assert_eq!(total(&ring(&["c1@0 -", "c1@0 -"]), 0, 9_999), None);
    }
}
