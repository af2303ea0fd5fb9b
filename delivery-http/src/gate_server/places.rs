//! Who may keep a connection when there are too many: plain data, without a clock.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

/// How many connections there are at most of those that have not shown a token.
pub(super) const STRANGERS: usize = 896;

/// How many connections there are at most of those that have shown one.
pub(super) const KNOWN: usize = 128;

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
    /// When it was connected, or was last answered. Bytes that trickle in do not count: whoever sends a request without an
    /// end gets older by it.
    last: u64,
    known: bool,
    /// Dropped when its connection has to end.
    _stay: oneshot::Sender<()>,
}

impl Places {
    /// Gives a place to a new connection, which ends when `stay` does. Returns its number.
    pub(super) fn take(&mut self, stay: oneshot::Sender<()>) -> u64 {
        self.make_room_for(false);
        let number = self.event();
        self.held.insert(
            number,
            Place {
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
            self.make_room_for(true);
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
    pub(super) fn make_room(&mut self) {
        let oldest = self.held.iter().min_by_key(|(_, it)| (it.known, it.last));
        if let Some(number) = oldest.map(|(number, _)| *number) {
            self.held.remove(&number);
        }
    }

    fn make_room_for(&mut self, known: bool) {
        let most = if known { KNOWN } else { STRANGERS };
        let alike = || self.held.iter().filter(|(_, it)| it.known == known);
        if alike().count() >= most
            && let Some(number) = alike().min_by_key(|(_, it)| it.last).map(|(number, _)| *number)
        {
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

    fn connect(places: &mut Places) -> Connection {
        let (stay, leave) = oneshot::channel();
        (places.take(stay), leave)
    }

    fn lives((_, leave): &mut Connection) -> bool {
        leave.try_recv() == Err(oneshot::error::TryRecvError::Empty)
    }

    #[test]
    fn the_one_that_has_waited_longest_makes_room() {
        let mut places = Places::default();
        let mut all: Vec<Connection> = (0..STRANGERS).map(|_| connect(&mut places)).collect();
        places.answered(all[0].0);
        let mut next = connect(&mut places);
        let left: Vec<usize> = (0..STRANGERS).filter(|it| !lives(&mut all[*it])).collect();
        assert_eq!(left, [1], "the first was answered since");
        assert!(lives(&mut next));
        assert_eq!(places.held.len(), STRANGERS);
    }

    #[test]
    fn strangers_never_take_the_places_of_those_with_a_token() {
        let mut places = Places::default();
        let mut known: Vec<Connection> = (0..KNOWN).map(|_| connect(&mut places)).collect();
        for (number, _) in &known {
            places.is_known(*number);
            places.is_known(*number);
        }
        let mut strangers: Vec<Connection> = (0..10 * STRANGERS).map(|_| connect(&mut places)).collect();
        assert!(known.iter_mut().all(lives));
        assert_eq!(
            strangers.iter_mut().map(lives).filter(|it| *it).count(),
            STRANGERS
        );
        // One more that has a token takes the place of another that has one.
        let mut next = connect(&mut places);
        places.is_known(next.0);
        assert!(lives(&mut next) && !lives(&mut known[0]) && lives(&mut known[1]));
        assert_eq!(places.held.len(), STRANGERS - 1 + KNOWN);
    }

    #[test]
    fn a_connection_that_ends_gives_its_place_back() {
        let mut places = Places::default();
        let (number, _) = connect(&mut places);
        places.leave(number);
        places.answered(number);
        places.is_known(number);
        assert!(places.held.is_empty());
        places.make_room();
    }

    #[test]
    fn without_file_handles_a_stranger_goes_first() {
        let mut places = Places::default();
        let (mut known, mut stranger) = (connect(&mut places), connect(&mut places));
        places.is_known(known.0);
        places.make_room();
        assert!(lives(&mut known) && !lives(&mut stranger));
        places.make_room();
        assert!(!lives(&mut known));
    }
}
