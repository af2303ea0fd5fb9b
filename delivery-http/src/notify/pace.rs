//! When a receiver may be called, and what it has got already: plain data, without a clock.

use core::time::Duration;
use std::collections::VecDeque;
use std::time::Instant;

use delivery_core::rollout::{Notice, Severity, State};
use delivery_core::time::Timestamp;

/// How many notices a receiver gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At most so many, from 1 to 1 000 ...
    pub notices: u32,
    /// ... within any time of this length.
    pub per: Duration,
}

/// The longest rest after failures, unless the receiver asks for a longer one.
const LONGEST: Duration = Duration::from_secs(60);

/// The longest rest that a receiver may ask for.
const OBEYED: Duration = Duration::from_secs(3_600);

/// How long others wait for the one that shows whether a receiver is back.
const PROBE: Duration = Duration::from_secs(1);

/// When a receiver may be called.
///
/// After a failure it is left alone for a while, twice as long each time: a driver that waits for its notices waits for
/// a dead receiver once, not once for each notice.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When the latest notices were sent, oldest first. No more than the rate allows.
    sent: VecDeque<Instant>,
    /// How often it failed in a row.
    failures: u32,
    /// Until when it is left alone, and why.
    rests: Option<(Instant, String)>,
}

/// Why a notice is not sent yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As many as the rate allows were sent.
    Rate { left: Duration },
    /// The receiver failed a moment ago.
    Rests { left: Duration, why: String },
}

impl Pace {
    /// Whether a notice may be sent now; it is then counted. Errors are never held back by the rate, but count.
    pub(crate) fn admit(&mut self, now: Instant, rate: Option<Rate>, severity: Severity) -> Result<(), Wait> {
        if let Some((until, why)) = &mut self.rests {
            if let Some(left) = until.checked_duration_since(now).filter(|it| !it.is_zero()) {
                return Err(Wait::Rests {
                    left,
                    why: why.clone(),
                });
            }
            // This one shows whether it is back; the others, of other rollouts too, wait for that.
            *until = now + PROBE;
        }
        let Some(rate) = rate else { return Ok(()) };
        let most = usize::try_from(rate.notices.clamp(1, 1_000)).unwrap_or(1);
        while self.sent.len() > most {
            self.sent.pop_front();
        }
        if self.sent.len() == most {
            let left = self.sent.front().and_then(|it| {
                let gone = now.saturating_duration_since(*it);
                rate.per.checked_sub(gone).filter(|it| !it.is_zero())
            });
            match left {
                Some(left) if severity < Severity::Error => return Err(Wait::Rate { left }),
                Some(_) | None => {
                    self.sent.pop_front();
                }
            }
        }
        self.sent.push_back(now);
        Ok(())
    }

    /// It worked.
    pub(crate) fn worked(&mut self) {
        self.failures = 0;
        self.rests = None;
    }

    /// It failed, and asked to be left alone for `after`.
    pub(crate) fn failed(&mut self, now: Instant, after: Option<Duration>, why: &str) {
        let doubled = Duration::from_secs(1 << self.failures.min(6)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let rest = after.unwrap_or_default().min(OBEYED).max(doubled);
        self.rests = Some((now + rest, String::from(why)));
    }
}

/// Which notices of one rollout a receiver needs no more: those that it has, and those that it refused for good.
///
/// Bounded: an outbox holds [`State::OUTBOX`] notices, and what has left it does not come back.
#[derive(Debug, Default)]
pub(crate) struct Done(VecDeque<(u64, Timestamp)>);

impl Done {
    const MOST: usize = 4 * State::OUTBOX;

    pub(crate) fn has(&self, notice: &Notice) -> bool {
        self.0.contains(&(notice.id, notice.at))
    }

    pub(crate) fn add(&mut self, notice: &Notice) {
        if self.0.len() >= Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back((notice.id, notice.at));
    }
}

#[cfg(test)]
mod tests {
    use delivery_core::rollout::{Phase, Reason};
    use delivery_core::weight::Weight;
    use proptest::prelude::*;

    use super::*;

    const RATE: Option<Rate> = Some(Rate {
        notices: 2,
        per: Duration::from_secs(10),
    });

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn no_more_notices_than_allowed_within_any_time_of_that_length() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        for (at, wait) in [
            (0, None),
            (4, None),
            (5, Some(5)),
            (9, Some(1)),
            (10, None),
            (10, Some(4)),
            (14, None),
            (30, None),
            (30, None),
            (30, Some(10)),
        ] {
            let left = match pace.admit(start + seconds(at), RATE, Severity::Warn) {
                Ok(()) => None,
                Err(Wait::Rate { left }) => Some(left),
                Err(other) => panic!("{other:?}"),
            };
            assert_eq!(left, wait.map(seconds), "at {at} s");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_when_the_rate_is_kept(
            notices in 1_u32..6, per in 1_u64..20, waits in prop::collection::vec(0_u64..8, 0..60),
        ) {
            let (rate, start) = (Rate { notices, per: seconds(per) }, Instant::now());
            let (mut pace, mut now, mut sent) = (Pace::default(), 0, Vec::new());
            for wait in waits {
                now += wait;
                match pace.admit(start + seconds(now), Some(rate), Severity::Info) {
                    Ok(()) => sent.push(now),
                    Err(Wait::Rate { left }) => {
                        let later = start + seconds(now) + left;
                        prop_assert!(pace.admit(later, Some(rate), Severity::Info).is_ok(), "not any later");
                        now += left.as_secs();
                        sent.push(now);
                    }
                    Err(other) => prop_assert!(false, "{other:?}"),
                }
            }
            let most = usize::try_from(notices).unwrap();
            for (first, last) in sent.iter().zip(sent.iter().skip(most)) {
                prop_assert!(last - first >= per, "{sent:?}");
            }
        }
    }

    #[test]
    fn an_error_is_not_held_back_but_counts() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        for at in 0..5 {
            assert_eq!(pace.admit(start + seconds(at), RATE, Severity::Error), Ok(()));
        }
        let held = pace.admit(start + seconds(5), RATE, Severity::Info);
        assert_eq!(held, Err(Wait::Rate { left: seconds(8) }));
    }

    #[test]
    fn without_a_rate_everything_is_sent() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        assert!((0..10_000).all(|_| pace.admit(start, None, Severity::Info).is_ok()));
        assert_eq!(pace.sent.len(), 0);
    }

    #[test]
    fn a_receiver_that_fails_is_left_alone_for_longer_each_time() {
        let (mut now, mut pace) = (Instant::now(), Pace::default());
        for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(pace.admit(now, None, Severity::Error), Ok(()));
            pace.failed(now, None, "refused");
            let held = pace.admit(now, None, Severity::Error);
            let why = String::from("refused");
            assert_eq!(
                held,
                Err(Wait::Rests {
                    left: seconds(rest),
                    why
                })
            );
            now += seconds(rest);
        }
        pace.worked();
        pace.failed(now, None, "once more");
        assert_eq!(pace.admit(now + seconds(1), None, Severity::Info), Ok(()));
    }

    #[test]
    fn after_a_rest_one_shows_whether_it_is_back_and_the_others_wait() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        pace.failed(start, Some(seconds(30)), "down");
        let waits = |pace: &mut Pace, at| match pace.admit(start + seconds(at), None, Severity::Error) {
            Err(Wait::Rests { left, .. }) => Some(left),
            Ok(()) => None,
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(waits(&mut pace, 30), None);
        assert_eq!(waits(&mut pace, 30), Some(seconds(1)));
        // It may never answer: the next one is sent a second later.
        assert_eq!(waits(&mut pace, 31), None);
        assert_eq!(waits(&mut pace, 31), Some(seconds(1)));
        pace.worked();
        assert_eq!((waits(&mut pace, 31), waits(&mut pace, 31)), (None, None));
    }

    #[test]
    fn what_a_receiver_asks_for_is_obeyed_within_reason() {
        for (after, rest) in [(0, 1), (30, 30), (90, 90), (86_400, 3_600)] {
            let (now, mut pace) = (Instant::now(), Pace::default());
            pace.failed(now, Some(seconds(after)), "busy");
            let (left, why) = (seconds(rest), String::from("busy"));
            assert_eq!(
                pace.admit(now, None, Severity::Info),
                Err(Wait::Rests { left, why })
            );
        }
    }

    #[test]
    fn what_is_done_is_remembered_as_long_as_it_can_come_again() {
        let notice = |id, at| Notice {
            id,
            at: Timestamp::from_millis(at),
            revision: None,
            phase: Phase::Progressing,
            weight: Weight::ZERO,
            severity: Severity::Info,
            reason: Reason::NewRevision,
        };
        let mut done = Done::default();
        for id in 0..1_000 {
            assert!(!done.has(&notice(id, 7)));
            done.add(&notice(id, 7));
        }
        assert!((900..1_000).all(|id| done.has(&notice(id, 7))));
        assert!(!done.has(&notice(999, 8)), "another life of the same rollout");
        assert_eq!(done.0.len(), Done::MOST);
    }
}
