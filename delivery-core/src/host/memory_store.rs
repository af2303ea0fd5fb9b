//! A store that forgets when the process ends.

use alloc::boxed::Box;

use async_trait::async_trait;

use super::std::sync::{Mutex, PoisonError};
use crate::port::{Loaded, PortError, Saved, StateStore, Version};
use crate::rollout::State;

/// Keeps the state in memory, for tests and for programs that may forget.
///
/// What happens to a rollout whose state is forgotten: the next process begins with the bootstrap of whatever is wanted
/// then. Take a [`FileStore`](super::FileStore) where that matters.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Option<Loaded>>);

impl MemoryStore {
    /// A store that has this state already, e.g. [`State::initialized`].
    pub fn with(state: State) -> Self {
        Self(Mutex::new(Some(Loaded {
            state,
            version: Version(0),
        })))
    }
}

#[async_trait]
impl StateStore for MemoryStore {
    async fn load(&self) -> Result<Option<Loaded>, PortError> {
        // Nobody panics between two fields of the state: it is replaced as a whole.
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn save(&self, state: &State, over: Option<Version>) -> Result<Saved, PortError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().map(|it| it.version) != over {
            return Ok(Saved::Stale);
        }
        let version = Version(over.map_or(1, |it| it.0.wrapping_add(1)));
        *kept = Some(Loaded {
            state: state.clone(),
            version,
        });
        Ok(Saved::Now(version))
    }
}
