//! How long a canary must stay at a weight for its alerts to come.

use std::fmt;
use std::time::Duration;

use super::Policy;
use super::decide::watched;
use crate::ruler::RuleGroup;

/// A rule whose alert comes only after the canary has moved on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooShort {
    /// The rule's name.
    pub rule: String,
    /// How long the canary stays at a weight.
    pub dwell: Duration,
    /// How long the alert takes at least: `for`, an evaluation interval and a scrape interval.
    pub needed: Duration,
}

impl fmt::Display for TooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, dwell, needed } = self;
        write!(
            f,
            "rule `{rule}` fires {needed:?} after the cause at the earliest, and the canary stays at a weight for \
             {dwell:?} (expected at least {needed:?})"
        )
    }
}

/// The watched rules that are too slow for a canary which stays at each weight for `dwell` and is scraped every `scrape`.
///
/// A range in the rule's expression takes its time, too; `rules::check` sees that, where the file is at hand.
pub fn too_short(policy: &Policy, groups: &[RuleGroup], scrape: Duration, dwell: Duration) -> Vec<TooShort> {
    watched(policy, groups)
        .map(|(group, rule)| TooShort {
            rule: rule.name.clone(),
            dwell,
            needed: rule.hold.saturating_add(group.interval).saturating_add(scrape),
        })
        .filter(|it| it.needed > dwell)
        .collect()
}
