//! A line of notices for somebody, and the task that sends them one after the other.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use delivery_core::rollout::Notice;
use tokio::runtime::{Handle, TryCurrentError};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{Instrument, Span};

use super::queue::{Progress, Queue};

/// Somebody who can be sent a notice.
#[async_trait]
pub(super) trait Deliver: Send + Sync + 'static {
    /// Why a notice did not arrive.
    type Error: Debug + Send + 'static;

    /// Sends a notice once.
    async fn attempt(&self, notice: &Notice) -> Attempt<Self::Error>;
}

/// How it went.
pub(super) enum Attempt<E> {
    Arrived,
    /// It does not take this one, and never will.
    Refused(E),
    /// It may take it after so long.
    Failed(E, Duration),
    /// It was not tried: as many as the rate allows were sent. Errors go all the same.
    HeldByRate(Duration),
    /// It was not tried: others have failed a moment ago.
    AtRest(E, Duration),
    /// It was begun, and is asked about again after so long.
    Underway(Duration),
}

/// The shortest pause, so that nobody is asked again and again within one moment.
const PAUSE: Duration = Duration::from_millis(1);

/// What waits for somebody.
#[derive(Debug)]
pub(super) struct Line<D: Deliver> {
    pub(super) to: D,
    queue: Mutex<Queue<D::Error>>,
    /// There is one more notice.
    more: Notify,
    /// There is one notice less.
    less: Notify,
}

/// The tasks of some lines. They end when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<JoinSet<()>>);

impl<D: Deliver> Line<D> {
    pub(super) fn new(to: D) -> Self {
        Self {
            to,
            queue: Mutex::default(),
            more: Notify::new(),
            less: Notify::new(),
        }
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue<D::Error>> {
        // Nothing is left half-done in it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far a notice has got. If anything waits, there is a task that sends it, described by `span`.
    ///
    /// # Errors
    /// There is no runtime. Nothing is lost: it waits.
    pub(super) fn progress(
        self: &Arc<Self>,
        notice: &Notice,
        tasks: &Tasks,
        span: impl FnOnce() -> Span,
    ) -> Result<Progress<D::Error>, TryCurrentError> {
        let progress = self.queue().progress(notice);
        if self.queue().len() > 0 {
            let runtime = Handle::try_current()?;
            self.see_to(tasks, &runtime, span);
        }
        Ok(progress)
    }

    fn see_to(self: &Arc<Self>, tasks: &Tasks, runtime: &Handle, span: impl FnOnce() -> Span) {
        if std::mem::replace(&mut self.queue().is_worked_on, true) {
            self.more.notify_one();
            return;
        }
        let mut work = Work {
            line: Arc::clone(self),
            is_over: false,
        };
        let mut tasks = tasks.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(async move { work.through().await }.instrument(span()), runtime);
    }

    /// Waits until there is nothing left.
    pub(super) async fn flushed(&self) {
        loop {
            let mut less = pin!(self.less.notified());
            less.as_mut().enable();
            if self.queue().len() == 0 {
                return;
            }
            less.await;
        }
    }

    /// Sends a notice. Returns how long it cannot be sent, and whether errors can.
    async fn attempt(&self, notice: &Notice) -> (Duration, bool) {
        let attempt = self.to.attempt(notice).await;
        let mut queue = self.queue();
        let wait = match attempt {
            Attempt::Arrived => {
                queue.arrived(notice);
                Duration::ZERO
            }
            Attempt::Refused(error) => {
                queue.refused(notice, error);
                Duration::ZERO
            }
            Attempt::Failed(error, wait) => {
                tracing::debug!(notice = notice.id, ?error, "not told");
                queue.failed(notice, error);
                wait
            }
            Attempt::AtRest(error, wait) => {
                queue.held_back(notice, error);
                wait.max(PAUSE)
            }
            Attempt::Underway(wait) => wait.max(PAUSE),
            Attempt::HeldByRate(wait) => return (wait.max(PAUSE), true),
        };
        self.less.notify_waiters();
        (wait, false)
    }
}

/// Somebody works on a line, until this is dropped.
struct Work<D: Deliver> {
    line: Arc<Line<D>>,
    /// Whether it has ended with nothing left, so that somebody else may work on the line by now.
    is_over: bool,
}

impl<D: Deliver> Work<D> {
    /// Sends what waits, oldest first, until there is nothing left.
    async fn through(&mut self) {
        let line = Arc::clone(&self.line);
        while let Some(notice) = self.next() {
            let (mut wait, is_held_by_rate) = line.attempt(&notice).await;
            if !is_held_by_rate {
                if !wait.is_zero() {
                    sleep(wait).await;
                }
                continue;
            }
            // An error may go first.
            let error = line.queue().next_error();
            if let Some(error) = error {
                (wait, _) = line.attempt(&error).await;
            }
            if !wait.is_zero() {
                // Until it may, or something that may go first comes.
                let _ = timeout(wait, line.more.notified()).await;
            }
        }
    }

    /// The next one. Without any, nobody works on the line any more from the same moment on.
    fn next(&mut self) -> Option<Notice> {
        let mut queue = self.line.queue();
        let next = queue.next();
        queue.is_worked_on = next.is_some();
        self.is_over = next.is_none();
        next
    }
}

impl<D: Deliver> Drop for Work<D> {
    fn drop(&mut self) {
        // It may have ended in the middle, with its runtime.
        if !self.is_over {
            self.line.queue().is_worked_on = false;
        }
    }
}
