//! What is asked at the same time, and what nobody waits for.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::plan::{Canary, Capabilities, Gate, GateKind, Spec, Strategy};
use crate::port::{Answer, Fault};
use crate::revision::Revision;
use crate::rollout::{Phase, Severity};
use crate::sim::{Happening, Scenario, Version as Code, World};
use crate::weight::Weight;

/// Answers nobody until everybody whom it waits for was asked in the same state.
struct Together {
    wait_for: BTreeMap<GateKind, usize>,
    asked: Mutex<BTreeMap<(String, GateKind), BTreeSet<String>>>,
}

impl Together {
    fn asked(&self, question: &GateQuestion<'_>) -> usize {
        let mut asked = self.asked.lock().unwrap();
        let state = question.key.split('/').nth(1).unwrap().to_string();
        let round = asked.entry((state, question.gate.kind)).or_default();
        round.insert(question.gate.name.clone());
        round.len()
    }
}

#[async_trait]
impl Approver for Together {
    async fn ask(&self, question: &GateQuestion<'_>) -> Result<Answer, PortError> {
        let wanted = self.wait_for.get(&question.gate.kind).copied().unwrap_or(1);
        poll_fn(|_| {
            if self.asked(question) < wanted {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
        Ok(match question.gate.kind {
            GateKind::Rollback => Answer::Denied(String::new()),
            GateKind::ConfirmRollout
            | GateKind::PreRollout
            | GateKind::Rollout
            | GateKind::ConfirmTrafficIncrease
            | GateKind::ConfirmPromotion => Answer::Approved,
        })
    }
}

#[test]
fn the_gates_of_one_round_are_asked_at_the_same_time_and_those_that_are_steps_one_by_one() {
    let gates = [
        (GateKind::ConfirmPromotion, "a"),
        (GateKind::ConfirmPromotion, "b"),
        (GateKind::Rollout, "a"),
        (GateKind::Rollback, "a"),
        (GateKind::Rollout, "b"),
        (GateKind::Rollback, "b"),
        (GateKind::Rollout, "c"),
    ];
    let canary = Canary {
        step_weight: Some(50.0),
        max_weight: Some(50.0),
        ..Canary::default()
    };
    let spec = Spec {
        gates: gates.map(|(kind, name)| Gate::new(kind, name)).into(),
        ..Spec::new(Strategy::Canary(canary))
    };
    let (plan, _) = spec.compile(&Capabilities::ALL).unwrap();
    let revision = |name| Revision::new(name).unwrap();
    let scenario = Scenario {
        happenings: [Happening::push(Duration::ZERO, revision("v2"))].into(),
        ..Scenario::new(revision("v1")).version(revision("v2"), Code::GOOD)
    };
    let world = World::new(&scenario);
    let together = Together {
        wait_for: [(GateKind::Rollout, 3), (GateKind::Rollback, 2)].into(),
        asked: Mutex::default(),
    };
    let ports = Ports {
        approver: &together,
        ..world.ports()
    };

    while world.now().since(crate::sim::START) < Duration::from_secs(3_600) {
        let advanced = finished(advance(&plan, &ports, &[])).unwrap();
        if advanced.state.phase() == Phase::Succeeded {
            break;
        }
        let next = [advanced.until, world.next_change()].into_iter().flatten().min();
        world.advance_to(next.unwrap());
    }

    let asked = together.asked.into_inner().unwrap();
    let of = |kind| {
        asked
            .iter()
            .filter(move |((_, it), _)| *it == kind)
            .map(|(_, names)| names.len())
    };
    assert!(of(GateKind::Rollout).all(|it| it == 3) && of(GateKind::Rollout).count() >= 1);
    assert!(of(GateKind::Rollback).all(|it| it == 2) && of(GateKind::Rollback).count() >= 1);
    assert_eq!(of(GateKind::ConfirmPromotion).collect::<Vec<_>>(), [1, 1]);
}

/// Answers at once, and has delivered a notice an hour later.
struct Slow<'w> {
    world: &'w World<'w>,
    since: Mutex<BTreeMap<u64, Timestamp>>,
    delivered: Mutex<Vec<u64>>,
}

#[async_trait]
impl Notifier for Slow<'_> {
    async fn send(&self, notice: &Notice) -> Result<Sent, PortError> {
        let now = self.world.now();
        let since = *self.since.lock().unwrap().entry(notice.id).or_insert(now);
        if now.since(since) < Duration::from_secs(3_600) {
            return Ok(Sent::Underway);
        }
        self.delivered.lock().unwrap().push(notice.id);
        Ok(Sent::Delivered)
    }
}

#[test]
fn a_notifier_that_takes_an_hour_delays_no_decision_and_loses_no_notice() {
    let canary = Canary {
        step_weight: Some(10.0),
        max_weight: Some(50.0),
        ..Canary::default()
    };
    let spec = Spec::new(Strategy::Canary(canary));
    let (plan, _) = spec.compile(&Capabilities::ALL).unwrap();
    let revision = |name| Revision::new(name).unwrap();
    let scenario = Scenario {
        happenings: [Happening::push(Duration::ZERO, revision("v2"))].into(),
        ..Scenario::new(revision("v1")).version(revision("v2"), Code::GOOD)
    };
    // When it is promoted, and which notices had arrived by the next day.
    let run = |slow: bool| {
        let world = World::new(&scenario);
        let notifier = Slow {
            world: &world,
            since: Mutex::default(),
            delivered: Mutex::default(),
        };
        let ports = if slow {
            Ports {
                notifier: &notifier,
                ..world.ports()
            }
        } else {
            world.ports()
        };
        let mut promoted = None;
        while world.now().since(crate::sim::START) < Duration::from_secs(86_400) {
            let advanced = finished(advance(&plan, &ports, &[])).unwrap();
            if advanced.state.phase() == Phase::Succeeded {
                promoted = promoted.or(Some(world.now()));
            }
            let next = [advanced.until, world.next_change()].into_iter().flatten().min();
            let Some(next) = next else { break };
            world.advance_to(next);
        }
        let state = finished(world.ports().store.load()).unwrap().unwrap().state;
        let delivered = notifier.delivered.into_inner().unwrap();
        (promoted, delivered, state.outbox.len(), state.dropped)
    };

    let (promoted, ..) = run(false);
    let (slowly, delivered, left, dropped) = run(true);
    assert!(promoted.is_some());
    assert_eq!(slowly, promoted, "the same moment");
    assert_eq!((left, dropped), (0, 0));
    assert!(delivered.len() > 5 && delivered.is_sorted(), "{delivered:?}");
}

/// Takes the longer for a notice the older it is: whatever is sent at the same time arrives in the wrong order.
#[derive(Default)]
struct Uneven {
    fails: bool,
    arrived: Mutex<Vec<u64>>,
}

#[async_trait]
impl Notifier for Uneven {
    async fn send(&self, notice: &Notice) -> Result<Sent, PortError> {
        for _ in notice.id..30 {
            let mut waited = false;
            poll_fn(|_| {
                let before = core::mem::replace(&mut waited, true);
                if before { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        self.arrived.lock().unwrap().push(notice.id);
        if self.fails {
            return Err(PortError {
                fault: Fault::Permanent,
                doing: "telling".into(),
                source: "nobody is there".into(),
            });
        }
        Ok(Sent::Delivered)
    }
}

#[test]
fn notices_arrive_in_their_order_and_a_receiver_that_is_gone_holds_nothing_up() {
    let (plan, _) = Spec::new(Strategy::Canary(Canary {
        step_weight: Some(10.0),
        ..Canary::default()
    }))
    .compile(&Capabilities::ALL)
    .unwrap();
    let scenario = Scenario::new(Revision::new("v1").unwrap());
    for fails in [false, true] {
        let world = World::new(&scenario);
        let mut state = State::new(world.now());
        state.outbox = (0..20)
            .map(|id| Notice {
                id,
                at: world.now(),
                revision: None,
                phase: Phase::Initializing,
                weight: Weight::ZERO,
                severity: Severity::Info,
                reason: Reason::NewRevision,
            })
            .collect();
        let before = finished(world.ports().store.load()).unwrap().map(|it| it.version);
        let saved = finished(world.ports().store.save(&state, before)).unwrap();
        assert!(matches!(saved, Saved::Now(_)));
        let notifier = Uneven {
            fails,
            ..Uneven::default()
        };
        let ports = Ports {
            notifier: &notifier,
            ..world.ports()
        };
        // Enough for two notices one after the other, and far too few for all.
        let polls = if fails { 100 } else { 600 };
        let advanced = finished_within(polls, advance(&plan, &ports, &[])).unwrap();

        let arrived = notifier.arrived.into_inner().unwrap();
        assert!(arrived.len() >= 20, "{arrived:?}");
        assert_eq!(arrived.is_sorted(), !fails, "{arrived:?}");
        assert_eq!(advanced.state.outbox.is_empty(), !fails);
    }
}

/// The output of a future that is polled a few times, and not for ever.
fn finished<T>(future: impl Future<Output = T>) -> T {
    finished_within(100, future)
}

fn finished_within<T>(polls: u32, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
    panic!("it waits for something that never comes: what should be asked together is asked one by one")
}
