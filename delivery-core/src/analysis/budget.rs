//! How much may go wrong, and what has.

use serde::{Deserialize, Serialize};

/// How much may go wrong before the rollout is rolled back, each kind counted apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Failed checks of the whole run, never forgiven by a good one: Flagger's `threshold`. At least 1.
    pub failed: u32,
    /// Failed checks in a row. None: no limit of its own.
    pub consecutive: Option<u32>,
    /// Checks without usable data. None: no limit of their own.
    pub inconclusive: Option<u32>,
    /// Checks in which a metric source could not be reached or used. None: no limit of their own.
    pub errors: Option<u32>,
    /// Rounds in which the weight was held on a suspicion. None: no limit of their own.
    pub held: Option<u32>,
    /// What a round without usable data means.
    pub nothing: OnNothing,
    /// When an exhausted budget is acted upon.
    pub act: Act,
}

/// What a round without usable data means. Whatever it is, the rollout does not advance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnNothing {
    /// It is a failed check, as in Flagger.
    #[default]
    Fail,
    /// The weight is held and the round repeated; only the budget's `inconclusive` and `errors` limit how often.
    Hold,
}

/// When an exhausted budget is acted upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Act {
    /// In the same moment.
    #[default]
    AtOnce,
    /// One interval after the check that exhausted it, as in Flagger.
    NextInterval,
}

/// What has gone wrong in a run so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Checks {
    /// Failed checks of the whole run.
    pub failed: u32,
    /// Failed checks since the last good one.
    pub consecutive: u32,
    /// Checks without usable data.
    pub inconclusive: u32,
    /// Checks in which a metric source could not be reached or used.
    pub errors: u32,
    /// Checks after which the weight was held on a suspicion.
    #[serde(default, skip_serializing_if = "is_none")]
    pub held: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_none(count: &u32) -> bool {
    *count == 0
}

impl Checks {
    /// These checks and one that passed.
    #[must_use]
    pub const fn passed(self) -> Self {
        Self {
            consecutive: 0,
            ..self
        }
    }

    /// These checks and one that failed.
    #[must_use]
    pub const fn failed(self) -> Self {
        Self {
            failed: self.failed.saturating_add(1),
            consecutive: self.consecutive.saturating_add(1),
            ..self
        }
    }

    /// These checks and one after which the weight was held on a suspicion.
    #[must_use]
    pub const fn held(self) -> Self {
        Self {
            held: self.held.saturating_add(1),
            ..self
        }
    }

    /// These checks and one without usable data; `error` when a source was at fault.
    #[must_use]
    pub const fn inconclusive(self, error: bool, budget: &Budget) -> Self {
        let counted = match (budget.nothing, error) {
            (OnNothing::Fail, _) => self.failed(),
            (OnNothing::Hold, _) => self,
        };
        if error {
            Self {
                errors: counted.errors.saturating_add(1),
                ..counted
            }
        } else {
            Self {
                inconclusive: counted.inconclusive.saturating_add(1),
                ..counted
            }
        }
    }

    /// Which limit is reached, if any: its name in the spec, and the limit.
    pub fn exhausted(self, budget: &Budget) -> Option<(&'static str, u32)> {
        [
            ("threshold", self.failed, Some(budget.failed)),
            ("consecutive", self.consecutive, budget.consecutive),
            ("inconclusive", self.inconclusive, budget.inconclusive),
            ("errors", self.errors, budget.errors),
            ("sequential.held", self.held, budget.held),
        ]
        .into_iter()
        .find_map(|(name, count, limit)| limit.filter(|limit| count >= *limit).map(|limit| (name, limit)))
    }
}
