//! Time that must be seen passing, for clocks that step.
//!
//! A deadline that compared two readings of a clock would pass at once when the clock is set forward, or when nobody drove
//! the rollout for a while. So a deadline is divided into [`PARTS`], and each decision that is saved counts one of them, and
//! half of the next at most: whatever the clock does between two looks costs a quarter of the time at most.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// In how many parts a deadline passes.
pub(crate) const PARTS: u8 = 6;

/// How much of a deadline was seen passing. A state of an earlier version has the moment alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Passing {
    /// Since when the present part passes.
    pub since: Timestamp,
    /// How many parts have passed before it.
    pub parts: u8,
    /// Since when the platform says it lasts, by the platform's own clock; none: it does not say. Only ever compared with
    /// what the platform says later: then it has begun anew.
    pub reported: Option<Timestamp>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Since(Timestamp),
    Parts {
        since: Timestamp,
        parts: u8,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reported: Option<Timestamp>,
    },
}

impl From<Written> for Passing {
    fn from(written: Written) -> Self {
        match written {
            Written::Since(since) => Self::from(since),
            Written::Parts {
                since,
                parts,
                reported,
            } => Self {
                since,
                parts,
                reported,
            },
        }
    }
}

impl From<Passing> for Written {
    fn from(
        Passing {
            since,
            parts,
            reported,
        }: Passing,
    ) -> Self {
        match (parts, reported) {
            (0, None) => Self::Since(since),
            (parts, reported) => Self::Parts {
                since,
                parts,
                reported,
            },
        }
    }
}

/// What is known of a deadline at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    /// It has passed.
    Over,
    /// A part has passed: save this, and go on from there.
    Part(Passing),
    /// It has not; look again then.
    Until(Timestamp),
}

impl Passing {
    /// From now on.
    pub const fn from(now: Timestamp) -> Self {
        Self {
            since: now,
            parts: 0,
            reported: None,
        }
    }

    /// From a moment in the past that the platform vouches for. At least the last part is left to be seen.
    pub(super) fn vouched(since: Timestamp, now: Timestamp, deadline: Duration, parts: u8) -> Self {
        let part = part(deadline, parts);
        let mut passing = Self {
            reported: Some(since),
            ..Self::from(since.min(now))
        };
        while passing.parts.saturating_add(1) < parts && now >= passing.since.after(part) {
            passing = passing.next(passing.since.after(part));
        }
        // The last part is seen passing, or it does not count.
        if now >= passing.since.after(part) {
            passing.since = now;
        }
        passing
    }

    /// Where it stands now. A beginning that lies in the future shows a clock that was set back: the part begins anew.
    pub(super) fn at(self, now: Timestamp, deadline: Duration, parts: u8) -> Deadline {
        if self.since > now {
            return Deadline::Part(Self { since: now, ..self });
        }
        let part = part(deadline, parts);
        let until = self.since.after(part);
        if now < until {
            Deadline::Until(until)
        } else if self.parts.saturating_add(1) >= parts {
            Deadline::Over
        } else {
            // Who looks a little late has still seen all of it.
            let late = now.since(until) > part.checked_div(2).unwrap_or(part);
            Deadline::Part(self.next(if late { now } else { until }))
        }
    }

    const fn next(self, since: Timestamp) -> Self {
        Self {
            since,
            parts: self.parts.saturating_add(1),
            ..self
        }
    }
}

/// One part, not shorter than what a timestamp can tell.
fn part(deadline: Duration, parts: u8) -> Duration {
    deadline
        .checked_div(parts.max(1).into())
        .unwrap_or(deadline)
        .max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(600);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    /// The moment, of these readings of the clock, at which it is over.
    fn over(readings: impl IntoIterator<Item = u64>) -> Option<u64> {
        let mut readings = readings.into_iter();
        let mut passing = Passing::from(at(readings.next()?));
        readings.find(|now| {
            loop {
                match passing.at(at(*now), DEADLINE, PARTS) {
                    Deadline::Over => return true,
                    Deadline::Part(next) => passing = next,
                    Deadline::Until(_) => return false,
                }
            }
        })
    }

    #[test]
    fn a_clock_that_goes_right_passes_it_in_time() {
        assert_eq!(over((1_000..).step_by(10).take(100)), Some(1_600));
        assert_eq!(over((1_000..).step_by(60).take(100)), Some(1_600));
        assert_eq!(over((1_000..).step_by(100).take(100)), Some(1_600));
    }

    #[test]
    fn a_step_of_the_clock_costs_a_part_and_a_half_at_most() {
        let forward = [1_000, 1_002].into_iter().chain((4_602..).step_by(10).take(100));
        assert_eq!(
            over(forward),
            Some(4_602 + 500),
            "an hour forward after two seconds"
        );
        let back = (10_000..10_300).step_by(10).chain((6_700..7_700).step_by(10));
        let passed = over(back).expect("it passes in the end") - 6_700;
        assert!(
            (300..=400).contains(&passed),
            "an hour back in the middle: {passed} s later"
        );
    }

    #[test]
    fn what_the_platform_vouches_for_counts_but_for_the_last_part() {
        let left = |since: u64| {
            let passing = Passing::vouched(at(since), at(10_000), DEADLINE, PARTS);
            let mut passing = passing;
            (10_000..).step_by(10).find(|now| {
                loop {
                    match passing.at(at(*now), DEADLINE, PARTS) {
                        Deadline::Over => break true,
                        Deadline::Part(next) => passing = next,
                        Deadline::Until(_) => break false,
                    }
                }
            })
        };
        assert_eq!(left(9_800), Some(10_400));
        assert_eq!(left(10_000), Some(10_600));
        assert_eq!(left(20_000), Some(10_600), "a moment that is yet to come is now");
        assert_eq!(
            left(6_400),
            Some(10_100),
            "an hour ago: the last part is yet to be seen"
        );
    }

    #[test]
    fn a_state_of_before_is_read() {
        let passing: Vec<Passing> = serde_json::from_str(r#"[5, {"since": 7, "parts": 2}]"#).unwrap();
        let at = |since, parts| Passing {
            parts,
            ..Passing::from(Timestamp::from_millis(since))
        };
        assert_eq!(passing, [at(5, 0), at(7, 2)]);
        assert_eq!(
            serde_json::to_string(&passing).unwrap(),
            r#"[5,{"since":7,"parts":2}]"#
        );
    }
}
