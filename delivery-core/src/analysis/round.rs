//! One round: every metric is judged, and what all of them together mean.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::compare::Question;
use super::sequential::{Finding, Null, combined, finding};
use super::{
    Account, Class, Evidence, Judge, MannWhitney, Memory, Metric, Nothing, Sample, Series, Terms, Verdict,
};
use crate::text;
use crate::time::Timestamp;

/// A round that is due.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    /// What is measured.
    pub metrics: &'a [Metric],
    /// What the sequential judges have in common.
    pub terms: &'a Terms,
    /// Who looks.
    pub look: Look,
    /// Where the windows of sequential judges end.
    pub at: Timestamp,
    /// Whether the primary gets no traffic by plan, because the canary has all of it. Whoever compares then goes on with what
    /// the primary did before, or abstains.
    pub primary_rests: bool,
}

/// Who looks in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Sequential judges alone, between two rounds.
    Glance,
    /// Everybody; those that look once collect.
    Round,
    /// Everybody, for the last time.
    Last,
}

/// One round: every metric judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// The worst verdict of all, and of the sequential judges together.
    pub verdict: Verdict,
    /// What each metric said, in the plan's order.
    pub evidence: Vec<Evidence>,
    /// Whether a source was at fault where a metric could not be judged.
    pub error: bool,
    /// The metric whose evidence convicts the canary, most of all if there are several.
    pub convicted: Option<String>,
    /// Whether every sequential judge confirms the canary, and no other judge has an objection or has yet to look.
    pub confirmed: bool,
    /// What the judges will remember.
    pub memory: BTreeMap<String, Memory>,
}

/// Judges a round. A metric without a sample has said nothing.
pub fn judge(due: &Due<'_>, samples: &BTreeMap<String, Sample>, memory: &BTreeMap<String, Memory>) -> Round {
    let mut round = Round {
        verdict: Verdict::Confirmed,
        evidence: Vec::with_capacity(due.metrics.len()),
        error: false,
        convicted: None,
        confirmed: due.metrics.iter().any(|it| it.judge.is_sequential()),
        memory: memory.clone(),
    };
    let shares = shares(due.metrics);
    // Where everybody compares, nobody can tell two good sides from two bad ones.
    let absolute = due.metrics.iter().any(|it| !it.judge.compares());
    for metric in due.metrics {
        if due.look == Look::Glance && !metric.judge.is_sequential() {
            continue;
        }
        let sample = samples
            .get(&metric.name)
            .unwrap_or(&Sample::Nothing(Nothing::NoAnswer));
        let judged = metric.judge_one(due, shares, sample, &mut round.memory);
        let judged = if absolute { judged } else { judged.unconfirmed() };
        if let Judged::Nothing(nothing) = &judged {
            round.error |= nothing.is_error();
        }
        if matches!(judged, Judged::Class { convicts: true, .. }) {
            round.convicted = Some(metric.name.clone());
        }
        let sequential = metric.judge.is_sequential();
        let evidence = judged.evidence(metric.name.clone());
        round.confirmed &= match evidence.verdict {
            Verdict::Confirmed => true,
            Verdict::Pass => !sequential && !matches!(metric.judge, Judge::MannWhitney(_)),
            Verdict::Abstains | Verdict::Suspect | Verdict::Inconclusive | Verdict::Fail => false,
        };
        round.verdict = round.verdict.max(evidence.verdict);
        round.evidence.push(evidence);
    }
    if !round.confirmed {
        round.verdict = round.verdict.max(Verdict::Pass);
    }
    convict(&mut round, due, shares);
    round
}

/// All sequential judges together: one may not be sure where several are.
fn convict(round: &mut Round, due: &Due<'_>, shares: f64) {
    let tests = due.metrics.iter().filter_map(|it| {
        let (question, account) = (it.question()?, it.account(&round.memory)?);
        Some((it, question.share / shares, account.wealth.log_e()))
    });
    if tests.clone().next().is_none() {
        return;
    }
    // A judge that has no account yet has evidence 1.
    let silent = due
        .metrics
        .iter()
        .filter(|it| it.account(&round.memory).is_none())
        .filter_map(Metric::question)
        .map(|it| (it.share / shares, 0.0));
    let log_e = combined(
        tests
            .clone()
            .map(|(_, share, log_e)| (share, log_e))
            .chain(silent),
    );
    match finding(log_e, due.terms.alpha, due.terms.hold) {
        Finding::Continue => {}
        Finding::Suspect => round.verdict = round.verdict.max(Verdict::Suspect),
        Finding::Fail => {
            let weight = |share: f64, log_e: f64| libm::log(share) + log_e;
            let most = tests
                .max_by(|(_, a, log_a), (_, b, log_b)| weight(*a, *log_a).total_cmp(&weight(*b, *log_b)));
            round.convicted = most.map(|(it, ..)| it.name.clone());
            round.verdict = Verdict::Fail;
        }
    }
    round.confirmed &= round.verdict <= Verdict::Pass;
}

/// What the shares of all sequential judges add up to.
fn shares(metrics: &[Metric]) -> f64 {
    let sum = metrics
        .iter()
        .filter_map(Metric::question)
        .map(|it| it.share)
        .sum::<f64>();
    if sum > 0.0 { sum } else { 1.0 }
}

impl Metric {
    pub(crate) fn question(&self) -> Option<Question> {
        match &self.judge {
            Judge::Compare(compare) => Some(compare.into()),
            Judge::Objective(objective) => Some(objective.into()),
            Judge::Range(_) | Judge::Baseline(_) | Judge::MannWhitney(_) => None,
        }
    }

    /// What a sequential judge remembers of what it tests now.
    pub(crate) fn account<'m>(&self, memory: &'m BTreeMap<String, Memory>) -> Option<&'m Account> {
        let null = self.question()?.null;
        match memory.get(&self.name)? {
            Memory::Account(account) => Some(account.as_ref()).filter(|it| it.null == null),
            Memory::Series(_) | Memory::Past(_) | Memory::Numbers(_) => None,
        }
    }

    fn judge_one(
        &self,
        due: &Due<'_>,
        shares: f64,
        sample: &Sample,
        memory: &mut BTreeMap<String, Memory>,
    ) -> Judged {
        if let Some(total) = sample.canary_total()
            && total < self.min_sample
        {
            return Judged::Nothing(Nothing::TooFew {
                seen: total,
                needed: self.min_sample,
            });
        }
        match &self.judge {
            Judge::Range(range) => range.judge(sample),
            Judge::Baseline(baseline) => {
                let past = match memory.remove(&self.name) {
                    Some(Memory::Past(past)) => Some(past),
                    Some(Memory::Account(_) | Memory::Series(_) | Memory::Numbers(_)) | None => None,
                };
                let (judged, past) = baseline.judge(due, sample, past);
                memory.extend(past.map(|it| (self.name.clone(), Memory::Past(it))));
                judged
            }
            Judge::Compare(_) | Judge::Objective(_) => match self.question() {
                Some(question) => self.test(&question, due, shares, sample, memory),
                None => Judged::Nothing(Nothing::NoAnswer),
            },
            Judge::MannWhitney(judge) => {
                let mut series = match memory.remove(&self.name) {
                    Some(Memory::Series(series)) => series,
                    Some(Memory::Account(_) | Memory::Past(_) | Memory::Numbers(_)) | None => {
                        Series::default()
                    }
                };
                let judged = judge.judge(due, sample, &mut series);
                memory.insert(self.name.clone(), Memory::Series(series));
                judged
            }
        }
    }

    fn test(
        &self,
        question: &Question,
        due: &Due<'_>,
        shares: f64,
        sample: &Sample,
        memory: &mut BTreeMap<String, Memory>,
    ) -> Judged {
        let test = match due.terms.test(question.null, question.share / shares) {
            Ok(test) => test,
            Err(bad) => return Judged::Nothing(Nothing::Unusable(format!("{bad}"))),
        };
        let mut account = self
            .account(memory)
            .cloned()
            .unwrap_or_else(|| Account::new(question.null, due.terms.dispersion.unwrap_or(1.0)));
        if due.primary_rests && matches!(question.null, Null::Compare(_)) {
            // What it promises it promises for windows in which both sides have traffic.
            // A canary without requests is not excused.
            let canary = question
                .tallies(sample)
                .and_then(|(canary, _)| canary.success_rate());
            if let Err(nothing) = canary {
                return Judged::Nothing(nothing);
            }
            account.until = Some(due.at);
            let words = question.words(&account, &test, due.terms);
            memory.insert(self.name.clone(), Memory::Account(Box::new(account)));
            return Judged::Abstains(format!("the primary gets no traffic now; before, {words}"));
        }
        let found = question
            .tallies(sample)
            .and_then(|(canary, primary)| test.round(&mut account.wealth, canary, primary));
        let judged = match found {
            // What was counted so far stands, and is not counted again.
            Err(nothing) => return Judged::Nothing(nothing),
            Ok(found) => {
                account.until = Some(due.at);
                let verdict = match found {
                    Finding::Fail => Verdict::Fail,
                    Finding::Suspect => Verdict::Suspect,
                    Finding::Continue if question.confirms(&account, due.terms) => Verdict::Confirmed,
                    Finding::Continue => Verdict::Pass,
                };
                Judged::Class {
                    verdict,
                    // All sequential judges are heard together.
                    convicts: false,
                    words: question.words(&account, &test, due.terms),
                }
            }
        };
        memory.insert(self.name.clone(), Memory::Account(Box::new(account)));
        judged
    }
}

impl MannWhitney {
    fn judge(&self, due: &Due<'_>, sample: &Sample, series: &mut Series) -> Judged {
        let (canary, primary) = match self.points(sample, due.primary_rests) {
            Err(nothing) => return Judged::Nothing(nothing),
            Ok((canary, primary)) if canary.is_finite() && primary.is_none_or(f64::is_finite) => {
                (canary, primary)
            }
            Ok(_) => return Judged::Nothing(Nothing::NotANumber),
        };
        series.push(canary, primary);
        let (ours, theirs) = (series.canary.len(), series.primary.len());
        let points = if ours == theirs {
            format!("{ours} points a side")
        } else {
            format!("{ours} points of the canary and {theirs} of the primary, from when it had traffic")
        };
        if due.look != Look::Last {
            return Judged::Class {
                verdict: Verdict::Pass,
                convicts: false,
                words: format!("{points}, compared at the end"),
            };
        }
        if due.primary_rests && theirs < Self::FEWEST_POINTS {
            let needed = Self::FEWEST_POINTS;
            return Judged::Abstains(format!(
                "the primary gets no traffic, and of before {theirs} points are known ({needed} needed)"
            ));
        }
        let Some(shift) = self.compare(&series.canary, &series.primary) else {
            return Judged::Nothing(Nothing::TooShort {
                seen: ours.min(theirs),
                needed: Self::FEWEST_POINTS,
            });
        };
        let (class, convicts) = match shift.class {
            Class::Pass => ("like", false),
            Class::High => ("higher than", true),
            Class::Low => ("lower than", true),
        };
        Judged::Class {
            verdict: if convicts { Verdict::Fail } else { Verdict::Pass },
            convicts,
            words: format!(
                "{points}, the canary is {class} the primary: shifted by {} ({} to {})",
                shift.estimate, shift.low, shift.high
            ),
        }
    }

    /// One number about each side; about the canary alone while the primary gets no traffic.
    fn points(&self, sample: &Sample, primary_rests: bool) -> Result<(f64, Option<f64>), Nothing> {
        let canary = sample.canary_number(self.quantile)?;
        if primary_rests {
            return Ok((canary, None));
        }
        Ok((canary, Some(sample.primary_number(self.quantile)?)))
    }
}

/// What a judge made of a sample.
pub(super) enum Judged {
    Number {
        value: f64,
        good: bool,
        against: String,
    },
    Class {
        verdict: Verdict,
        convicts: bool,
        words: String,
    },
    Abstains(String),
    Nothing(Nothing),
}

impl Judged {
    /// The same, and at best good enough to go on.
    fn unconfirmed(self) -> Self {
        match self {
            Self::Class {
                verdict: Verdict::Confirmed,
                convicts,
                words,
            } => Self::Class {
                verdict: Verdict::Pass,
                convicts,
                words,
            },
            Self::Number { .. } | Self::Class { .. } | Self::Abstains(_) | Self::Nothing(_) => self,
        }
    }

    fn evidence(self, metric: String) -> Evidence {
        match self {
            Self::Number { value, good, against } => {
                let verdict = if good { Verdict::Pass } else { Verdict::Fail };
                Evidence {
                    metric,
                    verdict,
                    value: Some(value),
                    against,
                }
            }
            Self::Class { verdict, words, .. } => Evidence {
                metric,
                verdict,
                value: None,
                against: words,
            },
            Self::Abstains(words) => Evidence {
                metric,
                verdict: Verdict::Abstains,
                value: None,
                against: words,
            },
            Self::Nothing(nothing) => Evidence {
                metric,
                verdict: Verdict::Inconclusive,
                value: None,
                // What a source said is in it.
                against: text::shortened(&format!("{nothing}"), text::SAID),
            },
        }
    }
}
