//! The same story under another judge, and several of them side by side.

use std::fmt::Write as _;
use std::time::Duration;

use clap::ValueEnum;
use delivery_core::analysis::{Compare, Objective, Range, Terms};
use delivery_core::plan::{JudgeSpec, MetricSpec, Spec};
use delivery_core::rollout::Phase;
use delivery_core::sim::{Recording, Scenario};
use delivery_core::time::GoDuration;

/// Who judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Judge {
    /// Fixed bounds: a success rate of at least 99 %, a P99 of at most 500 ms, or what the plan says
    Range,
    /// Sequential tests, which look six times per interval: the success rate against the primary's, and the same bound on
    /// the P99
    Sequential,
}

/// The P99 that a plan without one is held against, in milliseconds.
const P99: f64 = 500.0;

impl Judge {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::Sequential => "sequential",
        }
    }

    /// The plan with this judge for its success rate and its durations; other metrics stay as they are. A bound that a
    /// test counts by becomes a bound of the scenario's buckets.
    pub(crate) fn apply(self, spec: &Spec, scenario: &Scenario) -> (Spec, Scenario) {
        let (mut spec, mut scenario) = (spec.clone(), scenario.clone());
        for metric in &mut spec.metrics {
            self.judges(metric);
            if let JudgeSpec::Objective(Objective {
                slower_than: Some(bound),
                ..
            }) = metric.judge
            {
                scenario.buckets.push(bound);
            }
        }
        match self {
            Self::Range => spec.sequential = Terms::DEFAULT,
            Self::Sequential => {
                let look = spec.sequential.look.or(spec.interval.checked_div(6));
                spec.sequential.look = look.filter(|it| *it >= Duration::from_millis(100));
            }
        }
        (spec, scenario)
    }

    fn judges(self, metric: &mut MetricSpec) {
        let bound = match &metric.judge {
            JudgeSpec::Range(range) => range.max,
            JudgeSpec::Threshold(bound) => Some(*bound),
            JudgeSpec::Objective(objective) => objective.slower_than,
            JudgeSpec::Compare(compare) => compare.slower_than,
            // The others have no bound of their own.
            _ => None,
        };
        let tests = metric.judge.is_sequential();
        metric.judge = match (self, metric.name.as_str()) {
            (Self::Range, "request-success-rate") if tests => JudgeSpec::Range(Range::at_least(99.0)),
            (Self::Range, "request-duration") if tests => {
                JudgeSpec::Range(Range::at_most(bound.unwrap_or(P99)))
            }
            (Self::Sequential, "request-success-rate") if !tests => JudgeSpec::Compare(Compare::default()),
            (Self::Sequential, "request-duration") if !tests => JudgeSpec::Objective(Objective {
                max_error_rate: 1.0,
                slower_than: Some(bound.unwrap_or(P99)),
                share: 1.0,
            }),
            _ => return,
        };
    }
}

/// What each judge made of the same story.
pub(crate) fn side_by_side(played: &[(Judge, Recording)]) -> String {
    let mut text = format!(
        "{:<11}  {:<10}  {:>20}  {:>14}  {:>11}  WHY",
        "JUDGE", "ENDED", "TRAFFIC ON IT FOR", "REQUESTS TO IT", "USER ERRORS"
    );
    for (judge, recording) in played {
        let exposed = exposed(recording).map_or(String::from("never left it"), |it| {
            GoDuration::saturating_from(it).to_string()
        });
        let ended = recording.state.phase().to_string();
        let why = recording
            .rows
            .iter()
            .find(|it| matches!(it.phase, Phase::RollingBack | Phase::Promoting))
            .map_or(String::new(), |it| it.reason.to_string());
        let users = &recording.users;
        let _ = write!(
            text,
            "\n{:<11}  {ended:<10}  {exposed:>20}  {:>14}  {:>11}  {why}",
            judge.name(),
            users.canary,
            users.errors
        );
    }
    text
}

/// How long the revision had traffic until it was taken away; none when it keeps it.
pub(crate) fn exposed(recording: &Recording) -> Option<Duration> {
    let began = recording.rows.iter().find(|it| !it.weight.is_zero())?;
    let ended = recording
        .rows
        .iter()
        .find(|it| it.at >= began.at && it.phase == Phase::RollingBack && it.weight.is_zero())?;
    Some(ended.at.since(began.at))
}
