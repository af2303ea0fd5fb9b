//! The whole story: start everything, release version 2, wait for the end, stop everything.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use delivery_core::Weight;
use delivery_core::rollout::{Command, Order, Phase, Reason};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::admin::Admin;
use crate::chaos::Chaos;
use crate::error::{Error, chain};
use crate::journal::Journal;
use crate::keeper::Keeper;
use crate::load::{Ledger, Load};
use crate::monitoring::Monitoring;
use crate::options::Options;
use crate::platform::Platform;
use crate::pod::Recipe;
use crate::proxy::{Listening, Proxy};
use crate::report::{Outcome, Report};
use crate::screen::{NAME, Screen, new, old};
use crate::service::Bad;
use crate::signals::Signals;
use crate::tempo::Tempo;

/// How many processes each side has.
const SIZE: u32 = 2;

/// Runs one release, and says how it ended.
pub(crate) async fn run(options: Options) -> Result<Outcome, Error> {
    let tempo = Tempo::new(options.interval, options.rate)?;
    options.report.as_deref().map_or(Ok(()), Report::check)?;
    let state = StateFolder::new(options.state.clone())?;
    let mut signals = Signals::new()?;
    let begun = Instant::now();

    let world = tokio::select! {
        world = World::start(&options, tempo, &state) => world?,
        // Nothing has happened yet.
        () = signals.next() => return Ok(Outcome::RolledBack),
    };
    let end = world.release(tempo, &mut signals, state.temporary.as_deref()).await;
    let status = if matches!(end, Ok(Outcome::Promoted)) { 0 } else { 2 };
    let (proxy, leftover) = (world.proxy.clone(), state.temporary.clone());
    tokio::spawn(async move {
        signals.next().await;
        quit(&proxy, leftover.as_deref(), status);
    });
    let (mut report, error) = world.stop(tempo, end).await;
    report.duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    report.show();
    if let Some(path) = &options.report {
        report.write(path)?;
    }
    error.map_or(Ok(report.outcome), Err)
}

/// Ends at once. All other processes end by themselves when this one is gone.
fn quit(proxy: &Proxy, leftover: Option<&Path>, status: i32) -> ! {
    proxy.set_weight(Weight::ZERO);
    if let Some(folder) = leftover {
        let _ = fs::remove_dir_all(folder);
    }
    std::process::exit(status)
}

/// Everything that runs.
struct World {
    proxy: Proxy,
    listening: Listening,
    platform: Platform,
    journal: Journal,
    ledger: Ledger,
    admin: Admin,
    keeper: Keeper,
    load: Load,
    background: [JoinHandle<()>; 2],
}

impl World {
    /// Version 1 serves, users send requests, and a controller looks on.
    async fn start(options: &Options, tempo: Tempo, state: &StateFolder) -> Result<Self, Error> {
        let own = || std::env::current_exe().map_err(|source| Error::OwnFile { source });
        let program = options.program.clone().map_or_else(own, Ok)?;
        let proxy = Proxy::new();
        let listening = proxy.listen(options.port).await?;
        let recipe = Recipe {
            program: program.clone(),
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
        let admin = Admin::new(proxy.clone(), platform.clone(), monitoring, journal.clone(), ledger.clone());
        let (api, serving) = admin.listen().await?;
        introduce(options, &listening);
        let keeper = Keeper::start(program, controller_arguments(api, &state.file(), tempo));
        if options.kill_controller {
            admin.unleash(Chaos::new(keeper.killer(), tempo.interval));
        }
        let background = [watching, serving];
        Ok(Self { proxy, listening, platform, journal, ledger, admin, keeper, load, background })
    }

    /// Version 2 is wanted; the rest is up to the controller, or to somebody who presses Ctrl-C.
    async fn release(&self, tempo: Tempo, signals: &mut Signals, leftover: Option<&Path>) -> Result<Outcome, Error> {
        let rollout = async {
            self.journal.phase(0, &[Phase::Initialized]).await;
            self.platform.set_target(new());
            self.end(0).await
        };
        tokio::select! {
            end = rollout => return end,
            error = self.keeper.gives_up() => return Err(error),
            () = sleep(tempo.limit()) => return Err(Error::Endless(tempo.limit())),
            () = signals.next() => Screen.remark("interrupted: everything goes back to v1; once more to quit at once"),
        }
        let told = self.journal.told();
        if !told.iter().any(|it| it.phase == Phase::Progressing) {
            // No traffic has moved yet; without a controller, none will.
            self.platform.set_target(old());
            return Ok(Outcome::RolledBack);
        }
        self.admin.order(Command { id: "interrupt".into(), actor: "you".into(), order: Order::Abort });
        let rollback = async {
            // As long as somebody answers, there is somebody to wait for.
            let mut heard = told.len();
            while timeout(tempo.deadline(), self.journal.more(heard)).await.is_ok() {
                heard = self.journal.told().len();
            }
        };
        tokio::select! {
            end = self.end(told.len()) => end,
            error = self.keeper.gives_up() => Err(error),
            () = rollback => Ok(Outcome::RolledBack),
            () = signals.next() => quit(&self.proxy, leftover, 2),
        }
    }

    /// Waits until the rollout has ended.
    async fn end(&self, skip: usize) -> Result<Outcome, Error> {
        let last = self.journal.phase(skip, &[Phase::Succeeded, Phase::Failed]).await;
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
                while self.platform.canaries() > 0 && self.proxy.weight().is_zero() {
                    sleep(Duration::from_millis(20)).await;
                }
                sleep(tempo.interval.min(Duration::from_secs(1))).await;
            };
            let _ = timeout(tempo.deadline(), gone).await;
        }
        let kills = self.keeper.kills();
        self.keeper.stop().await;
        if !self.proxy.weight().is_zero() && !matches!(end, Err(Error::PromotionFailed)) {
            self.admin.set_weight(Weight::ZERO);
            Screen.remark("the controller has not sent the traffic back: the platform does");
        }
        let weight_at_end = self.proxy.weight();
        self.load.stop().await;
        self.listening.stop().await;
        self.platform.stop().await;
        for task in self.background {
            task.abort();
        }
        let book = self.ledger.read();
        let outcome = *end.as_ref().unwrap_or(&Outcome::Error);
        let error = end.err();
        let mut report = Report {
            outcome,
            error: error.as_ref().map(|it| chain(it)),
            sent: 0,
            failed: 0,
            failures: BTreeMap::new(),
            bad_answers: 0,
            retried: self.proxy.retried(),
            skipped: 0,
            longest_outage_ms: 0,
            duration_ms: 0,
            kills,
            weight_at_end,
            transitions: self.journal.told().iter().map(Into::into).collect(),
            steps: Vec::new(),
        };
        report.count(&book, book.outage.longest_until(Instant::now()));
        (report, error)
    }
}

/// What one will see.
fn introduce(options: &Options, listening: &Listening) {
    let Options { bad, rate, interval, .. } = options;
    let version = match bad {
        None => "a good version",
        Some(Bad::Errors) => "a bad version: one answer in 20 is an error",
        Some(Bad::Latency) => "a bad version: one answer in 33 takes 700 ms",
        Some(Bad::Crash) => "a bad version: its processes die again and again",
        Some(Bad::NoTraffic) => "a bad version: without metrics, so that nobody can tell how well it answers",
    };
    for line in [
        format!("{NAME} runs v1: {SIZE} processes, {rate} requests per second to http://{}.", listening.address),
        format!("Now comes v2, {version}."),
        format!("Every {interval:?} it gets 10 % more of the requests, up to 50 %, and then all of them, as long as 99 % of its"),
        String::from("answers are good (request-success-rate) and 99 % come within 500 ms (request-duration)."),
        String::new(),
    ] {
        Screen.line(&line);
    }
    Screen.head();
}

fn controller_arguments(api: SocketAddr, state: &Path, tempo: Tempo) -> Vec<OsString> {
    let interval = tempo.interval.as_millis().to_string();
    let mut arguments: Vec<OsString> =
        ["controller", "--api", &api.to_string(), "--interval-ms", &interval, "--rate", &tempo.rate.to_string(), "--state"]
            .map(Into::into)
            .to_vec();
    arguments.push(state.into());
    arguments
}

/// Where the rollout's state is kept. A temporary folder goes with this value.
struct StateFolder {
    path: PathBuf,
    temporary: Option<PathBuf>,
}

impl StateFolder {
    /// The folder that was asked for, or a new temporary one; it can be written to, and has no state in it.
    fn new(chosen: Option<PathBuf>) -> Result<Self, Error> {
        let folder = match chosen {
            Some(path) => Self { path, temporary: None },
            None => {
                let path = std::env::temp_dir().join(format!("delivery-local-{}", std::process::id()));
                // Of a process with our id that was killed.
                let _ = fs::remove_dir_all(&path);
                Self { temporary: Some(path.clone()), path }
            }
        };
        let failed = |source| Error::StateFolder { path: folder.path.clone(), source };
        fs::create_dir_all(&folder.path).map_err(failed)?;
        if folder.file().exists() {
            let there = "there is the state of another rollout in it already; remove rollout.json or choose another folder";
            return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, there)));
        }
        let probe = folder.path.join("probe");
        let written = fs::File::create(&probe).and_then(|mut file| {
            file.write_all(&[b' '; 4_096])?;
            file.sync_all()
        });
        let removed = fs::remove_file(&probe);
        written.and(removed).map_err(failed)?;
        Ok(folder)
    }

    fn file(&self) -> PathBuf {
        self.path.join("rollout.json")
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        if let Some(path) = &self.temporary {
            let _ = fs::remove_dir_all(path);
        }
    }
}
