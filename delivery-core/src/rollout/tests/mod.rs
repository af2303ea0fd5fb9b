//! Stories, anomalies, and the exhaustive check.

mod exhaustive;
