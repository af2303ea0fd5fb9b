//! With `--gate`: somebody is asked before the promotion, a check runs before the first traffic, and somebody is told.
//!
//! The gate is a real [`GateServer`], which a person opens with the `curl` line that is shown. The check and the events are
//! real webhooks to a receiver that shows what it gets. The controller knows all of them as [`Webhooks`].

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use delivery_core::rollout::Phase;
use delivery_http::Client;
use delivery_http::gate_server::GateServer;
use delivery_http::hook::{Authentication, Webhook, Webhooks};
use delivery_outbound::token_file;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::admin::Admin;
use crate::chaos::Moment;
use crate::error::Error;
use crate::http::{self, Answer};
use crate::journal::Journal;
use crate::screen::{self, NAME};

/// What stands in for a namespace.
const NAMESPACE: &str = "local";

/// Where the controller finds whom it asks and tells.
#[derive(Args, Clone, Debug)]
pub(crate) struct GateArgs {
    /// Where the gate server listens.
    #[arg(long, requires_all = ["receiver", "gate_token"])]
    gate: Option<SocketAddr>,
    /// Where the receiver of checks and events listens.
    #[arg(long)]
    receiver: Option<SocketAddr>,
    /// The file with the token that closes the gate again.
    #[arg(long)]
    gate_token: Option<PathBuf>,
}

impl GateArgs {
    /// The hooks of the rollout; none without a gate.
    pub(crate) fn webhooks(&self) -> Result<Option<Webhooks>, Error> {
        let (Some(gate), Some(receiver), Some(token)) = (self.gate, self.receiver, &self.gate_token) else {
            return Ok(None);
        };
        let written = json!([
            { "type": "pre-rollout", "name": "smoke test", "url": format!("http://{receiver}/smoke-test"), "timeout": "5s" },
            { "type": "confirm-promotion", "name": "release gate", "url": format!("http://{gate}/gate/check"), "timeout": "5s" },
            { "type": "event", "name": "team", "url": format!("http://{receiver}/events"), "timeout": "5s" },
            { "type": "post-rollout", "name": "close the gate", "url": format!("http://{gate}/gate/close"), "timeout": "5s" },
        ]);
        let written: Vec<Webhook> =
            serde_json::from_value(written).map_err(|it| Error::Plan(it.to_string()))?;
        let token = token_file("the gate", token).map_err(|it| Error::Gate(it.into()))?;
        let token = Authentication::bearer("gate token", token).map_err(|it| Error::Gate(it.into()))?;
        let client = Client::builder()
            .direct()
            .build()
            .map_err(|it| Error::Gate(it.into()))?;
        let hooks = Webhooks::of(NAME, NAMESPACE)
            .hooks(written)
            .authenticate("close the gate", token);
        hooks.build(&client).map(Some).map_err(Error::Gate)
    }
}

/// The gate server and the receiver, in the supervisor's process.
pub(crate) struct Gates {
    server: SocketAddr,
    receiver: SocketAddr,
    token: PathBuf,
    tasks: [JoinHandle<()>; 3],
}

impl Gates {
    /// Starts both, and shows how to open the gate as soon as somebody has to.
    pub(crate) async fn start(folder: &Path, admin: Admin, journal: Journal) -> Result<Self, Error> {
        let token = folder.join("gate.token");
        let secret = unguessable();
        write_for_us_alone(&token, &secret).map_err(io("write the gate's token"))?;
        let gates = GateServer::builder(folder.join("gates.jsonl"))
            .token("you", &secret.into())
            .map_err(Error::Gate)?
            .open()
            .await
            .map_err(Error::Gate)?;
        let (listener, server) = listen().await?;
        let serving = gates.serve(listener, std::future::pending());
        let (calls, receiver) = listen().await?;
        let got = Receiver {
            admin,
            keys: Arc::default(),
        };
        let receiving = http::serve(calls, std::future::pending(), move |request| {
            got.clone().answer(request)
        });
        let line = open_line(server, &token);
        let asking = async move {
            journal.phase(0, &[Phase::WaitingPromotion]).await;
            screen::remark("the gate is closed: the promotion waits until you open it, with");
            screen::line(&line);
        };
        let tasks = [
            tokio::spawn(serving),
            tokio::spawn(receiving),
            tokio::spawn(asking),
        ];
        Ok(Self {
            server,
            receiver,
            token,
            tasks,
        })
    }

    /// What the controller must know.
    pub(crate) fn arguments(&self) -> [OsString; 6] {
        [
            "--gate".into(),
            self.server.to_string().into(),
            "--receiver".into(),
            self.receiver.to_string().into(),
            "--gate-token".into(),
            self.token.clone().into(),
        ]
    }

    pub(crate) fn stop(self) {
        for task in self.tasks {
            task.abort();
        }
    }
}

async fn listen() -> Result<(TcpListener, SocketAddr), Error> {
    http::listen(0)
        .await
        .map_err(|(address, source)| Error::Listen { address, source })
}

fn open_line(server: SocketAddr, token: &Path) -> String {
    format!(
        "curl -H \"Authorization: Bearer $(cat '{}')\" -d '{{\"name\":\"{NAME}\",\"namespace\":\"{NAMESPACE}\"}}' http://{server}/gate/open",
        token.display()
    )
}

/// The standard library's maps are seeded with what nobody can guess.
fn unguessable() -> String {
    let seed = RandomState::new();
    let parts = [0_u8, 1, 2].map(|it| seed.hash_one(it));
    format!("{:016x}{:016x}{:016x}", parts[0], parts[1], parts[2])
}

fn write_for_us_alone(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

fn io(doing: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { doing, source }
}

/// Shows what it gets, and is content with everything.
#[derive(Clone)]
struct Receiver {
    admin: Admin,
    keys: Arc<Mutex<BTreeSet<String>>>,
}

impl Receiver {
    async fn answer(self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, 1 << 20).collect().await else {
            return http::text(StatusCode::BAD_REQUEST, "no body\n");
        };
        let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        let key = head
            .headers
            .get("idempotency-key")
            .and_then(|it| it.to_str().ok());
        let again = if self.is_new(key.unwrap_or_default()) {
            ""
        } else {
            ", again"
        };
        let text = |at: &Value| at.as_str().unwrap_or_default().to_owned();
        match head.uri.path() {
            "/smoke-test" => {
                let phase = text(&body["phase"]);
                screen::remark(&format!("smoke test called for {NAME}, which is {phase}{again}"));
                self.admin.reached(Moment::Asks).await;
            }
            "/events" => {
                let message = text(&body["metadata"]["eventMessage"]);
                screen::remark(&format!("team told: {message}{again}"));
            }
            _ => return http::text(StatusCode::NOT_FOUND, "no such thing\n"),
        }
        http::text(StatusCode::OK, "fine\n")
    }

    fn is_new(&self, key: &str) -> bool {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.to_owned())
    }
}
