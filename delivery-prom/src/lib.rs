//! Measurements, query templates and alerts from Prometheus and everything that speaks its API.
