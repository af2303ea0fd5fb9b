//! What the tests talk about.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use delivery_core::plan::GateKind;
use delivery_core::port::{Notifier, PortError, Sent};
use delivery_core::rollout::{Notice, Phase, Reason, Severity};
use delivery_core::{Revision, Timestamp, Weight};
use delivery_http::Client;
use delivery_http::notify::{About, Notifications, Receiver, sender};

pub(crate) fn client() -> Client {
    Client::builder().direct().build().unwrap()
}

pub(crate) fn about() -> About {
    About::new("web", "shop")
}

pub(crate) fn receiver(name: &str, address: &str) -> Receiver {
    Receiver::new(sender(name).unwrap(), &address.into()).unwrap()
}

pub(crate) fn telling(receivers: impl IntoIterator<Item = Receiver>) -> Notifications {
    let receivers = receivers.into_iter().map(Arc::new).collect();
    Notifications::new(client(), about(), receivers).unwrap()
}

pub(crate) fn notice(id: u64, phase: Phase, severity: Severity, reason: Reason) -> Notice {
    Notice {
        id,
        at: Timestamp::from_millis(1_777_000_000_000 + id * 1_000),
        revision: Revision::new("v2").ok(),
        phase,
        weight: Weight::percent(10).unwrap(),
        severity,
        reason,
    }
}

pub(crate) fn stepped(id: u64) -> Notice {
    notice(id, Phase::Progressing, Severity::Info, Reason::StepDone)
}

pub(crate) fn denied(id: u64) -> Notice {
    let (kind, gate, said) = (GateKind::ConfirmPromotion, "desk".into(), "not yet".into());
    notice(
        id,
        Phase::WaitingPromotion,
        Severity::Warn,
        Reason::Denied { kind, gate, said },
    )
}

pub(crate) fn failed(id: u64) -> Notice {
    let (limit, allowed, evidence) = ("threshold".into(), 5, Vec::new());
    notice(
        id,
        Phase::RollingBack,
        Severity::Error,
        Reason::BudgetExhausted {
            limit,
            allowed,
            evidence,
            more: 0,
        },
    )
}

pub(crate) fn begun(id: u64) -> Notice {
    notice(id, Phase::Progressing, Severity::Info, Reason::NewRevision)
}

pub(crate) fn promoted(id: u64) -> Notice {
    notice(id, Phase::Succeeded, Severity::Info, Reason::Promoted)
}

/// Sends a notice, and asks about it until it has arrived or has failed.
pub(crate) async fn told(notifier: &dyn Notifier, notice: &Notice) -> Result<(), PortError> {
    while notifier.send(notice).await? == Sent::Underway {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// An error and its causes, as one sentence.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
