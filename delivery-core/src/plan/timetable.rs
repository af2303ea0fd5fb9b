//! A plan before it runs: every step with its weight, its checks and how long it can take.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::comparing::AtWhole;
use super::{Detection, Expected, Plan, Step};
use crate::analysis::{Budget, Metric, OnNothing};
use crate::weight::Weight;

/// A plan's steps with the time that each can take.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Timetable {
    /// A row per step, in order.
    pub rows: Vec<Row>,
    /// What the sequential judges find, where the plan says at which traffic.
    pub detects: Option<(Expected, Vec<Detection>)>,
}

/// One step of a timetable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The step, in words.
    pub step: String,
    /// The canary's share while it lasts.
    pub weight: Weight,
    /// What is judged or asked.
    pub checks: String,
    /// When everything is ready at once and every round is good.
    pub shortest: Duration,
    /// When everything that may go wrong without a rollback goes wrong here; none: no limit. The failure budget belongs
    /// to the whole run, so the sum over all steps is an upper bound.
    pub longest: Option<Duration>,
}

impl Timetable {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut weight = Weight::ZERO;
        let rows = plan.steps.iter().enumerate().map(|(at, step)| {
            weight = match step {
                Step::Shift { weight, .. } | Step::Return { weight, .. } => *weight,
                Step::Settle { .. } => Weight::ZERO,
                Step::Gate(_)
                | Step::Scale { .. }
                | Step::Mirror { .. }
                | Step::Match
                | Step::Analyse { .. }
                | Step::Pause { .. }
                | Step::Promote { .. } => weight,
            };
            Row::of(at, step, weight, plan)
        });
        Self {
            rows: rows.collect(),
            detects: None,
        }
        .at(plan, plan.expected)
    }

    /// The same, with what is found at this traffic.
    #[must_use]
    pub fn at(mut self, plan: &Plan, traffic: Option<Expected>) -> Self {
        self.detects = traffic.map(|traffic| (traffic, plan.detects(&traffic)));
        self
    }

    /// The least time that the whole plan takes.
    pub fn shortest(&self) -> Duration {
        self.rows
            .iter()
            .fold(Duration::ZERO, |sum, row| sum.saturating_add(row.shortest))
    }

    /// The most time that the whole plan can take, traffic routers taking none; none: no limit.
    pub fn longest(&self) -> Option<Duration> {
        self.rows
            .iter()
            .try_fold(Duration::ZERO, |sum, row| Some(sum.saturating_add(row.longest?)))
    }
}

impl Row {
    fn of(at: usize, step: &Step, weight: Weight, plan: &Plan) -> Self {
        let (shortest, longest, checks) = match step {
            Step::Gate(gate) => (
                Duration::ZERO,
                gate.deadline,
                format!("{}: {}", gate.kind, gate.name),
            ),
            Step::Scale { dwell, .. } => (
                *dwell,
                Some(plan.deadline.max(*dwell)),
                String::from("canary observed ready"),
            ),
            Step::Shift { dwell, .. } | Step::Return { dwell, .. } => {
                (*dwell, Some(*dwell), String::from("weight observed in force"))
            }
            Step::Mirror { .. } | Step::Match => (
                Duration::ZERO,
                Some(Duration::ZERO),
                String::from("routing observed in force"),
            ),
            Step::Analyse { rounds } => {
                let shortest = plan.interval.saturating_mul(*rounds);
                let spare = spare_rounds(&plan.budget);
                let longest = spare.map(|spare| shortest.saturating_add(plan.interval.saturating_mul(spare)));
                let name = |metric: &Metric| {
                    let does = (weight == Weight::WHOLE).then(|| plan.at_whole(metric, at));
                    match does {
                        Some(AtWhole::Abstains) => {
                            format!("{} (abstains: the primary gets no traffic)", metric.name)
                        }
                        Some(AtWhole::Remembers) => format!("{} (against the primary before)", metric.name),
                        Some(AtWhole::Judges) | None => metric.name.clone(),
                    }
                };
                let names: Vec<String> = plan.metrics.iter().map(name).collect();
                (shortest, longest, names.join(", "))
            }
            Step::Pause { lasts } => (
                lasts.unwrap_or_default(),
                *lasts,
                String::from("resumed or elapsed"),
            ),
            Step::Promote { dwell } => (
                *dwell,
                Some(plan.deadline.max(*dwell)),
                String::from("primary observed ready"),
            ),
            Step::Settle { drain } => (*drain, Some(*drain), String::from("no traffic on the canary")),
        };
        Self {
            step: format!("{step}"),
            weight,
            checks,
            shortest,
            longest,
        }
    }
}

/// How many rounds may be bad without a rollback; none: no limit.
fn spare_rounds(budget: &Budget) -> Option<u32> {
    let failed = budget.failed.saturating_sub(1);
    match budget.nothing {
        OnNothing::Fail => Some(failed),
        OnNothing::Hold => {
            let held = budget
                .inconclusive?
                .saturating_sub(1)
                .saturating_add(budget.errors?.saturating_sub(1));
            Some(failed.saturating_add(held))
        }
    }
}

impl fmt::Display for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let long = |it: Option<Duration>| {
            it.map_or(String::from("no limit"), |it| {
                format!("{}", crate::time::GoDuration::saturating_from(it))
            })
        };
        let width = self
            .rows
            .iter()
            .map(|row| row.step.chars().count())
            .max()
            .unwrap_or(0)
            .max(5);
        writeln!(
            f,
            "{:<width$}  {:>7}  {:>8}  {:>8}  CHECKS",
            "STEP", "WEIGHT", "SHORTEST", "LONGEST"
        )?;
        for row in &self.rows {
            let (weight, shortest) = (format!("{}", row.weight), long(Some(row.shortest)));
            writeln!(
                f,
                "{:<width$}  {weight:>7}  {shortest:>8}  {:>8}  {}",
                row.step,
                long(row.longest),
                row.checks
            )?;
        }
        write!(
            f,
            "in all: {} at least, {} at most",
            long(Some(self.shortest())),
            long(self.longest())
        )?;
        if let Some((traffic, detects)) = &self.detects {
            for found in detects {
                write!(f, "\n{traffic}, {found}")?;
            }
        }
        Ok(())
    }
}
