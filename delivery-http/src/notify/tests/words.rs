//! What the tests talk about.

use delivery_core::analysis::{Evidence, Verdict};
use delivery_core::plan::{Canary, GateKind, Spec, Strategy};
use delivery_core::rollout::{Notice, Phase, Reason, Severity, Side};
use delivery_core::{Revision, Timestamp, Weight};
use serde_json::Value;

use crate::notify::{About, Message, Receiver, sender};

impl Receiver {
    pub(super) fn sent(&self, notice: &Notice) -> Vec<Value> {
        self.bodies(&Message {
            about: &about(),
            notice,
        })
    }
}

pub(super) fn to(name: &str) -> Receiver {
    Receiver::new(sender(name).unwrap(), &"http://127.0.0.1:9/hook".into()).unwrap()
}

pub(super) fn about() -> About {
    let canary = Canary {
        step_weight: Some(10.0),
        ..Canary::default()
    };
    About::new("web", "shop").planned("Deployment/web", &Spec::new(Strategy::Canary(canary)))
}

pub(super) fn notice(id: u64, phase: Phase, severity: Severity, reason: Reason) -> Notice {
    Notice {
        id,
        at: Timestamp::from_millis(1_777_000_060_000),
        revision: Revision::new("v2").ok(),
        phase,
        weight: Weight::ZERO,
        severity,
        reason,
    }
}

pub(super) fn bootstrapped() -> Notice {
    notice(1, Phase::Initialized, Severity::Info, Reason::Bootstrapped)
}

pub(super) fn begun() -> Notice {
    notice(2, Phase::Progressing, Severity::Info, Reason::NewRevision)
}

pub(super) fn stepped() -> Notice {
    let weight = Weight::percent(10).unwrap();
    Notice {
        weight,
        ..notice(3, Phase::Progressing, Severity::Info, Reason::StepDone)
    }
}

pub(super) fn denied(said: &str) -> Notice {
    let (kind, gate, said) = (GateKind::ConfirmRollout, String::from("desk"), String::from(said));
    notice(
        4,
        Phase::Waiting,
        Severity::Warn,
        Reason::Denied { kind, gate, said },
    )
}

pub(super) fn stuck() -> Notice {
    notice(
        5,
        Phase::Promoting,
        Severity::Error,
        Reason::DeadlineExceeded { side: Side::Primary },
    )
}

pub(super) fn promoted() -> Notice {
    notice(6, Phase::Succeeded, Severity::Info, Reason::Promoted)
}

pub(super) fn asked() -> Reason {
    Reason::RollbackAsked {
        gate: String::from("desk"),
    }
}

pub(super) fn failed() -> Notice {
    let evidence = Evidence {
        metric: String::from("request-success-rate"),
        verdict: Verdict::Fail,
        value: Some(94.1),
        against: String::from("at least 99"),
    };
    let (limit, evidence) = (String::from("threshold"), vec![evidence]);
    notice(
        9,
        Phase::RollingBack,
        Severity::Error,
        Reason::BudgetExhausted {
            limit,
            allowed: 5,
            evidence,
            more: 0,
        },
    )
}

pub(super) fn returned() -> Notice {
    notice(10, Phase::Failed, Severity::Info, Reason::TrafficBack)
}
