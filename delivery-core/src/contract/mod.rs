//! What every implementation of a port must pass: ours, the simulated one, yours.
//!
//! | function | port | needs, beside the port |
//! |---|---|---|
//! | [`clock()`] | [`Clock`](crate::port::Clock) | |
//! | [`state_store()`] | [`StateStore`](crate::port::StateStore) | that it is empty |
//! | [`workload()`] | [`Workload`](crate::port::Workload) | two revisions that it can run |
//! | [`traffic_router()`] | [`TrafficRouter`](crate::port::TrafficRouter) | |
//! | [`metric_source()`] | [`MetricSource`](crate::port::MetricSource) | a question that it can answer |
//! | [`approver()`] | [`Approver`](crate::port::Approver) | a question |
//! | [`notifier()`] | [`Notifier`](crate::port::Notifier) | |
//!
//! Call them in a test, on an implementation that does the real thing where possible. Each checks the promises that the
//! trait makes under `# Contract`, as far as they can be seen from outside, and returns the first that is broken as a
//! [`Violation`]. None panics, and none waits for ever.
//!
//! Every function takes `wait`, which lets a little time pass: `async || tokio::time::sleep(PAUSE).await`, or whatever
//! moves the time that the implementation lives in. It is called between two looks at something that takes a while, and
//! at most [`POLLS`] times in a row; a pause of a hundredth of what the implementation usually needs is about right. While
//! a call to the port is under way, the pauses run beside it: one that has not returned after [`POLLS`] of them is
//! taken to hang.

mod approver;
mod clock;
mod metric_source;
mod notifier;
mod state_store;
mod traffic_router;
mod workload;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::error::Error;
use core::fmt::Write;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};

pub use self::approver::approver;
pub use self::clock::clock;
pub use self::metric_source::metric_source;
pub use self::notifier::notifier;
pub use self::state_store::state_store;
pub use self::traffic_router::traffic_router;
pub use self::workload::workload;
use crate::port::PortError;

/// How often `wait` is called before something that takes a while is taken never to happen.
pub const POLLS: u32 = 500;

/// How many pauses something that is so must stay so.
const STAYS: u32 = 5;

/// A promise that an implementation does not keep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{port} breaks its contract: {promise}. Seen: {seen}")]
#[non_exhaustive]
pub struct Violation {
    /// The port's trait, e.g. `StateStore`.
    pub port: &'static str,
    /// What it promises.
    pub promise: &'static str,
    /// What was seen instead.
    pub seen: String,
}

/// A port under examination.
struct Examined<W> {
    port: &'static str,
    wait: W,
}

impl<W: AsyncFn()> Examined<W> {
    fn broken(&self, promise: &'static str, seen: impl Into<String>) -> Violation {
        Violation {
            port: self.port,
            promise,
            seen: seen.into(),
        }
    }

    fn check(
        &self,
        kept: bool,
        promise: &'static str,
        seen: impl FnOnce() -> String,
    ) -> Result<(), Violation> {
        if kept {
            Ok(())
        } else {
            Err(self.broken(promise, seen()))
        }
    }

    async fn pause(&self) {
        (self.wait)().await;
    }

    /// The output of a call that must return.
    async fn returns<T>(&self, what: &'static str, call: impl Future<Output = T>) -> Result<T, Violation> {
        let mut call = pin!(call);
        for _ in 0..POLLS {
            let mut pause = pin!((self.wait)());
            let output = poll_fn(|context| match call.as_mut().poll(context) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending => pause.as_mut().poll(context).map(|()| None),
            });
            if let Some(output) = output.await {
                return Ok(output);
            }
        }
        Err(self.broken(
            "every call returns within a bound",
            format!("`{what}` had not returned after {POLLS} pauses"),
        ))
    }

    /// The output of a call that must return, and must succeed because nothing is in its way.
    async fn succeeds<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, Violation> {
        let done = self.returns(what, call).await?;
        self.done(what, done)
    }

    fn done<T>(&self, what: &'static str, done: Result<T, PortError>) -> Result<T, Violation> {
        done.map_err(|it| {
            self.broken(
                "what is possible is done",
                format!("`{what}` failed: {}", chain(&it)),
            )
        })
    }
}

/// Two futures at the same time.
async fn both<T>(first: impl Future<Output = T>, second: impl Future<Output = T>) -> (T, T) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut one, mut two) = (None, None);
    poll_fn(|context| {
        poll_into(&mut one, first.as_mut(), context);
        poll_into(&mut two, second.as_mut(), context);
        match (one.take(), two.take()) {
            (Some(one), Some(two)) => Poll::Ready((one, two)),
            (first, second) => {
                (one, two) = (first, second);
                Poll::Pending
            }
        }
    })
    .await
}

fn poll_into<T>(
    output: &mut Option<T>,
    future: Pin<&mut impl Future<Output = T>>,
    context: &mut Context<'_>,
) {
    if output.is_none()
        && let Poll::Ready(ready) = future.poll(context)
    {
        *output = Some(ready);
    }
}

/// Polls a future once and drops it.
async fn cut_off<T>(mut future: Pin<Box<dyn Future<Output = T> + Send + '_>>) {
    poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

/// An error and its causes, as one sentence.
fn chain(error: &dyn Error) -> String {
    let mut text = format!("{error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
