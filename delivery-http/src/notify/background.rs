//! Any notifier in the background.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use delivery_core::port::{Fault, Notifier, PortError, Sent};
use delivery_core::rollout::Notice;
use tokio::time::timeout;

use super::line::{Attempt, Deliver, Line, Tasks};
use super::queue::Progress;

/// How soon a notice is tried again, or asked about, when nobody says otherwise.
const SOON: Duration = Duration::from_secs(1);

/// The longest time until a notice is tried again.
const LATEST: Duration = Duration::from_secs(3_600);

/// A notifier that takes its time, such as [`Webhooks`](crate::hook::Webhooks), with a task of its own: no decision waits
/// for it.
///
/// It gets one notice after the other, oldest first, and one that fails is tried again: after the time that the failure
/// names, or after a second. What has failed is reported by the next [`send`](Notifier::send) of its notice. No more
/// notices wait than an outbox holds; what is under way stays in the outbox, so that nothing is lost over a crash. The task
/// ends when this is dropped. [`Notifications`](super::Notifications) needs none of it.
///
/// ```
/// use std::sync::Arc;
///
/// use delivery_http::hook::Webhooks;
/// use delivery_http::notify::Background;
/// use delivery_http::{Client, FanOut};
///
/// # fn example() -> Result<(), delivery_http::Error> {
/// let hooks = Arc::new(Webhooks::of("web", "shop").build(&Client::new()?)?);
/// let told = Background::new(hooks.clone());
/// let notifier = FanOut::new().and(&told);
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
pub struct Background {
    line: Arc<Line<Slow>>,
    tasks: Tasks,
}

struct Slow(Arc<dyn Notifier>);

impl Background {
    /// The same notifier, in the background.
    pub fn new(notifier: Arc<dyn Notifier>) -> Self {
        Self {
            line: Arc::new(Line::new(Slow(notifier))),
            tasks: Tasks::default(),
        }
    }

    /// Waits until all notices have arrived, at most so long. Returns how many are left, as
    /// [`Notifications::flush`](super::Notifications::flush) does.
    pub async fn flush(&self, within: Duration) -> usize {
        // What is left is counted.
        let _ = timeout(within, self.line.flushed()).await;
        self.line.queue().len()
    }
}

#[async_trait]
impl Notifier for Background {
    async fn send(&self, notice: &Notice) -> Result<Sent, PortError> {
        let span = || tracing::debug_span!("tell");
        let progress = self
            .line
            .progress(notice, &self.tasks, span)
            .map_err(|it| PortError {
                fault: Fault::Permanent,
                doing: format!("sending notice {}", notice.id).into(),
                source: it.into(),
            })?;
        match progress {
            Progress::Done => Ok(Sent::Delivered),
            Progress::Underway => Ok(Sent::Underway),
            Progress::Failed(error) => Err(error),
        }
    }
}

#[async_trait]
impl Deliver for Slow {
    type Error = PortError;

    async fn attempt(&self, notice: &Notice) -> Attempt<PortError> {
        match self.0.send(notice).await {
            Ok(Sent::Delivered) => Attempt::Arrived,
            Ok(Sent::Underway) => Attempt::Underway(SOON),
            Err(error) => {
                let after = match error.fault {
                    Fault::Transient { after } => after,
                    Fault::Permanent => None,
                };
                Attempt::Failed(error, after.unwrap_or(SOON).clamp(SOON, LATEST))
            }
        }
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background")
            .field("waiting", &self.line.queue().len())
            .finish_non_exhaustive()
    }
}
