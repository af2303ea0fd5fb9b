//! The file of a gate server.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use delivery_http::gate_server::GateServer;

use crate::{Shape, check};

/// Reads the input as the file of an earlier process. What cannot be used stays as it is; what can loses nothing but a
/// line that is not whole, and is read again as it is left.
pub(super) fn run(input: &[u8]) -> Shape {
    let file = file();
    let wrote = fs::write(&file, input);
    assert!(wrote.is_ok(), "{}: {wrote:?}", file.display());
    let read = || fs::read(&file).unwrap_or_default();
    match open(&file) {
        Ok(()) => {
            let left = read();
            let lines = |it: &[u8]| it.split(|byte| *byte == b'\n').count();
            assert_eq!(
                lines(&left),
                lines(input),
                "a whole line is gone, or there is a new one"
            );
            assert!(input.starts_with(&left), "the file was changed");
            assert!(open(&file).is_ok(), "what was read once is not read again");
            assert_eq!(read(), left, "to read it again changes it");
            Shape::default().and((lines(input).min(8), left.len() == input.len()))
        }
        Err(error) => {
            assert!(read() == input, "a file that cannot be used was changed");
            Shape::default().said(&check::error(&error).replace(&file.display().to_string(), ""))
        }
    }
}

fn open(file: &Path) -> Result<(), delivery_http::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime of one thread");
    runtime.block_on(GateServer::builder(file).open()).map(drop)
}

/// A file of this thread, in memory where there is such a folder: each run waits for the disk otherwise.
fn file() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let folder = parent.join(format!("delivery-fuzz-{}", std::process::id()));
        let created = fs::create_dir_all(&folder);
        assert!(created.is_ok(), "{}: {created:?}", folder.display());
        folder
    });
    folder.join(format!("{:?}.jsonl", std::thread::current().id()))
}
