//! Who may keep a connection when there are too many: plain data, without a clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// How many connections there are at most of those that have not shown a token.
pub(super) const STRANGERS: usize = 896;

/// How many connections there are at most of those that have shown one.
pub(super) const KNOWN: usize = 128;

/// How long a connection keeps its place in any case, so that somebody honest is answered however many come after.
pub(super) const GRACE: Duration = Duration::from_millis(100);

/// The connections that there are. Strangers and those who have shown a token have places of their own, so that no number
/// of strangers keeps out somebody with a token, and among each of them whoever has had no answer for the longest time
/// makes room for the next.
#[derive(Debug, Default)]
pub(super) struct Places {
    held: BTreeMap<u64, Place>,
    /// Counts connections and answers, which puts them into the order in which they happened.
    events: u64,
}

#[derive(Debug)]
struct Place {
    /// Until when it keeps its place in any case.
    safe: Instant,
    /// When it was connected, or was last answered. Bytes that trickle in do not count: whoever sends a request without an
    /// end gets older by it.
    last: u64,
    known: bool,
    /// Dropped when its connection has to end.
    _stay: oneshot::Sender<()>,
}

impl Places {
    /// How long to wait until there is room for a new connection; nothing if there is some, or somebody who makes it.
    pub(super) fn full(&self, now: Instant) -> Option<Duration> {
        let strangers = || self.held.values().filter(|it| !it.known);
        if strangers().count() < STRANGERS {
            return None;
        }
        let next = strangers().map(|it| it.safe).min();
        let left = next.map(|it| it.saturating_duration_since(now));
        left.filter(|it| !it.is_zero())
    }

    /// Gives a place to a new connection, which ends when `stay` does. Returns its number. The one without a token that has
    /// waited the longest makes room, if there is no other.
    pub(super) fn take(&mut self, now: Instant, stay: oneshot::Sender<()>) -> u64 {
        if self.held.values().filter(|it| !it.known).count() >= STRANGERS {
            self.end_the_oldest(|it| !it.known && it.safe <= now);
        }
        let number = self.event();
        self.held.insert(
            number,
            Place {
                safe: now + GRACE,
                last: number,
                known: false,
                _stay: stay,
            },
        );
        number
    }

    /// A connection has shown a token.
    pub(super) fn is_known(&mut self, number: u64) {
        if self.held.get(&number).is_some_and(|it| !it.known) {
            if self.held.values().filter(|it| it.known).count() >= KNOWN {
                self.end_the_oldest(|it| it.known);
            }
            if let Some(place) = self.held.get_mut(&number) {
                place.known = true;
            }
        }
    }

    /// A connection got an answer.
    pub(super) fn answered(&mut self, number: u64) {
        let event = self.event();
        if let Some(place) = self.held.get_mut(&number) {
            place.last = event;
        }
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, number: u64) {
        self.held.remove(&number);
    }

    /// Ends the connection that has waited the longest, one without a token if there is any.
    pub(super) fn make_room(&mut self, now: Instant) {
        self.end_the_oldest(|it| it.safe <= now);
    }

    fn end_the_oldest(&mut self, may_end: impl Fn(&Place) -> bool) {
        let those = self.held.iter().filter(|(_, it)| may_end(it));
        let oldest = those.min_by_key(|(_, it)| (it.known, it.last));
        if let Some(number) = oldest.map(|(number, _)| *number) {
            self.held.remove(&number);
        }
    }

    const fn event(&mut self) -> u64 {
        self.events = self.events.saturating_add(1);
        self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection's number, and what tells it that it has to end.
    type Connection = (u64, oneshot::Receiver<()>);

    fn connect(places: &mut Places, now: Instant) -> Connection {
        let (stay, leave) = oneshot::channel();
        (places.take(now, stay), leave)
    }

    fn lives((_, leave): &mut Connection) -> bool {
        leave.try_recv() == Err(oneshot::error::TryRecvError::Empty)
    }

    #[test]
    fn the_one_that_has_waited_longest_makes_room() {
        let (mut places, start) = (Places::default(), Instant::now());
        let mut all: Vec<Connection> = (0..STRANGERS).map(|_| connect(&mut places, start)).collect();
        places.answered(all[0].0);
        let mut next = connect(&mut places, start + GRACE);
        let left: Vec<usize> = (0..STRANGERS).filter(|it| !lives(&mut all[*it])).collect();
        assert_eq!(left, [1], "the first was answered since");
        assert!(lives(&mut next));
        assert_eq!(places.held.len(), STRANGERS);
    }

    #[test]
    fn everybody_has_some_time_and_the_next_one_waits_for_that() {
        let (mut places, start) = (Places::default(), Instant::now());
        let (part, rest) = (GRACE / 2, GRACE / 2);
        let mut early: Vec<Connection> = (0..10).map(|_| connect(&mut places, start)).collect();
        assert_eq!(places.full(start), None);
        let mut late: Vec<Connection> = (10..STRANGERS)
            .map(|_| connect(&mut places, start + part))
            .collect();
        assert_eq!(places.full(start + part), Some(rest));
        places.make_room(start + part);
        assert!(early.iter_mut().chain(&mut late).all(lives));
        assert_eq!(places.full(start + GRACE), None);
        // The early ones have had an answer since, but no longer have to stay.
        for (number, _) in &early {
            places.answered(*number);
        }
        let mut next = connect(&mut places, start + GRACE);
        assert!(lives(&mut next) && late.iter_mut().all(lives));
        assert_eq!(early.iter_mut().map(lives).filter(|it| *it).count(), 9);
    }

    #[test]
    fn strangers_never_take_the_places_of_those_with_a_token() {
        let (mut places, mut now) = (Places::default(), Instant::now());
        let mut known: Vec<Connection> = (0..KNOWN).map(|_| connect(&mut places, now)).collect();
        for (number, _) in &known {
            places.is_known(*number);
            places.is_known(*number);
        }
        let mut strangers = Vec::new();
        for _ in 0..3 * STRANGERS {
            now += places.full(now).unwrap_or_default();
            strangers.push(connect(&mut places, now));
        }
        assert!(known.iter_mut().all(lives));
        assert_eq!(
            strangers.iter_mut().map(lives).filter(|it| *it).count(),
            STRANGERS
        );
        // One more that has a token takes the place of another that has one.
        now += GRACE;
        let mut next = connect(&mut places, now);
        places.is_known(next.0);
        assert!(lives(&mut next) && !lives(&mut known[0]) && lives(&mut known[1]));
        assert_eq!(places.held.len(), STRANGERS - 1 + KNOWN);
    }

    #[test]
    fn a_connection_that_ends_gives_its_place_back() {
        let (mut places, now) = (Places::default(), Instant::now());
        let (number, _) = connect(&mut places, now);
        places.leave(number);
        places.answered(number);
        places.is_known(number);
        assert!(places.held.is_empty());
        places.make_room(now);
    }

    #[test]
    fn without_file_handles_a_stranger_goes_first() {
        let (mut places, start) = (Places::default(), Instant::now());
        let (mut known, mut stranger) = (connect(&mut places, start), connect(&mut places, start));
        places.is_known(known.0);
        places.make_room(start + GRACE);
        assert!(lives(&mut known) && !lives(&mut stranger));
        places.make_room(start + GRACE);
        assert!(!lives(&mut known));
    }
}
