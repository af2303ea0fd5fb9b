//! What the examples share: how a command line writes its output.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// The status of a program whose output nobody reads any more: what a shell shows for one that SIGPIPE has ended.
pub const NOBODY_READS: u8 = 141;

/// Writes a line to standard output, at once.
///
/// `println!` panics where this is an error, such as after `| head -1`.
///
/// # Errors
/// Standard output is closed or cannot be written to; [`status`] ends the program as is proper then.
pub fn line(text: impl fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush())
}

/// Writes a line to standard error. Where nobody reads that, nobody can be told so either.
pub fn complain(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// How the program ends: with its own status; quietly when nobody reads its output; with a complaint for any other error.
pub fn status(ended: Result<ExitCode, Box<dyn Error>>) -> ExitCode {
    let error = match ended {
        Ok(status) => return status,
        Err(error) => error,
    };
    if is_unread(&*error) {
        return ExitCode::from(NOBODY_READS);
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    complain(text);
    ExitCode::FAILURE
}

/// Whether the output was closed by whoever read it.
fn is_unread(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|it| it.kind() == ErrorKind::BrokenPipe)
}
