//! Tells people and programs what happened.

use alloc::boxed::Box;

use async_trait::async_trait;

use super::PortError;
use crate::rollout::Notice;

/// Tells people and programs what happened.
///
/// # Contract
/// - `send` may be called again with the same notice: after a crash, after an error. The notice's id is stable, so that
///   a receiver can drop the repeat.
/// - It answers within a bound of its own; a driver waits for it.
/// - A notice's text may hold whatever a person or a gate wrote, line breaks too: an implementation makes it harmless in
///   its own format.
/// - An error keeps the notice in the outbox. It never holds a rollout.
///
/// `contract::notifier` checks this for any implementation, as far as it can be seen from outside.
///
/// # Example
/// ```
/// use async_trait::async_trait;
/// use delivery_core::port::{Notifier, PortError};
/// use delivery_core::rollout::Notice;
///
/// struct StandardOutput;
///
/// #[async_trait]
/// impl Notifier for StandardOutput {
///     async fn send(&self, notice: &Notice) -> Result<(), PortError> {
///         println!("{} {} {}: {}", notice.at, notice.phase, notice.weight, notice.reason);
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Sends one notice.
    async fn send(&self, notice: &Notice) -> Result<(), PortError>;
}

const _: Option<&dyn Notifier> = None;

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

#[async_trait]
impl Notifier for Silent {
    async fn send(&self, _notice: &Notice) -> Result<(), PortError> {
        Ok(())
    }
}
