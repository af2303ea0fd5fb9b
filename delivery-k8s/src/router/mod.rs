//! Routers: the objects that divide the requests between primary and canary.
//!
//! A router is a row of [`ROUTERS`]: which provider it serves and what that can do, which kinds of objects it writes, what
//! these objects look like for a [`Routing`], and how the requests are divided according to objects that are there. All of
//! it is pure; what reads and writes the cluster is the same for all of them. A new one is a file beside this one, its
//! `mod`, and a line in the table: validation of Canaries, the definition for the API server and the tests follow from it.
//! `CONTRIBUTING.md` walks through it.
//!
//! The objects are those that the running Flagger 1.44 wrote (`tests/flagger_objects.rs` compares them all), but for:
//!
//! | here | Flagger | why |
//! |---|---|---|
//! | in an A/B test by Istio, the route of all other users gives the primary 100 at all times | 0 while the test runs | a destination of weight 0 reads as if it got nothing, and it is the only one |
//! | no route makes browsers forget the cookie of a run that is over | it stays until the next run | the cookie's value names a revision: it keeps nobody on a later one |
//! | Skipper's second Ingress says the same whenever the primary has everything | another predicate after the first run | one state of the world has one form |

mod apisix;
mod contour;
mod gateway;
mod gloo;
mod istio;
mod nginx;
mod object;
mod service;
mod skipper;
mod smi;
mod traefik;

use delivery_core::port::{Routing, Traffic};
use serde_json::Value;

pub use self::object::{Kind, Objects, Pods, Subject, Unroutable};
pub use self::service::services;
use crate::provider::Provider;

/// How one kind of data plane divides requests.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Router {
    /// The provider that it serves: what users write in `spec.provider`, and what these objects can say.
    pub provider: Provider,
    /// The kinds of objects that it writes.
    pub writes: &'static [Kind],
    /// The objects as they should be. Each is whole: what is not in it should not be there.
    pub objects: fn(&Subject<'_>, &Routing) -> Result<Vec<Value>, Unroutable>,
    /// How requests are divided according to the objects that are there; none when they do not tell.
    pub observe: fn(&Subject<'_>, &Objects) -> Option<Traffic>,
}

/// Every router. A provider of Flagger that has none yet stands in [`provider`](crate::provider).
pub const ROUTERS: &[&Router] = &[
    &apisix::APISIX_ROUTE,
    &contour::HTTP_PROXY,
    &gateway::HTTP_ROUTE,
    &gloo::ROUTE_TABLE,
    &istio::VIRTUAL_SERVICE,
    &nginx::CANARY_INGRESS,
    &service::SERVICE,
    &skipper::WEIGHTED_INGRESS,
    &smi::TRAFFIC_SPLIT_1,
    &smi::TRAFFIC_SPLIT_2,
    &smi::TRAFFIC_SPLIT_3,
    &traefik::TRAEFIK_SERVICE,
];

impl Router {
    /// The router of a provider, where there is one.
    pub fn of(provider: &str) -> Option<&'static Self> {
        ROUTERS
            .iter()
            .copied()
            .find(|router| router.provider.names.contains(&provider))
    }
}

#[cfg(test)]
mod tests;
