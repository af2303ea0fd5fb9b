//! The port: JSON metrics by name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use delivery_core::Timestamp;
use delivery_core::analysis::{Nothing, Sample, Window};
use delivery_core::port::{Clock, Measure, MetricSource, PortError};
use tracing::Instrument;

use super::{Covers, JsonMetric};
use crate::client::Client;
use crate::error::Error;

/// How far the end of a window may lie back for a value that is about now.
const PRESENT: Duration = Duration::from_secs(60);

/// Measures by name. A metric that is not among them has no data.
///
/// Calls are made once and not tried again: the next round asks anew.
pub struct JsonMetrics {
    client: Client,
    clock: Arc<dyn Clock>,
    metrics: BTreeMap<String, JsonMetric>,
}

impl JsonMetrics {
    /// None yet.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            clock: Arc::new(System),
            metrics: BTreeMap::new(),
        }
    }

    /// One more, under the name that it has in the plan.
    ///
    /// # Errors
    /// [`Error::Unusable`]: the client may not call it, or there is one of that name.
    pub fn with(mut self, name: impl Into<String>, metric: JsonMetric) -> Result<Self, Error> {
        let name = name.into();
        self.client.check(&format!("url of {name}"), &metric.origin)?;
        if self.metrics.contains_key(&name) {
            return Err(Error::unusable(
                "metric",
                format!("a second `{name}`"),
                "another name",
            ));
        }
        self.metrics.insert(name, metric);
        Ok(self)
    }

    /// With another clock than the system's, which tells what is now for [`Covers::Last`].
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }
}

impl std::fmt::Debug for JsonMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonMetrics")
            .field("metrics", &self.metrics)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl MetricSource for JsonMetrics {
    async fn measure(&self, ask: &Measure<'_>) -> Result<Sample, PortError> {
        let Some(metric) = self.metrics.get(&ask.metric.name) else {
            return Ok(Sample::Nothing(Nothing::NoData));
        };
        if let Some(nothing) = outside(metric.covers, ask.window, self.clock.now()) {
            return Ok(Sample::Nothing(nothing));
        }
        let span = tracing::debug_span!(
            "measure",
            metric = ask.metric.name,
            revision = ask.canary.as_str()
        );
        match metric.measure(&self.client, ask).instrument(span).await {
            Ok(said) => Ok(said.unwrap_or_else(Sample::Nothing)),
            Err(error) => Err(error.at_port(format!("measuring {}", ask.metric.name))),
        }
    }
}

/// Why a value would not be about the window.
fn outside(covers: Covers, window: Window, now: Timestamp) -> Option<Nothing> {
    let Covers::Last(length) = covers else {
        return None;
    };
    if now.since(window.to) > PRESENT {
        return Some(Nothing::NoData);
    }
    (now.before(length) < window.from).then_some(Nothing::Straddles)
}

struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Timestamp::default().after(since.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_about_the_last_minutes_waits_until_they_are_of_this_weight() {
        let now = Timestamp::from_millis(1_777_000_000_000);
        let seconds = Duration::from_secs;
        let window = |from, to| Window {
            from: now.before(seconds(from)),
            to: now.before(seconds(to)),
        };
        let last = |it| Covers::Last(seconds(it));
        for (covers, window, why) in [
            (Covers::Window, window(60, 0), None),
            (Covers::Window, window(999_999, 999_990), None),
            (last(0), window(60, 0), None),
            (last(0), window(0, 0), None),
            (last(60), window(60, 0), None),
            (last(61), window(60, 0), Some(Nothing::Straddles)),
            (last(60), window(120, 60), None),
            (last(60), window(180, 61), Some(Nothing::NoData)),
            (last(0), window(999_999, 999_990), Some(Nothing::NoData)),
        ] {
            assert_eq!(outside(covers, window, now), why, "{covers:?} {window:?}");
        }
    }
}
