//! Stories, anomalies, and the exhaustive check.

mod anomalies;
mod bounds;
mod exhaustive;
mod stored;
mod stories;
