//! The pods of primary and canary, and what should be rolled out.

use alloc::boxed::Box;

use async_trait::async_trait;

use super::PortError;
use crate::plan::Scale;
use crate::revision::Revision;
use crate::time::Timestamp;

/// What the pods should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The revision that the primary runs; none: leave it as it is. Its size is not a rollout's business.
    pub primary: Option<Revision>,
    /// The canary.
    pub canary: CanaryWish,
}

/// What the canary's pods should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanaryWish {
    /// Leave them as they are: before the first rollout they may carry all the traffic.
    AsIs,
    /// No pods.
    Down,
    /// Pods of this revision.
    Up {
        /// The revision.
        revision: Revision,
        /// How many pods there should be.
        scale: Scale,
    },
}

/// What was observed of the pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The revision that somebody wants to be rolled out: the newest one. None when nobody can tell.
    pub target: Option<Revision>,
    /// The primary's pods; none when nobody can tell.
    pub primary: Option<Pods>,
    /// The canary's pods; none when nobody can tell.
    pub canary: Option<Pods>,
}

/// The pods of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    /// The revision that the side was told to run; none when it runs nothing.
    pub revision: Option<Revision>,
    /// How many pods there should be.
    pub wanted: u32,
    /// How many pods there are, of any revision.
    pub total: u32,
    /// How many of them are of `revision`.
    pub updated: u32,
    /// How many of those of `revision` take requests.
    pub available: u32,
    /// Since when the side is not ready, where the platform knows.
    pub unready_since: Option<Timestamp>,
}

/// Runs the pods of primary and canary, and knows what should be rolled out.
///
/// # Contract
/// - `apply` may be called again with the same wish at any time: after a crash, after drift. It writes only a
///   difference, and does not wait until pods are ready.
/// - A side whose revision changes is replaced pod by pod: it goes on taking requests.
/// - Pods that go end their requests first.
/// - The primary is not resized, and takes no size from the canary: a primary never ends up with no pods.
/// - A revision that was wanted for the canary can be wanted for the primary as long as its rollout lasts, even if a
///   newer one has been pushed since.
/// - Each call returns within a bound of its own; a driver waits for it.
/// - `observe` reports what is, not what was last asked for.
///
/// `contract::workload` checks this for any implementation, as far as it can be seen from outside.
///
/// # Example
/// ```
/// use async_trait::async_trait;
/// use delivery_core::Revision;
/// use delivery_core::port::{Pods, PortError, Seen, Wish, Workload};
///
/// /// A machine whose only version never changes: nothing is ever rolled out.
/// struct Appliance(Revision);
///
/// #[async_trait]
/// impl Workload for Appliance {
///     async fn apply(&self, _want: &Wish) -> Result<(), PortError> {
///         Ok(())
///     }
///
///     async fn observe(&self) -> Result<Seen, PortError> {
///         let revision = Some(self.0.clone());
///         let primary = Pods { revision, wanted: 1, total: 1, updated: 1, available: 1, unready_since: None };
///         Ok(Seen { target: Some(self.0.clone()), primary: Some(primary), canary: Some(Pods::default()) })
///     }
/// }
/// ```
#[async_trait]
pub trait Workload: Send + Sync {
    /// Makes the pods so.
    async fn apply(&self, want: &Wish) -> Result<(), PortError>;

    /// What the pods are, and what should be rolled out.
    async fn observe(&self) -> Result<Seen, PortError>;
}

const _: Option<&dyn Workload> = None;
