//! What judges that compare cannot see in a plan: two sides that are bad alike, and a primary without traffic.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::problem::Problems;
use super::{Plan, Step};
use crate::analysis::{Judge, MannWhitney, Metric};
use crate::port::Traffic;
use crate::weight::Weight;

/// What to do about it.
const BESIDE: &str = "write a thresholdRange or an objective beside them";

/// What a metric does in a round in which the primary gets no traffic by plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtWhole {
    /// What it always does: it looks at the canary alone.
    Judges,
    /// It compares with what the primary did before.
    Remembers,
    /// It says nothing.
    Abstains,
}

impl Plan {
    /// Every step, with the traffic that the plan has in it.
    fn with_traffic(&self) -> impl Iterator<Item = (usize, &Step, Traffic)> {
        let mut traffic = Traffic::PRIMARY;
        self.steps.iter().enumerate().map(move |(at, step)| {
            match step {
                Step::Shift { weight, .. } | Step::Return { weight, .. } => traffic = Traffic::Split(*weight),
                Step::Mirror { share } => traffic = Traffic::Mirror(*share),
                Step::Match => traffic = Traffic::Match,
                Step::Settle { .. } => traffic = Traffic::PRIMARY,
                Step::Gate(_)
                | Step::Scale { .. }
                | Step::Pause { .. }
                | Step::Promote { .. }
                | Step::Analyse { .. } => {}
            }
            (at, step, traffic)
        })
    }

    /// The steps that judge, with the traffic that they judge at.
    fn judged_at(&self) -> impl Iterator<Item = (usize, Traffic)> {
        let judges = |(at, step, traffic)| matches!(step, &Step::Analyse { .. }).then_some((at, traffic));
        self.with_traffic().filter_map(judges)
    }

    /// Whether the plan gives the canary all traffic in the step number `at`. A primary that has none because it serves nothing
    /// is no part of the plan.
    pub(crate) fn primary_rests_at(&self, at: usize) -> bool {
        let mut steps = self.with_traffic();
        steps.any(|(step, _, traffic)| step == at && is_whole(traffic))
    }

    /// What a metric does in the step number `at`, if the primary gets no traffic in it.
    pub(super) fn at_whole(&self, metric: &Metric, at: usize) -> AtWhole {
        let known = self.rounds_of_both(at);
        match metric.judge {
            Judge::Range(_) | Judge::Objective(_) => AtWhole::Judges,
            Judge::Baseline(_) if known > 0 => AtWhole::Remembers,
            Judge::MannWhitney(_) if known >= MannWhitney::FEWEST_POINTS => AtWhole::Remembers,
            Judge::Baseline(_) | Judge::MannWhitney(_) | Judge::Compare(_) => AtWhole::Abstains,
        }
    }

    /// How many rounds before the step number `at` there are in which the primary gets traffic.
    fn rounds_of_both(&self, at: usize) -> usize {
        let earlier = self
            .judged_at()
            .filter(|(earlier, traffic)| *earlier < at && !is_whole(*traffic));
        let rounds = earlier.map(|(earlier, _)| match self.steps.get(earlier) {
            Some(Step::Analyse { rounds }) => usize::try_from(*rounds).unwrap_or(usize::MAX),
            Some(_) | None => 0,
        });
        rounds.fold(0, usize::saturating_add)
    }
}

fn is_whole(traffic: Traffic) -> bool {
    traffic == Traffic::Split(Weight::WHOLE)
}

/// Warns of what nobody would find.
pub(super) fn warn(plan: &Plan, problems: &mut Problems) {
    if !plan.metrics.is_empty() && plan.metrics.iter().all(|it| it.judge.compares()) {
        let early = if plan.terms.early_promotion {
            ", and earlyPromotion has no effect"
        } else {
            ""
        };
        let text = format!(
            "all of them compare the canary with the primary: where both are bad, nothing is found{early}; {BESIDE}"
        );
        problems.warn("metrics", text);
    }
    let rounds = plan.rounds_of_both(usize::MAX);
    let ends_whole = plan
        .judged_at()
        .last()
        .is_some_and(|(_, traffic)| is_whole(traffic));
    for (at, metric) in plan.metrics.iter().enumerate() {
        let needed = MannWhitney::FEWEST_POINTS;
        if matches!(metric.judge, Judge::MannWhitney(_)) && rounds < needed {
            let so = if ends_whole {
                "it abstains"
            } else {
                "every version is rolled back"
            };
            let text = format!(
                "it compares once, after {needed} rounds or more in which both sides get traffic, and this plan has \
                 {rounds}: {so}"
            );
            problems.warn(format!("metrics[{at}]"), text);
        }
    }
    let blind = |at| {
        plan.metrics
            .iter()
            .all(|it| plan.at_whole(it, at) == AtWhole::Abstains)
    };
    let rests: Vec<usize> = plan
        .judged_at()
        .filter_map(|(at, traffic)| is_whole(traffic).then_some(at))
        .collect();
    if !plan.metrics.is_empty() && rests.iter().any(|at| blind(*at)) {
        let text = format!(
            "at a weight of 100 % nothing is judged, because all of them compare with a primary that gets no traffic \
             then, and the rollout goes on: {BESIDE}, or end below 100 %"
        );
        problems.warn("metrics", text);
    }
}

/// Why a sequential judge that nothing can be promised of finds nothing.
pub(super) fn why_never(plan: &Plan, metric: &Metric) -> String {
    if plan.judged_at().any(|(_, traffic)| traffic == Traffic::Match) {
        return String::from("what it finds cannot be told beforehand: how many requests match is not known");
    }
    let side = match metric.judge {
        Judge::Compare(_) => "only one side",
        Judge::Range(_) | Judge::Baseline(_) | Judge::Objective(_) | Judge::MannWhitney(_) => {
            "the primary alone"
        }
    };
    format!(
        "in every round of this plan users send requests to {side}: without others, such as those of a load test, it \
         finds nothing, however bad a version is"
    )
}
