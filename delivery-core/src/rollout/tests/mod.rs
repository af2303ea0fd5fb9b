//! Stories, anomalies, and the exhaustive check.

mod anomalies;
mod exhaustive;
mod stored;
mod stories;
