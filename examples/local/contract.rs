//! What the engine relies on, checked on the real thing: each port's contract over the running platform, while users
//! send requests and none of them may fail.

use std::time::Duration;

use delivery_core::Weight;
use delivery_core::analysis::Window;
use delivery_core::contract;
use delivery_core::plan::Scale;
use delivery_core::port::{CanaryWish, Measure, Wish, Workload};
use tokio::time::sleep;

use crate::error::Error;
use crate::http::Api;
use crate::options::Options;
use crate::ports::{HttpNotifier, HttpRouter, HttpWorkload, MonitoringMetrics};
use crate::screen::{self, new, now, old};
use crate::supervisor::{Site, program};
use crate::tempo::{Tempo, plan};

/// Checks all ports, one after the other.
pub(crate) async fn run(options: &Options) -> Result<(), Error> {
    let tempo = Tempo::new(options.interval, options.rate, options.judge)?;
    let site = Site::start(program(options)?, options, tempo).await?;
    let checked = check(&site, tempo).await;
    let ledger = site.ledger.clone();
    site.stop().await;
    checked?;
    let book = ledger.read();
    if let Some((why, _)) = book.failures.first_key_value() {
        return Err(Error::Noticed {
            failed: book.failures.values().sum(),
            why: why.clone(),
        });
    }
    screen::line(&format!(
        "and of {} requests none failed",
        book.steps.iter().map(|it| it.sent).sum::<u64>()
    ));
    Ok(())
}

async fn check(site: &Site, tempo: Tempo) -> Result<(), Error> {
    let api = Api::new(site.api, Duration::from_secs(5));
    let wait = async || sleep(Duration::from_millis(20)).await;

    let workload = HttpWorkload(api.clone());
    let canary = CanaryWish::Up {
        revision: new(),
        scale: Scale::LikePrimary,
    };
    let both = Wish {
        primary: Some(old()),
        canary,
    };
    workload.apply(&both).await.map_err(Error::Port)?;
    site.admin
        .set_weight(Weight::percent(50).unwrap_or(Weight::WHOLE));
    let from = now();
    sleep(tempo.interval).await;
    let window = Window { from, to: now() };
    // What was scraped last is on its way into the books.
    sleep(tempo.poll()).await;
    let plan = plan(&tempo.spec())?;
    for metric in plan.metrics() {
        let (old, new) = (old(), new());
        let ask = Measure {
            metric,
            window,
            canary: &new,
            primary: Some(&old),
            weight: site.proxy.weight(),
        };
        contract::metric_source(&MonitoringMetrics(api.clone()), &ask, wait).await?;
        screen::line(&format!(
            "the monitoring keeps the promises of a MetricSource ({})",
            metric.name
        ));
    }

    contract::traffic_router(&HttpRouter(api.clone()), wait).await?;
    screen::line("the proxy keeps the promises of a TrafficRouter");

    contract::workload(&workload, &old(), &new(), wait).await?;
    screen::line("the processes keep the promises of a Workload");

    contract::notifier(&HttpNotifier(api), wait).await?;
    screen::line("the table keeps the promises of a Notifier");
    Ok(())
}
