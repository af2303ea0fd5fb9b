//! One exchange with a server: bounded in time and size, tried again where that can help, and without secrets in what
//! comes of it.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use backon::{ExponentialBuilder, Retryable};
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::server::Login;
use crate::error::{Asked, Error, shortened};

/// A server, and everything that is sent with each request.
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    pub(super) address: Url,
    /// The address as it may be shown.
    pub(super) shown: String,
    pub(super) login: Login,
    pub(super) secrets: Vec<SecretString>,
    pub(super) timeout: Duration,
    pub(super) limit: usize,
}

/// What is asked for.
pub(super) struct Request<'a> {
    /// What comes after the address.
    pub(super) path: &'a str,
    /// Parameters, not yet escaped.
    pub(super) parameters: &'a [(&'a str, String)],
    /// For errors.
    pub(super) what: String,
}

/// A longer query is sent in a body: many proxies refuse a request line of more than 8 KiB, some of more than 4.
const LONGEST_LINE: usize = 3_000;

/// How much of what a server says is shown.
const SHOWN: usize = 300;

/// Without a limit of its own, a request waits no longer than this to be sent again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How much of a refusal is read to find out why.
const REFUSAL: usize = 64 << 10;

impl Transport {
    /// The body of a good answer.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Vec<u8>, Error> {
        // A limit that no clock can show is none.
        let until = Instant::now().checked_add(self.timeout);
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(2))
            .with_max_times(4)
            .with_jitter();
        let attempt = || async {
            let exchange = self.exchange(request);
            let Some(until) = until else { return exchange.await };
            timeout_at(until, exchange).await.unwrap_or_else(|_| {
                Err(Error::TimedOut {
                    asked: self.asked(request),
                    limit: self.timeout,
                })
            })
        };
        attempt
            .retry(pauses)
            .when(helps)
            .adjust(|error, pause| {
                let wait = match error {
                    Error::Unavailable {
                        after: Some(after), ..
                    } => pause?.max(*after),
                    _ => pause?,
                };
                // Rather the reason than a timeout.
                let Some(until) = until else {
                    return Some(wait.min(LONGEST_WAIT));
                };
                let again = Instant::now().checked_add(wait);
                again.is_some_and(|again| again < until).then_some(wait)
            })
            .notify(|error, wait| tracing::debug!(error = %chain(error), ?wait, "asking again"))
            .await
    }

    /// What is asked, and whom.
    pub(super) fn asked(&self, request: &Request<'_>) -> Asked {
        Asked {
            server: self.shown.clone(),
            what: request.what.clone(),
        }
    }

    async fn exchange(&self, request: &Request<'_>) -> Result<Vec<u8>, Error> {
        let line = serialized(request.parameters);
        let long = line.len() + request.path.len() > LONGEST_LINE;
        let method = if long { Method::POST } else { Method::GET };
        let answer = self.once(method.clone(), request, &line).await?;
        let too_long = matches!(
            answer.status(),
            StatusCode::URI_TOO_LONG | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        );
        let answer = if too_long && method == Method::GET && !line.is_empty() {
            self.once(Method::POST, request, &line).await?
        } else {
            answer
        };
        let status = answer.status();
        if status.is_success() {
            return self.body(answer, request, self.limit).await;
        }
        let after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|it| retry_after(it.to_str().ok()?, SystemTime::now()));
        let message = if status.is_redirection() {
            "it points elsewhere: use the address that it points to".to_owned()
        } else {
            let body = self.body(answer, request, REFUSAL).await.unwrap_or_default();
            self.without_secrets(&why(&body))
        };
        let (asked, code) = (self.asked(request), status.as_u16());
        Err(match code {
            429 | 502..=504 => Error::Unavailable {
                asked,
                status: code,
                message,
                after,
            },
            _ => Error::Refused {
                asked,
                status: code,
                message,
            },
        })
    }

    async fn once(&self, method: Method, request: &Request<'_>, line: &str) -> Result<Response, Error> {
        let mut url = self.address.clone();
        url.set_path(&format!("{}{}", url.path().trim_end_matches('/'), request.path));
        let posted = method == Method::POST;
        if !posted && !line.is_empty() {
            let own = url.query().map_or(String::new(), |it| format!("{it}&"));
            url.set_query(Some(&format!("{own}{line}")));
        }
        let mut sent = self.http.request(method, url).header(ACCEPT, "application/json");
        if posted {
            sent = sent
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(line.to_owned());
        }
        sent = match &self.login {
            Login::Nobody => sent,
            Login::Bearer(token) => sent.bearer_auth(token.expose_secret()),
            Login::Basic(user, password) => sent.basic_auth(user, Some(password.expose_secret())),
        };
        sent.send().await.map_err(|it| self.unreachable(request, it))
    }

    async fn body(
        &self,
        mut answer: Response,
        request: &Request<'_>,
        limit: usize,
    ) -> Result<Vec<u8>, Error> {
        let too_large = || Error::TooLarge {
            asked: self.asked(request),
            limit,
        };
        let length = answer
            .content_length()
            .and_then(|it| usize::try_from(it).ok())
            .unwrap_or(0);
        if length > limit {
            return Err(too_large());
        }
        let mut body = Vec::with_capacity(length);
        while let Some(chunk) = answer.chunk().await.map_err(|it| self.unreachable(request, it))? {
            if chunk.len() > limit - body.len() {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, request: &Request<'_>, error: reqwest::Error) -> Error {
        Error::Unreachable {
            asked: self.asked(request),
            source: error.without_url().into(),
        }
    }

    /// Servers and proxies may send back what they got.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        let secrets = self
            .secrets
            .iter()
            .map(ExposeSecret::expose_secret)
            .filter(|it| !it.is_empty());
        let text = secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "[secret]"));
        shortened(&text, SHOWN)
    }
}

/// Whether it can help to try again at once.
fn helps(error: &Error) -> bool {
    match error {
        Error::Unavailable { .. } => true,
        Error::Unreachable { source, .. } => source
            .downcast_ref::<reqwest::Error>()
            .is_some_and(|it| it.is_connect() || it.is_request() && !it.is_timeout()),
        _ => false,
    }
}

/// Parameters as a form: `query=up&time=7`.
fn serialized(parameters: &[(&str, String)]) -> String {
    let mut url = Url::parse("form:").ok();
    if let Some(url) = &mut url
        && !parameters.is_empty()
    {
        url.query_pairs_mut().extend_pairs(parameters);
    }
    url.as_ref().and_then(Url::query).unwrap_or_default().to_owned()
}

/// Why a server refused, as it says in its own form, or at the beginning of its text.
fn why(body: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Refusal {
        error_type: Option<String>,
        error: String,
    }
    match serde_json::from_slice(body) {
        Ok(Refusal { error_type, error }) => error_type.map_or(String::new(), |it| it + ": ") + &error,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

/// How long to wait: seconds or a date, RFC 9110, section 10.2.3.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text.trim()).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

/// An error and its causes, as one sentence.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_escaped() {
        let parameters = [
            ("query", r#"rate(x{a="b c+d"}[1m]) & 1"#.to_owned()),
            ("time", "7".to_owned()),
        ];
        assert_eq!(
            serialized(&parameters),
            "query=rate%28x%7Ba%3D%22b+c%2Bd%22%7D%5B1m%5D%29+%26+1&time=7"
        );
        assert_eq!(serialized(&[]), "");
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, wait) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(text, now), wait.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn a_refusal_says_why() {
        for (body, text) in [
            (
                r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
                "bad_data: parse error",
            ),
            (r#"{"error":"no"}"#, "no"),
            ("<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
            ("", ""),
        ] {
            assert_eq!(why(body.as_bytes()), text);
        }
    }
}
