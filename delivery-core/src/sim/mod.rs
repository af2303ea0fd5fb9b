//! A simulated world on a virtual clock: every port of a rollout, without a cluster, a timer or a thread.
//!
//! A [`Scenario`] is the story: how the revisions behave, what people do, what fails and when. A [`World`] plays it and
//! implements the ports, so that the very driver that runs in production runs here; [`run`] drives one rollout from
//! beginning to end, jumping from one moment at which something can happen to the next. An hour of rollout takes well
//! under a millisecond, and there is no randomness: the same plan and scenario give the same [`Recording`] on every
//! machine.
//!
//! Traffic is not a list of requests but an arrival rate over stretches of time in which nothing changed. All counts are
//! whole numbers, exact over any window.
//!
//! ```
//! use core::time::Duration;
//! use delivery_core::plan::{Canary, Capabilities, MetricSpec, Spec, Strategy};
//! use delivery_core::sim::{self, Happening, Scenario, Version};
//! use delivery_core::{Revision, Weight, rollout::Phase};
//!
//! let canary = Canary { step_weight: Some(10.0), max_weight: Some(50.0), ..Canary::default() };
//! let spec = Spec {
//!     metrics: vec![MetricSpec::at_least("request-success-rate", 99.0)],
//!     ..Spec::new(Strategy::Canary(canary))
//! };
//! let (plan, _) = spec.compile(&Capabilities::ALL)?;
//!
//! let (v1, v2) = (Revision::new("v1")?, Revision::new("v2")?);
//! let bad = Version { errors: Weight::percent(5)?, ..Version::default() };
//! let scenario = Scenario {
//!     happenings: vec![Happening::push(Duration::from_secs(60), v2.clone())],
//!     ..Scenario::new(v1).version(v2, bad)
//! };
//! let recording = sim::run(&plan, &scenario);
//! assert_eq!(recording.state.phase(), Phase::Failed);
//! assert_eq!(recording.users.lost, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod history;
mod pods;
mod ports;
mod rate;
mod recording;
mod scenario;
mod world;

pub use self::history::{Served, Users};
pub use self::rate::{NoRate, Rate};
pub use self::recording::{Recording, Row, Trouble, play, run};
pub use self::scenario::{Becomes, Fault, GateAnswer, Happening, Outage, Says, Scenario, Version};
pub use self::world::{Crash, START, World};

#[cfg(test)]
mod tests;
