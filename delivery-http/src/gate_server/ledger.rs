//! What is open and what was ordered: plain data, made of the changes alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use delivery_core::Timestamp;
use delivery_core::rollout::{Command, Order};
use serde::{Deserialize, Serialize};

use super::name::Rollout;

/// A change, who made it, and when: a line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) at: Timestamp,
    pub(super) who: String,
    pub(super) rollout: Rollout,
    #[serde(flatten)]
    pub(super) change: Change,
}

/// What is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase")]
pub(super) enum Change {
    Open { gate: Gate },
    Close { gate: Gate },
    Order { id: String, order: Order },
    Done { id: String },
}

impl Change {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Close { .. } => "close",
            Self::Order { .. } => "order",
            Self::Done { .. } => "done",
        }
    }
}

/// What can be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Gate {
    Gate,
    Rollback,
}

/// A gate that is open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Open {
    gate: Gate,
    rollout: Rollout,
}

/// The number of a line in the file. The ledger knows which lines it still needs; the others can be left out when the file
/// is written anew.
pub(super) type Line = u64;

/// What is open and what was ordered.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// With the line that has opened it.
    open: BTreeMap<Open, Line>,
    orders: BTreeMap<Rollout, Orders>,
    /// How many commands wait.
    waiting: usize,
    /// Whose command was carried out by the line of that number, oldest first, as far as it is remembered.
    done: BTreeMap<Line, Rollout>,
}

/// The commands of a rollout.
#[derive(Debug, Default)]
struct Orders {
    /// Not carried out yet, oldest first, each with its line.
    waiting: Vec<(Command, Line)>,
    /// What was carried out, oldest first.
    done: VecDeque<Done>,
}

/// A command that was carried out.
#[derive(Debug)]
struct Done {
    id: String,
    order: Order,
    ordered: Line,
    carried_out: Line,
}

/// The gates that are open at the same time at most.
const OPEN: usize = 10_000;

/// The commands of a rollout that wait at most: as many as a rollout's state remembers, so that it knows each of them.
const WAITING: usize = 32;

/// The commands of all rollouts that wait at most.
const ALL_WAITING: usize = 10_000;

/// The commands of a rollout that are remembered after they were carried out.
const REMEMBERED: usize = 256;

/// The commands of all rollouts that are remembered after they were carried out.
const ALL_REMEMBERED: usize = 10_000;

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Conflict {
    #[error("there was another command with the id {0:?}")]
    IdTaken(String),
    #[error("{WAITING} commands wait for this rollout: does a controller read them?")]
    TooMany,
    #[error("{ALL_WAITING} commands wait for all rollouts together: do their controllers read them?")]
    TooManyTogether,
    #[error("{OPEN} gates are open: close those that are not needed any more")]
    TooManyGates,
    #[error("no command with the id {0:?} waits for this rollout")]
    NotWaiting(String),
}

impl Ledger {
    pub(super) fn is_open(&self, gate: Gate, rollout: &Rollout) -> bool {
        // A map is asked with what it holds.
        self.open.contains_key(&Open {
            gate,
            rollout: rollout.clone(),
        })
    }

    pub(super) fn open(&self) -> Vec<Open> {
        self.open.keys().cloned().collect()
    }

    pub(super) fn waiting(&self, rollout: &Rollout) -> Vec<Command> {
        let waiting = self.orders.get(rollout).map(|it| it.waiting.iter());
        waiting
            .into_iter()
            .flatten()
            .map(|(command, _)| command.clone())
            .collect()
    }

    /// Whether a change would change anything.
    pub(super) fn is_news(&self, rollout: &Rollout, change: &Change) -> Result<bool, Conflict> {
        let none = Orders::default();
        let orders = self.orders.get(rollout).unwrap_or(&none);
        match change {
            Change::Open { gate } if self.is_open(*gate, rollout) => Ok(false),
            Change::Open { .. } if self.open.len() >= OPEN => Err(Conflict::TooManyGates),
            Change::Open { .. } => Ok(true),
            Change::Close { gate } => Ok(self.is_open(*gate, rollout)),
            Change::Order { id, order } => match orders.order_of(id) {
                Some(known) if known == *order => Ok(false),
                Some(_) => Err(Conflict::IdTaken(id.clone())),
                None if orders.waiting.len() >= WAITING => Err(Conflict::TooMany),
                None if self.waiting >= ALL_WAITING => Err(Conflict::TooManyTogether),
                None => Ok(true),
            },
            Change::Done { id } if orders.waiting.iter().any(|(it, _)| it.id == *id) => Ok(true),
            Change::Done { id } if orders.order_of(id).is_some() => Ok(false),
            Change::Done { id } => Err(Conflict::NotWaiting(id.clone())),
        }
    }

    /// Makes the change that the line of this number has. The numbers rise.
    pub(super) fn apply(&mut self, entry: Entry, line: Line) {
        let Entry {
            who, rollout, change, ..
        } = entry;
        match change {
            Change::Open { gate } => {
                self.open.entry(Open { gate, rollout }).or_insert(line);
            }
            Change::Close { gate } => {
                self.open.remove(&Open { gate, rollout });
            }
            Change::Order { id, order } => {
                let command = Command {
                    id,
                    actor: who,
                    order,
                };
                self.orders
                    .entry(rollout)
                    .or_default()
                    .waiting
                    .push((command, line));
                self.waiting = self.waiting.saturating_add(1);
            }
            Change::Done { id } => self.carried_out(rollout, &id, line),
        }
    }

    fn carried_out(&mut self, rollout: Rollout, id: &str, line: Line) {
        let Some(orders) = self.orders.get_mut(&rollout) else {
            return;
        };
        let Some(at) = orders.waiting.iter().position(|(it, _)| it.id == id) else {
            return;
        };
        let (command, ordered) = orders.waiting.remove(at);
        self.waiting = self.waiting.saturating_sub(1);
        orders.done.push_back(Done {
            id: command.id,
            order: command.order,
            ordered,
            carried_out: line,
        });
        if orders.done.len() > REMEMBERED
            && let Some(oldest) = orders.done.pop_front()
        {
            self.done.remove(&oldest.carried_out);
        }
        self.done.insert(line, rollout);
        if self.done.len() > ALL_REMEMBERED {
            self.forget_one();
        }
    }

    /// Forgets the command that was carried out before all the others.
    fn forget_one(&mut self) {
        if let Some((_, rollout)) = self.done.pop_first()
            && let Some(orders) = self.orders.get_mut(&rollout)
        {
            orders.done.pop_front();
            if orders.done.is_empty() && orders.waiting.is_empty() {
                self.orders.remove(&rollout);
            }
        }
    }

    /// The lines that this ledger is made of: all others can be left out, and there is the same ledger.
    pub(super) fn lines(&self) -> BTreeSet<Line> {
        let orders = self.orders.values().flat_map(|it| {
            let waiting = it.waiting.iter().map(|(_, line)| *line);
            waiting.chain(it.done.iter().flat_map(|it| [it.ordered, it.carried_out]))
        });
        self.open.values().copied().chain(orders).collect()
    }

    /// How many [lines](Self::lines) there are.
    pub(super) fn needs(&self) -> usize {
        let done = self.done.len().saturating_mul(2);
        done.saturating_add(self.open.len()).saturating_add(self.waiting)
    }

    /// Whether it says the same as another one, whose lines may have other numbers.
    pub(super) fn says_what(&self, other: &Self) -> bool {
        self.open.keys().eq(other.open.keys())
            && self.orders.len() == other.orders.len()
            && self.orders.iter().zip(&other.orders).all(|(one, two)| one.0 == two.0 && one.1.say_what(two.1))
            // The order in which they will be forgotten.
            && self.done.values().eq(other.done.values())
    }
}

impl Orders {
    fn order_of(&self, id: &str) -> Option<Order> {
        let mut waiting = self.waiting.iter().map(|(it, _)| (&it.id, it.order));
        let mut done = self.done.iter().map(|it| (&it.id, it.order));
        let same = |it: &(&String, Order)| it.0 == id;
        waiting
            .find(same)
            .or_else(|| done.find(same))
            .map(|(_, order)| order)
    }

    fn say_what(&self, other: &Self) -> bool {
        let done = |it: &Self| -> Vec<(String, Order)> {
            it.done.iter().map(|it| (it.id.clone(), it.order)).collect()
        };
        let waiting = |it: &Self| -> Vec<Command> { it.waiting.iter().map(|(it, _)| it.clone()).collect() };
        waiting(self) == waiting(other) && done(self) == done(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> Rollout {
        Rollout::new("web", "shop").unwrap()
    }

    fn order(id: &str, order: Order) -> Change {
        Change::Order { id: id.into(), order }
    }

    /// Makes a change, if there is one to make.
    fn change(ledger: &mut Ledger, rollout: Rollout, change: Change) -> Result<bool, Conflict> {
        let news = ledger.is_news(&rollout, &change)?;
        if news {
            let line = ledger.lines().last().copied().unwrap_or_default() + 1;
            let entry = Entry {
                at: Timestamp::default(),
                who: "alice".into(),
                rollout,
                change,
            };
            ledger.apply(entry, line);
            assert_eq!(ledger.lines().len(), ledger.needs());
        }
        Ok(news)
    }

    #[test]
    fn gates_are_open_by_rollout_and_kind() {
        let mut ledger = Ledger::default();
        let api = Rollout::new("api", "shop").unwrap();
        assert_eq!(
            change(&mut ledger, web(), Change::Open { gate: Gate::Gate }),
            Ok(true)
        );
        assert_eq!(
            change(&mut ledger, web(), Change::Open { gate: Gate::Gate }),
            Ok(false)
        );
        let open = |ledger: &Ledger| {
            (
                ledger.is_open(Gate::Gate, &web()),
                ledger.is_open(Gate::Rollback, &web()),
                ledger.is_open(Gate::Gate, &api),
            )
        };
        assert_eq!(open(&ledger), (true, false, false));
        assert_eq!(
            change(&mut ledger, web(), Change::Close { gate: Gate::Rollback }),
            Ok(false)
        );
        assert_eq!(
            change(&mut ledger, web(), Change::Close { gate: Gate::Gate }),
            Ok(true)
        );
        assert_eq!(open(&ledger), (false, false, false));
    }

    #[test]
    fn a_command_waits_until_it_was_carried_out_and_is_never_given_twice() {
        let mut ledger = Ledger::default();
        let conflict = || Conflict::IdTaken("1".into());
        assert_eq!(change(&mut ledger, web(), order("1", Order::Pause)), Ok(true));
        assert_eq!(change(&mut ledger, web(), order("1", Order::Pause)), Ok(false));
        assert_eq!(
            change(&mut ledger, web(), order("1", Order::Abort)),
            Err(conflict())
        );
        assert_eq!(change(&mut ledger, web(), order("2", Order::Resume)), Ok(true));
        let waiting: Vec<String> = ledger.waiting(&web()).into_iter().map(|it| it.id).collect();
        assert_eq!(waiting, ["1", "2"]);
        assert_eq!(ledger.waiting(&web())[0].actor, "alice");
        let done = |id: &str| Change::Done { id: id.into() };
        assert_eq!(change(&mut ledger, web(), done("1")), Ok(true));
        assert_eq!(change(&mut ledger, web(), done("1")), Ok(false));
        assert_eq!(
            change(&mut ledger, web(), done("3")),
            Err(Conflict::NotWaiting("3".into()))
        );
        assert_eq!(
            change(&mut ledger, web(), order("1", Order::Pause)),
            Ok(false),
            "it was carried out"
        );
        assert_eq!(
            change(&mut ledger, web(), order("1", Order::Abort)),
            Err(conflict())
        );
        assert_eq!(ledger.waiting(&web()).len(), 1);
    }

    #[test]
    fn commands_that_nobody_reads_do_not_pile_up() {
        let mut ledger = Ledger::default();
        for id in 0..32 {
            assert_eq!(
                change(&mut ledger, web(), order(&id.to_string(), Order::Pause)),
                Ok(true)
            );
        }
        assert_eq!(
            change(&mut ledger, web(), order("32", Order::Pause)),
            Err(Conflict::TooMany)
        );
        assert_eq!(change(&mut ledger, web(), order("31", Order::Pause)), Ok(false));
    }

    /// Changes as they come, each on the next line.
    fn replayed(entries: impl IntoIterator<Item = Entry>) -> Ledger {
        let mut ledger = Ledger::default();
        for (line, entry) in (1..).zip(entries) {
            ledger.apply(entry, line);
        }
        ledger
    }

    fn entry(rollout: &str, change: Change) -> Entry {
        Entry {
            at: Timestamp::default(),
            who: "alice".into(),
            rollout: Rollout::new(rollout, "shop").unwrap(),
            change,
        }
    }

    #[test]
    fn there_is_a_bound_on_gates_and_on_commands_of_all_rollouts_together() {
        let gate = Gate::Gate;
        let name = |it: usize| format!("web-{it}");
        let mut ledger = replayed((0..OPEN).map(|it| entry(&name(it), Change::Open { gate })));
        let one_more = ledger.is_news(&web(), &Change::Open { gate });
        assert_eq!(one_more, Err(Conflict::TooManyGates));
        let again = Rollout::new("web-7", "shop").unwrap();
        assert_eq!(ledger.is_news(&again, &Change::Open { gate }), Ok(false));
        let close = entry("web-7", Change::Close { gate });
        ledger.apply(close, 20_000);
        assert_eq!(ledger.is_news(&web(), &Change::Open { gate }), Ok(true));
        let commands = (0..ALL_WAITING).map(|it| entry(&name(it / 10), order(&it.to_string(), Order::Pause)));
        let ledger = replayed(commands);
        let one_more = ledger.is_news(&web(), &order("x", Order::Pause));
        assert_eq!(one_more, Err(Conflict::TooManyTogether));
    }

    #[test]
    fn what_was_carried_out_is_forgotten_in_the_order_in_which_it_was_done() {
        let commands = (0..3 * ALL_REMEMBERED).flat_map(|it| {
            let (rollout, id) = (format!("web-{}", it / 100), it.to_string());
            [
                entry(&rollout, order(&id, Order::Pause)),
                entry(&rollout, Change::Done { id }),
            ]
        });
        let ledger = replayed(commands);
        assert_eq!(ledger.needs(), 2 * ALL_REMEMBERED);
        assert_eq!(ledger.orders.len(), ALL_REMEMBERED / 100);
        let asks = |rollout: &str, id: &str| {
            let rollout = Rollout::new(rollout, "shop").unwrap();
            ledger.is_news(&rollout, &order(id, Order::Pause))
        };
        assert_eq!(asks("web-200", "20000"), Ok(false));
        assert_eq!(asks("web-199", "19999"), Ok(true), "forgotten");
        let of_one = (0..2 * REMEMBERED).flat_map(|it| {
            let id = it.to_string();
            [
                entry("web", order(&id, Order::Pause)),
                entry("web", Change::Done { id }),
            ]
        });
        assert_eq!(replayed(of_one).needs(), 2 * REMEMBERED);
    }

    mod whatever_comes {
        use proptest::prelude::*;

        use super::*;

        fn any_change() -> impl Strategy<Value = (u8, Change)> {
            let gate = prop_oneof![Just(Gate::Gate), Just(Gate::Rollback)];
            let id = || (0..6_u8).prop_map(|it| it.to_string());
            let change = prop_oneof![
                gate.clone().prop_map(|gate| Change::Open { gate }),
                gate.prop_map(|gate| Change::Close { gate }),
                (id(), prop_oneof![Just(Order::Pause), Just(Order::Abort)])
                    .prop_map(|(id, order)| Change::Order { id, order }),
                id().prop_map(|id| Change::Done { id }),
            ];
            (0..3_u8, change)
        }

        proptest! {
            /// The lines that a ledger names, with any others beside them, make the same ledger.
            #[test]
            fn the_lines_that_a_ledger_names_are_enough(
                changes in prop::collection::vec(any_change(), 0..80), latest in 0_usize..20,
            ) {
                let (mut ledger, mut lines) = (Ledger::default(), Vec::new());
                for (rollout, change) in changes {
                    let entry = entry(&format!("web-{rollout}"), change);
                    if ledger.is_news(&entry.rollout, &entry.change) == Ok(true) {
                        lines.push(entry.clone());
                        ledger.apply(entry, u64::try_from(lines.len()).unwrap());
                    }
                }
                let needed = ledger.lines();
                prop_assert_eq!(needed.len(), ledger.needs());
                let first_of_the_latest = lines.len().saturating_sub(latest);
                let kept = (1_u64..).zip(lines).filter(|(line, _)| {
                    needed.contains(line) || usize::try_from(*line).unwrap() > first_of_the_latest
                });
                prop_assert!(replayed(kept.map(|(_, it)| it)).says_what(&ledger));
            }
        }
    }
}
