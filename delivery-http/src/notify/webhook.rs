//! Any program that takes JSON.
//!
//! Everything that a notice says, for programs, and its sentence, for people:
//!
//! ```json
//! {
//!   "key": "shop/web/1777000000000/7", "id": 7, "at": "2026-04-24T03:06:40.000Z",
//!   "name": "web", "namespace": "shop", "cluster": null, "revision": "v2",
//!   "phase": "Progressing", "weight": 10.0, "severity": "info",
//!   "text": "Progressing v2, 10 % to the canary: the pause is over", "reason": "stepDone", "fields": {}
//! }
//! ```
//!
//! `key` identifies the notice, also when it is sent again. `weight` is in percent. `reason` is written as in a stored
//! state: a word, or an object with the evidence.

use serde_json::{Value, json};

use super::message::written;
use super::{Hears, Message, Sender, Settings};

/// The address is anything that takes a `POST`.
pub const WEBHOOK: Sender = Sender {
    name: "webhook",
    hears: Hears::Severity,
    rate: None,
    bodies,
    ..Sender::CHAT
};

fn bodies(message: &Message<'_>, _: &Settings) -> Vec<Value> {
    let notice = message.notice;
    let fields: serde_json::Map<_, _> = message.fields().map(|it| (it.name, it.value.into())).collect();
    let reason = serde_json::to_value(&notice.reason).unwrap_or_else(|_| notice.reason.to_string().into());
    vec![json!({
        "key": message.key(),
        "id": notice.id,
        "at": notice.at.to_string(),
        "name": message.about.name,
        "namespace": message.about.namespace,
        "cluster": message.about.cluster,
        "revision": notice.revision,
        "phase": notice.phase.to_string(),
        "weight": notice.weight.as_percent(),
        "severity": written(notice.severity),
        "text": message.text(),
        "reason": reason,
        "fields": fields,
    })]
}
