//! Who we are, to those who ask.

use std::fmt;

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::call::secret_value;
use crate::{Call, Error};

/// A header with a secret. It goes to no other host than the one that is called, and is never shown.
///
/// User and password (`Authorization: Basic`) stand in the URL: `https://user:password@host/`.
#[derive(Clone)]
pub struct Authentication {
    name: HeaderName,
    value: HeaderValue,
    secret: SecretString,
}

impl Authentication {
    /// `Authorization: Bearer` with this token; `field` names it in errors.
    ///
    /// # Errors
    /// [`Error::Unusable`]: an empty token, or one with characters that no header can have.
    pub fn bearer(field: &str, token: SecretString) -> Result<Self, Error> {
        let value = format!("Bearer {}", token.expose_secret());
        Self::with(field, AUTHORIZATION, &value, token)
    }

    /// Any header, such as `X-Api-Key`, with this secret as its value; `field` names it in errors.
    ///
    /// # Errors
    /// [`Error::Unusable`]: no header has that name, or can have that value.
    pub fn header(field: &str, name: &str, secret: SecretString) -> Result<Self, Error> {
        let header = HeaderName::try_from(name).map_err(|_| {
            let found = format!("a header called `{name}`");
            Error::unusable(field, found, "a name such as `X-Api-Key`")
        })?;
        let value = secret.expose_secret().to_owned();
        Self::with(field, header, &value, secret)
    }

    fn with(field: &str, name: HeaderName, value: &str, secret: SecretString) -> Result<Self, Error> {
        if secret.expose_secret().is_empty() {
            return Err(Error::unusable(field, "an empty secret", "a secret"));
        }
        Ok(Self {
            name,
            value: secret_value(field, value)?,
            secret,
        })
    }

    /// The call, with the header.
    pub fn sign<'a>(&self, call: Call<'a>) -> Call<'a> {
        call.secret_header(self.name.clone(), self.value.clone(), &self.secret)
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authentication").field(&self.name).finish()
    }
}
