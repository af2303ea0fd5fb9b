//! What a run asks to be measured. A function of the state alone: after a crash the same is asked.

use alloc::vec::Vec;
use core::time::Duration;

use super::Run;
use crate::analysis::{Metric, Window};
use crate::plan::{Plan, Step};
use crate::time::Timestamp;

/// The least windows of the past from which it is told how errors come.
const LEAST_WINDOWS: u32 = 60;
/// And the most.
const MOST_WINDOWS: u32 = 720;
const HOUR: Duration = Duration::from_secs(3_600);

impl Run {
    /// The metrics that [`Question::Measure`](super::Question::Measure) asks for, and over which windows.
    ///
    /// A sequential judge counts every request once: its window begins where the last one ended, or when the present
    /// routing came into force, and ends when the round was due. The window of any other judge ends now.
    pub fn windows<'a>(
        &'a self,
        plan: &'a Plan,
        since: Timestamp,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a Metric, Window)> {
        let glance = self.glance(plan).is_some();
        let due = self.judged_at(plan).unwrap_or(now).min(now);
        let asked = plan
            .metrics
            .iter()
            .filter(move |it| !glance || it.judge.is_sequential());
        asked.map(move |metric| {
            let window = if metric.judge.is_sequential() {
                let counted = metric.account(&self.memory).and_then(|it| it.until);
                let from = since.max(counted.unwrap_or(since));
                Window {
                    from,
                    to: due.max(from),
                }
            } else {
                let from = now.before(metric.window).max(since);
                Window { from, to: now }
            };
            (metric, window)
        })
    }

    /// The metrics that [`Question::History`](super::Question::History) asks for, and over which windows, oldest first:
    /// an hour's, of a round's length each, at least 60 and at most 720.
    pub fn history<'a>(
        &'a self,
        plan: &'a Plan,
        until: Timestamp,
    ) -> impl Iterator<Item = (&'a Metric, Vec<Window>)> {
        self.uncalibrated(plan).map(move |metric| {
            let in_an_hour = HOUR.as_nanos().checked_div(metric.window.as_nanos()).unwrap_or(0);
            let count = u32::try_from(in_an_hour)
                .unwrap_or(u32::MAX)
                .clamp(LEAST_WINDOWS, MOST_WINDOWS);
            let windows = (0..count).rev().map(|back| {
                let to = until.before(metric.window.saturating_mul(back));
                Window {
                    from: to.before(metric.window),
                    to,
                }
            });
            (metric, windows.collect())
        })
    }

    /// The metrics of sequential judges whose dispersion is not known yet.
    pub(super) fn uncalibrated<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = &'a Metric> {
        let calibrates = plan.terms.dispersion.is_none();
        let sequential = plan.metrics.iter().filter(|it| it.judge.is_sequential());
        sequential.filter(move |it| calibrates && it.account(&self.memory).is_none())
    }

    /// When sequential judges look next, if that is before the next decision.
    pub(super) fn glance(&self, plan: &Plan) -> Option<Timestamp> {
        let analyses = matches!(self.step, Step::Analyse { .. });
        self.look.filter(|_| analyses && plan.look().is_some())
    }

    /// When the round that is judged next was due.
    pub(super) fn judged_at(&self, plan: &Plan) -> Option<Timestamp> {
        self.glance(plan).or(self.due)
    }
}
