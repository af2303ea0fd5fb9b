//! The folder that the rollout's state is kept in.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Where the rollout's state is kept. A temporary folder goes with this value.
pub(crate) struct StateFolder {
    path: PathBuf,
    /// What is to be removed in the end.
    pub(crate) temporary: Option<PathBuf>,
}

impl StateFolder {
    /// The folder that was asked for, or a new temporary one; it can be written to, and has no state in it.
    pub(crate) fn new(chosen: Option<PathBuf>) -> Result<Self, Error> {
        let folder = chosen.map_or_else(Self::temporary, |path| Self {
            path,
            temporary: None,
        });
        let failed = |source| Error::StateFolder {
            path: folder.path.clone(),
            source,
        };
        fs::create_dir_all(&folder.path).map_err(failed)?;
        if folder.file().exists() {
            let there = "there is the state of another rollout in it already; remove rollout.json or choose another folder";
            return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, there)));
        }
        let probe = folder.path.join("probe");
        let written = fs::File::create(&probe).and_then(|mut file| {
            file.write_all(&[b' '; 4_096])?;
            file.sync_all()
        });
        let removed = fs::remove_file(&probe);
        written.and(removed).map_err(failed)?;
        Ok(folder)
    }

    fn temporary() -> Self {
        let path = std::env::temp_dir().join(format!("delivery-local-{}", std::process::id()));
        // It may have been left by a process with our id that was killed.
        let _ = fs::remove_dir_all(&path);
        Self {
            temporary: Some(path.clone()),
            path,
        }
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where Prometheus keeps its data, as long as it runs.
    pub(crate) fn prometheus(&self) -> PathBuf {
        self.path.join("prometheus")
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path.join("rollout.json")
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        if let Some(path) = &self.temporary {
            let _ = fs::remove_dir_all(path);
        }
    }
}
