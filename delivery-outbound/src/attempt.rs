//! One attempt: connect, send, follow redirects, read a bounded body.

use std::error::Error as StdError;
use std::io;
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response, Url};
use secrecy::ExposeSecret;

use crate::address::Refusal;
use crate::call::shortened;
use crate::endpoint::origin;
use crate::error::{Cause, Error};
use crate::{Call, Client, REDIRECTS, Reply, Verification};

/// How much of a refusal is read to find out why.
const REFUSAL: usize = 64 * 1024;

impl Client {
    pub(crate) async fn attempt(&self, call: &Call<'_>, limit: Duration) -> Result<Reply, Error> {
        let answer = tokio::time::timeout(limit, self.follow(call)).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                host: call.to.origin(),
                proxy: self.0.way.proxy(&call.to.url),
                limit,
            })
        });
        match &answer {
            Ok(reply) => tracing::debug!(host = %call.to, status = reply.status, "answered"),
            Err(error) => tracing::debug!(host = %call.to, error = error as &dyn StdError, "failed"),
        }
        answer
    }

    /// Calls, and calls where the answer points to.
    async fn follow(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let mut url = call.to.url.clone();
        let reads = call.method == Method::GET || call.method == Method::HEAD;
        let mut abroad = false;
        for _ in 0..=REDIRECTS {
            self.0.rules.check(&url)?;
            let response = self.once(call, &url, abroad).await?;
            if call.stays && response.status().is_redirection() {
                let said = "it points elsewhere: use the address that it points to";
                return Err(refused(&response, &url, said));
            }
            let Some((next, kept)) = redirect(&response, &url)? else {
                return self.finish(call, response, &url).await;
            };
            if kept == Kept::Target && !reads {
                let said = "a redirect that leaves the message behind, as to a page to log in";
                return Err(refused(&response, &url, said));
            }
            // Once abroad, never home again: what points back may have been written there.
            abroad |= next.origin() != url.origin();
            url = next;
        }
        Err(Error::Redirects {
            host: call.to.origin(),
            limit: REDIRECTS,
        })
    }

    async fn once(&self, call: &Call<'_>, url: &Url, abroad: bool) -> Result<Response, Error> {
        let client = match call.verification {
            Verification::Verified => &self.0.verifying,
            Verification::Skipped => &self.0.trusting,
        };
        let mut headers = call.headers.clone();
        let mut request = client.request(call.method.clone(), url.clone());
        if !abroad {
            headers.extend(call.secret_headers.clone());
            if let Some((user, password)) = &call.to.login
                && !headers.contains_key(AUTHORIZATION)
            {
                request = request.basic_auth(user, Some(password.expose_secret()));
            }
        }
        request = request.headers(headers);
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        request.send().await.map_err(|it| self.failure(url, &it))
    }

    async fn finish(&self, call: &Call<'_>, mut response: Response, url: &Url) -> Result<Reply, Error> {
        let status = response.status();
        let after = retry_after(response.headers(), SystemTime::now());
        let most = if status.is_success() {
            call.limits.body
        } else {
            REFUSAL.min(call.limits.body)
        };
        let announced = response.content_length().and_then(|it| usize::try_from(it).ok());
        let mut body = Vec::with_capacity(announced.unwrap_or_default().min(most));
        let cut = loop {
            match response.chunk().await {
                Ok(None) => break false,
                Ok(Some(chunk)) => {
                    let room = most.saturating_sub(body.len());
                    body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                    if chunk.len() > room {
                        break true;
                    }
                }
                // The status of a refusal is worth more than how its body ended.
                Err(_) if !status.is_success() => break true,
                Err(error) => return Err(self.failure(url, &error)),
            }
        };
        if !status.is_success() {
            return Err(Error::Refused {
                host: origin(url),
                status: status.as_u16(),
                said: shortened(&(call.words)(&body), cut, &call.secrets),
                after: after.filter(|_| matches!(status.as_u16(), 429 | 502..=504)),
            });
        }
        Ok(Reply {
            status: status.as_u16(),
            from: origin(url),
            body,
            cut,
        })
    }

    /// Which failure it is, by what lies at its bottom.
    fn failure(&self, url: &Url, error: &reqwest::Error) -> Error {
        let host = origin(url);
        let outermost: &(dyn StdError + 'static) = error;
        let causes =
            || std::iter::successors(Some(outermost), |it: &&(dyn StdError + 'static)| (*it).source());
        if let Some(Refusal(address)) = causes().find_map(|it| it.downcast_ref::<Refusal>()) {
            return Error::AddressRefused {
                host,
                address: *address,
            };
        }
        let (source, proxy) = (Cause::of(error), self.0.way.proxy(url));
        if error.is_connect() && causes().filter_map(|it| it.downcast_ref()).any(is_tls) {
            Error::Tls { host, source }
        } else if error.is_connect() {
            Error::Unreachable { host, proxy, source }
        } else {
            Error::CutOff { host, source }
        }
    }
}

/// What a redirect keeps of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// Method and body: 307 and 308.
    Everything,
    /// Nothing but where to look: 301, 302 and 303. What is read is read there; what is sent has not arrived.
    Target,
}

/// An answer that is none, whatever its body says.
fn refused(response: &Response, from: &Url, said: &str) -> Error {
    Error::Refused {
        host: origin(from),
        status: response.status().as_u16(),
        said: said.to_owned(),
        after: None,
    }
}

/// Where an answer points to, if it does.
fn redirect(response: &Response, from: &Url) -> Result<Option<(Url, Kept)>, Error> {
    let kept = match response.status().as_u16() {
        301..=303 => Kept::Target,
        307 | 308 => Kept::Everything,
        _ => return Ok(None),
    };
    let Some(location) = response.headers().get(LOCATION) else {
        return Ok(None);
    };
    let refused = |said| refused(response, from, said);
    let next = location.to_str().ok().and_then(|it| from.join(it).ok());
    let mut next = next.ok_or_else(|| refused("a redirect to something that is no URL"))?;
    if !matches!(next.scheme(), "http" | "https") {
        return Err(refused("a redirect to something that is not HTTP"));
    }
    if from.scheme() == "https" && next.scheme() == "http" {
        return Err(refused("a redirect from https to http"));
    }
    // Whoever answers does not choose what we are known as.
    let _ = (next.set_username(""), next.set_password(None));
    Ok(Some((next, kept)))
}

/// Whether it is what TLS makes of what it cannot trust or read. While connecting, nothing else reads data.
fn is_tls(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
        || error
            .get_ref()
            .and_then(|it| it.downcast_ref())
            .is_some_and(is_tls)
}

/// What `Retry-After` says, in seconds or as a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = httpdate::parse_http_date(value).ok()?;
    Some(then.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:00 GMT").unwrap();
        let table = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(59)),
            ("Fri, 31 Dec 1999 23:58:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ];
        for (value, seconds) in table {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(value).unwrap())]);
            assert_eq!(
                retry_after(&headers, now).map(|it| it.as_secs()),
                seconds,
                "{value}"
            );
        }
    }
}
