//! Calls to other people's servers: bounded in time and size, tried again where that helps, and careful with whom they talk
//! to. Whatever leaves the house goes through here: webhooks, notifications, and the questions to a metric server.
//!
//! One [`Client`] is one pool of connections, for all rollouts of a process; cloning it is cheap. Whom it may call is
//! the client's business ([`ClientBuilder`]), what it calls is an [`Endpoint`] that was checked when it was built, and
//! one call is a [`Call`].
//!
//! ```
//! use delivery_outbound::{Call, Client, Endpoint};
//!
//! # async fn example() -> Result<(), delivery_outbound::Error> {
//! let client = Client::builder().allow_hosts(["gate.example.com"])?.refuse_metadata_addresses().build()?;
//! let gate = Endpoint::new("url", "https://gate.example.com/check")?;
//! client.check("url", &gate)?;
//! let reply = client.send(&Call::post(&gate).json(&serde_json::json!({ "name": "web" }))).await?;
//! println!("{} {}", reply.status, reply.text());
//! # Ok(())
//! # }
//! ```
//!
//! | | |
//! |---|---|
//! | time | [`Limits::attempt`] for each attempt, the body included; [`Limits::total`] for all of them with the waits between |
//! | tried again | no connection, one that broke off, no answer in time, 408, 429, 5xx except 501, or what [`Call::passing`] says; waits [`Limits::pause`], twice that and so on to 30 s, with up to as much again by chance, or what `Retry-After` says, at most 60 s |
//! | size | a body is read up to [`Limits::body`]; whoever goes on sending is not listened to |
//! | redirects | up to 10; a secret goes to another host never; from https to http never; what is sent is not left behind in one: at 301 to 303 only what is read is followed |
//! | addresses | only hosts of a list, and none that is link-local or gives credentials, if the [`ClientBuilder`] is told so; at every redirect, and at the address that a name leads to |
//! | secrets | in no log, no error, no `Debug`; blotted out where an answer repeats one |
//! | files | a token that others can read is [warned of](token_file) |
//!
//! Proxies from the environment (`HTTPS_PROXY`, `NO_PROXY` …) are used, unless there is [one](ClientBuilder::proxy) for
//! this client, addresses are refused, or [`direct`](ClientBuilder::direct) is asked for: behind a proxy nobody here sees
//! an address. Whoever cannot be reached through a proxy is named together with it.

mod address;
mod attempt;
mod authentication;
mod call;
mod client;
mod endpoint;
mod error;
mod proxy;
mod token;

pub use reqwest::Method;
pub use reqwest::header::{HeaderName, HeaderValue};

pub use self::authentication::Authentication;
pub use self::call::{Call, Limits, Reply, Verification};
pub use self::client::{Client, ClientBuilder, REDIRECTS};
pub use self::endpoint::{Endpoint, form};
pub use self::error::{Cause, Error};
pub use self::token::token_file;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
