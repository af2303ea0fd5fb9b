//! Whether a side takes requests, and since when it does not.

use super::passing::{Deadline, Passing};
use super::{Idle, Observation, Outcome, Reason, Side, Stage, State, Unready, go};
use crate::plan::Plan;
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

/// Records since when a side is not ready, and how much of its deadline was seen passing, so that both survive a restart.
pub(super) fn note_readiness<'a>(plan: &Plan, state: &State, seen: &Observation) -> Option<Outcome<'a>> {
    let noted = |side: Side, before: Option<Passing>, observed: bool| {
        let Some((pods, revision, share)) = expected(plan, state, seen, side) else {
            // What nobody can tell has not changed.
            return before.filter(|_| !observed);
        };
        if is_ready(pods, revision, share) {
            return None;
        }
        let vouched = |since| Passing::vouched(since, seen.now, plan.deadline, plan.deadline_parts);
        let reported = pods.unready_since;
        let Some(before) = before else {
            return Some(reported.map_or(Passing::from(seen.now), vouched));
        };
        match (reported, before.reported) {
            // The platform has seen it ready since: the time begins anew.
            (Some(since), Some(last)) if since > last => return Some(vouched(since)),
            (Some(_), None) => return Some(Passing { reported, ..before }),
            (Some(_) | None, _) => {}
        }
        match before.at(seen.now, plan.deadline, plan.deadline_parts) {
            Deadline::Part(passed) => Some(passed),
            Deadline::Over | Deadline::Until(_) => Some(before),
        }
    };
    let unready = Unready {
        primary: noted(Side::Primary, state.unready.primary, seen.primary.is_some()),
        canary: noted(Side::Canary, state.unready.canary, seen.canary.is_some()),
    };
    if unready == state.unready {
        return None;
    }
    let side = if unready.primary == state.unready.primary {
        Side::Canary
    } else {
        Side::Primary
    };
    let is_lost = match side {
        Side::Primary => unready.primary.is_some(),
        Side::Canary => unready.canary.is_some(),
    };
    let reason = if is_lost {
        Reason::NotReady { side }
    } else {
        Reason::Ready { side }
    };
    Some(go(
        state,
        State {
            unready,
            ..state.clone()
        },
        reason,
        seen,
    ))
}

/// The pods of a side that should be ready now, with their revision and the share that must be available.
fn expected<'a>(
    plan: &Plan,
    state: &'a State,
    seen: &'a Observation,
    side: Side,
) -> Option<(&'a Pods, &'a Revision, u8)> {
    match side {
        Side::Primary => {
            let revision = match &state.stage {
                Stage::Bootstrap(bootstrap) => bootstrap.revision.as_ref(),
                Stage::Rollout(run) if run.promoting => Some(&run.revision),
                // At rest, the primary's health is the platform's business until a rollout depends on it.
                Stage::Idle(
                    Idle::Initialized
                    | Idle::Succeeded { .. }
                    | Idle::Failed {
                        serving: Side::Primary,
                        ..
                    },
                ) if seen.target == state.primary => None,
                Stage::Idle(_) | Stage::Rollout(_) | Stage::Retreat(_) => state.primary.as_ref(),
            };
            Some((seen.primary.as_ref()?, revision?, plan.ready.primary))
        }
        Side::Canary => match &state.stage {
            Stage::Rollout(run) if run.scale.is_some() => {
                Some((seen.canary.as_ref()?, &run.revision, plan.ready.canary))
            }
            Stage::Bootstrap(_) | Stage::Idle(_) | Stage::Rollout(_) | Stage::Retreat(_) => None,
        },
    }
}

/// What is known of a side of this state.
pub(super) fn readiness(plan: &Plan, state: &State, seen: &Observation, side: Side) -> Readiness {
    let Some((pods, revision, share)) = expected(plan, state, seen, side) else {
        return Readiness::Unknown;
    };
    if is_ready(pods, revision, share) {
        return Readiness::Ready;
    }
    let noted = match side {
        Side::Primary => state.unready.primary,
        Side::Canary => state.unready.canary,
    };
    let noted = noted.unwrap_or(Passing::from(seen.now));
    match noted.at(seen.now, plan.deadline, plan.deadline_parts) {
        Deadline::Over => Readiness::Dead,
        Deadline::Until(until) => Readiness::Waiting { until },
        // It is about to be noted.
        Deadline::Part(_) => Readiness::Waiting { until: seen.now },
    }
}
