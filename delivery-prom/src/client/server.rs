//! Where a server is, and how to speak to it.

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Url, redirect};
use secrecy::{ExposeSecret, SecretString};

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
    address: Url,
    dialect: Dialect,
    login: Login,
    headers: Vec<(HeaderName, SecretString)>,
    authorities: Vec<Certificate>,
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

/// Who asks.
#[derive(Clone)]
pub(super) enum Login {
    Nobody,
    Bearer(SecretString),
    Basic(String, SecretString),
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
        let mut url = Url::parse(address).map_err(|it| no_address(address, it.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(no_address(address, format!("unknown scheme {:?}", url.scheme())));
        }
        let user = url.username().to_owned();
        let login = match url.password() {
            None if user.is_empty() => Login::Nobody,
            password => Login::Basic(decoded(&user), decoded(password.unwrap_or_default()).into()),
        };
        let unchangeable = || no_address(address, "it has no host".into());
        url.set_username("").map_err(|()| unchangeable())?;
        url.set_password(None).map_err(|()| unchangeable())?;
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self {
            address: url,
            dialect: Dialect::Prometheus,
            login,
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
        let known =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("it has no name that HTTP knows"))?;
        header_value(value.expose_secret())
            .ok_or_else(|| wrong("its value has characters that HTTP does not allow"))?;
        self.headers.push((known, value));
        Ok(self)
    }

    /// Logs in with a token.
    #[must_use]
    pub fn bearer(self, token: SecretString) -> Self {
        Self {
            login: Login::Bearer(token),
            ..self
        }
    }

    /// Logs in with a name and a password.
    #[must_use]
    pub fn basic(self, user: &str, password: SecretString) -> Self {
        Self {
            login: Login::Basic(user.to_owned(), password),
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
        let read =
            Certificate::from_pem_bundle(pem).map_err(|it| Error::Certificate { source: it.into() })?;
        if read.is_empty() {
            let source = "there is no certificate in it".into();
            return Err(Error::Certificate { source });
        }
        self.authorities.extend(read);
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
    /// # Errors
    /// [`Error::Setting`] for a timeout or a limit of 0, [`Error::Header`] for a login that cannot be sent,
    /// [`Error::Setup`].
    pub fn client(self) -> Result<Client, Error> {
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
        let mut http = reqwest::Client::builder()
            .default_headers(self.header_map()?)
            // A redirect would take headers with secrets to wherever it points.
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(self.timeout / 2)
            .user_agent(concat!("delivery/", env!("CARGO_PKG_VERSION")));
        if !self.authorities.is_empty() {
            http = http.tls_certs_only(self.authorities.clone());
        }
        let http = http.build().map_err(|it| Error::Setup { source: it.into() })?;
        let mut secrets: Vec<SecretString> = self.headers.into_iter().map(|(_, value)| value).collect();
        match &self.login {
            Login::Nobody => {}
            Login::Bearer(secret) => secrets.push(secret.clone()),
            Login::Basic(user, password) => {
                secrets.push(password.clone());
                secrets.extend(as_sent(&http, user, password));
            }
        }
        // They may be keys. Short ones are words that explain something.
        let parameters = self.address.query_pairs().filter(|(_, value)| value.len() >= 8);
        secrets.extend(parameters.map(|(_, value)| value.into_owned().into()));
        let transport = Transport {
            http,
            shown: shown(&self.address),
            address: self.address,
            login: self.login,
            secrets,
            timeout: self.timeout,
            limit: self.limit,
        };
        Ok(Client::new(transport, self.dialect, self.takes_partial))
    }

    fn header_map(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        let wrong = |name: &str| Error::Header {
            name: name.to_owned(),
            why: "its value has characters that HTTP does not allow",
        };
        for (name, value) in &self.headers {
            let value = header_value(value.expose_secret()).ok_or_else(|| wrong(name.as_str()))?;
            headers.append(name.clone(), value);
        }
        if let Login::Bearer(token) = &self.login {
            header_value(token.expose_secret()).ok_or_else(|| wrong("Authorization"))?;
        }
        Ok(headers)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&HeaderName> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Server")
            .field("address", &shown(&self.address))
            .field("dialect", &self.dialect)
            .field("headers", &names)
            .field("timeout", &self.timeout)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// A part of an address without its percent signs.
fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

/// A login as it stands in a header, which hides nothing.
fn as_sent(http: &reqwest::Client, user: &str, password: &SecretString) -> Option<SecretString> {
    let request = http
        .get("http://localhost")
        .basic_auth(user, Some(password.expose_secret()))
        .build()
        .ok()?;
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    Some(header.strip_prefix("Basic ")?.into())
}

/// A value that HTTP allows, and that no log shows.
fn header_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The address as it may be shown.
fn shown(address: &Url) -> String {
    let mut url = address.clone();
    url.set_query(None);
    url.as_str().trim_end_matches('/').to_owned()
}

/// The text may have a password in it, and nobody knows where: only what stands before anything of the kind is shown.
fn no_address(address: &str, why: String) -> Error {
    let after_login = address.rsplit('@').next().unwrap_or_default();
    let address = after_login.split(['?', '#']).next().unwrap_or_default();
    Error::Address {
        address: crate::error::shortened(address, 80),
        why,
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
        assert_eq!(decoded("pa%40ss%"), "pa@ss%");
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (address, says) in [
            ("", "\"\" is no address of a server: relative URL without a base"),
            ("prometheus:9090", "unknown scheme \"prometheus\""),
            ("ftp://host", "unknown scheme \"ftp\""),
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
