//! One place of a service: a process, started again when it dies, as a kubelet does it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use delivery_core::rollout::Side;
use delivery_core::{Revision, Timestamp};
use hyper::Method;
use hyper::body::Bytes;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::http::Api;
use crate::proxy::{Proxy, Upstream};
use crate::screen::{self, now};
use crate::service::Bad;

/// How to start a process of a service.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) program: PathBuf,
    pub(crate) bad: Option<Bad>,
    pub(crate) crash_after: u64,
    /// The first pause after a process has died; it doubles every time.
    pub(crate) back_off: Duration,
}

/// How long a process may take to say where it listens.
const START: Duration = Duration::from_secs(10);
/// How long a process may take to end by itself.
const END: Duration = Duration::from_secs(5);
/// How often a process is asked whether it is healthy.
const BEAT: Duration = Duration::from_millis(250);
/// How often in a row a process may fail to say so.
const MISSES: u32 = 3;

/// One place of a service.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) revision: Revision,
    seen: Arc<Mutex<Health>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What is known of a pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    /// Where its process listens, and since when it gets requests; none while it gets none.
    pub(crate) ready: Option<Ready>,
    /// How often its process has died.
    pub(crate) deaths: u32,
    /// What went wrong last.
    pub(crate) trouble: Option<String>,
}

/// A process that gets requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) address: SocketAddr,
    /// When the process was started.
    pub(crate) started: Timestamp,
    /// Since when it is healthy.
    pub(crate) since: Instant,
}

impl Pod {
    /// Starts one; `changed` is told whenever its health changes.
    pub(crate) fn start(
        name: String,
        side: Side,
        revision: Revision,
        recipe: Recipe,
        proxy: Proxy,
        changed: Arc<Notify>,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Health::default()));
        let (stop, stopped) = watch::channel(false);
        let work = Work {
            name: name.clone(),
            side,
            revision: revision.clone(),
            recipe,
            proxy,
            seen: Arc::clone(&seen),
            changed,
            stopped,
        };
        Self {
            name,
            revision,
            seen,
            stop,
            task: tokio::spawn(work.run()),
        }
    }

    /// What is known of it now.
    pub(crate) fn health(&self) -> Health {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes it out of the traffic, lets its requests end, and ends its process; returns at once.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether it was told to stop.
    pub(crate) fn stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Whether there is nothing left of it.
    pub(crate) fn gone(&self) -> bool {
        self.task.is_finished()
    }
}

/// Why a process is no more.
enum Ended {
    Told,
    NotStarted(PathBuf, io::Error),
    Died(ExitStatus),
    Silent,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told => f.write_str("was told to stop"),
            Self::NotStarted(program, error) => write!(f, "cannot start {}: {error}", program.display()),
            Self::Died(status) => write!(f, "died ({status})"),
            Self::Silent => write!(f, "did not say within {START:?} where it listens"),
        }
    }
}

struct Work {
    name: String,
    side: Side,
    revision: Revision,
    recipe: Recipe,
    proxy: Proxy,
    seen: Arc<Mutex<Health>>,
    changed: Arc<Notify>,
    stopped: watch::Receiver<bool>,
}

impl Work {
    async fn run(mut self) {
        let mut pause = self.recipe.back_off;
        loop {
            let ended = self.life().await;
            if matches!(ended, Ended::Told) || *self.stopped.borrow() {
                break;
            }
            let trouble = format!("{} ({}) {ended}", self.name, self.revision);
            screen::remark(&format!("{trouble}; it is started again in {pause:?}"));
            self.note(|health| {
                health.ready = None;
                health.deaths += 1;
                health.trouble = Some(trouble);
            });
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(Duration::from_secs(300)),
                () = told(&mut self.stopped) => break,
            }
        }
        self.note(|health| health.ready = None);
    }

    /// One process, from its start to its end.
    async fn life(&mut self) -> Ended {
        let started = now();
        let mut child = match self.command().spawn() {
            Ok(child) => child,
            Err(error) => return Ended::NotStarted(self.recipe.program.clone(), error),
        };
        // Waiting for a child closes its standard input, if it is still there.
        let lifeline = child.stdin.take();
        let address = tokio::select! {
            address = timeout(START, address(&mut child)) => address.ok().flatten(),
            () = told(&mut self.stopped) => return end(child, lifeline).await,
        };
        let Some(address) = address else {
            return match child.try_wait() {
                Ok(Some(status)) => Ended::Died(status),
                Ok(None) | Err(_) => Ended::Silent,
            };
        };
        let mut watched = Watched {
            api: Api::new(address, Duration::from_secs(1)),
            misses: MISSES,
        };
        let mut upstream = None;
        loop {
            let beat = tokio::select! {
                status = child.wait() => {
                    if let Some(upstream) = upstream.take() {
                        self.proxy.remove(self.side, &upstream);
                    }
                    return status.map_or_else(|it| Ended::NotStarted(self.recipe.program.clone(), it), Ended::Died);
                }
                () = told(&mut self.stopped) => break,
                beat = watched.beat() => beat,
            };
            match (beat, &upstream) {
                (true, None) => {
                    upstream = Some(self.proxy.add(self.side, address));
                    let ready = Ready {
                        address,
                        started,
                        since: Instant::now(),
                    };
                    self.note(|health| {
                        health.ready = Some(ready);
                    });
                }
                (false, Some(sick)) => {
                    self.proxy.remove(self.side, sick);
                    upstream = None;
                    let trouble = format!("{} ({}) does not answer", self.name, self.revision);
                    screen::remark(&trouble);
                    self.note(|health| {
                        health.ready = None;
                        health.trouble = Some(trouble);
                    });
                }
                (true, Some(_)) | (false, None) => {}
            }
        }
        if let Some(upstream) = upstream.take() {
            self.leave(&upstream).await;
        }
        end(child, lifeline).await
    }

    /// Out of the traffic first; what is under way may end.
    async fn leave(&self, upstream: &Arc<Upstream>) {
        self.proxy.remove(self.side, upstream);
        self.note(|health| health.ready = None);
        let _ = timeout(END, upstream.drained()).await;
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.recipe.program);
        command.args(["service", "--revision", self.revision.as_str()]);
        if self.revision == screen::new()
            && let Some(bad) = self.recipe.bad
        {
            command.arg(format!("--bad={}", bad.name()));
            command.arg(format!("--crash-after={}", self.recipe.crash_after));
        }
        own(&mut command);
        command
    }

    fn note(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }
}

/// Waits for the order to stop.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // Without anybody left to give the order, it is given.
    let _ = stopped.wait_for(|it| *it).await;
}

/// Makes a process one that cannot outlive us: its standard input ends with us, and it ends with that. Ctrl-C is for us
/// alone.
pub(crate) fn own(command: &mut Command) {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
}

/// The address that a process says it listens on.
async fn address(child: &mut Child) -> Option<SocketAddr> {
    let mut line = String::new();
    BufReader::new(child.stdout.take()?)
        .read_line(&mut line)
        .await
        .ok()?;
    line.trim().strip_prefix("listening on ")?.parse().ok()
}

/// Ends a process that has no more requests.
async fn end(mut child: Child, lifeline: Option<ChildStdin>) -> Ended {
    drop(lifeline);
    if timeout(END, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
    Ended::Told
}

/// A process whose health is watched.
struct Watched {
    api: Api,
    misses: u32,
}

impl Watched {
    /// Asks once, and says whether the process counts as healthy.
    async fn beat(&mut self) -> bool {
        // Not healthy yet: somebody waits for it.
        sleep(if self.misses >= MISSES {
            Duration::from_millis(20)
        } else {
            BEAT
        })
        .await;
        match self.api.call(Method::GET, "/health", Bytes::new()).await {
            Ok(_) => self.misses = 0,
            Err(_) => self.misses = self.misses.saturating_add(1),
        }
        self.misses < MISSES
    }
}
