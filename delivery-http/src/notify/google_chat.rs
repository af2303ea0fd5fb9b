//! [Google Chat](https://developers.google.com/workspace/chat/quickstart/webhooks), by a webhook of a space.

use serde_json::{Value, json};

use super::text::{self, fitted};
use super::{Message, Sender, Settings};

/// Flagger's payload: a card with a paragraph for the text and one for each field. The title is the user's name, and there
/// is no picture. The key and the token in the address are its secret.
pub const GOOGLE_CHAT: Sender = Sender {
    name: "gchat",
    bodies,
    ..Sender::CHAT
};

/// A message may have [32 000 bytes](https://developers.google.com/workspace/chat/create-messages); a character has up to
/// four.
const TEXT: usize = 3_000;
const SHORT: usize = 250;

fn bodies(message: &Message<'_>, settings: &Settings) -> Vec<Value> {
    let written = |text: &str, limit| fitted(text, limit, text::HTML);
    let strong = |text: String| format!("<font color=#848484><strong>{text}</strong></font>");
    let paragraph = |text: String| json!({ "widgets": [{ "textParagraph": { "text": text } }] });
    let mut sections = vec![paragraph(strong(written(&message.text(), TEXT)))];
    sections.extend(message.fields().map(|it| {
        let (name, value) = (written(&it.name, SHORT), written(&it.value, SHORT));
        paragraph(format!("{name}<br>{}", strong(value)))
    }));
    let header: Value = json!({
        "title": written(&settings.username, SHORT),
        "subtitle": written(&message.about.full_name(), SHORT),
    });
    vec![json!({ "cards": [{ "header": header, "sections": sections }] })]
}
