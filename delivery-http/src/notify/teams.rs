//! Microsoft Teams: a
//! [message card](https://learn.microsoft.com/en-us/outlook/actionable-messages/message-card-reference), which both a
//! workflow and the older connectors take.

use serde_json::{Value, json};

use super::text::{self, fitted};
use super::{Message, Sender, Settings};

/// Flagger's payload. The address is the secret of a webhook.
pub const TEAMS: Sender = Sender {
    name: "msteams",
    bodies,
    refusal,
    ..Sender::CHAT
};

/// A card may have 28 KB altogether; a character has up to four bytes.
const TEXT: usize = 3_000;
const SHORT: usize = 250;

fn bodies(message: &Message<'_>, _: &Settings) -> Vec<Value> {
    let written = |text: &str, limit| fitted(text, limit, text::MARKUP);
    let who = written(&message.about.full_name(), SHORT);
    let facts: Vec<Value> = message
        .fields()
        .map(|it| json!({ "name": written(&it.name, SHORT), "value": written(&it.value, SHORT) }))
        .collect();
    vec![json!({
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": if message.is_error() { "FF0000" } else { "0076D7" },
        "summary": who,
        "sections": [{
            "activityTitle": written(&message.text(), TEXT),
            "activitySubtitle": who,
            "facts": facts,
        }],
    })]
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
