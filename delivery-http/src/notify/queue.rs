//! What a receiver has not got yet, and how it went: plain data, without a clock.

use std::collections::VecDeque;

use delivery_core::rollout::{Notice, Severity, State};
use delivery_core::time::Timestamp;

use super::pace::Done;

/// One rollout's notices for one receiver, oldest first.
///
/// Bounded: there are no more than an outbox holds. When one more comes, the oldest goes, as it went from the outbox.
#[derive(Debug)]
pub(super) struct Queue<E> {
    waiting: VecDeque<Waiting<E>>,
    done: Done,
    /// Those that were refused for good, until that was reported.
    refused: VecDeque<(Key, E)>,
    /// Whether somebody works on it.
    pub(super) is_worked_on: bool,
}

#[derive(Debug)]
struct Waiting<E> {
    notice: Notice,
    /// What it failed with the last time, until that was reported.
    failure: Option<E>,
    /// Whether it was tried, or reported.
    is_known_to_fail: bool,
}

/// What tells a notice of a rollout from the others, also from those of an earlier life.
type Key = (u64, Timestamp);

const fn key(notice: &Notice) -> Key {
    (notice.id, notice.at)
}

/// How far a notice has got.
#[derive(Debug)]
pub(super) enum Progress<E> {
    /// It arrived, or it never will and that was reported.
    Done,
    /// It waits.
    Underway,
    /// It has failed since the last report. Unless it was refused for good, it waits for the next attempt.
    Failed(E),
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            done: Done::default(),
            refused: VecDeque::new(),
            is_worked_on: false,
        }
    }
}

impl<E> Queue<E> {
    /// How far a notice has got; it waits from now on, if it is new.
    pub(super) fn progress(&mut self, notice: &Notice) -> Progress<E> {
        let key = key(notice);
        if let Some(at) = self.refused.iter().position(|(it, _)| *it == key)
            && let Some((_, error)) = self.refused.remove(at)
        {
            return Progress::Failed(error);
        }
        if self.done.has(notice) {
            return Progress::Done;
        }
        if let Some(waiting) = self.find(notice) {
            return waiting
                .failure
                .take()
                .map_or(Progress::Underway, Progress::Failed);
        }
        if self.waiting.len() >= State::OUTBOX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Waiting {
            notice: notice.clone(),
            failure: None,
            is_known_to_fail: false,
        });
        Progress::Underway
    }

    /// The next one to be sent.
    pub(super) fn next(&self) -> Option<Notice> {
        self.waiting.front().map(|it| it.notice.clone())
    }

    /// The next one that is not held back by a rate.
    pub(super) fn next_error(&self) -> Option<Notice> {
        let error = |it: &&Waiting<E>| it.notice.severity >= Severity::Error;
        self.waiting.iter().find(error).map(|it| it.notice.clone())
    }

    pub(super) fn arrived(&mut self, notice: &Notice) {
        self.waiting.retain(|it| key(&it.notice) != key(notice));
        self.done.add(notice);
    }

    /// It does not take this one, and never will.
    pub(super) fn refused(&mut self, notice: &Notice, error: E) {
        self.arrived(notice);
        if self.refused.len() >= State::OUTBOX {
            self.refused.pop_front();
        }
        self.refused.push_back((key(notice), error));
    }

    /// It failed, and waits for the next attempt.
    pub(super) fn failed(&mut self, notice: &Notice, error: E) {
        if let Some(waiting) = self.find(notice) {
            waiting.failure = Some(error);
            waiting.is_known_to_fail = true;
        }
    }

    /// It was not tried, because the receiver is left alone. That is reported once, unless its own failure was.
    pub(super) fn held_back(&mut self, notice: &Notice, error: E) {
        if self.find(notice).is_some_and(|it| !it.is_known_to_fail) {
            self.failed(notice, error);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn find(&mut self, notice: &Notice) -> Option<&mut Waiting<E>> {
        self.waiting.iter_mut().find(|it| key(&it.notice) == key(notice))
    }
}

#[cfg(test)]
mod tests {
    use delivery_core::rollout::{Phase, Reason};
    use delivery_core::weight::Weight;

    use super::*;
    use crate::error::Error;

    fn notice(id: u64, severity: Severity) -> Notice {
        Notice {
            id,
            at: Timestamp::from_millis(7),
            revision: None,
            phase: Phase::Progressing,
            weight: Weight::ZERO,
            severity,
            reason: Reason::StepDone,
        }
    }

    fn info(id: u64) -> Notice {
        notice(id, Severity::Info)
    }

    fn error(says: &str) -> Error {
        Error::unusable("it", says, "something else")
    }

    #[test]
    fn notices_wait_in_order_and_are_known_when_they_are_done() {
        let mut queue: Queue<Error> = Queue::default();
        for id in [1, 2, 1] {
            assert!(matches!(queue.progress(&info(id)), Progress::Underway));
        }
        assert_eq!((queue.len(), queue.next()), (2, Some(info(1))));
        queue.arrived(&info(1));
        assert!(matches!(queue.progress(&info(1)), Progress::Done));
        assert_eq!(queue.next(), Some(info(2)));
    }

    #[test]
    fn there_are_no_more_than_an_outbox_holds() {
        let mut queue: Queue<Error> = Queue::default();
        for id in 0..100 {
            queue.progress(&info(id));
            queue.refused(&info(1_000 + id), error("refused"));
        }
        assert_eq!(queue.len(), State::OUTBOX);
        assert_eq!(queue.refused.len(), State::OUTBOX);
        assert_eq!(
            queue.next().unwrap().id,
            100 - u64::try_from(State::OUTBOX).unwrap()
        );
    }

    #[test]
    fn a_failure_is_reported_once_and_the_notice_waits() {
        let mut queue: Queue<Error> = Queue::default();
        queue.progress(&info(1));
        queue.held_back(&info(1), error("rests"));
        queue.held_back(&info(1), error("rests still"));
        assert!(
            matches!(queue.progress(&info(1)), Progress::Failed(it) if it.to_string().contains("rests;"))
        );
        queue.failed(&info(1), error("down"));
        queue.held_back(&info(1), error("rests"));
        assert!(matches!(queue.progress(&info(1)), Progress::Failed(it) if it.to_string().contains("down")));
        assert!(matches!(queue.progress(&info(1)), Progress::Underway));
        assert_eq!(queue.next(), Some(info(1)));
    }

    #[test]
    fn what_is_refused_is_reported_once_and_given_up() {
        let mut queue: Queue<Error> = Queue::default();
        queue.progress(&info(1));
        queue.refused(&info(1), error("never"));
        assert_eq!(queue.next(), None);
        assert!(matches!(queue.progress(&info(1)), Progress::Failed(_)));
        assert!(matches!(queue.progress(&info(1)), Progress::Done));
    }

    #[test]
    fn an_error_can_be_taken_before_the_others() {
        let mut queue: Queue<Error> = Queue::default();
        for notice in [
            info(1),
            notice(2, Severity::Warn),
            notice(3, Severity::Error),
            notice(4, Severity::Error),
        ] {
            queue.progress(&notice);
        }
        assert_eq!(queue.next_error().unwrap().id, 3);
    }
}
