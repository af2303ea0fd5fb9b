//! A program whose output nobody reads ends quietly, or goes on: it never panics.

use std::io::pipe;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use delivery_examples::NOBODY_READS;

/// Every program that tells something and ends; with what it is called, and what to expect: clap's help ends well.
const PROGRAMS: [(&str, &[&str], u8); 12] = [
    (
        env!("CARGO_BIN_EXE_simulate"),
        &["simulate/scenarios/canary-errors.yaml"],
        NOBODY_READS,
    ),
    (
        env!("CARGO_BIN_EXE_simulate"),
        &["simulate/scenarios/canary-errors.yaml", "--json"],
        NOBODY_READS,
    ),
    (
        env!("CARGO_BIN_EXE_simulate"),
        &[
            "simulate/scenarios/canary-errors.yaml",
            "--judge=range",
            "--judge=sequential",
        ],
        NOBODY_READS,
    ),
    (env!("CARGO_BIN_EXE_simulate"), &["--help"], 0),
    (
        env!("CARGO_BIN_EXE_check-rules"),
        &["check_rules/alerts.yaml", "check_rules/logs.yaml"],
        NOBODY_READS,
    ),
    (env!("CARGO_BIN_EXE_check-rules"), &["nowhere.yaml"], 1),
    (
        env!("CARGO_BIN_EXE_watch-metrics"),
        &[
            "--prometheus=http://127.0.0.1:1",
            "--plan=watch_metrics/plan.yaml",
        ],
        NOBODY_READS,
    ),
    (
        env!("CARGO_BIN_EXE_watch-metrics"),
        &[
            "--prometheus=http://127.0.0.1:1",
            "--plan=watch_metrics/plan.yaml",
            "--json",
        ],
        NOBODY_READS,
    ),
    (env!("CARGO_BIN_EXE_embed"), &[], NOBODY_READS),
    (env!("CARGO_BIN_EXE_custom-router"), &[], NOBODY_READS),
    (env!("CARGO_BIN_EXE_custom-metric"), &[], NOBODY_READS),
    (env!("CARGO_BIN_EXE_local"), &["--help"], 0),
];

/// The end of a pipe whose other end is closed.
fn unread() -> Stdio {
    pipe().unwrap().1.into()
}

fn program(path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null());
    command
}

fn is_quiet(name: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{name}: {said}");
}

#[test]
fn a_program_whose_output_is_closed_ends_quietly() {
    for (path, arguments, status) in PROGRAMS {
        let output = program(path, arguments).stdout(unread()).output().unwrap();
        let name = format!("{path} {arguments:?}");
        is_quiet(&name, &output);
        assert_eq!(output.status.code(), Some(status.into()), "{name}: {output:?}");
        if status == NOBODY_READS {
            let said = String::from_utf8_lossy(&output.stderr);
            // A plan's warnings may be there.
            assert!(!said.contains("ipe"), "{name}: {said}");
        }
    }
}

/// What goes wrong cannot be told then; the status still can.
#[test]
fn nobody_needs_to_read_errors_either() {
    let wrong: [(&str, &[&str], u8); 6] = [
        (env!("CARGO_BIN_EXE_simulate"), &["nowhere.yaml"], 1),
        (env!("CARGO_BIN_EXE_check-rules"), &["nowhere.yaml"], 1),
        (
            env!("CARGO_BIN_EXE_watch-metrics"),
            &["--prometheus=http://127.0.0.1:1", "--plan=nowhere.yaml"],
            1,
        ),
        (
            env!("CARGO_BIN_EXE_gate-server"),
            &["--token=alice=nowhere.token"],
            1,
        ),
        (env!("CARGO_BIN_EXE_local"), &["--interval=nothing"], 1),
        (env!("CARGO_BIN_EXE_simulate"), &["--nothing"], 1),
    ];
    for (path, arguments, status) in wrong {
        let ended = program(path, arguments)
            .stdout(unread())
            .stderr(unread())
            .status()
            .unwrap();
        assert_eq!(ended.code(), Some(status.into()), "{path} {arguments:?}");
    }
}

/// Its users go on even when nobody looks at the table, and so does the rollout.
#[test]
fn a_release_goes_on_when_nobody_looks() {
    let output = program(env!("CARGO_BIN_EXE_local"), &["--interval=700ms"])
        .stdout(unread())
        .output()
        .unwrap();
    is_quiet("local", &output);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_gate_server_serves_when_nobody_looks() {
    let folder = std::env::temp_dir().join(format!("delivery-closed-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let (token, file) = (folder.join("alice.token"), folder.join("gates.jsonl"));
    std::fs::write(&token, "alice's token is long").unwrap();
    let output = serve_once(&token, &file);
    std::fs::remove_dir_all(&folder).unwrap();
    is_quiet("gate-server", &output);
    assert_eq!(
        output.status.code(),
        None,
        "it served until it was killed: {output:?}"
    );
}

/// Starts it, and kills it as soon as it answers.
fn serve_once(token: &Path, file: &Path) -> Output {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let arguments = [
        format!("--listen={address}"),
        format!("--token=alice={}", token.display()),
        format!("--file={}", file.display()),
    ];
    let arguments = arguments.each_ref().map(String::as_str);
    let mut server = program(env!("CARGO_BIN_EXE_gate-server"), &arguments)
        .stdout(unread())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while server.try_wait().unwrap().is_none() && TcpStream::connect(address).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let _ = server.kill();
    server.wait_with_output().unwrap()
}
