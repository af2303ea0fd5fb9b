//! One question to a server, and what its answers mean.

use std::borrow::Cow;
use std::time::Instant;

use delivery_outbound::{
    Authentication, Call, Client, Endpoint, Error as CallError, HeaderName, HeaderValue,
};
use delivery_outbound::{Limits, Reply, form};
use secrecy::SecretString;
use serde::Deserialize;

use crate::error::{Asked, Error, shortened};

/// A server, and everything that is sent with each request.
pub(super) struct Transport {
    pub(super) client: Client,
    pub(super) endpoint: Endpoint,
    /// The address as it may be shown.
    pub(super) shown: String,
    pub(super) headers: Vec<Authentication>,
    pub(super) secrets: Vec<SecretString>,
    pub(super) limits: Limits,
}

/// A longer query is sent in a body: many proxies refuse a request line of more than 8 KiB, some of more than 4.
const LONGEST_LINE: usize = 3_000;

/// How much of what a server says is shown.
const SHOWN: usize = 300;

impl Transport {
    /// The body of a good answer to what comes after the address, with parameters that are not yet escaped.
    pub(super) async fn send(&self, path: &str, parameters: &[(&str, String)]) -> Result<Vec<u8>, CallError> {
        let reply = self.exchange(path, &form(parameters)).await?;
        reply.whole()?;
        Ok(reply.body)
    }

    async fn exchange(&self, path: &str, line: &str) -> Result<Reply, CallError> {
        let begun = Instant::now();
        let endpoint = self.endpoint.join(path);
        let post = |limits| {
            let body = line.as_bytes().to_owned();
            let call = Call::post(&endpoint).body("application/x-www-form-urlencoded", body);
            self.prepared(call).limits(limits)
        };
        if line.len() + path.len() > LONGEST_LINE {
            return self.client.send(&post(self.limits)).await;
        }
        let get = endpoint.clone().query(line);
        match self.client.send(&self.prepared(Call::get(&get))).await {
            // The line or the headers are too long for somebody on the way.
            Err(CallError::Refused {
                status: 414 | 431, ..
            }) if !line.is_empty() => {
                let total = self.limits.total.saturating_sub(begun.elapsed());
                self.client.send(&post(Limits { total, ..self.limits })).await
            }
            answer => answer,
        }
    }

    /// The call, with all that every one has.
    fn prepared<'a>(&self, call: Call<'a>) -> Call<'a> {
        let call = call
            .header(
                HeaderName::from_static("accept"),
                HeaderValue::from_static("application/json"),
            )
            .hide(&self.secrets)
            .limits(self.limits)
            .passing(passes)
            .words(why)
            // Whatever it points to is another server than the one that is to be asked.
            .stay();
        self.headers.iter().fold(call, |call, header| header.sign(call))
    }

    /// What a call failed with, and what was asked.
    pub(super) fn failure(&self, asked: Asked, error: CallError) -> Error {
        match error {
            CallError::TimedOut { proxy, .. } => Error::TimedOut {
                asked,
                proxy,
                limit: self.limits.total,
            },
            CallError::Refused {
                status,
                said: message,
                after,
                ..
            } if passes(status) => Error::Unavailable {
                asked,
                status,
                message,
                after,
            },
            CallError::Refused {
                status,
                said: message,
                ..
            } => Error::Refused {
                asked,
                status,
                message,
            },
            CallError::TooLong { limit, .. } => Error::TooLarge { asked, limit },
            source => Error::Unreachable {
                asked,
                source: Box::new(source),
            },
        }
    }

    /// Servers and proxies may send back what they got.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        shortened(
            &self.prepared(Call::get(&self.endpoint)).blot(text.to_owned()),
            SHOWN,
        )
    }
}

/// Whether the server, or what stands before it, is busy or on its way: it can help to ask again.
const fn passes(status: u16) -> bool {
    matches!(status, 429 | 502..=504)
}

/// Why a server refused, as it says in its own form, or at the beginning of its text.
fn why(body: &[u8]) -> Cow<'_, str> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Refusal {
        error_type: Option<String>,
        error: String,
    }
    match serde_json::from_slice(body) {
        Ok(Refusal { error_type, error }) => {
            Cow::Owned(error_type.map_or(String::new(), |it| it + ": ") + &error)
        }
        Err(_) => String::from_utf8_lossy(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
