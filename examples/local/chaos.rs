//! Kills the controller at the worst moments: when it has done something and was not told yet that it is done.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::keeper::Killer;

/// What the controller is doing right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// It has moved traffic to the canary.
    Shifted,
    /// It has moved all traffic back.
    Returned,
    /// It asks for measurements; this comes once per metric.
    Measures,
    /// It has asked the smoke test.
    Asks,
    /// It has given the primary the new revision.
    Promotes,
}

/// Kills the controller at the moments of its list, each once.
pub(crate) struct Chaos {
    killer: Killer,
    interval: Duration,
    reached: Mutex<Vec<Moment>>,
}

impl Chaos {
    pub(crate) const fn new(killer: Killer, interval: Duration) -> Self {
        Self {
            killer,
            interval,
            reached: Mutex::new(Vec::new()),
        }
    }

    /// The controller has reached a moment. Returns when it may have its answer: after a kill there is nobody left to
    /// have it.
    pub(crate) async fn reached(&self, moment: Moment) {
        match (moment, self.count(moment)) {
            (Moment::Shifted, 1) => {
                let (killer, later) = (self.killer.clone(), self.interval * 3 / 2);
                tokio::spawn(async move {
                    sleep(later).await;
                    killer.kill("in the middle of an interval").await;
                });
                self.killer
                    .kill("when it has set the first weight, before it hears that it is set")
                    .await;
            }
            (Moment::Asks, 1) => {
                self.killer
                    .kill("when it has asked the smoke test, before it hears the answer")
                    .await;
            }
            (Moment::Measures, 3 | 10) => self.killer.kill("while it waits for measurements").await,
            (Moment::Promotes, 1) => self.killer.kill("when it has begun the promotion").await,
            (Moment::Returned, 1) => {
                self.killer
                    .kill("when it has sent all traffic back to the primary")
                    .await;
            }
            (Moment::Shifted | Moment::Measures | Moment::Asks | Moment::Promotes | Moment::Returned, _) => {}
        }
    }

    fn count(&self, moment: Moment) -> usize {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.push(moment);
        reached.iter().filter(|it| **it == moment).count()
    }
}
