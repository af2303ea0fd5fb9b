//! Keeps the state of one rollout.

use alloc::boxed::Box;

use async_trait::async_trait;

use super::PortError;
use crate::rollout::State;

/// Which save a state came from. Only equality means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A state and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The state.
    pub state: State,
    /// The save that it came from.
    pub version: Version,
}

/// What became of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is durable, under this version.
    Now(Version),
    /// Nothing was written: somebody else has saved since.
    Stale,
}

/// Keeps the state of one rollout.
///
/// # Contract
/// - What `save` has answered with [`Saved::Now`] is what the next `load` returns, crash or not.
/// - A save that was cut off is there whole or not at all.
/// - Compare-and-swap: of several saves over the same version, one is written and the others are [`Saved::Stale`].
/// - Each call returns within a bound of its own; a driver waits for it.
/// - Something that is no state is an error, permanent, and is left as it is.
///
/// `contract::state_store` checks this for any implementation, crashes excepted. `rollout::stored` has the text of a
/// state.
///
/// # Example
/// ```
/// use std::sync::Mutex;
///
/// use async_trait::async_trait;
/// use delivery_core::port::{Loaded, PortError, Saved, StateStore, Version};
/// use delivery_core::rollout::State;
///
/// /// Forgets when the process ends.
/// #[derive(Default)]
/// struct Memory(Mutex<Option<Loaded>>);
///
/// #[async_trait]
/// impl StateStore for Memory {
///     async fn load(&self) -> Result<Option<Loaded>, PortError> {
///         Ok(self.0.lock().unwrap().clone())
///     }
///
///     async fn save(&self, state: &State, over: Option<Version>) -> Result<Saved, PortError> {
///         let mut kept = self.0.lock().unwrap();
///         if kept.as_ref().map(|it| it.version) != over {
///             return Ok(Saved::Stale);
///         }
///         let version = Version(over.map_or(1, |it| it.0 + 1));
///         *kept = Some(Loaded { state: state.clone(), version });
///         Ok(Saved::Now(version))
///     }
/// }
/// ```
#[async_trait]
pub trait StateStore: Send + Sync {
    /// The state that was saved last; none before the first save.
    async fn load(&self) -> Result<Option<Loaded>, PortError>;

    /// Saves a state over the one that was loaded as `over`; `None` when there was none.
    async fn save(&self, state: &State, over: Option<Version>) -> Result<Saved, PortError>;
}

const _: Option<&dyn StateStore> = None;
