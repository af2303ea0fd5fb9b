//! A store in a file.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::std::ffi::OsStr;
use super::std::fs::{self, File, OpenOptions};
use super::std::io::{self, ErrorKind, Read, Write};
use super::std::path::{Path, PathBuf};
use crate::port::{Fault, Loaded, PortError, Saved, StateStore, Version};
use crate::rollout::{State, stored};

/// Keeps the state in a file, so that a process that is killed at any moment goes on where it was.
///
/// # The file
/// It is the text of [`stored`], laid out for people, with one more field: `saves` counts the saves, and is the
/// [`Version`] that a save compares. A file without it counts as save 0, so any stored text can be put in place to begin
/// with. Two more files lie beside `state.json`: `state.json.lock`, which stays, and `state.json.tmp`, which is there
/// while a save lasts. One that a crash has left is replaced by the next save.
///
/// # Guarantees
/// - A save writes the temporary file, syncs it, renames it to the file, and syncs the directory. Killed anywhere on the
///   way, even by a power cut, the file has the state before or the state after, whole.
/// - Processes on one machine that save over the same version wait for one another on the lock file; one is
///   [`Saved::Now`], the others are [`Saved::Stale`]. A process that is killed gives its lock up.
/// - What is no state is an error and is left as it is, by `load` and by `save`: an empty file too.
///
/// # Caveats
/// - Saving waits for the disk, in the thread of the caller: milliseconds usually.
/// - The file is replaced. A symbolic link in its place becomes a file, and its owner and mode are those of the process
///   that saved last. Everybody has to use the same path.
/// - On network file systems, locks and renames are worth what the file system makes of them.
/// - Directories are synced on Unix only.
///
/// # Errors
/// A [`PortError`] that names the file, and:
/// - permanent when somebody has to do something: the file is empty, cut off, foreign or of a later version; the
///   directory is missing, or the process may not write there;
/// - transient when it may pass: the disk is full, or failed.
///
/// ```
/// use delivery_core::host::FileStore;
/// use delivery_core::port::StateStore;
/// use delivery_core::{Revision, State};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = FileStore::new("/var/lib/shop/rollout.json");
/// let before = store.load().await?;
/// let state = State::initialized(Revision::new("v1")?);
/// store.save(&state, before.map(|it| it.version)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FileStore {
    path: PathBuf,
}

/// No state is nearly as large: whatever is, is something else, and is not read to its end.
const LARGEST: u64 = 16 << 20;

impl FileStore {
    /// The store in the file at this path, which need not exist; its directory must.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where the state is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<Option<Loaded>, PortError> {
        let bytes = match File::open(&self.path).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(LARGEST).read_to_end(&mut bytes).map(|_| bytes)
        }) {
            Ok(bytes) => bytes,
            Err(none) if none.kind() == ErrorKind::NotFound => return self.absent().map(|()| None),
            Err(error) => return Err(self.failed("reading", error)),
        };
        if bytes.is_empty() {
            return Err(self.no_state("the file is empty, and no save leaves an empty file behind"));
        }
        let text = String::from_utf8(bytes).map_err(|it| self.no_state(it))?;
        let state = stored::decode(&text).map_err(|it| self.no_state(it))?;
        let head: Head = serde_json::from_str(&text).map_err(|it| self.no_state(it))?;
        Ok(Some(Loaded {
            state,
            version: Version(head.saves),
        }))
    }

    fn write(&self, state: &State, over: Option<Version>) -> Result<Saved, PortError> {
        let Some(name) = self.path.file_name() else {
            return Err(self.failed("saving", ErrorKind::InvalidFilename.into()));
        };
        let lock = self.beside(name, ".lock");
        let locked = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock);
        // Held until this function returns, or the process ends.
        let _locked = match locked.and_then(|file| file.lock().map(|()| file)) {
            Ok(locked) => locked,
            Err(error) => {
                self.absent()?;
                let doing = format!("locking {} to save the rollout's state", lock.display());
                return Err(failed(doing, error));
            }
        };

        let before = self.read()?.map(|it| it.version);
        if before != over {
            return Ok(Saved::Stale);
        }
        let Some(saves) = before.map_or(Some(1), |it| it.0.checked_add(1)) else {
            return Err(self.no_state("`saves` cannot be counted any further"));
        };
        let text = laid_out(state, saves).map_err(|it| PortError::permanent(self.doing("saving"), it))?;

        let temporary = self.beside(name, ".tmp");
        if let Err(error) = self.replace(&temporary, &text) {
            // Only to be tidy: the next save does it as well.
            let _ = fs::remove_file(&temporary);
            return Err(self.failed("saving", error));
        }
        Ok(Saved::Now(Version(saves)))
    }

    fn replace(&self, temporary: &Path, text: &str) -> io::Result<()> {
        match fs::remove_file(temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).open(temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(temporary, &self.path)?;
        self.sync_directory()
    }

    /// Without this, a power cut may undo the rename.
    #[cfg(unix)]
    fn sync_directory(&self) -> io::Result<()> {
        File::open(self.directory())?.sync_all()
    }

    #[cfg(not(unix))]
    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    /// A file that is not there is no error, but a directory that is not there is one: something was not mounted, or the
    /// path is wrong, and to begin anew would be a mistake.
    fn absent(&self) -> Result<(), PortError> {
        match fs::metadata(self.directory()) {
            Ok(_) => Ok(()),
            Err(error) => {
                let doing = format!(
                    "looking into {} for the rollout's state",
                    self.directory().display()
                );
                Err(failed(doing, error))
            }
        }
    }

    fn directory(&self) -> &Path {
        self.path
            .parent()
            .filter(|it| !it.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
    }

    fn beside(&self, name: &OsStr, suffix: &str) -> PathBuf {
        let mut name = name.to_owned();
        name.push(suffix);
        self.path.with_file_name(name)
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} the rollout's state in {}", self.path.display())
    }

    fn failed(&self, what: &str, error: io::Error) -> PortError {
        failed(self.doing(what), error)
    }

    fn no_state(&self, why: impl Into<Box<dyn Error + Send + Sync>>) -> PortError {
        let doing = self.doing("reading");
        PortError::permanent(
            format!("{doing} (left as it is: move it away, or put a good copy in its place)"),
            why,
        )
    }
}

#[async_trait]
impl StateStore for FileStore {
    async fn load(&self) -> Result<Option<Loaded>, PortError> {
        self.read()
    }

    async fn save(&self, state: &State, over: Option<Version>) -> Result<Saved, PortError> {
        self.write(state, over)
    }
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    saves: u64,
}

/// The text of [`stored`] with the count of saves, for people to read.
fn laid_out(state: &State, saves: u64) -> Result<String, serde_json::Error> {
    let mut document: Value = serde_json::from_str(&stored::encode(state)?)?;
    if let Some(fields) = document.as_object_mut() {
        fields.insert("saves".to_owned(), Value::from(saves));
    }
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

fn failed(doing: String, error: io::Error) -> PortError {
    /// What only somebody else can change.
    const PERMANENT: [ErrorKind; 8] = [
        ErrorKind::NotFound,
        ErrorKind::PermissionDenied,
        ErrorKind::IsADirectory,
        ErrorKind::NotADirectory,
        ErrorKind::DirectoryNotEmpty,
        ErrorKind::ReadOnlyFilesystem,
        ErrorKind::InvalidFilename,
        ErrorKind::Unsupported,
    ];
    let fault = if PERMANENT.contains(&error.kind()) {
        Fault::Permanent
    } else {
        Fault::Transient { after: None }
    };
    PortError {
        fault,
        doing: doing.into(),
        source: error.into(),
    }
}
