//! Gates, hooks, notifications and JSON metrics over HTTP for progressive delivery.
//!
//! The ports of [`delivery_core`] behind which somebody else's server stands:
//!
//! | module | implements | what |
//! |---|---|---|
//! | [`hook`] | [`Approver`], [`Notifier`] | webhooks exactly as Flagger calls them: gates, checks, events |
//! | [`notify`] | [`Notifier`] | Slack, Microsoft Teams, Discord, Rocket.Chat, Google Chat, Alertmanager, CDEvents, yours |
//! | [`json_metric`] | [`MetricSource`] | a number from anything that answers in JSON |
//! | [`FanOut`] | [`Notifier`] | several notifiers as one |
//! | [`gate_server`] | | the other side: gates that people open, and commands for a running rollout |
//! | [`client`] | | what all of them call with: one pool of connections, bounded in time and size |
//!
//! # Example
//! A rollout that asks before it promotes, is judged by what a server counts, and tells a chat and a program of your own
//! what happens:
//!
//! ```
//! use delivery_core::driver::Ports;
//! use delivery_core::plan::{Canary, Capabilities, MetricSpec, Plan, Spec, Strategy};
//! use delivery_core::{Advance, advance};
//! use delivery_http::hook::Webhooks;
//! use delivery_http::json_metric::{Covers, JsonMetric, JsonMetricSpec, JsonMetrics};
//! use delivery_http::notify::{About, Notifications, Receiver, Sender, sender};
//! use delivery_http::{Client, FanOut};
//! use serde_json::json;
//!
//! /// A sender of your own: a name, and what is sent.
//! const JOURNAL: Sender = Sender {
//!     name: "journal",
//!     bodies: |message, _| vec![json!({ "rollout": message.about.full_name(), "line": message.text() })],
//!     ..Sender::CHAT
//! };
//!
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder().allow_hosts(["*.example.com", "hooks.slack.com"])?.build()?;
//!
//! // The gate. It is open when it answers 200 to 299.
//! let written = json!([{ "name": "desk", "type": "confirm-promotion", "url": "https://gate.example.com/gate/check" }]);
//! let hooks = Webhooks::of("web", "shop").hooks(serde_json::from_value::<Vec<_>>(written)?).build(&client)?;
//!
//! // The metric.
//! let errors = JsonMetric::new(&JsonMetricSpec {
//!     url: "https://metrics.example.com/errors?version={{ revision }}&from={{ from }}&to={{ to }}".into(),
//!     json_path: "$.percent".into(),
//!     ..JsonMetricSpec::new(Covers::Window)
//! })?;
//! let metrics = JsonMetrics::new(client.clone()).with("error-rate", errors)?;
//!
//! // The notifications.
//! let slack = Receiver::new(sender("slack")?, &"https://hooks.slack.com/services/T0/B0/secret".into())?;
//! let journal = Receiver::new(&JOURNAL, &"https://journal.example.com/".into())?;
//! let told = Notifications::new(client, About::new("web", "shop"), vec![slack.into(), journal.into()])?;
//!
//! let canary = Canary { step_weight: Some(10.0), max_weight: Some(50.0), ..Canary::default() };
//! let spec = Spec {
//!     gates: hooks.gates(),
//!     metrics: vec![MetricSpec::at_most("error-rate", 1.0)],
//!     ..Spec::new(Strategy::Canary(canary))
//! };
//! let (plan, _warnings) = spec.compile(&Capabilities::ALL)?;
//!
//! // And where the rollout runs, with its store, pods and traffic:
//! async fn turn(
//!     plan: &Plan, ports: Ports<'_>, hooks: &Webhooks, metrics: &JsonMetrics, told: &Notifications,
//! ) -> Result<Advance, delivery_core::port::PortError> {
//!     let notifier = FanOut::new().and(hooks).and(told);
//!     advance(plan, &Ports { approver: hooks, metrics, notifier: &notifier, ..ports }, &[]).await
//! }
//! # let _ = (plan, told, metrics, turn);
//! # Ok(())
//! # }
//! # example().unwrap();
//! ```
//!
//! # What never happens
//! No secret is in a log, an error or a `Debug` text, and none goes to another host. Nothing is waited for without a limit,
//! and no answer is read without one. What is no measurement is never a number, and what is no answer never opens a gate.

#[cfg(doc)]
use delivery_core::port::{Approver, MetricSource, Notifier};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// What all calls go out with: the pool of connections and its rules, of [`delivery_outbound`].
pub mod client {
    pub use delivery_outbound::{
        Call, Client, ClientBuilder, Endpoint, Error, Limits, REDIRECTS, Reply, Verification,
    };
}
mod error;
mod fan_out;
pub mod gate_server;
pub mod hook;
pub mod json_metric;
pub mod notify;

pub use self::client::{Client, ClientBuilder, Endpoint};
pub use self::error::{Cause, Error};
pub use self::fan_out::FanOut;

/// What is encoded so that a value stays one value: everything but the unreserved characters of RFC 3986, section 2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
