//! [Alertmanager](https://prometheus.io/docs/alerting/latest/alerts_api/), by its API v2.
//!
//! A rollout has two alerts, and every notice says of both whether they fire:
//!
//! | `alertname` | `severity` | fires | resolved |
//! |---|---|---|---|
//! | `RolloutFailed` | `critical` | from a failure on, through the rollback and after it | when another revision is on its way, or one was promoted |
//! | `RolloutNeedsAttention` | `warning` | from a warning on: a check failed, a gate denied | by the next notice that warns of nothing |
//!
//! Where several Alertmanagers are one cluster, each is a receiver: an alert must reach them all.
//!
//! Alertmanager forgets an alert that nobody repeats, and notices come when something happens. So an alert that fires
//! carries an end, [`Settings::lasts`] after the notice, and one that is resolved the moment of the notice. A restart of
//! Alertmanager forgets what fires, until the next notice.

use delivery_core::rollout::{Phase, Severity};
use serde_json::{Value, json};

use super::text::{PLAIN, fitted};
use super::{Hears, Message, Sender, Settings};

/// `/api/v2/alerts` is appended to the address, e.g. `http://alertmanager:9093`.
pub const ALERTMANAGER: Sender = Sender {
    name: "alertmanager",
    path: "/api/v2/alerts",
    hears: Hears::Everything,
    rate: None,
    bodies,
    ..Sender::CHAT
};

const DESCRIPTION: usize = 3_000;

fn bodies(message: &Message<'_>, settings: &Settings) -> Vec<Value> {
    let alerts = [
        ("RolloutFailed", Severity::Error, has_failed(message)),
        (
            "RolloutNeedsAttention",
            Severity::Warn,
            message.notice.severity == Severity::Warn,
        ),
    ];
    let alerts: Vec<Value> = alerts
        .into_iter()
        .filter(|(_, severity, _)| *severity >= settings.severity)
        .map(|(name, severity, fires)| alert(message, settings, name, severity, fires))
        .collect();
    if alerts.is_empty() {
        return Vec::new();
    }
    vec![Value::from(alerts)]
}

fn has_failed(message: &Message<'_>) -> bool {
    match message.notice.phase {
        Phase::RollingBack | Phase::Failed => true,
        Phase::Initializing
        | Phase::Initialized
        | Phase::Waiting
        | Phase::Progressing
        | Phase::WaitingPromotion
        | Phase::Promoting
        | Phase::Finalising
        | Phase::Succeeded => message.is_error(),
    }
}

/// As the routes of most configurations know it.
const fn as_routed(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warn => "warning",
        Severity::Error => "critical",
    }
}

/// The labels are what identifies an alert, so they must be the same when it is resolved.
fn alert(message: &Message<'_>, settings: &Settings, name: &str, severity: Severity, fires: bool) -> Value {
    let (about, at) = (message.about, message.notice.at);
    let ends = if fires { at.after(settings.lasts) } else { at };
    let mut labels = json!({
        "alertname": name,
        "severity": as_routed(severity),
        "rollout": about.name,
        "namespace": about.namespace,
    });
    if let (Some(cluster), Some(labels)) = (&about.cluster, labels.as_object_mut()) {
        labels.insert(String::from("cluster"), cluster.as_str().into());
    }
    json!({
        "labels": labels,
        "annotations": {
            "summary": format!("{} {}", about.full_name(), message.notice.phase),
            "description": fitted(&message.text(), DESCRIPTION, PLAIN),
            "revision": message.revision(),
        },
        "startsAt": at.to_string(),
        "endsAt": ends.to_string(),
    })
}
