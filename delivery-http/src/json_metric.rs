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
//! | two numbers or two counts, when [both](Asks::Both) are asked about | [`Sample::Pair`], [`Sample::Counts`] |
//! | several values; any other text, array or object; no JSON | [`Nothing::Unusable`] |
//!
//! A path has at most 1 024 bytes, with 8 brackets and parentheses in each other. It may have all that RFC 9535 has; the
//! pattern of `match` and `search` is a text in quotes. Looking for the value takes at most 4 million steps, each a node
//! that is looked at or a comparison (an answer of a megabyte has at most half a million nodes); whatever takes more is
//! [`Nothing::Unusable`]. It happens on a thread of its own and keeps no more memory than the answer.
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
mod spec;
mod template;
mod variable;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use delivery_core::analysis::{Nothing, Sample};
use delivery_core::port::Measure;
#[cfg(doc)]
use delivery_core::port::MetricSource;
use delivery_outbound::{Authentication, HeaderName, HeaderValue, Method};
use serde_json::Value;

use self::path::Path;
pub use self::source::JsonMetrics;
pub use self::spec::{Asks, Covers, JsonMetricSpec};
use self::template::Template;
use self::variable::{IN_JSON, IN_URL, VARIABLES};
use crate::client::{Call, Client, Endpoint, Limits, Verification};
use crate::error::Error;
use crate::notify::text::{PLAIN, fitted};

/// The longest answer that is read.
const LONGEST: usize = 1024 * 1024;

/// How many characters are shown of what cannot be used.
const SAID: usize = 200;

/// A metric that can be asked.
pub struct JsonMetric {
    url: Template,
    origin: Endpoint,
    method: Method,
    headers: Vec<(HeaderName, HeaderValue)>,
    secret_headers: Vec<Authentication>,
    body: Option<Template>,
    path: Arc<Path>,
    timeout: Duration,
    verification: Verification,
    covers: Covers,
    asks: Asks,
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
            .and_then(|it| noted(&mut problems, spec::origin(&spec.url, it)));
        let body = spec
            .body
            .as_ref()
            .and_then(|it| noted(&mut problems, spec::body(it, &known)));
        let path = noted(&mut problems, Path::parse("jsonPath", &spec.json_path));
        let method = noted(&mut problems, spec::method(spec));
        let headers = noted(&mut problems, spec::headers(spec));
        let secret_headers = noted(&mut problems, spec::secret_headers(spec));
        if spec.timeout.is_zero() {
            problems.push(Error::unusable("timeout", "0", "more than 0, such as 10s"));
        }
        if let Some(url) = &url {
            problems.extend(spec::untold(spec, url, body.as_ref()));
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
            path: Arc::new(path),
            timeout: spec.timeout,
            verification: spec.verification,
            covers: spec.covers,
            asks: spec.asks,
            args: spec.args.clone(),
        })
    }

    /// Measures.
    async fn measure(&self, client: &Client, ask: &Measure<'_>) -> Result<Result<Sample, Nothing>, Error> {
        if self.asks == Asks::Canary {
            return self.ask(client, ask).await;
        }
        let Some(primary) = ask.primary else {
            return Ok(Err(Nothing::NoPrimary));
        };
        let about_primary = Measure {
            canary: primary,
            ..ask.clone()
        };
        let (canary, primary) = futures::join!(self.ask(client, ask), self.ask(client, &about_primary));
        Ok(sample::both(canary?, primary?))
    }

    /// Asks, and reads the answer.
    async fn ask(&self, client: &Client, ask: &Measure<'_>) -> Result<Result<Sample, Nothing>, Error> {
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
            call = call.body("application/json", body.into_bytes());
        }
        for (name, value) in &self.headers {
            call = call.header(name.clone(), value.clone());
        }
        for header in &self.secret_headers {
            call = header.sign(call);
        }
        let reply = client.send(&call).await?;
        reply.whole()?;
        let (path, status, body) = (Arc::clone(&self.path), reply.status, reply.body);
        // The work has a bound, but others need not wait for it.
        let said = tokio::task::spawn_blocking(move || read(&path, status, &body)).await;
        let said = said.unwrap_or_else(|it| Err(Nothing::Unusable(format!("it was not read: {it}"))));
        Ok(said.map_err(|nothing| match nothing {
            Nothing::Unusable(why) => Nothing::Unusable(fitted(&call.blot(why), SAID, PLAIN)),
            other => other,
        }))
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
        let url = self.url.fill(IN_URL, |name| match value(name)? {
            // A path with it would lead somewhere else.
            dots if dots == "." || dots == ".." => Err(Nothing::Unusable(format!("`{dots}` in a URL"))),
            value => Ok(value),
        })?;
        let body = self.body.as_ref().map(|it| it.fill(IN_JSON, value)).transpose()?;
        Ok((url, body))
    }
}

fn read(path: &Path, status: u16, body: &[u8]) -> Result<Sample, Nothing> {
    if status == 204 {
        return Err(Nothing::NoData);
    }
    let document: Value =
        serde_json::from_slice(body).map_err(|it| Nothing::Unusable(format!("no JSON: {it}")))?;
    sample::sample(path.find(&document)?)
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

fn noted<T>(problems: &mut Vec<Error>, found: Result<T, Error>) -> Option<T> {
    found.map_err(|it| problems.push(it)).ok()
}

#[cfg(test)]
mod tests;
