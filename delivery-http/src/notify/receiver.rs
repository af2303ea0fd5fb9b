//! Somebody who is told.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use delivery_core::rollout::{Notice, Severity};
use delivery_outbound::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;

use super::pace::{Pace, Wait};
use super::text::{PLAIN, fitted};
use super::{Hears, Message, Rate, Sender};
use crate::client::{Call, Client, Endpoint, Limits};
use crate::error::Error;

/// How many characters of a refusal are shown.
const SAID: usize = 200;

/// Somebody who is told: an address, and how.
///
/// Shared by all rollouts that tell the same one, so that its rate and its rest count for all of them. It shows neither
/// its address, which is the secret of most webhooks, nor its token.
pub struct Receiver {
    sender: &'static Sender,
    name: String,
    endpoint: Endpoint,
    /// What an answer must not make us repeat.
    secrets: Vec<SecretString>,
    token: Option<SecretString>,
    settings: Settings,
    rate: Option<Rate>,
    timeout: Duration,
    pace: Mutex<Pace>,
}

/// What a sender may know of a receiver. Nothing of it is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The least severity that it wants to hear of. Default `Info`.
    pub severity: Severity,
    /// The channel, of those that have channels. Default `general`, as in Flagger.
    pub channel: String,
    /// The name under which a message appears. Default `flagger`, as in Flagger.
    pub username: String,
    /// How long an alert fires when nothing more is heard. Default 24 h.
    pub lasts: Duration,
    /// The source of CDEvents: a URI reference. Default `/delivery`.
    pub source: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            severity: Severity::Info,
            channel: String::from("general"),
            username: String::from("flagger"),
            lasts: Duration::from_secs(86_400),
            source: String::from("/delivery"),
        }
    }
}

impl Receiver {
    /// Somebody at this address, who is told everything within 5 s, as often as the sender allows.
    ///
    /// # Errors
    /// [`Error::Unusable`]: the address is no URL. The text does not repeat it.
    pub fn new(sender: &'static Sender, address: &SecretString) -> Result<Self, Error> {
        let mut endpoint = Endpoint::new("address", address.expose_secret())?;
        if !endpoint.ends_with(sender.path) {
            endpoint = endpoint.join(sender.path);
        }
        Ok(Self {
            sender,
            name: String::from(sender.name),
            secrets: endpoint.secrets(),
            endpoint,
            token: None,
            settings: Settings::default(),
            rate: sender.rate,
            timeout: Duration::from_secs(5),
            pace: Mutex::default(),
        })
    }

    /// With a name, to tell it from others of its kind in errors.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    /// With a token, sent as `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`Error::Unusable`]: a token with characters that no header can have. The text does not repeat it.
    pub fn token(self, token: SecretString) -> Result<Self, Error> {
        // What can be sent once can be sent always.
        let _ = Call::post(&self.endpoint).bearer("token", &token)?;
        Ok(Self {
            token: Some(token),
            ..self
        })
    }

    /// With the least severity that it wants to hear of. Of Alertmanager it decides which alerts there are; for CDEvents it
    /// has no effect.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.settings.severity = severity;
        self
    }

    /// With a channel; an empty one leaves it as it is.
    #[must_use]
    pub fn channel(mut self, channel: &str) -> Self {
        if !channel.is_empty() {
            self.settings.channel = String::from(channel);
        }
        self
    }

    /// With a name under which messages appear; an empty one leaves it as it is.
    #[must_use]
    pub fn username(mut self, username: &str) -> Self {
        if !username.is_empty() {
            self.settings.username = String::from(username);
        }
        self
    }

    /// With a time that an alert fires when nothing more is heard.
    #[must_use]
    pub fn lasts(mut self, lasts: Duration) -> Self {
        self.settings.lasts = lasts;
        self
    }

    /// With a source for CDEvents, a URI reference such as `/clusters/eu-1` or `https://ci.example.com`.
    ///
    /// # Errors
    /// [`Error::Unusable`]: it is empty, or has characters that no URI has.
    pub fn source(mut self, source: &str) -> Result<Self, Error> {
        let allowed = |it: u8| it.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&it);
        if source.is_empty() || !source.bytes().all(allowed) {
            let expected = "a URI reference such as /clusters/eu-1";
            return Err(Error::unusable("source", format!("{source:?}"), expected));
        }
        self.settings.source = String::from(source);
        Ok(self)
    }

    /// With another rate. None: as many as there are.
    #[must_use]
    pub fn rate(self, rate: Option<Rate>) -> Self {
        Self { rate, ..self }
    }

    /// With another time that a message may take; more than 0.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// What it would be sent, without sending it.
    pub fn bodies(&self, message: &Message<'_>) -> Vec<Value> {
        if self.hears(message.notice) {
            (self.sender.bodies)(message, &self.settings)
        } else {
            Vec::new()
        }
    }

    /// Whether `client` may call it.
    pub(super) fn check(&self, client: &Client) -> Result<(), Error> {
        Ok(client.check(&format!("address of {}", self.name), &self.endpoint)?)
    }

    fn hears(&self, notice: &Notice) -> bool {
        match self.sender.hears {
            Hears::Everything => true,
            Hears::Severity => notice.severity >= self.settings.severity,
        }
    }

    /// Tells it.
    pub(super) async fn tell(&self, client: &Client, message: &Message<'_>) -> Result<(), Refusal> {
        let bodies = self.bodies(message);
        if bodies.is_empty() {
            return Ok(());
        }
        let admitted = self
            .pace()
            .admit(Instant::now().into_std(), self.rate, message.notice.severity);
        admitted.map_err(|wait| Refusal::NotNow(wait.into()))?;
        for (number, body) in (1_u64..).zip(bodies) {
            // Whoever suppresses repeats by the key must not take one body of a notice for a repeat of another.
            let key = match number {
                1 => message.key(),
                more => format!("{}/{more}", message.key()),
            };
            if let Err(error) = self.post(client, &key, &body).await {
                return Err(self.refused(error));
            }
        }
        self.pace().worked();
        Ok(())
    }

    async fn post(&self, client: &Client, key: &str, body: &Value) -> Result<(), Error> {
        let mut call = Call::post(&self.endpoint)
            .body(self.sender.content_type, body.to_string().into_bytes())
            .limits(Limits::new(self.timeout, 0))
            .hide(&self.secrets);
        // A name may have characters that no header has; the bodies of programs have the key too.
        if let Ok(key) = HeaderValue::from_str(key) {
            call = call.header(HeaderName::from_static("idempotency-key"), key);
        }
        if let Some(token) = &self.token {
            call = call.bearer("token", token)?;
        }
        let reply = client.send(&call).await?;
        match (self.sender.refusal)(&reply.body) {
            Some(said) => Err(Error::Declined {
                host: reply.from,
                said: fitted(&call.blot(said), SAID, PLAIN),
            }),
            None => Ok(()),
        }
    }

    fn refused(&self, error: Error) -> Refusal {
        match error {
            error if error.is_about_the_message() => {
                self.pace().worked();
                Refusal::Message(error)
            }
            error => {
                self.pace()
                    .failed(Instant::now().into_std(), error.asked_wait(), &error.to_string());
                Refusal::NotNow(error)
            }
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        // Nothing is left half-done in it.
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("name", &self.name)
            .field("sender", &self.sender.name)
            .field("endpoint", &self.endpoint)
            .field("settings", &self.settings)
            .field("rate", &self.rate)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Why a receiver did not take a message.
pub(super) enum Refusal {
    /// It does not take this one, and never will.
    Message(Error),
    /// It may take it later.
    NotNow(Error),
}

impl From<Wait> for Error {
    fn from(wait: Wait) -> Self {
        match wait {
            Wait::Rate { left } => Self::TooMany { left },
            Wait::Rests { left, why } => Self::Resting { left, why },
        }
    }
}
