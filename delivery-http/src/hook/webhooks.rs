//! The webhooks of one rollout, as the engine's ports.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use async_trait::async_trait;
use delivery_core::plan::{Fallback, Gate, GateKind};
use delivery_core::port::{Answer, Approver, Fault, GateQuestion, PortError};
use delivery_outbound::{HeaderName, HeaderValue};
use tracing::Instrument;

use super::notices::Told;
use super::payload::{Payload, Rollout};
use super::{Authentication, HookKind, Webhook};
use crate::client::{self, Call, Client, Endpoint, Limits, Reply, Verification};
use crate::error::Error;

/// The header with the identity of a question or a notice, by the name that the IETF draft gives it.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How long an attempt may take.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(86_400);

/// How often it may be tried again.
const RETRIES: u32 = 100;

/// The webhooks of one rollout. The [module](super) says when they are called, and with what.
///
/// As an [`Approver`] they answer the gates of [`Webhooks::gates`]; a gate that is none of these is an error, which
/// counts as a denial.
pub struct Webhooks {
    pub(super) client: Client,
    pub(super) rollout: Rollout,
    pub(super) hooks: Vec<Hook>,
}

/// One that can be called.
pub(super) struct Hook {
    pub(super) kind: HookKind,
    /// Unique among those of its kind.
    pub(super) name: String,
    pub(super) mutes_alerts: bool,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) told: Told,
    gate: Option<Gate>,
    endpoint: Endpoint,
    limits: Limits,
    verification: Verification,
    authentication: Option<Authentication>,
}

impl Webhooks {
    /// Begins with the name of a rollout and its namespace, or whatever keeps two of one name apart.
    pub fn of(name: impl Into<String>, namespace: impl Into<String>) -> WebhooksBuilder {
        WebhooksBuilder {
            rollout: Rollout {
                name: name.into(),
                namespace: namespace.into(),
                config: String::new(),
            },
            hooks: Vec::new(),
            authentications: Vec::new(),
        }
    }

    /// The gates that belong into the plan, in the order in which the hooks are written.
    pub fn gates(&self) -> Vec<Gate> {
        self.hooks.iter().filter_map(|it| it.gate.clone()).collect()
    }

    pub(super) fn find(&self, kind: GateKind, name: &str) -> Option<&Hook> {
        self.hooks
            .iter()
            .find(|it| it.kind.gate() == Some(kind) && it.name == name)
    }
}

/// Whether a body is a page of HTML with a field for a password: whoever guards a gate may answer so, with any status.
fn asks_for_a_password(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let is_page = text.trim_start_matches('\u{feff}').trim_start().starts_with('<');
    let field = ["type=\"password\"", "type='password'", "type=password"];
    is_page && field.iter().any(|field| text.contains(field))
}

#[async_trait]
impl Approver for Webhooks {
    async fn ask(&self, question: &GateQuestion<'_>) -> Result<Answer, PortError> {
        let (kind, name) = (question.gate.kind, question.gate.name.as_str());
        let doing = || format!("asking {kind} {name}");
        let Some(hook) = self.find(kind, name) else {
            return Err(PortError::permanent(doing(), "there is no such webhook"));
        };
        let payload = self.rollout.question(question, &hook.metadata);
        let key = self.rollout.question_key(question.key);
        match hook.call(&self.client, &self.rollout, &payload, &key).await {
            Ok(reply) if asks_for_a_password(&reply.body) => {
                let said = "answered with a page to log in, which is no answer: let this call through, or give it credentials";
                Err(PortError::permanent(doing(), said))
            }
            Ok(_) => Ok(Answer::Approved),
            // It was understood, and the answer is no. A server in trouble has not answered.
            Err(no @ Error::Call(client::Error::Refused { .. })) if no.fault() == Fault::Permanent => {
                Ok(Answer::Denied(no.to_string()))
            }
            Err(error) => Err(error.at_port(doing())),
        }
    }
}

impl Hook {
    pub(super) async fn call(
        &self,
        client: &Client,
        rollout: &Rollout,
        payload: &Payload<'_>,
        key: &str,
    ) -> Result<Reply, Error> {
        let mut call = Call::post(&self.endpoint)
            .json(payload)
            .limits(self.limits)
            .hide(&self.endpoint.secrets())
            .verification(self.verification);
        // Hexadecimal digits are fit for a header.
        if let Ok(key) = HeaderValue::from_str(key) {
            call = call.header(IDEMPOTENCY_KEY, key);
        }
        if let Some(authentication) = &self.authentication {
            call = authentication.sign(call);
        }
        let span = tracing::debug_span!(
            "webhook",
            rollout = %format_args!("{}.{}", rollout.name, rollout.namespace),
            kind = %self.kind,
            name = self.name,
            key
        );
        Ok(client.send(&call).instrument(span).await?)
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hooks = self.hooks.iter().map(|it| (it.kind.name(), &it.name));
        f.debug_struct("Webhooks")
            .field(
                "rollout",
                &format_args!("{}.{}", self.rollout.name, self.rollout.namespace),
            )
            .field("hooks", &hooks.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Sets up [`Webhooks`].
#[derive(Debug)]
#[must_use]
pub struct WebhooksBuilder {
    rollout: Rollout,
    hooks: Vec<Webhook>,
    authentications: Vec<(String, Authentication)>,
}

impl WebhooksBuilder {
    /// Adds hooks, as they are written.
    pub fn hooks(mut self, hooks: impl IntoIterator<Item = Webhook>) -> Self {
        self.hooks.extend(hooks);
        self
    }

    /// Calls the hooks of this name with a secret.
    pub fn authenticate(mut self, name: impl Into<String>, authentication: Authentication) -> Self {
        self.authentications.push((name.into(), authentication));
        self
    }

    /// A fingerprint of the configuration that belongs to the rollout, where its revision does not cover it: another
    /// one is another `checksum`.
    pub fn config(mut self, fingerprint: impl Into<String>) -> Self {
        self.rollout.config = fingerprint.into();
        self
    }

    /// The webhooks, which share the client's connections with everybody who has it.
    ///
    /// # Errors
    /// [`Error::Unusable`], or [`Error::Several`] of them: everything that cannot be used, at once. Fields are named as
    /// in `webhooks[0].url`.
    pub fn build(self, client: &Client) -> Result<Webhooks, Error> {
        let mut problems = Vec::new();
        let mut hooks: Vec<Hook> = Vec::new();
        for (name, _) in &self.authentications {
            if !self.hooks.iter().any(|it| it.name == *name) {
                let found = format!("authentication for `{name}`");
                problems.push(Error::unusable("webhooks", found, "the name of one of them"));
            }
        }
        for (at, written) in self.hooks.into_iter().enumerate() {
            let field = |name: &str| format!("webhooks[{at}].{name}");
            let before = problems.len();
            check(&written, field, &mut problems);
            let endpoint = Endpoint::new(&field("url"), &written.url)
                .and_then(|it| client.check(&field("url"), &it).map(|()| it));
            match endpoint {
                Err(problem) => problems.push(problem.into()),
                Ok(endpoint) if problems.len() == before => {
                    let name = unique(&hooks, written.kind, &written.name);
                    let authentication = self
                        .authentications
                        .iter()
                        .find(|(of, _)| *of == written.name)
                        .map(|(_, it)| it.clone());
                    hooks.push(Hook::new(written, name, endpoint, authentication));
                }
                Ok(_) => {}
            }
        }
        Error::collected(problems).map_or_else(
            || {
                Ok(Webhooks {
                    client: client.clone(),
                    rollout: self.rollout,
                    hooks,
                })
            },
            Err,
        )
    }
}

impl Hook {
    fn new(
        written: Webhook,
        name: String,
        endpoint: Endpoint,
        authentication: Option<Authentication>,
    ) -> Self {
        let gate = written.kind.gate().map(|kind| Gate {
            deadline: written.deadline,
            default: written.default,
            every: written.every.unwrap_or(1),
            ..Gate::new(kind, name.clone())
        });
        let timeout = written.timeout.unwrap_or(Limits::default().attempt);
        // What only informs is tried again by the outbox: a rollout does not wait for it meanwhile.
        let retries = if gate.is_some() { written.retries } else { 0 };
        Self {
            kind: written.kind,
            name,
            mutes_alerts: written.mute_alert,
            metadata: written.metadata,
            told: Told::default(),
            gate,
            endpoint,
            limits: Limits {
                // Nobody reads more than a line of an answer.
                body: 4 * 1024,
                ..Limits::new(timeout, retries)
            },
            verification: if written.disable_tls {
                Verification::Skipped
            } else {
                Verification::Verified
            },
            authentication,
        }
    }
}

fn check(written: &Webhook, field: impl Fn(&str) -> String, problems: &mut Vec<Error>) {
    if written.name.trim().is_empty() {
        problems.push(Error::unusable(field("name"), "an empty name", "a name"));
    }
    if let Some(timeout) = written.timeout.filter(|it| !TIMEOUT.contains(it)) {
        problems.push(Error::unusable(
            field("timeout"),
            format!("{timeout:?}"),
            "1ms to 24h",
        ));
    }
    if written.retries > RETRIES {
        problems.push(Error::unusable(
            field("retries"),
            written.retries.to_string(),
            "0 to 100",
        ));
    }
    if written.every == Some(0) {
        problems.push(Error::unusable(field("every"), "0", "at least 1"));
    }
    let waits = written.kind.is_waited_for();
    let kinds = "a gate that is waited for: pre-rollout or confirm-…";
    if written.deadline.is_some() && !waits {
        problems.push(Error::unusable(
            field("deadline"),
            format!("a deadline of {}", written.kind),
            kinds,
        ));
    }
    if written.default == Fallback::Approve && written.deadline.is_none() {
        let found = "a default without a deadline";
        problems.push(Error::unusable(
            field("default"),
            found,
            "a deadline, after which it counts",
        ));
    }
}

/// The name, or the name and the least number that makes it another one.
fn unique(hooks: &[Hook], kind: HookKind, name: &str) -> String {
    let taken = |name: &str| hooks.iter().any(|it| it.kind == kind && it.name == name);
    if !taken(name) {
        return name.to_owned();
    }
    let numbered = (2_u32..).map(|it| format!("{name} {it}"));
    numbered.into_iter().find(|it| !taken(it)).unwrap_or_default()
}
