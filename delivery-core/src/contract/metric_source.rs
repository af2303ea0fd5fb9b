use alloc::format;
use alloc::string::String;

use super::{Examined, Violation, both};
use crate::analysis::{Metric, Sample, Tally, Window};
use crate::port::{Measure, MetricSource, PortError};
use crate::time::Timestamp;

const UNCHANGED: &str = "measuring changes nothing";
const NOTHING: &str = "what is not known is `Sample::Nothing` or an error, and never a number";

/// Checks a [`MetricSource`]: it answers, measuring changes nothing, several measurements may be made at the same time, it
/// keeps to the window, and what it does not know is nothing rather than 0.
///
/// `ask` is a question that has an answer: its window is over and everything in it is collected. What the answer must
/// be only you know: test that yourself.
///
/// # Errors
/// The [`Violation`] that was met first.
///
/// ```
/// use async_trait::async_trait;
/// use core::time::Duration;
/// use delivery_core::analysis::{Metric, Nothing, Sample, Window};
/// use delivery_core::contract;
/// use delivery_core::plan::{Canary, Capabilities, MetricSpec, Spec, Strategy};
/// use delivery_core::port::{Measure, MetricSource, PortError};
/// use delivery_core::{Revision, Timestamp, Weight};
///
/// /// Somebody wrote down the free space of a disk, once an hour.
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
///
/// async fn my_source_keeps_its_promises() -> Result<(), Box<dyn std::error::Error>> {
///     let canary = Canary { step_weight: Some(10.0), ..Canary::default() };
///     let metrics = vec![MetricSpec::at_least("disk-free", 10.0)];
///     let (plan, _) = Spec { metrics, ..Spec::new(Strategy::Canary(canary)) }.compile(&Capabilities::ALL)?;
///     let now = Timestamp::from_millis(1_777_000_000_000);
///     let ask = Measure {
///         metric: &plan.metrics()[0],
///         window: Window { from: now.before(Duration::from_secs(7_200)), to: now },
///         canary: &Revision::new("v2")?,
///         primary: None,
///         weight: Weight::ZERO,
///     };
///     let source = DiskSpace(vec![(now.before(Duration::from_secs(60)), 71.5)]);
///     contract::metric_source(&source, &ask, async || {}).await?;
///     Ok(())
/// }
/// # let mut context = core::task::Context::from_waker(core::task::Waker::noop());
/// # let checked = core::pin::pin!(my_source_keeps_its_promises()).poll(&mut context);
/// # assert!(matches!(checked, core::task::Poll::Ready(Ok(()))));
/// ```
pub async fn metric_source(
    source: &dyn MetricSource,
    ask: &Measure<'_>,
    wait: impl AsyncFn(),
) -> Result<(), Violation> {
    let it = Examined {
        port: "MetricSource",
        wait,
    };
    let first = it.succeeds("measure", source.measure(ask)).await?;
    usable(&it, &first)?;

    let again = it.succeeds("measure", source.measure(ask)).await?;
    it.check(alike(&first, &again), UNCHANGED, || {
        format!("{first:?}, and then {again:?} over the same window")
    })?;

    let (one, two) = it
        .returns("measure", both(source.measure(ask), source.measure(ask)))
        .await?;
    for said in [one, two] {
        let kept = said.as_ref().is_ok_and(|said| alike(&first, said));
        it.check(
            kept,
            "several measurements may be asked for at the same time",
            || format!("{first:?} alone, and {said:?} beside another"),
        )?;
    }

    let unknown = Metric {
        name: String::from("contract-check-of-no-such-metric"),
        query: None,
        ..ask.metric.clone()
    };
    let said = it
        .returns(
            "measure",
            source.measure(&Measure {
                metric: &unknown,
                ..ask.clone()
            }),
        )
        .await?;
    knows_nothing(&it, &said, "a metric that does not exist")?;

    let length = ask.window.length();
    let long_ago = Window {
        from: Timestamp::default(),
        to: Timestamp::default().after(length),
    };
    let said = it
        .returns(
            "measure",
            source.measure(&Measure {
                window: long_ago,
                ..ask.clone()
            }),
        )
        .await?;
    knows_nothing(&it, &said, "a window in January 1970")
}

/// Whether it is something, and can be.
fn usable<W: AsyncFn()>(it: &Examined<W>, sample: &Sample) -> Result<(), Violation> {
    let possible = |tally: &Tally| tally.errors <= tally.total;
    let seen = || format!("{sample:?}");
    match sample {
        Sample::Nothing(_) => Err(it.broken(
            "what is known is told",
            format!("{sample:?} for a question that has an answer"),
        )),
        Sample::Value(value) => it.check(!value.is_nan(), NOTHING, seen),
        Sample::Pair { canary, primary } => it.check(!canary.is_nan() && !primary.is_nan(), NOTHING, seen),
        Sample::Counts { canary, primary } => {
            it.check(canary.total > 0, NOTHING, seen)?;
            let promise = "there are never more errors than requests";
            it.check(possible(canary) && primary.iter().all(possible), promise, seen)
        }
        Sample::Histogram { canary, primary: _ } => it.check(canary.total() > 0, NOTHING, seen),
    }
}

/// Whether two samples of the same window can be of the same world. What was counted in it does not change; how a gauge
/// is read off may.
fn alike(first: &Sample, second: &Sample) -> bool {
    match (first, second) {
        (Sample::Value(_), Sample::Value(second)) => !second.is_nan(),
        (Sample::Pair { .. }, Sample::Pair { canary, primary }) => !canary.is_nan() && !primary.is_nan(),
        (Sample::Counts { .. }, Sample::Counts { .. })
        | (Sample::Histogram { .. }, Sample::Histogram { .. }) => first == second,
        (
            Sample::Value(_)
            | Sample::Pair { .. }
            | Sample::Counts { .. }
            | Sample::Histogram { .. }
            | Sample::Nothing(_),
            _,
        ) => false,
    }
}

fn knows_nothing<W: AsyncFn()>(
    it: &Examined<W>,
    said: &Result<Sample, PortError>,
    of: &str,
) -> Result<(), Violation> {
    match said {
        Ok(Sample::Nothing(_)) | Err(_) => Ok(()),
        Ok(sample) => Err(it.broken(NOTHING, format!("{sample:?} for {of}"))),
    }
}
