//! The weighted reverse proxy that all requests go through.
//!
//! As a real one: connections are kept alive on both sides, a change of the weight counts from the next request on, and
//! a request whose process went away before it answered is tried on another one (Envoy's
//! `retry-on: connect-failure,reset`). Answers are passed on as they are, a 500 as well.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use delivery_core::Weight;
use delivery_core::rollout::Side;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::balance::Balance;
use crate::error::{Error, chain};
use crate::http;

/// The header of the proxy's own answers, with the reason.
pub(crate) const TROUBLE: HeaderName = HeaderName::from_static("x-proxy-trouble");

/// How long one process may take to answer before another one is asked.
const PATIENCE: Duration = Duration::from_millis(2_500);
/// How many processes are asked at most.
const TRIES: u32 = 4;
/// Answers up to this size are read to their end before they are passed on, so that one that breaks off can be tried
/// again too.
const BUFFERED: u64 = 64 << 10;

type AnyBody = UnsyncBoxBody<Bytes, Box<dyn StdError + Send + Sync>>;

/// The proxy. Clones are the same proxy.
#[derive(Clone)]
pub(crate) struct Proxy(Arc<Shared>);

struct Shared {
    table: Mutex<Table>,
    retried: AtomicU64,
    empty: Client<HttpConnector, Empty<Bytes>>,
    streaming: Client<HttpConnector, Incoming>,
}

/// Where requests can go.
#[derive(Default)]
struct Table {
    balance: Balance,
    primary: Pool,
    canary: Pool,
}

/// The processes of one side, asked in turn.
#[derive(Default)]
struct Pool {
    upstreams: Vec<Arc<Upstream>>,
    next: usize,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    busy: AtomicUsize,
    idle: Notify,
}

/// A running proxy: its address, and how to stop it.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Accepts no more connections, and lets the requests under way end.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}

impl Proxy {
    /// A proxy that knows no processes yet, with all traffic for the primary.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            table: Mutex::default(),
            retried: AtomicU64::new(0),
            empty: http::pooled(),
            streaming: http::pooled(),
        }))
    }

    /// Listens on 127.0.0.1.
    pub(crate) async fn listen(&self, port: u16) -> Result<Listening, Error> {
        let (listener, address) = http::listen(port)
            .await
            .map_err(|(address, source)| Error::Listen { address, source })?;
        let (stop, mut stopped) = watch::channel(false);
        let proxy = self.clone();
        let answer = move |request| {
            let proxy = proxy.clone();
            async move { proxy.answer(request).await }
        };
        let task = tokio::spawn(async move {
            let stop = async move { drop(stopped.wait_for(|it| *it).await) };
            http::serve(listener, stop, answer).await;
        });
        Ok(Listening { address, stop, task })
    }

    /// What the canary gets now.
    pub(crate) fn weight(&self) -> Weight {
        self.table().balance.canary()
    }

    /// From the next request on, the canary gets this.
    pub(crate) fn set_weight(&self, canary: Weight) {
        self.table().balance.set(canary);
    }

    /// How many requests were asked of more than one process.
    pub(crate) fn retried(&self) -> u64 {
        self.0.retried.load(Ordering::Relaxed)
    }

    /// From now on, this process is asked too.
    pub(crate) fn add(&self, side: Side, address: SocketAddr) -> Arc<Upstream> {
        let upstream = Arc::new(Upstream {
            address,
            busy: AtomicUsize::new(0),
            idle: Notify::new(),
        });
        self.table().pool(side).upstreams.push(Arc::clone(&upstream));
        upstream
    }

    /// From now on, this process is not asked any more. What it was asked before may still be under way.
    pub(crate) fn remove(&self, side: Side, upstream: &Arc<Upstream>) {
        self.table()
            .pool(side)
            .upstreams
            .retain(|it| !Arc::ptr_eq(it, upstream));
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing in the table is half-done between two statements.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<AnyBody> {
        let side = self.table().balance.next();
        let (mut head, body) = request.into_parts();
        strip(&mut head.headers);
        let path = head
            .uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        if head.method != Method::GET || !body.is_end_stream() {
            // Asking twice could do something twice.
            let Some(lease) = self.lease(side, &[]) else {
                return trouble("no process takes requests");
            };
            let mut request = Request::new(body);
            aim(&mut request, &head.method, &head.headers, lease.0.address, &path);
            return match self.0.streaming.request(request).await {
                Ok(answer) => pass(answer, lease),
                Err(error) => trouble(&chain(&error)),
            };
        }
        let mut tried = Vec::new();
        let mut why = String::from("no process takes requests");
        for turn in 0..TRIES {
            let Some(lease) = self.lease(side, &tried) else {
                break;
            };
            if turn == 1 {
                self.0.retried.fetch_add(1, Ordering::Relaxed);
            }
            tried.push(lease.0.address);
            let mut request = Request::new(Empty::new());
            aim(&mut request, &head.method, &head.headers, lease.0.address, &path);
            match timeout(PATIENCE, self.ask(request, lease)).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(error)) => why = error,
                Err(_) => why = format!("no answer within {PATIENCE:?}"),
            }
        }
        trouble(&why)
    }

    /// Asks one process. A small answer is complete when it is passed on.
    async fn ask(&self, request: Request<Empty<Bytes>>, lease: Lease) -> Result<Response<AnyBody>, String> {
        let answer = self.0.empty.request(request).await.map_err(|it| chain(&it))?;
        if answer.body().size_hint().upper().is_none_or(|it| it > BUFFERED) {
            return Ok(pass(answer, lease));
        }
        let (mut head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|it| chain(&it))?.to_bytes();
        strip(&mut head.headers);
        head.version = Version::HTTP_11;
        Ok(Response::from_parts(
            head,
            Full::new(body).map_err(|never| match never {}).boxed_unsync(),
        ))
    }

    /// A process of the side that was not tried yet; when there is none, one of the primary.
    fn lease(&self, side: Side, tried: &[SocketAddr]) -> Option<Lease> {
        let mut table = self.table();
        let upstream = table
            .pool(side)
            .pick(tried)
            .or_else(|| table.pool(Side::Primary).pick(tried))?;
        // Under the lock: whoever removes a process sees all the requests that it still has.
        upstream.busy.fetch_add(1, Ordering::SeqCst);
        Some(Lease(upstream))
    }
}

impl Table {
    const fn pool(&mut self, side: Side) -> &mut Pool {
        match side {
            Side::Primary => &mut self.primary,
            Side::Canary => &mut self.canary,
        }
    }
}

impl Pool {
    fn pick(&mut self, tried: &[SocketAddr]) -> Option<Arc<Upstream>> {
        let count = self.upstreams.len();
        let at = (0..count)
            .map(|it| (self.next + it) % count)
            .find(|it| !tried.contains(&self.upstreams[*it].address))?;
        self.next = at + 1;
        Some(Arc::clone(&self.upstreams[at]))
    }
}

impl Upstream {
    /// Waits until no request is under way.
    pub(crate) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            if self.busy.load(Ordering::SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }
}

/// A request under way at a process.
struct Lease(Arc<Upstream>);

impl Drop for Lease {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

/// Makes a request one for this process.
fn aim<B>(
    request: &mut Request<B>,
    method: &Method,
    headers: &HeaderMap,
    to: SocketAddr,
    path: &PathAndQuery,
) {
    let mut parts = hyper::http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Authority::try_from(to.to_string()).ok();
    parts.path_and_query = Some(path.clone());
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *request.method_mut() = method.clone();
    *request.headers_mut() = headers.clone();
}

/// Passes an answer on while it comes in.
fn pass(answer: Response<Incoming>, lease: Lease) -> Response<AnyBody> {
    let (mut head, body) = answer.into_parts();
    strip(&mut head.headers);
    head.version = Version::HTTP_11;
    Response::from_parts(
        head,
        Held { body, _lease: lease }.map_err(Into::into).boxed_unsync(),
    )
}

/// Takes out the headers that are about one connection only (RFC 9110 section 7.6.1).
fn strip(headers: &mut HeaderMap) {
    for name in [
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}

fn trouble(why: &str) -> Response<AnyBody> {
    let body = Full::new(Bytes::from(format!("{why}\n")))
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    let why = HeaderValue::from_str(why).unwrap_or(HeaderValue::from_static("unspeakable"));
    answer.headers_mut().insert(TROUBLE, why);
    answer
}

/// A body that keeps its process from being stopped.
struct Held {
    body: Incoming,
    _lease: Lease,
}

impl Body for Held {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    fn proxy(primary: &[u16], canary: &[u16]) -> Proxy {
        let proxy = Proxy::new();
        for (side, ports) in [(Side::Primary, primary), (Side::Canary, canary)] {
            for port in ports {
                proxy.add(side, SocketAddr::from(([127, 0, 0, 1], *port)));
            }
        }
        proxy
    }

    fn asked(proxy: &Proxy, side: Side, tried: &[u16]) -> Option<u16> {
        let tried: Vec<_> = tried
            .iter()
            .map(|it| SocketAddr::from(([127, 0, 0, 1], *it)))
            .collect();
        proxy.lease(side, &tried).map(|it| it.0.address.port())
    }

    #[tokio::test]
    async fn processes_of_a_side_take_turns() {
        let proxy = proxy(&[1, 2, 3], &[9]);
        let ports: Vec<_> = (0..6).filter_map(|_| asked(&proxy, Side::Primary, &[])).collect();
        assert_eq!(ports, [1, 2, 3, 1, 2, 3]);
        assert_eq!(asked(&proxy, Side::Canary, &[]), Some(9));
    }

    #[tokio::test]
    async fn a_request_is_tried_on_the_same_side_first_and_then_on_the_primary() {
        let proxy = proxy(&[1], &[8, 9]);
        assert_eq!(asked(&proxy, Side::Canary, &[8]), Some(9));
        assert_eq!(asked(&proxy, Side::Canary, &[8, 9]), Some(1));
        assert_eq!(asked(&proxy, Side::Canary, &[8, 9, 1]), None);
        assert_eq!(
            asked(&proxy, Side::Primary, &[1]),
            None,
            "the canary gets no more than its share"
        );
    }

    #[tokio::test]
    async fn a_process_is_drained_when_its_last_request_ends() {
        let proxy = proxy(&[], &[]);
        let upstream = proxy.add(Side::Primary, SocketAddr::from(([127, 0, 0, 1], 1)));
        let lease = proxy.lease(Side::Primary, &[]).unwrap();
        proxy.remove(Side::Primary, &upstream);
        assert!(proxy.lease(Side::Primary, &[]).is_none());
        let brief = Duration::from_millis(10);
        assert!(timeout(brief, upstream.drained()).await.is_err());
        drop(lease);
        assert!(timeout(brief, upstream.drained()).await.is_ok());
    }

    /// A process that reads a request, says this, and hangs up.
    async fn process(says: &'static str) -> SocketAddr {
        let (listener, address) = http::listen(0).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(says.as_bytes()).await;
            }
        });
        address
    }

    const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    const BROKEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel";
    const ERROR: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nx-version: v2\r\n\r\n";

    /// What the proxy answers when the primary and the canary, which gets everything, are such processes.
    async fn answer(
        primary: Option<&'static str>,
        canary: &'static str,
        method: &'static str,
    ) -> (String, u64) {
        let proxy = Proxy::new();
        if let Some(primary) = primary {
            proxy.add(Side::Primary, process(primary).await);
        }
        proxy.add(Side::Canary, process(canary).await);
        proxy.set_weight(Weight::WHOLE);
        let listening = proxy.listen(0).await.unwrap();
        let mut stream = TcpStream::connect(listening.address).await.unwrap();
        let request =
            format!("{method} / HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        listening.stop().await;
        (answer, proxy.retried())
    }

    #[tokio::test]
    async fn a_request_whose_process_went_away_is_answered_by_another_one() {
        for gone in ["", "HTTP/1.1 200 OK\r\nconte", BROKEN] {
            let (answer, retried) = answer(Some(GOOD), gone, "GET").await;
            assert!(
                answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"),
                "{answer}"
            );
            assert_eq!(retried, 1);
        }
    }

    #[tokio::test]
    async fn an_answer_is_passed_on_whatever_it_says() {
        let (answer, retried) = answer(Some(GOOD), ERROR, "GET").await;
        assert!(
            answer.starts_with("HTTP/1.1 500") && answer.contains("x-version: v2"),
            "{answer}"
        );
        assert_eq!(retried, 0);
    }

    #[tokio::test]
    async fn what_could_happen_twice_is_not_tried_again() {
        let (answer, retried) = answer(Some(GOOD), "", "POST").await;
        assert!(
            answer.starts_with("HTTP/1.1 502") && answer.contains("x-proxy-trouble"),
            "{answer}"
        );
        assert_eq!(retried, 0);
    }

    #[tokio::test]
    async fn without_any_process_the_proxy_says_so() {
        let (answer, _) = answer(None, "", "GET").await;
        assert!(
            answer.starts_with("HTTP/1.1 502") && answer.contains("x-proxy-trouble"),
            "{answer}"
        );
    }
}
