//! Which names are taken.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// A rollout by name and namespace. Written `name.namespace`, as Flagger's load tester writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Rollout {
    name: String,
    /// Without dots, so that no two rollouts are written alike.
    namespace: String,
}

impl Rollout {
    pub(super) fn new(name: &str, namespace: &str) -> Result<Self, NoName> {
        check("name", name, 253, |it| matches!(it, b'-' | b'_' | b'.'))?;
        check("namespace", namespace, 63, |it| matches!(it, b'-' | b'_'))?;
        Ok(Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        })
    }
}

impl TryFrom<String> for Rollout {
    type Error = NoName;

    fn try_from(text: String) -> Result<Self, NoName> {
        let (name, namespace) = text.rsplit_once('.').unwrap_or((&text, ""));
        Self::new(name, namespace)
    }
}

impl fmt::Display for Rollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.namespace)
    }
}

impl Serialize for Rollout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Checks the name of somebody or of a command.
pub(super) fn check_word(field: &'static str, text: &str) -> Result<(), NoName> {
    check(field, text, 128, |it| {
        matches!(it, b'-' | b'_' | b'.' | b':' | b'@')
    })
}

fn check(field: &'static str, text: &str, most: usize, within: fn(u8) -> bool) -> Result<(), NoName> {
    let edge = |it: Option<&u8>| it.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let good = bytes.len() <= most
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|it| it.is_ascii_alphanumeric() || within(*it));
    if good { Ok(()) } else { Err(NoName { field, most }) }
}

/// Not a name. The text does not repeat it: it may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected 1 to {most} letters, digits and `-`, with a letter or digit at both ends")]
pub(super) struct NoName {
    field: &'static str,
    most: usize,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollout_is_read_as_it_is_written() {
        let web = Rollout::new("web.v2", "shop").unwrap();
        let written = serde_json::to_value(&web).unwrap();
        assert_eq!(written, json!("web.v2.shop"));
        assert_eq!(serde_json::from_value::<Rollout>(written).unwrap(), web);
        for wrong in ["web", ".shop", "web.", ""] {
            assert!(
                serde_json::from_value::<Rollout>(json!(wrong)).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in [
            "",
            ".",
            "a.",
            "-a",
            "a/b",
            "../etc",
            "a b",
            "a\n",
            "ä",
            &"a".repeat(254),
        ] {
            assert!(Rollout::new(name, "shop").is_err(), "{name:?}");
        }
        for namespace in ["", "a.b", "a/b", &"a".repeat(64)] {
            assert!(Rollout::new("web", namespace).is_err(), "{namespace:?}");
        }
        let error = Rollout::new("web", "").unwrap_err().to_string();
        assert_eq!(
            error,
            "namespace: expected 1 to 63 letters, digits and `-`, with a letter or digit at both ends"
        );
    }
}
