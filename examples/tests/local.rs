//! The example `local`, end to end: real processes, real requests, and nobody may notice the release.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

// The good version

#[test]
fn a_good_version_is_promoted() {
    let ended = local(&["--interval", "700ms"]).wait();
    ended.is_promoted();
    assert_eq!(ended.weights(), [10, 20, 30, 40, 50, 0]);
    ended.says("v2 is promoted");
    let steps = ended.report["steps"].as_array().unwrap();
    let by_new_version = steps.last().unwrap()["by_new_version"].as_u64();
    assert_eq!(
        by_new_version,
        steps.last().unwrap()["sent"].as_u64(),
        "v2 answers everything in the end"
    );
    for step in steps {
        assert!(
            step["p50_ms"].as_f64() <= step["p99_ms"].as_f64() && step["p50_ms"].as_f64() > Some(1.0),
            "{step}"
        );
    }
}

#[test]
fn a_controller_that_is_killed_again_and_again_promotes_it_too() {
    let ended = local(&["--interval", "700ms", "--kill-controller"]).wait();
    ended.is_promoted();
    assert_eq!(ended.weights(), [10, 20, 30, 40, 50, 0]);
    assert!(
        ended.report["kills"].as_u64().unwrap() >= 4,
        "{}",
        ended.report["kills"]
    );
}

// Bad versions

#[test]
fn a_version_with_errors_is_rolled_back() {
    let ended = local(&["--bad", "errors", "--interval", "700ms"]).wait();
    ended.is_rolled_back("request-success-rate");
    assert!(ended.report["bad_answers"].as_u64().unwrap() > 0);
}

#[test]
fn a_slow_version_is_rolled_back() {
    local(&["--bad", "latency", "--interval", "700ms"])
        .wait()
        .is_rolled_back("request-duration");
}

/// The same bad version under both judges. Which one is faster is no matter of luck: bounds allow five failed rounds.
#[test]
fn a_test_stops_a_bad_version_sooner_than_a_bound() {
    let ended = |judge: &str| local(&["--bad", "errors", "--judge", judge, "--interval", "700ms"]).wait();
    let (bounded, tested) = (ended("range"), ended("sequential"));
    bounded.is_rolled_back("threshold 5 reached: request-success-rate");
    tested.is_rolled_back("convicted by request-success-rate");
    let number = |ended: &Ended, name: &str| ended.report[name].as_u64().unwrap();
    for what in ["canary_traffic_ms", "bad_answers"] {
        let (bounded, tested) = (number(&bounded, what), number(&tested, what));
        assert!(tested < bounded, "{what}: {tested}, and {bounded} with bounds");
    }
}

#[test]
fn a_test_promotes_a_good_version_and_stops_a_slow_one() {
    local(&["--judge", "sequential", "--interval", "700ms"])
        .wait()
        .is_promoted();
    local(&["--judge", "sequential", "--bad", "latency", "--interval", "1s"])
        .wait()
        .is_rolled_back("convicted by request-duration");
}

#[test]
fn a_version_that_crashes_is_rolled_back() {
    let ended = local(&["--bad", "crash", "--interval", "700ms"]).wait();
    ended.is_rolled_back("the canary was not ready in time");
    ended.says("canary-1 (v2) died");
}

#[test]
fn a_version_that_nobody_can_judge_is_rolled_back() {
    let ended = local(&["--bad", "no-traffic", "--interval", "700ms"]).wait();
    ended.is_rolled_back("no data");
    assert_eq!(ended.weights(), [10, 0], "nothing without data lets a round pass");
}

#[test]
fn a_controller_that_is_killed_again_and_again_rolls_back_too() {
    let ended = local(&["--bad", "errors", "--interval", "700ms", "--kill-controller"]).wait();
    ended.is_rolled_back("request-success-rate");
    assert!(
        ended.report["kills"].as_u64().unwrap() >= 4,
        "{}",
        ended.report["kills"]
    );
}

// Gates

#[test]
fn a_promotion_waits_until_somebody_opens_the_gate() {
    let mut running = local(&["--interval", "700ms", "--gate"]);
    let line = running.line_with("/gate/open");
    // It stays where it is, and goes on judging.
    sleep(Duration::from_millis(1_500));
    open_gate(&line);
    let ended = running.wait();
    ended.is_promoted();
    assert_eq!(ended.weights(), [10, 20, 30, 40, 50, 0]);
    ended.says("smoke test called for my-service, which is Progressing");
    ended.says("WaitingPromotion");
    ended.says("confirm-promotion release gate denied: http://127.0.0.1:");
    ended.says("answered 403: Forbidden");
    ended.says("team told: my-service.local: promotion completed");
    assert!(!ended.said.contains("again"), "{}", ended.said);
}

#[test]
fn a_controller_that_is_killed_while_it_asks_asks_again_with_the_same_key() {
    let mut running = local(&["--interval", "700ms", "--gate", "--kill-controller"]);
    let line = running.line_with("/gate/open");
    open_gate(&line);
    let ended = running.wait();
    ended.is_promoted();
    ended.says("when it has asked the smoke test, before it hears the answer");
    ended.says("smoke test called for my-service, which is Progressing, again");
}

#[test]
fn whoever_does_not_want_to_open_the_gate_can_roll_back() {
    let mut running = local(&["--interval", "700ms", "--gate"]);
    running.line_with("/gate/open");
    signal("INT", running.child.id());
    running.wait().is_rolled_back("you: abort");
}

/// What the `curl` line does, on a machine that may have no curl.
fn open_gate(line: &str) {
    let between = |from: &str, to: &str| line.split_once(from).unwrap().1.split_once(to).unwrap().0;
    let token = fs::read_to_string(between("cat '", "'")).unwrap();
    let (address, body) = (between("http://", "/"), between("-d '", "'"));
    let length = body.len();
    let request = format!(
        "POST /gate/open HTTP/1.0\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 202 "), "{answer}");
}

// A real Prometheus

#[test]
#[ignore = "needs prometheus: run the README's test command"]
fn a_good_version_is_promoted_by_what_prometheus_measures() {
    let ended = local(&["--prometheus", "--interval", "1s"]).wait();
    ended.is_promoted();
    assert_eq!(ended.weights(), [10, 20, 30, 40, 50, 0]);
    ended.says("checks passed: request-success-rate 100 at least 99; request-duration ");
}

#[test]
#[ignore = "needs prometheus: run the README's test command"]
fn a_version_with_errors_is_rolled_back_by_what_prometheus_measures() {
    let ended = local(&["--prometheus", "--bad", "errors", "--interval", "1s"]).wait();
    ended.is_rolled_back("request-success-rate");
}

#[test]
#[ignore = "needs prometheus: run the README's test command"]
fn a_version_with_errors_is_convicted_by_what_prometheus_counts() {
    let judged = [
        "--prometheus",
        "--judge",
        "sequential",
        "--bad",
        "errors",
        "--interval",
        "1s",
    ];
    local(&judged)
        .wait()
        .is_rolled_back("convicted by request-success-rate");
}

#[test]
#[ignore = "needs prometheus: run the README's test command"]
fn a_slow_version_is_rolled_back_by_what_prometheus_measures() {
    let ended = local(&["--prometheus", "--bad", "latency", "--interval", "1s"]).wait();
    ended.is_rolled_back("request-duration");
}

#[test]
#[ignore = "needs prometheus: run the README's test command"]
fn a_version_that_prometheus_sees_nothing_of_is_rolled_back() {
    let ended = local(&["--prometheus", "--bad", "no-traffic", "--interval", "4s"]).wait();
    ended.is_rolled_back("no data");
    assert_eq!(ended.weights(), [10, 0], "nothing without data lets a round pass");
}

#[test]
#[ignore = "needs prometheus: run the README's test command"]
fn a_rollout_holds_while_prometheus_is_gone_and_goes_on_when_it_is_back() {
    let ended = local(&["--prometheus", "--stop-prometheus", "--interval", "1s"]).wait();
    ended.is_promoted();
    assert_eq!(ended.weights(), [10, 20, 30, 40, 50, 0]);
    let (before, after) = ended.said.split_once("Prometheus was stopped").unwrap();
    let (without, after) = after.split_once("Prometheus was started again").unwrap();
    assert!(before.contains("Progressing       20"), "{before}");
    assert!(without.contains("source unreachable: "), "{without}");
    let moved = |text: &str| text.contains("checks passed");
    assert!(moved(before) && !moved(without) && moved(after), "{}", ended.said);
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs prometheus: run the README's test command"]
fn no_prometheus_outlives_a_supervisor_that_is_killed() {
    let mut running = local(&["--prometheus", "--interval", "1s"]);
    running.read_until("Progressing       10");
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    running.leaves_nothing();
    let until = Instant::now() + Duration::from_secs(10);
    while running.inhabited() {
        assert!(Instant::now() < until, "something still works in its folder");
        sleep(Duration::from_millis(50));
    }
}

// Faults

/// The rollout holds until they are back, and goes on.
#[cfg(target_os = "linux")]
#[test]
fn processes_that_die_once_are_replaced() {
    let mut running = local(&["--interval", "700ms"]);
    running.read_until("Progressing       10");
    for version in ["v1", "v2"] {
        let process = running.processes(&format!("service --revision {version}"))[0];
        signal("KILL", process);
    }
    let ended = running.wait();
    ended.is_promoted();
    ended.says("(v1) died");
    ended.says("(v2) died");
}

#[test]
fn ctrl_c_sends_all_traffic_back() {
    let mut running = local(&["--interval", "1s"]);
    running.read_until("Progressing       20");
    signal("INT", running.child.id());
    let ended = running.wait();
    ended.is_rolled_back("you: abort");
    // On a busy machine the signal may come after the next weight.
    let weights = ended.weights();
    assert!(
        weights.starts_with(&[10, 20]) && weights.ends_with(&[0]),
        "{weights:?}"
    );
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let mut running = local(&["--interval", "1s"]);
    running.read_until("Initialized");
    signal("TERM", running.child.id());
    running.read_until("interrupted");
    let begun = Instant::now();
    signal("INT", running.child.id());
    let status = running.child.wait().unwrap();
    assert_eq!(status.code(), Some(2));
    assert!(
        begun.elapsed() < Duration::from_millis(900),
        "{:?}",
        begun.elapsed()
    );
    running.leaves_nothing();
}

/// Somebody who is impatient gets no report, and no success either.
#[test]
fn ctrl_c_after_the_end_leaves_no_half_report() {
    let mut running = local(&["--interval", "700ms"]);
    running.read_until("Succeeded");
    signal("INT", running.child.id());
    running.read_until("interrupted: there is no report");
    let status = running.child.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    running.leaves_nothing();
    let left: Vec<_> = fs::read_dir(&running.folder.0)
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(left, ["local"]);
}

/// The tests below find its processes wherever the build is.
#[cfg(target_os = "linux")]
#[test]
fn processes_are_found_behind_a_link() {
    let mut running = local(&["--interval", "1s"]);
    running.read_until("Initialized");
    let link = running.folder.0.join("link");
    std::os::unix::fs::symlink(&running.folder.0, &link).unwrap();
    running.program = link.join("local");
    assert!(!running.processes("").is_empty());
}

#[test]
fn nothing_outlives_a_supervisor_that_is_killed() {
    let mut running = local(&["--interval", "700ms"]);
    running.read_until("Progressing       10");
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    running.leaves_nothing();
}

#[test]
fn a_state_that_cannot_be_kept_any_more_is_an_error_and_traffic_goes_back() {
    let folder = Folder::new();
    let state = folder.0.join("state");
    let mut running = local(&["--interval", "700ms", "--state", state.to_str().unwrap()]);
    running.read_until("Progressing       10");
    fs::rename(&state, folder.0.join("unmounted")).unwrap();
    let ended = running.wait();
    ended.failed_because("the controller gave up: ");
    ended.failed_because("the rollout's state");
    assert_eq!(ended.report["outcome"], "error");
    assert_eq!(ended.report["weight_at_end"], 0);
    assert_eq!(ended.report["failed"], 0, "{}", ended.report);
}

// Promises

#[test]
fn its_ports_keep_what_they_promise() {
    let program = env!("CARGO_BIN_EXE_local");
    let _turn = Turn::take();
    let out = Command::new(program).arg("contract").output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert_eq!(
        (out.status.code(), out.stderr.as_slice()),
        (Some(0), &b""[..]),
        "{said}"
    );
    assert!(
        said.contains("TrafficRouter") && said.contains("Workload") && said.contains("none failed"),
        "{said}"
    );
}

// Bad input

#[test]
fn a_port_that_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ended = local(&["--port", &address.port().to_string()]).wait();
    ended.failed_because(&format!("cannot listen on {address}: "));
    assert_eq!(ended.report["outcome"], "error");
}

#[test]
fn a_program_that_is_missing_is_an_error() {
    let ended = local(&["--program", "/nowhere/local"]).wait();
    ended.failed_because("(v1) cannot start /nowhere/local: No such file");
}

#[test]
fn a_folder_that_cannot_keep_the_state_is_an_error() {
    let folder = Folder::new();
    let file = folder.0.join("file");
    fs::write(&file, "").unwrap();
    let ended = local(&["--state", file.join("state").to_str().unwrap()]).wait();
    ended.failed_because("cannot keep the rollout's state in");
    fs::write(folder.0.join("rollout.json"), "{}").unwrap();
    let ended = local(&["--state", folder.0.to_str().unwrap()]).wait();
    ended.failed_because("there is the state of another rollout in it already");
    assert_eq!(fs::read_to_string(folder.0.join("rollout.json")).unwrap(), "{}");
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_before_anything_starts() {
    let folder = Folder::new();
    let file = folder.0.join("none/report.json");
    let out = Command::new(env!("CARGO_BIN_EXE_local"))
        .arg("--report")
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).starts_with("cannot write the report to "));
}

#[test]
fn wrong_options_are_an_error_and_not_a_rollback() {
    for (options, why) in [
        (&["--interval", "5"][..], "there is no unit"),
        (&["--interval", "10ms"], "expected 500ms to 1m"),
        (
            &["--bad", "luck"],
            "possible values: errors, latency, crash, no-traffic",
        ),
        (&["--interval", "500ms", "--rate", "100"], "too few to judge"),
        (&["--rate", "1"], "50..=2000"),
    ] {
        local(options).wait().failed_because(why);
    }
}

// Helpers

/// Runs the example. Not too many at the same time: they measure latencies.
fn local(options: &[&str]) -> Running {
    let turn = Turn::take();
    let folder = Folder::new();
    // A name of its own, so that its processes can be told from those of other tests.
    let program = folder.0.join("local");
    if fs::hard_link(env!("CARGO_BIN_EXE_local"), &program).is_err() {
        fs::copy(env!("CARGO_BIN_EXE_local"), &program).unwrap();
    }
    let mut child = Command::new(&program)
        .args(options)
        .arg("--report")
        .arg(folder.0.join("report.json"))
        .env("TMPDIR", &folder.0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    Running {
        child,
        out,
        said: String::new(),
        program,
        folder,
        _turn: turn,
    }
}

/// The example at work; killed when it is dropped.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    said: String,
    program: PathBuf,
    folder: Folder,
    _turn: Turn,
}

impl Running {
    /// Reads what it says until a line has this text.
    fn read_until(&mut self, text: &str) {
        loop {
            let from = self.said.len();
            let read = self.out.read_line(&mut self.said).unwrap();
            assert!(read > 0, "{text:?} was not said:\n{}", self.said);
            if self.said[from..].contains(text) {
                return;
            }
        }
    }

    /// The next line with this text.
    fn line_with(&mut self, text: &str) -> String {
        self.read_until(text);
        self.said.lines().last().unwrap().to_owned()
    }

    /// Waits for its end.
    fn wait(mut self) -> Ended {
        self.out.read_to_string(&mut self.said).unwrap();
        let mut complaints = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut complaints)
            .unwrap();
        let status = self.child.wait().unwrap();
        self.leaves_nothing();
        let report = fs::read_to_string(self.folder.0.join("report.json")).unwrap_or_default();
        let report = serde_json::from_str(&report).unwrap_or_default();
        let folders: Vec<_> = fs::read_dir(&self.folder.0)
            .unwrap()
            .map(|it| it.unwrap().file_name())
            .collect();
        assert!(
            folders.iter().all(|it| it == "local" || it == "report.json"),
            "left over: {folders:?}"
        );
        Ended {
            status,
            said: std::mem::take(&mut self.said),
            complaints,
            report,
        }
    }

    /// No process of it is left, or will be in a moment.
    fn leaves_nothing(&self) {
        let until = Instant::now() + Duration::from_secs(5);
        while !self.processes("").is_empty() {
            assert!(Instant::now() < until, "left over: {:?}", self.processes(""));
            sleep(Duration::from_millis(50));
        }
    }

    /// Whether a process has its working directory in its folder.
    #[cfg(target_os = "linux")]
    fn inhabited(&self) -> bool {
        let folder = fs::canonicalize(&self.folder.0).unwrap();
        fs::read_dir("/proc")
            .unwrap()
            .filter_map(|it| fs::read_link(it.ok()?.path().join("cwd")).ok())
            .any(|it| it.starts_with(&folder))
    }

    /// Its processes that have this in their command line. There is no way to know without `/proc`.
    fn processes(&self, command: &str) -> Vec<u32> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        // The system tells where a program is, behind all links.
        let program = fs::canonicalize(&self.program).unwrap_or_else(|_| self.program.clone());
        let matches = |path: &Path| {
            let line = fs::read(path.join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            fs::read_link(path.join("exe")).is_ok_and(|it| it == program) && line.contains(command)
        };
        let paths = entries
            .filter_map(|it| Some(it.ok()?.path()))
            .filter(|it| matches(it));
        paths
            .filter_map(|it| it.file_name()?.to_str()?.parse().ok())
            .collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is left of it.
#[derive(Debug)]
struct Ended {
    status: ExitStatus,
    said: String,
    complaints: String,
    report: Value,
}

impl Ended {
    fn is_promoted(&self) {
        self.nobody_noticed();
        assert_eq!(
            (self.status.code(), &self.report["outcome"]),
            (Some(0), &Value::from("promoted")),
            "{}",
            self.said
        );
        assert_eq!(self.transition(-1)["phase"], "Succeeded");
    }

    fn is_rolled_back(&self, why: &str) {
        self.nobody_noticed();
        assert_eq!(
            (self.status.code(), &self.report["outcome"]),
            (Some(2), &Value::from("rolled_back")),
            "{}",
            self.said
        );
        assert_eq!(self.transition(-1)["phase"], "Failed");
        assert_eq!(self.transition(-2)["phase"], "RollingBack");
        assert!(
            self.transition(-2)["reason"].as_str().unwrap().contains(why),
            "{}",
            self.transition(-2)
        );
    }

    fn nobody_noticed(&self) {
        assert_eq!(
            self.report["failed"], 0,
            "{}\n{}\n{:#}",
            self.said, self.complaints, self.report
        );
        assert_eq!(self.report["longest_outage_ms"], 0);
        assert_eq!(self.report["weight_at_end"], 0);
        assert!(
            self.report["sent"].as_u64() > Some(500),
            "{}",
            self.report["sent"]
        );
        assert_eq!(self.complaints, "");
        let ats = self
            .transitions()
            .iter()
            .map(|it| it["at"].as_str().unwrap())
            .collect::<Vec<_>>();
        assert!(ats.is_sorted() && ats.iter().all(|it| it.len() == 24), "{ats:?}");
    }

    fn failed_because(&self, why: &str) {
        assert_eq!(self.status.code(), Some(1), "{}", self.said);
        assert!(self.complaints.contains(why), "{}", self.complaints);
    }

    fn says(&self, text: &str) {
        assert!(self.said.contains(text), "{}", self.said);
    }

    fn transitions(&self) -> &[Value] {
        self.report["transitions"].as_array().unwrap()
    }

    /// A transition, counted from the end.
    fn transition(&self, at: isize) -> &Value {
        &self.transitions()[self.transitions().len().checked_add_signed(at).unwrap()]
    }

    /// The weights, each once in a row, from the first traffic on.
    fn weights(&self) -> Vec<u64> {
        let mut weights: Vec<_> = self
            .transitions()
            .iter()
            .map(|it| it["weight"].as_u64().unwrap())
            .collect();
        weights.dedup();
        weights.into_iter().skip_while(|it| *it == 0).collect()
    }
}

/// Without `unsafe`, the standard library can only kill.
fn signal(name: &str, process: u32) {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{name} {process}")])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// A folder of one test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The right to run.
struct Turn;

static RUNNING: Mutex<u32> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

impl Turn {
    const AT_ONCE: u32 = 2;

    fn take() -> Self {
        let mut running = Self::running();
        while *running >= Self::AT_ONCE {
            running = ENDED.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running += 1;
        Self
    }

    fn running() -> MutexGuard<'static, u32> {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *Self::running() -= 1;
        ENDED.notify_one();
    }
}
