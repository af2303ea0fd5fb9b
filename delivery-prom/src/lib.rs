//! Measurements, query templates and alerts from Prometheus and everything that speaks its API.
#![allow(clippy::doc_markdown, reason = "PromQL and LogQL are names")]

pub mod alerts;
pub mod client;
pub mod error;
pub mod loki;
mod moment;
pub mod queries;
pub mod reply;
pub mod ruler;
#[cfg(feature = "rules-check")]
pub mod rules;
pub mod template;

pub use self::client::{Answer, Client, Dialect, Instant, Ranged, Server};
pub use self::error::Error;
