//! What a rollout needs from the world: one trait, one capability, one file.
//!
//! | port | capability | who implements it here |
//! |---|---|---|
//! | [`Clock`] | the time | `host::SystemClock`, `sim::World` |
//! | [`StateStore`] | keeps the state of one rollout | `host::FileStore`, `host::MemoryStore`, `sim::World` |
//! | [`Workload`] | the pods of primary and canary, and what should be rolled out | `sim::World`, example `local` |
//! | [`TrafficRouter`] | moves traffic between primary and canary | `sim::World`, examples `local` and `custom-router` |
//! | [`MetricSource`] | measures | `delivery_prom::Metrics`, `delivery_http::json_metric::JsonMetrics`, `sim::World`, examples `local` and `custom-metric` |
//! | [`Approver`] | answers gates | `delivery_http::hook::Webhooks`, `delivery_prom::alerts::AlertGate`, `sim::World`, [`Open`] |
//! | [`Notifier`] | tells people | `delivery_http::hook::Webhooks`, `delivery_http::notify::Notifications`, `sim::World`, [`Silent`] |
//!
//! Facts about the world are values: "there is no data", "nobody can tell" and "somebody else saved" are not errors. An
//! error is a [`PortError`], and tells the one thing that a caller must know: whether trying again can help.
//!
//! Every port promises something under `# Contract`; with the feature `contract` the module `contract` has a function
//! for each that checks the promises against any implementation.

mod approver;
mod clock;
mod metrics;
mod notifier;
mod store;
mod traffic;
mod workload;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use core::error::Error;
use core::time::Duration;

pub use self::approver::{Answer, Approver, GateQuestion, Open};
pub use self::clock::Clock;
pub use self::metrics::{Measure, MetricSource};
pub use self::notifier::{Notifier, Sent, Silent};
pub use self::store::{Loaded, Saved, StateStore, Version};
pub use self::traffic::{Cookie, Routing, Traffic, TrafficRouter};
pub use self::workload::{CanaryWish, Pods, Seen, Wish, Workload};

/// Something that a port could not do.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct PortError {
    /// Whether trying again can help.
    pub fault: Fault,
    /// What was being done, with the object: `setting the weights of HTTPRoute shop/web`. No secrets.
    pub doing: Cow<'static, str>,
    /// The cause.
    pub source: Box<dyn Error + Send + Sync>,
}

impl PortError {
    /// Something that may well succeed when it is tried again.
    pub fn transient(
        doing: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            fault: Fault::Transient { after: None },
            doing: doing.into(),
            source: source.into(),
        }
    }

    /// Something that will fail again until somebody changes something.
    pub fn permanent(
        doing: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            fault: Fault::Permanent,
            doing: doing.into(),
            source: source.into(),
        }
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It can.
    Transient {
        /// How long to wait first, when the other side said so.
        after: Option<Duration>,
    },
    /// It cannot, until somebody changes something.
    Permanent,
}
