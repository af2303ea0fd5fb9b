//! Where a server is, and how to speak to it.

use std::fmt;
use std::time::Duration;

use delivery_outbound::{Authentication, ClientBuilder, Endpoint, Error as CallError, HeaderName, Limits};
use secrecy::SecretString;

use super::Client;
use super::transport::Transport;
use crate::error::Error;

/// A server, and how to speak to it.
///
/// ```
/// use std::time::Duration;
/// use delivery_prom::Server;
///
/// let client = Server::new("https://metrics.example.com/prometheus")?
///     .tenant("team-a")?
///     .bearer("s3cr3t".into())
///     .timeout(Duration::from_secs(5))
///     .client()?;
/// assert_eq!(client.address(), "https://metrics.example.com/prometheus");
/// # Ok::<(), delivery_prom::Error>(())
/// ```
#[derive(Clone)]
pub struct Server {
    endpoint: Endpoint,
    dialect: Dialect,
    token: Option<SecretString>,
    headers: Vec<Authentication>,
    /// In PEM.
    authorities: Vec<Vec<u8>>,
    takes_partial: bool,
    timeout: Duration,
    limit: usize,
}

/// Which language a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PromQL: Prometheus, Thanos, Mimir, Cortex, `VictoriaMetrics`.
    Prometheus,
    /// LogQL: Loki.
    Loki,
}

impl Server {
    /// A Prometheus, or what speaks its API, at an address: `http` or `https`, host, port, and the path under which the
    /// API begins with `/api/v1`.
    ///
    /// User and password in the address are used as by [`basic`](Self::basic), and parameters (`?dedup=true`) are sent
    /// with every request; neither is ever shown.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn new(address: &str) -> Result<Self, Error> {
        let endpoint = Endpoint::new("address", address).map_err(|it| no_address(address, it))?;
        Ok(Self {
            endpoint,
            dialect: Dialect::Prometheus,
            token: None,
            headers: Vec::new(),
            authorities: Vec::new(),
            takes_partial: false,
            timeout: Duration::from_secs(10),
            limit: 16 << 20,
        })
    }

    /// A Loki at an address: what stands before `/loki/api/v1`.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn loki(address: &str) -> Result<Self, Error> {
        let server = Self::new(address)?;
        Ok(Self {
            dialect: Dialect::Loki,
            ..server
        })
    }

    /// Whose data is meant, where several share a server: the header `X-Scope-OrgID` of Mimir, Cortex and Loki.
    ///
    /// # Errors
    /// [`Error::Header`] for a name that cannot be sent.
    pub fn tenant(self, tenant: &str) -> Result<Self, Error> {
        self.header("X-Scope-OrgID", tenant.into())
    }

    /// Sends a header with every request. Its value is never shown.
    ///
    /// # Errors
    /// [`Error::Header`] for what is no header.
    pub fn header(mut self, name: &str, value: SecretString) -> Result<Self, Error> {
        let wrong = |why| Error::Header {
            name: name.to_owned(),
            why,
        };
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(wrong("it has no name that HTTP knows"));
        }
        let header = Authentication::header(name, name, value).map_err(|_| wrong(UNSENDABLE))?;
        self.headers.push(header);
        Ok(self)
    }

    /// Logs in with a token. `delivery_outbound::token_file` reads one from a file.
    #[must_use]
    pub fn bearer(self, token: SecretString) -> Self {
        Self {
            token: Some(token),
            ..self
        }
    }

    /// Logs in with a name and a password.
    #[must_use]
    pub fn basic(self, user: &str, password: SecretString) -> Self {
        Self {
            endpoint: self.endpoint.login(user, password),
            token: None,
            ..self
        }
    }

    /// Takes answers that the server itself calls partial (VictoriaMetrics' `isPartial`, warnings of Thanos and Mimir about
    /// parts that did not answer) for the whole. Without this they are no data, and rules hold.
    ///
    /// For those whose parts are known to be down, and do not matter: what is missing may be just the errors.
    #[must_use]
    pub fn take_partial_answers(self) -> Self {
        Self {
            takes_partial: true,
            ..self
        }
    }

    /// Trusts an authority of one's own, in PEM, and no other. May be called for several.
    ///
    /// # Errors
    /// [`Error::Certificate`].
    pub fn authority(mut self, pem: &[u8]) -> Result<Self, Error> {
        let read = ClientBuilder::default().trust_only("authority", pem);
        read.map(drop)
            .map_err(|it| Error::Certificate { source: it.into() })?;
        self.authorities.push(pem.to_owned());
        Ok(self)
    }

    /// How long a request may take, with all its retries; default 10 s.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How many bytes an answer may have after decompression; default 16 MiB.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// The client. It keeps connections alive, and its clones share them.
    ///
    /// It may call everybody. Where others write the address, [`client_with`](Self::client_with) rules are needed.
    ///
    /// # Errors
    /// [`Error::Setting`] for a timeout or a limit of 0, [`Error::Header`] for a login that cannot be sent,
    /// [`Error::Setup`].
    pub fn client(self) -> Result<Client, Error> {
        self.client_with(ClientBuilder::default())
    }

    /// The client, by these rules: whom it may call, and through which proxy. They are those that webhooks have.
    ///
    /// ```
    /// use delivery_prom::{Server, client::ClientBuilder};
    ///
    /// let rules = ClientBuilder::default().refuse_metadata_addresses();
    /// let refused = Server::new("http://169.254.169.254")?.client_with(rules);
    /// assert!(refused.is_err());
    /// # Ok::<(), delivery_prom::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`client`](Self::client); [`Error::Setup`] also for an address that the rules do not allow.
    pub fn client_with(self, rules: ClientBuilder) -> Result<Client, Error> {
        if self.timeout.is_zero() {
            return Err(Error::Setting {
                field: "timeout",
                value: "0s".into(),
                expected: "more than nothing, e.g. 10s",
            });
        }
        if self.limit == 0 {
            return Err(Error::Setting {
                field: "limit",
                value: "0".into(),
                expected: "a number of bytes, e.g. 16777216",
            });
        }
        let mut headers = self.headers;
        if let Some(token) = self.token {
            let header = Authentication::bearer("token", token).map_err(|_| Error::Header {
                name: "Authorization".into(),
                why: UNSENDABLE,
            })?;
            headers.push(header);
        }
        let setup = |it: CallError| Error::Setup { source: it.into() };
        let trusting = |rules: ClientBuilder, pem: &Vec<u8>| rules.trust_only("authority", pem);
        let rules = self.authorities.iter().try_fold(rules, trusting).map_err(setup)?;
        let client = rules.build().map_err(setup)?;
        client.check("address", &self.endpoint).map_err(setup)?;
        let transport = Transport {
            client,
            shown: self.endpoint.address(),
            headers,
            secrets: self.endpoint.query_secrets(),
            endpoint: self.endpoint,
            limits: Limits {
                attempt: self.timeout,
                total: self.timeout,
                retries: 4,
                pause: Duration::from_millis(100),
                body: self.limit,
            },
        };
        Ok(Client::new(transport, self.dialect, self.takes_partial))
    }
}

/// Why a header's value is refused, which is not shown.
const UNSENDABLE: &str = "its value is empty, or has characters that HTTP does not allow";

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.endpoint.address())
            .field("dialect", &self.dialect)
            .field("headers", &self.headers)
            .field("timeout", &self.timeout)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// The text may have a password in it, and nobody knows where: only what stands before anything of the kind is shown.
fn no_address(address: &str, why: CallError) -> Error {
    let after_login = address.rsplit('@').next().unwrap_or_default();
    let address = after_login.split(['?', '#']).next().unwrap_or_default();
    Error::Address {
        address: crate::error::shortened(address, 80),
        why: match why {
            CallError::Unusable { found, .. } => found,
            other => other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_what_is_nobodys_business() {
        for (address, shown) in [
            ("http://prometheus:9090", "http://prometheus:9090"),
            ("http://prometheus:9090/", "http://prometheus:9090"),
            ("https://host/a/b//", "https://host/a/b"),
            ("https://user:pa%40ss@host/a?token=x#y", "https://host/a"),
            ("http://[::1]:9090", "http://[::1]:9090"),
        ] {
            let client = Server::new(address).unwrap().client().unwrap();
            assert_eq!(client.address(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (address, says) in [
            ("", "\"\" is no address of a server: an empty URL"),
            ("prometheus:9090", "a URL with the scheme `prometheus`"),
            ("ftp://host", "a URL with the scheme `ftp`"),
            ("http://", "empty host"),
            ("http://host:99999", "invalid port"),
        ] {
            let error = Server::new(address).unwrap_err().to_string();
            assert!(
                error.contains(says) && error.ends_with("(expected e.g. http://prometheus:9090)"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_cannot_be_sent_or_kept_is_refused() {
        let server = || Server::new("http://host").unwrap();
        for (refused, says) in [
            (server().tenant("a\nb").err(), "header \"X-Scope-OrgID\""),
            (
                server().header("a b", "c".into()).err(),
                "no name that HTTP knows",
            ),
            (server().authority(b"no PEM").err(), "expected PEM"),
            (server().authority(b"").err(), "expected PEM"),
            (
                server().timeout(Duration::ZERO).client().err(),
                "timeout cannot be 0s",
            ),
            (server().limit(0).client().err(), "limit cannot be 0"),
        ] {
            let error = refused.unwrap().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
