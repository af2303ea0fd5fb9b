//! Tells people and programs what happened.

use alloc::boxed::Box;

use async_trait::async_trait;

use super::PortError;
use crate::rollout::Notice;

/// Tells people and programs what happened.
///
/// # Contract
/// - `send` may be called again with the same notice: after a crash, after an error, while it is under way. The notice's
///   id is stable, so that a receiver can drop the repeat.
/// - It answers at once: no decision is made while a driver waits for it. Whoever talks to something slow hands the
///   notice to a task of its own, answers [`Sent::Underway`], and says how it went when it is called again with the same
///   notice. Until it said [`Sent::Delivered`], the notice stays in the outbox, and a restart begins anew with it.
/// - Notices come one after the other, oldest first. After one that failed, several may be sent at the same time.
/// - A notice's text may hold whatever a person or a gate wrote, line breaks too: an implementation makes it harmless in
///   its own format.
/// - An error keeps the notice in the outbox. It never holds a rollout.
///
/// `contract::notifier` checks this for any implementation, as far as it can be seen from outside.
///
/// # Example
/// ```
/// use async_trait::async_trait;
/// use delivery_core::port::{Notifier, PortError, Sent};
/// use delivery_core::rollout::Notice;
///
/// struct StandardOutput;
///
/// #[async_trait]
/// impl Notifier for StandardOutput {
///     async fn send(&self, notice: &Notice) -> Result<Sent, PortError> {
///         println!("{} {} {}: {}", notice.at, notice.phase, notice.weight, notice.reason);
///         Ok(Sent::Delivered)
///     }
/// }
/// ```
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Sends one notice, or says how far it got with it.
    async fn send(&self, notice: &Notice) -> Result<Sent, PortError>;
}

/// How far a notice got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sent {
    /// It has arrived, or it never will and that was reported: it leaves the outbox.
    Delivered,
    /// Somebody works on it: it stays in the outbox, and is asked about again soon.
    Underway,
}

const _: Option<&dyn Notifier> = None;

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

#[async_trait]
impl Notifier for Silent {
    async fn send(&self, _notice: &Notice) -> Result<Sent, PortError> {
        Ok(Sent::Delivered)
    }
}
