//! Tells people and programs what a rollout does.
//!
//! A [`Notice`](delivery_core::rollout::Notice) leaves a rollout's outbox through [`Notifications`], which implements the
//! port [`Notifier`](delivery_core::port::Notifier): it knows whose notice it is ([`About`]) and has a list of
//! [`Receiver`]s. What a receiver gets is made by its [`Sender`], a row of [`SENDERS`]:
//!
//! | `type` | what | address | hears |
//! |---|---|---|---|
//! | [`slack`](mod@slack) | Flagger's message with one attachment | webhook, or [`SLACK_API`] with a token | its severity |
//! | [`msteams`](mod@teams) | an Adaptive Card | webhook of a workflow | its severity |
//! | [`msteams-connector`](mod@teams) | Flagger's message card | webhook of a connector | its severity |
//! | [`discord`](mod@discord) | as Slack | webhook; `/slack` is appended | its severity |
//! | [`rocket`](mod@rocket) | as Slack | incoming webhook | its severity |
//! | [`gchat`](mod@google_chat) | Flagger's card | webhook of a space | its severity |
//! | [`webhook`](mod@webhook) | the whole notice as JSON | any | its severity |
//! | [`alertmanager`](mod@alertmanager) | two alerts, firing or resolved | `http://host:9093`; `/api/v2/alerts` is appended | everything |
//! | [`cdevents`](mod@cdevents) | CDEvents 0.5 as CloudEvents 1.0 | any sink | everything |
//!
//! ```
//! use delivery_http::notify::{About, Notifications, Receiver, sender, severity};
//! use delivery_http::{Client, Error};
//!
//! # fn example() -> Result<(), Error> {
//! let address = std::env::var("SLACK_URL").unwrap_or("https://hooks.slack.com/services/T0/B0/secret".into());
//! let slack = Receiver::new(sender("slack")?, &address.into())?
//!     .channel("deployments")
//!     .severity(severity("warn")?);
//! let about = About::new("web", "shop").cluster("eu-1");
//! let notifications = Notifications::new(Client::new()?, about, vec![slack.into()])?;
//! # Ok(())
//! # }
//! # example().unwrap();
//! ```
//!
//! # Which notices
//! As Flagger's documentation says: a receiver with severity `info` gets every notice, one with `warn` also gets errors,
//! one with `error` gets only these, and a missing severity is `info`. ([Flagger itself](severity) never sends to a
//! receiver without one.) Alertmanager must also hear that something is over: there, the severity decides which alerts
//! exist.
//!
//! # What a receiver can count on
//! - It gets a notice at least once, unless it refuses it, or the outbox overflows while it is down. A repeat after a
//!   crash has the same `Idempotency-Key` header, the same `key`, or the same CloudEvents `id`; as long as the process lives, there are no repeats: the other receivers of a notice do not get
//!   it again because one has failed.
//! - No more messages than its [`Rate`]. What is too much comes later; errors are not held back.
//! - Texts in one line, shortened to what it allows, with nothing in them that it would obey: a gate that answers
//!   `<!channel>` wakes nobody.
//!
//! # What a rollout can count on
//! No decision waits for a receiver: each has a task of its own, which sends its notices one after the other, oldest first,
//! and a notice stays in the outbox of the state until all have it. Only errors go before others, when a rate holds those
//! back. A receiver that fails is reported, once for each attempt, and tried again later. One that is down is left alone for
//! 1 s, 2 s, 4 s to a minute, or for as long as it asks; then one call, of whichever rollout, shows whether it is back. A message that it does not take as it is (400, 413, 415, 422) is
//! reported once and given up. No more notices wait than an outbox holds. The tasks end with the [`Notifications`];
//! [`flush`](Notifications::flush) waits for them, within a bound.
//!
//! # What differs from Flagger
//! | Flagger | here |
//! |---|---|
//! | a receiver without a severity gets nothing, against its documentation | everything |
//! | a message that fails is lost | it stays in the outbox, and is sent again |
//! | `waiting for traffic increase` at every interval | one notice per transition |
//! | a deadline that is exceeded is never told | it is an error |
//! | texts as they come | escaped for each format, in one line, shortened |
//! | a message card for Teams, which its workflows do not show | an Adaptive Card; the message card as `msteams-connector` |
//! | no limit | a [`Rate`] for each receiver |
//! | what Slack's API or Teams declines with a status of 200 is taken for sent | it has failed |
//! | a redirect with 302 is followed without the message | it has failed |
//! | Google Chat: titled `Flagger`, with a picture from its site | titled with [`Settings::username`], without one |
//! | an address that cannot be used is shown in the error, secret and all | never more than scheme, host and port |
//!
//! # A sender of your own
//! A sender is a value with a function that makes JSON of a message; nothing of it touches the network:
//!
//! ```
//! use delivery_core::rollout::{Notice, Phase, Reason, Severity};
//! use delivery_core::{Revision, Timestamp, Weight};
//! use delivery_http::notify::{About, Message, Receiver, Sender, Settings};
//! use serde_json::{Value, json};
//!
//! const NTFY: Sender = Sender { name: "ntfy", bodies: ntfy, ..Sender::CHAT };
//!
//! fn ntfy(message: &Message<'_>, settings: &Settings) -> Vec<Value> {
//!     let priority = if message.is_error() { 5 } else { 3 };
//!     let title = message.about.full_name();
//!     vec![json!({ "topic": settings.channel, "title": title, "message": message.text(), "priority": priority })]
//! }
//!
//! let receiver = Receiver::new(&NTFY, &"http://ntfy.example.com".into())?.channel("rollouts");
//!
//! let notice = Notice {
//!     id: 7,
//!     at: Timestamp::from_millis(1_777_000_000_000),
//!     revision: Some(Revision::new("v2")?),
//!     phase: Phase::Progressing,
//!     weight: Weight::percent(10)?,
//!     severity: Severity::Info,
//!     reason: Reason::StepDone,
//! };
//! let about = About::new("web", "shop");
//! let said = receiver.bodies(&Message { about: &about, notice: &notice });
//! assert_eq!(said[0]["message"], "Progressing v2, 10 % to the canary: the pause is over");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Whoever needs more than JSON over HTTP implements [`Notifier`](delivery_core::port::Notifier) itself.

pub mod alertmanager;
mod background;
pub mod cdevents;
pub mod discord;
pub mod google_chat;
mod line;
mod message;
mod notifications;
pub(crate) mod pace;
mod queue;
mod receiver;
pub mod rocket;
pub mod slack;
pub mod teams;
pub(crate) mod text;
pub mod webhook;

use std::time::Duration;

use serde_json::Value;

pub use self::background::Background;
pub use self::message::{About, Field, Message, severity};
pub use self::notifications::Notifications;
pub use self::pace::Rate;
pub use self::receiver::{Receiver, Settings};
use crate::Error;

/// Whom we can send to. A new one is a file beside this one and a line here.
pub const SENDERS: &[&Sender] = &[
    &slack::SLACK,
    &teams::TEAMS,
    &teams::TEAMS_CONNECTOR,
    &discord::DISCORD,
    &rocket::ROCKET,
    &google_chat::GOOGLE_CHAT,
    &webhook::WEBHOOK,
    &alertmanager::ALERTMANAGER,
    &cdevents::CDEVENTS,
];

/// Where Slack takes messages with a token, for a receiver that has no webhook.
pub const SLACK_API: &str = "https://slack.com/api/chat.postMessage";

/// How somebody is told: one row of [`SENDERS`], or one of your own.
#[derive(Debug)]
pub struct Sender {
    /// Its name, as in `spec.type` of Flagger's `AlertProvider`.
    pub name: &'static str,
    /// Appended to the path of the address, unless that ends with it.
    pub path: &'static str,
    /// The type of the bodies.
    pub content_type: &'static str,
    /// Which notices it gets to see.
    pub hears: Hears,
    /// How many messages it gets, unless [`Receiver::rate`] says otherwise. None: as many as there are.
    pub rate: Option<Rate>,
    /// What is sent for a message, one body after the other, each with an `Idempotency-Key` of its own; nothing where it
    /// means nothing to the receiver. Pure: the same for the same message.
    pub bodies: fn(&Message<'_>, &Settings) -> Vec<Value>,
    /// Why an answer with a status of 200 to 299 is a refusal after all, judged by its body; shown without secrets, in one
    /// short line.
    pub refusal: fn(&[u8]) -> Option<String>,
}

/// Which notices a sender gets to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hears {
    /// Those of the receiver's severity and above.
    Severity,
    /// All: it needs to know what is over.
    Everything,
}

impl Sender {
    /// What messages to people have in common, to fill a sender of your own: JSON to the address itself, notices by
    /// severity, 30 within a minute (as many as Discord takes), and any status of 200 to 299 is good. It sends nothing.
    pub const CHAT: Self = Self {
        name: "",
        path: "",
        content_type: "application/json",
        hears: Hears::Severity,
        rate: Some(Rate {
            notices: 30,
            per: Duration::from_secs(60),
        }),
        bodies: |_, _| Vec::new(),
        refusal: |_| None,
    };
}

/// The sender of that name.
///
/// # Errors
/// [`Error::Unusable`] for an unknown one; the text lists the known ones.
pub fn sender(name: &str) -> Result<&'static Sender, Error> {
    let known = || {
        let names: Vec<&str> = SENDERS.iter().map(|it| it.name).collect();
        Error::unusable(
            "type",
            format!("`{name}`"),
            format!("one of {}", names.join(", ")),
        )
    };
    SENDERS
        .iter()
        .find(|it| it.name == name)
        .copied()
        .ok_or_else(known)
}

#[cfg(test)]
mod tests;
