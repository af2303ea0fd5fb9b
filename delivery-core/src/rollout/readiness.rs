//! Whether a side takes requests.

use crate::port::Pods;
use crate::revision::Revision;
use crate::time::Timestamp;

/// What is known of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It takes requests with enough pods, all of the wanted revision.
    Ready,
    /// It does not, but has time until then.
    Waiting { until: Timestamp },
    /// It did not in time.
    Dead,
    /// Nobody can tell.
    Unknown,
}

/// Whether a side runs exactly `revision`, with at least `share` percent of its pods available.
///
/// A side that wants no pods, or has none of the revision, is never ready, and the share is rounded up: with 50 % of one
/// pod, that pod counts.
pub(super) fn is_ready(pods: &Pods, revision: &Revision, share: u8) -> bool {
    let needed = u64::from(pods.updated)
        .saturating_mul(u64::from(share))
        .div_ceil(100)
        .max(1);
    pods.revision.as_ref() == Some(revision)
        && pods.wanted > 0
        && pods.updated >= pods.wanted
        && pods.total <= pods.updated
        && u64::from(pods.available) >= needed
}

/// Whether a side takes requests at all.
pub(super) fn serves(pods: Option<&Pods>) -> bool {
    pods.is_some_and(|pods| pods.available > 0)
}
