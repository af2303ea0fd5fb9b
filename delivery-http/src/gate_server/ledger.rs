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

/// What is open and what was ordered.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ledger {
    open: BTreeSet<Open>,
    orders: BTreeMap<Rollout, Orders>,
}

/// The commands of a rollout.
#[derive(Debug, Default, PartialEq)]
struct Orders {
    /// Not carried out yet, oldest first.
    waiting: Vec<Command>,
    /// What was carried out, oldest first.
    done: VecDeque<(String, Order)>,
}

/// The commands of a rollout that wait at most: as many as a rollout's state remembers, so that it knows each of them.
const WAITING: usize = 32;

/// The commands of a rollout that are remembered after they were carried out.
const REMEMBERED: usize = 256;

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Conflict {
    #[error("there was another command with the id {0}")]
    IdTaken(String),
    #[error("{WAITING} commands wait for this rollout: does a controller read them?")]
    TooMany,
    #[error("no command with the id {0} waits for this rollout")]
    NotWaiting(String),
}

impl Ledger {
    pub(super) fn is_open(&self, gate: Gate, rollout: &Rollout) -> bool {
        // A set is asked with what it holds.
        self.open.contains(&Open {
            gate,
            rollout: rollout.clone(),
        })
    }

    pub(super) const fn open(&self) -> &BTreeSet<Open> {
        &self.open
    }

    pub(super) fn waiting(&self, rollout: &Rollout) -> &[Command] {
        self.orders.get(rollout).map_or(&[], |it| &it.waiting)
    }

    /// Whether a change would change anything.
    pub(super) fn is_news(&self, rollout: &Rollout, change: &Change) -> Result<bool, Conflict> {
        let none = Orders::default();
        let orders = self.orders.get(rollout).unwrap_or(&none);
        match change {
            Change::Open { gate } => Ok(!self.is_open(*gate, rollout)),
            Change::Close { gate } => Ok(self.is_open(*gate, rollout)),
            Change::Order { id, order } => match orders.order_of(id) {
                Some(known) if known == *order => Ok(false),
                Some(_) => Err(Conflict::IdTaken(id.clone())),
                None if orders.waiting.len() >= WAITING => Err(Conflict::TooMany),
                None => Ok(true),
            },
            Change::Done { id } if orders.waiting.iter().any(|it| it.id == *id) => Ok(true),
            Change::Done { id } if orders.order_of(id).is_some() => Ok(false),
            Change::Done { id } => Err(Conflict::NotWaiting(id.clone())),
        }
    }

    pub(super) fn apply(
        &mut self,
        Entry {
            who, rollout, change, ..
        }: Entry,
    ) {
        match change {
            Change::Open { gate } => {
                self.open.insert(Open { gate, rollout });
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
                self.orders.entry(rollout).or_default().waiting.push(command);
            }
            Change::Done { id } => self.orders.entry(rollout).or_default().done(&id),
        }
    }
}

impl Orders {
    fn order_of(&self, id: &str) -> Option<Order> {
        let waiting = self.waiting.iter().find(|it| it.id == id).map(|it| it.order);
        waiting.or_else(|| self.done.iter().find(|(it, _)| it == id).map(|(_, order)| *order))
    }

    fn done(&mut self, id: &str) {
        let Some(at) = self.waiting.iter().position(|it| it.id == id) else {
            return;
        };
        let command = self.waiting.remove(at);
        if self.done.len() >= REMEMBERED {
            self.done.pop_front();
        }
        self.done.push_back((command.id, command.order));
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
            ledger.apply(Entry {
                at: Timestamp::default(),
                who: "alice".into(),
                rollout,
                change,
            });
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
        let waiting: Vec<&str> = ledger.waiting(&web()).iter().map(|it| it.id.as_str()).collect();
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
}
