//! Flagger's providers: what users write in `spec.provider`, what each can do, and what a Canary must name for it.

use std::fmt;

use delivery_core::Weight;
use delivery_core::plan::{Capabilities, Patterns};

use crate::router::ROUTERS;

/// One provider. It stands in the file of its [`Router`](crate::router::Router), where there is one.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Provider {
    /// What users write in `spec.provider`.
    pub names: &'static [&'static str],
    /// What it can do with traffic.
    pub traffic: Traffic,
    /// Whether it can route requests that match a rule.
    pub matching: bool,
    /// Whether such a rule may have conditions on parameters of the query.
    pub query_params: bool,
    /// Which regular expressions such a rule may have.
    pub patterns: Patterns,
    /// When it can copy requests to the canary.
    pub mirror: Mirror,
    /// Whether it can keep a user on one side by a cookie.
    pub sticky: bool,
    /// What a Canary must name beside its target.
    pub needs: Option<Needs>,
}

/// What a provider can do with traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Traffic {
    /// It splits it, in steps of one percent.
    Split,
    /// All of it goes to one side.
    Switch,
}

/// When a provider can copy requests to the canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mirror {
    /// Never.
    Never,
    /// All requests, and only while no weight moves: in a blue-green rollout.
    WithoutWeights,
    /// Any share of them, at any time.
    Share,
}

/// What a Canary must name for a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Needs {
    /// `spec.ingressRef`.
    Ingress,
    /// `spec.routeRef`.
    Route,
    /// `spec.service.gatewayRefs`.
    Gateway,
}

/// The providers of Flagger 1.44 that have no router here yet (reference: its `pkg/router/factory.go` and the routers
/// beside it). A Canary that names one compiles to a plan.
const WITHOUT_ROUTER: &[Provider] = &[
    Provider {
        names: &["appmesh", "appmesh:v1beta2"],
        matching: true,
        patterns: Patterns::Linear,
        ..Provider::SPLITS
    },
    Provider {
        names: &["knative"],
        ..Provider::SPLITS
    },
    Provider {
        names: &["kuma"],
        ..Provider::SPLITS
    },
];

/// A name that no provider has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no provider has the name {name:?} (expected one of {known})", known = Known)]
#[non_exhaustive]
pub struct UnknownProvider {
    /// The name.
    pub name: String,
}

struct Known;

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&str> = Provider::all()
            .flat_map(|provider| provider.names)
            .copied()
            .collect();
        names.sort_unstable();
        for (at, name) in names.into_iter().enumerate() {
            write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Provider {
    /// Splits traffic, and nothing more: what most rows begin with.
    pub(crate) const SPLITS: Self = Self {
        names: &[],
        traffic: Traffic::Split,
        matching: false,
        query_params: false,
        patterns: Patterns::None,
        mirror: Mirror::Never,
        sticky: false,
        needs: None,
    };

    /// Can do all of it, and needs nothing.
    pub(crate) const EVERYTHING: Self = Self {
        matching: true,
        query_params: true,
        patterns: Patterns::Backtracking,
        mirror: Mirror::Share,
        sticky: true,
        ..Self::SPLITS
    };

    /// Every provider that a Canary may name: those of [`ROUTERS`], and those that have no router yet.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        let routed = ROUTERS.iter().map(|router| &router.provider);
        routed.chain(WITHOUT_ROUTER)
    }

    /// The provider of that name.
    ///
    /// # Errors
    /// [`UnknownProvider`], which lists the known ones. Flagger takes Istio then, with a line in its log.
    pub fn named(name: &str) -> Result<&'static Self, UnknownProvider> {
        let found = Self::all().find(|provider| provider.names.contains(&name));
        found.ok_or_else(|| UnknownProvider { name: name.into() })
    }

    /// What its routes can do in a rollout that moves weights, or in one that does not.
    pub fn capabilities(&self, moves_weights: bool) -> Capabilities {
        let granularity = match self.traffic {
            Traffic::Split => Weight::percent(1).unwrap_or(Weight::WHOLE),
            Traffic::Switch => Weight::ZERO,
        };
        let mirror = match self.mirror {
            Mirror::Never => false,
            Mirror::WithoutWeights => !moves_weights,
            Mirror::Share => true,
        };
        Capabilities {
            granularity,
            mirror,
            mirror_share: self.mirror == Mirror::Share,
            matching: self.matching,
            query_params: self.query_params,
            patterns: self.patterns,
            sticky: self.sticky,
        }
    }
}
