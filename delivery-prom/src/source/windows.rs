//! Whether the windows of a plan are long enough to see anything in, before anything is released.

use std::fmt;
use std::time::Duration;

use delivery_core::analysis::{Metric, Nothing, Sample, Window};
use delivery_core::port::Measure;
use delivery_core::time::GoDuration;
use delivery_core::{Plan, Revision, Timestamp, Weight};
use futures::future::join_all;

use super::Metrics;

/// How many times as long as the metric's own the windows are that are tried.
const TIMES: [u32; 3] = [2, 4, 8];

/// A window in which nothing is seen, though a longer one shows something: mostly, because it is no longer than the time
/// between two scrapes. Every round would have nothing to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortWindow {
    /// The metric.
    pub metric: String,
    /// How long its window is.
    pub window: Duration,
    /// Why nothing is seen in it.
    pub nothing: Nothing,
    /// The shortest window of those that were tried in which something is seen.
    pub enough: Duration,
}

impl fmt::Display for ShortWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            metric,
            window,
            nothing,
            enough,
        } = self;
        let [window, enough] = [window, enough].map(|it| GoDuration::saturating_from(*it));
        write!(
            f,
            "metric {metric} sees nothing in its window of {window} ({nothing}), and something in one of {enough}: let the \
             interval be as long, or scrape more often"
        )
    }
}

impl Metrics {
    /// The metrics of a plan whose windows are too short, as far as it can be seen of a revision that runs now, such as the
    /// primary. Beforehand: at run time such a metric has nothing to judge, in every round.
    ///
    /// Each metric is measured in its own window, which ends at `at`, and where that has no data in longer ones. What is
    /// wrong with a query, or with the server, is not told here: see [`Metrics::check`] and the measurement itself.
    pub async fn short_windows(&self, plan: &Plan, revision: &Revision, at: Timestamp) -> Vec<ShortWindow> {
        let found = plan
            .metrics()
            .iter()
            .map(|it| self.short_window(it, revision, at));
        join_all(found).await.into_iter().flatten().collect()
    }

    async fn short_window(&self, metric: &Metric, revision: &Revision, at: Timestamp) -> Option<ShortWindow> {
        let window = metric.window;
        let seen = self.seen(metric, revision, window, at).await?;
        let Sample::Nothing(nothing @ (Nothing::NoData | Nothing::TooFewScrapes { .. })) = seen else {
            return None;
        };
        for times in TIMES {
            let enough = window.saturating_mul(times);
            match self.seen(metric, revision, enough, at).await? {
                Sample::Nothing(Nothing::NoData | Nothing::TooFewScrapes { .. }) => {}
                Sample::Nothing(_) => return None,
                _ => {
                    return Some(ShortWindow {
                        metric: metric.name.clone(),
                        window,
                        nothing,
                        enough,
                    });
                }
            }
        }
        None
    }

    async fn seen(
        &self,
        metric: &Metric,
        revision: &Revision,
        length: Duration,
        at: Timestamp,
    ) -> Option<Sample> {
        let from = at.before(length);
        let ask = Measure {
            metric,
            window: Window { from, to: at },
            canary: revision,
            primary: None,
            weight: Weight::ZERO,
        };
        self.running(&ask).await.ok()
    }
}
