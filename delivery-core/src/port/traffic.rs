//! Moves traffic between primary and canary.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::PortError;
use crate::plan::{Capabilities, MatchRule};
use crate::weight::{Split, Weight};

/// How requests are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Traffic {
    /// Each side answers its share; this is the canary's.
    Split(Weight),
    /// The primary answers everything; this share is copied to the canary, whose answers are dropped.
    Mirror(Weight),
    /// The canary answers the requests that match the rules of [`Routing`], the primary all others.
    Match,
}

impl Traffic {
    /// All traffic to the primary.
    pub const PRIMARY: Self = Self::Split(Weight::ZERO);
    /// All traffic to the canary.
    pub const CANARY: Self = Self::Split(Weight::WHOLE);

    /// The share of all requests that the canary answers for certain: nothing while mirroring or matching.
    pub const fn weight(self) -> Weight {
        match self {
            Self::Split(weight) => weight,
            Self::Mirror(_) | Self::Match => Weight::ZERO,
        }
    }

    /// Whether the canary sees requests of users, be it copies.
    pub const fn reaches_canary(self) -> bool {
        match self {
            Self::Split(weight) => !weight.is_zero(),
            Self::Mirror(_) | Self::Match => true,
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Split(weight) => Split::canary(*weight).fmt(f),
            Self::Mirror(share) => write!(f, "100/0, {share} mirrored"),
            Self::Match => f.write_str("matching requests to the canary"),
        }
    }
}

/// What a router is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// How requests are divided.
    pub traffic: Traffic,
    /// For [`Traffic::Match`]: a request that meets any of these goes to the canary. Otherwise empty.
    pub rules: Arc<[MatchRule]>,
    /// The cookie that keeps a user on the canary, if the plan asks for one.
    pub cookie: Option<Cookie>,
    /// The cookie that keeps a user on the primary, if the plan asks for one.
    pub primary_cookie: Option<Cookie>,
}

impl Routing {
    /// A split, without rules or a cookie.
    pub fn split(split: Split) -> Self {
        Self {
            traffic: Traffic::Split(split.canary),
            rules: Arc::from([]),
            cookie: None,
            primary_cookie: None,
        }
    }
}

/// A cookie that keeps a user on one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// The cookie's name.
    pub name: String,
    /// Its value: the canary's is the same for the same revision, the primary's for the same revision and weight, so that a
    /// restart moves nobody.
    pub value: String,
    /// How long a browser keeps it.
    pub max_age: Duration,
}

/// Moves traffic between primary and canary.
///
/// # Contract
/// - `apply` may be called again with the same routing at any time: after a crash, after drift. It writes only a
///   difference.
/// - `observe` reports what is *in force*, not what was last asked for; `None` when nobody can tell.
/// - What was applied is in force after a while, and stays so until something else is applied.
/// - Each call returns within a bound of its own; a driver waits for it.
/// - A future dropped half-way leaves something that a later `apply` repairs.
/// - No request fails because the routing changes.
///
/// `contract::traffic_router` checks the first three for any implementation.
///
/// # Example
/// ```
/// use std::sync::Mutex;
///
/// use async_trait::async_trait;
/// use delivery_core::plan::Capabilities;
/// use delivery_core::port::{PortError, Routing, Traffic, TrafficRouter};
///
/// /// Routes by a number that every server process reads.
/// struct InMemory(Mutex<Option<Traffic>>);
///
/// #[async_trait]
/// impl TrafficRouter for InMemory {
///     fn capabilities(&self) -> Capabilities {
///         Capabilities { mirror: false, mirror_share: false, matching: false, sticky: false, ..Capabilities::ALL }
///     }
///
///     async fn apply(&self, want: &Routing) -> Result<(), PortError> {
///         *self.0.lock().map_err(|_| PortError::permanent("setting the weight", "a thread panicked"))? = Some(want.traffic);
///         Ok(())
///     }
///
///     async fn observe(&self) -> Result<Option<Traffic>, PortError> {
///         Ok(*self.0.lock().map_err(|_| PortError::permanent("reading the weight", "a thread panicked"))?)
///     }
/// }
/// ```
#[async_trait]
pub trait TrafficRouter: Send + Sync {
    /// What the router can do. Constant.
    fn capabilities(&self) -> Capabilities;

    /// Makes this the routing.
    async fn apply(&self, want: &Routing) -> Result<(), PortError>;

    /// What is in force; `None` when nobody can tell, or when it is none of ours.
    async fn observe(&self) -> Result<Option<Traffic>, PortError>;
}

const _: Option<&dyn TrafficRouter> = None;
