//! Several notifiers as one.

use std::fmt;

use async_trait::async_trait;
use delivery_core::port::{Notifier, PortError, Sent};
use delivery_core::rollout::Notice;
use futures::future::join_all;

use crate::error::{chain, soonest};

/// Tells several notifiers, all at the same time: webhooks and chats, say.
///
/// When one of them fails, all of them get the notice again later, as a notifier has to expect; those of this crate
/// remember what they have sent.
///
/// ```
/// use delivery_core::port::Silent;
/// use delivery_http::FanOut;
///
/// let (hooks, chat) = (Silent, Silent);
/// let notifier = FanOut::new().and(&hooks).and(&chat);
/// ```
#[derive(Default)]
#[must_use]
pub struct FanOut<'a>(Vec<&'a dyn Notifier>);

impl<'a> FanOut<'a> {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    pub fn and(mut self, notifier: &'a dyn Notifier) -> Self {
        self.0.push(notifier);
        self
    }
}

#[async_trait]
impl Notifier for FanOut<'_> {
    async fn send(&self, notice: &Notice) -> Result<Sent, PortError> {
        let told = join_all(self.0.iter().map(|it| it.send(notice))).await;
        let (mut furthest, mut failed) = (Sent::Delivered, Vec::new());
        for told in told {
            match told {
                Ok(sent) => furthest = furthest.max(sent),
                Err(error) => failed.push(error),
            }
        }
        if failed.len() < 2 {
            return failed.pop().map_or(Ok(furthest), Err);
        }
        let texts: Vec<String> = failed.iter().map(|it| chain(it)).collect();
        Err(PortError {
            fault: soonest(failed.iter().map(|it| it.fault)),
            doing: format!("sending notice {}", notice.id).into(),
            source: texts.join("; ").into(),
        })
    }
}

impl fmt::Debug for FanOut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FanOut").field(&self.0.len()).finish()
    }
}
