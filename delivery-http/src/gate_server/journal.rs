//! The file: one change a line, each on disk before anybody is told.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::ledger::{Entry, Ledger};
use crate::error::Error;

/// A file of changes that nobody else writes.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// How much of it was made durable.
    length: u64,
}

/// No change is longer.
const LONGEST: usize = 4 * 1024;

/// As much as is read of a line: enough to see that it is too long.
const TOO_LONG: u64 = 4 * 1024 + 1;

impl Journal {
    /// Opens or creates it, and reads what was changed.
    pub(super) fn open(path: PathBuf) -> Result<(Self, Ledger), Error> {
        let failed = |source| Error::File {
            doing: format!("reading the gates in {}", path.display()),
            source,
        };
        let (file, ledger, length) = read(&path).map_err(failed)?;
        Ok((Self { path, file, length }, ledger))
    }

    /// Adds a change; after that it is durable. If that fails, nothing was added.
    pub(super) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        // What an earlier failure has left behind the durable part goes first.
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(&line)?;
        if let Err(error) = self.file.sync_data() {
            // Whether it is there after a crash is not known; without one it must not be.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += u64::try_from(line.len()).unwrap_or_default();
        Ok(())
    }

    /// The latest so many changes, as they are written.
    pub(super) fn latest(&self, lines: usize) -> io::Result<String> {
        let most = u64::try_from(lines.saturating_mul(LONGEST)).unwrap_or(u64::MAX);
        let from = self.length.saturating_sub(most);
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut text = String::new();
        file.take(self.length - from).read_to_string(&mut text)?;
        let all: Vec<&str> = text.split_inclusive('\n').collect();
        // The first may have been cut when it is not the file's.
        let skip = all.len().saturating_sub(lines).max(usize::from(from > 0));
        Ok(all.into_iter().skip(skip).collect())
    }
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

fn read(path: &Path) -> io::Result<(File, Ledger, u64)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    file.try_lock().map_err(|it| match it {
        TryLockError::WouldBlock => io::Error::other("another server has this file"),
        TryLockError::Error(error) => error,
    })?;
    let mut ledger = Ledger::default();
    let mut lines = BufReader::new(&file);
    let (mut length, mut line) = (0, Vec::new());
    for number in 1_u64.. {
        line.clear();
        let read = lines.by_ref().take(TOO_LONG).read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            if is_cut_off(&line) {
                break;
            }
            // Somebody else's file, most likely: nothing of it is removed.
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {number} is no change, and not the beginning of one"),
            ));
        }
        let entry: Entry = serde_json::from_slice(&line).map_err(|it| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {number} is no change: {it}"),
            )
        })?;
        ledger.apply(entry);
        length += u64::try_from(read).unwrap_or_default();
    }
    file.set_len(length)?;
    file.sync_all()?;
    // Its name must be durable too.
    #[cfg(unix)]
    File::open(
        path.parent()
            .filter(|it| !it.as_os_str().is_empty())
            .unwrap_or(Path::new(".")),
    )?
    .sync_all()?;
    Ok((file, ledger, length))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use delivery_core::Timestamp;

    use super::*;
    use crate::gate_server::ledger::{Change, Gate};
    use crate::gate_server::name::Rollout;

    fn open(name: &str) -> Entry {
        Entry {
            at: Timestamp::from_millis(1_777_000_000_000),
            who: "alice".into(),
            rollout: Rollout::new(name, "shop").unwrap(),
            change: Change::Open { gate: Gate::Gate },
        }
    }

    fn is_open(ledger: &Ledger, name: &str) -> bool {
        ledger.is_open(Gate::Gate, &Rollout::new(name, "shop").unwrap())
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = Folder::new("read-again");
        let (mut journal, ledger) = Journal::open(folder.file()).unwrap();
        assert_eq!(ledger, Ledger::default());
        journal.append(&open("a")).unwrap();
        journal.append(&open("b")).unwrap();
        drop(journal);
        let (journal, ledger) = Journal::open(folder.file()).unwrap();
        assert!(is_open(&ledger, "a") && is_open(&ledger, "b") && !is_open(&ledger, "c"));
        let text = fs::read_to_string(folder.file()).unwrap();
        let line = r#"{"at":1777000000000,"who":"alice","rollout":"a.shop","what":"open","gate":"gate"}"#;
        assert_eq!(text.lines().next(), Some(line));
        assert_eq!(journal.latest(1).unwrap().lines().count(), 1);
        assert_eq!(journal.latest(1_000).unwrap(), text);
    }

    #[test]
    fn a_line_that_was_cut_off_anywhere_is_as_if_it_had_never_been() {
        let folder = Folder::new("cut-off");
        let (mut journal, _) = Journal::open(folder.file()).unwrap();
        journal.append(&open("a")).unwrap();
        let whole = fs::read(folder.file()).unwrap().len();
        journal.append(&open("b")).unwrap();
        drop(journal);
        let text = fs::read(folder.file()).unwrap();
        for cut in whole..text.len() {
            fs::write(folder.file(), &text[..cut]).unwrap();
            let (mut journal, ledger) = Journal::open(folder.file()).unwrap();
            assert!(is_open(&ledger, "a") && !is_open(&ledger, "b"), "{cut}");
            journal.append(&open("c")).unwrap();
            drop(journal);
            let (_, ledger) = Journal::open(folder.file()).unwrap();
            assert!(
                is_open(&ledger, "a") && !is_open(&ledger, "b") && is_open(&ledger, "c"),
                "{cut}"
            );
        }
    }

    #[test]
    fn a_line_that_is_no_change_is_refused_and_left_as_it_is() {
        let folder = Folder::new("no-change");
        let text = "{\"at\":1,\"who\":\"alice\",\"rollout\":\"a.shop\",\"what\":\"open\",\"gate\":\"gate\"}\nnonsense\n";
        fs::write(folder.file(), text).unwrap();
        let error = Journal::open(folder.file()).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.starts_with("line 2 is no change: "), "{cause}");
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), text);
    }

    #[test]
    fn somebody_elses_file_is_refused_and_left_as_it_is() {
        let folder = Folder::new("not-ours");
        for text in [
            "0123456789abcdef",
            "{\"tokens\":[]}",
            "{\"at\":1\0\0x",
            &"{\"at\":1".repeat(1_000),
            &"x".repeat(1_000_000),
        ] {
            fs::write(folder.file(), text).unwrap();
            let error = Journal::open(folder.file()).unwrap_err();
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.starts_with("line 1 is no change"), "{cause}");
            assert_eq!(fs::read_to_string(folder.file()).unwrap(), text);
        }
    }

    #[test]
    fn zeros_that_a_power_cut_has_left_are_no_change() {
        let folder = Folder::new("zeros");
        let (mut journal, _) = Journal::open(folder.file()).unwrap();
        journal.append(&open("a")).unwrap();
        drop(journal);
        let text = fs::read_to_string(folder.file()).unwrap();
        for left in ["\0\0\0", "{\"a\0\0", "{\"at\":1777\0"] {
            fs::write(folder.file(), format!("{text}{left}")).unwrap();
            let (_, ledger) = Journal::open(folder.file()).unwrap();
            assert!(is_open(&ledger, "a"), "{left:?}");
            assert_eq!(fs::read_to_string(folder.file()).unwrap(), text);
        }
    }

    #[test]
    fn two_servers_on_one_file_are_refused() {
        let folder = Folder::new("two-servers");
        let _first = Journal::open(folder.file()).unwrap();
        let error = Journal::open(folder.file()).unwrap_err();
        assert_eq!(
            std::error::Error::source(&error).unwrap().to_string(),
            "another server has this file"
        );
    }

    #[test]
    fn what_a_failed_write_has_left_is_overwritten() {
        let folder = Folder::new("failed-write");
        let (mut journal, _) = Journal::open(folder.file()).unwrap();
        journal.append(&open("a")).unwrap();
        journal.file.write_all(b"{\"at\":17770").unwrap();
        journal.append(&open("b")).unwrap();
        drop(journal);
        let (_, ledger) = Journal::open(folder.file()).unwrap();
        assert!(is_open(&ledger, "a") && is_open(&ledger, "b"));
    }

    #[test]
    fn a_write_that_fails_adds_nothing_and_the_next_one_succeeds() {
        let folder = Folder::new("fails");
        let (mut journal, _) = Journal::open(folder.file()).unwrap();
        journal.append(&open("a")).unwrap();
        let before = fs::read_to_string(folder.file()).unwrap();
        let read_only = File::open(folder.file()).unwrap();
        let writable = std::mem::replace(&mut journal.file, read_only);
        assert!(journal.append(&open("b")).is_err());
        assert_eq!(journal.latest(1_000).unwrap(), before);
        journal.file = writable;
        journal.append(&open("c")).unwrap();
        drop(journal);
        let (_, ledger) = Journal::open(folder.file()).unwrap();
        assert!(is_open(&ledger, "a") && !is_open(&ledger, "b") && is_open(&ledger, "c"));
    }

    /// A folder that is gone afterwards.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("delivery-gates-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn file(&self) -> PathBuf {
            self.0.join("gates.jsonl")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
