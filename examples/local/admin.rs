//! The platform's API for the controller: everything that a rollout may read and change, and nothing else.
//!
//! | request | meaning |
//! |---|---|
//! | `GET /traffic` | what the canary gets now |
//! | `PUT /traffic` | what it should get |
//! | `GET /workload` | the processes of both sides, and the revision that should be rolled out |
//! | `PUT /workload` | what the processes should be |
//! | `GET /metrics-window?from=…&to=…&canary=…&primary=…` | what was counted between two moments (ms since 1970) |
//! | `GET /pods/metrics` | the metrics of all processes on one page, for a Prometheus |
//! | `GET /commands` | what people have ordered |
//! | `POST /notices` | something happened |
//!
//! Every `PUT` may be repeated, and every `POST` carries an id.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use delivery_core::rollout::Command;
use delivery_core::{Revision, Timestamp, Weight};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

use crate::chaos::{Chaos, Moment};
use crate::error::Error;
use crate::http::{self, Answer};
use crate::journal::Journal;
use crate::load::Ledger;
use crate::monitoring::Monitoring;
use crate::pages::Pages;
use crate::platform::Platform;
use crate::proxy::Proxy;
use crate::wire::{TrafficBody, WishBody};

/// What the API gives access to.
#[derive(Clone)]
pub(crate) struct Admin(Arc<Shared>);

struct Shared {
    proxy: Proxy,
    platform: Platform,
    monitoring: Monitoring,
    journal: Journal,
    ledger: Ledger,
    pages: Pages,
    commands: Mutex<Vec<Command>>,
    chaos: Mutex<Option<Arc<Chaos>>>,
}

impl Admin {
    pub(crate) fn new(
        proxy: Proxy,
        platform: Platform,
        monitoring: Monitoring,
        journal: Journal,
        ledger: Ledger,
    ) -> Self {
        let (commands, chaos) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Shared {
            proxy,
            platform,
            monitoring,
            journal,
            ledger,
            pages: Pages::default(),
            commands,
            chaos,
        }))
    }

    /// Listens on a free port of 127.0.0.1, until the handle is aborted.
    pub(crate) async fn listen(&self) -> Result<(SocketAddr, JoinHandle<()>), Error> {
        let (listener, address) = http::listen(0)
            .await
            .map_err(|(address, source)| Error::Listen { address, source })?;
        let admin = self.clone();
        let answer = move |request| {
            let admin = admin.clone();
            async move { admin.answer(request).await.unwrap_or_else(Refusal::answer) }
        };
        Ok((
            address,
            tokio::spawn(http::serve(listener, std::future::pending(), answer)),
        ))
    }

    /// From now on, the controller is killed now and then.
    pub(crate) fn unleash(&self, chaos: Chaos) {
        *self.0.chaos.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(chaos));
    }

    /// Gives the controller an order.
    pub(crate) fn order(&self, command: Command) {
        self.0
            .commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(command);
    }

    /// From the next request on, the canary gets this.
    pub(crate) fn set_weight(&self, weight: Weight) {
        // The step is entered in the books first: what is sent between the two still counts for the new one.
        self.0.ledger.enter(weight);
        self.0.proxy.set_weight(weight);
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Refusal> {
        let (head, body) = request.into_parts();
        let shared = &*self.0;
        match (&head.method, head.uri.path()) {
            (&Method::GET, "/traffic") => Ok(http::json(&TrafficBody {
                canary: shared.proxy.weight(),
            })),
            (&Method::PUT, "/traffic") => {
                let TrafficBody { canary } = read(body).await?;
                if shared.proxy.weight() != canary {
                    self.set_weight(canary);
                    self.reached(if canary.is_zero() {
                        Moment::Returned
                    } else {
                        Moment::Shifted
                    })
                    .await;
                }
                Ok(done())
            }
            (&Method::GET, "/workload") => Ok(http::json(&shared.platform.observe())),
            (&Method::PUT, "/workload") => {
                let wish: WishBody = read(body).await?;
                let before = shared.platform.observe().primary.revision;
                let promotes = wish.primary.is_some() && wish.primary != before;
                shared.platform.apply(wish);
                if promotes {
                    self.reached(Moment::Promotes).await;
                }
                Ok(done())
            }
            (&Method::GET, "/metrics-window") => {
                self.reached(Moment::Measures).await;
                let query = Query::of(head.uri.query().unwrap_or_default());
                let (from, to) = (query.moment("from")?, query.moment("to")?);
                let canary = query
                    .revision("canary")?
                    .ok_or_else(|| refuse("canary: missing"))?;
                let primary = query.revision("primary")?;
                Ok(http::json(&shared.monitoring.window(
                    from,
                    to,
                    &canary,
                    primary.as_ref(),
                )))
            }
            (&Method::GET, "/pods/metrics") => {
                let page = shared.pages.page(shared.platform.targets()).await;
                Ok(http::text(StatusCode::OK, page))
            }
            (&Method::GET, "/commands") => Ok(http::json(
                &*shared.commands.lock().unwrap_or_else(PoisonError::into_inner),
            )),
            (&Method::POST, "/notices") => {
                shared.journal.tell(read(body).await?);
                Ok(done())
            }
            _ => Err(Refusal(StatusCode::NOT_FOUND, String::from("no such thing"))),
        }
    }

    /// The controller has reached a moment: see [`Chaos::reached`].
    pub(crate) async fn reached(&self, moment: Moment) {
        let chaos = self
            .0
            .chaos
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(chaos) = chaos {
            chaos.reached(moment).await;
        }
    }
}

fn done() -> Answer {
    http::text(StatusCode::OK, "done\n")
}

/// Why a request is not carried out.
struct Refusal(StatusCode, String);

impl Refusal {
    fn answer(self) -> Answer {
        http::text(self.0, self.1 + "\n")
    }
}

fn refuse(why: impl Display) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, format!("{why}"))
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Refusal> {
    let body = Limited::new(body, 1 << 20).collect().await.map_err(refuse)?;
    serde_json::from_slice(&body.to_bytes()).map_err(refuse)
}

/// The part of an address after the question mark. Nothing in ours needs to be escaped.
struct Query<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Query<'a> {
    fn of(text: &'a str) -> Self {
        Self(text.split('&').filter_map(|it| it.split_once('=')).collect())
    }

    fn moment(&self, name: &str) -> Result<Timestamp, Refusal> {
        let text = self
            .0
            .get(name)
            .ok_or_else(|| refuse(format!("{name}: missing")))?;
        let millis = text
            .parse()
            .map_err(|_| refuse(format!("{name}: {text:?} is no moment")))?;
        Ok(Timestamp::from_millis(millis))
    }

    fn revision(&self, name: &str) -> Result<Option<Revision>, Refusal> {
        let revision = |it: &&str| Revision::new(it).map_err(|it| refuse(format!("{name}: {it}")));
        self.0.get(name).map(revision).transpose()
    }
}
