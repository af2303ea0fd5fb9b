//! The files of a store: where they are, what kind of file may be there, and how one is replaced.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::vec::Vec;

use super::super::std::fs::{self, File, FileType, Metadata, OpenOptions};
use super::super::std::io::{self, ErrorKind, Read, Write};
use super::super::std::path::{Path, PathBuf};

/// The path of the state, and of the files beside it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
}

impl Place {
    pub(super) fn directory(&self) -> &Path {
        self.path
            .parent()
            .filter(|it| !it.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
    }

    /// The file of this name and this ending; an error for a path that names no file, such as `/`.
    pub(super) fn beside(&self, suffix: &str) -> io::Result<PathBuf> {
        let name = self.path.file_name().ok_or(ErrorKind::InvalidFilename)?;
        let mut name = name.to_owned();
        name.push(suffix);
        Ok(self.path.with_file_name(name))
    }

    /// Refuses what is no regular file. Nothing may be there at all.
    pub(super) fn check(&self) -> io::Result<()> {
        check(&self.path)
    }

    /// The bytes of the file, and none when there is no file. Longer files than `most` bytes are not read to their end.
    pub(super) fn read(&self, most: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match open(&self.path, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(none) if none.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        if length > most {
            return Err(too_long(length, most));
        }
        let mut bytes = Vec::new();
        let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        // Somebody may write to it meanwhile.
        match u64::try_from(read) {
            Ok(read) if read <= most => Ok(Some(bytes)),
            Ok(_) | Err(_) => Err(too_long(most.saturating_add(1), most)),
        }
    }

    /// Writes the text to a temporary file, and puts that in place of the file, so that the file is whole at any moment.
    pub(super) fn replace(&self, text: &str) -> io::Result<()> {
        let temporary = self.beside(".tmp")?;
        let replaced = self.replace_by(&temporary, text);
        if replaced.is_err() {
            // Only to be tidy: the next save does it as well.
            let _ = fs::remove_file(&temporary);
        }
        replaced
    }

    fn replace_by(&self, temporary: &Path, text: &str) -> io::Result<()> {
        match fs::remove_file(temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        private(&mut options, fs::metadata(&self.path).ok().as_ref());
        let mut file = options.create_new(true).write(true).open(temporary)?;
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
}

/// Opens a regular file, and refuses anything else at once.
///
/// What is there is looked at first, because opening alone has effects: a device may act on it, and a pipe waits for its
/// other end. It may be exchanged after the look, so opening does not wait either, and what was opened is looked at again.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    check(path)?;
    open_now(path, options)
}

fn open_now(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    without_waiting(options);
    let file = options.open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// What is created is for its owner alone, and no more than what it replaces, if that was for even less.
pub(super) fn private(options: &mut OpenOptions, replaced: Option<&Metadata>) {
    #[cfg(unix)]
    {
        use super::super::std::os::unix::fs::{MetadataExt, OpenOptionsExt};
        const OWNER: u32 = 0o600;
        options.mode(replaced.map_or(OWNER, |it| it.mode() & OWNER));
    }
    #[cfg(not(unix))]
    let _ = (options, replaced);
}

/// The flag `O_NONBLOCK`, where it is known: without it, opening a pipe waits for whoever writes to it.
#[cfg(unix)]
fn without_waiting(options: &mut OpenOptions) {
    use super::super::std::os::unix::fs::OpenOptionsExt;
    const LINUX: bool = cfg!(all(
        any(target_os = "linux", target_os = "android"),
        not(any(
            target_arch = "mips",
            target_arch = "mips64",
            target_arch = "mips32r6",
            target_arch = "mips64r6",
            target_arch = "sparc",
            target_arch = "sparc64"
        ))
    ));
    const BSD: bool = cfg!(any(
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "dragonfly",
        target_os = "netbsd",
        target_os = "openbsd"
    ));
    if LINUX {
        options.custom_flags(0o4000);
    } else if BSD {
        options.custom_flags(0x0004);
    }
}

#[cfg(not(unix))]
fn without_waiting(_: &mut OpenOptions) {}

fn check(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) => regular(&found),
        Err(none) if none.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn regular(found: &Metadata) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::InvalidInput,
        format!(
            "expected a regular file, and found {}: give another path, or move it away",
            kind(found.file_type())
        ),
    ))
}

fn kind(found: FileType) -> &'static str {
    if found.is_dir() {
        return "a directory";
    }
    #[cfg(unix)]
    {
        use super::super::std::os::unix::fs::FileTypeExt;
        if found.is_fifo() {
            return "a named pipe";
        }
        if found.is_socket() {
            return "a socket";
        }
        if found.is_char_device() || found.is_block_device() {
            return "a device";
        }
    }
    "something else"
}

fn too_long(length: u64, most: u64) -> io::Error {
    io::Error::new(
        ErrorKind::FileTooLarge,
        format!("the file has {length} bytes or more, and a state has {most} at most: it is something else"),
    )
}

#[cfg(all(test, unix))]
mod tests {
    use alloc::string::ToString;

    use super::super::super::std;
    use super::*;

    #[test]
    fn a_pipe_that_appears_after_the_look_is_refused_without_waiting() {
        let path = std::env::temp_dir().join(format!("delivery-core-pipe-{}", std::process::id()));
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        for options in [
            OpenOptions::new().read(true),
            OpenOptions::new().read(true).write(true),
        ] {
            let error = open_now(&path, options).unwrap_err();
            assert!(error.to_string().contains("found a named pipe"), "{error}");
        }
        fs::remove_file(&path).unwrap();
    }
}
