//! What must hold of every text that people get to see.

use std::error::Error;

use delivery_core::text;

/// The longest message of one error, in characters.
pub const LONGEST: usize = 2_048;

/// A message is one line that shows every character, and has a bound.
///
/// # Panics
/// When it is not so.
pub fn told(message: &str) {
    let hidden = text::hidden(message);
    let beginning = text::beginning(message, 200);
    assert!(
        hidden.is_none(),
        "a message has the hidden character {hidden:?}: {beginning:?}"
    );
    let length = message.chars().count();
    assert!(
        length <= LONGEST,
        "a message of {length} characters (expected at most {LONGEST}): {beginning:?}"
    );
}

/// Each of these messages is one line.
///
/// # Panics
/// When one is not.
pub fn all<T: ToString>(messages: impl IntoIterator<Item = T>) {
    for message in messages {
        told(&message.to_string());
    }
}

/// An error and its causes: each message is one line. Returns all of them.
///
/// # Panics
/// When it is not so.
pub fn error(error: &(dyn Error + 'static)) -> String {
    let mut whole = error.to_string();
    told(&whole);
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        told(&message);
        whole = format!("{whole}: {message}");
        cause = error.source();
    }
    whole
}

/// Divides the input at its first line break.
pub fn line(input: &str) -> (&str, &str) {
    input.split_once('\n').unwrap_or((input, ""))
}
