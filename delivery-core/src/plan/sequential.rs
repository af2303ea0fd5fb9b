//! Judges that test: what can be wrong with them as they are written.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use super::comparing;
use super::problem::Problems;
use super::{Expected, Flaw, Found, MetricSpec, Plan};
use crate::analysis::sequential::{BadTest, Null};
use crate::analysis::{Compare, Judge, MannWhitney, Objective, Terms};

pub(super) fn compare(judge: Compare, path: &str, problems: &mut Problems) -> Judge {
    let null = Null::Compare(judge.ratio);
    test(
        &format!("{path}.compare"),
        null,
        judge.share,
        judge.slower_than,
        problems,
    );
    Judge::Compare(judge)
}

pub(super) fn objective(judge: Objective, path: &str, problems: &mut Problems) -> Judge {
    let rate = judge.max_error_rate;
    let path = format!("{path}.objective");
    // In percent, as it is written; the test itself has a share.
    if rate > 0.0 && rate < 100.0 {
        let null = Null::Objective(rate / 100.0);
        test(&path, null, judge.share, judge.slower_than, problems);
    } else {
        let remedy = "a percentage above 0 and below 100";
        problems.error(format!("{path}.maxErrorRate"), Flaw::OutOfRange, rate, remedy);
    }
    Judge::Objective(judge)
}

pub(super) fn mann_whitney(judge: MannWhitney, path: &str, problems: &mut Problems) -> Judge {
    let mut number = |name: &str, value: f64, most: f64, remedy: &str| {
        if !(0.0..=most).contains(&value) {
            problems.error(
                format!("{path}.mannWhitney.{name}"),
                Flaw::OutOfRange,
                value,
                remedy,
            );
        }
    };
    number(
        "tolerance",
        judge.tolerance,
        f64::MAX,
        "0 or more; Kayenta's is 0.25",
    );
    number(
        "allowedIncrease",
        judge.allowed_increase,
        f64::MAX,
        "0 or more: a ratio of means",
    );
    number(
        "allowedDecrease",
        judge.allowed_decrease,
        f64::MAX,
        "0 or more: a ratio of means",
    );
    number("quantile", judge.quantile, 1.0, "from 0 to 1");
    Judge::MannWhitney(judge)
}

fn test(path: &str, null: Null, share: f64, slower_than: Option<f64>, problems: &mut Problems) {
    if let Err(BadTest { field, value, remedy }) = Terms::DEFAULT.test(null, 1.0) {
        problems.error(format!("{path}.{field}"), Flaw::OutOfRange, value, remedy);
    }
    if !(share > 0.0 && share.is_finite()) {
        let remedy = "above 0; 2 is twice as much of alpha as 1";
        problems.error(format!("{path}.share"), Flaw::OutOfRange, share, remedy);
    }
    if let Some(bound) = slower_than.filter(|it| !(*it > 0.0 && it.is_finite())) {
        let remedy = "above 0: a bound of the histogram's buckets";
        problems.error(format!("{path}.slowerThan"), Flaw::OutOfRange, bound, remedy);
    }
}

/// What the sequential judges have in common. What is wrong goes into `problems`.
pub(super) fn check(terms: &Terms, interval: Duration, specs: &[MetricSpec], problems: &mut Problems) {
    let mut wrong = |name: &str, value: f64, remedy: &str| {
        problems.error(format!("sequential.{name}"), Flaw::OutOfRange, value, remedy);
    };
    if let Err(BadTest { field, value, remedy }) = terms.test(Null::Compare(1.0), 1.0) {
        wrong(field, value, remedy);
    }
    // Written so that NaN is outside.
    let alpha = terms.interval_alpha;
    if !(alpha > 0.0 && alpha <= 0.5) {
        wrong("intervalAlpha", alpha, "above 0 and at most 0.5; 0.05 is usual");
    }
    if !(terms.margin > 0.0 && terms.margin.is_finite()) {
        wrong(
            "margin",
            terms.margin,
            "above 0; 2 allows twice the primary's errors",
        );
    }
    if let Some(value) = terms.dispersion.filter(|it| !(*it >= 1.0 && it.is_finite())) {
        wrong(
            "dispersion",
            value,
            "at least 1: errors that do not come in bursts",
        );
    }
    if terms.held == Some(0) {
        wrong("held", 0.0, "at least 1; null for no limit");
    }
    if let Some(look) = terms.look {
        let least = Duration::from_millis(100).min(interval);
        if look < least || look > interval {
            let remedy = format!("from {least:?} to the interval of {interval:?}");
            problems.error("sequential.look", Flaw::OutOfRange, format!("{look:?}"), remedy);
        }
    }
    if !terms.is_default() && !specs.iter().any(|it| it.judge.is_sequential()) {
        let text = "has no effect: no metric has compare or objective";
        problems.warn("sequential", text);
    }
}

pub(super) fn check_expected(expected: Option<&Expected>, problems: &mut Problems) {
    let Some(Expected {
        requests_per_second: requests,
        error_rate: rate,
    }) = expected
    else {
        return;
    };
    // Written so that NaN is outside.
    if !(*requests > 0.0 && requests.is_finite()) {
        let path = "expected.requestsPerSecond";
        problems.error(path, Flaw::OutOfRange, requests, "above 0");
    }
    if !(*rate > 0.0 && *rate < 100.0) {
        let remedy = "a percentage above 0 and below 100";
        problems.error("expected.errorRate", Flaw::OutOfRange, rate, remedy);
    }
}

/// Warns of sequential judges that promise nothing in this plan.
pub(super) fn promises(plan: &Plan, problems: &mut Problems) {
    // A traffic at which whatever can be found is found.
    let flood = Expected {
        requests_per_second: 1e9,
        error_rate: 1.0,
    };
    let possible = plan.detects(&flood);
    let expected = plan.expected.map(|it| plan.detects(&it));
    for (at, metric) in plan.metrics.iter().enumerate() {
        let of = |it: &&super::Detection| it.metric == metric.name;
        let path = format!("metrics[{at}]");
        if let Some(none) = possible.iter().find(of).filter(|it| it.is_empty()) {
            let never = none.finds.iter().all(|it| it.found == Found::Never);
            let text = if never {
                comparing::why_never(plan, metric)
            } else {
                String::from("finds nothing: the plan is over before sequential.minRounds rounds")
            };
            problems.warn(path, text);
        } else if let Some(none) = expected.iter().flatten().find(of).filter(|it| it.is_empty()) {
            problems.warn(path, format!("finds nothing at the expected traffic: {none}"));
        }
    }
}
