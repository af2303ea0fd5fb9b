//! [Rocket.Chat](https://docs.rocket.chat/docs/integrations), by an incoming webhook, which understands Slack's format.

use serde_json::Value;

use super::slack::{Style, payload};
use super::{Message, Sender, Settings, text};

/// Flagger's payload. The address is the secret of an incoming webhook.
pub const ROCKET: Sender = Sender {
    name: "rocket",
    bodies,
    ..Sender::CHAT
};

/// A message may have 5 000 characters unless an administrator says otherwise (`Message_MaxAllowedSize`).
const STYLE: Style = Style {
    colors: ["#0076D7", "#FF0000"],
    form: text::MENTIONS,
    text: 3_000,
    name: 250,
    value: 1_000,
};

fn bodies(message: &Message<'_>, settings: &Settings) -> Vec<Value> {
    vec![payload(message, settings, &STYLE)]
}
