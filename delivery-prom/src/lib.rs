//! Measurements, query templates and alerts from Prometheus and everything that speaks its API.

#[cfg(feature = "rules-check")]
pub mod rules;
