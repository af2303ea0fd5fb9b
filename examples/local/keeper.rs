//! Keeps a controller process running: one that is killed is started again, one that gives up is not.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::error::{Error, chain};
use crate::pod::own;
use crate::screen;

/// How long nobody is at the helm after a controller was killed.
const GAP: Duration = Duration::from_millis(300);

/// Keeps the controller running.
pub(crate) struct Keeper {
    killer: Killer,
    fault: watch::Receiver<Option<String>>,
    task: JoinHandle<()>,
    kills: Arc<AtomicU32>,
}

/// Can kill the controller.
#[derive(Clone)]
pub(crate) struct Killer(mpsc::Sender<Order>);

enum Order {
    Kill { when: String, done: oneshot::Sender<()> },
    Stop,
}

impl Keeper {
    /// Starts a controller.
    pub(crate) fn start(program: PathBuf, arguments: Vec<OsString>) -> Self {
        let (killer, orders) = mpsc::channel(8);
        let (fault, seen) = watch::channel(None);
        let kills = Arc::new(AtomicU32::new(0));
        let work = Work {
            program,
            arguments,
            fault,
            kills: Arc::clone(&kills),
            said: Arc::default(),
        };
        Self {
            killer: Killer(killer),
            fault: seen,
            task: tokio::spawn(work.run(orders)),
            kills,
        }
    }

    /// Something that can kill the controller.
    pub(crate) fn killer(&self) -> Killer {
        self.killer.clone()
    }

    /// How often it was killed on purpose.
    pub(crate) fn kills(&self) -> u32 {
        self.kills.load(Ordering::Relaxed)
    }

    /// Waits until the controller gives up, which it does only if nothing else is left.
    pub(crate) async fn gives_up(&self) -> Error {
        let mut fault = self.fault.clone();
        let why = match fault.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => String::from("nobody keeps it running any more"),
        };
        Error::Controller(why)
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        let _ = self.killer.0.send(Order::Stop).await;
        let _ = self.task.await;
    }
}

impl Killer {
    /// Kills the controller (SIGKILL), and returns when it is dead. Another one is started soon.
    pub(crate) async fn kill(&self, when: impl Into<String>) {
        let (done, dead) = oneshot::channel();
        if self
            .0
            .send(Order::Kill {
                when: when.into(),
                done,
            })
            .await
            .is_ok()
        {
            let _ = dead.await;
        }
    }
}

struct Work {
    program: PathBuf,
    arguments: Vec<OsString>,
    fault: watch::Sender<Option<String>>,
    kills: Arc<AtomicU32>,
    said: Arc<Mutex<Option<String>>>,
}

impl Work {
    async fn run(self, mut orders: mpsc::Receiver<Order>) {
        loop {
            let mut child = match self.spawn() {
                Ok(child) => child,
                Err(error) => return self.give_up(chain(&error)),
            };
            // Waiting for a child closes its standard input, if it is still there.
            let lifeline = child.stdin.take();
            let listening = self.listen(&mut child);
            tokio::select! {
                status = child.wait() => {
                    if let Some(listening) = listening {
                        let _ = timeout(Duration::from_secs(1), listening).await;
                    }
                    match status {
                        Ok(status) if status.code().is_none() => screen::remark(&format!("the controller died ({status}); it is started again")),
                        Ok(status) => return self.give_up(self.last_words().unwrap_or_else(|| status.to_string())),
                        Err(error) => return self.give_up(error.to_string()),
                    }
                }
                order = orders.recv() => match order {
                    Some(Order::Kill { when, done }) => {
                        let _ = child.kill().await;
                        self.kills.fetch_add(1, Ordering::Relaxed);
                        screen::remark(&format!("the controller is killed {when}"));
                        let _ = done.send(());
                    }
                    Some(Order::Stop) | None => {
                        drop(lifeline);
                        if timeout(Duration::from_secs(3), child.wait()).await.is_err() {
                            let _ = child.kill().await;
                        }
                        return;
                    }
                }
            }
            sleep(GAP).await;
        }
    }

    fn spawn(&self) -> Result<Child, Error> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        own(&mut command);
        command.stdout(Stdio::inherit()).stderr(Stdio::piped());
        let failed = |source| Error::Start {
            what: "controller".into(),
            program: self.program.clone(),
            source,
        };
        command.spawn().map_err(failed)
    }

    /// Passes on what it complains about.
    fn listen(&self, child: &mut Child) -> Option<JoinHandle<()>> {
        let (mut lines, said) = (
            BufReader::new(child.stderr.take()?).lines(),
            Arc::clone(&self.said),
        );
        Some(tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                screen::remark(&format!("the controller: {line}"));
                *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
            }
        }))
    }

    fn last_words(&self) -> Option<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn give_up(&self, why: String) {
        self.fault.send_replace(Some(why));
    }
}
