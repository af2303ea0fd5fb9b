//! The example `watch-metrics`: what it says of a plan, and with which status it ends.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A server that gives this answer to whatever it is asked.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream, answer));
        }
    });
    address
}

fn serve(mut stream: TcpStream, answer: &str) {
    while let Ok(1..) = stream.read(&mut [0; 8_192]) {
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

struct Files(PathBuf);

impl Files {
    fn new(name: &str, plan: &str) -> Self {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("watch-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("plan.yaml"), plan).unwrap();
        Self(folder)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn watch(address: &str, plan: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_watch-metrics"))
        .args(["--prometheus", address, "--plan"])
        .arg(plan)
        .args(options)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

const PLAN: &str = "
strategy: {canary: {stepWeight: 10, maxWeight: 50}}
metrics:
  - {name: success, query: success, thresholdRange: {min: 99}}
  - {name: duration, query: 'sum(duration)', thresholdRange: {max: 500}}
";

#[test]
fn the_status_tells_how_the_round_was() {
    let files = Files::new("status", PLAN);
    let plan = files.0.join("plan.yaml");
    // The number is also the answer to how old it is: a time that has not come yet.
    let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[9999999999,"VALUE"]}}"#;
    for (value, status, says) in [("9999999999", 2, "duration"), ("NaN", 3, "not a number")] {
        let answer: &'static str = Box::leak(scalar.replace("VALUE", value).into_boxed_str());
        let output = watch(&server(answer), &plan, &["--once"]);
        assert_eq!(output.status.code(), Some(status), "{}", said(&output));
        assert!(said(&output).contains(says), "{}", said(&output));
    }
    let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    let output = watch(&server(empty), &plan, &["--once", "--json"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["metrics"][0]["against"], "no data");
    assert_eq!(json["metrics"][0]["queries"][0], "success");

    let output = watch(&server("<html>"), &plan, &["--once"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let output = watch("http://127.0.0.1:1", &plan, &["--once"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("it cannot be reached"),
        "{}",
        said(&output)
    );
}

#[cfg(unix)]
#[test]
fn a_token_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let files = Files::new(
        "token",
        "strategy: {canary: {stepWeight: 10}}\nmetrics: [{name: m, query: m, threshold: 1}]",
    );
    let token = files.0.join("token");
    fs::write(&token, "s3cret\n").unwrap();
    let answer = r#"{"status":"success","data":{"resultType":"scalar","result":[9999999999,"1"]}}"#;
    for (mode, warned) in [(0o600, false), (0o644, true)] {
        fs::set_permissions(&token, fs::Permissions::from_mode(mode)).unwrap();
        let options = ["--once", "--token-file", token.to_str().unwrap()];
        let output = watch(&server(answer), &files.0.join("plan.yaml"), &options);
        assert_eq!(
            said(&output).contains("others can use the token"),
            warned,
            "{}",
            said(&output)
        );
        assert!(!said(&output).contains("s3cret"), "{}", said(&output));
    }
}

#[test]
fn a_plan_of_which_everything_is_good_passes() {
    let plan = "
strategy: {canary: {stepWeight: 10}}
metrics: [{name: success, query: 'sum(success)', thresholdRange: {min: 99}}]
";
    let files = Files::new("good", plan);
    let answer = r#"{"status":"success","data":{"resultType":"scalar","result":[9999999999,"99.5"]}}"#;
    let output = watch(&server(answer), &files.0.join("plan.yaml"), &["--once"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        said(&output).contains("99.500  at least 99                0.500  pass"),
        "{}",
        said(&output)
    );
}

#[test]
fn everything_that_is_wrong_with_a_file_is_told_at_once() {
    for (plan, told) in [
        (
            "strategy: {canary: {stepWeight: ten}}\ninterval: 5\nmetrics: []\n",
            &["plan.yaml:1:33", "plan.yaml:2:11"][..],
        ),
        (
            "strategy: {canary: {stepWeight: 10}}\nmetrics:\n- {name: a, threshold: 1}\n- {name: b, query: 'x{{ y }}', threshold: 1}\n",
            &[
                "metric a: there is no query for metric \"a\"",
                "metric b: query \"x{{ y }}\" cannot be used: `y` at offset 4",
            ],
        ),
        (
            "plan:\n  strategy: {canary: {stepWeight: 10}}\n  metrics: [{name: request-duration, threshold: 1}]\nprovider: ngnix\n",
            &["provider: \"ngnix\" is no provider"],
        ),
        (
            "plan:\n  strategy: {canary: {stepWeight: 10}}\n  metrics: [{name: request-duration, threshold: 1}]\nprovider: nginx\n",
            &[
                "metric request-duration",
                "there is nothing to put in for `namespace`",
            ],
        ),
    ] {
        let files = Files::new("wrong", plan);
        let output = watch("http://127.0.0.1:1", &files.0.join("plan.yaml"), &["--once"]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        for text in told {
            assert!(said(&output).contains(text), "{text}: {}", said(&output));
        }
    }
    let missing = watch("http://127.0.0.1:1", Path::new("/nowhere/plan.yaml"), &["--once"]);
    assert_eq!(missing.status.code(), Some(1));
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("watch_metrics/plan.yaml");
    let address = watch("localhost:9090", &own, &["--once"]);
    assert!(
        said(&address).contains("is no address of a server"),
        "{}",
        said(&address)
    );
}

/// Ends when it is dropped.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs prometheus: run the README's test command"]
fn a_real_prometheus_is_watched_by_its_own_metrics() {
    let plan = r#"
plan:
  interval: 5s
  strategy: {canary: {stepWeight: 10}}
  metrics:
    - {name: up, query: 'min(last_over_time(up[{{ interval }}]))', thresholdRange: {min: 1}}
    - {name: requests, thresholdRange: {min: 90}}
    - {name: duration, thresholdRange: {max: 60000}}
queries:
  requests:
    canary:
      counts:
        total: prometheus_http_requests_total{job="{{ target }}"}
        part: {failed: 'prometheus_http_requests_total{job="{{ target }}",code=~"5.."}'}
  duration:
    canary: {histogram: {buckets: 'prometheus_http_request_duration_seconds_bucket{job="{{ target }}"}', scale: 1000}}
names: {target: prometheus}
"#;
    let files = Files::new("real", plan);
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let configuration = format!(
        "global: {{scrape_interval: 500ms}}\nscrape_configs: [{{job_name: prometheus, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
    );
    fs::write(files.0.join("prometheus.yaml"), configuration).unwrap();
    let started = Command::new("prometheus")
        .current_dir(&files.0)
        .args(["--config.file=prometheus.yaml", "--storage.tsdb.path=data"])
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _prometheus =
        Prometheus(started.expect("prometheus is installed, e.g. by apt-get install prometheus"));
    let (address, plan) = (format!("http://127.0.0.1:{port}"), files.0.join("plan.yaml"));
    let until = Instant::now() + Duration::from_secs(60);
    let output = loop {
        let output = watch(&address, &plan, &["--once", "--json"]);
        if output.status.code() == Some(0) || Instant::now() > until {
            break output;
        }
        sleep(Duration::from_millis(500));
    };
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    for at in 0..3 {
        assert_eq!(json["metrics"][at]["verdict"], "pass", "{json}");
    }
    let strict = fs::read_to_string(&plan).unwrap().replace("max: 60000", "max: 0");
    fs::write(&plan, strict).unwrap();
    assert_eq!(watch(&address, &plan, &["--once"]).status.code(), Some(2));
}
