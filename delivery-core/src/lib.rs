//! Progressive delivery as a pure function over plain data.
//!
//! A rollout is three values and one function. The [`State`] is what is remembered, the [`Plan`] is an ordered list of
//! steps, an [`Observation`] is what is known of the world now, and [`step`] makes the whole decision of them. What the
//! world should look like follows from the state alone ([`desired`]); actuators make it so, again and again.
//!
//! ```text
//!         ┌────────────── state: small, serialisable, versioned ──────────────┐
//!         │                                                                    │
//!   load ─┴─► desired(plan, state) ─► converge the world ─► observe it         │
//!                                                             │                │
//!              answer ◄── Ask(question) ◄── step(plan, state, observation)     │
//!                │                                            │                │
//!                └──────────► step again                      ├─ Go(state) ─► save (compare-and-swap), then act
//!                                                             └─ Hold{until, why} ─► sleep until then, or a change
//! ```
//!
//! The loop is [`advance`]: it runs a plan over any set of [`port`]s, keeps nothing between two calls, and says when to
//! be called again. The crate has no clock, socket, file, thread, random number or log; only the feature `host` names
//! `std`.
//!
//! Reading order: [`weight`], [`time`] and [`revision`] are the values; [`text`] makes texts from outside fit to be seen; [`plan`] is what should happen; [`analysis`]
//! judges; [`alerting`] tells when an alerting rule would fire; [`rollout`] decides; [`port`] is what the world must offer; [`driver`] is the loop.
//!
//! # Example
//! Decisions are values, so they can be looked at without any world:
//!
//! ```
//! use delivery_core::plan::{Canary, Capabilities, MetricSpec, Spec, Strategy};
//! use delivery_core::{Observation, Outcome, Revision, State, Timestamp, step};
//!
//! let canary = Canary { step_weight: Some(10.0), max_weight: Some(50.0), ..Canary::default() };
//! let spec = Spec { metrics: vec![MetricSpec::at_least("request-success-rate", 99.0)], ..Spec::new(Strategy::Canary(canary)) };
//! let (plan, _warnings) = spec.compile(&Capabilities::ALL)?;
//!
//! // The primary serves v1, and nobody can tell what is wanted: nothing moves.
//! let state = State::initialized(Revision::new("v1")?);
//! let seen = Observation { now: Timestamp::from_millis(1_777_000_000_000), ..Observation::default() };
//! assert!(matches!(step(&plan, &state, &seen), Outcome::Hold { .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
// Without tests, the crate is linted with all of these.
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::expect_used,
        clippy::float_cmp,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        clippy::wildcard_enum_match_arm
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod weight;

pub mod time;

pub mod revision;

pub mod text;

pub mod plan;

pub mod analysis;

pub mod alerting;

pub mod rollout;

pub mod port;

pub mod driver;

#[cfg(feature = "sim")]
pub mod sim;

#[cfg(feature = "contract")]
pub mod contract;

#[cfg(feature = "host")]
pub mod host;

pub use self::driver::{Advance, Ports, advance};
pub use self::plan::{Plan, Spec};
pub use self::revision::Revision;
pub use self::rollout::{Observation, Outcome, State, desired, explain, step};
pub use self::time::Timestamp;
pub use self::weight::{Split, Weight};

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct OwnReadme;

#[cfg(all(doctest, feature = "contract", feature = "sim"))]
#[doc = include_str!("../../CONTRIBUTING.md")]
struct Contributing;

#[cfg(doctest)]
#[doc = include_str!("../../docs/architecture.md")]
struct Architecture;
