//! The service that is released: a small HTTP server with metrics, in a good version and in four bad ones.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::error::Error;
use crate::http::{self, Answer};

/// What is wrong with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bad {
    /// Every 20th request is answered with a 500.
    Errors,
    /// One request in 33 takes 700 ms.
    Latency,
    /// The process dies after some requests, and again after each restart.
    Crash,
    /// The version has lost its metrics: it answers, but nobody can tell how well.
    NoTraffic,
}

impl Bad {
    /// As on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Latency => "latency",
            Self::Crash => "crash",
            Self::NoTraffic => "no-traffic",
        }
    }
}

/// How one process of the service is started.
#[derive(Args, Debug)]
pub(crate) struct ServiceArgs {
    /// The version, as in the header `x-version` of every answer.
    #[arg(long)]
    pub(crate) revision: String,
    /// What is wrong with it.
    #[arg(long)]
    pub(crate) bad: Option<Bad>,
    /// With `--bad crash`: the process dies at this request.
    #[arg(long, default_value_t = 150)]
    pub(crate) crash_after: u64,
}

/// Serves until its standard input is closed, which also happens when whoever started it is gone.
pub(crate) async fn run(args: ServiceArgs) -> Result<(), Error> {
    let (listener, address) = http::listen(0)
        .await
        .map_err(|(address, source)| Error::Listen { address, source })?;
    let service = Arc::new(Service::new(&args)?);
    let mut out = io::stdout();
    writeln!(out, "listening on {address}")
        .and_then(|()| out.flush())
        .map_err(|source| Error::Io {
            doing: "tell the address that the service listens on",
            source,
        })?;
    let answer = move |request| {
        let service = Arc::clone(&service);
        async move { service.answer(&request).await }
    };
    http::serve(listener, stdin_closed(), answer).await;
    Ok(())
}

/// Waits until standard input is closed.
pub(crate) async fn stdin_closed() {
    let (closed, wait) = oneshot::channel::<Infallible>();
    // A thread, because a read of standard input cannot be cancelled: it must not keep the runtime from ending.
    std::thread::spawn(move || {
        let _closed = closed;
        let mut byte = [0];
        while matches!(io::stdin().read(&mut byte), Ok(1..)) {}
    });
    let _ = wait.await;
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Code {
    code: u16,
}

struct Service {
    version: HeaderValue,
    bad: Option<Bad>,
    crash_after: u64,
    received: AtomicU64,
    requests: Family<Code, Counter>,
    durations: Histogram,
    registry: Registry,
}

impl Service {
    fn new(args: &ServiceArgs) -> Result<Self, Error> {
        let version = HeaderValue::from_str(&args.revision).map_err(|_| {
            Error::Usage(format!(
                "{:?} cannot be a version: it is sent as a header",
                args.revision
            ))
        })?;
        let requests = Family::default();
        let buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
        let durations = Histogram::new(buckets);
        let mut registry = Registry::default();
        if args.bad != Some(Bad::NoTraffic) {
            registry.register(
                "http_requests",
                "Requests by status code",
                Family::clone(&requests),
            );
            registry.register(
                "http_request_duration_seconds",
                "How long requests took",
                durations.clone(),
            );
        }
        let (bad, crash_after) = (args.bad, args.crash_after);
        Ok(Self {
            version,
            bad,
            crash_after,
            received: AtomicU64::new(0),
            requests,
            durations,
            registry,
        })
    }

    async fn answer(&self, request: &Request<Incoming>) -> Answer {
        let mut answer = match request.uri().path() {
            "/" => self.work().await,
            "/health" => http::text(StatusCode::OK, "ready\n"),
            "/metrics" => self.metrics(),
            _ => http::text(StatusCode::NOT_FOUND, "not found\n"),
        };
        answer.headers_mut().insert("x-version", self.version.clone());
        answer
    }

    async fn work(&self) -> Answer {
        let begun = Instant::now();
        let number = self.received.fetch_add(1, Ordering::Relaxed) + 1;
        // A few milliseconds, not always the same.
        sleep(Duration::from_millis(2 + number * 7 % 5)).await;
        let (status, text) = match self.bad {
            Some(Bad::Errors) if number.is_multiple_of(20) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "out of luck\n")
            }
            Some(Bad::Latency) if number % 33 == 16 => {
                sleep(Duration::from_millis(700)).await;
                (StatusCode::OK, "hello, at last\n")
            }
            // The status of a process that aborted; without the core dump of one.
            Some(Bad::Crash) if number >= self.crash_after => std::process::exit(134),
            Some(Bad::Errors | Bad::Latency | Bad::Crash | Bad::NoTraffic) | None => {
                (StatusCode::OK, "hello\n")
            }
        };
        self.requests
            .get_or_create(&Code {
                code: status.as_u16(),
            })
            .inc();
        self.durations.observe(begun.elapsed().as_secs_f64());
        http::text(status, text)
    }

    fn metrics(&self) -> Answer {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => http::text(StatusCode::OK, text),
            Err(error) => http::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}
