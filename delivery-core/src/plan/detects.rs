//! What a plan can find before it is over, and what it cannot.
//!
//! Evidence grows at a rate that follows from the traffic and from how much worse the canary is; a fresh stake has to
//! grow by `ln 16` more than what convicts. All of it is known before the rollout.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Plan, Step};
use crate::analysis::sequential::Test;
use crate::time::GoDuration;

/// The traffic that a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expected {
    /// Requests per second on both sides together; above 0.
    pub requests_per_second: f64,
    /// The primary's bad requests, in percent; above 0, below 100.
    pub error_rate: f64,
}

/// What a judge finds within a plan, at the expected traffic.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Detection {
    /// The metric.
    pub metric: String,
    /// How soon it finds what, the largest difference first.
    pub finds: Vec<Find>,
}

/// How soon a canary is found that is so much worse.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Find {
    /// How many times the primary's errors it has; none: every request fails.
    pub times: Option<f64>,
    /// How soon that is found.
    pub found: Found,
}

/// How soon something is found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Found {
    /// So long after the first traffic on the canary.
    Within(Duration),
    /// Not within the plan. It would have to take so long at its last weight, or get so many requests per second.
    Beyond {
        /// How long, from the first traffic on.
        takes: Duration,
        /// How many requests per second; none where more of them do not help.
        needs: Option<f64>,
    },
    /// Never, however long it takes: the judge tolerates it, or the canary gets no traffic.
    Never,
}

/// The differences that are looked at.
const TIMES: [Option<f64>; 4] = [None, Some(10.0), Some(5.0), Some(2.0)];
/// How much more than the bound a fresh stake must grow.
const FRESH: f64 = 2.772_588_722_239_781;
/// Longer than this is never.
const LONGEST: f64 = 1e8;

/// Looks of a plan that are alike, one after the other.
#[derive(Clone, Copy, Debug)]
struct Looks {
    /// When the first of them begins, from the first traffic on the canary, in seconds.
    from: f64,
    /// How long each lasts, in seconds.
    lasts: f64,
    /// How many there are.
    count: f64,
    /// Requests, in parts of those that users send: copies come on top.
    requests: f64,
    /// The canary's share of these.
    weight: f64,
}

pub(super) fn detects(plan: &Plan, expected: &Expected) -> Vec<Detection> {
    let looks = looks(plan);
    let questions = || plan.metrics.iter().filter_map(|it| Some((it, it.question()?)));
    let shares = questions().map(|(_, it)| it.share).sum::<f64>();
    let dispersion = plan.terms.dispersion.unwrap_or(1.0);
    questions()
        .filter_map(|(metric, question)| {
            let test = plan.terms.test(question.null, question.share / shares).ok()?;
            let finds = TIMES.map(|times| {
                let primary = expected.error_rate / 100.0;
                let canary = times.map_or(1.0, |it| (primary * it).min(1.0));
                let grows = |it: &Looks| {
                    let requests = expected.requests_per_second * it.lasts * it.requests;
                    test.growth(requests, it.weight, canary, primary, dispersion)
                };
                let found = found(&looks, &test, grows, expected.requests_per_second);
                Find { times, found }
            });
            Some(Detection {
                metric: metric.name.clone(),
                finds: Vec::from(finds),
            })
        })
        .collect()
}

fn found(looks: &[Looks], test: &Test, grows: impl Fn(&Looks) -> f64, per_second: f64) -> Found {
    let needed = test.needed() + FRESH;
    let least = f64::from(test.min_rounds());
    let (mut sum, mut rounds) = (0.0, 0.0);
    for look in looks.iter().filter(|it| it.weight > 0.0) {
        let grown = grows(look);
        let more = libm::ceil((needed - sum) / grown).max(least - rounds).max(1.0);
        if grown > 0.0 && more <= look.count {
            return Found::Within(seconds(look.from + more * look.lasts));
        }
        sum += grown * look.count;
        rounds += look.count;
    }
    let last = looks.iter().rev().find(|it| it.weight > 0.0);
    let Some((last, grown)) = last.map(|it| (it, grows(it))).filter(|(_, it)| *it > 0.0) else {
        return Found::Never;
    };
    let more = libm::ceil((needed - sum) / grown).max(least - rounds);
    let takes = last.from + (last.count + more) * last.lasts;
    if takes >= LONGEST {
        return Found::Never;
    }
    Found::Beyond {
        takes: seconds(takes),
        // More requests are no more rounds.
        needs: (rounds >= least).then(|| per_second * needed / sum),
    }
}

/// Every look of the plan, when all rounds are good.
fn looks(plan: &Plan) -> Vec<Looks> {
    let (mut requests, mut weight) = (1.0, 0.0);
    let mut at = 0.0;
    let look = plan.look().unwrap_or(plan.interval).as_secs_f64();
    let interval = plan.interval.as_secs_f64();
    let in_a_round = libm::ceil(interval / look);
    let mut looks = Vec::new();
    for step in &plan.steps {
        let waits = match step {
            Step::Shift { weight: to, dwell } => {
                (requests, weight) = (1.0, to.as_percent() / 100.0);
                *dwell
            }
            Step::Mirror { share } => {
                let share = share.as_percent() / 100.0;
                requests = 1.0 + share;
                weight = share / requests;
                Duration::ZERO
            }
            // How many requests match is not known.
            Step::Match => {
                weight = 0.0;
                Duration::ZERO
            }
            Step::Pause { lasts } => lasts.unwrap_or_default(),
            Step::Analyse { rounds } => {
                let all = Looks {
                    from: at,
                    lasts: interval / in_a_round,
                    count: f64::from(*rounds) * in_a_round,
                    requests,
                    weight,
                };
                looks.push(all);
                plan.interval.saturating_mul(*rounds)
            }
            Step::Promote { .. } | Step::Return { .. } | Step::Settle { .. } => break,
            Step::Gate(_) | Step::Scale { .. } => Duration::ZERO,
        };
        if weight > 0.0 {
            at += waits.as_secs_f64();
        }
    }
    looks
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

impl Detection {
    /// Whether nothing at all is found, not even a canary that fails every request.
    pub fn is_empty(&self) -> bool {
        !self.finds.iter().any(|it| matches!(it.found, Found::Within(_)))
    }
}

impl fmt::Display for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.metric)?;
        for (at, find) in self.finds.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            write!(f, "{find}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.times.map_or(String::from("every request failing"), |it| {
            format!("{it}× more errors")
        });
        match self.found {
            Found::Within(time) => write!(f, "{what} in {}", rounded(time)),
            Found::Beyond { takes, needs } => {
                write!(f, "{what} not within this plan (would need {}", rounded(takes))?;
                match needs {
                    Some(needs) if needs < 10.0 => write!(f, " or {needs:.1} requests/s)"),
                    Some(needs) => write!(f, " or {needs:.0} requests/s)"),
                    None => f.write_str(")"),
                }
            }
            Found::Never => write!(f, "{what} never"),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests_per_second,
            error_rate,
        } = self;
        write!(f, "at {requests_per_second} requests/s and {error_rate} % errors")
    }
}

/// Without parts of a second where they do not matter.
fn rounded(time: Duration) -> GoDuration {
    let whole = if time >= Duration::from_secs(10) {
        Duration::from_secs(time.as_secs())
    } else {
        time
    };
    GoDuration::saturating_from(whole)
}
