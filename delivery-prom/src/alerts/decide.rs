//! The decision, as a function of what the server says.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use delivery_core::Timestamp;

use super::{AtStart, Missing, Pending, Policy, Reaction};
use crate::error::shortened;
use crate::ruler::{Alert, AlertState, AlertingRule, Health, Rule, RuleGroup};

/// What the alerts say, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The worst that was found.
    pub says: Says,
    /// All that was found, the worst first.
    pub causes: Vec<(Says, Cause)>,
}

/// What to do, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Says {
    /// All watched rules are healthy, and none of them has an alert that counts: go on.
    GoOn,
    /// Keep the weight.
    Hold,
    /// Nobody can tell: keep the weight.
    Inconclusive,
    /// Roll back.
    RollBack,
}

/// How many causes are told; the worst come first.
const SHOWN: usize = 8;

/// How much of a cause is told, in characters.
const LENGTH: usize = 200;

impl Decision {
    /// The same, and one cause more.
    pub(super) fn and(mut self, says: Says, cause: Cause) -> Self {
        self.causes.push((says, cause));
        self.causes.sort_by_key(|it| core::cmp::Reverse(it.0));
        self.says = self.says.max(says);
        self
    }
}

impl fmt::Display for Decision {
    /// The causes in one line: the worst of them, and how many more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.causes.is_empty() {
            return f.write_str("all watched rules are quiet");
        }
        for (at, (_, cause)) in self.causes.iter().take(SHOWN).enumerate() {
            let between = if at == 0 { "" } else { "; " };
            write!(f, "{between}{}", shortened(&cause.to_string(), LENGTH))?;
        }
        match self.causes.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// One thing that speaks against going on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// The policy names no rule and no labels.
    NothingWatched,
    /// The server answered for a part of its rules alone.
    Partial {
        /// What it says.
        why: String,
    },
    /// A rule looked at no series at all, so that its silence means nothing.
    NoSeries {
        /// Its name.
        rule: String,
    },
    /// A rule that is watched does not exist.
    Missing {
        /// Its name.
        rule: String,
    },
    /// No rule has the labels that are watched.
    MissingLabels {
        /// The labels.
        labels: BTreeMap<String, String>,
    },
    /// The last evaluation of a rule failed.
    Failing {
        /// Its name.
        rule: String,
        /// What the server says.
        error: String,
    },
    /// A rule has not been evaluated yet.
    NotEvaluated {
        /// Its name.
        rule: String,
    },
    /// The last evaluation of a rule is too long ago.
    Old {
        /// Its name.
        rule: String,
        /// How long ago it is.
        age: Duration,
        /// How old it may be.
        allowed: Duration,
    },
    /// The last evaluation of a rule lies in the future: two clocks disagree.
    Ahead {
        /// Its name.
        rule: String,
        /// How far it is ahead.
        by: Duration,
    },
    /// An alert is pending.
    Pending(AlertName),
    /// An alert fires.
    Firing(AlertName),
    /// An alert is in a state that is not known here.
    UnknownState {
        /// The alert.
        alert: AlertName,
        /// The state, as the server writes it.
        state: String,
    },
    /// An alert lacks a label that would tell whose it is.
    Unattributed {
        /// The alert.
        alert: AlertName,
        /// The label.
        label: String,
    },
    /// An alert is active before the rollout begins, and the policy wants none.
    AtStart(AlertName),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingWatched => f.write_str("no rule is watched (expected names or labels of rules)"),
            Self::Missing { rule } => write!(f, "there is no alerting rule `{rule}`"),
            Self::MissingLabels { labels } => write!(f, "there is no alerting rule with {}", braces(labels)),
            Self::Failing { rule, error } => write!(f, "rule `{rule}` fails: {error}"),
            Self::NotEvaluated { rule } => write!(f, "rule `{rule}` was not evaluated yet"),
            Self::Old { rule, age, allowed } => {
                write!(
                    f,
                    "rule `{rule}` was evaluated {age:?} ago (expected at most {allowed:?})"
                )
            }
            Self::Ahead { rule, by } => {
                write!(
                    f,
                    "rule `{rule}` was evaluated {by:?} in the future: two clocks disagree"
                )
            }
            Self::Pending(alert) => write!(f, "{alert} is pending"),
            Self::Firing(alert) => write!(f, "{alert} fires"),
            Self::UnknownState { alert, state } => {
                write!(f, "{alert} is in a state that is not known here: {state:?}")
            }
            Self::Partial { why } => write!(f, "only a part of the rules was answered: {why}"),
            Self::NoSeries { rule } => {
                write!(
                    f,
                    "rule `{rule}` looked at no series: its expression matches nothing that exists"
                )
            }
            Self::Unattributed { alert, label } => {
                write!(
                    f,
                    "{alert} is active and has no label `{label}` to tell whose it is"
                )
            }
            Self::AtStart(alert) => write!(f, "{alert} is active before the rollout begins"),
        }
    }
}

/// Which alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertName {
    /// Its rule's name.
    pub rule: String,
    /// Its labels without `alertname`.
    pub labels: BTreeMap<String, String>,
}

impl fmt::Display for AlertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.rule, braces(&self.labels))
    }
}

/// Decides. `groups` are what [`Client::rules`](crate::Client::rules) answers, `began` is when the rollout began
/// to change anything; none before it does.
pub fn decide(policy: &Policy, groups: &[RuleGroup], began: Option<Timestamp>, now: Timestamp) -> Decision {
    let watched: Vec<(&RuleGroup, &AlertingRule)> = watched(policy, groups).collect();
    let mut causes: Vec<(Says, Cause)> = absent(policy, &watched)
        .into_iter()
        .map(|it| (Says::Inconclusive, it))
        .collect();
    for (group, rule) in watched {
        causes.extend(unhealthy(group, rule, now).map(|it| (Says::Inconclusive, it)));
        causes.extend(rule.alerts.iter().filter_map(|it| weigh(policy, rule, it, began)));
    }
    causes.sort_by_key(|it| core::cmp::Reverse(it.0));
    Decision {
        says: causes.first().map_or(Says::GoOn, |it| it.0),
        causes,
    }
}

/// The rules that a policy is about, with their groups.
pub(super) fn watched<'a>(
    policy: &'a Policy,
    groups: &'a [RuleGroup],
) -> impl Iterator<Item = (&'a RuleGroup, &'a AlertingRule)> {
    let rules = groups
        .iter()
        .flat_map(|group| group.rules.iter().map(move |it| (group, it)));
    rules.filter_map(|(group, rule)| match rule {
        Rule::Alerting(rule) if policy.names.contains(&rule.name) || has_labels(policy, rule) => {
            Some((group, rule))
        }
        _ => None,
    })
}

fn has_labels(policy: &Policy, rule: &AlertingRule) -> bool {
    !policy.labels.is_empty()
        && policy
            .labels
            .iter()
            .all(|(name, value)| rule.labels.get(name) == Some(value))
}

/// What is watched and not there.
fn absent(policy: &Policy, watched: &[(&RuleGroup, &AlertingRule)]) -> Vec<Cause> {
    if policy.names.is_empty() && policy.labels.is_empty() {
        return vec![Cause::NothingWatched];
    }
    let there = |name: &String| watched.iter().any(|(_, rule)| rule.name == *name);
    let mut absent: Vec<Cause> = policy
        .names
        .iter()
        .filter(|it| !there(it))
        .map(|it| Cause::Missing { rule: it.clone() })
        .collect();
    if !policy.labels.is_empty() && !watched.iter().any(|(_, rule)| has_labels(policy, rule)) {
        absent.push(Cause::MissingLabels {
            labels: policy.labels.clone(),
        });
    }
    absent
}

/// Why the silence of a rule means nothing.
fn unhealthy(group: &RuleGroup, rule: &AlertingRule, now: Timestamp) -> Option<Cause> {
    let name = || rule.name.clone();
    match rule.health {
        Health::Ok => {}
        Health::Err => {
            let error = rule
                .last_error
                .clone()
                .unwrap_or_else(|| "it does not say why".into());
            return Some(Cause::Failing { rule: name(), error });
        }
        Health::NoData => return Some(Cause::NoSeries { rule: name() }),
        Health::Unknown => return Some(Cause::NotEvaluated { rule: name() }),
    }
    // A rule is evaluated with its group, but one that takes long may keep its group from ever getting to the next.
    if rule.last_series_fetched == Some(0) {
        return Some(Cause::NoSeries { rule: name() });
    }
    let evaluated = [rule.last_evaluation, group.last_evaluation]
        .into_iter()
        .flatten()
        .min();
    let Some(at) = evaluated else {
        return Some(Cause::NotEvaluated { rule: name() });
    };
    let (age, by) = (now.since(at), at.since(now));
    let allowed = group.interval.saturating_mul(2);
    if age > allowed {
        return Some(Cause::Old {
            rule: name(),
            age,
            allowed,
        });
    }
    (by > group.interval).then(|| Cause::Ahead { rule: name(), by })
}

/// What an alert means, if anything.
fn weigh(
    policy: &Policy,
    rule: &AlertingRule,
    alert: &Alert,
    began: Option<Timestamp>,
) -> Option<(Says, Cause)> {
    let name = || AlertName {
        rule: rule.name.clone(),
        labels: alert
            .labels
            .iter()
            .filter(|(name, _)| *name != "alertname")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    };
    let severity = alert
        .labels
        .get(&policy.severity.label)
        .and_then(|it| policy.severity.map.get(it));
    let reaction = *severity.unwrap_or(&policy.severity.otherwise);
    let (says, cause): (Says, fn(AlertName) -> Cause) = match (&alert.state, reaction, policy.pending) {
        (AlertState::Inactive, ..) | (_, Reaction::Ignore, _) | (AlertState::Pending, _, Pending::Ignore) => {
            return None;
        }
        (AlertState::Pending, _, Pending::Hold) => (Says::Hold, Cause::Pending),
        (AlertState::Firing, Reaction::Hold, _) => (Says::Hold, Cause::Firing),
        (AlertState::Firing, Reaction::RollBack, _) => (Says::RollBack, Cause::Firing),
        (AlertState::Unknown(state), ..) => {
            let state = shortened(state, 40);
            return Some((Says::Inconclusive, Cause::UnknownState { alert: name(), state }));
        }
    };
    let attribution = &policy.attribution;
    let theirs = |(label, ours): (&String, &String)| alert.labels.get(label).is_some_and(|it| it != ours);
    if attribution.labels.iter().any(theirs) {
        return None;
    }
    let older = match began {
        // All that is active before the rollout begins is older.
        None => true,
        Some(began) => alert.active_at.is_some_and(|it| it < began),
    };
    match (older, began, policy.at_start) {
        (true, _, AtStart::Ignore) => return None,
        (true, None, AtStart::Block) => return Some((Says::Hold, Cause::AtStart(name()))),
        (false, ..) | (true, Some(_), AtStart::Block) => {}
    }
    if attribution.missing == Missing::Hold
        && let Some(label) = attribution
            .labels
            .keys()
            .find(|it| !alert.labels.contains_key(*it))
    {
        let label = label.clone();
        return Some((Says::Hold, Cause::Unattributed { alert: name(), label }));
    }
    Some((says, cause(name())))
}

fn braces(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests;
