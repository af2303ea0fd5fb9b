//! [Discord](https://discord.com/developers/docs/resources/webhook#execute-slackcompatible-webhook), by its webhooks that
//! understand Slack's format.

use serde_json::Value;

use super::slack::{Style, payload};
use super::{Message, Sender, Settings, text};

/// Flagger's payload. `/slack` is appended to the address of the webhook, which is its secret.
pub const DISCORD: Sender = Sender {
    name: "discord",
    path: "/slack",
    bodies,
    ..Sender::CHAT
};

/// The [limits of an embed](https://discord.com/developers/docs/resources/message#embed-object-embed-limits), which
/// Discord makes of an attachment; it refuses what is longer.
const STYLE: Style = Style {
    colors: ["good", "danger"],
    form: text::MENTIONS,
    text: 3_000,
    name: 256,
    value: 500,
};

fn bodies(message: &Message<'_>, settings: &Settings) -> Vec<Value> {
    vec![payload(message, settings, &STYLE)]
}
