//! The client: what can be asked, and how each question is put.

mod server;
mod transport;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use delivery_core::Timestamp;
use serde::de::DeserializeOwned;

pub use self::server::{Dialect, Server};
use self::transport::{Request, Transport};
use crate::error::{Asked, Error, SHOWN, shortened};
use crate::reply::{self, NoReply, Reply};
use crate::ruler::{Alert, RuleGroup};

/// A client of one server, made by [`Server::client`]. Clones share its connections.
///
/// Reads only. Each request is bounded in time and size, and is tried again (with growing pauses and jitter, within its
/// time) when the server cannot be reached or says 429, 502, 503 or 504; nothing else is tried twice.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    transport: Transport,
    dialect: Dialect,
    takes_partial: bool,
}

/// An instant query.
#[derive(Clone, Copy, Debug)]
pub struct Instant<'a> {
    /// The query.
    pub query: &'a str,
    /// At which moment; none for the server's now.
    pub at: Option<Timestamp>,
    /// How far an instant selector looks back for its newest sample; none for the server's own bound, usually 5 min.
    /// Prometheus heeds it from 2.43 on; what does not know it ignores it.
    pub look_back: Option<Duration>,
}

impl<'a> From<&'a str> for Instant<'a> {
    fn from(query: &'a str) -> Self {
        Self {
            query,
            at: None,
            look_back: None,
        }
    }
}

/// A query over a range.
#[derive(Clone, Copy, Debug)]
pub struct Ranged<'a> {
    /// The query.
    pub query: &'a str,
    /// The first moment.
    pub from: Timestamp,
    /// The last moment.
    pub to: Timestamp,
    /// How far two moments are apart, at least 1 ms.
    pub step: Duration,
}

/// An answer to a query, as it came. [`reply`](Self::reply) reads it without copying it.
#[derive(Clone)]
pub struct Answer {
    asked: Asked,
    body: Vec<u8>,
    server: Arc<Shared>,
}

impl Answer {
    /// What was answered.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for what is no reply, [`Error::Refused`] for one that says that the query failed.
    pub fn reply(&self) -> Result<Reply<'_>, Error> {
        reply::parse(&self.body).map_err(|it| self.server.no_reply(self.asked.clone(), &it))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("asked", &self.asked)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What a server is.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct BuildInfo {
    /// Its version, e.g. `2.42.0`. What speaks the API but is no Prometheus tells the one that it takes after, or its own.
    pub version: String,
    /// The commit that it was built from.
    pub revision: String,
}

impl Shared {
    /// What a server sends may be what was sent to it, so nothing of it is shown as it is.
    fn no_reply(&self, asked: Asked, why: &NoReply) -> Error {
        let shown = |text: &str| self.transport.without_secrets(text);
        match why {
            NoReply::Failed { .. } => Error::Refused {
                asked,
                status: 200,
                message: shown(&why.to_string()),
            },
            NoReply::Unreadable(error) => Error::Unreadable {
                asked,
                source: shown(&error.to_string()).into(),
            },
            NoReply::NoText(error) => Error::Unreadable {
                asked,
                source: shown(&error.to_string()).into(),
            },
        }
    }
}

impl Client {
    fn new(transport: Transport, dialect: Dialect, takes_partial: bool) -> Self {
        Self(Arc::new(Shared {
            transport,
            dialect,
            takes_partial,
        }))
    }

    /// The server's address, without credentials and parameters.
    pub fn address(&self) -> &str {
        &self.0.transport.shown
    }

    /// Which language it speaks.
    pub fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    /// The value of a query at one moment.
    ///
    /// # Errors
    /// [`Error::Query`] for a log query, which has no value, before anything is sent; otherwise what an exchange brings.
    pub async fn query(&self, instant: impl Into<Instant<'_>>) -> Result<Answer, Error> {
        let Instant { query, at, look_back } = instant.into();
        self.check(query)?;
        let mut parameters = vec![("query", query.to_owned())];
        parameters.extend(at.map(|it| ("time", seconds(it.as_millis()))));
        if self.0.dialect == Dialect::Prometheus {
            parameters.extend(look_back.map(|it| ("lookback_delta", seconds(millis(it)))));
        }
        self.answer("query", &parameters, in_quotes(query)).await
    }

    /// The values of a query at moments that are equally far apart.
    ///
    /// # Errors
    /// As [`query`](Self::query); [`Error::Setting`] for a step of less than 1 ms, or a range that ends before it begins.
    pub async fn query_range(&self, range: &Ranged<'_>) -> Result<Answer, Error> {
        self.check(range.query)?;
        if millis(range.step) == 0 {
            return Err(Error::Setting {
                field: "step",
                value: format!("{:?}", range.step),
                expected: "at least 1ms",
            });
        }
        if range.to < range.from {
            return Err(Error::Setting {
                field: "to",
                value: range.to.to_string(),
                expected: "no earlier than `from`",
            });
        }
        let parameters = [
            ("query", range.query.to_owned()),
            ("start", seconds(range.from.as_millis())),
            ("end", seconds(range.to.as_millis())),
            ("step", seconds(millis(range.step))),
        ];
        self.answer("query_range", &parameters, in_quotes(range.query))
            .await
    }

    /// The labels of the series that match a selector and have a sample within a range.
    ///
    /// # Errors
    /// What an exchange brings.
    pub async fn series(
        &self,
        selector: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<BTreeMap<String, String>>, Error> {
        let parameters = [
            ("match[]", selector.to_owned()),
            ("start", seconds(from.as_millis())),
            ("end", seconds(to.as_millis())),
        ];
        let path = self.path("series");
        self.data(&path, &parameters, format!("the series {}", in_quotes(selector)))
            .await
    }

    /// All rule groups, with the state of each rule and the time at which it was last evaluated.
    ///
    /// Of a Loki, those of its ruler.
    ///
    /// # Errors
    /// What an exchange brings; [`Error::Partial`] when some of them are missing.
    pub async fn rules(&self) -> Result<Vec<RuleGroup>, Error> {
        match self.known_rules().await? {
            (groups, None) => Ok(groups),
            (_, Some(why)) => Err(Error::Partial {
                asked: self.0.transport.asked(&request("", &[], "its rules".into())),
                why,
            }),
        }
    }

    /// The rule groups that are known, and why some are missing, if so.
    pub(crate) async fn known_rules(&self) -> Result<(Vec<RuleGroup>, Option<String>), Error> {
        #[derive(serde::Deserialize)]
        struct Groups {
            #[serde(deserialize_with = "crate::ruler::or_default")]
            groups: Vec<RuleGroup>,
        }
        let path = self.rules_path("rules");
        let request = request(&path, &[], "its rules".into());
        let body = self.0.transport.send(&request).await?;
        let (groups, partial): (Groups, _) = self.part(&request, &body)?;
        Ok((groups.groups, partial))
    }

    /// All alerts that are pending or firing.
    ///
    /// # Errors
    /// What an exchange brings.
    pub async fn alerts(&self) -> Result<Vec<Alert>, Error> {
        #[derive(serde::Deserialize)]
        struct Alerts {
            #[serde(deserialize_with = "crate::ruler::or_default")]
            alerts: Vec<Alert>,
        }
        let path = self.rules_path("alerts");
        let alerts: Alerts = self.data(&path, &[], "its alerts".into()).await?;
        Ok(alerts.alerts)
    }

    /// What the server is.
    ///
    /// # Errors
    /// What an exchange brings.
    pub async fn build_info(&self) -> Result<BuildInfo, Error> {
        let path = self.path("status/buildinfo");
        let what = "its version".to_owned();
        match self.0.dialect {
            Dialect::Prometheus => self.data(&path, &[], what).await,
            // Without an envelope.
            Dialect::Loki => {
                let request = request(&path, &[], what);
                let body = self.0.transport.send(&request).await?;
                serde_json::from_slice(&body).map_err(|it| {
                    let asked = self.0.transport.asked(&request);
                    self.0.no_reply(asked, &NoReply::Unreadable(it))
                })
            }
        }
    }

    /// Whether the server is ready to answer queries.
    ///
    /// # Errors
    /// What an exchange brings: [`Error::Unavailable`] for a server that is still starting.
    pub async fn ready(&self) -> Result<(), Error> {
        let path = match self.0.dialect {
            Dialect::Prometheus => "/-/ready",
            Dialect::Loki => "/ready",
        };
        let request = request(path, &[], "whether it is ready".into());
        self.0.transport.send(&request).await.map(drop)
    }

    /// What the server says, as it may be shown.
    pub(crate) fn shown(&self, text: &str) -> String {
        self.0.transport.without_secrets(text)
    }

    /// Whether a query can be sent at all.
    pub(crate) fn check(&self, query: &str) -> Result<(), Error> {
        let why = match self.0.dialect {
            _ if query.trim().is_empty() => "it is empty".to_owned(),
            Dialect::Loki => match crate::loki::check(query) {
                Ok(()) => return Ok(()),
                Err(why) => why.to_string(),
            },
            Dialect::Prometheus => return Ok(()),
        };
        Err(Error::Query {
            query: shortened(query, SHOWN),
            why,
        })
    }

    async fn answer(
        &self,
        endpoint: &str,
        parameters: &[(&str, String)],
        what: String,
    ) -> Result<Answer, Error> {
        let path = self.path(endpoint);
        let request = request(&path, parameters, what);
        let body = self.0.transport.send(&request).await?;
        Ok(Answer {
            asked: self.0.transport.asked(&request),
            body,
            server: Arc::clone(&self.0),
        })
    }

    /// What stands under `data`.
    async fn data<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&str, String)],
        what: String,
    ) -> Result<T, Error> {
        let request = request(path, parameters, what);
        let body = self.0.transport.send(&request).await?;
        let (data, partial) = self.part(&request, &body)?;
        match partial {
            None => Ok(data),
            Some(why) => Err(Error::Partial {
                asked: self.0.transport.asked(&request),
                why,
            }),
        }
    }

    /// What stands under `data`, and why it is not whole, if that matters.
    fn part<T: DeserializeOwned>(
        &self,
        request: &Request<'_>,
        body: &[u8],
    ) -> Result<(T, Option<String>), Error> {
        let read = reply::data(body);
        let (data, partial) = read.map_err(|it| self.0.no_reply(self.0.transport.asked(request), &it))?;
        let partial = partial.filter(|_| !self.0.takes_partial);
        Ok((data, partial.map(|why| self.shown(&why))))
    }

    /// Why a reply is not whole, if that matters.
    pub(crate) fn partial(&self, reply: &Reply<'_>) -> Option<String> {
        let partial = reply.partial.as_deref().filter(|_| !self.0.takes_partial);
        partial.map(|why| self.shown(why))
    }

    fn path(&self, endpoint: &str) -> String {
        match self.0.dialect {
            Dialect::Prometheus => format!("/api/v1/{endpoint}"),
            Dialect::Loki => format!("/loki/api/v1/{endpoint}"),
        }
    }

    /// Loki's ruler answers as a Prometheus would.
    fn rules_path(&self, endpoint: &str) -> String {
        match self.0.dialect {
            Dialect::Prometheus => self.path(endpoint),
            Dialect::Loki => format!("/prometheus/api/v1/{endpoint}"),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.address())
            .field("dialect", &self.0.dialect)
            .finish_non_exhaustive()
    }
}

const fn request<'a>(path: &'a str, parameters: &'a [(&'a str, String)], what: String) -> Request<'a> {
    Request {
        path,
        parameters,
        what,
    }
}

fn in_quotes(query: &str) -> String {
    format!("`{}`", shortened(query, SHOWN))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds as seconds, exactly.
fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}
