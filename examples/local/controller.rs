//! The controlling process: the engine, a state file and the platform's API. It may be killed at any moment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use delivery_core::host::{FileStore, SystemClock};
use delivery_core::port::{Approver, Clock, Fault, MetricSource, Open, PortError};
use delivery_core::rollout::Command;
use delivery_core::{Ports, advance, text};
use delivery_examples::complain;
use delivery_http::FanOut;
use delivery_http::hook::Webhooks;
use tokio::time::{Instant, sleep};

use crate::error::{Error, chain};
use crate::gates::GateArgs;
use crate::http::Api;
use crate::ports::{HttpNotifier, HttpRouter, HttpWorkload, MonitoringMetrics};
use crate::prometheus;
use crate::service::stdin_closed;
use crate::tempo::{Judge, Tempo, plan};

/// How the controller is started.
#[derive(Args, Debug)]
pub(crate) struct ControllerArgs {
    /// Where the platform's API listens.
    #[arg(long)]
    api: SocketAddr,
    /// The file that the state is kept in.
    #[arg(long)]
    state: PathBuf,
    /// How often the metrics are judged, in milliseconds.
    #[arg(long)]
    interval_ms: u64,
    /// Requests per second.
    #[arg(long)]
    rate: u32,
    /// Who judges.
    #[arg(long, value_enum, default_value_t)]
    judge: Judge,
    /// Where a Prometheus listens that measures.
    #[arg(long)]
    prometheus: Option<SocketAddr>,
    #[command(flatten)]
    gates: GateArgs,
}

/// How long the state may be impossible to keep, when that may pass: a full disk, most likely.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the rollout until standard input is closed.
pub(crate) async fn run(args: ControllerArgs) -> Result<(), Error> {
    tokio::select! {
        error = control(args) => Err(error),
        () = stdin_closed() => Ok(()),
    }
}

async fn control(args: ControllerArgs) -> Error {
    let tempo = match Tempo::new(Duration::from_millis(args.interval_ms), args.rate, args.judge) {
        Ok(tempo) => tempo,
        Err(error) => return error,
    };
    let hooks = match args.gates.webhooks() {
        Ok(hooks) => hooks,
        Err(error) => return error,
    };
    let mut spec = tempo.spec();
    spec.gates = hooks.as_ref().map(Webhooks::gates).unwrap_or_default();
    if args.prometheus.is_some() {
        spec = tempo.patient(spec);
    }
    let plan = match plan(&spec) {
        Ok(plan) => plan,
        Err(error) => return error,
    };
    let api = Api::new(args.api, Duration::from_secs(5));
    let metrics = match measuring(args.prometheus, tempo, &api) {
        Ok(metrics) => metrics,
        Err(error) => return error,
    };
    let (traffic, workload) = (HttpRouter(api.clone()), HttpWorkload(api.clone()));
    let notifier = HttpNotifier(api.clone());
    let (approver, notifier): (&dyn Approver, _) = match &hooks {
        Some(hooks) => (hooks, FanOut::new().and(&notifier).and(hooks)),
        None => (&Open, FanOut::new().and(&notifier)),
    };
    let store = FileStore::new(args.state);
    let ports = Ports {
        clock: &SystemClock,
        store: &store,
        workload: &workload,
        traffic: &traffic,
        metrics: &*metrics,
        approver,
        notifier: &notifier,
    };

    let mut complaints = Complaints::default();
    let mut failing = None;
    loop {
        // Orders are repeated as long as we live; the state knows those that it has carried out.
        let commands: Vec<Command> = api.read("/commands").await.unwrap_or_default();
        let pause = match advance(&plan, &ports, &commands).await {
            Ok(advanced) => {
                failing = None;
                complaints.hear(&advanced.troubles);
                let until = advanced.until.map(|it| it.since(SystemClock.now()));
                // Nobody tells us that a process has died or an order was given: look now and then.
                until.unwrap_or(tempo.poll()).min(tempo.poll())
            }
            Err(error) => {
                let since = *failing.get_or_insert_with(Instant::now);
                if error.fault == Fault::Permanent || since.elapsed() >= PATIENCE {
                    return Error::Port(error);
                }
                complaints.hear(&[error]);
                tempo.poll()
            }
        };
        sleep(pause).await;
    }
}

/// What is measured, and with what.
fn measuring(
    prometheus: Option<SocketAddr>,
    tempo: Tempo,
    api: &Api,
) -> Result<Box<dyn MetricSource>, Error> {
    Ok(match prometheus {
        None => Box::new(MonitoringMetrics(api.clone())),
        Some(address) => Box::new(prometheus::metrics(address, tempo)?),
    })
}

/// Says what does not work, once until it changes.
#[derive(Default)]
struct Complaints(Vec<String>);

impl Complaints {
    fn hear(&mut self, troubles: &[PortError]) {
        let said: Vec<String> = troubles.iter().map(|it| chain(it)).collect();
        for new in said.iter().filter(|it| !self.0.contains(it)) {
            complain(text::shortened(new, text::ANSWER));
        }
        self.0 = said;
    }
}
