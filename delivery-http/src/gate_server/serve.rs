//! Connections: not too many, none that takes its time, and all of them ended in peace.
//!
//! A connection ends when its requests come too slowly, when its answers are not read, when it has lasted [`LIFE`] or
//! carried [`REQUESTS`], and when there are too many and it has waited longer for an answer than the others.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderValue, header};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use super::places::Places;
use super::{GateServer, routes};

/// How long the head of a request may take, and how long a connection is kept without one.
const HEAD: Duration = Duration::from_secs(10);

/// How long a connection is kept whose other side reads nothing of an answer.
const UNREAD: Duration = Duration::from_secs(10);

/// How long a connection lasts.
const LIFE: Duration = Duration::from_secs(300);

/// How many requests a connection carries.
const REQUESTS: u64 = 1_000;

/// The most that is kept of what one connection sends before it is understood, and the longest head of a request.
const BUFFER: usize = 16 * 1024;

/// How long requests under way are waited for when their connection, or the server, comes to its end.
const DRAIN: Duration = Duration::from_secs(15);

/// How long to wait before the next attempt, when no connection can be accepted.
const BREATH: Duration = Duration::from_millis(5);

pub(super) async fn serve(listener: TcpListener, server: GateServer, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    let places = Arc::new(Mutex::new(Places::default()));
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        let full = locked(&places).full(Instant::now());
        let accepted = tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            () = sleep(full.unwrap_or_default()), if full.is_some() => continue,
            accepted = listener.accept(), if full.is_none() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (ticket, leave) = Ticket::take(&places);
                connections.spawn(attend(stream, server.clone(), ticket, leave, stopped.clone()));
                // Those that were accepted come before the next.
                tokio::task::yield_now().await;
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "no connection");
                if !is_about_one_connection(&error) {
                    // Out of file handles, most likely.
                    locked(&places).make_room(Instant::now());
                    sleep(BREATH).await;
                }
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN, ended).await.is_err() {
        tracing::debug!("some requests were not waited for");
    }
}

/// Whether it could not be accepted because it had ended already.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Answers the requests of one connection until it ends.
async fn attend(
    stream: TcpStream,
    server: GateServer,
    ticket: Ticket,
    mut leave: oneshot::Receiver<()>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(UNREAD));
    let router = TowerToHyperService::new(routes::router(server.clone()));
    let ticket = Arc::new(ticket);
    let service = service_fn(|request| {
        let last = ticket.asks(server.0.tokens.sender(request.headers()).is_ok());
        let (ticket, answer) = (Arc::clone(&ticket), router.call(request));
        async move {
            let mut answer = answer.await;
            ticket.answered();
            if let (true, Ok(answer)) = (last, &mut answer) {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(header::CONNECTION, close);
            }
            answer
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(Box::pin(stream)), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = &mut leave => return,
        () = sleep(LIFE) => None,
        _ = stopped.wait_for(|it| *it) => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            Ok(ended) = timeout(DRAIN, connection) => ended,
            _ = leave => return,
            else => return,
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke off");
    }
}

/// A place, which is given back when it is dropped.
struct Ticket {
    number: u64,
    places: Arc<Mutex<Places>>,
    requests: Mutex<u64>,
}

impl Ticket {
    /// A place, and what ends when it is lost.
    fn take(places: &Arc<Mutex<Places>>) -> (Self, oneshot::Receiver<()>) {
        let (stay, leave) = oneshot::channel();
        let ticket = Self {
            number: locked(places).take(Instant::now(), stay),
            places: Arc::clone(places),
            requests: Mutex::new(0),
        };
        (ticket, leave)
    }

    /// Notes a request. Returns whether it is the last that its connection carries.
    fn asks(&self, known: bool) -> bool {
        if known {
            locked(&self.places).is_known(self.number);
        }
        let mut requests = locked(&self.requests);
        *requests = requests.saturating_add(1);
        *requests >= REQUESTS
    }

    fn answered(&self) {
        locked(&self.places).answered(self.number);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        locked(&self.places).leave(self.number);
    }
}

fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half-done in it.
    it.lock().unwrap_or_else(PoisonError::into_inner)
}
