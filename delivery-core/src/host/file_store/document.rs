//! The text of the file: that of [`stored`], laid out for people, with a count of saves and a checksum.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::error::Error;
use core::fmt::Write;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::port::{Loaded, Version};
use crate::rollout::{State, stored};

/// A longer text is not laid out: nobody reads it, and the line breaks would double it.
const LAID_OUT: usize = 1 << 20;

const KIND: &str = "sha256:";

/// The fields of the file, as they are written.
#[derive(Deserialize)]
struct Fields<'a> {
    checksum: Option<String>,
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    #[serde(borrow)]
    saves: Option<&'a RawValue>,
    #[serde(borrow)]
    state: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
}

/// A file whose content is not what was written.
#[derive(Debug, thiserror::Error)]
enum Changed {
    #[error(
        "the file was changed or damaged: its content has the checksum {found}, and its field `checksum` says {said} (if \
         somebody changed it on purpose, remove that field)"
    )]
    Content { found: String, said: String },
    #[error(
        "the file was changed or damaged: its field `checksum` is {said:?} (expected {KIND} and 64 hexadecimal digits)"
    )]
    Checksum { said: String },
}

/// A state that no file may hold.
#[derive(Debug, thiserror::Error)]
#[error("the state takes {length} bytes, and a file of more than {most} is not read again")]
struct TooLong {
    length: usize,
    most: u64,
}

/// The text of a state that was saved so many times, in no more bytes than this.
pub(super) fn write(state: &State, saves: u64, most: u64) -> Result<String, Box<dyn Error + Send + Sync>> {
    let fits = |length: usize| match u64::try_from(length) {
        Ok(bytes) if bytes <= most => Ok(()),
        Ok(_) | Err(_) => Err(TooLong { length, most }),
    };
    let bare = stored::encode(state)?;
    fits(bare.len())?;
    let mut document: Value = serde_json::from_str(&bare)?;
    if let Some(fields) = document.as_object_mut() {
        fields.insert("saves".to_owned(), Value::from(saves));
    }
    let checksum = serde_json::from_str::<Fields<'_>>(&serde_json::to_string(&document)?)?.checksum();
    if let Some(fields) = document.as_object_mut() {
        fields.insert("checksum".to_owned(), Value::from(checksum));
    }
    let mut text = serde_json::to_string(&document)?;
    if text.len() <= LAID_OUT {
        text = serde_json::to_string_pretty(&document)?;
    }
    text.push('\n');
    fits(text.len())?;
    Ok(text)
}

/// What the text says. One without a count of saves counts as save 0, and one without a checksum is believed: so that any
/// stored text is a file to begin with, and one of an earlier version is read.
pub(super) fn read(text: &str) -> Result<Loaded, Box<dyn Error + Send + Sync>> {
    let state = stored::decode(text)?;
    let fields: Fields<'_> = serde_json::from_str(text)?;
    let saves = fields.saves.map_or(Ok(0), |it| serde_json::from_str(it.get()))?;
    fields.check()?;
    Ok(Loaded {
        state,
        version: Version(saves),
    })
}

impl Fields<'_> {
    fn check(&self) -> Result<(), Changed> {
        let Some(said) = &self.checksum else {
            return Ok(());
        };
        let digits = said.strip_prefix(KIND).unwrap_or_default();
        if digits.len() != 64 || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
            let said = said.chars().take(80).collect();
            return Err(Changed::Checksum { said });
        }
        let found = self.checksum();
        if found.eq_ignore_ascii_case(said) {
            return Ok(());
        }
        let said = said.clone();
        Err(Changed::Content { found, said })
    }

    /// Of all fields but `checksum`, as they are written but for the space between values: so that a file that was only
    /// laid out anew is the same.
    fn checksum(&self) -> String {
        let Self {
            checksum: _,
            format,
            saves,
            state,
            version,
        } = self;
        let mut hash = Sha256::new();
        for (name, value) in [
            ("format", format),
            ("saves", saves),
            ("state", state),
            ("version", version),
        ] {
            hash.update(format!("{name}:"));
            for part in close_together(value.map_or("", RawValue::get)) {
                hash.update(part);
            }
            hash.update("\n");
        }
        let mut text = String::from(KIND);
        for byte in hash.finalize() {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// The parts of a JSON text without the space between them.
fn close_together(json: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    json.split(move |it: char| {
        if quoted {
            quoted = escaped || it != '"';
            escaped = !escaped && it == '\\';
            return false;
        }
        quoted = it == '"';
        matches!(it, ' ' | '\t' | '\r' | '\n')
    })
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::Revision;

    fn state() -> State {
        State {
            paused: Some(String::from("a \"quoted\\\" name\n with  space \\")),
            commands: vec![String::from("1 \t 2"), String::from("\\")],
            ..State::initialized(Revision::new("v1").unwrap())
        }
    }

    #[test]
    fn only_space_between_values_is_left_out() {
        for (json, close) in [
            ("{\"a b\": [1,\n 2]}", "{\"a b\":[1,2]}"),
            (r#"{ "a \" b" : "\\" , "c" : " " }"#, r#"{"a \" b":"\\","c":" "}"#),
            ("", ""),
            ("\"never ended ", "\"never ended "),
        ] {
            assert_eq!(close_together(json).collect::<String>(), close, "{json}");
        }
    }

    #[test]
    fn what_was_written_is_read_however_it_is_laid_out() {
        let text = write(&state(), 7, u64::MAX).unwrap();
        let compact = serde_json::from_str::<Value>(&text).unwrap().to_string();
        let spread = compact.replace("\":", "\"\t:\r\n ");
        assert_ne!(compact, spread);
        for text in [&text, &compact, &spread] {
            let loaded = read(text).unwrap();
            assert_eq!((loaded.state, loaded.version), (state(), Version(7)), "{text}");
        }
    }

    #[test]
    fn any_digit_that_was_changed_is_found() {
        let text = write(&state(), 120, u64::MAX).unwrap();
        let digits: Vec<usize> = text
            .match_indices(|it: char| it.is_ascii_digit())
            .map(|(at, _)| at)
            .collect();
        assert!(digits.len() > 30, "{text}");
        for at in digits {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            read(&changed).expect_err(&changed);
        }
    }

    #[test]
    fn a_change_is_named_with_what_to_do() {
        let text = write(&state(), 12, u64::MAX).unwrap();
        let sum = text.split("sha256:").nth(1).unwrap().get(..64).unwrap();
        for (from, to, message) in [
            (
                "\"dropped\": 0",
                "\"dropped\": 1",
                "the file was changed or damaged: its content has the checksum sha256:",
            ),
            (
                "\"saves\": 12",
                "\"saves\": 13",
                "(if somebody changed it on purpose, remove that field)",
            ),
            (
                "sha256:",
                "crc32:",
                "(expected sha256: and 64 hexadecimal digits)",
            ),
            (sum, "12", "its field `checksum` is \"sha256:12\""),
        ] {
            assert!(text.contains(from), "{from} is not in {text}");
            let error = read(&text.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_text_without_a_checksum_is_believed() {
        let text = stored::encode(&state()).unwrap();
        assert_eq!(read(&text).unwrap().version, Version(0));
        let kept: Vec<String> = write(&state(), 3, u64::MAX)
            .unwrap()
            .lines()
            .filter(|it| !it.contains("checksum"))
            .map(String::from)
            .collect();
        assert_eq!(read(&kept.join("\n")).unwrap().version, Version(3));
    }

    #[test]
    fn what_is_too_long_to_be_read_by_a_person_is_not_laid_out() {
        let long = State {
            commands: vec!["x".repeat(LAID_OUT)],
            ..state()
        };
        let text = write(&long, 1, u64::MAX).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert_eq!(read(&text).unwrap().state, long);
    }
}
