//! What the controller and the platform say to each other: the JSON bodies of the admin API.

use delivery_core::plan::Scale;
use delivery_core::port::{CanaryWish, Pods, Seen, Wish};
use delivery_core::{Revision, Timestamp, Weight};
use serde::{Deserialize, Serialize};

/// `GET` and `PUT /traffic`: what the canary gets, in percent; the primary gets the rest.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct TrafficBody {
    pub(crate) canary: Weight,
}

/// `PUT /workload`: what the pods should be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WishBody {
    pub(crate) primary: Option<Revision>,
    pub(crate) canary: CanaryBody,
}

/// What the canary's pods should be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum CanaryBody {
    AsIs,
    Down,
    Up { revision: Revision, scale: Scale },
}

impl From<&Wish> for WishBody {
    fn from(wish: &Wish) -> Self {
        let canary = match &wish.canary {
            CanaryWish::AsIs => CanaryBody::AsIs,
            CanaryWish::Down => CanaryBody::Down,
            CanaryWish::Up { revision, scale } => CanaryBody::Up {
                revision: revision.clone(),
                scale: *scale,
            },
        };
        Self {
            primary: wish.primary.clone(),
            canary,
        }
    }
}

/// `GET /workload`: what the pods are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SeenBody {
    pub(crate) target: Revision,
    pub(crate) primary: PodsBody,
    pub(crate) canary: PodsBody,
}

/// The pods of one side; see [`Pods`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodsBody {
    pub(crate) revision: Option<Revision>,
    pub(crate) wanted: u32,
    pub(crate) total: u32,
    pub(crate) updated: u32,
    pub(crate) available: u32,
    pub(crate) unready_since: Option<Timestamp>,
}

impl From<PodsBody> for Pods {
    fn from(body: PodsBody) -> Self {
        let PodsBody {
            revision,
            wanted,
            total,
            updated,
            available,
            unready_since,
        } = body;
        Self {
            revision,
            wanted,
            total,
            updated,
            available,
            unready_since,
        }
    }
}

impl From<SeenBody> for Seen {
    fn from(body: SeenBody) -> Self {
        Self {
            target: Some(body.target),
            primary: Some(body.primary.into()),
            canary: Some(body.canary.into()),
        }
    }
}

/// `GET /metrics-window`: what was counted within the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WindowBody {
    pub(crate) canary: SideBody,
    pub(crate) primary: SideBody,
}

/// What one side's processes counted. What they do not export is not 0, but missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SideBody {
    pub(crate) requests: Option<RequestsBody>,
    /// Cumulative: upper bound in seconds (none for `+Inf`) and how many requests took at most that long.
    pub(crate) durations: Option<Vec<(Option<f64>, u64)>>,
}

/// Requests, and how many were answered with a 5xx.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RequestsBody {
    pub(crate) total: u64,
    pub(crate) errors: u64,
}
