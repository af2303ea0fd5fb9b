//! Webhooks exactly as Flagger calls them, for the engine's gates and notices.
//!
//! A [`Webhook`] is what a user writes, an entry of `analysis.webhooks`. [`Webhooks`] are those of one rollout: they
//! implement [`Approver`](delivery_core::port::Approver) for the gates that [`Webhooks::gates`] adds to its plan, and
//! [`Notifier`](delivery_core::port::Notifier) for what only informs.
//!
//! | `type` | called | `phase` in the payload | 2xx | anything else |
//! |---|---|---|---|---|
//! | `confirm-rollout` | before anything moves, every interval | current | go on | wait |
//! | `pre-rollout` | before the first traffic | `Progressing` | go on | a failed check |
//! | `rollout`, or none | in every round, before the metrics | `Progressing` | go on | a failed check |
//! | `confirm-traffic-increase` | before each increase | `Progressing` | go on | hold the weight, keep judging |
//! | `confirm-promotion` | before the promotion | `Progressing` | promote | hold, keep judging |
//! | `rollback` | every interval | current | **roll back** | nothing |
//! | `post-rollout` | after the end was saved | `Succeeded`, `Failed` | | reported, sent again later |
//! | `event` | at every notice | current | | reported, sent again later |
//!
//! # The call
//! `POST` with JSON: `name`, `namespace`, `phase`, `checksum`, and `metadata` if there is any. `checksum` is opaque, and
//! the same for the same revision and configuration. The metadata of an `event` has three keys more, before which the
//! user's own step back: `eventMessage`, `eventType` (`Normal` or `Warning`) and `timestamp` (Unix time in ms).
//!
//! Each call has an `Idempotency-Key`: the same for every attempt, also for one that is repeated because the process
//! died between the call and the saving of its answer; another for every other question or notice, as long as the
//! rollout's state lives.
//!
//! # What differs from Flagger
//! | Flagger | here |
//! |---|---|
//! | succeeds at a status up to 202, so that 204 fails | any 2xx |
//! | the answer's body is shown for statuses that are not tried again | it is shown for all, shortened |
//! | hooks of one round one after the other, up to the first that fails | all at the same time |
//! | the first `confirm-rollout` names the phase before, later ones `Waiting` | all of them name `Waiting` |
//! | `retries` of `post-rollout` and `event` hooks are made at once, while the canary waits | later, while the rollout goes on |
//! | waits for an answer for ever | [`deadline`](Webhook::deadline) and [`default`](Webhook::default) if wanted |
//! | `post-rollout` and `event` are called at most once, and the first `post-rollout` that fails stops the others | at least once, each on its own |
//! | events when a step begins and for every denial | one event per transition that shows |
//! | payloads of `rollback` and `event` name `Progressing` while traffic goes back | the same: this engine's own phase is not shown |
//! | no authentication | [`Authentication`] from a secret |
//! | credentials in a URL go along when a server redirects | to the same host only |
//! | follows a redirect from https to http | it is a refusal |
//! | asks on with `GET` where a redirect (301 to 303) points to, so that a page to log in approves | it is a refusal |
//! | any page with a status up to 202 approves | a page with a field for a password is no answer |
//! | calls any address | an allow-list and a refusal of metadata addresses: [`ClientBuilder`](crate::ClientBuilder) |
//!
//! # Example
//! ```
//! use delivery_core::plan::{Canary, Capabilities, Spec, Strategy};
//! use delivery_http::Client;
//! use delivery_http::hook::{Authentication, Webhook, Webhooks};
//! use serde_json::json;
//!
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let written: Vec<Webhook> = serde_json::from_value(json!([
//!     { "name": "smoke test", "type": "pre-rollout", "url": "http://tests.shop/smoke", "timeout": "1m" },
//!     { "name": "release manager", "type": "confirm-promotion", "url": "https://gate.example.com/gate/check",
//!       "deadline": "4h" },
//!     { "name": "journal", "type": "event", "url": "http://journal.shop/" },
//! ]))?;
//! let token = std::env::var("GATE_TOKEN").unwrap_or("only for the example".into());
//! let hooks = Webhooks::of("web", "shop")
//!     .hooks(written)
//!     .authenticate("release manager", Authentication::bearer("GATE_TOKEN", token.into())?)
//!     .build(&Client::new()?)?;
//!
//! let canary = Canary { step_weight: Some(10.0), max_weight: Some(50.0), ..Canary::default() };
//! let spec = Spec { gates: hooks.gates(), ..Spec::new(Strategy::Canary(canary)) };
//! let (plan, _warnings) = spec.compile(&Capabilities::ALL)?;
//! // And in `Ports`: `approver: &hooks, notifier: &hooks`.
//! # Ok(())
//! # }
//! # example().unwrap();
//! ```

mod notices;
mod payload;
mod webhook;
mod webhooks;

pub use self::notices::Muted;
pub use self::webhook::{HookKind, Webhook};
pub use self::webhooks::{Webhooks, WebhooksBuilder};
pub use delivery_outbound::Authentication;
