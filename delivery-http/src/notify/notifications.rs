//! The port: one rollout's notices to all its receivers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use delivery_core::port::{Notifier, PortError, Sent};
use delivery_core::rollout::Notice;
use tokio::time::timeout;

use super::line::{Attempt, Deliver, Line, Tasks};
use super::queue::Progress;
use super::receiver::Refusal;
use super::{About, Message, Receiver};
use crate::client::Client;
use crate::error::{Cause, Error};

/// Tells a rollout's receivers what it does. The [module](super) says what they and the rollout can count on.
///
/// Each receiver has a task of its own, which runs while notices wait for it and ends with this. So it has to be used
/// within a runtime of tokio. Before a program ends it may [`flush`](Self::flush).
#[derive(Debug)]
pub struct Notifications {
    shared: Arc<Shared>,
    receivers: Vec<Arc<Line<Told>>>,
    tasks: Tasks,
}

/// What all receivers have in common.
#[derive(Debug)]
struct Shared {
    client: Client,
    about: About,
}

/// A receiver, and whose notices it gets.
#[derive(Debug)]
struct Told {
    shared: Arc<Shared>,
    receiver: Arc<Receiver>,
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
        let shared = Arc::new(Shared { client, about });
        let told = |receiver| {
            let shared = Arc::clone(&shared);
            Arc::new(Line::new(Told { shared, receiver }))
        };
        Ok(Self {
            receivers: receivers.into_iter().map(told).collect(),
            shared,
            tasks: Tasks::default(),
        })
    }

    /// Waits until all notices have arrived, or were given up for good, at most so long. Returns how many are left; these
    /// are sent again by the next process, as long as the outbox of the saved state has them.
    ///
    /// The outbox has those that arrived as well, until [`send`](Notifier::send) was called once more for each, which a
    /// driver does when it is called: whoever flushes before one more `advance` has no repeats after a restart.
    pub async fn flush(&self, within: Duration) -> usize {
        let flushed = async {
            for told in &self.receivers {
                told.flushed().await;
            }
        };
        // What is left is counted.
        let _ = timeout(within, flushed).await;
        self.receivers.iter().map(|it| it.queue().len()).sum()
    }
}

#[async_trait]
impl Notifier for Notifications {
    /// Answers at once. A failure is reported by the next call for its notice.
    async fn send(&self, notice: &Notice) -> Result<Sent, PortError> {
        let rollout = || self.shared.about.full_name();
        let doing = || format!("sending notice {} of {}", notice.id, rollout());
        let (mut sent, mut failed) = (Sent::Delivered, Vec::new());
        for line in &self.receivers {
            let told = &line.to;
            if told.receiver.bodies(&told.message(notice)).is_empty() {
                continue;
            }
            let span = || tracing::debug_span!("tell", receiver = told.receiver.name(), rollout = rollout());
            let progress = line.progress(notice, &self.tasks, span).map_err(|it| {
                let source = Cause::of(&it);
                Error::Setup { source }.at_port(doing())
            })?;
            match progress {
                Progress::Done => {}
                Progress::Underway => sent = Sent::Underway,
                Progress::Failed(error) => failed.push(Error::Receiver {
                    receiver: String::from(told.receiver.name()),
                    source: Box::new(error),
                }),
            }
        }
        Error::collected(failed).map_or(Ok(sent), |error| Err(error.at_port(doing())))
    }
}

impl Told {
    fn message<'a>(&'a self, notice: &'a Notice) -> Message<'a> {
        let about = &self.shared.about;
        Message { about, notice }
    }
}

#[async_trait]
impl Deliver for Told {
    type Error = Error;

    async fn attempt(&self, notice: &Notice) -> Attempt<Error> {
        let sent = self
            .receiver
            .tell(&self.shared.client, &self.message(notice))
            .await;
        match sent {
            Ok(()) => Attempt::Arrived,
            Err(Refusal::Message(error)) => Attempt::Refused(error),
            Err(Refusal::NotNow(Error::TooMany { left })) => Attempt::HeldByRate(left),
            Err(Refusal::NotNow(error)) => match error {
                Error::Resting { left, .. } => Attempt::AtRest(error, left),
                // The next attempt is told how long it has to wait.
                error => Attempt::Failed(error, Duration::ZERO),
            },
        }
    }
}
