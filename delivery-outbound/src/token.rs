//! Tokens and other secrets in files: one rule for whoever reads one.

use std::fs;
use std::io;
use std::path::Path;

use secrecy::SecretString;

use crate::Error;

/// The longest file that can be a token.
const LONGEST: u64 = 4 * 1024;

/// The token in a file, without the white space around it; `whose` names it in errors.
///
/// A file that others than its owner can use is taken with a warning in the log, which names it and what to do: Kubernetes
/// mounts its secrets so.
///
/// # Errors
/// [`Error::File`]: it cannot be read, is no file, or is longer than 4 KiB.
pub fn token_file(whose: &str, path: &Path) -> Result<SecretString, Error> {
    let read = || {
        let found = fs::metadata(path)?;
        if !found.is_file() {
            let what = if found.is_dir() {
                "a folder"
            } else {
                "a pipe, socket or device"
            };
            let why = format!("expected a file, and found {what}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        if found.len() > LONGEST {
            let why = format!("expected at most {LONGEST} bytes, and found {}", found.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        warn_of_readers(path, &found);
        fs::read_to_string(path)
    };
    match read() {
        Ok(text) => Ok(text.trim().into()),
        Err(source) => Err(Error::File {
            doing: format!("reading the token of {whose} in {}", path.display()),
            source,
        }),
    }
}

#[cfg(unix)]
fn warn_of_readers(path: &Path, found: &fs::Metadata) {
    let mode = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        tracing::warn!("others can use the token in {path} (mode {mode:03o}): run `chmod 600 '{path}'`");
    }
}

#[cfg(not(unix))]
const fn warn_of_readers(_: &Path, _: &fs::Metadata) {}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    use secrecy::ExposeSecret;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("delivery-token-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_token_that_others_can_use_is_warned_of() {
        for (mode, warned) in [
            (0o400, false),
            (0o600, false),
            (0o640, true),
            (0o604, true),
            (0o644, true),
        ] {
            let log = Log::default();
            let written = log.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_writer(move || written.clone())
                .finish();
            let path = path(&format!("{mode:o}"));
            fs::write(&path, "  s3cret\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let token = tracing::subscriber::with_default(subscriber, || token_file("alice", &path).unwrap());
            fs::remove_file(&path).unwrap();
            assert_eq!(token.expose_secret(), "s3cret");
            let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
            let says = format!("others can use the token in {} (mode {mode:03o})", path.display());
            assert_eq!(logged.contains(&says), warned, "{mode:o}: {logged}");
            assert!(!logged.contains("s3cret"), "{logged}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_by_its_name() {
        let long = path("long");
        fs::write(&long, vec![b'x'; 5_000]).unwrap();
        let table = [
            (std::env::temp_dir(), "expected a file, and found a folder"),
            (long.clone(), "expected at most 4096 bytes, and found 5000"),
            ("/dev/null".into(), "found a pipe, socket or device"),
            (path("none"), "No such file"),
        ];
        for (path, says) in table {
            let error = token_file("alice", &path).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("reading the token of alice in {}", path.display())
            );
            let Error::File { source, .. } = error else {
                panic!("{error:?}")
            };
            assert!(source.to_string().contains(says), "{source}");
        }
        fs::remove_file(long).unwrap();
    }
}
