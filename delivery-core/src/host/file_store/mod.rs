//! A store in a file.

mod document;
mod lock;
mod place;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::error::Error;
use core::time::Duration;

use async_trait::async_trait;

use self::lock::{Lock, NoLock};
use self::place::Place;
use super::std::fs;
use super::std::io::{self, ErrorKind};
use super::std::path::{Path, PathBuf};
use crate::port::{Fault, Loaded, PortError, Saved, StateStore, Version};
use crate::rollout::State;

/// Keeps the state in a file, so that a process that is killed at any moment goes on where it was.
///
/// # The file
/// It is the text of [`stored`](crate::rollout::stored), laid out for people, with two more fields. `saves` counts the
/// saves, and is the [`Version`] that a save compares. `checksum` is of all the rest, so that a digit that a disk or a person
/// has changed is found. A file without them counts as save 0 and is believed, so any stored text can be put in place to begin
/// with. Two more files lie beside `state.json`: `state.json.lock`, which stays and has the id of the process that saved last,
/// and `state.json.tmp`, which is there while a save lasts. One that a crash has left is replaced by the next save.
///
/// # Guarantees
/// - A save writes the temporary file, syncs it, renames it to the file, and syncs the directory. Killed anywhere on the
///   way, even by a power cut, the file has the state before or the state after, whole.
/// - Processes on one machine that save over the same version wait for one another on the lock file; one is
///   [`Saved::Now`], the others are [`Saved::Stale`]. A process that is killed gives its lock up. Nobody waits longer than
///   [`FileStore::lock_timeout`], and nobody waits in the thread of the caller.
/// - What is no state is an error and is left as it is, by `load` and by `save`: an empty file, a file that was changed, a
///   pipe, a device, a directory.
/// - The files are for their owner alone (mode 0600, on Unix). A file that allowed even less before a save does after it.
/// - A save never writes a file that is too long to be read again: [`FileStore::LARGEST`].
///
/// # Caveats
/// - Saving waits for the disk, in the thread of the caller: milliseconds usually.
/// - The file is replaced. A symbolic link in its place becomes a file, and its owner is the one of the process that saved
///   last. Everybody has to use the same path.
/// - On network file systems, locks and renames are worth what the file system makes of them.
/// - Directories are synced on Unix only.
///
/// # Errors
/// A [`PortError`] that names the file, and:
/// - permanent when somebody has to do something: the file is empty, cut off, changed, too long, foreign or of a later
///   version; it is no regular file; the directory is missing, or the process may not write there;
/// - transient when it may pass: the disk is full, or failed; another process has the lock.
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
    place: Place,
    patience: Duration,
}

impl FileStore {
    /// The most bytes that a file may have. A longer one is not read, because it is something else, and not written. States
    /// of plans with 10 000 metrics have room: see [`Plan::largest_state`](crate::Plan::largest_state).
    pub const LARGEST: u64 = 64 << 20;

    /// The store in the file at this path, which need not exist; its directory must.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            place: Place { path: path.into() },
            patience: Duration::from_secs(5),
        }
    }

    /// The same, and a save waits no longer than this for another process that saves; 5 seconds if it is not given.
    #[must_use]
    pub const fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.patience = timeout;
        self
    }

    /// Where the state is.
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    fn read(&self) -> Result<Option<Loaded>, PortError> {
        let bytes = match self.place.read(Self::LARGEST) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return self.absent().map(|()| None),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => return Err(self.no_state(error)),
            Err(error) => return Err(self.failed("reading", error)),
        };
        if bytes.is_empty() {
            return Err(self.no_state("the file is empty, and no save leaves an empty file behind"));
        }
        let text = String::from_utf8(bytes).map_err(|it| self.no_state(it))?;
        document::read(&text).map(Some).map_err(|it| self.no_state(it))
    }

    async fn lock(&self) -> Result<Lock, PortError> {
        // Before anything is created beside it.
        self.place.check().map_err(|it| self.failed("saving", it))?;
        let path = self
            .place
            .beside(".lock")
            .map_err(|it| self.failed("saving", it))?;
        let doing = || format!("locking {} to save the rollout's state", path.display());
        match lock::take(&path, self.patience).await {
            Ok(lock) => Ok(lock),
            Err(NoLock::Held(held)) => Err(PortError::transient(doing(), held)),
            Err(NoLock::Failed(error)) => {
                self.absent()?;
                Err(failed(doing(), error))
            }
        }
    }

    fn write(&self, _locked: &Lock, state: &State, over: Option<Version>) -> Result<Saved, PortError> {
        let before = self.read()?.map(|it| it.version);
        if before != over {
            return Ok(Saved::Stale);
        }
        let Some(saves) = before.map_or(Some(1), |it| it.0.checked_add(1)) else {
            return Err(self.no_state("`saves` cannot be counted any further"));
        };
        let text = document::write(state, saves, Self::LARGEST)
            .map_err(|it| PortError::permanent(self.doing("saving"), it))?;
        self.place
            .replace(&text)
            .map_err(|it| self.failed("saving", it))?;
        Ok(Saved::Now(Version(saves)))
    }

    /// A file that is not there is no error, but a directory that is not there is one: something was not mounted, or the
    /// path is wrong, and to begin anew would be a mistake.
    fn absent(&self) -> Result<(), PortError> {
        match fs::metadata(self.place.directory()) {
            Ok(_) => Ok(()),
            Err(error) => {
                let doing = format!(
                    "looking into {} for the rollout's state",
                    self.place.directory().display()
                );
                Err(failed(doing, error))
            }
        }
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} the rollout's state in {}", self.path().display())
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
        let locked = self.lock().await?;
        self.write(&locked, state, over)
    }
}

fn failed(doing: String, error: io::Error) -> PortError {
    /// What only somebody else can change.
    const PERMANENT: [ErrorKind; 9] = [
        ErrorKind::NotFound,
        ErrorKind::PermissionDenied,
        ErrorKind::IsADirectory,
        ErrorKind::NotADirectory,
        ErrorKind::DirectoryNotEmpty,
        ErrorKind::ReadOnlyFilesystem,
        ErrorKind::InvalidFilename,
        ErrorKind::InvalidInput,
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
