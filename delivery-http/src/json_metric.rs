//! Measures whatever can be asked over HTTP and answers in JSON, as the provider `web` of Argo Rollouts does.
//!
//! A [`JsonMetricSpec`] is what a user writes: where to ask, and a [JSONPath](https://www.rfc-editor.org/rfc/rfc9535) to the one
//! value that counts. [`JsonMetric::new`] checks all of it before anything is called. [`JsonMetrics`] is the
//! [`MetricSource`]: metrics by name.
//!
//! ```
//! use delivery_http::Client;
//! use delivery_http::json_metric::{Covers, JsonMetric, JsonMetricSpec, JsonMetrics};
//!
//! # fn example() -> Result<(), delivery_http::Error> {
//! let errors = JsonMetric::new(&JsonMetricSpec {
//!     url: "https://metrics.example.com/errors?job={{ args.job }}&version={{ revision }}&from={{ from }}&to={{ to }}".into(),
//!     json_path: "{$.data.percent}".into(),
//!     args: [("job".into(), "web".into())].into(),
//!     secret_headers: [("X-Api-Key".into(), "from a secret".into())].into(),
//!     ..JsonMetricSpec::new(Covers::Window)
//! })?;
//! let metrics = JsonMetrics::new(Client::new()?).with("error-rate", errors)?;
//! # Ok(())
//! # }
//! # example().unwrap();
//! ```
//!
//! # What a value measures
//!
//! | at the path | sample |
//! |---|---|
//! | a number; a text that is one, such as `"99.5"`, `"1e3"`, `"+Inf"` | [`Sample::Value`] |
//! | `true`, `false` | 1, 0 |
//! | `{"canary": 1.5, "primary": 1.2}` | [`Sample::Pair`] |
//! | `{"total": 200, "errors": 3}` | [`Sample::Counts`] of the canary |
//! | `{"canary": {"total": 200, "errors": 3}, "primary": {"total": 800, "errors": 9}}` | [`Sample::Counts`] of both; the primary may be missing |
//! | nothing, `null`, an empty answer with 204; counts with a total of 0 | [`Nothing::NoData`] |
//! | `"NaN"` | [`Nothing::NotANumber`] |
//! | several values; any other text, array or object; no JSON | [`Nothing::Unusable`] |
//!
//! Nothing is never 0. An answer outside 200 to 299, or none, is an error, which a round counts as
//! [`Nothing::Unreachable`].
//!
//! # Variables
//! In `url` and `body`, `{{ name }}` is replaced, percent-encoded or escaped for JSON; in a body, write quotes around what
//! is a text. The host cannot be a variable.
//!
//! | variable | value |
//! |---|---|
//! | `from`, `to` | the window in seconds since 1970, rounded inwards |
//! | `fromMillis`, `toMillis` | the window in milliseconds since 1970 |
//! | `fromRfc3339`, `toRfc3339` | the window like `2026-04-24T03:06:40.000Z` |
//! | `seconds` | the window's length, rounded down |
//! | `revision`, `primary` | the canary's revision and the primary's; without one there is [`Nothing::NoPrimary`] |
//! | `weight` | the canary's share in percent |
//! | `metric`, `query` | the metric's name and its query, as the plan has them |
//! | `args.x` | `x` of [`JsonMetricSpec::args`] |
//!
//! # Windows
//! A sample must speak about the window that was asked for, or there is none. So a metric says what its values cover:
//! [`Covers::Window`], when URL or body tell the window to the other side; [`Covers::Last`], when the other side
//! answers about the time up to now, as Argo's provider assumes.
//!
//! # Others
//! Datadog, New Relic, Graphite, InfluxDB and Dynatrace answer such a request with JSON, so they can be asked today, with
//! `{{ query }}` in URL or body and a key in a secret header. What an adapter of their own would add, behind the same
//! port [`MetricSource`]:
//!
//! | source | today | an adapter adds |
//! |---|---|---|
//! | Datadog | `GET /api/v1/query?from={{from}}&to={{to}}&query={{query}}`, `$.series[0].pointlist[-1][1]` | several series, rate limits |
//! | New Relic | NRQL in `body`, `$.data.actor.account.nrql.results[0].rate` | partial results |
//! | Graphite | `/render?format=json&from={{from}}&until={{to}}&target={{query}}`, `$[0].datapoints[-1][0]` | the last point that is not `null` |
//! | InfluxDB 3 | `POST /api/v3/query_sql` in `body` with `"format": "json"`, `$[0].rate` | Flux, whose answer is CSV |
//! | Dynatrace | `/api/v2/metrics/query?from={{fromMillis}}&to={{toMillis}}&metricSelector={{query}}` | as Graphite |
//! | Splunk Observability | answers with a stream of events | a client for the stream |
//! | CloudWatch, Cloud Monitoring | signed requests, tokens that expire | signing |
//!
//! Each is a `MetricSource` that turns one [`Measure`] into one request and one reply into one [`Sample`]: nothing in the
//! port is about Prometheus or HTTP, and whoever knows counts answers [`Sample::Counts`], which can be judged better than a
//! ready-made percentage.

mod path;
mod sample;
mod source;
mod template;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use delivery_core::analysis::{Nothing, Sample};
use delivery_core::port::Measure;
#[cfg(doc)]
use delivery_core::port::MetricSource;
use percent_encoding::utf8_percent_encode;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use self::path::Path;
pub use self::source::JsonMetrics;
use self::template::{Escape, Template};
use crate::client::{Call, Client, ENCODED, Endpoint, Limits, Verification};
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
    /// Where in the answer the value is. Argo's braces around it may stay.
    pub json_path: String,
    /// How long an answer may take. Default 10 s, as in Argo Rollouts.
    pub timeout: Duration,
    /// Whether the other side's certificate counts; Argo's `insecure`.
    pub verification: Verification,
    /// What the values cover.
    pub covers: Covers,
    /// The values of `{{ args.x }}`.
    pub args: BTreeMap<String, String>,
}

impl JsonMetricSpec {
    /// An empty one: URL and path are missing.
    pub const fn new(covers: Covers) -> Self {
        Self {
            url: String::new(),
            method: None,
            headers: BTreeMap::new(),
            secret_headers: BTreeMap::new(),
            body: None,
            json_path: String::new(),
            timeout: Duration::from_secs(10),
            verification: Verification::Verified,
            covers,
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

/// The longest answer that is read.
const LONGEST: usize = 1024 * 1024;

/// A metric that can be asked.
pub struct JsonMetric {
    url: Template,
    origin: Endpoint,
    method: Method,
    headers: Vec<(HeaderName, HeaderValue)>,
    secret_headers: Vec<(HeaderName, HeaderValue, SecretString)>,
    body: Option<Template>,
    path: Path,
    timeout: Duration,
    verification: Verification,
    covers: Covers,
    args: BTreeMap<String, String>,
}

impl JsonMetric {
    /// Checks a metric.
    ///
    /// # Errors
    /// [`Error::Unusable`], or [`Error::Several`] when there is more than one thing to mend. Each names the field and,
    /// in a path or a template, the position.
    pub fn new(spec: &JsonMetricSpec) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let known: Vec<String> = spec.args.keys().map(|it| format!("args.{it}")).collect();
        let known: Vec<&str> = VARIABLES
            .iter()
            .map(|it| it.name)
            .chain(known.iter().map(String::as_str))
            .collect();
        let url = noted(&mut problems, Template::parse("url", &spec.url, &known));
        let origin = url
            .as_ref()
            .and_then(|it| noted(&mut problems, origin(&spec.url, it)));
        let body = spec
            .body
            .as_ref()
            .and_then(|it| noted(&mut problems, body(it, &known)));
        let path = noted(&mut problems, Path::parse("jsonPath", &spec.json_path));
        let method = noted(&mut problems, method(spec));
        let headers = noted(&mut problems, headers(spec));
        let secret_headers = noted(&mut problems, secret_headers(spec));
        if spec.timeout.is_zero() {
            problems.push(Error::unusable("timeout", "0", "more than 0, such as 10s"));
        }
        if let Some(url) = &url {
            problems.extend(untold(spec.covers, url, body.as_ref()));
        }
        let all = (url, origin, path, method, headers, secret_headers);
        let (Some(url), Some(origin), Some(path), Some(method), Some(headers), Some(secret_headers)) = all
        else {
            return Err(Error::all(problems));
        };
        if !problems.is_empty() {
            return Err(Error::all(problems));
        }
        Ok(Self {
            url,
            origin,
            method,
            headers,
            secret_headers,
            body,
            path,
            timeout: spec.timeout,
            verification: spec.verification,
            covers: spec.covers,
            args: spec.args.clone(),
        })
    }

    /// Asks, and reads the answer.
    async fn measure(&self, client: &Client, ask: &Measure<'_>) -> Result<Result<Sample, Nothing>, Error> {
        let (url, body) = match self.filled(ask) {
            Ok(filled) => filled,
            Err(nothing) => return Ok(Err(nothing)),
        };
        let endpoint = Endpoint::new("url", &url)?;
        let limits = Limits {
            body: LONGEST,
            ..Limits::new(self.timeout, 0)
        };
        let mut call = Call::new(self.method.clone(), &endpoint)
            .limits(limits)
            .verification(self.verification)
            .hide(&endpoint.secrets());
        if let Some(body) = body {
            call = call.body("application/json", body.into_bytes()).whole();
        }
        for (name, value) in &self.headers {
            call = call.header(name.clone(), value.clone());
        }
        for (name, value, secret) in &self.secret_headers {
            call = call.secret_header(name.clone(), value.clone(), secret);
        }
        let reply = client.send(&call).await?;
        Ok(self.read(reply.status, reply.whole()?))
    }

    /// URL and body for a question.
    fn filled(&self, ask: &Measure<'_>) -> Result<(String, Option<String>), Nothing> {
        let value = |name: &str| match name.strip_prefix("args.") {
            Some(arg) => Ok(self.args.get(arg).cloned().unwrap_or_default()),
            None => VARIABLES
                .iter()
                .find(|it| it.name == name)
                .map_or(Err(Nothing::NoData), |it| (it.value)(ask)),
        };
        let url = self.url.fill(IN_URL, value)?;
        let body = self.body.as_ref().map(|it| it.fill(IN_JSON, value)).transpose()?;
        Ok((url, body))
    }

    fn read(&self, status: u16, body: &[u8]) -> Result<Sample, Nothing> {
        if status == 204 {
            return Err(Nothing::NoData);
        }
        let document: Value =
            serde_json::from_slice(body).map_err(|it| Nothing::Unusable(format!("no JSON: {it}")))?;
        sample::sample(self.path.find(&document)?)
    }
}

impl fmt::Debug for JsonMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonMetric")
            .field("method", &self.method)
            .field("to", &self.origin)
            .field("covers", &self.covers)
            .finish_non_exhaustive()
    }
}

/// A variable that every template has.
struct Variable {
    name: &'static str,
    value: fn(&Measure<'_>) -> Result<String, Nothing>,
}

const VARIABLES: &[Variable] = &[
    Variable {
        name: "from",
        value: |ask| {
            let from = ask.window.from.as_millis().div_ceil(1_000);
            // A window within one second has no whole second in it.
            if from > ask.window.to.as_millis() / 1_000 {
                return Err(Nothing::NoData);
            }
            Ok(from.to_string())
        },
    },
    Variable {
        name: "to",
        value: |ask| Ok((ask.window.to.as_millis() / 1_000).to_string()),
    },
    Variable {
        name: "fromMillis",
        value: |ask| Ok(ask.window.from.as_millis().to_string()),
    },
    Variable {
        name: "toMillis",
        value: |ask| Ok(ask.window.to.as_millis().to_string()),
    },
    Variable {
        name: "fromRfc3339",
        value: |ask| Ok(ask.window.from.to_string()),
    },
    Variable {
        name: "toRfc3339",
        value: |ask| Ok(ask.window.to.to_string()),
    },
    Variable {
        name: "seconds",
        value: |ask| match ask.window.length().as_secs() {
            0 => Err(Nothing::NoData),
            seconds => Ok(seconds.to_string()),
        },
    },
    Variable {
        name: "revision",
        value: |ask| Ok(ask.canary.as_str().to_owned()),
    },
    Variable {
        name: "primary",
        value: |ask| {
            ask.primary
                .map(|it| it.as_str().to_owned())
                .ok_or(Nothing::NoPrimary)
        },
    },
    Variable {
        name: "weight",
        value: |ask| Ok(ask.weight.as_percent().to_string()),
    },
    Variable {
        name: "metric",
        value: |ask| Ok(ask.metric.name.clone()),
    },
    Variable {
        name: "query",
        value: |ask| {
            let none = || Nothing::Unusable(String::from("the metric has no query"));
            ask.metric.query.clone().ok_or_else(none)
        },
    },
];

const IN_URL: Escape = |value| utf8_percent_encode(value, ENCODED).to_string();

/// Within the quotes of a JSON text.
const IN_JSON: Escape = |value| {
    let quoted = Value::from(value).to_string();
    let inner = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
};

fn noted<T>(problems: &mut Vec<Error>, found: Result<T, Error>) -> Option<T> {
    found.map_err(|it| problems.push(it)).ok()
}

/// A value that is one in a URL, in a JSON text, and as a JSON number.
fn stand_in(template: &Template, escape: Escape) -> String {
    let filled: Result<String, core::convert::Infallible> = template.fill(escape, |_| Ok(String::from("0")));
    filled.unwrap_or_else(|never| match never {})
}

/// Where the metric is asked. Only what comes after the host may have variables, so that no value chooses the host.
fn origin(written: &str, url: &Template) -> Result<Endpoint, Error> {
    let after = written.split_once("://").map_or(written, |(_, after)| after);
    let host = after.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains("{{") || !written.contains("://") && written.contains("{{") {
        return Err(Error::unusable(
            "url",
            "a variable before the path",
            "a host without variables",
        ));
    }
    Endpoint::new("url", &stand_in(url, IN_URL))
}

fn body(written: &str, known: &[&str]) -> Result<Template, Error> {
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

fn method(spec: &JsonMetricSpec) -> Result<Method, Error> {
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

fn headers(spec: &JsonMetricSpec) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let header = |(name, value): (&String, &String)| Ok((header_name(name)?, header_value(name, value)?));
    spec.headers.iter().map(header).collect()
}

fn secret_headers(spec: &JsonMetricSpec) -> Result<Vec<(HeaderName, HeaderValue, SecretString)>, Error> {
    let header = |(name, secret): (&String, &SecretString)| {
        let value = header_value(name, secret.expose_secret())?;
        Ok((header_name(name)?, value, secret.clone()))
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

/// Whether it covers the window without telling it to anybody.
fn untold(covers: Covers, url: &Template, body: Option<&Template>) -> Option<Error> {
    let names = |any: &[&str]| url.names(any) || body.is_some_and(|it| it.names(any));
    let begins = names(&["from", "fromMillis", "fromRfc3339", "seconds"]);
    let ends = names(&["to", "toMillis", "toRfc3339"]);
    if covers != Covers::Window || begins && ends {
        return None;
    }
    let expected = "{{ from }} and {{ to }}, or {{ seconds }} and {{ to }}, in url or body; or values that cover the last \
                    minutes up to now";
    Some(Error::unusable(
        "covers",
        "the window, of which the other side is not told",
        expected,
    ))
}

#[cfg(test)]
mod tests;
