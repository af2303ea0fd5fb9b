//! A metric source of your own: [`AccessLog`] measures what a proxy has logged.
//!
//! You will see three windows measured in a log, in which version `v2` begins to fail after a minute, and what a judge who wants
//! 99 % of the requests to succeed makes of it. In the last window there was no traffic: that is no data, and neither 0 %
//! nor 100 %, which is the one thing to get right in a metric source.
//!
//! ```sh
//! cargo run -p delivery-examples --bin custom-metric
//! cargo test -p delivery-examples --bin custom-metric    # the contract that every metric source has to pass
//! ```

use core::time::Duration;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use async_trait::async_trait;
use delivery_core::analysis::{Look, Metric, Nothing, Sample, Tally, Window, judge};
use delivery_core::plan::{Canary, Capabilities, MetricSpec, Plan, Spec, Strategy};
use delivery_core::port::{Measure, MetricSource, PortError};
use delivery_core::{Revision, Timestamp, Weight};
use delivery_examples::{line, status};

/// Measures what is in a log: a line per request with its time (milliseconds since 1970), the revision that answered it,
/// and the status, e.g. `1777000000000,v2,503`.
struct AccessLog {
    file: PathBuf,
}

#[async_trait]
impl MetricSource for AccessLog {
    async fn measure(&self, ask: &Measure<'_>) -> Result<Sample, PortError> {
        if ask.metric.name != "request-success-rate" {
            return Ok(Sample::Nothing(Nothing::NoData));
        }
        let log = tokio::fs::read_to_string(&self.file).await;
        let log = log.map_err(|it| PortError::transient(format!("reading {}", self.file.display()), it))?;
        Ok(counts(&log, ask).unwrap_or_else(Sample::Nothing))
    }
}

/// The requests of the window, by who answered them.
fn counts(log: &str, ask: &Measure<'_>) -> Result<Sample, Nothing> {
    let (mut canary, mut primary) = (Tally::default(), Tally::default());
    // A last line without its end is still being written.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for (at, line) in whole.lines().enumerate() {
        let unusable = || Nothing::Unusable(format!("line {} of the log: {line:?}", at + 1));
        let request = Request::parse(line).ok_or_else(unusable)?;
        if request.at < ask.window.from || request.at > ask.window.to {
            continue;
        }
        let tally = match Some(request.revision) {
            it if it == Some(ask.canary.as_str()) => &mut canary,
            it if it == ask.primary.map(Revision::as_str) => &mut primary,
            _ => continue,
        };
        tally.total += 1;
        tally.errors += u64::from(request.status >= 500);
    }
    if canary.total == 0 {
        return Err(Nothing::NoData);
    }
    Ok(Sample::Counts {
        canary,
        primary: Some(primary).filter(|it| it.total > 0),
    })
}

/// A line of the log.
struct Request<'a> {
    at: Timestamp,
    revision: &'a str,
    status: u16,
}

impl<'a> Request<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(',');
        let at = Timestamp::from_millis(fields.next()?.parse().ok()?);
        let (revision, status) = (fields.next()?, fields.next()?.parse().ok()?);
        fields.next().is_none().then_some(Self { at, revision, status })
    }
}

/// When the log begins.
const BEGINNING: Timestamp = Timestamp::from_millis(1_777_000_000_000);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    status(run().await.map(|()| ExitCode::SUCCESS))
}

async fn run() -> Result<(), Box<dyn Error>> {
    let file = std::env::temp_dir().join(format!("delivery-custom-metric-{}.csv", std::process::id()));
    write_log(&file)?;
    let shown = show(AccessLog { file: file.clone() }).await;
    fs::remove_file(&file)?;
    shown
}

async fn show(source: AccessLog) -> Result<(), Box<dyn Error>> {
    let plan = plan()?;
    let (v1, v2) = (Revision::new("v1")?, Revision::new("v2")?);
    for minute in 0..3 {
        let said = source
            .measure(&question(&plan.metrics()[0], minute, &v1, &v2))
            .await?;
        let measured = match &said {
            Sample::Counts { canary, .. } => {
                format!("{:>3} requests, {:>2} failed", canary.total, canary.errors)
            }
            other => format!("{other:?}"),
        };
        let samples = BTreeMap::from([(plan.metrics()[0].name.clone(), said)]);
        let round = judge(&plan.due(Look::Round, BEGINNING), &samples, &BTreeMap::new());
        let (verdict, evidence) = (round.verdict, &round.evidence[0]);
        line(format_args!(
            "minute {minute}: {measured} -> {verdict} ({evidence})"
        ))?;
    }
    Ok(())
}

fn plan() -> Result<Plan, Box<dyn Error>> {
    let canary = Canary {
        step_weight: Some(10.0),
        ..Canary::default()
    };
    let metrics = vec![MetricSpec::at_least("request-success-rate", 99.0)];
    Ok(Spec {
        metrics,
        ..Spec::new(Strategy::Canary(canary))
    }
    .compile(&Capabilities::ALL)?
    .0)
}

fn question<'a>(metric: &'a Metric, minute: u32, v1: &'a Revision, v2: &'a Revision) -> Measure<'a> {
    let from = BEGINNING.after(Duration::from_secs(60) * minute);
    let window = Window {
        from,
        to: from.after(Duration::from_millis(59_999)),
    };
    Measure {
        metric,
        window,
        canary: v2,
        primary: Some(v1),
        weight: Weight::ZERO,
    }
}

/// Two minutes of ten requests a second, of which `v2` answers every fifth; in the second minute, one in twelve of its
/// answers is an error.
fn write_log(file: &Path) -> Result<(), Box<dyn Error>> {
    let mut log = String::new();
    for at in 0..1_200_u64 {
        let revision = if at % 5 == 0 { "v2" } else { "v1" };
        let status = if at >= 600 && at % 60 == 0 { 503 } else { 200 };
        writeln!(log, "{},{revision},{status}", BEGINNING.as_millis() + at * 100)?;
    }
    Ok(fs::write(file, log)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_keeps_the_promises_of_every_metric_source() {
        let file =
            std::env::temp_dir().join(format!("delivery-custom-metric-test-{}.csv", std::process::id()));
        write_log(&file).unwrap();
        let source = AccessLog { file: file.clone() };
        let (plan, v1, v2) = (
            plan().unwrap(),
            Revision::new("v1").unwrap(),
            Revision::new("v2").unwrap(),
        );
        let ask = question(&plan.metrics()[0], 1, &v1, &v2);
        let wait = async || tokio::time::sleep(Duration::from_millis(1)).await;
        let kept = delivery_core::contract::metric_source(&source, &ask, wait).await;
        let measured = source.measure(&ask).await;
        fs::remove_file(&file).unwrap();
        kept.unwrap();
        let (canary, primary) = (
            Tally {
                total: 120,
                errors: 10,
            },
            Some(Tally {
                total: 480,
                errors: 0,
            }),
        );
        assert_eq!(measured.unwrap(), Sample::Counts { canary, primary });
        assert!(
            source.measure(&ask).await.is_err(),
            "a log that is gone is an error"
        );
    }

    #[test]
    fn what_is_no_request_is_no_measurement() {
        let (plan, v1, v2) = (
            plan().unwrap(),
            Revision::new("v1").unwrap(),
            Revision::new("v2").unwrap(),
        );
        let ask = question(&plan.metrics()[0], 0, &v1, &v2);
        let of = |log: &str| counts(log, &ask);
        assert_eq!(of(""), Err(Nothing::NoData));
        assert_eq!(
            of("1777000000000,v2,200"),
            Err(Nothing::NoData),
            "a line that is still being written"
        );
        let one = Tally { total: 1, errors: 0 };
        assert_eq!(
            of("1777000000000,v2,200\n17770"),
            Ok(Sample::Counts {
                canary: one,
                primary: None
            })
        );
        for line in [
            "hello",
            "1777000000000,v2",
            "1777000000000,v2,OK",
            "1777000000000,v2,200,7",
        ] {
            let why = format!("line 2 of the log: {line:?}");
            assert_eq!(
                of(&format!("1777000000000,v2,200\n{line}\n")),
                Err(Nothing::Unusable(why))
            );
        }
    }
}
