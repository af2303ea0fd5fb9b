//! The inputs that are kept: seeds, and what once found something.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Which inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Inputs to begin with.
    Seeds,
    /// Inputs that once found something.
    Found,
}

impl Kept {
    /// Their folder.
    pub fn folder(self, target: &str) -> PathBuf {
        let name = match self {
            Self::Seeds => "seeds",
            Self::Found => "found",
        };
        Path::new(env!("CARGO_MANIFEST_DIR")).join(name).join(target)
    }

    /// All of them with their files, by name.
    ///
    /// # Errors
    /// The folder is there and cannot be read.
    pub fn read(self, target: &str) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
        let folder = match fs::read_dir(self.folder(target)) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = folder
            .map(|it| it.map(|it| it.path()))
            .collect::<io::Result<Vec<_>>>()?;
        files.sort();
        files
            .into_iter()
            .map(|path| fs::read(&path).map(|input| (path, input)))
            .collect()
    }
}

/// Keeps an input that has found something, and tells where.
///
/// # Errors
/// It cannot be written.
pub fn keep(target: &str, name: &str, input: &[u8]) -> io::Result<PathBuf> {
    let folder = Kept::Found.folder(target);
    fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    fs::write(&path, input)?;
    Ok(path)
}
