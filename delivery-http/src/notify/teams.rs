//! Microsoft Teams: an [Adaptive Card](https://learn.microsoft.com/en-us/power-automate/overview-adaptive-cards) to the
//! webhook of a workflow, or the older message card to a connector.
//!
//! In a channel's menu, *Workflows* has a template *Post to a channel when a webhook request is received*, which makes the
//! address. Workflows do not show message cards any more; connectors show both, as long as there are any.

use serde_json::{Value, json};

use super::text::{self, Form, fitted};
use super::{Field, Message, Sender, Settings};

/// An Adaptive Card. The address is the secret of a webhook.
pub const TEAMS: Sender = Sender {
    name: "msteams",
    bodies: adaptive_card,
    refusal,
    ..Sender::CHAT
};

/// Flagger's payload: a
/// [message card](https://learn.microsoft.com/en-us/outlook/actionable-messages/message-card-reference), which only
/// connectors show. The address is the secret of a webhook.
pub const TEAMS_CONNECTOR: Sender = Sender {
    name: "msteams-connector",
    bodies: message_card,
    refusal,
    ..Sender::CHAT
};

/// A message may have 28 KB as Teams counts it, which is a fifth more than was sent. A character has up to four bytes, so
/// a text and all facts have less than 20 000 bytes.
const TEXT: usize = 2_000;
const NAME: usize = 60;
const VALUE: usize = 200;
const FACTS: usize = 10;

/// A version that every Teams knows.
const VERSION: &str = "1.2";

fn adaptive_card(message: &Message<'_>, _: &Settings) -> Vec<Value> {
    let block = |text: &str, limit, weight: &str, color: &str| {
        let text = fitted(text, limit, text::CARD);
        json!({ "type": "TextBlock", "text": text, "weight": weight, "color": color, "wrap": true })
    };
    let color = if message.is_error() {
        "Attention"
    } else {
        "Default"
    };
    let mut body = vec![
        block(&message.about.full_name(), VALUE, "Bolder", "Default"),
        block(&message.text(), TEXT, "Default", color),
    ];
    let facts = facts(message, "title", text::CARD);
    if !facts.is_empty() {
        body.push(json!({ "type": "FactSet", "facts": facts }));
    }
    vec![json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": VERSION,
                "msteams": { "width": "Full" },
                "body": body,
            },
        }],
    })]
}

fn message_card(message: &Message<'_>, _: &Settings) -> Vec<Value> {
    let who = fitted(&message.about.full_name(), VALUE, text::MARKUP);
    vec![json!({
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": if message.is_error() { "FF0000" } else { "0076D7" },
        "summary": who,
        "sections": [{
            "activityTitle": fitted(&message.text(), TEXT, text::MARKUP),
            "activitySubtitle": who,
            "facts": facts(message, "name", text::MARKUP),
        }],
    })]
}

/// What is told beside the text, with `name` for the names.
fn facts(message: &Message<'_>, name: &str, form: Form) -> Vec<Value> {
    let fact =
        |it: Field| json!({ name: fitted(&it.name, NAME, form), "value": fitted(&it.value, VALUE, form) });
    message.fields().take(FACTS).map(fact).collect()
}

/// A connector answers 200 to what Teams did not take, as in `Webhook message delivery failed with error: Microsoft Teams
/// endpoint returned HTTP error 429`. What it took is answered with `1`, or by a workflow with 202 and nothing.
fn refusal(reply: &[u8]) -> Option<String> {
    let reply = String::from_utf8_lossy(reply);
    let failed = ["Webhook message delivery failed", "endpoint returned HTTP error"];
    failed
        .iter()
        .any(|it| reply.contains(it))
        .then(|| reply.into_owned())
}
