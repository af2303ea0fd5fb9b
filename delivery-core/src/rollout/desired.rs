//! What the world should look like, of a state.

use super::{Idle, Side, Stage, State};
use crate::plan::{Plan, Scale};
use crate::port::{CanaryWish, Cookie, Routing, Traffic, Wish};
use crate::revision::Revision;
use crate::weight::Weight;

/// What the world should look like.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Desired {
    /// The pods.
    pub pods: Wish,
    /// How requests are divided; none: leave it as it is.
    pub routing: Option<Routing>,
}

/// What the world should look like. A function of the state: nothing else is consulted.
pub fn desired(plan: &Plan, state: &State) -> Desired {
    let (primary, canary) = match &state.stage {
        Stage::Bootstrap(bootstrap) => (bootstrap.revision.clone(), CanaryWish::AsIs),
        Stage::Idle(Idle::Failed {
            serving: Side::Canary,
            ..
        }) => {
            // The failed promotion left the primary on the canary's revision: it is the one that serves.
            let up = |revision| CanaryWish::Up {
                revision,
                scale: Scale::LikePrimary,
            };
            (
                state.primary.clone(),
                state.primary.clone().map_or(CanaryWish::AsIs, up),
            )
        }
        Stage::Idle(
            Idle::Initialized
            | Idle::Succeeded { .. }
            | Idle::Failed {
                serving: Side::Primary,
                ..
            },
        ) => (state.primary.clone(), CanaryWish::Down),
        Stage::Rollout(run) => {
            let primary = if run.promoting {
                Some(run.revision.clone())
            } else {
                state.primary.clone()
            };
            let canary = match run.scale {
                Some(scale) => CanaryWish::Up {
                    revision: run.revision.clone(),
                    scale,
                },
                None if run.traffic.reaches_canary() => CanaryWish::AsIs,
                None => CanaryWish::Down,
            };
            (primary, canary)
        }
        // The pods stay until the traffic has left them.
        Stage::Retreat(_) => (state.primary.clone(), CanaryWish::AsIs),
    };
    let leave = matches!(&state.stage, Stage::Bootstrap(bootstrap) if !bootstrap.routed);
    let routing = (!leave).then(|| {
        let traffic = state.traffic();
        let rules = if traffic == Traffic::Match {
            plan.rules.clone()
        } else {
            [].into()
        };
        Routing {
            traffic,
            rules,
            cookie: cookie(plan, state, traffic),
            primary_cookie: primary_cookie(plan, state, traffic),
        }
    });
    Desired {
        pods: Wish { primary, canary },
        routing,
    }
}

/// The cookie's value comes from the revision alone: whoever restarts, nobody is moved to the other side.
fn cookie(plan: &Plan, state: &State, traffic: Traffic) -> Option<Cookie> {
    let affinity = plan.affinity.as_ref().filter(|_| !traffic.weight().is_zero())?;
    let value = Revision::of(&serde_json::Value::from(state.revision()?.as_str()));
    Some(Cookie {
        name: affinity.cookie_name.clone(),
        value: value.as_str().into(),
        max_age: affinity.max_age,
    })
}

/// The primary's cookie holds for one weight: with the next one, some of those who have it become the canary's users. With the
/// whole traffic on one side there is nobody to keep.
fn primary_cookie(plan: &Plan, state: &State, traffic: Traffic) -> Option<Cookie> {
    let weight = traffic.weight();
    let name = plan.affinity.as_ref()?.primary_cookie_name.as_ref()?;
    if weight.is_zero() || weight == Weight::WHOLE {
        return None;
    }
    let names = [
        state.revision()?.as_str().into(),
        weight.as_hundredths().into(),
        "primary".into(),
    ];
    let value = Revision::of(&serde_json::Value::Array(names.into()));
    Some(Cookie {
        name: name.clone(),
        value: value.as_str().into(),
        max_age: plan.interval,
    })
}
