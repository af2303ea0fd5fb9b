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
use self::transport::Transport;
use crate::error::{Asked, Error, SHOWN, shortened};
use crate::reply::{self, NoReply, Reply};
use crate::ruler::{Alert, RuleGroup};
pub use delivery_outbound::ClientBuilder;

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

/// What a ruler answers.
#[derive(serde::Deserialize)]
struct Groups {
    #[serde(deserialize_with = "crate::ruler::or_default")]
    groups: Vec<RuleGroup>,
}

impl Answer {
    /// What was answered.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for what is no reply, [`Error::Refused`] for one that says that the query failed.
    pub fn reply(&self) -> Result<Reply<'_>, Error> {
        reply::parse(&self.body).map_err(|it| self.no_reply(&it))
    }

    /// What stands under `data`.
    fn data<T: DeserializeOwned>(self) -> Result<T, Error> {
        match self.part()? {
            (data, None) => Ok(data),
            (_, Some(why)) => Err(Error::Partial {
                asked: self.asked,
                why,
            }),
        }
    }

    /// What stands under `data`, and why it is not whole, if that matters.
    fn part<T: DeserializeOwned>(&self) -> Result<(T, Option<String>), Error> {
        let (data, partial) = reply::data(&self.body).map_err(|it| self.no_reply(&it))?;
        Ok((data, self.server.partial(partial.as_deref())))
    }

    /// What a server sends may be what was sent to it, so nothing of it is shown as it is.
    fn no_reply(&self, why: &NoReply) -> Error {
        let asked = self.asked.clone();
        let shown = |text: &dyn fmt::Display| self.server.transport.without_secrets(&text.to_string());
        let source = match why {
            NoReply::Failed { .. } => {
                return Error::Refused {
                    asked,
                    status: 200,
                    message: shown(why),
                };
            }
            NoReply::Unreadable(error) => shown(error),
            NoReply::NoText(error) => shown(error),
        };
        let source = source.into();
        Error::Unreadable { asked, source }
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
    /// Why an answer is not whole, if that matters.
    fn partial(&self, why: Option<&str>) -> Option<String> {
        why.filter(|_| !self.takes_partial)
            .map(|why| self.transport.without_secrets(why))
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
        self.ask(&self.path("query"), &parameters, in_quotes(query)).await
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
        self.ask(&self.path("query_range"), &parameters, in_quotes(range.query))
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
        let what = format!("the series {}", in_quotes(selector));
        self.ask(&self.path("series"), &parameters, what).await?.data()
    }

    /// All rule groups, with the state of each rule and the time at which it was last evaluated.
    ///
    /// Of a Loki, those of its ruler.
    ///
    /// # Errors
    /// What an exchange brings; [`Error::Partial`] when some of them are missing.
    pub async fn rules(&self) -> Result<Vec<RuleGroup>, Error> {
        let Groups { groups } = self.ask_rules().await?.data()?;
        Ok(groups)
    }

    /// The rule groups that are known, and why some are missing, if so.
    pub(crate) async fn known_rules(&self) -> Result<(Vec<RuleGroup>, Option<String>), Error> {
        let (Groups { groups }, partial) = self.ask_rules().await?.part()?;
        Ok((groups, partial))
    }

    async fn ask_rules(&self) -> Result<Answer, Error> {
        self.ask(&self.rules_path("rules"), &[], "its rules".into()).await
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
        let Alerts { alerts } = self.ask(&path, &[], "its alerts".into()).await?.data()?;
        Ok(alerts)
    }

    /// What the server is.
    ///
    /// # Errors
    /// What an exchange brings.
    pub async fn build_info(&self) -> Result<BuildInfo, Error> {
        let path = self.path("status/buildinfo");
        let answer = self.ask(&path, &[], "its version".into()).await?;
        match self.0.dialect {
            Dialect::Prometheus => answer.data(),
            // Without an envelope.
            Dialect::Loki => {
                serde_json::from_slice(&answer.body).map_err(|it| answer.no_reply(&NoReply::Unreadable(it)))
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
        self.ask(path, &[], "whether it is ready".into()).await.map(drop)
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

    async fn ask(&self, path: &str, parameters: &[(&str, String)], what: String) -> Result<Answer, Error> {
        let server = self.address().to_owned();
        let asked = Asked { server, what };
        match self.0.transport.send(path, parameters).await {
            Ok(body) => Ok(Answer {
                asked,
                body,
                server: Arc::clone(&self.0),
            }),
            Err(error) => Err(self.0.transport.failure(asked, error)),
        }
    }

    /// Why a reply is not whole, if that matters.
    pub(crate) fn partial(&self, reply: &Reply<'_>) -> Option<String> {
        self.0.partial(reply.partial.as_deref())
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
