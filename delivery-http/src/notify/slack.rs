//! [Slack](https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks): an incoming webhook, or
//! `https://slack.com/api/chat.postMessage` with a token.

use serde_json::{Value, json};

use super::text::{self, Form, fitted};
use super::{Message, Sender, Settings};

/// Flagger's payload. The address is the secret of a webhook; with a token it is the API's.
pub const SLACK: Sender = Sender {
    name: "slack",
    bodies,
    refusal,
    ..Sender::CHAT
};

/// Slack folds an attachment long before, and cuts a message after 40 000 characters.
const STYLE: Style = Style {
    colors: ["good", "danger"],
    form: text::SLACK,
    text: 3_000,
    name: 250,
    value: 1_000,
};

fn bodies(message: &Message<'_>, settings: &Settings) -> Vec<Value> {
    vec![payload(message, settings, &STYLE)]
}

/// The API answers 200 to what it does not do, as in `{"ok":false,"error":"channel_not_found"}`. A webhook answers `ok`.
fn refusal(reply: &[u8]) -> Option<String> {
    let reply: Value = serde_json::from_slice(reply).ok()?;
    if reply.get("ok") != Some(&Value::Bool(false)) {
        return None;
    }
    let why = reply.get("error").and_then(Value::as_str);
    Some(String::from(why.unwrap_or("no reason given")))
}

/// How those differ who speak Slack's format.
pub(super) struct Style {
    /// Of an attachment: usually, and for an error.
    pub(super) colors: [&'static str; 2],
    pub(super) form: Form,
    /// The longest text, in characters.
    pub(super) text: usize,
    /// The longest name of a field or an author.
    pub(super) name: usize,
    /// The longest value of a field.
    pub(super) value: usize,
}

/// One attachment, as Flagger sends it.
pub(super) fn payload(message: &Message<'_>, settings: &Settings, style: &Style) -> Value {
    let [usual, error] = style.colors;
    let written = |text: &str, limit| fitted(text, limit, style.form);
    let fields: Vec<Value> = message
        .fields()
        .map(|it| {
            json!({
                "title": written(&it.name, style.name),
                "value": written(&it.value, style.value),
                "short": false,
            })
        })
        .collect();
    json!({
        "channel": settings.channel,
        "username": settings.username,
        "icon_url": "",
        "icon_emoji": ":rocket:",
        "attachments": [{
            "color": if message.is_error() { error } else { usual },
            "author_name": written(&message.about.full_name(), style.name),
            "text": written(&message.text(), style.text),
            "mrkdwn_in": ["text"],
            "fields": fields,
        }],
    })
}
