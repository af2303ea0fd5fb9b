//! The port: one rollout's notices to all its receivers.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use delivery_core::port::{Notifier, PortError, Sent};
use delivery_core::rollout::Notice;
use futures::future::join_all;
use tracing::Instrument;

use super::pace::Done;
use super::receiver::Refusal;
use super::{About, Message, Receiver};
use crate::client::Client;
use crate::error::Error;

/// Tells a rollout's receivers what it does. The [module](super) says what they and the rollout can count on.
#[derive(Debug)]
pub struct Notifications {
    client: Client,
    about: About,
    receivers: Vec<Told>,
}

/// A receiver, and what it knows of this rollout.
#[derive(Debug)]
struct Told {
    receiver: Arc<Receiver>,
    done: Mutex<Done>,
}

impl Notifications {
    /// Tells these receivers about that rollout. A receiver may be shared by several rollouts.
    ///
    /// # Errors
    /// [`Error::Unusable`]: the client may not call one of them.
    pub fn new(client: Client, about: About, receivers: Vec<Arc<Receiver>>) -> Result<Self, Error> {
        for receiver in &receivers {
            receiver.check(&client)?;
        }
        let told = |receiver| Told {
            receiver,
            done: Mutex::default(),
        };
        Ok(Self {
            client,
            about,
            receivers: receivers.into_iter().map(told).collect(),
        })
    }
}

#[async_trait]
impl Notifier for Notifications {
    async fn send(&self, notice: &Notice) -> Result<Sent, PortError> {
        let message = Message {
            about: &self.about,
            notice,
        };
        let told = self.receivers.iter().map(|it| {
            let (receiver, rollout) = (it.receiver.name(), self.about.full_name());
            let span = tracing::debug_span!("tell", receiver, rollout, notice = notice.id);
            it.tell(&self.client, &message).instrument(span)
        });
        let failed: Vec<Error> = join_all(told).await.into_iter().filter_map(Result::err).collect();
        Error::collected(failed).map_or(Ok(Sent::Delivered), |error| {
            let rollout = self.about.full_name();
            Err(error.at_port(format!("sending notice {} of {rollout}", notice.id)))
        })
    }
}

impl Told {
    async fn tell(&self, client: &Client, message: &Message<'_>) -> Result<(), Error> {
        if self.done(|it| it.has(message.notice)) {
            return Ok(());
        }
        let told = self.receiver.tell(client, message).await;
        if !matches!(told, Err(Refusal::NotNow(_))) {
            self.done(|it| it.add(message.notice));
        }
        told.map_err(
            |(Refusal::Message(error) | Refusal::NotNow(error))| Error::Receiver {
                receiver: String::from(self.receiver.name()),
                source: Box::new(error),
            },
        )
    }

    fn done<T>(&self, f: impl FnOnce(&mut Done) -> T) -> T {
        // Nothing is left half-done in it.
        f(&mut self.done.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
