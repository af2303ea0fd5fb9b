//! The little HTTP that all parts share: a server that drains, and a client for JSON.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::graceful::GracefulShutdown;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// An answer whose body is at hand.
pub(crate) type Answer = Response<Full<Bytes>>;

/// How long a server waits for requests under way when it stops.
const DRAIN: Duration = Duration::from_secs(3);

/// Answers requests until `stop`; then no connection is accepted any more, and the requests under way end.
pub(crate) async fn serve<H, F, B>(listener: TcpListener, stop: impl Future<Output = ()>, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static,
{
    let mut stop = pin!(stop);
    let connections = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            () = &mut stop => break,
            stream = accept(&listener) => stream,
        };
        let handler = handler.clone();
        let service = service_fn(move |request| {
            let answer = handler(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        // A client that hangs up is no news.
        tokio::spawn(async move { drop(connection.await) });
    }
    drop(listener);
    let _ = timeout(DRAIN, connections.shutdown()).await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            // Small answers must not wait for a full packet.
            let _ = stream.set_nodelay(true);
            return stream;
        }
        // Out of file handles, most likely: those that end give theirs back.
        sleep(Duration::from_millis(20)).await;
    }
}

/// Listens on the loopback interface; port 0 is any free one.
pub(crate) async fn listen(port: u16) -> Result<(TcpListener, SocketAddr), (SocketAddr, io::Error)> {
    let wanted = SocketAddr::from(([127, 0, 0, 1], port));
    let listener = TcpListener::bind(wanted)
        .await
        .map_err(|source| (wanted, source))?;
    let address = listener.local_addr().map_err(|source| (wanted, source))?;
    Ok((listener, address))
}

/// An answer in plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain"),
    );
    answer
}

/// An answer in JSON.
pub(crate) fn json(body: &impl Serialize) -> Answer {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let mut answer = text(StatusCode::OK, bytes);
            answer.headers_mut().insert(
                header::CONTENT_TYPE,
                header::HeaderValue::from_static("application/json"),
            );
            answer
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// A client with pooled connections.
pub(crate) fn pooled<B>() -> Client<HttpConnector, B>
where
    B: Body<Data: Send> + Send,
{
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("cannot be reached")]
    Unreachable(#[source] Box<dyn StdError + Send + Sync>),
    #[error("answered {0}: {1}")]
    Refused(StatusCode, String),
    #[error("answered something else than expected")]
    Unreadable(#[source] Box<dyn StdError + Send + Sync>),
}

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Api {
    server: SocketAddr,
    limit: Duration,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Api {
    /// The largest answer that is read.
    const LARGEST: usize = 4 << 20;

    /// A client that waits at most `limit` for an answer.
    pub(crate) fn new(server: SocketAddr, limit: Duration) -> Self {
        Self {
            server,
            limit,
            client: pooled(),
        }
    }

    /// Reads JSON.
    pub(crate) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        let bytes = self.call(Method::GET, path, Bytes::new()).await?;
        serde_json::from_slice(&bytes).map_err(|it| CallError::Unreadable(it.into()))
    }

    /// Sends JSON; the answer's body does not matter.
    pub(crate) async fn write(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<(), CallError> {
        let body = serde_json::to_vec(body).map_err(|it| CallError::Unreadable(it.into()))?;
        self.call(method, path, body.into()).await.map(drop)
    }

    /// The body of an answer with a 2xx status.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, CallError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.server))
            .body(Full::new(body))
            .map_err(|it| CallError::Unreachable(it.into()))?;
        let exchange = async {
            let answer = self
                .client
                .request(request)
                .await
                .map_err(|it| CallError::Unreachable(it.into()))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, Self::LARGEST)
                .collect()
                .await
                .map_err(CallError::Unreachable)?
                .to_bytes();
            if head.status.is_success() {
                return Ok(body);
            }
            Err(CallError::Refused(
                head.status,
                String::from_utf8_lossy(&body).trim().to_owned(),
            ))
        };
        timeout(self.limit, exchange)
            .await
            .unwrap_or(Err(CallError::TimedOut(self.limit)))
    }
}
