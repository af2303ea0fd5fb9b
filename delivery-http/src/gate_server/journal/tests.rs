use delivery_core::Timestamp;
use delivery_core::rollout::Order;

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
    let (mut journal, ledger) = Journal::open(&folder.file()).unwrap();
    assert!(ledger.says_what(&Ledger::default()));
    journal.append(&open("a")).unwrap();
    journal.append(&open("b")).unwrap();
    drop(journal);
    let (journal, ledger) = Journal::open(&folder.file()).unwrap();
    assert!(is_open(&ledger, "a") && is_open(&ledger, "b") && !is_open(&ledger, "c"));
    let text = fs::read_to_string(folder.file()).unwrap();
    let line = r#"{"at":1777000000000,"who":"alice","rollout":"a.shop","what":"open","gate":"gate"}"#;
    assert_eq!(text.lines().next(), Some(line));
    assert_eq!(journal.latest(1).unwrap().lines().count(), 1);
    assert_eq!(journal.latest(1_000).unwrap(), text);
}

#[test]
fn a_line_that_is_not_known_is_quoted_in_one_line() {
    let folder = Folder::new("quoted");
    let odd = "\\u202e\\n".to_owned() + &"x".repeat(2_000);
    let line = format!(r#"{{"at":1,"who":"a","rollout":"a.b","what":"{odd}","gate":"gate"}}"#);
    fs::write(folder.file(), line + "\n").unwrap();
    let error = Journal::open(&folder.file()).unwrap_err();
    let said = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(text::hidden(&said), None, "{said}");
    assert!(
        said.starts_with("line 1 is no change") && said.chars().count() < 600,
        "{said}"
    );
}

#[test]
fn a_line_that_was_cut_off_anywhere_is_as_if_it_had_never_been() {
    let folder = Folder::new("cut-off");
    let (mut journal, _) = Journal::open(&folder.file()).unwrap();
    journal.append(&open("a")).unwrap();
    let whole = fs::read(folder.file()).unwrap().len();
    journal.append(&open("b")).unwrap();
    drop(journal);
    let text = fs::read(folder.file()).unwrap();
    for cut in whole..text.len() {
        fs::write(folder.file(), &text[..cut]).unwrap();
        let (mut journal, ledger) = Journal::open(&folder.file()).unwrap();
        assert!(is_open(&ledger, "a") && !is_open(&ledger, "b"), "{cut}");
        journal.append(&open("c")).unwrap();
        drop(journal);
        let (_, ledger) = Journal::open(&folder.file()).unwrap();
        assert!(
            is_open(&ledger, "a") && !is_open(&ledger, "b") && is_open(&ledger, "c"),
            "{cut}"
        );
    }
}

#[test]
fn a_line_that_is_no_change_is_refused_and_left_as_it_is() {
    let folder = Folder::new("no-change");
    let text =
        "{\"at\":1,\"who\":\"alice\",\"rollout\":\"a.shop\",\"what\":\"open\",\"gate\":\"gate\"}\nnonsense\n";
    fs::write(folder.file(), text).unwrap();
    let error = Journal::open(&folder.file()).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.starts_with("line 2 is no change that this version knows ("),
        "{cause}"
    );
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
        let error = Journal::open(&folder.file()).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.starts_with("line 1 is no change"), "{cause}");
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), text);
    }
}

#[test]
fn zeros_that_a_power_cut_has_left_are_no_change() {
    let folder = Folder::new("zeros");
    let (mut journal, _) = Journal::open(&folder.file()).unwrap();
    journal.append(&open("a")).unwrap();
    drop(journal);
    let text = fs::read_to_string(folder.file()).unwrap();
    for left in ["\0\0\0", "{\"a\0\0", "{\"at\":1777\0"] {
        fs::write(folder.file(), format!("{text}{left}")).unwrap();
        let (_, ledger) = Journal::open(&folder.file()).unwrap();
        assert!(is_open(&ledger, "a"), "{left:?}");
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), text);
    }
}

#[test]
fn two_servers_on_one_file_are_refused() {
    let folder = Folder::new("two-servers");
    let _first = Journal::open(&folder.file()).unwrap();
    let error = Journal::open(&folder.file()).unwrap_err();
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "another server has this file"
    );
}

#[test]
fn what_a_failed_write_has_left_is_overwritten() {
    let folder = Folder::new("failed-write");
    let (mut journal, _) = Journal::open(&folder.file()).unwrap();
    journal.append(&open("a")).unwrap();
    journal.file.write_all(b"{\"at\":17770").unwrap();
    journal.append(&open("b")).unwrap();
    drop(journal);
    let (_, ledger) = Journal::open(&folder.file()).unwrap();
    assert!(is_open(&ledger, "a") && is_open(&ledger, "b"));
}

#[test]
fn a_write_that_fails_adds_nothing_and_the_next_one_succeeds() {
    let folder = Folder::new("fails");
    let (mut journal, _) = Journal::open(&folder.file()).unwrap();
    journal.append(&open("a")).unwrap();
    let before = fs::read_to_string(folder.file()).unwrap();
    let read_only = File::open(folder.file()).unwrap();
    let writable = std::mem::replace(&mut journal.file, read_only);
    assert!(journal.append(&open("b")).is_err());
    assert_eq!(journal.latest(1_000).unwrap(), before);
    journal.file = writable;
    journal.append(&open("c")).unwrap();
    drop(journal);
    let (_, ledger) = Journal::open(&folder.file()).unwrap();
    assert!(is_open(&ledger, "a") && !is_open(&ledger, "b") && is_open(&ledger, "c"));
}

fn change(name: &str, change: Change) -> Entry {
    Entry { change, ..open(name) }
}

/// So many changes of which only one counts in the end, and one command before all of them.
fn history(changes: usize) -> String {
    let ordered = change(
        "web",
        Change::Order {
            id: "1".into(),
            order: Order::Pause,
        },
    );
    let gate = Gate::Gate;
    let changes = (0..changes).map(|it| match it % 2 {
        0 => open("web"),
        _ => change("web", Change::Close { gate }),
    });
    let lines = std::iter::once(ordered).chain(changes);
    lines
        .map(|it| serde_json::to_string(&it).unwrap() + "\n")
        .collect()
}

fn lines(folder: &Folder) -> usize {
    fs::read_to_string(folder.file()).unwrap().lines().count()
}

fn cause(error: &Error) -> String {
    std::error::Error::source(error).unwrap().to_string()
}

#[test]
fn a_long_file_is_written_anew_and_says_the_same() {
    let folder = Folder::new("long");
    let text = history(50_000);
    fs::write(folder.file(), &text).unwrap();
    let (journal, ledger) = Journal::open(&folder.file()).unwrap();
    assert!(!is_open(&ledger, "web"));
    assert_eq!(ledger.waiting(&Rollout::new("web", "shop").unwrap())[0].id, "1");
    let latest: Vec<&str> = text.lines().rev().take(AUDITED).collect();
    let shown = journal.latest(AUDITED).unwrap();
    assert!(shown.lines().rev().eq(latest));
    assert_eq!(lines(&folder), AUDITED + 1);
    assert_eq!(
        cause(&Journal::open(&folder.file()).unwrap_err()),
        "another server has this file"
    );
    drop(journal);
    let (_, again) = Journal::open(&folder.file()).unwrap();
    assert!(again.says_what(&ledger));
    assert_eq!(folder.files(), ["gates.jsonl"]);
}

#[test]
fn a_file_that_is_written_to_never_gets_longer_than_is_promised() {
    let folder = Folder::new("promised");
    let most = 2 * (AUDITED + 2) + 10_000;
    fs::write(folder.file(), history(most - 10)).unwrap();
    let (mut journal, mut ledger) = Journal::open(&folder.file()).unwrap();
    let mut longest = 0;
    for number in 0..30 {
        let name = format!("web-{}", number / 30);
        let entry = if number % 2 == 0 {
            open(&name)
        } else {
            change(&name, Change::Close { gate: Gate::Gate })
        };
        let line = journal.append(&entry).unwrap();
        ledger.apply(entry, line);
        if let Some(shorter) = journal.shorten(&ledger) {
            ledger = shorter;
        }
        longest = longest.max(lines(&folder));
    }
    assert!(longest <= most + 1, "{longest}");
    assert!(lines(&folder) < 2 * AUDITED);
    drop(journal);
    let (_, again) = Journal::open(&folder.file()).unwrap();
    assert!(again.says_what(&ledger));
}

/// Whatever a process that is killed leaves: nothing of the new file, each beginning of it, or all of it.
#[test]
fn a_new_file_that_was_not_finished_is_as_if_it_had_never_been() {
    let folder = Folder::new("not-finished");
    let text = history(20_000);
    fs::write(folder.file(), &text).unwrap();
    let (journal, ledger) = Journal::open(&folder.file()).unwrap();
    drop(journal);
    let whole = fs::read(folder.file()).unwrap();
    for cut in (0..whole.len()).step_by(whole.len() / 20).chain([1, whole.len()]) {
        fs::write(folder.file(), &text).unwrap();
        fs::write(beside(&folder.file()).unwrap(), &whole[..cut]).unwrap();
        let (_, again) = Journal::open(&folder.file()).unwrap();
        assert!(again.says_what(&ledger), "{cut}");
        assert_eq!(folder.files(), ["gates.jsonl"]);
        assert_eq!(lines(&folder), AUDITED + 1);
    }
}

#[test]
fn a_file_that_cannot_be_written_anew_goes_on_as_it_is() {
    let folder = Folder::new("cannot");
    let text = history(20_000);
    fs::write(folder.file(), &text).unwrap();
    fs::create_dir(beside(&folder.file()).unwrap()).unwrap();
    let (mut journal, ledger) = Journal::open(&folder.file()).unwrap();
    assert_eq!(journal.append(&open("web")).unwrap(), 20_002);
    assert!(journal.shorten(&ledger).is_none());
    assert_eq!(fs::read_to_string(folder.file()).unwrap().lines().count(), 20_002);
    fs::remove_dir(beside(&folder.file()).unwrap()).unwrap();
    assert!(journal.shorten(&ledger).is_none(), "not at once again");
    drop(journal);
    let (_, again) = Journal::open(&folder.file()).unwrap();
    assert!(is_open(&again, "web"));
}

#[cfg(unix)]
#[test]
fn the_new_file_is_where_the_old_one_was_and_as_secret() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = Folder::new("where");
    fs::create_dir(folder.0.join("disk")).unwrap();
    let real = folder.0.join("disk/changes");
    fs::write(&real, history(20_000)).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&real, folder.file()).unwrap();
    let (_journal, _) = Journal::open(&folder.file()).unwrap();
    assert!(fs::symlink_metadata(folder.file()).unwrap().is_symlink());
    let mode = fs::metadata(&real).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(fs::read_to_string(&real).unwrap().lines().count(), AUDITED + 1);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let folder = Folder::new("no-file");
    fs::create_dir(folder.0.join("folder")).unwrap();
    let pipe = folder.0.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for (name, found) in [
        ("folder", "a folder"),
        ("pipe", "a pipe, socket or device"),
        ("/dev/null", "a pipe, socket or device"),
    ] {
        let error = Journal::open(&folder.0.join(name)).unwrap_err();
        assert_eq!(cause(&error), format!("expected a file, and found {found}"));
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_was_moved_away_takes_no_changes_with_it() {
    let folder = Folder::new("moved");
    let (mut journal, ledger) = Journal::open(&folder.file()).unwrap();
    journal.append(&open("a")).unwrap();
    let elsewhere = folder.0.join("gates.jsonl.1");
    fs::rename(folder.file(), &elsewhere).unwrap();
    let moved = "the file was moved, removed or replaced since it was opened: start the server anew";
    assert_eq!(journal.append(&open("b")).unwrap_err().to_string(), moved);
    fs::write(folder.file(), "mine").unwrap();
    assert_eq!(journal.append(&open("b")).unwrap_err().to_string(), moved);
    assert_eq!(journal.rewrite(&ledger).unwrap_err().to_string(), moved);
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), "mine");
    assert_eq!(fs::read_to_string(&elsewhere).unwrap().lines().count(), 1);
    fs::rename(&elsewhere, folder.file()).unwrap();
    journal.append(&open("b")).unwrap();
}

#[test]
fn a_newer_version_is_named() {
    let folder = Folder::new("newer");
    let text = "{\"at\":1,\"who\":\"alice\",\"rollout\":\"a.shop\",\"what\":\"freeze\",\"gate\":\"gate\"}\n";
    fs::write(folder.file(), text).unwrap();
    let cause = cause(&Journal::open(&folder.file()).unwrap_err());
    assert!(
        cause.contains("`freeze`") && cause.ends_with("a newer version may have written it"),
        "{cause}"
    );
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), text);
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

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
