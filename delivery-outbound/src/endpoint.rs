//! A URL that can be called, and who may be.

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use crate::error::Error;

/// A URL that can be called. It shows scheme, host and port only: the rest may be a secret, as in Slack's.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) url: Url,
    /// User and password, if the URL had them.
    pub(crate) login: Option<(String, SecretString)>,
}

impl Endpoint {
    /// Checks a URL; `field` names it in the error.
    ///
    /// # Errors
    /// [`Error::Unusable`]: no absolute `http` or `https` URL with a host. The text does not repeat the URL.
    pub fn new(field: &str, url: &str) -> Result<Self, Error> {
        const EXPECTED: &str = "an absolute URL such as https://host/path";
        let unusable = |found: String| Error::unusable(field, found, EXPECTED);
        if url.trim().is_empty() {
            return Err(unusable("an empty URL".into()));
        }
        let mut url = Url::parse(url.trim()).map_err(|it| unusable(format!("not a URL ({it})")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(unusable(format!("a URL with the scheme `{}`", url.scheme())));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(unusable("a URL without a host".into()));
        }
        if url.port() == Some(0) {
            return Err(unusable("a URL with port 0".into()));
        }
        let login = (!url.username().is_empty() || url.password().is_some()).then(|| {
            let password = SecretString::from(decoded(url.password().unwrap_or_default()));
            (decoded(url.username()), password)
        });
        // A URL with a host can hold a login, so it can lose one.
        let _ = (url.set_username(""), url.set_password(None));
        url.set_fragment(None);
        Ok(Self { url, login })
    }

    /// The same, called with this user and password instead of those of the URL.
    #[must_use]
    pub fn login(self, user: &str, password: SecretString) -> Self {
        let login = Some((user.to_owned(), password));
        Self { login, ..self }
    }

    /// Scheme, host, port and path: for those who know that the path is no secret.
    pub fn address(&self) -> String {
        let address = self.url.as_str().split('?').next().unwrap_or_default();
        address.trim_end_matches('/').to_owned()
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        origin(&self.url)
    }

    /// The same server, with more path behind the given one: `/a` and `b/c` is `/a/b/c`.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        let mut joined = self.clone();
        let before = self.url.path().trim_end_matches('/');
        joined
            .url
            .set_path(&format!("{before}/{}", path.trim_start_matches('/')));
        joined
    }

    /// The same, with these [parameters](form) behind those that it has.
    #[must_use]
    pub fn query(mut self, form: &str) -> Self {
        if !form.is_empty() {
            let own = self.url.query().map_or(String::new(), |it| format!("{it}&"));
            self.url.set_query(Some(&(own + form)));
        }
        self
    }

    /// Whether the path ends so.
    pub fn ends_with(&self, path: &str) -> bool {
        self.url.path().trim_end_matches('/').ends_with(path)
    }

    /// The same server as a proxy for everything.
    pub(crate) fn as_proxy(&self) -> reqwest::Result<reqwest::Proxy> {
        let proxy = reqwest::Proxy::all(self.url.clone())?;
        Ok(match &self.login {
            Some((user, password)) => proxy.basic_auth(user, password.expose_secret()),
            None => proxy,
        })
    }

    /// The secrets of the login: what its header says, which anybody can decode, and the password.
    pub(crate) fn login_secrets(&self) -> Vec<SecretString> {
        let secrets = self.login.iter().flat_map(|(user, password)| {
            let encoded = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
            [encoded.into(), password.clone()]
        });
        secrets.collect()
    }

    /// What may be a secret of the URL, as it is written and decoded: its path, the longer parts of that, and the longer
    /// values of the query.
    pub fn secrets(&self) -> Vec<SecretString> {
        let path = self.url.path();
        let parts = path.split('/').filter(|it| it.len() > 8);
        self.written_and_decoded(std::iter::once(path).chain(parts))
    }

    /// What may be a secret of the query alone: its longer values.
    pub fn query_secrets(&self) -> Vec<SecretString> {
        self.written_and_decoded(std::iter::empty())
    }

    fn written_and_decoded<'a>(&'a self, of_path: impl Iterator<Item = &'a str>) -> Vec<SecretString> {
        let query = self.url.query().into_iter().flat_map(|it| it.split('&'));
        let values = query.map(|it| it.split_once('=').map_or(it, |(_, value)| value));
        let mut all: Vec<String> = of_path
            .chain(values)
            .flat_map(|it| [it.to_owned(), decoded(it)])
            .collect();
        all.retain(|it| it.len() > 5);
        // The longest first, so that no part of one is left over.
        all.sort_by_key(|it| (std::cmp::Reverse(it.len()), it.clone()));
        all.dedup();
        all.into_iter().map(SecretString::from).collect()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.origin())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Parameters as a form, escaped: `query=up&time=7`.
pub fn form(parameters: &[(&str, String)]) -> String {
    let Ok(mut url) = Url::parse("form:") else {
        return String::new();
    };
    url.query_pairs_mut().extend_pairs(parameters);
    url.query().unwrap_or_default().to_owned()
}

pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The address, when the host is one.
pub(crate) fn address(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// A host that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    host: String,
    below: bool,
    port: Option<u16>,
}

impl Allowed {
    pub(crate) fn new(written: &str) -> Result<Self, Error> {
        let unusable = || {
            let expected = "a host such as `gate.example.com`, `*.example.com` or `gate.example.com:8080`";
            Error::unusable("allowed hosts", format!("`{written}`"), expected)
        };
        let (below, rest) = match written.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, written),
        };
        // What comes out of the parser is spelled as in the URLs that it is compared with.
        let url = Url::parse(&format!("https://{rest}/")).map_err(|_| unusable())?;
        let bare = url.path() == "/"
            && url.username().is_empty()
            && url.query().is_none()
            && url.fragment().is_none();
        match url.host_str() {
            Some(host) if bare && !rest.contains(['/', '*']) => Ok(Self {
                host: host.trim_end_matches('.').to_owned(),
                below,
                port: port_of(rest),
            }),
            Some(_) | None => Err(unusable()),
        }
    }

    pub(crate) fn matches(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        let named = if self.below {
            host.strip_suffix(&self.host).is_some_and(|it| it.ends_with('.'))
        } else {
            host == self.host
        };
        named && self.port.is_none_or(|it| url.port_or_known_default() == Some(it))
    }
}

/// The port as it is written, also where it is the scheme's own and a parser would leave it out.
fn port_of(host: &str) -> Option<u16> {
    host.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_shows_no_more_than_its_origin() {
        let endpoint = Endpoint::new(
            "url",
            "https://user:hunter2@hooks.example.com:8443/T0/s3cret?token=s3cret",
        )
        .unwrap();
        for shown in [format!("{endpoint:?}"), endpoint.to_string()] {
            assert!(shown.contains("https://hooks.example.com:8443"), "{shown}");
            assert!(!shown.contains("s3cret") && !shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_by_the_name_of_its_field() {
        let table = [
            ("", "an empty URL"),
            ("web", "not a URL (relative URL without a base)"),
            ("ftp://host/", "a URL with the scheme `ftp`"),
            ("mailto:somebody@host", "a URL with the scheme `mailto`"),
            ("http://", "not a URL (empty host)"),
            ("http://host:99999/", "not a URL (invalid port number)"),
            ("http://host:0/", "a URL with port 0"),
        ];
        for (url, found) in table {
            let error = Endpoint::new("webhooks[0].url", url).unwrap_err().to_string();
            let expected =
                format!("webhooks[0].url: {found}; expected an absolute URL such as https://host/path");
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn a_url_that_is_refused_is_not_repeated() {
        let error = Endpoint::new("url", "htp://s3cret@host/s3cret").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }

    #[test]
    fn a_login_in_a_url_is_decoded() {
        let endpoint = Endpoint::new("url", "http://a%40b:p%25w@host/").unwrap();
        let (user, password) = endpoint.login.unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("a@b", "p%w"));
        assert_eq!(endpoint.url.as_str(), "http://host/");
    }

    #[test]
    fn hosts_are_allowed_by_name_by_what_is_below_and_by_port() {
        let table = [
            ("gate.example.com", "https://gate.example.com/x", true),
            ("gate.example.com", "http://GATE.example.com.:80/", true),
            ("gate.example.com.", "https://gate.example.com/", true),
            ("gate.example.com", "https://gate.example.com.evil.test/", false),
            ("gate.example.com", "https://gate.example.com@evil.test/", false),
            ("*.example.com", "https://a.b.example.com/", true),
            ("*.example.com", "https://example.com/", false),
            ("*.example.com", "https://notexample.com/", false),
            ("example.com:443", "https://example.com/", true),
            ("example.com:443", "https://example.com:8443/", false),
            ("127.0.0.1", "http://2130706433/", true),
            ("[::1]", "http://[::1]:8080/", true),
        ];
        for (written, url, allowed) in table {
            let rule = Allowed::new(written).unwrap();
            assert_eq!(
                rule.matches(&Url::parse(url).unwrap()),
                allowed,
                "{written} {url}"
            );
        }
        for wrong in [
            "",
            "https://host",
            "host/path",
            "host#part",
            "a.*.com",
            "user@host",
            "*",
        ] {
            assert!(Allowed::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_may_be_a_secret_of_a_url_is_known() {
        let secrets = |url: &str| -> Vec<String> {
            let secrets = Endpoint::new("url", url).unwrap().secrets();
            secrets.iter().map(|it| it.expose_secret().to_owned()).collect()
        };
        assert_eq!(secrets("http://host/?format=json"), [""; 0]);
        assert_eq!(
            secrets("http://host/hooks/T00000000/a%20secret?key=an%2Bother&tok3nonly"),
            [
                "/hooks/T00000000/a%20secret",
                "/hooks/T00000000/a secret",
                "a%20secret",
                "an%2Bother",
                "T00000000",
                "tok3nonly",
                "a secret",
                "an+other"
            ]
        );
    }

    #[test]
    fn parameters_are_escaped_and_added_behind_those_of_the_url() {
        let parameters = [
            ("query", r#"rate(x{a="b c+d"}[1m]) & 1"#.to_owned()),
            ("time", "7".to_owned()),
        ];
        let escaped = "query=rate%28x%7Ba%3D%22b+c%2Bd%22%7D%5B1m%5D%29+%26+1&time=7";
        assert_eq!(form(&parameters), escaped);
        assert_eq!(form(&[]), "");
        for (url, form, joined) in [
            ("http://host/a", "b=1", "http://host/a?b=1"),
            ("http://host/a?x=y", "b=1", "http://host/a?x=y&b=1"),
            ("http://host/a?x=y", "", "http://host/a?x=y"),
        ] {
            assert_eq!(
                Endpoint::new("url", url).unwrap().query(form).url.as_str(),
                joined
            );
        }
    }

    #[test]
    fn a_path_is_added_behind_the_path() {
        for (url, path, joined) in [
            ("http://host", "api/v2", "http://host/api/v2"),
            ("http://host/a/", "/b", "http://host/a/b"),
            ("http://host/a?x=1", "b", "http://host/a/b?x=1"),
        ] {
            assert_eq!(Endpoint::new("url", url).unwrap().join(path).url.as_str(), joined);
        }
    }
}
