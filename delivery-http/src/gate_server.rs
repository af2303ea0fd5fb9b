//! A server for people's decisions: gates that are opened and closed, and commands for a running rollout.
//!
//! Paths and answers of the gates are those of Flagger's load tester, so that existing manifests point here unchanged.
//! Unlike there, a gate that is open stays open: every change is on disk before it is answered, with who made it and when.
//!
//! | request | answer | token |
//! |---|---|---|
//! | `/gate/approve` | 200 `OK`, always | |
//! | `/gate/halt` | 403 `Forbidden`, always | |
//! | `POST /gate/check` | 200 `Approved` while the rollout's gate is open, else 403 `Forbidden` | if asked for |
//! | `POST /gate/open`, `POST /gate/close` | 202 | yes |
//! | `POST /rollback/check`, `…/open`, `…/close` | the same for its rollback | as above |
//! | `/healthz` | 200 `OK` | |
//! | `GET /gates` | what is open: `[{"gate":"gate","rollout":"web.shop"}]` | yes |
//! | `GET /audit` | the latest 1000 changes, one JSON object a line, oldest first | yes |
//! | `POST /commands/{namespace}/{name}` | 202 and the command that now waits for the rollout | yes |
//! | `GET /commands/{namespace}/{name}` | the commands that wait | yes |
//! | `DELETE /commands/{namespace}/{name}/{id}` | 204: it was carried out, and waits no more | yes |
//!
//! A gate's body is what a webhook sends, of which `name` and `namespace` count: `{"name":"web","namespace":"shop"}`. A
//! command's is `{"order":"pause"}`, with one of [`Order`](delivery_core::rollout::Order) and an `id` if the sender wants
//! to be sure that a repeat is no second command. A controller reads them with [`Remote`].
//!
//! # What it promises
//! - A change that was answered with 2xx survives `kill -9` and a power cut; one that was not is there whole or not at all.
//! - One that changes nothing is answered alike, and not written.
//! - Two servers on one file are refused. When the file is moved or replaced while the server runs, it makes no more
//!   changes and says so.
//! - Tokens are compared in constant time, and only their hashes are kept. Without any, nobody changes anything. More than
//!   one `Authorization` header is refused.
//! - Nobody without a token can keep out others. There are at most 1 024 connections, of which 896 have not shown a token
//!   and 128 have; when there is no place, or no file handle, whoever has waited longest for an answer makes room, but not
//!   within the first tenth of a second of a connection, for which the next one waits. A head
//!   has at most 16 KiB and comes within 10 s, a body has at most 64 KiB and comes within 10 s, and 10 s after the other
//!   side has stopped reading an answer its connection ends. A connection lasts 5 minutes and carries 1 000 requests.
//!   More new connections than the system itself can queue are beyond it: that takes something in front.
//! - The file stays short. It has at most 10 000 lines beside twice those that are needed: one for each gate that is open and
//!   each command that waits, two for each command that is remembered, and the latest 1 000 changes. With a hundred gates that is below
//!   2 MiB. At most 10 000 gates are open at the same time, 10 000 commands wait (32 of one rollout), and 10 000 are
//!   remembered after they were carried out (256 of one rollout), so it is never longer than 64 MiB. When there are more
//!   lines, a new file takes its place in one step, whenever the process is killed; for that, the server must be allowed to
//!   create files in its folder, or else the file goes on growing and a warning says so.
//! - Names are those of Kubernetes objects and the like. Anything else is refused with a reason.
//!
//! It speaks plain HTTP: listen on loopback, or behind something that encrypts.
//!
//! # Example
//! ```no_run
//! use delivery_http::gate_server::GateServer;
//! use tokio::net::TcpListener;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let token = std::env::var("GATE_TOKEN")?;
//! let server = GateServer::builder("/var/lib/gates/gates.jsonl").token("alice", &token.into())?.open().await?;
//! let listener = TcpListener::bind("127.0.0.1:9090").await?;
//! server.serve(listener, std::future::pending()).await;
//! # Ok(())
//! # }
//! ```
//! And then `curl -H "Authorization: Bearer $GATE_TOKEN" -d '{"name":"web","namespace":"shop"}' 127.0.0.1:9090/gate/open`.

mod journal;
mod ledger;
mod name;
mod places;
mod remote;
mod routes;
mod serve;
mod token;

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use delivery_core::Timestamp;
use secrecy::SecretString;
use tokio::net::TcpListener;

use self::journal::Journal;
use self::ledger::{Change, Conflict, Entry, Ledger};
use self::name::Rollout;
pub use self::remote::Remote;
use self::token::Tokens;
use crate::error::Error;

/// A server of gates and commands. A clone is the same one.
#[derive(Clone)]
pub struct GateServer(Arc<Shared>);

struct Shared {
    tokens: Tokens,
    checks: Checks,
    /// Held while a change is written, so that the file has the order in which they count.
    journal: Mutex<Journal>,
    ledger: RwLock<Ledger>,
}

/// Who may ask whether a gate is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checks {
    Everybody,
    WithToken,
}

impl GateServer {
    /// Begins with the file that changes are written to.
    pub fn builder(file: impl Into<PathBuf>) -> GateServerBuilder {
        GateServerBuilder {
            file: file.into(),
            tokens: Tokens::default(),
            checks: Checks::Everybody,
        }
    }

    /// The server as a router, to be part of another server, which then has to see to its connections itself.
    pub fn router(&self) -> axum::Router {
        routes::router(self.clone())
    }

    /// Answers requests until `stop`, and then until those under way are answered, at most 15 s.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()> + Send) {
        serve::serve(listener, self, stop).await;
    }

    fn read<T>(&self, f: impl FnOnce(&Ledger) -> T) -> T {
        // It is changed in one go.
        f(&self.0.ledger.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Only whoever has the journal does this.
    fn write(&self, f: impl FnOnce(&mut Ledger)) {
        f(&mut self.0.ledger.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Makes a change durable, and then makes it. Waits for the disk.
    fn change(&self, who: &str, rollout: &Rollout, change: Change) -> Result<(), Failure> {
        let mut journal = self.0.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.read(|it| it.is_news(rollout, &change))? {
            return Ok(());
        }
        let entry = Entry {
            at: now(),
            who: who.to_owned(),
            rollout: rollout.clone(),
            change,
        };
        let line = journal.append(&entry).map_err(Failure::Disk)?;
        tracing::info!(who, %rollout, what = entry.change.name(), "changed");
        self.write(|it| it.apply(entry, line));
        if let Some(shorter) = self.read(|it| journal.shorten(it)) {
            self.write(|it| *it = shorter);
        }
        Ok(())
    }

    /// The latest changes, as they are written.
    fn audit(&self) -> Result<String, Failure> {
        let journal = self.0.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.latest(routes::AUDITED).map_err(Failure::Disk)
    }
}

/// Why something was not changed.
enum Failure {
    Conflict(Conflict),
    Disk(io::Error),
}

impl From<Conflict> for Failure {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

impl fmt::Debug for GateServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GateServer").field(&self.0.tokens).finish()
    }
}

/// Sets up a [`GateServer`].
#[derive(Debug)]
#[must_use]
pub struct GateServerBuilder {
    file: PathBuf,
    tokens: Tokens,
    checks: Checks,
}

impl GateServerBuilder {
    /// Whoever has this token may change things, and is called so in the audit. Names are those of Kubernetes objects
    /// and the like.
    ///
    /// # Errors
    /// [`Error::Unusable`]: no such name; a token of fewer than 16 characters, that no header can have, or that
    /// somebody else has.
    pub fn token(mut self, who: &str, token: &SecretString) -> Result<Self, Error> {
        self.tokens.add(who, token)?;
        Ok(self)
    }

    /// Like [`token`](Self::token), with the token in a file, without the white space around it. A file that others than
    /// its owner can use is taken with a warning, which names it and what to do.
    ///
    /// # Errors
    /// [`Error::File`]: it cannot be read, is no file, or is longer than 4 KiB. [`Error::Unusable`] as for a token.
    pub fn token_file(self, who: &str, file: impl AsRef<Path>) -> Result<Self, Error> {
        let token = delivery_outbound::token_file(who, file.as_ref())?;
        self.token(who, &token)
    }

    /// Whoever asks whether a gate is open needs a token too.
    pub const fn checks_need_a_token(mut self) -> Self {
        self.checks = Checks::WithToken;
        self
    }

    /// Reads what was changed before, and is ready to serve. A file that does not exist is created; its folder must be
    /// there. What a crash has left of a line that was never answered is removed.
    ///
    /// # Errors
    /// [`Error::File`]: it cannot be read or created, it is a folder or a pipe, another server has it, or it has something
    /// that is no change; it is left as it is then.
    pub async fn open(self) -> Result<GateServer, Error> {
        let opening = tokio::task::spawn_blocking(move || Journal::open(&self.file));
        let (journal, ledger) = opening.await.map_err(|it| Error::File {
            doing: "reading the gates".into(),
            source: io::Error::other(it),
        })??;
        Ok(GateServer(Arc::new(Shared {
            tokens: self.tokens,
            checks: self.checks,
            journal: Mutex::new(journal),
            ledger: RwLock::new(ledger),
        })))
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
