//! Measurements, query templates and alerts from Prometheus and everything that speaks its API.
#![allow(clippy::doc_markdown, reason = "PromQL and LogQL are names")]

pub mod alerts;
pub mod client;
mod counters;
pub mod error;
pub mod loki;
mod moment;
#[cfg(feature = "promql-validate")]
pub mod promql;
pub mod queries;
pub mod question;
mod reach;
pub mod reply;
pub mod ruler;
#[cfg(feature = "rules-check")]
pub mod rules;
pub mod source;
pub mod template;

pub use self::client::{Answer, Client, Dialect, Instant, Ranged, Server};
pub use self::error::Error;
pub use self::question::{Form, Part, Question};
pub use self::reply::Pick;
pub use self::source::{Measured, Metrics};
