//! Measurements, query templates and alerts from Prometheus and everything that speaks its API: Thanos, Mimir, Cortex,
//! VictoriaMetrics; and from Loki, where LogQL gives a number.
//!
//! What a rollout needs is one value: [`Metrics`], a metric source of `delivery-core`. What is measured for a metric is a
//! [`Question`]; a plan's own queries and the ones that Flagger has built in need none.
//!
//! ```
//! use delivery_prom::template::Names;
//! use delivery_prom::{Form, Metrics, Question, Server};
//!
//! let client = Server::new("http://prometheus:9090")?.client()?;
//! let all = r#"http_requests_total{app="{{ target }}"}"#;
//! let failed = r#"http_requests_total{app="{{ target }}", code=~"5.."}"#;
//! let metrics = Metrics::new(client)
//!     .names(Names { target: Some("web".into()), ..Names::default() })
//!     .question("request-success-rate", Question::new(Form::counts(all, failed)?));
//! # let _: &dyn delivery_core::port::MetricSource = &metrics;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The way of a number
//! ```text
//! question ──► template: names are put in ──► client: asked, within bounds ──► reply: bytes to values, pure ──┐
//!                                                                                                             │
//! Sample::Value, or Sample::Nothing(why) ◄── reply::number: which series, how old, is it one at all ◄─────────┤
//! Sample::Counts, Sample::Histogram ◄── counters: rises between raw samples, restarts and all ◄───────────────┘
//! ```
//!
//! Nothing on this way turns missing data into a number. An empty answer, NaN, data that is older than the window or than
//! the metric allows, a second series where one was promised, a text, a native histogram, log lines: each is its own kind
//! of nothing, and what could not be asked is an error that says whom, for what, and why.
//!
//! Reading order: [`question`] is what is asked, [`template`] how it is written, [`queries`] what is built in;
//! [`client`] asks, [`reply`] reads, [`source`] does it all for a rollout; [`ruler`] is what a server tells of its rules
//! and alerts, and [`alerts`] makes a gate of that.
//!
//! # Features
//! - `promql-validate`: [`Metrics::check`] also tells which queries are no PromQL, before anything is asked.
//! - `rules-check`: `rules::check` reports what is wrong with alerting rules and log pipelines.
#![allow(clippy::doc_markdown, reason = "PromQL and LogQL are names")]

pub mod error;

pub mod question;

pub mod template;

pub mod queries;

#[cfg(feature = "promql-validate")]
pub mod promql;

#[cfg(any(feature = "promql-validate", feature = "rules-check"))]
mod backquotes;

pub mod loki;

mod reach;

pub mod client;

pub mod reply;

mod counters;

pub mod source;

pub mod ruler;

pub mod alerts;

#[cfg(feature = "rules-check")]
pub mod rules;

mod moment;

pub use self::client::{Answer, Client, Dialect, Instant, Ranged, Server};
pub use self::error::Error;
pub use self::question::{Form, Part, Question};
pub use self::reply::Pick;
pub use self::source::{Measured, Metrics, ShortWindow};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
