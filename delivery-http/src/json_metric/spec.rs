//! What a user writes, and whether it can work.

use core::convert::Infallible;
use std::collections::BTreeMap;
use std::time::Duration;

#[cfg(doc)]
use delivery_core::analysis::{Nothing, Sample};
use delivery_outbound::{Authentication, HeaderName, HeaderValue, Method};
use secrecy::SecretString;
use serde_json::Value;

use super::template::{Escape, Template};
use super::variable::{IN_JSON, IN_URL};
use crate::client::{Endpoint, Verification};
use crate::error::Error;

/// A metric as a user writes it.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "it holds secrets")]
pub struct JsonMetricSpec {
    /// Where to ask, with variables.
    pub url: String,
    /// `GET`, `POST` or `PUT`. Default `GET`; with a body, `POST`.
    pub method: Option<String>,
    /// Headers that are no secrets.
    pub headers: BTreeMap<String, String>,
    /// Headers whose values are secrets: they are never shown, and go to no other host.
    pub secret_headers: BTreeMap<String, SecretString>,
    /// What to send: JSON, with variables.
    pub body: Option<String>,
    /// Where in the answer the value is. Argo's braces around it may stay. Default `$`: it is the whole answer.
    pub json_path: String,
    /// How long an answer may take. Default 10 s, as in Argo Rollouts.
    pub timeout: Duration,
    /// Whether the other side's certificate counts; Argo's `insecure`.
    pub verification: Verification,
    /// What the values cover.
    pub covers: Covers,
    /// About whom to ask.
    pub asks: Asks,
    /// The values of `{{ args.x }}`.
    pub args: BTreeMap<String, String>,
}

impl JsonMetricSpec {
    /// An empty one: the URL is missing.
    pub fn new(covers: Covers) -> Self {
        Self {
            url: String::new(),
            method: None,
            headers: BTreeMap::new(),
            secret_headers: BTreeMap::new(),
            body: None,
            json_path: String::from("$"),
            timeout: Duration::from_secs(10),
            verification: Verification::Verified,
            covers,
            asks: Asks::Canary,
            args: BTreeMap::new(),
        }
    }
}

/// Of which time a value speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covers {
    /// Of the window that is asked for: its beginning and its end, or its length, stand in URL or body.
    Window,
    /// Of so long a time up to now; zero for something that is so now. Before so much time has passed since the weight
    /// changed, there is [`Nothing::Straddles`]; for a window that ended a while ago, [`Nothing::NoData`].
    Last(Duration),
}

/// About whom is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// About the canary. The answer may have the primary's side too.
    Canary,
    /// Twice, at the same time: with the canary's revision as `{{ revision }}`, and with the primary's. Two numbers are a
    /// [`Sample::Pair`], two counts [`Sample::Counts`] of both.
    Both,
}

/// Where the metric is asked. Only what comes after the host may have variables, so that no value chooses the host.
pub(super) fn origin(written: &str, url: &Template) -> Result<Endpoint, Error> {
    let after = written.split_once("://").map_or(written, |(_, after)| after);
    let host = after.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains("{{") || !written.contains("://") && written.contains("{{") {
        return Err(Error::unusable(
            "url",
            "a variable before the path",
            "a host without variables",
        ));
    }
    Ok(Endpoint::new("url", &stand_in(url, IN_URL))?)
}

pub(super) fn body(written: &str, known: &[&str]) -> Result<Template, Error> {
    let body = Template::parse("body", written, known)?;
    let json: Result<Value, _> = serde_json::from_str(&stand_in(&body, IN_JSON));
    json.map_err(|it| {
        Error::unusable(
            "body",
            format!("no JSON ({it})"),
            "JSON, with quotes around variables that are texts",
        )
    })?;
    Ok(body)
}

pub(super) fn method(spec: &JsonMetricSpec) -> Result<Method, Error> {
    match (spec.method.as_deref(), &spec.body) {
        (None | Some("GET"), None) => Ok(Method::GET),
        (None | Some("POST"), Some(_)) | (Some("POST"), None) => Ok(Method::POST),
        (Some("PUT"), _) => Ok(Method::PUT),
        (Some("GET"), Some(_)) => Err(Error::unusable("method", "GET with a body", "POST or PUT")),
        (Some(other), _) => Err(Error::unusable(
            "method",
            format!("`{other}`"),
            "GET, POST or PUT",
        )),
    }
}

pub(super) fn headers(spec: &JsonMetricSpec) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let header = |(name, value): (&String, &String)| Ok((header_name(name)?, header_value(name, value)?));
    spec.headers.iter().map(header).collect()
}

pub(super) fn secret_headers(spec: &JsonMetricSpec) -> Result<Vec<Authentication>, Error> {
    let header = |(name, secret): (&String, &SecretString)| {
        Ok(Authentication::header(
            &format!("headers.{name}"),
            name,
            secret.clone(),
        )?)
    };
    spec.secret_headers.iter().map(header).collect()
}

fn header_name(name: &str) -> Result<HeaderName, Error> {
    let wrong = || {
        Error::unusable(
            "headers",
            format!("the name {name:?}"),
            "a name such as X-Api-Key",
        )
    };
    name.parse().map_err(|_| wrong())
}

/// The error does not repeat the value: it may be a secret.
fn header_value(name: &str, value: &str) -> Result<HeaderValue, Error> {
    let found = "a character that no header can have";
    HeaderValue::from_str(value).map_err(|_| {
        Error::unusable(
            format!("headers.{name}"),
            found,
            "visible ASCII characters in one line",
        )
    })
}

/// What the other side would have to be told, and is not.
pub(super) fn untold(spec: &JsonMetricSpec, url: &Template, body: Option<&Template>) -> Vec<Error> {
    let names = |any: &[&str]| url.names(any) || body.is_some_and(|it| it.names(any));
    let mut untold = Vec::new();
    if spec.asks == Asks::Both && !names(&["revision"]) {
        let found = "both revisions, of which the other side is not told";
        untold.push(Error::unusable("asks", found, "{{ revision }} in url or body"));
    }
    let begins = names(&["from", "fromMillis", "fromRfc3339", "seconds"]);
    let ends = names(&["to", "toMillis", "toRfc3339"]);
    if spec.covers == Covers::Window && !(begins && ends) {
        let found = "the window, of which the other side is not told";
        let expected = "{{ from }} and {{ to }}, or {{ seconds }} and {{ to }}, in url or body; or values that cover the \
                        last minutes up to now";
        untold.push(Error::unusable("covers", found, expected));
    }
    untold
}

/// A value that is one in a URL, in a JSON text, and as a JSON number.
fn stand_in(template: &Template, escape: Escape) -> String {
    let filled: Result<String, Infallible> = template.fill(escape, |_| Ok(String::from("0")));
    filled.unwrap_or_else(|never| match never {})
}
