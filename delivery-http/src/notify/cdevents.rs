//! [CDEvents](https://cdevents.dev) 0.5, the standard for events of delivery, as
//! [CloudEvents](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md) 1.0 over
//! HTTP in structured mode.
//!
//! | what happened | events |
//! |---|---|
//! | the primary serves for the first time | `service.deployed` |
//! | a revision was promoted | `service.upgraded` |
//! | a rollback begins, or something else failed | `incident.detected` |
//! | a rollback has ended | `service.rolledback`, `incident.resolved` |
//!
//! Everything else is about a step within a rollout, for which the specification has no event. The artifact is the
//! revision that the notice is about: of `service.rolledback` the one that was given up, because a notice does not know
//! what the primary runs.
//!
//! The events are written out here: the crate `cdevents-sdk` follows the newest compiler rather than ours and brings
//! 9 000 generated lines, of which five events would be used. The tests read them back with it.

use delivery_core::rollout::{Phase, Reason, Severity};
use percent_encoding::utf8_percent_encode;
use serde_json::{Value, json};

use super::text::{PLAIN, fitted};
use super::{Hears, Message, Sender, Settings};
use crate::ENCODED;

/// The address is the sink's. The severity of the receiver has no effect: consumers count these events.
pub const CDEVENTS: Sender = Sender {
    name: "cdevents",
    content_type: "application/cloudevents+json",
    hears: Hears::Everything,
    rate: None,
    bodies,
    ..Sender::CHAT
};

const DESCRIPTION: usize = 3_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Deployed,
    Upgraded,
    RolledBack,
    Detected,
    Resolved,
}

impl Event {
    /// The type without its version.
    const fn name(self) -> &'static str {
        match self {
            Self::Deployed => "service.deployed",
            Self::Upgraded => "service.upgraded",
            Self::RolledBack => "service.rolledback",
            Self::Detected => "incident.detected",
            Self::Resolved => "incident.resolved",
        }
    }

    const fn is_incident(self) -> bool {
        matches!(self, Self::Detected | Self::Resolved)
    }
}

fn bodies(message: &Message<'_>, settings: &Settings) -> Vec<Value> {
    events(message)
        .iter()
        .map(|event| cloud_event(*event, message, settings))
        .collect()
}

fn events(message: &Message<'_>) -> &'static [Event] {
    let notice = message.notice;
    let begins = notice.phase == Phase::RollingBack && notice.severity == Severity::Warn;
    match notice.reason {
        Reason::Bootstrapped => &[Event::Deployed],
        Reason::Promoted => &[Event::Upgraded],
        Reason::TrafficBack if notice.phase == Phase::Failed => &[Event::RolledBack, Event::Resolved],
        Reason::Drifted => &[],
        _ if begins || message.is_error() => &[Event::Detected],
        _ => &[],
    }
}

/// <https://github.com/cdevents/spec/blob/v0.5.0/cloudevents-binding.md>
fn cloud_event(event: Event, message: &Message<'_>, settings: &Settings) -> Value {
    let data = cd_event(event, message, settings);
    json!({
        "specversion": "1.0",
        "id": data["context"]["id"],
        "source": data["context"]["source"],
        "type": data["context"]["type"],
        "subject": data["subject"]["id"],
        "time": data["context"]["timestamp"],
        "datacontenttype": "application/cdevents+json",
        "data": data,
    })
}

/// <https://github.com/cdevents/spec/blob/v0.5.0/spec.md#context>, and the chapters on continuous deployment and
/// operations.
fn cd_event(event: Event, message: &Message<'_>, settings: &Settings) -> Value {
    let (about, notice) = (message.about, message.notice);
    let service = format!("{}/{}", about.namespace, about.name);
    let environment = match &about.cluster {
        Some(cluster) => format!("{cluster}/{}", about.namespace),
        None => about.namespace.clone(),
    };
    let mut content = json!({ "environment": { "id": named(&environment) } });
    let mut subject = named(&service).to_owned();
    if let Some(artifact) = artifact(message) {
        content["artifactId"] = artifact.into();
    }
    if event.is_incident() {
        content["description"] = fitted(&message.text(), DESCRIPTION, PLAIN).into();
        content["service"] = json!({ "id": service });
        subject = format!("{service}/{}", message.revision());
    }
    json!({
        "context": {
            "specversion": "0.5.0",
            "id": format!("{}/{}", message.key(), event.name()),
            "source": settings.source,
            "type": format!("dev.cdevents.{}.0.3.0", event.name()),
            "timestamp": notice.at.to_string(),
        },
        "subject": { "id": subject, "content": content },
        "customData": {
            "notice": notice.id,
            "phase": notice.phase.to_string(),
            "weight": notice.weight.as_percent(),
            "revision": message.revision(),
            "reason": fitted(&notice.reason.to_string(), DESCRIPTION, PLAIN),
        },
        "customDataContentType": "application/json",
    })
}

/// An id must not be empty.
fn named(id: &str) -> &str {
    if id.is_empty() { "-" } else { id }
}

/// The revision as a [package URL](https://github.com/package-url/purl-spec): as it is where it is one.
fn artifact(message: &Message<'_>) -> Option<String> {
    let revision = message.notice.revision.as_ref()?.as_str();
    if revision.starts_with("pkg:") {
        return Some(String::from(revision));
    }
    let encoded = |text| utf8_percent_encode(text, ENCODED);
    let name = named(&message.about.name);
    Some(format!("pkg:generic/{}@{}", encoded(name), encoded(revision)))
}
