//! The users: a steady load, and a prober that watches for the slightest outage. Both go through the proxy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use delivery_core::Weight;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::error::chain;
use crate::proxy::TROUBLE;
use crate::screen;

/// How long a user waits for an answer.
const PATIENCE: Duration = Duration::from_secs(12);
/// So many requests of the load are under way at the same time at most; more are not sent, as a queue would only grow.
const UNDER_WAY: usize = 256;
/// Requests of the prober per second.
const PROBES: u32 = 20;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Answered well.
    Good,
    /// Answered badly by the version that is known to be bad: that is what it was made for.
    Bad,
    /// Not answered, or badly for any other reason.
    Failed(String),
}

/// What was sent, and what became of it. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Ledger(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bad: bool,
    book: Mutex<Book>,
}

/// The numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    /// The traffic's steps, in order.
    pub(crate) steps: Vec<Step>,
    /// What went wrong, and how often.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Requests that were not sent because too many were under way.
    pub(crate) skipped: u64,
    /// What the prober saw.
    pub(crate) outage: Outage,
}

/// All requests that were sent at one weight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    pub(crate) weight: Weight,
    pub(crate) sent: u64,
    pub(crate) canary: u64,
    pub(crate) bad: u64,
    pub(crate) failed: u64,
    micros: Vec<u64>,
}

/// A step as it is reported.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StepReport {
    /// The canary's share, in percent.
    pub(crate) weight: f64,
    pub(crate) sent: u64,
    /// How many the new version answered.
    pub(crate) by_new_version: u64,
    pub(crate) bad_answers: u64,
    pub(crate) failed: u64,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

impl Step {
    pub(crate) fn report(&self) -> StepReport {
        let mut micros = self.micros.clone();
        micros.sort_unstable();
        let quantile = |percent: usize| {
            let rank = (micros.len() * percent).div_ceil(100).max(1);
            micros
                .get(rank - 1)
                .map(|it| Duration::from_micros(*it).as_secs_f64() * 1_000.0)
        };
        StepReport {
            weight: self.weight.as_percent(),
            sent: self.sent,
            by_new_version: self.canary,
            bad_answers: self.bad,
            failed: self.failed,
            p50_ms: quantile(50),
            p99_ms: quantile(99),
        }
    }
}

/// The longest time from a success to the next one with a failure between them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outage {
    last_success: Option<Instant>,
    failing: bool,
    longest: Duration,
}

impl Outage {
    fn note(&mut self, at: Instant, fate: &Fate) {
        match fate {
            // Whatever a bad version says: somebody answered, and no outage begins or ends.
            Fate::Bad => {}
            Fate::Failed(_) => {
                self.last_success.get_or_insert(at);
                self.failing = true;
            }
            Fate::Good => {
                self.longest = self.longest_until(at);
                self.failing = false;
                self.last_success = Some(at);
            }
        }
    }

    /// The longest outage, one that has not ended included.
    pub(crate) fn longest_until(&self, at: Instant) -> Duration {
        let lasting = self
            .last_success
            .filter(|_| self.failing)
            .map(|it| at.duration_since(it));
        self.longest.max(lasting.unwrap_or_default())
    }
}

impl Ledger {
    /// An empty one; `bad` when the new version is known to be bad.
    pub(crate) fn new(bad: bool) -> Self {
        let book = Book {
            steps: vec![Step::default()],
            ..Book::default()
        };
        Self(Arc::new(Shared {
            bad,
            book: Mutex::new(book),
        }))
    }

    /// What is sent from now on is sent at this weight.
    pub(crate) fn enter(&self, weight: Weight) {
        self.book().steps.push(Step {
            weight,
            ..Step::default()
        });
    }

    /// The numbers so far.
    pub(crate) fn read(&self) -> Book {
        self.book().clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request begins: the step that it belongs to.
    fn begin(&self) -> usize {
        let mut book = self.book();
        let at = book.steps.len() - 1;
        book.steps[at].sent += 1;
        at
    }

    fn end(&self, at: usize, answer: &Answered, probe: bool) {
        let fate = fate(answer, self.0.bad);
        let mut book = self.book();
        if probe {
            book.outage.note(Instant::now(), &fate);
        }
        let step = &mut book.steps[at];
        if let Ok((_, headers)) = &answer.said
            && version(headers) == Some(screen::new().as_str())
        {
            step.canary += 1;
        }
        step.micros
            .push(u64::try_from(answer.took.as_micros()).unwrap_or(u64::MAX));
        match fate {
            Fate::Good => {}
            Fate::Bad => step.bad += 1,
            Fate::Failed(why) => {
                step.failed += 1;
                *book.failures.entry(why).or_default() += 1;
            }
        }
    }
}

/// An answer, or why there is none.
struct Answered {
    said: Result<(StatusCode, HeaderMap), String>,
    took: Duration,
}

/// What became of a request. Only an error that the bad version gave itself is not a failure of the release.
fn fate(answer: &Answered, bad: bool) -> Fate {
    let (status, headers) = match &answer.said {
        Ok(said) => said,
        Err(why) => return Fate::Failed(why.clone()),
    };
    if status.is_success() {
        return Fate::Good;
    }
    if let Some(why) = headers.get(TROUBLE) {
        return Fate::Failed(format!(
            "{status} by the proxy: {}",
            String::from_utf8_lossy(why.as_bytes())
        ));
    }
    let version = version(headers);
    if bad && version == Some(screen::new().as_str()) && status.is_server_error() {
        return Fate::Bad;
    }
    Fate::Failed(format!("{status} by {}", version.unwrap_or("nobody known")))
}

fn version(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-version").and_then(|it| it.to_str().ok())
}

/// The users at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    tasks: [JoinHandle<()>; 2],
}

type Http = Client<HttpConnector, Empty<Bytes>>;

impl Load {
    /// Sends `rate` requests per second, and the prober's.
    pub(crate) fn start(proxy: SocketAddr, rate: u32, ledger: &Ledger) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let load = Sender {
            proxy,
            rate,
            clients: vec![crate::http::pooled()],
            ledger: ledger.clone(),
            stop: Arc::clone(&stop),
            probe: false,
        };
        // Every other probe comes over a connection of its own: a listener that is gone shows only there.
        let single = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build_http();
        let prober = Sender {
            rate: PROBES,
            clients: vec![crate::http::pooled(), single],
            probe: true,
            ..load.clone()
        };
        Self {
            stop,
            tasks: [tokio::spawn(load.run()), tokio::spawn(prober.run())],
        }
    }

    /// Sends no more, and waits for what is under way.
    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

#[derive(Clone)]
struct Sender {
    proxy: SocketAddr,
    rate: u32,
    clients: Vec<Http>,
    ledger: Ledger,
    stop: Arc<AtomicBool>,
    probe: bool,
}

impl Sender {
    /// Sends at a steady pace, whether or not the answers keep up: slow answers must not hide behind fewer requests.
    async fn run(self) {
        let mut under_way = JoinSet::new();
        let begun = Instant::now();
        let mut due = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let at = begun + Duration::from_secs(1) * due / self.rate;
            tokio::time::sleep_until(at).await;
            while under_way.try_join_next().is_some() {}
            // After the machine stood still there is nothing to make up for.
            let late = Instant::now().duration_since(at) > Duration::from_millis(100);
            if late || under_way.len() >= UNDER_WAY {
                self.ledger.book().skipped += 1;
            } else {
                let client = self.clients[due as usize % self.clients.len()].clone();
                under_way.spawn(one(client, self.proxy, self.ledger.clone(), self.probe));
            }
            due += 1;
        }
        under_way.join_all().await;
        // The last answers are on their way into the books of the proxy, too.
        sleep(Duration::from_millis(1)).await;
    }
}

async fn one(client: Http, proxy: SocketAddr, ledger: Ledger, probe: bool) {
    let at = ledger.begin();
    let begun = Instant::now();
    let said = timeout(PATIENCE, exchange(&client, proxy)).await;
    let said = said.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
    ledger.end(
        at,
        &Answered {
            said,
            took: begun.elapsed(),
        },
        probe,
    );
}

async fn exchange(client: &Http, proxy: SocketAddr) -> Result<(StatusCode, HeaderMap), String> {
    let request = Request::get(format!("http://{proxy}/"))
        .body(Empty::new())
        .map_err(|it| chain(&it))?;
    let (head, body) = client
        .request(request)
        .await
        .map_err(|it| chain(&it))?
        .into_parts();
    body.collect()
        .await
        .map_err(|it| format!("the answer broke off: {}", chain(&it)))?;
    Ok((head.status, head.headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Answered {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        Answered {
            said: Ok((StatusCode::from_u16(status).unwrap(), headers)),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn only_what_the_bad_version_answers_itself_is_not_a_failure() {
        assert_eq!(fate(&answer(200, &[("x-version", "v2")]), true), Fate::Good);
        assert_eq!(fate(&answer(500, &[("x-version", "v2")]), true), Fate::Bad);
        for (answer, bad, why) in [
            (
                answer(500, &[("x-version", "v2")]),
                false,
                "500 Internal Server Error by v2",
            ),
            (
                answer(500, &[("x-version", "v1")]),
                true,
                "500 Internal Server Error by v1",
            ),
            (answer(404, &[("x-version", "v2")]), true, "404 Not Found by v2"),
            (
                answer(502, &[("x-proxy-trouble", "refused")]),
                true,
                "502 Bad Gateway by the proxy: refused",
            ),
            (answer(503, &[]), true, "503 Service Unavailable by nobody known"),
            (
                Answered {
                    said: Err("reset".into()),
                    took: Duration::ZERO,
                },
                true,
                "reset",
            ),
        ] {
            assert_eq!(fate(&answer, bad), Fate::Failed(why.into()));
        }
    }

    #[test]
    fn an_outage_lasts_from_success_to_success() {
        let mut outage = Outage::default();
        let failed = Fate::Failed(String::new());
        let begun = Instant::now();
        for (at, fate) in [
            (0, &Fate::Good),
            (900, &Fate::Good),
            (950, &failed),
            (1_000, &Fate::Bad),
            (1_100, &failed),
        ] {
            outage.note(begun + Duration::from_millis(at), fate);
        }
        assert_eq!(
            outage.longest_until(begun + Duration::from_millis(1_200)),
            Duration::from_millis(300)
        );
        outage.note(begun + Duration::from_millis(1_150), &Fate::Good);
        outage.note(begun + Duration::from_millis(9_999), &Fate::Good);
        assert_eq!(
            outage.longest_until(begun + Duration::from_secs(60)),
            Duration::from_millis(250)
        );
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let step = Step {
            micros: (1..=200).rev().map(|it| it * 1_000).collect(),
            ..Step::default()
        }
        .report();
        assert_eq!((step.p50_ms, step.p99_ms), (Some(100.0), Some(198.0)));
        assert_eq!(Step::default().report().p99_ms, None);
    }
}
