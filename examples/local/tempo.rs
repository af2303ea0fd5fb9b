//! How fast everything goes: the interval is given, and the rest follows from it.

use std::time::Duration;

use clap::ValueEnum;
use delivery_core::analysis::{Compare, OnNothing, Terms};
use delivery_core::plan::{Canary, Capabilities, JudgeSpec, MetricSpec, Spec, Strategy};
use delivery_core::{Plan, Weight};

use crate::error::Error;

/// Who judges the new version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Judge {
    /// Fixed bounds, once per interval: success rate at least 99 %, P99 at most 500 ms.
    #[default]
    Range,
    /// Sequential tests, four times per interval: neither more errors than the old version has, nor more answers slower than
    /// 500 ms.
    Sequential,
}

impl Judge {
    /// As on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::Sequential => "sequential",
        }
    }

    fn metrics(self) -> Vec<MetricSpec> {
        match self {
            Self::Range => vec![
                MetricSpec::at_least("request-success-rate", 99.0),
                MetricSpec::at_most("request-duration", 500.0),
            ],
            Self::Sequential => {
                let slow = Compare {
                    slower_than: Some(500.0),
                    ..Compare::default()
                };
                vec![
                    MetricSpec::judged("request-success-rate", JudgeSpec::Compare(Compare::default())),
                    MetricSpec::judged("request-duration", JudgeSpec::Compare(slow)),
                ]
            }
        }
    }

    fn terms(self, interval: Duration) -> Terms {
        match self {
            Self::Range => Terms::DEFAULT,
            Self::Sequential => Terms {
                look: Some(interval / 4),
                // The requests of this load do not depend on each other: errors do not come in bursts.
                dispersion: Some(1.0),
                ..Terms::DEFAULT
            },
        }
    }
}

/// How fast everything goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tempo {
    /// How often the metrics are judged, and how long each weight lasts at least.
    pub(crate) interval: Duration,
    /// Requests per second.
    pub(crate) rate: u32,
    /// Who judges.
    pub(crate) judge: Judge,
}

impl Tempo {
    /// Requests per interval that there must be: of fewer, the first step's 10 % are too few to judge by.
    const ENOUGH: f64 = 200.0;

    /// The tempo, if there is enough to judge by.
    pub(crate) fn new(interval: Duration, rate: u32, judge: Judge) -> Result<Self, Error> {
        let requests = f64::from(rate) * interval.as_secs_f64();
        if requests < Self::ENOUGH {
            return Err(Error::Usage(format!(
                "{rate} requests per second are {requests:.0} in an interval of {interval:?}, too few to judge 10 % of them by \
                 (at least {}): raise --rate or --interval",
                Self::ENOUGH
            )));
        }
        Ok(Self {
            interval,
            rate,
            judge,
        })
    }

    /// How long a side may be not ready.
    pub(crate) fn deadline(self) -> Duration {
        (self.interval * 4).max(Duration::from_secs(8))
    }

    /// How often the world is looked at.
    pub(crate) fn poll(self) -> Duration {
        (self.interval / 20).clamp(Duration::from_millis(50), Duration::from_millis(250))
    }

    /// How long a process that has died before must stay up to count as available. With the first pause before it is
    /// started again, less than the deadline: a process that dies once holds a rollout, one that goes on dying ends it.
    pub(crate) fn settled(self) -> Duration {
        self.deadline() * 5 / 8
    }

    /// After how many requests a process of `--bad crash` dies: while the canary gets its first traffic, and again before
    /// it counts as available.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some hundreds"
    )]
    pub(crate) fn crash_after(self) -> u64 {
        (f64::from(self.rate) * self.interval.as_secs_f64() * 0.1) as u64
    }

    /// No run lasts longer: whatever does is stuck.
    pub(crate) fn limit(self) -> Duration {
        self.interval * 40 + self.deadline() * 4 + Duration::from_secs(30)
    }

    /// A rollout with a monitoring that may be gone for a while: what cannot be measured holds it. A Prometheus that was
    /// started needs some seconds until it scrapes.
    pub(crate) fn patient(self, spec: Spec) -> Spec {
        let rounds = Duration::from_secs(20).as_millis() / self.interval.as_millis() + 5;
        Spec {
            on_nothing: OnNothing::Hold,
            inconclusive: u32::try_from(rounds).ok(),
            ..spec
        }
    }

    /// The reference rollout: 10 % more per interval up to 50 %, success rate at least 99 %, P99 at most 500 ms.
    pub(crate) fn spec(self) -> Spec {
        let canary = Canary {
            step_weight: Some(10.0),
            max_weight: Some(50.0),
            ..Canary::default()
        };
        Spec {
            interval: self.interval,
            metrics: self.judge.metrics(),
            sequential: self.judge.terms(self.interval),
            threshold: 5,
            deadline: self.deadline(),
            poll: Some(self.poll()),
            ..Spec::new(Strategy::Canary(canary))
        }
    }
}

/// The plan for the local proxy.
pub(crate) fn plan(spec: &Spec) -> Result<Plan, Error> {
    spec.compile(&capabilities())
        .map(|(plan, _)| plan)
        .map_err(|it| Error::Plan(it.to_string()))
}

/// What the local proxy can do: split, in hundredths of a percent.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities {
        granularity: Weight::hundredths(1).unwrap_or(Weight::WHOLE),
        ..Capabilities::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_rollout_is_a_plan() {
        for judge in [Judge::Range, Judge::Sequential] {
            let tempo = Tempo::new(Duration::from_secs(2), 300, judge).unwrap();
            let plan = plan(&tempo.spec()).unwrap();
            assert_eq!(plan.timetable().shortest(), Duration::from_secs(16));
            assert!(tempo.limit() > plan.timetable().longest().unwrap());
        }
    }

    #[test]
    fn too_few_requests_are_refused() {
        let error = Tempo::new(Duration::from_millis(500), 100, Judge::Range).unwrap_err();
        assert!(
            error.to_string().contains("50 in an interval of 500ms"),
            "{error}"
        );
    }
}
