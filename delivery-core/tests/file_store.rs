//! The file store on real files, with real processes that are really killed.
#![cfg(feature = "host")]
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::unnecessary_wraps,
    clippy::arithmetic_side_effects,
    reason = "tests have a clock, an environment and threads, and panic when something is wrong"
)]

use core::error::Error;
use core::pin::pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Wake;

use delivery_core::host::FileStore;
use delivery_core::port::{Fault, Loaded, PortError, Saved, StateStore, Version};
use delivery_core::rollout::stored;
use delivery_core::{Revision, State};

// Saving and loading.

#[test]
fn what_was_saved_is_loaded_by_the_next_process() {
    let file = Scratch::new();
    assert_eq!(load(&file.store()).unwrap(), None);
    let first = save(&file.store(), 1, None);
    let second = save(&file.store(), 2, first);
    assert_ne!(first, second);
    let loaded = load(&file.store()).unwrap().unwrap();
    assert_eq!((loaded.state, Some(loaded.version)), (state(2), second));
    assert_eq!(file.names(), ["state.json", "state.json.lock"]);
}

#[cfg(feature = "contract")]
#[test]
fn it_passes_the_contract_of_every_store() {
    let file = Scratch::new();
    // A process that another test starts has our lock, too, until it runs its own program.
    let pause = async || std::thread::sleep(Duration::from_millis(2));
    now(delivery_core::contract::state_store(&file.store(), pause)).unwrap();
}

#[test]
fn the_file_is_a_stored_state_that_a_person_can_read() {
    let file = Scratch::new();
    save(&file.store(), 7, None);
    let text = fs::read_to_string(&file.path).unwrap();
    assert_eq!(stored::decode(&text).unwrap(), state(7));
    for line in [
        "  \"format\": \"delivery.rollout.state\",",
        "  \"saves\": 1,",
        "    \"primary\": \"v1\",",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("}\n"));
}

#[test]
fn a_stored_text_from_elsewhere_is_a_beginning() {
    let file = Scratch::new();
    fs::write(&file.path, stored::encode(&state(41)).unwrap()).unwrap();
    let loaded = load(&file.store()).unwrap().unwrap();
    assert_eq!((loaded.state.sequence, loaded.version), (41, Version(0)));
    assert_eq!(save(&file.store(), 42, Some(loaded.version)), Some(Version(1)));
}

#[test]
fn a_relative_path_is_beside_the_working_directory() {
    assert_eq!(load(&FileStore::new("no-such-state.json")).unwrap(), None);
}

// Compare-and-swap.

#[test]
fn a_save_over_a_version_that_is_gone_writes_nothing() {
    let file = Scratch::new();
    let store = file.store();
    assert_eq!(try_save(&store, 9, Some(Version(3))).unwrap(), Saved::Stale);
    assert_eq!(load(&store).unwrap(), None);
    let first = save(&store, 1, None);
    let second = save(&store, 2, first);
    for over in [None, first, Some(Version(77))] {
        assert_eq!(try_save(&store, 9, over).unwrap(), Saved::Stale);
    }
    let loaded = load(&store).unwrap().unwrap();
    assert_eq!((loaded.state, Some(loaded.version)), (state(2), second));
}

#[test]
fn of_many_processes_none_loses_an_update() {
    let file = Scratch::new();
    let children: Vec<Child> = (0..4).map(|_| child("counts", &file.path)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(load(&file.store()).unwrap().unwrap().state.sequence, 4 * COUNTED);
}

#[test]
fn of_many_threads_none_loses_an_update() {
    let file = Scratch::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| count(&file.store()));
        }
    });
    assert_eq!(load(&file.store()).unwrap().unwrap().state.sequence, 4 * COUNTED);
}

// Crashes.

#[test]
fn a_process_that_is_killed_leaves_a_whole_state_that_is_no_older_than_it_said() {
    let file = Scratch::new();
    let (mut left_behind, mut moved) = (0, 0);
    for round in 0..30_u32 {
        let mut child = child("saves", &file.path);
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let sequence = |line: String| line.strip_prefix(SAVED).and_then(|it| it.parse::<u64>().ok());
        let first = lines
            .by_ref()
            .find_map(sequence)
            .expect("the child says what it saved");
        // Spread over the time that a few saves take.
        std::thread::sleep(Duration::from_micros(u64::from(round) * 331));
        child.kill().unwrap();
        child.wait().unwrap();
        let said = lines.filter_map(sequence).last().unwrap_or(first);
        left_behind += u32::from(file.temporary().exists());
        moved += u32::from(said > first);

        let text = fs::read_to_string(&file.path).unwrap();
        let found = stored::decode(&text)
            .unwrap_or_else(|it| panic!("round {round}: {it:?} in\n{text}"))
            .sequence;
        assert!(
            (said..=said + 1).contains(&found),
            "round {round}: it said {said}, the file has {found}"
        );
        let loaded = load(&file.store()).unwrap().unwrap();
        assert_eq!(loaded.state.sequence, found);
    }
    println!(
        "killed 30 times: {moved} times after more than one save, {left_behind} times with a temporary file"
    );
    assert!(moved > 0, "the children never got beyond their first save");
    // The lock of a dead process holds nobody, and what it left behind goes with the next save.
    let loaded = load(&file.store()).unwrap().unwrap();
    save(&file.store(), 1, Some(loaded.version));
    assert_eq!(file.names(), ["state.json", "state.json.lock"]);
}

#[test]
fn a_temporary_file_of_a_crash_is_harmless() {
    let file = Scratch::new();
    let version = save(&file.store(), 1, None);
    fs::write(file.temporary(), "{\"format\": \"delivery.roll").unwrap();
    assert_eq!(load(&file.store()).unwrap().unwrap().state, state(1));
    save(&file.store(), 2, version);
    assert_eq!(load(&file.store()).unwrap().unwrap().state, state(2));
    assert!(!file.temporary().exists());
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_in_the_middle_of_a_save_leaves_the_state_before() {
    let file = Scratch::new();
    save(&file.store(), 1, None);
    let before = fs::read(&file.path).unwrap();
    // A limit on the size of files fails in the same place, and for root as well.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
    let mut limited = Command::new("sh");
    limited.args(["-c", script]).arg(std::env::current_exe().unwrap());
    let mut child = spawn(&mut limited, "fails", &file.path);
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read(&file.path).unwrap(), before);
    assert_eq!(file.names(), ["state.json", "state.json.lock"]);
}

// What is no state.

#[test]
fn what_is_no_state_is_an_error_and_left_as_it_is() {
    let good = {
        let file = Scratch::new();
        save(&file.store(), 1, None);
        fs::read_to_string(&file.path).unwrap()
    };
    let half = good.split_at(good.len() / 2).0;
    let newer = good.replace("\"version\": 1", "\"version\": 999");
    let without_stage = good.replace("\"stage\"", "\"scene\"");
    let negative = good.replace("\"saves\": 1", "\"saves\": -1");
    for (text, why) in [
        ("", "the file is empty"),
        ("\n", "EOF while parsing"),
        (half, "EOF while parsing"),
        ("hello\n", "no valid JSON"),
        ("[1, 2, 3]", "no valid JSON"),
        (
            "{\"kind\": \"Deployment\", \"apiVersion\": \"apps/v1\"}",
            "`format` is missing",
        ),
        (
            "{\"format\": \"delivery.plan\", \"version\": 1}",
            "`format` is \"delivery.plan\"",
        ),
        (&newer, "version 999; this program reads up to 1"),
        (&without_stage, "unknown field `scene`"),
        (&negative, "invalid value: integer `-1`"),
    ] {
        refused_and_left(text.as_bytes(), why);
    }
    refused_and_left(b"\xff\xfe{}", "invalid utf-8");
    refused_and_left(&[b' '; 1 << 10], "no valid JSON");
}

#[test]
fn a_state_that_is_cut_off_anywhere_is_no_state() {
    let file = Scratch::new();
    save(&file.store(), 1, None);
    let text = fs::read(&file.path).unwrap();
    // Without the line break at its end it is whole.
    for length in 0..text.len() - 1 {
        fs::write(&file.path, &text[..length]).unwrap();
        let error = load(&file.store()).expect_err("a part of a state is none");
        assert_eq!(error.fault, Fault::Permanent, "{length} bytes");
    }
}

#[test]
fn a_digit_that_was_changed_is_found_and_left_as_it_is() {
    let file = Scratch::new();
    save(&file.store(), 17, None);
    let text = fs::read_to_string(&file.path).unwrap();
    let changed = text.replace("\"sequence\": 17", "\"sequence\": 18");
    assert_ne!(text, changed);
    refused_and_left(changed.as_bytes(), "the file was changed or damaged");
}

#[test]
fn a_file_that_is_too_long_says_so_and_none_is_written() {
    let file = Scratch::new();
    let first = save(&file.store(), 1, None);
    let before = fs::read(&file.path).unwrap();
    let long = State {
        commands: vec!["x".repeat(usize::try_from(FileStore::LARGEST).unwrap())],
        ..state(2)
    };
    let error = now(file.store().save(&long, first)).unwrap_err();
    assert_eq!(error.fault, Fault::Permanent);
    let said = chain(&error);
    assert!(
        said.contains("the state takes 671") && said.contains("more than 67108864"),
        "{said}"
    );
    assert_eq!(fs::read(&file.path).unwrap(), before);

    // A file with a hole takes no room on the disk.
    fs::File::options()
        .write(true)
        .open(&file.path)
        .unwrap()
        .set_len(FileStore::LARGEST + 1)
        .unwrap();
    for error in [
        load(&file.store()).unwrap_err(),
        try_save(&file.store(), 2, first).unwrap_err(),
    ] {
        let said = chain(&error);
        assert_eq!(error.fault, Fault::Permanent, "{said}");
        assert!(
            said.contains("67108865 bytes") && said.contains("67108864 at most"),
            "{said}"
        );
    }
}

// What is no file.

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_at_once_and_left_as_it_is() {
    let file = Scratch::new();
    let pipe = file.directory.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let socket = file.directory.join("socket");
    let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let link = file.directory.join("link");
    std::os::unix::fs::symlink(&pipe, &link).unwrap();
    let before = file.names();
    for (path, kind) in [
        (pipe.as_path(), "a named pipe"),
        (&link, "a named pipe"),
        (&socket, "a socket"),
        (&file.directory, "a directory"),
        (Path::new("/dev/zero"), "a device"),
        (Path::new("/dev/null"), "a device"),
    ] {
        let store = FileStore::new(path);
        for error in [load(&store).unwrap_err(), try_save(&store, 1, None).unwrap_err()] {
            let said = chain(&error);
            assert_eq!(error.fault, Fault::Permanent, "{said}");
            assert!(said.contains(&path.display().to_string()), "{said}");
            assert!(
                said.contains(&format!("expected a regular file, and found {kind}")),
                "{said}"
            );
        }
    }
    assert_eq!(file.names(), before);
}

#[cfg(unix)]
#[test]
fn a_pipe_beside_the_file_is_refused_or_replaced() {
    let file = Scratch::new();
    let pipe = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    // What lies where the temporary file goes is never opened.
    pipe(&file.temporary());
    save(&file.store(), 1, None);
    assert!(!file.temporary().exists());
    let lock = file.directory.join("state.json.lock");
    fs::remove_file(&lock).unwrap();
    pipe(&lock);
    let error = try_save(&file.store(), 2, Some(Version(1))).unwrap_err();
    let said = chain(&error);
    assert!(
        said.contains("locking") && said.contains("found a named pipe"),
        "{said}"
    );
}

// Who may read it.

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let file = Scratch::new();
    let mode = |name: &str| {
        let found = fs::metadata(file.directory.join(name)).unwrap();
        found.permissions().mode() & 0o777
    };
    let first = save(&file.store(), 1, None);
    for name in file.names() {
        assert_eq!(mode(&name), 0o600, "{name}");
    }
    let mut version = first;
    for (before, after) in [(0o644, 0o600), (0o666, 0o600), (0o400, 0o400), (0o440, 0o400)] {
        fs::set_permissions(&file.path, fs::Permissions::from_mode(before)).unwrap();
        version = save(&file.store(), 2, version);
        assert_eq!(mode("state.json"), after, "{before:o}");
    }
}

// Locks.

#[test]
fn a_lock_that_is_held_is_an_error_that_names_the_holder() {
    let file = Scratch::new();
    let first = save(&file.store(), 1, None);
    let mut child = child("holds", &file.path);
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert!(
        lines.any(|it| it.ends_with(HELD)),
        "the child says when it has the lock"
    );
    let store = file.store().lock_timeout(Duration::from_millis(20));
    let error = try_save(&store, 2, first).unwrap_err();
    let said = chain(&error);
    assert_eq!(error.fault, Fault::Transient { after: None }, "{said}");
    for part in [
        &format!("locking {}.lock to save", file.path.display()),
        &format!("process {}, the last to take it, holds the lock", child.id()),
        "if it hangs, end it",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    // Loading waits for nobody.
    assert_eq!(load(&store).unwrap().unwrap().state, state(1));
    child.kill().unwrap();
    child.wait().unwrap();
    save(&store, 2, first);
}

#[test]
fn a_lock_is_waited_for_beside_the_thread_of_the_caller() {
    let file = Scratch::new();
    let first = save(&file.store(), 1, None);
    let lock = fs::File::options()
        .write(true)
        .open(file.directory.join("state.json.lock"))
        .unwrap();
    lock.lock().unwrap();
    let store = file.store().lock_timeout(Duration::MAX);
    let next = state(2);
    let mut saving = pin!(store.save(&next, first));
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(saving.as_mut().poll(&mut context).is_pending());
    // The thread that would have to wait is the one that gives the lock up.
    lock.unlock().unwrap();
    assert!(matches!(now(saving).unwrap(), Saved::Now(_)));
}

// What cannot be read or written.

#[test]
fn a_missing_directory_is_an_error_that_says_so() {
    let file = Scratch::new();
    let missing = file.path.with_file_name("missing");
    let store = FileStore::new(missing.join("state.json"));
    for error in [load(&store).unwrap_err(), try_save(&store, 1, None).unwrap_err()] {
        assert_eq!(error.fault, Fault::Permanent);
        assert!(
            chain(&error).contains(&format!("looking into {} for", missing.display())),
            "{}",
            chain(&error)
        );
        assert!(
            chain(&error).contains("No such file or directory"),
            "{}",
            chain(&error)
        );
    }
    assert!(!missing.exists());
}

#[test]
fn a_directory_in_place_of_the_file_is_an_error_and_left_as_it_is() {
    let file = Scratch::new();
    fs::create_dir(&file.path).unwrap();
    for error in [
        load(&file.store()).unwrap_err(),
        try_save(&file.store(), 1, None).unwrap_err(),
    ] {
        assert_eq!(error.fault, Fault::Permanent);
        assert!(
            chain(&error).contains(&file.path.display().to_string()),
            "{}",
            chain(&error)
        );
    }
    assert!(file.path.is_dir());
}

#[test]
fn a_file_in_place_of_the_directory_is_an_error() {
    let file = Scratch::new();
    fs::write(&file.path, "{}").unwrap();
    let store = FileStore::new(file.path.join("state.json"));
    for error in [load(&store).unwrap_err(), try_save(&store, 1, None).unwrap_err()] {
        assert_eq!(error.fault, Fault::Permanent, "{}", chain(&error));
    }
    assert_eq!(fs::read(&file.path).unwrap(), b"{}");
}

#[test]
fn a_path_without_a_name_is_an_error() {
    let error = try_save(&FileStore::new("/"), 1, None).unwrap_err();
    assert_eq!(error.fault, Fault::Permanent, "{}", chain(&error));
}

// The processes that the tests above start: this test, with these variables set.

const ROLE: &str = "DELIVERY_FILE_STORE_ROLE";
const FILE: &str = "DELIVERY_FILE_STORE_FILE";
const SAVED: &str = "saved ";
const HELD: &str = "it is held";
const COUNTED: u64 = 25;

#[test]
fn as_another_process() {
    let (Ok(role), Some(path)) = (std::env::var(ROLE), std::env::var_os(FILE)) else {
        return;
    };
    let store = FileStore::new(path);
    match role.as_str() {
        "counts" => count(&store),
        "saves" => save_for_ever(&store),
        "holds" => hold(store.path()),
        "fails" => {
            let large = State {
                commands: vec!["x".repeat(1 << 20)],
                ..state(2)
            };
            let over = load(&store).unwrap().map(|it| it.version);
            let error = now(store.save(&large, over)).expect_err("the file is too large");
            assert!(
                chain(&error).contains(&store.path().display().to_string()),
                "{}",
                chain(&error)
            );
        }
        other => panic!("nobody plays {other}"),
    }
}

fn child(role: &str, path: &Path) -> Child {
    spawn(&mut Command::new(std::env::current_exe().unwrap()), role, path)
}

fn spawn(command: &mut Command, role: &str, path: &Path) -> Child {
    let command = command.args(["--exact", "as_another_process", "--nocapture"]);
    command
        .env(ROLE, role)
        .env(FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Takes the lock as a save does, and keeps it until it is killed.
fn hold(path: &Path) {
    let mut lock = fs::File::options()
        .write(true)
        .open(path.with_file_name("state.json.lock"))
        .unwrap();
    lock.lock().unwrap();
    writeln!(lock, "{}", std::process::id()).unwrap();
    println!("\n{HELD}");
    std::thread::sleep(Duration::MAX);
}

fn save_for_ever(store: &FileStore) {
    let mut version = load(store).unwrap().map(|it| it.version);
    let mut sequence = load(store).unwrap().map_or(0, |it| it.state.sequence);
    let mut told = std::io::stdout();
    loop {
        sequence += 1;
        version = save(store, sequence, version);
        writeln!(told, "\n{SAVED}{sequence}").unwrap();
        told.flush().unwrap();
    }
}

/// Adds to the sequence so often, whoever else does.
fn count(store: &FileStore) {
    let mut counted = 0;
    while counted < COUNTED {
        let before = load(store).unwrap();
        let next = before.as_ref().map_or(1, |it| it.state.sequence + 1);
        if try_save(store, next, before.map(|it| it.version)).unwrap() != Saved::Stale {
            counted += 1;
        }
    }
}

// Words for the tests.

/// A directory of its own for a test, which goes with it.
struct Scratch {
    directory: PathBuf,
    path: PathBuf,
}

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "delivery-file-store-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        Self {
            path: directory.join("state.json"),
            directory,
        }
    }

    fn store(&self) -> FileStore {
        FileStore::new(&self.path)
    }

    fn temporary(&self) -> PathBuf {
        self.directory.join("state.json.tmp")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn state(sequence: u64) -> State {
    State {
        sequence,
        ..State::initialized(Revision::new("v1").unwrap())
    }
}

/// The output of a future, in a thread that does nothing else meanwhile.
fn now<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn load(store: &FileStore) -> Result<Option<Loaded>, PortError> {
    now(store.load())
}

fn try_save(store: &FileStore, sequence: u64, over: Option<Version>) -> Result<Saved, PortError> {
    now(store.save(&state(sequence), over))
}

fn save(store: &FileStore, sequence: u64, over: Option<Version>) -> Option<Version> {
    match try_save(store, sequence, over).unwrap() {
        Saved::Now(version) => Some(version),
        Saved::Stale => panic!("stale over {over:?}"),
    }
}

fn refused_and_left(content: &[u8], why: &str) {
    let file = Scratch::new();
    fs::write(&file.path, content).unwrap();
    let saves =
        [None, Some(Version(0)), Some(Version(1))].map(|over| try_save(&file.store(), 9, over).map(|_| ()));
    for tried in saves.into_iter().chain([load(&file.store()).map(|_| ())]) {
        let error = tried.expect_err(why);
        assert_eq!(error.fault, Fault::Permanent);
        assert!(
            error.to_string().contains(&file.path.display().to_string()),
            "{error}"
        );
        assert!(
            chain(&error).contains(why),
            "{} does not say: {why}",
            chain(&error)
        );
    }
    assert_eq!(fs::read(&file.path).unwrap(), content);
    assert!(!file.temporary().exists());
}

fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}
