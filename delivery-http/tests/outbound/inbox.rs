//! A server that keeps what it gets, and answers what it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{LOCATION, RETRY_AFTER},
};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What arrived.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    /// `null` where there was none.
    pub(crate) body: Value,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) after: Option<u32>,
    pub(crate) location: Option<String>,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            body: String::new(),
            after: None,
            location: None,
        }
    }

    pub(crate) fn body(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            body: body.into(),
            after: None,
            location: None,
        }
    }
}

type Reply = Arc<dyn Fn(&Got) -> Answer + Send + Sync>;

pub(crate) struct Inbox {
    pub(crate) url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    got: Mutex<Vec<Got>>,
    script: Mutex<VecDeque<Answer>>,
    otherwise: Reply,
}

impl Inbox {
    /// Answers `ok`.
    pub(crate) async fn open() -> Self {
        Self::answering(|_| Answer::body("ok")).await
    }

    pub(crate) async fn answering(reply: impl Fn(&Got) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            got: Mutex::default(),
            script: Mutex::default(),
            otherwise: Arc::new(reply),
        });
        let router = Router::new().fallback(keep).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task }
    }

    /// Answers these first, one after the other.
    pub(crate) fn then(self, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.shared.script.lock().unwrap().extend(answers);
        self
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.shared.got.lock().unwrap().clone()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let got = Got {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let scripted = shared.script.lock().unwrap().pop_front();
    let answer = scripted.unwrap_or_else(|| (shared.otherwise)(&got));
    shared.got.lock().unwrap().push(got);
    let mut response = (StatusCode::from_u16(answer.status).unwrap(), answer.body).into_response();
    if let Some(after) = answer.after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(after));
    }
    if let Some(location) = answer.location {
        response
            .headers_mut()
            .insert(LOCATION, HeaderValue::from_str(&location).unwrap());
    }
    response
}
