//! Who may change things.

use std::fmt;

use axum::http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::name::check_word;
use crate::error::Error;

/// The shortest token that is worth its name.
const SHORTEST: usize = 16;

/// Tokens by name. Only their hashes are kept: they are of one length, so comparing them tells nothing of a token.
#[derive(Default)]
pub(super) struct Tokens(Vec<(String, [u8; 32])>);

impl Tokens {
    pub(super) fn add(&mut self, who: &str, token: &SecretString) -> Result<(), Error> {
        check_word("name", who)
            .map_err(|it| Error::unusable("token", it.to_string(), "the name of somebody"))?;
        if token.expose_secret().len() < SHORTEST {
            return Err(Error::unusable(
                format!("token of {who}"),
                format!("{} characters", token.expose_secret().len()),
                "at least 16 characters that nobody can guess",
            ));
        }
        let sent = token.expose_secret().trim_matches(' ');
        if sent != token.expose_secret() || !sent.bytes().all(|it| matches!(it, b' '..=b'~')) {
            return Err(Error::unusable(
                format!("token of {who}"),
                "a character that is lost in a header",
                "visible ASCII characters, spaces only between them",
            ));
        }
        if let Some(other) = self.owner(token.expose_secret()) {
            return Err(Error::unusable(
                format!("token of {who}"),
                format!("the token of {other}"),
                "a token of its own, so that the audit knows who it was",
            ));
        }
        self.0.push((who.to_owned(), hash(token.expose_secret())));
        Ok(())
    }

    /// Who sends a request with these headers.
    pub(super) fn sender(&self, headers: &HeaderMap) -> Result<&str, NoToken> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let given = match (given.next(), given.next()) {
            (Some(only), None) => only.to_str().ok(),
            (Some(_), Some(_)) => return Err(NoToken::Several),
            (None, _) => None,
        };
        let (_, token) = given
            .and_then(|it| it.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .ok_or(NoToken::Missing)?;
        self.owner(token.trim()).ok_or(NoToken::Unknown)
    }

    /// Whose token it is. All of them are looked at, whichever it is.
    pub(super) fn owner(&self, token: &str) -> Option<&str> {
        let given = hash(token);
        let mut found = u32::MAX;
        for (at, (_, known)) in (0..).zip(&self.0) {
            let same: Choice = known.ct_eq(&given);
            found.conditional_assign(&at, same);
        }
        self.0
            .get(usize::try_from(found).ok()?)
            .map(|(who, _)| who.as_str())
    }
}

/// Why nobody is taken for the sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoToken {
    #[error("this needs a token: `Authorization: Bearer …`")]
    Missing,
    #[error("expected one `Authorization` header, and found several")]
    Several,
    #[error("nobody has this token")]
    Unknown,
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(who, _)| who)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        let mut tokens = Tokens::default();
        tokens.add("alice", &"0123456789abcdef".into()).unwrap();
        tokens.add("bob", &"fedcba9876543210".into()).unwrap();
        tokens
    }

    #[test]
    fn a_token_belongs_to_somebody_or_to_nobody() {
        for (token, owner) in [
            ("0123456789abcdef", Some("alice")),
            ("fedcba9876543210", Some("bob")),
            ("0123456789abcde", None),
            ("0123456789abcdef ", None),
            ("", None),
        ] {
            assert_eq!(tokens().owner(token), owner, "{token:?}");
        }
        assert_eq!(Tokens::default().owner(""), None);
    }

    #[test]
    fn a_token_that_can_be_guessed_is_refused_and_none_is_shown() {
        let mut tokens = tokens();
        let error = tokens.add("carol", &"s3cret".into()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "token of carol: 6 characters; expected at least 16 characters that nobody can guess"
        );
        assert!(tokens.add("no name", &"another0123456789".into()).is_err());
        assert_eq!(format!("{tokens:?}"), r#"{"alice", "bob"}"#);
    }

    #[test]
    fn a_token_that_nobody_could_send_or_that_is_somebody_elses_is_refused() {
        for (token, found) in [
            ("another0123456789\n", "a character that is lost in a header"),
            (" another0123456789", "a character that is lost in a header"),
            ("änother0123456789", "a character that is lost in a header"),
            ("0123456789abcdef", "the token of alice"),
        ] {
            let error = tokens().add("carol", &token.into()).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("token of carol: {found}; ")),
                "{error}"
            );
            assert!(!error.contains("0123456789"), "{error}");
        }
    }
}
