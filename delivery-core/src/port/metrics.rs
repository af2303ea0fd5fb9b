//! Measures.

use alloc::boxed::Box;
use alloc::vec::Vec;

use async_trait::async_trait;

use super::PortError;
use crate::analysis::{Metric, Sample, Window};
use crate::revision::Revision;
use crate::weight::Weight;

/// One measurement that is asked for.
#[derive(Clone, Debug)]
pub struct Measure<'a> {
    /// What to measure.
    pub metric: &'a Metric,
    /// Over which time. It begins no earlier than the present weight was observed in force.
    pub window: Window,
    /// The canary's revision.
    pub canary: &'a Revision,
    /// The primary's revision, where it has one.
    pub primary: Option<&'a Revision>,
    /// The canary's present share.
    pub weight: Weight,
}

/// Measures.
///
/// # Contract
/// - A sample speaks about the canary, over the window that was asked for. A source that cannot keep to the window and
///   would reach back behind its beginning answers `Sample::Nothing(Nothing::Straddles)`.
/// - What is not known is `Sample::Nothing` and never 0: no traffic, no series, data that is too old.
/// - It answers within a bound of its own; a driver waits for it.
/// - Several measurements may be asked for at the same time.
/// - Measuring changes nothing.
///
/// `contract::metric_source` checks this for any implementation, as far as it can be seen from outside.
///
/// # Example
/// ```
/// use async_trait::async_trait;
/// use delivery_core::Timestamp;
/// use delivery_core::analysis::{Nothing, Sample};
/// use delivery_core::port::{Measure, MetricSource, PortError};
///
/// /// The free space of a disk in percent, which somebody else writes down now and then.
/// struct DiskSpace(Vec<(Timestamp, f64)>);
///
/// #[async_trait]
/// impl MetricSource for DiskSpace {
///     async fn measure(&self, ask: &Measure<'_>) -> Result<Sample, PortError> {
///         let within = |at: &Timestamp| ask.window.from <= *at && *at <= ask.window.to;
///         let newest = self.0.iter().rev().find(|(at, _)| within(at));
///         Ok(match (ask.metric.name.as_str(), newest) {
///             ("disk-free", Some((_, percent))) => Sample::Value(*percent),
///             _ => Sample::Nothing(Nothing::NoData),
///         })
///     }
/// }
/// ```
#[async_trait]
pub trait MetricSource: Send + Sync {
    /// Measures one metric once.
    async fn measure(&self, ask: &Measure<'_>) -> Result<Sample, PortError>;

    /// What the primary did in each of `windows`, oldest first, before the canary got any traffic; `ask` is as in
    /// [`MetricSource::measure`], its window spans all of them. Each sample speaks about the primary in the place of the
    /// canary.
    ///
    /// From this the sequential judges learn whether errors come in bursts, once, at the beginning of a run. Default:
    /// nothing is known of the past.
    async fn history(&self, _ask: &Measure<'_>, _windows: &[Window]) -> Result<Vec<Sample>, PortError> {
        Ok(Vec::new())
    }
}

const _: Option<&dyn MetricSource> = None;
