//! The whole story: start everything, release version 2, wait for the end, stop everything.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use delivery_core::Weight;
use delivery_core::rollout::{Command, Notice, Order, Phase, Reason};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::admin::Admin;
use crate::chaos::Chaos;
use crate::error::{Error, chain};
use crate::gates::Gates;
use crate::journal::Journal;
use crate::keeper::Keeper;
use crate::load::{Ledger, Load};
use crate::monitoring::Monitoring;
use crate::options::Options;
use crate::platform::Platform;
use crate::pod::Recipe;
use crate::prometheus::Prometheus;
use crate::proxy::{Listening, Proxy};
use crate::report::{Outcome, Report};
use crate::screen::{self, NAME, new, old};
use crate::service::Bad;
use crate::signals::Signals;
use crate::state_folder::StateFolder;
use crate::tempo::{Judge, Tempo};

/// How many processes each side has.
const SIZE: u32 = 2;

/// Runs one release, and says how it ended.
pub(crate) async fn run(options: Options) -> Result<Outcome, Error> {
    let tempo = Tempo::new(options.interval, options.rate, options.judge)?;
    options.report.as_deref().map_or(Ok(()), Report::check)?;
    let begun = Instant::now();
    let (mut report, error) = match release(&options, tempo).await {
        Ok(ended) => ended,
        // Before anything was released.
        Err(error) => (Report::new(Outcome::Error), Some(error)),
    };
    report.error = error.as_ref().map(|it| chain(it));
    report.duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    if report.sent > 0 {
        report.show();
    }
    if let Some(path) = &options.report {
        report.write(path)?;
    }
    error.map_or(Ok(report.outcome), Err)
}

async fn release(options: &Options, tempo: Tempo) -> Result<(Report, Option<Error>), Error> {
    let state = StateFolder::new(options.state.clone())?;
    let mut signals = Signals::new()?;
    let world = tokio::select! {
        world = World::start(options, tempo, &state) => world?,
        () = signals.next() => {
            // Whatever has been started ends with us.
            screen::line("interrupted before anything was released");
            return Ok((Report::new(Outcome::RolledBack), None));
        }
    };
    let end = world
        .release(tempo, &mut signals, state.temporary.as_deref())
        .await;
    let status = match end {
        Ok(Outcome::Promoted) => 0,
        Ok(Outcome::RolledBack) => 2,
        Ok(Outcome::Error) | Err(_) => 1,
    };
    let (proxy, leftover) = (world.site.proxy.clone(), state.temporary.clone());
    let reports = options.report.is_some();
    let impatient = tokio::spawn(async move {
        signals.next().await;
        if reports {
            screen::remark("interrupted: there is no report");
        }
        // Who has asked for a report and gets none must not take this for a success.
        quit(
            &proxy,
            leftover.as_deref(),
            if reports && status == 0 { 1 } else { status },
        );
    });
    let ended = world.stop(tempo, end).await;
    // The report is written in no time: nobody has to interrupt that.
    impatient.abort();
    Ok(ended)
}

/// Ends at once. All other processes end by themselves when this one is gone.
fn quit(proxy: &Proxy, leftover: Option<&Path>, status: i32) -> ! {
    proxy.set_weight(Weight::ZERO);
    if let Some(folder) = leftover {
        // The controller may be writing its state into it: it can be removed in the next moment then.
        for _ in 0..20 {
            if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    std::process::exit(status)
}

/// Everything that a rollout needs around it: version 1 serves, and users send requests.
pub(crate) struct Site {
    pub(crate) proxy: Proxy,
    pub(crate) platform: Platform,
    pub(crate) journal: Journal,
    pub(crate) ledger: Ledger,
    pub(crate) admin: Admin,
    /// Where the platform's API for the controller listens.
    pub(crate) api: SocketAddr,
    listening: Listening,
    load: Load,
    background: [JoinHandle<()>; 2],
}

impl Site {
    pub(crate) async fn start(program: PathBuf, options: &Options, tempo: Tempo) -> Result<Self, Error> {
        let proxy = Proxy::new();
        let listening = proxy.listen(options.port).await?;
        let recipe = Recipe {
            program,
            bad: options.bad,
            crash_after: tempo.crash_after(),
            back_off: tempo.interval,
        };
        let platform = Platform::start(proxy.clone(), recipe, tempo.settled(), old(), SIZE);
        platform.ready(Duration::from_secs(30)).await?;
        let ledger = Ledger::new(options.bad.is_some());
        let load = Load::start(listening.address, options.rate, &ledger);
        let monitoring = Monitoring::default();
        let watching = monitoring.watch(platform.clone(), tempo.poll());
        let journal = Journal::new();
        let admin = Admin::new(
            proxy.clone(),
            platform.clone(),
            monitoring,
            journal.clone(),
            ledger.clone(),
        );
        let (api, serving) = admin.listen().await?;
        Ok(Self {
            proxy,
            platform,
            journal,
            ledger,
            admin,
            api,
            listening,
            load,
            background: [watching, serving],
        })
    }

    /// The users first, then what serves them.
    pub(crate) async fn stop(self) {
        self.load.stop().await;
        self.listening.stop().await;
        self.platform.stop().await;
        for task in self.background {
            task.abort();
        }
    }
}

/// The program that is started as service and controller: this one, if no other is asked for.
pub(crate) fn program(options: &Options) -> Result<PathBuf, Error> {
    let own = || std::env::current_exe().map_err(|source| Error::OwnFile { source });
    options.program.clone().map_or_else(own, Ok)
}

/// A site and a controller.
struct World {
    site: Site,
    keeper: Keeper,
    gates: Option<Gates>,
    prometheus: Option<Prometheus>,
}

impl World {
    async fn start(options: &Options, tempo: Tempo, state: &StateFolder) -> Result<Self, Error> {
        let program = program(options)?;
        let site = Site::start(program.clone(), options, tempo).await?;
        let prometheus = Prometheus::wanted(options.measured, &site, state, tempo).await?;
        introduce(options, &site.listening);
        let mut arguments = controller_arguments(site.api, &state.file(), tempo);
        let mut gates = None;
        if options.gate {
            let started = Gates::start(state.path(), site.admin.clone(), site.journal.clone()).await?;
            arguments.extend(started.arguments());
            gates = Some(started);
        }
        if let Some(prometheus) = &prometheus {
            arguments.extend(["--prometheus".into(), prometheus.address.to_string().into()]);
        }
        let keeper = Keeper::start(program, arguments);
        if options.kill_controller {
            site.admin.unleash(Chaos::new(keeper.killer(), tempo.interval));
        }
        Ok(Self {
            site,
            keeper,
            gates,
            prometheus,
        })
    }

    /// Version 2 is wanted; the rest is up to the controller, or to somebody who presses Ctrl-C.
    async fn release(
        &self,
        tempo: Tempo,
        signals: &mut Signals,
        leftover: Option<&Path>,
    ) -> Result<Outcome, Error> {
        let rollout = async {
            self.site.journal.phase(0, &[Phase::Initialized]).await;
            self.site.platform.set_target(new());
            self.end(0).await
        };
        tokio::select! {
            end = rollout => return end,
            error = self.keeper.gives_up() => return Err(error),
            // Nobody knows how long people take to open a gate.
            () = sleep(tempo.limit()), if self.gates.is_none() => return Err(Error::Endless(tempo.limit())),
            () = signals.next() => screen::remark("interrupted: the rollout is aborted; once more to quit at once"),
        }
        let told = self.site.journal.told();
        if !told.iter().any(|it| it.phase == Phase::Progressing) {
            // No traffic has moved yet; without a controller, none will.
            self.site.platform.set_target(old());
            return Ok(Outcome::RolledBack);
        }
        self.site.admin.order(Command {
            id: "interrupt".into(),
            actor: "you".into(),
            order: Order::Abort,
        });
        let rollback = async {
            // As long as somebody answers, there is somebody to wait for.
            let mut heard = told.len();
            while timeout(tempo.deadline(), self.site.journal.more(heard))
                .await
                .is_ok()
            {
                heard = self.site.journal.told().len();
            }
        };
        tokio::select! {
            end = self.end(told.len()) => end,
            error = self.keeper.gives_up() => Err(error),
            () = rollback => Ok(Outcome::RolledBack),
            () = signals.next() => quit(&self.site.proxy, leftover, 2),
        }
    }

    /// Waits until the rollout has ended.
    async fn end(&self, skip: usize) -> Result<Outcome, Error> {
        let last = self
            .site
            .journal
            .phase(skip, &[Phase::Succeeded, Phase::Failed])
            .await;
        match (last.phase, last.reason) {
            (Phase::Succeeded, _) => Ok(Outcome::Promoted),
            (_, Reason::PromotionFailed) => Err(Error::PromotionFailed),
            _ => Ok(Outcome::RolledBack),
        }
    }

    /// Stops everything in the order in which nobody is hurt.
    async fn stop(self, tempo: Tempo, end: Result<Outcome, Error>) -> (Report, Option<Error>) {
        if end.is_ok() {
            // The canary's processes go while the users go on: nothing may fail now either.
            let gone = async {
                while self.site.platform.canaries() > 0 && self.site.proxy.weight().is_zero() {
                    sleep(Duration::from_millis(20)).await;
                }
                sleep(tempo.interval.min(Duration::from_secs(1))).await;
            };
            let _ = timeout(tempo.deadline(), gone).await;
        }
        let kills = self.keeper.kills();
        self.keeper.stop().await;
        if let Some(gates) = self.gates {
            gates.stop();
        }
        if let Some(prometheus) = self.prometheus {
            prometheus.stop().await;
        }
        if !self.site.proxy.weight().is_zero() && !matches!(end, Err(Error::PromotionFailed)) {
            self.site.admin.set_weight(Weight::ZERO);
            screen::remark("the controller has not sent the traffic back: the platform does");
        }
        let weight_at_end = self.site.proxy.weight();
        let (proxy, journal, ledger) = (
            self.site.proxy.clone(),
            self.site.journal.clone(),
            self.site.ledger.clone(),
        );
        self.site.stop().await;
        let book = ledger.read();
        let mut report = Report::new(*end.as_ref().unwrap_or(&Outcome::Error));
        report.retried = proxy.retried();
        report.kills = kills;
        report.weight_at_end = weight_at_end;
        report.canary_traffic_ms = exposed(&journal.told());
        report.transitions = journal.told().iter().map(Into::into).collect();
        report.count(&book, book.outage.longest_until(Instant::now()));
        (report, end.err())
    }
}

/// How long the canary had traffic until it was taken away, in milliseconds.
fn exposed(notices: &[Notice]) -> Option<u64> {
    let began = notices.iter().find(|it| !it.weight.is_zero())?;
    let ended = notices
        .iter()
        .find(|it| it.id > began.id && it.phase == Phase::RollingBack && it.weight.is_zero())?;
    u64::try_from(ended.at.since(began.at).as_millis()).ok()
}

/// What one will see.
fn introduce(options: &Options, listening: &Listening) {
    let Options {
        bad,
        judge,
        rate,
        interval,
        ..
    } = options;
    let version = match bad {
        None => "a good version",
        Some(Bad::Errors) => "a bad version: one answer in 20 is an error",
        Some(Bad::Latency) => "a bad version: one answer in 33 takes 700 ms",
        Some(Bad::Crash) => "a bad version: its processes die again and again",
        Some(Bad::NoTraffic) => "a bad version: without metrics, so that nobody can tell how well it answers",
    };
    for line in [
        format!(
            "{NAME} runs v1: {SIZE} processes, {rate} requests per second to http://{}.",
            listening.address
        ),
        format!("Now comes v2, {version}."),
        format!(
            "Every {interval:?} it gets 10 % more of the requests, up to 50 %, and then all of them, as long as {}",
            match judge {
                Judge::Range => "99 % of its",
                Judge::Sequential => "nothing shows",
            }
        ),
        String::from(match judge {
            Judge::Range => {
                "answers are good (request-success-rate) and 99 % come within 500 ms (request-duration)."
            }
            Judge::Sequential => {
                "that it has more errors (request-success-rate) or more answers over 500 ms (request-duration) than v1."
            }
        }),
        String::new(),
    ] {
        screen::line(&line);
    }
    screen::head();
}

fn controller_arguments(api: SocketAddr, state: &Path, tempo: Tempo) -> Vec<OsString> {
    let interval = tempo.interval.as_millis().to_string();
    let mut arguments: Vec<OsString> = [
        "controller",
        "--api",
        &api.to_string(),
        "--interval-ms",
        &interval,
        "--rate",
        &tempo.rate.to_string(),
        "--judge",
        tempo.judge.name(),
        "--state",
    ]
    .map(Into::into)
    .to_vec();
    arguments.push(state.into());
    arguments
}
