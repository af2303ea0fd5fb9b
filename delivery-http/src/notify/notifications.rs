//! The port: one rollout's notices to all its receivers.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use delivery_core::port::{Notifier, PortError, Sent};
use delivery_core::rollout::Notice;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::Instrument;

use super::queue::{Progress, Queue};
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
    receivers: Vec<Arc<Told>>,
    /// Those that send. They end when this is dropped.
    tasks: Mutex<JoinSet<()>>,
}

/// What all receivers have in common.
#[derive(Debug)]
struct Shared {
    client: Client,
    about: About,
}

/// A receiver, and what it knows of this rollout.
#[derive(Debug)]
struct Told {
    shared: Arc<Shared>,
    receiver: Arc<Receiver>,
    queue: Mutex<Queue>,
    /// There is one more notice.
    more: Notify,
    /// There is one notice less.
    less: Notify,
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
            Arc::new(Told {
                shared: Arc::clone(&shared),
                receiver,
                queue: Mutex::default(),
                more: Notify::new(),
                less: Notify::new(),
            })
        };
        Ok(Self {
            receivers: receivers.into_iter().map(told).collect(),
            shared,
            tasks: Mutex::default(),
        })
    }

    /// Waits until all notices have arrived, or given up for good, at most so long. Returns how many are left; these are
    /// sent again by the next process, as long as the outbox of the saved state has them.
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

    /// Lets a task send what waits for a receiver, unless there is one.
    fn see_to(&self, told: &Arc<Told>, runtime: &Handle) {
        if std::mem::replace(&mut told.queue().is_worked_on, true) {
            told.more.notify_one();
            return;
        }
        let mut work = Work {
            told: Arc::clone(told),
            is_over: false,
        };
        let (receiver, rollout) = (told.receiver.name(), self.shared.about.full_name());
        let span = tracing::debug_span!("tell", receiver, rollout);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(async move { work.through().await }.instrument(span), runtime);
    }
}

#[async_trait]
impl Notifier for Notifications {
    /// Answers at once. A failure is reported by the next call for its notice.
    async fn send(&self, notice: &Notice) -> Result<Sent, PortError> {
        let doing = || {
            format!(
                "sending notice {} of {}",
                notice.id,
                self.shared.about.full_name()
            )
        };
        let (mut sent, mut failed) = (Sent::Delivered, Vec::new());
        for told in &self.receivers {
            let progress = told.progress(notice);
            if told.queue().len() > 0 {
                let runtime = Handle::try_current().map_err(|it| {
                    let source = Cause::of(&it);
                    Error::Setup { source }.at_port(doing())
                })?;
                self.see_to(told, &runtime);
            }
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
    fn progress(&self, notice: &Notice) -> Progress {
        let message = Message {
            about: &self.shared.about,
            notice,
        };
        if self.receiver.bodies(&message).is_empty() {
            self.queue().skip(notice)
        } else {
            self.queue().progress(notice)
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing is left half-done in it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is nothing left.
    async fn flushed(&self) {
        loop {
            let mut less = pin!(self.less.notified());
            less.as_mut().enable();
            if self.queue().len() == 0 {
                return;
            }
            less.await;
        }
    }

    /// Sends a notice. Returns how long nothing, or nothing but errors, can be sent.
    async fn attempt(&self, notice: &Notice) -> Option<Held> {
        let message = Message {
            about: &self.shared.about,
            notice,
        };
        let sent = self.receiver.tell(&self.shared.client, &message).await;
        let mut queue = self.queue();
        match sent {
            Ok(()) => queue.arrived(notice),
            Err(Refusal::Message(error)) => queue.refused(notice, error),
            Err(Refusal::NotNow(Error::TooMany { left })) => return Some(Held::ByRate(left)),
            Err(Refusal::NotNow(error)) => {
                if let Error::Resting { left, .. } = error {
                    queue.held_back(notice, error);
                    return Some(Held::AtRest(left));
                }
                tracing::debug!(
                    notice = notice.id,
                    error = &error as &dyn std::error::Error,
                    "not told"
                );
                queue.failed(notice, error);
            }
        }
        self.less.notify_waiters();
        None
    }
}

/// Why a notice cannot be sent yet.
enum Held {
    /// As many as the rate allows were sent: errors go all the same.
    ByRate(Duration),
    /// The receiver failed a moment ago, and is left alone.
    AtRest(Duration),
}

/// The shortest pause, so that nobody is asked again and again within one moment.
const PAUSE: Duration = Duration::from_millis(1);

/// Somebody works on a queue, until this is dropped.
struct Work {
    told: Arc<Told>,
    /// Whether it has ended with nothing left, so that somebody else may work on the queue by now.
    is_over: bool,
}

impl Work {
    /// Sends what waits, oldest first, until there is nothing left.
    async fn through(&mut self) {
        let told = Arc::clone(&self.told);
        while let Some(notice) = self.next() {
            match told.attempt(&notice).await {
                None => {}
                Some(Held::AtRest(left)) => tokio::time::sleep(left.max(PAUSE)).await,
                Some(Held::ByRate(left)) => {
                    // One that it would have to wait for has been given up since, or may go first.
                    let error = told.queue().next_error();
                    let left = match error {
                        Some(error) => match told.attempt(&error).await {
                            None => continue,
                            Some(Held::ByRate(left) | Held::AtRest(left)) => left,
                        },
                        None => left,
                    };
                    // Until it may, or something that may go first comes.
                    let _ = timeout(left.max(PAUSE), told.more.notified()).await;
                }
            }
        }
    }

    /// The next one. Without any, nobody works on the queue any more from the same moment on.
    fn next(&mut self) -> Option<Notice> {
        let mut queue = self.told.queue();
        let next = queue.next();
        queue.is_worked_on = next.is_some();
        self.is_over = next.is_none();
        next
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // It may have ended in the middle, with its runtime.
        if !self.is_over {
            self.told.queue().is_worked_on = false;
        }
    }
}
