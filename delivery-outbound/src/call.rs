//! One call, and what comes back.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use delivery_core::text;

use crate::Endpoint;
use crate::error::{Error, passes};

/// How long a call may take and how much it may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one attempt, from connecting to the last byte of the body. Default 10 s.
    pub attempt: Duration,
    /// For all attempts, with the waits between them.
    pub total: Duration,
    /// How often it is tried again. Default 0.
    pub retries: u32,
    /// How long it is waited before it is tried again, the first time; twice as long each time after that. Default 1 s.
    pub pause: Duration,
    /// How many bytes of a body are read. Default 64 KiB.
    pub body: usize,
}

impl Limits {
    /// So long for each attempt, tried again so often; altogether as long as that can take.
    pub fn new(attempt: Duration, retries: u32) -> Self {
        // And a moment, so that the last attempt has all of its time.
        let waits = Duration::from_secs(60)
            .saturating_mul(retries)
            .saturating_add(Duration::from_secs(1));
        Self {
            attempt,
            total: attempt
                .saturating_mul(retries.saturating_add(1))
                .saturating_add(waits),
            retries,
            pause: Duration::from_secs(1),
            body: 64 * 1024,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(Duration::from_secs(10), 0)
    }
}

/// Whether the other side's certificate counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// It must be valid, trusted, and for this host.
    #[default]
    Verified,
    /// Any will do: Flagger's `disableTLS`. Anybody on the way can read and change the call.
    Skipped,
}

/// One call.
#[must_use]
pub struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) to: &'a Endpoint,
    pub(crate) headers: HeaderMap,
    pub(crate) secret_headers: HeaderMap,
    /// What must not be repeated by anybody.
    pub(crate) secrets: Vec<SecretString>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) limits: Limits,
    pub(crate) verification: Verification,
    /// Which refusals may pass.
    pub(crate) passing: fn(u16) -> bool,
    /// What the body of a refusal says.
    pub(crate) words: fn(&[u8]) -> Cow<'_, str>,
    /// Whether it follows no redirect.
    pub(crate) stays: bool,
}

impl<'a> Call<'a> {
    /// A call with this method.
    pub fn new(method: Method, to: &'a Endpoint) -> Self {
        Self {
            method,
            to,
            headers: HeaderMap::new(),
            secret_headers: HeaderMap::new(),
            secrets: to.login_secrets(),
            body: None,
            limits: Limits::default(),
            verification: Verification::Verified,
            passing: passes,
            words: String::from_utf8_lossy,
            stays: false,
        }
    }

    /// Reads.
    pub fn get(to: &'a Endpoint) -> Self {
        Self::new(Method::GET, to)
    }

    /// Sends.
    pub fn post(to: &'a Endpoint) -> Self {
        Self::new(Method::POST, to)
    }

    /// With this body, as JSON. Something that JSON cannot say, such as a map whose keys are no strings, is sent as
    /// `null`.
    pub fn json(self, body: &impl Serialize) -> Self {
        let text = serde_json::to_vec(body).unwrap_or_else(|_| b"null".to_vec());
        self.body("application/json", text)
    }

    /// With this body.
    pub fn body(mut self, content_type: &'static str, body: Vec<u8>) -> Self {
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = Some(body);
        self
    }

    /// With this header, which is no secret.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With this header, whose value is a secret: it goes to no other host, and is blotted out where an answer repeats
    /// it. `secret` is the part of the value that must stay one.
    pub fn secret_header(mut self, name: HeaderName, mut value: HeaderValue, secret: &SecretString) -> Self {
        value.set_sensitive(true);
        self.secret_headers.insert(name, value);
        self.secrets.push(secret.clone());
        self
    }

    /// With `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`Error::Unusable`]: a token with characters that no header can have; `field` names it.
    pub fn bearer(self, field: &str, token: &SecretString) -> Result<Self, Error> {
        let value = secret_value(field, &format!("Bearer {}", token.expose_secret()))?;
        Ok(self.secret_header(reqwest::header::AUTHORIZATION, value, token))
    }

    /// These are secrets too, and blotted out where an answer repeats one.
    pub fn hide(mut self, secrets: &[SecretString]) -> Self {
        self.secrets.extend_from_slice(secrets);
        self
    }

    /// A text of the other side without what must not be repeated.
    pub fn blot(&self, text: String) -> String {
        blotted(text, &self.secrets)
    }

    /// Within these limits.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Tried again at these statuses, where that is not 408, 429, and 5xx except 501.
    pub const fn passing(mut self, passing: fn(u16) -> bool) -> Self {
        self.passing = passing;
        self
    }

    /// What a person reads of a refusal is what this makes of its body: all of it, unless something else is said here.
    pub const fn words(mut self, words: fn(&[u8]) -> Cow<'_, str>) -> Self {
        self.words = words;
        self
    }

    /// Follows no redirect: an answer that points elsewhere is a refusal.
    pub const fn stay(mut self) -> Self {
        self.stays = true;
        self
    }

    /// With or without a look at the other side's certificate.
    pub const fn verification(mut self, verification: Verification) -> Self {
        self.verification = verification;
        self
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

/// A header's value that is never shown; the error does not repeat it either.
pub(crate) fn secret_value(field: &str, value: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        Error::unusable(
            field,
            "a character that no header can have",
            "visible ASCII characters in one line",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// An answer with a status from 200 to 299.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Who answered: scheme, host and port.
    pub from: String,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// Whether there is more than [`Limits::body`].
    pub cut: bool,
}

impl Reply {
    /// The whole body.
    ///
    /// # Errors
    /// [`Error::TooLong`] when there is more than was read.
    pub fn whole(&self) -> Result<&[u8], Error> {
        if self.cut {
            return Err(Error::TooLong {
                host: self.from.clone(),
                limit: self.body.len(),
            });
        }
        Ok(&self.body)
    }

    /// The beginning of the body, in one line, as a person reads it.
    pub fn text(&self) -> String {
        shortened(&String::from_utf8_lossy(&self.body), self.cut, &[])
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("from", &self.from)
            .field("bytes", &self.body.len())
            .field("cut", &self.cut)
            .finish()
    }
}

/// How many characters of a body a person gets to read.
const SHORT: usize = 256;

/// The beginning of a body in one line, without these secrets.
pub(crate) fn shortened(text: &str, cut: bool, secrets: &[SecretString]) -> String {
    // As it is written and as it is seen, and before it is cut: no part of a secret may be left over either.
    let text = blotted(text.to_owned(), secrets);
    let line = blotted(text::line(&text).collect(), secrets);
    let mut shown = text::shortened(&line, SHORT);
    if cut && !shown.ends_with('…') {
        shown.push('…');
    }
    shown
}

/// The same text without these secrets.
fn blotted(text: String, secrets: &[SecretString]) -> String {
    secrets
        .iter()
        .map(ExposeSecret::expose_secret)
        // A very short one would blot out everything.
        .filter(|it| it.len() >= 4)
        .fold(text, |text, secret| text.replace(secret, "[secret]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_in_one_short_line() {
        assert_eq!(shortened(" not\r\n now\0 ", false, &[]), "not now");
        assert_eq!(shortened("", false, &[]), "");
        assert_eq!(shortened("\u{202e}n\u{200b}o\u{1b}[m", false, &[]), "no [m");
        assert_eq!(shortened(&"ä".repeat(256), false, &[]), "ä".repeat(256));
        assert_eq!(
            shortened(&"ä".repeat(257), false, &[]),
            format!("{}…", "ä".repeat(256))
        );
        assert_eq!(shortened("begun", true, &[]), "begun…");
    }

    #[test]
    fn no_part_of_a_secret_is_shown() {
        let secrets = [SecretString::from("s3cret-and-long")];
        for before in 230..260 {
            let body = format!("{} s3cret-and-long", "x".repeat(before));
            assert!(!shortened(&body, false, &secrets).contains("s3"), "{before}");
        }
        // Nor is one that looks different when it is seen, or is only seen when what hides it is gone.
        let secrets = [
            SecretString::from("s3\u{200d}cret"),
            SecretString::from("hidden-one"),
        ];
        let body = "s3\u{200d}cret hid\u{200b}den-one";
        assert_eq!(shortened(body, false, &secrets), "[secret] [secret]");
    }

    #[test]
    fn the_total_covers_every_attempt() {
        let limits = Limits::new(Duration::from_secs(5), 3);
        assert!(limits.total >= Duration::from_secs(4 * 5 + 1 + 2 + 4));
        assert_eq!(Limits::new(Duration::MAX, u32::MAX).total, Duration::MAX);
    }
}
