//! `--prometheus`: a real Prometheus beside the rollout. It scrapes the processes through the platform's API, and the
//! controller judges by what it answers.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use delivery_core::Weight;
use delivery_prom::reply::Data;
use delivery_prom::template::TemplateError;
use delivery_prom::{Client, Form, Metrics, Question, Server};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::error::{Error, chain};
use crate::journal::Journal;
use crate::screen;
use crate::state_folder::StateFolder;
use crate::supervisor::Site;
use crate::tempo::{Judge, Tempo};

/// Who measures.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Measure with a real Prometheus, which must be installed.
    #[arg(long)]
    pub(crate) prometheus: bool,
    /// Stop the Prometheus in mid-rollout, and start it again some intervals later.
    #[arg(long, requires = "prometheus")]
    pub(crate) stop_prometheus: bool,
}

/// The share of good answers of the version that is measured, in percent.
const SUCCESS_RATE: &str = r#"
sum(rate(http_requests_total{side="canary", revision="{{ revision }}", code!~"5.."}[{{ interval }}]))
/
sum(rate(http_requests_total{side="canary", revision="{{ revision }}"}[{{ interval }}]))
* 100"#;

/// The 99th percentile of its answers' durations, in milliseconds.
const DURATION: &str = r#"
histogram_quantile(0.99,
  sum by (le) (rate(http_request_duration_seconds_bucket{side="canary", revision="{{ revision }}"}[{{ interval }}]))
) * 1000"#;

/// What the controller measures with.
pub(crate) fn metrics(address: SocketAddr, tempo: Tempo) -> Result<Metrics, Error> {
    let questions = match tempo.judge {
        Judge::Range => numbers(),
        Judge::Sequential => counters(),
    };
    let [success_rate, duration] = questions.map_err(|it| Error::Prometheus(chain(&it)))?;
    Ok(Metrics::new(client(address, tempo.interval)?)
        .question("request-success-rate", success_rate)
        .question("request-duration", duration))
}

/// What is held against bounds.
fn numbers() -> Result<[Question; 2], TemplateError> {
    let question = |query| Form::value(query).map(Question::new);
    Ok([question(SUCCESS_RATE)?, question(DURATION)?])
}

/// What is counted, on both sides.
fn counters() -> Result<[Question; 2], TemplateError> {
    let of = |name: &str, side: &str, more: &str| {
        [
            name,
            r#"{side=""#,
            side,
            r#"", revision="{{ revision }}""#,
            more,
            "}",
        ]
        .concat()
    };
    let counted = |side| {
        let failed = of("http_requests_total", side, r#", code=~"5..""#);
        Form::counts(&of("http_requests_total", side, ""), &failed)
    };
    let timed = |side| Form::histogram(&of("http_request_duration_seconds_bucket", side, ""), 1_000.0);
    Ok([
        Question::new(counted("canary")?).against(counted("primary")?),
        Question::new(timed("canary")?).against(timed("primary")?),
    ])
}

fn client(address: SocketAddr, timeout: Duration) -> Result<Client, Error> {
    Server::new(&format!("http://{address}"))
        .and_then(|it| it.timeout(timeout).client())
        .map_err(|it| Error::Prometheus(chain(&it)))
}

/// A Prometheus. It ends when this process does, however that happens.
pub(crate) struct Prometheus {
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    /// None while it is stopped on purpose.
    process: Arc<Mutex<Option<Child>>>,
    outage: Option<JoinHandle<()>>,
}

/// How long it may take to come up and to have scraped. It waits for some seconds before its first scrape.
const START: Duration = Duration::from_secs(60);

/// How long it may take to end by itself.
const END: Duration = Duration::from_secs(10);

/// Ends what it started when its standard input is closed: nothing outlives a process that is killed.
const LEASH: &str = r#""$0" "$@" & process=$!; cat >/dev/null; kill "$process"; wait "$process""#;

impl Prometheus {
    /// The one that was asked for, if any.
    pub(crate) async fn wanted(
        measured: Measured,
        site: &Site,
        state: &StateFolder,
        tempo: Tempo,
    ) -> Result<Option<Self>, Error> {
        if !measured.prometheus {
            return Ok(None);
        }
        let mut started = Self::start(site.api, state.prometheus(), tempo).await?;
        screen::line(&format!("The Prometheus at http://{} measures.", started.address));
        if measured.stop_prometheus {
            started.fails_in_the_middle(site.journal.clone(), tempo);
        }
        Ok(Some(started))
    }

    /// Starts one that keeps its data in `folder`, and waits until it has scraped the platform.
    async fn start(platform: SocketAddr, folder: PathBuf, tempo: Tempo) -> Result<Self, Error> {
        let failed = |source| Error::Io {
            doing: "write the configuration of Prometheus",
            source,
        };
        fs::create_dir_all(&folder).map_err(failed)?;
        let every = tempo.poll().as_millis();
        // The labels of the processes are on the page already.
        let configuration = format!(
            "global: {{scrape_interval: {every}ms, scrape_timeout: {every}ms}}\n\
             scrape_configs:\n\
             - {{job_name: local, metrics_path: /pods/metrics, static_configs: [{{targets: ['{platform}']}}]}}\n"
        );
        fs::write(folder.join("prometheus.yaml"), configuration).map_err(failed)?;
        let address = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|it| it.local_addr())
            .map_err(failed)?;
        let process = Arc::new(Mutex::new(Some(spawn(&folder, address)?)));
        let started = Self {
            address,
            folder,
            process,
            outage: None,
        };
        match started.scrapes().await {
            Ok(()) => Ok(started),
            Err(why) => {
                let log = fs::read_to_string(started.folder.join("log")).unwrap_or_default();
                started.stop().await;
                let last = log.lines().last().unwrap_or_default();
                Err(Error::Prometheus(format!("{why}; it said last: {last}")))
            }
        }
    }

    /// Waits until it has seen the platform.
    async fn scrapes(&self) -> Result<(), String> {
        let client = client(self.address, Duration::from_secs(1)).map_err(|it| chain(&it))?;
        let until = Instant::now() + START;
        loop {
            let why = match client.query("up == 1").await {
                Err(error) => chain(&error),
                Ok(answer) => match answer.reply() {
                    Ok(reply) if matches!(&reply.data, Data::Vector(series) if !series.is_empty()) => {
                        return Ok(());
                    }
                    Ok(_) => String::from("it cannot scrape the platform"),
                    Err(error) => chain(&error),
                },
            };
            if Instant::now() >= until {
                return Err(why);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops it when the canary has got some traffic, and starts it again some intervals later.
    fn fails_in_the_middle(&mut self, journal: Journal, tempo: Tempo) {
        let (process, folder, address) = (Arc::clone(&self.process), self.folder.clone(), self.address);
        self.outage = Some(tokio::spawn(async move {
            let middle = Weight::percent(20).unwrap_or(Weight::WHOLE);
            while journal.told().last().is_none_or(|it| it.weight < middle) {
                sleep(tempo.poll()).await;
            }
            let mut process = process.lock().await;
            if let Some(running) = process.take() {
                end(running).await;
                screen::remark("Prometheus was stopped");
            }
            sleep(tempo.interval * 4).await;
            match spawn(&folder, address) {
                Ok(running) => {
                    *process = Some(running);
                    screen::remark("Prometheus was started again");
                }
                Err(error) => screen::remark(&chain(&error)),
            }
        }));
    }

    /// Ends it, and waits for it.
    pub(crate) async fn stop(self) {
        if let Some(outage) = &self.outage {
            outage.abort();
        }
        if let Some(running) = self.process.lock().await.take() {
            end(running).await;
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn spawn(folder: &Path, address: SocketAddr) -> Result<Child, Error> {
    let failed = |source| Error::Start {
        what: String::from("Prometheus (install it, e.g. apt-get install prometheus)"),
        program: "prometheus".into(),
        source,
    };
    // The shell would only say that it did not find it.
    std::process::Command::new("prometheus")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(failed)?;
    let log = fs::File::create(folder.join("log")).map_err(failed)?;
    let mut command = Command::new("sh");
    command
        .args(["-c", LEASH, "prometheus", "--config.file=prometheus.yaml"])
        .arg("--storage.tsdb.path=data")
        .arg(format!("--web.listen-address={address}"))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log);
    // Ctrl-C is for us alone.
    #[cfg(unix)]
    command.process_group(0);
    command.spawn().map_err(failed)
}

async fn end(mut process: Child) {
    drop(process.stdin.take());
    if timeout(END, process.wait()).await.is_err() {
        let _ = process.kill().await;
    }
}
