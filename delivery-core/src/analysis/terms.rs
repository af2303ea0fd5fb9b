//! What the sequential judges of a plan have in common.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::sequential::{BadTest, Null, Test};

/// What the sequential judges of a plan have in common: how sure they must be, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Terms {
    /// How likely a good version is rolled back, at most, by all sequential judges together and however often they look:
    /// above 0, at most 0.5. Default 0.01: one of 100 releases.
    pub alpha: f64,
    /// How many rounds it takes at least to convict, so that one odd round (a cold start, a burst) does not; at least 1,
    /// default 2.
    pub min_rounds: u32,
    /// From which evidence on the weight is held: at least 1, default 4.
    pub hold: f64,
    /// The error probability of the intervals that are shown and that early promotion needs: above 0, at most 0.5.
    /// Default 0.05.
    pub interval_alpha: f64,
    /// How many times the primary's error rate a canary may have at most to be promoted early: above 0, default 2.
    pub margin: f64,
    /// The size of the bursts that errors come in, at least 1. Default: found out at the beginning from the primary's
    /// last hour, where the metric source knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispersion: Option<f64>,
    /// How often the judges look, at most the interval; default: the interval. A conviction acts at once, weights move
    /// with the interval. Not shorter than the metric source takes to learn something new.
    #[serde(
        with = "crate::time::written::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub look: Option<Duration>,
    /// Rounds of the whole run in which the weight may be held on a suspicion; at least 1, default 10. None: no limit.
    pub held: Option<u32>,
    /// What a suspicion means after that; default: the run goes on.
    pub after_held: AfterHeld,
    /// Whether the revision is promoted as soon as every judge confirms it; default no.
    pub early_promotion: bool,
}

/// What a suspicion means when the weight was held long enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AfterHeld {
    /// The run goes on, and only a conviction ends it. Whoever is suspected with little traffic stays so for long, and
    /// `alpha` still bounds how often a good version is rolled back.
    #[default]
    GoOn,
    /// The run is rolled back. More good versions are, then: `alpha` says nothing about it.
    RollBack,
}

impl Default for Terms {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Terms {
    /// One false alarm in 100 releases, looks with the interval, and no early promotion.
    pub const DEFAULT: Self = Self {
        alpha: 0.01,
        min_rounds: 2,
        hold: 4.0,
        interval_alpha: 0.05,
        margin: 2.0,
        dispersion: None,
        look: None,
        held: Some(10),
        after_held: AfterHeld::GoOn,
        early_promotion: false,
    };

    /// Whether nothing was changed.
    pub fn is_default(&self) -> bool {
        *self == Self::DEFAULT
    }

    /// How many rounds may be held until the run is rolled back; none: it is not for that.
    pub fn held_until_rollback(&self) -> Option<u32> {
        self.held.filter(|_| self.after_held == AfterHeld::RollBack)
    }

    /// Whether a suspicion still holds the weight, after so many rounds in which it did.
    pub fn holds(&self, held: u32) -> bool {
        self.after_held == AfterHeld::RollBack || self.held.is_none_or(|limit| held < limit)
    }

    /// The test of a judge that has this share of `alpha`.
    ///
    /// # Errors
    /// [`BadTest`]: a parameter that is out of its range.
    pub fn test(&self, null: Null, share: f64) -> Result<Test, BadTest> {
        Test::new(null, self.alpha * share, self.min_rounds, self.hold)
    }
}
