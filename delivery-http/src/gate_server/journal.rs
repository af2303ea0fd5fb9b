//! The file: one change a line, each on disk before anybody is told.
//!
//! Lines that are not needed any more are left out when there are too many of them. The lines that are needed stay as they
//! are, so that there is one format, and a version that does not know a line's fields does not lose them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use delivery_core::text;

use super::ledger::{Entry, Ledger, Line};
use super::routes::AUDITED;
use crate::error::Error;

/// A file of changes that nobody else writes.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// How much of it was made durable.
    length: u64,
    /// How many lines that is.
    lines: Line,
    /// Whether its name is known to survive a power cut.
    named: bool,
    /// It is not written anew before it has so many lines: an attempt has failed.
    patience: Line,
}

/// No change is longer.
const LONGEST: usize = 4 * 1024;

/// As much as is read of a line: enough to see that it is too long.
const TOO_LONG: u64 = 4 * 1024 + 1;

/// How many lines there may be beside twice those that are needed.
const SPARE: Line = 10_000;

impl Journal {
    /// Opens or creates it, and reads what was changed.
    pub(super) fn open(path: &Path) -> Result<(Self, Ledger), Error> {
        let failed = |source| Error::File {
            doing: format!("reading the gates in {}", path.display()),
            source,
        };
        let (mut journal, mut ledger) = Self::begin(path).map_err(failed)?;
        if let Some(shorter) = journal.shorten(&ledger) {
            ledger = shorter;
        }
        Ok((journal, ledger))
    }

    fn begin(path: &Path) -> io::Result<(Self, Ledger)> {
        let file = locked(path)?;
        // A link is followed once, so that the file behind it is replaced and not the link.
        let path = fs::canonicalize(path)?;
        let Contents {
            ledger,
            length,
            lines,
        } = read(&file)?;
        file.set_len(length)?;
        file.sync_all()?;
        sync_folder(&path)?;
        let journal = Self {
            path,
            file,
            length,
            lines,
            named: true,
            patience: 0,
        };
        Ok((journal, ledger))
    }

    /// Adds a change; after that it is durable. If that fails, nothing was added. Returns the number of its line.
    pub(super) fn append(&mut self, entry: &Entry) -> io::Result<Line> {
        self.check_name()?;
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        if !self.named {
            sync_folder(&self.path)?;
            self.named = true;
        }
        // What an earlier failure has left behind the durable part goes first.
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Whether it is there after a crash is not known; without one it must not be.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length = self
            .length
            .saturating_add(u64::try_from(line.len()).unwrap_or_default());
        self.lines = self.lines.saturating_add(1);
        Ok(self.lines)
    }

    /// Whoever moves the file away, or puts another one in its place, would take the changes that are written from then on
    /// with it: the next start would not find them.
    fn check_name(&self) -> io::Result<()> {
        if is_named(&self.file, &self.path)? {
            return Ok(());
        }
        let why = "the file was moved, removed or replaced since it was opened: start the server anew";
        Err(io::Error::other(why))
    }

    /// Writes the file anew without the lines that nobody needs, if there are too many of them. Returns the same ledger by
    /// the numbers that the lines have then. If that fails, the file stays as it is.
    pub(super) fn shorten(&mut self, ledger: &Ledger) -> Option<Ledger> {
        let needed = ledger.needs().saturating_add(AUDITED);
        let most = u64::try_from(needed)
            .unwrap_or(u64::MAX)
            .saturating_mul(2)
            .saturating_add(SPARE);
        if self.lines <= most.max(self.patience) {
            return None;
        }
        let before = self.lines;
        match self.rewrite(ledger) {
            Ok(shorter) => {
                tracing::info!(before, lines = self.lines, "the file of changes was written anew");
                Some(shorter)
            }
            Err(error) => {
                self.patience = before.saturating_add(SPARE);
                let (error, path) = (&error as &dyn std::error::Error, self.path.display());
                tracing::warn!(error, %path, "the file of changes was not shortened, and goes on growing");
                None
            }
        }
    }

    /// The new file is complete, durable, and read again before it takes the old one's place in one step: whenever the
    /// process is killed, there is the one or the other.
    fn rewrite(&mut self, ledger: &Ledger) -> io::Result<Ledger> {
        self.check_name()?;
        let beside = beside(&self.path)?;
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let written = self.write_beside(&beside, ledger).and_then(|(file, read)| {
            fs::rename(&beside, &self.path)?;
            Ok((file, read))
        });
        let (file, read) = match written {
            Ok(written) => written,
            Err(error) => {
                let _ = fs::remove_file(&beside);
                return Err(error);
            }
        };
        // From here on it is the new one, whatever happens.
        self.file = file;
        (self.length, self.lines, self.patience) = (read.length, read.lines, 0);
        self.named = sync_folder(&self.path).is_ok();
        Ok(read.ledger)
    }

    fn write_beside(&mut self, beside: &Path, ledger: &Ledger) -> io::Result<(File, Contents)> {
        let file = options().create_new(true).open(beside)?;
        // Nobody can have it before it has its name.
        lock(&file)?;
        self.file.set_len(self.length)?;
        let attributes = self.file.metadata()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, fchown};
            let ours = file.metadata()?;
            if (ours.uid(), ours.gid()) != (attributes.uid(), attributes.gid()) {
                fchown(&file, Some(attributes.uid()), Some(attributes.gid()))?;
            }
        }
        file.set_permissions(attributes.permissions())?;
        let needed = ledger.lines();
        let latest = self
            .lines
            .saturating_sub(u64::try_from(AUDITED).unwrap_or_default());
        let mut writer = BufWriter::new(&file);
        self.file.seek(SeekFrom::Start(0))?;
        let mut lines = BufReader::new(&self.file);
        let mut line = Vec::new();
        for number in 1..=self.lines {
            line.clear();
            lines.by_ref().take(TOO_LONG).read_until(b'\n', &mut line)?;
            if number > latest || needed.contains(&number) {
                writer.write_all(&line)?;
            }
        }
        writer.flush()?;
        drop(writer);
        file.sync_all()?;
        (&file).seek(SeekFrom::Start(0))?;
        let read = read(&file)?;
        if read.ledger.says_what(ledger) {
            Ok((file, read))
        } else {
            Err(io::Error::other("the shorter file does not say the same"))
        }
    }

    /// The latest so many changes, as they are written.
    pub(super) fn latest(&self, lines: usize) -> io::Result<String> {
        let most = u64::try_from(lines.saturating_mul(LONGEST)).unwrap_or(u64::MAX);
        let from = self.length.saturating_sub(most);
        // Not opened once more: there may be no file handle left.
        let mut file = &self.file;
        file.seek(SeekFrom::Start(from))?;
        let mut text = String::new();
        file.take(self.length.saturating_sub(from))
            .read_to_string(&mut text)?;
        let all: Vec<&str> = text.split_inclusive('\n').collect();
        // The first may have been cut when it is not the file's.
        let skip = all.len().saturating_sub(lines).max(usize::from(from > 0));
        Ok(all.into_iter().skip(skip).collect())
    }
}

/// Where the file is written anew.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".shorter");
    Ok(path.with_file_name(hidden))
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn lock(file: &File) -> io::Result<()> {
    file.try_lock().map_err(|it| match it {
        TryLockError::WouldBlock => io::Error::other("another server has this file"),
        TryLockError::Error(error) => error,
    })
}

/// The file of that name, which nobody else has.
fn locked(path: &Path) -> io::Result<File> {
    // Another server may put a new file in the place of the one that was opened, before that is locked.
    for _ in 0..10 {
        // What is no file is not opened at all: a pipe would be waited for.
        if let Ok(found) = fs::metadata(path) {
            check_file(&found)?;
        }
        let file = options().create(true).truncate(false).open(path)?;
        lock(&file)?;
        if is_named(&file, path)? {
            return Ok(file);
        }
    }
    Err(io::Error::other("another server has this file"))
}

/// Whether it is a file that can be read to an end.
pub(super) fn check_file(found: &fs::Metadata) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    let what = if found.is_dir() {
        "a folder"
    } else {
        "a pipe, socket or device"
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("expected a file, and found {what}"),
    ))
}

#[cfg(unix)]
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let identity = |it: fs::Metadata| (it.dev(), it.ino());
    match fs::metadata(path) {
        Ok(found) => Ok(identity(found) == identity(file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_named(_: &File, _: &Path) -> io::Result<bool> {
    // A file that is open cannot be replaced.
    Ok(true)
}

/// Makes the name of a file in its folder durable.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether it is nothing, or what a crash leaves of a line, which was never answered: its beginning, and zeros where the
/// disk has only got the length.
fn is_cut_off(line: &[u8]) -> bool {
    const BEGINS: &[u8] = b"{\"at\":";
    let written = line.iter().position(|it| *it == 0).unwrap_or(line.len());
    let (written, zeros) = line.split_at(written);
    let compared = written.len().min(BEGINS.len());
    line.len() <= LONGEST
        && written.get(..compared) == BEGINS.get(..compared)
        && zeros.iter().all(|it| *it == 0)
}

/// What a file says, up to the end of its last whole line.
#[derive(Debug)]
struct Contents {
    ledger: Ledger,
    length: u64,
    lines: Line,
}

fn read(file: &File) -> io::Result<Contents> {
    let mut ledger = Ledger::default();
    let mut lines = BufReader::new(file);
    let (mut length, mut line) = (0_u64, Vec::new());
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    for number in 1.. {
        line.clear();
        let read = lines.by_ref().take(TOO_LONG).read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            if is_cut_off(&line) {
                let lines = number - 1;
                return Ok(Contents {
                    ledger,
                    length,
                    lines,
                });
            }
            // Somebody else's file, most likely: nothing of it is removed.
            let why = format!("line {number} is no change, and not the beginning of one");
            return Err(invalid(why));
        }
        let entry: Entry = serde_json::from_slice(&line).map_err(|it| {
            let (newer, it) = ("a newer version may have written it", text::of_json(it));
            invalid(format!(
                "line {number} is no change that this version knows ({it}); {newer}"
            ))
        })?;
        ledger.apply(entry, number);
        length = length.saturating_add(u64::try_from(read).unwrap_or_default());
    }
    Err(invalid(String::from("there is no end of lines")))
}

#[cfg(test)]
mod tests;
