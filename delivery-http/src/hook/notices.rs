//! Hooks that only inform: after the end, and at every notice.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use delivery_core::port::{Notifier, PortError, Sent};
use delivery_core::rollout::{Notice, Phase, Reason, Severity};
use futures::future::join_all;

use super::webhooks::Hook;
use super::{HookKind, Webhooks};
use crate::error::Error;
use crate::notify::pace::{Done, Pace};

/// What a hook has got, and whether it is left alone for a while.
#[derive(Debug, Default)]
pub(super) struct Told {
    pace: Mutex<Pace>,
    done: Mutex<Done>,
}

/// Calls `post-rollout` and `event` hooks, all at the same time.
///
/// A hook that cannot be called is reported, and left alone for 1 s, 2 s, 4 s to a minute, or as long as it asks; its
/// notice stays in the outbox meanwhile, and the others do not get it again. A payload that it does not take as it is
/// (400, 413, 415, 422) is reported once and given up.
#[async_trait]
impl Notifier for Webhooks {
    async fn send(&self, notice: &Notice) -> Result<Sent, PortError> {
        let hears = |it: &&Hook| match it.kind {
            HookKind::Event => true,
            HookKind::PostRollout => is_end(notice),
            HookKind::ConfirmRollout
            | HookKind::PreRollout
            | HookKind::Rollout
            | HookKind::ConfirmTrafficIncrease
            | HookKind::ConfirmPromotion
            | HookKind::Rollback => false,
        };
        let told = self.hooks.iter().filter(hears).map(|it| self.tell(it, notice));
        let failed = join_all(told).await.into_iter().filter_map(Result::err).collect();
        Error::collected(failed).map_or(Ok(Sent::Delivered), |error| {
            let rollout = &self.rollout;
            Err(error.at_port(format!(
                "sending notice {} of {}.{}",
                notice.id, rollout.name, rollout.namespace
            )))
        })
    }
}

impl Webhooks {
    async fn tell(&self, hook: &Hook, notice: &Notice) -> Result<(), Error> {
        let told = &hook.told;
        if locked(&told.done, |it| it.has(notice)) {
            return Ok(());
        }
        let named = |error| Error::Receiver {
            receiver: format!("{} hook {}", hook.kind, hook.name),
            source: Box::new(error),
        };
        // Urgent ones are not held back by a rate, and there is none.
        locked(&told.pace, |it| it.admit(Instant::now(), None, Severity::Error))
            .map_err(|it| named(it.into()))?;
        let payload = self.rollout.notice(hook.kind, notice, &hook.metadata);
        let key = self
            .rollout
            .notice_key(hook.kind, &hook.name, notice.id, notice.at);
        match hook.call(&self.client, &self.rollout, &payload, &key).await {
            Ok(_) => {
                locked(&told.pace, Pace::worked);
                locked(&told.done, |it| it.add(notice));
                Ok(())
            }
            Err(error) => {
                if error.is_about_the_message() {
                    locked(&told.pace, Pace::worked);
                    locked(&told.done, |it| it.add(notice));
                } else {
                    let after = error.asked_wait();
                    locked(&told.pace, |it| {
                        it.failed(Instant::now(), after, &error.to_string())
                    });
                }
                Err(named(error))
            }
        }
    }

    /// The same notifier without what hooks with `muteAlert` have said: wrap what alerts people.
    ///
    /// ```
    /// use delivery_core::port::Silent;
    /// use delivery_http::Client;
    /// use delivery_http::hook::Webhooks;
    ///
    /// # fn example() -> Result<(), delivery_http::Error> {
    /// let hooks = Webhooks::of("web", "shop").build(&Client::new()?)?;
    /// let alerts = hooks.mute(Silent);
    /// # Ok(())
    /// # }
    /// # example().unwrap();
    /// ```
    pub fn mute<N: Notifier>(&self, notifier: N) -> Muted<N> {
        let muted = self.hooks.iter().filter(|it| it.mutes_alerts);
        Muted {
            notifier,
            muted: muted.map(|it| (it.kind, it.name.clone())).collect(),
        }
    }
}

/// A notifier that does not hear what some gates have said: [`Webhooks::mute`].
#[derive(Clone, Debug)]
pub struct Muted<N> {
    notifier: N,
    muted: Vec<(HookKind, String)>,
}

#[async_trait]
impl<N: Notifier> Notifier for Muted<N> {
    async fn send(&self, notice: &Notice) -> Result<Sent, PortError> {
        let said = match &notice.reason {
            Reason::Denied { kind, gate, .. } => Some((*kind, gate)),
            Reason::RollbackAsked { gate } => Some((delivery_core::plan::GateKind::Rollback, gate)),
            _ => None,
        };
        let is_muted = |(kind, gate)| {
            self.muted
                .iter()
                .any(|(of, name)| of.gate() == Some(kind) && name == gate)
        };
        if said.is_some_and(is_muted) {
            return Ok(Sent::Delivered);
        }
        self.notifier.send(notice).await
    }
}

/// Whether a rollout has ended with it.
const fn is_end(notice: &Notice) -> bool {
    matches!(
        (notice.phase, &notice.reason),
        (Phase::Succeeded, Reason::Promoted) | (Phase::Failed, Reason::TrafficBack | Reason::PromotionFailed)
    )
}

fn locked<T, R>(value: &Mutex<T>, f: impl FnOnce(&mut T) -> R) -> R {
    // Nothing is left half-done in it.
    f(&mut value.lock().unwrap_or_else(PoisonError::into_inner))
}
