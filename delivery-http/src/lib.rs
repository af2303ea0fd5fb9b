//! Gates, hooks, notifications and JSON metrics over HTTP for progressive delivery.

pub mod client;
mod error;
mod fan_out;
pub mod gate_server;
pub mod hook;
pub mod json_metric;
pub mod notify;

pub use self::client::{Client, ClientBuilder, Endpoint};
pub use self::error::{Cause, Error};
pub use self::fan_out::FanOut;
