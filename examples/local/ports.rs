//! The controller's ports: thin clients of the platform's API.

use std::error::Error as StdError;

use async_trait::async_trait;
use delivery_core::analysis::{Histogram, Nothing, Sample, Tally};
use delivery_core::plan::Capabilities;
use delivery_core::port::{
    Measure, MetricSource, Notifier, PortError, Routing, Seen, Sent, Traffic, TrafficRouter, Wish, Workload,
};
use delivery_core::rollout::Notice;
use hyper::Method;

use crate::http::{Api, CallError};
use crate::tempo;
use crate::wire::{RequestsBody, SeenBody, SideBody, TrafficBody, WindowBody, WishBody};

/// The weighted proxy.
pub(crate) struct HttpRouter(pub(crate) Api);

#[async_trait]
impl TrafficRouter for HttpRouter {
    fn capabilities(&self) -> Capabilities {
        tempo::capabilities()
    }

    async fn apply(&self, want: &Routing) -> Result<(), PortError> {
        let Traffic::Split(canary) = want.traffic else {
            let doing = format!("setting the traffic to {}", want.traffic);
            return Err(PortError::permanent(
                doing,
                "this proxy splits traffic, and nothing else",
            ));
        };
        let body = TrafficBody { canary };
        self.0
            .write(Method::PUT, "/traffic", &body)
            .await
            .map_err(failed("setting the weight"))
    }

    async fn observe(&self) -> Result<Option<Traffic>, PortError> {
        let TrafficBody { canary } = self
            .0
            .read("/traffic")
            .await
            .map_err(failed("reading the weight"))?;
        Ok(Some(Traffic::Split(canary)))
    }
}

/// The processes.
pub(crate) struct HttpWorkload(pub(crate) Api);

#[async_trait]
impl Workload for HttpWorkload {
    async fn apply(&self, want: &Wish) -> Result<(), PortError> {
        let body = WishBody::from(want);
        self.0
            .write(Method::PUT, "/workload", &body)
            .await
            .map_err(failed("setting the processes"))
    }

    async fn observe(&self) -> Result<Seen, PortError> {
        let seen: SeenBody = self
            .0
            .read("/workload")
            .await
            .map_err(failed("looking at the processes"))?;
        Ok(seen.into())
    }
}

/// The monitoring. It knows two metrics by name: `request-success-rate` in percent and `request-duration` in
/// milliseconds.
pub(crate) struct MonitoringMetrics(pub(crate) Api);

#[async_trait]
impl MetricSource for MonitoringMetrics {
    async fn measure(&self, ask: &Measure<'_>) -> Result<Sample, PortError> {
        let (from, to) = (ask.window.from.as_millis(), ask.window.to.as_millis());
        let primary = ask.primary.map_or(String::new(), |it| format!("&primary={it}"));
        let path = format!(
            "/metrics-window?from={from}&to={to}&canary={}{primary}",
            ask.canary
        );
        let window: WindowBody = self
            .0
            .read(&path)
            .await
            .map_err(failed("asking the monitoring"))?;
        Ok(sample(&ask.metric.name, &window))
    }
}

/// The window as the sample that a metric wants. What was not exported or did not happen is nothing, and not 0.
fn sample(metric: &str, window: &WindowBody) -> Sample {
    let counted = |side: &SideBody| side.requests.filter(|it| it.total > 0);
    match metric {
        "request-success-rate" => match counted(&window.canary) {
            Some(canary) => Sample::Counts {
                canary: tally(canary),
                primary: counted(&window.primary).map(tally),
            },
            None => Sample::Nothing(Nothing::NoData),
        },
        "request-duration" => match histogram(&window.canary) {
            Some(Ok(canary)) if canary.total() > 0 => {
                let primary = histogram(&window.primary)
                    .and_then(Result::ok)
                    .filter(|it| it.total() > 0);
                Sample::Histogram { canary, primary }
            }
            Some(Ok(_)) | None => Sample::Nothing(Nothing::NoData),
            Some(Err(nothing)) => Sample::Nothing(nothing),
        },
        other => Sample::Nothing(Nothing::Unusable(format!("there is no metric {other:?} here"))),
    }
}

const fn tally(requests: RequestsBody) -> Tally {
    Tally {
        total: requests.total,
        errors: requests.errors,
    }
}

/// In milliseconds, as the plan's bound is.
fn histogram(side: &SideBody) -> Option<Result<Histogram, Nothing>> {
    let buckets = side.durations.as_ref()?;
    let millis =
        |(bound, count): &(Option<f64>, u64)| (bound.map_or(f64::INFINITY, |it| it * 1_000.0), *count);
    Some(Histogram::new(buckets.iter().map(millis).collect()))
}

/// Tells the platform, which shows it.
pub(crate) struct HttpNotifier(pub(crate) Api);

#[async_trait]
impl Notifier for HttpNotifier {
    async fn send(&self, notice: &Notice) -> Result<Sent, PortError> {
        let told = self.0.write(Method::POST, "/notices", notice).await;
        told.map_err(failed("telling what happened"))?;
        Ok(Sent::Delivered)
    }
}

/// The platform may be busy or gone for a moment: trying again can help.
fn failed(doing: &'static str) -> impl Fn(CallError) -> PortError {
    move |error| {
        let source: Box<dyn StdError + Send + Sync> = error.into();
        PortError::transient(doing, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(requests: Option<(u64, u64)>, durations: Option<&[(Option<f64>, u64)]>) -> WindowBody {
        let requests = requests.map(|(total, errors)| RequestsBody { total, errors });
        let canary = SideBody {
            requests,
            durations: durations.map(<[_]>::to_vec),
        };
        WindowBody {
            canary,
            primary: SideBody::default(),
        }
    }

    #[test]
    fn no_requests_are_nothing() {
        for empty in [
            window(None, None),
            window(Some((0, 0)), Some(&[(Some(0.5), 0), (None, 0)])),
        ] {
            for metric in ["request-success-rate", "request-duration"] {
                assert_eq!(sample(metric, &empty), Sample::Nothing(Nothing::NoData));
            }
        }
    }

    #[test]
    fn requests_are_counts_and_a_histogram_in_milliseconds() {
        let window = window(Some((20, 1)), Some(&[(Some(0.5), 19), (None, 20)]));
        let canary = Tally { total: 20, errors: 1 };
        assert_eq!(
            sample("request-success-rate", &window),
            Sample::Counts {
                canary,
                primary: None
            }
        );
        let canary = Histogram::new(vec![(500.0, 19), (f64::INFINITY, 20)]).unwrap();
        assert_eq!(
            sample("request-duration", &window),
            Sample::Histogram {
                canary,
                primary: None
            }
        );
    }

    #[test]
    fn what_is_no_histogram_or_no_metric_is_unusable() {
        let broken = window(None, Some(&[(Some(0.5), 19)]));
        assert!(matches!(
            sample("request-duration", &broken),
            Sample::Nothing(Nothing::Unusable(_))
        ));
        assert!(matches!(
            sample("requests", &broken),
            Sample::Nothing(Nothing::Unusable(_))
        ));
    }
}
