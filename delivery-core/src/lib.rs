//! Progressive delivery as a pure function over plain data.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod analysis;
pub mod driver;
pub mod plan;
pub mod port;
pub mod revision;
pub mod rollout;
pub mod time;
pub mod weight;

pub use self::driver::{Advance, Ports, advance};
pub use self::plan::{Plan, Spec};
pub use self::revision::Revision;
pub use self::rollout::{Observation, Outcome, State, desired, explain, step};
pub use self::time::Timestamp;
pub use self::weight::{Split, Weight};
