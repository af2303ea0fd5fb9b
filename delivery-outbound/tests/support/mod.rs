//! Servers on loopback: one that records what it gets, and broken ones.

#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use delivery_outbound::Client;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A client that no proxy of this machine disturbs.
pub(crate) fn client() -> Client {
    Client::builder().direct().build().unwrap()
}

/// What a server got.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Got {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Got {
    pub(crate) fn key(&self) -> &str {
        &self.headers["idempotency-key"]
    }
}

/// What a server says.
#[derive(Clone, Debug)]
pub(crate) struct Says {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    after: Duration,
}

impl Says {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
            after: Duration::ZERO,
        }
    }

    pub(crate) fn body(self, body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

type Script = Arc<dyn Fn(&Got) -> Says + Send + Sync>;
type Record = Arc<Mutex<Vec<Got>>>;

/// A server that records what it gets, and answers as its script says. It stops when it is dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    got: Record,
    task: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start(script: impl Fn(&Got) -> Says + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let got = Record::default();
        let script: Script = Arc::new(script);
        let router = axum::Router::new()
            .fallback(answer)
            .with_state((script, Arc::clone(&got)));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, got, task }
    }

    /// One that always says the same.
    pub(crate) async fn saying(says: Says) -> Self {
        Self::start(move |_| says.clone()).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    pub(crate) fn take(&self) -> Vec<Got> {
        std::mem::take(&mut self.got.lock().unwrap())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State((script, got)): State<(Script, Record)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let headers = headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let call = Got {
        method,
        path: uri.to_string(),
        headers,
        text: String::from_utf8_lossy(&body).into_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    got.lock().unwrap().push(call.clone());
    let says = script(&call);
    tokio::time::sleep(says.after).await;
    let mut response = (StatusCode::from_u16(says.status).unwrap(), says.body).into_response();
    for (name, value) in says.headers {
        response.headers_mut().insert(
            HeaderName::from_static(name),
            HeaderValue::from_str(&value).unwrap(),
        );
    }
    response
}

/// How a server is broken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Broken {
    /// Nobody listens.
    Refuses,
    /// It ends the connection before it has answered anything.
    ResetsBefore,
    /// It ends the connection in the middle of its answer.
    ResetsAfter,
    /// It speaks something else.
    NoHttp,
    /// It says nothing.
    Hangs,
    /// It sends a byte now and then.
    Drips,
    /// It never stops sending.
    Endless,
}

/// Starts a broken server; its URL.
pub(crate) async fn broken(how: Broken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    if !matches!(how, Broken::Refuses) {
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(misbehave(how, stream));
            }
        });
    }
    format!("http://{address}/")
}

async fn misbehave(how: Broken, mut stream: TcpStream) {
    // Until the request is there; what ends a connection before it was read is reset.
    let mut request = [0; 1024];
    if !matches!(how, Broken::ResetsBefore) {
        let _ = stream.read(&mut request).await;
    }
    match how {
        Broken::Refuses => {}
        Broken::ResetsBefore => {
            let _ = stream.readable().await;
        }
        Broken::ResetsAfter => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
                .await;
        }
        Broken::NoHttp => {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n").await;
        }
        Broken::Hangs => std::future::pending().await,
        Broken::Drips => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
                .await;
            while stream.write_all(b".").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Broken::Endless => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
                .await;
            while stream.write_all(&[b'x'; 16 * 1024]).await.is_ok() {}
        }
    }
}
