//! The pool of connections, and the rules about whom it calls.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use delivery_core::port::Fault;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::redirect::Policy;

use crate::address::{Resolver, is_refused};
use crate::endpoint::{Allowed, address, origin};
use crate::error::{Cause, Error};
use crate::proxy::Way;
use crate::{Call, Endpoint, Reply};

/// How many redirects are followed.
pub const REDIRECTS: usize = 10;

/// The longest pause of one's own between two attempts, without chance.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The longest that a `Retry-After` is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A pool of connections, and whom it may call. A clone is the same pool.
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Pool>);

pub(crate) struct Pool {
    /// Checks certificates.
    pub(crate) verifying: reqwest::Client,
    /// Does not.
    pub(crate) trusting: reqwest::Client,
    pub(crate) rules: Rules,
    pub(crate) way: Way,
}

/// Whom a client may call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    allowed: Option<Vec<Allowed>>,
    refuses_metadata: bool,
}

impl Client {
    /// A client with other rules than none.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A client that may call everybody.
    ///
    /// # Errors
    /// [`Error::Setup`]: TLS could not be set up, as on a machine without certificates.
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// Whether this client may call that endpoint, as far as its URL tells; `field` names it in the error. To be asked
    /// when something is built; every call asks again, with the address that the name leads to.
    ///
    /// # Errors
    /// [`Error::Unusable`].
    pub fn check(&self, field: &str, endpoint: &Endpoint) -> Result<(), Error> {
        self.0.rules.check(&endpoint.url).map_err(|it| {
            let expected = "a host that this client may call";
            Error::unusable(field, it.to_string(), expected)
        })
    }

    /// Makes a call, and tries again where that can help.
    ///
    /// # Errors
    /// Whatever the last attempt met; an answer outside 200 to 299 is [`Error::Refused`].
    pub async fn send(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let begun = Instant::now();
        let left = || call.limits.total.saturating_sub(begun.elapsed());
        let waits = ExponentialBuilder::default()
            .with_min_delay(call.limits.pause.min(LONGEST_PAUSE))
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(usize::try_from(call.limits.retries).unwrap_or(usize::MAX))
            .with_jitter();
        (|| self.attempt(call, call.limits.attempt.min(left())))
            .retry(waits)
            .sleep(tokio::time::sleep)
            .when(|error| match error {
                Error::Refused { status, .. } => (call.passing)(*status),
                _ => matches!(error.fault(), Fault::Transient { .. }),
            })
            .adjust(|error, wait| {
                let wait = match error {
                    Error::Refused {
                        after: Some(after), ..
                    } => wait.map(|_| LONGEST_WAIT.min(*after)),
                    _ => wait,
                };
                // An attempt that would have no time left is not begun: its predecessor's error says more.
                wait.filter(|wait| *wait < left())
            })
            .notify(|error, wait| {
                tracing::debug!(error = error as &dyn std::error::Error, ?wait, "trying again");
            })
            .await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.0.rules).finish()
    }
}

impl Rules {
    pub(crate) fn check(&self, url: &reqwest::Url) -> Result<(), Error> {
        if let Some(allowed) = &self.allowed
            && !allowed.iter().any(|it| it.matches(url))
        {
            return Err(Error::HostNotAllowed { host: origin(url) });
        }
        match address(url) {
            Some(address) if self.refuses_metadata && is_refused(address) => Err(Error::AddressRefused {
                host: origin(url),
                address,
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Sets up a [`Client`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ClientBuilder {
    rules: Rules,
    direct: bool,
    proxy: Option<Endpoint>,
    roots: Vec<reqwest::Certificate>,
    only_these: bool,
}

impl ClientBuilder {
    /// Nobody else is called, redirects included: `gate.example.com`, `*.example.com` for everything below it, either
    /// with a port if only that one is meant.
    ///
    /// # Errors
    /// [`Error::Unusable`] for something that is no such name.
    pub fn allow_hosts<'a>(mut self, hosts: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let more = hosts
            .into_iter()
            .map(Allowed::new)
            .collect::<Result<Vec<_>, _>>()?;
        self.rules.allowed.get_or_insert_default().extend(more);
        Ok(self)
    }

    /// Link-local addresses and those at which clouds give credentials to their machines are not called, whatever name
    /// leads there. No proxy is used then.
    pub const fn refuse_metadata_addresses(mut self) -> Self {
        self.rules.refuses_metadata = true;
        self
    }

    /// No proxy is used, whatever the environment says.
    pub const fn direct(mut self) -> Self {
        self.direct = true;
        self
    }

    /// This proxy is used for every call, whatever the environment says: `http://proxy.example.com:3128`, with user and
    /// password if it wants them. `field` names it in errors.
    ///
    /// # Errors
    /// [`Error::Unusable`]: the text does not repeat it.
    pub fn proxy(mut self, field: &str, url: &str) -> Result<Self, Error> {
        self.proxy = Some(Endpoint::new(field, url)?);
        Ok(self)
    }

    /// Trusts this certificate authority too, in PEM.
    ///
    /// # Errors
    /// [`Error::Unusable`].
    pub fn trust(mut self, field: &str, pem: &[u8]) -> Result<Self, Error> {
        let roots = reqwest::Certificate::from_pem_bundle(pem)
            .ok()
            .filter(|it| !it.is_empty())
            .ok_or_else(|| Error::unusable(field, "no certificate", "certificates in PEM"))?;
        self.roots.extend(roots);
        Ok(self)
    }

    /// Trusts this certificate authority, in PEM, and no other but those that are added like it.
    ///
    /// # Errors
    /// [`Error::Unusable`].
    pub fn trust_only(mut self, field: &str, pem: &[u8]) -> Result<Self, Error> {
        self.only_these = true;
        self.trust(field, pem)
    }

    /// The client.
    ///
    /// # Errors
    /// [`Error::Setup`]: TLS could not be set up, as on a machine without certificates. [`Error::Unusable`]: a proxy where
    /// none may be used.
    pub fn build(self) -> Result<Client, Error> {
        let setup = |it: reqwest::Error| Error::Setup {
            source: Cause::of(&it),
        };
        let is_direct = self.direct || self.rules.refuses_metadata;
        let way = match self.proxy {
            Some(_) if is_direct => {
                let found =
                    "one for a client that is direct, or refuses addresses, which only a proxy would see";
                return Err(Error::unusable("proxy", found, "one of the two"));
            }
            Some(proxy) => Way::Through(proxy),
            None if is_direct => Way::Direct,
            None => Way::Environment(Matcher::from_system()),
        };
        let proxy = match &way {
            Way::Through(proxy) => Some(proxy.as_proxy().map_err(setup)?),
            Way::Direct | Way::Environment(_) => None,
        };
        let resolver = Resolver::new(self.rules.refuses_metadata);
        let base = || {
            let base = reqwest::Client::builder()
                .redirect(Policy::none())
                .retry(reqwest::retry::never())
                .dns_resolver(resolver.clone())
                .user_agent(concat!("delivery/", env!("CARGO_PKG_VERSION")));
            let base = if self.only_these {
                base.tls_certs_only(self.roots.clone())
            } else {
                base.tls_certs_merge(self.roots.clone())
            };
            match &proxy {
                Some(proxy) => base.proxy(proxy.clone()),
                None if is_direct => base.no_proxy(),
                None => base,
            }
        };
        Ok(Client(Arc::new(Pool {
            verifying: base().build().map_err(setup)?,
            trusting: base()
                .tls_danger_accept_invalid_certs(true)
                .build()
                .map_err(setup)?,
            rules: self.rules,
            way,
        })))
    }
}
