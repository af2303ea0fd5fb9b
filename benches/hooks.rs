//! A thousand rollouts, each with a webhook in every interval, over one pool of connections; and beside it a client for
//! every call, as it is often written.
//!
//! Goal: no thread for each rollout, and below 50 MB at the peak. Both are counted, not timed, in a process of their own for
//! each way; the server is a third process. Where there is no `/proc`, nothing is counted.

use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use delivery_core::Revision;
use delivery_core::analysis::Checks;
use delivery_core::plan::{Gate, GateKind};
use delivery_core::port::{Answer, Approver, GateQuestion};
use delivery_core::rollout::Phase;
use delivery_http::Client;
use delivery_http::hook::{Webhook, Webhooks};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The most that a process with all rollouts may need.
const LIMIT_KB: u64 = 50_000;

/// Threads that call; the runtime has as many of its own, and one to begin with.
const WORKERS: usize = 2;

/// How long an interval is, and how long a hook takes.
const INTERVAL: Duration = Duration::from_secs(1);
const ANSWERS_AFTER: Duration = Duration::from_millis(100);
const INTERVALS: u32 = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve"] => block_on(serve()),
        [way @ ("shared" | "naive"), rollouts, url] => {
            let rollouts = rollouts.parse().expect("a number");
            println!("{}", block_on(run(way, rollouts, url)));
        }
        // What cargo says to benches, and to benches that are only tried out.
        words => compare(if words.contains(&"--bench") { 1_000 } else { 10 }),
    }
}

/// Runs both ways, and prints what they need.
fn compare(rollouts: usize) {
    let mut server = again(&["serve"]);
    let mut line = String::new();
    let out = server.stdout.take().expect("it is piped");
    BufReader::new(out)
        .read_line(&mut line)
        .expect("the server says where it is");
    let url = line.trim();
    println!(
        "{rollouts} rollouts, a hook each in {INTERVALS} intervals of {INTERVAL:?}, answered after {ANSWERS_AFTER:?}"
    );
    let said = ["shared", "naive"].map(|way| {
        let mut child = again(&[way, &rollouts.to_string(), url]);
        let mut said = String::new();
        let mut out = child.stdout.take().expect("it is piped");
        out.read_to_string(&mut said).expect("it ends");
        assert!(child.wait().expect("it ends").success(), "{way} failed");
        let said: Value = serde_json::from_str(&said).expect("JSON");
        let name = match way {
            "shared" => "one pool of connections",
            _ => "a client for every call",
        };
        println!(
            "{name}: {} calls, {} failed; peak {:.1} MB, {} threads; the slowest interval's calls took {} ms",
            said["calls"],
            said["failed"],
            said["peak_kb"].as_f64().unwrap_or(f64::NAN) / 1_000.0,
            said["threads"],
            said["slowest_ms"],
        );
        said
    });
    let _ = server.kill();
    let _ = server.wait();
    let [shared, _] = said;
    assert_eq!(shared["failed"], 0, "every call is answered");
    if let (Some(peak), Some(threads)) = (shared["peak_kb"].as_u64(), shared["threads"].as_u64()) {
        assert!(peak < LIMIT_KB, "{peak} kB are more than {LIMIT_KB}");
        // One more for looking the server's name up.
        assert!(threads <= WORKERS as u64 + 2, "{threads} threads");
    }
}

/// This program once more, as something else.
fn again(arguments: &[&str]) -> Child {
    let program = std::env::current_exe().expect("this program has a file");
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command.spawn().expect("it starts once more")
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build();
    runtime.expect("threads").block_on(work)
}

/// All rollouts, in one process; what that needed.
async fn run(way: &str, rollouts: usize, url: &str) -> Value {
    let client = Client::builder().direct().build().expect("a client");
    let (threads, failed) = (
        &*Box::leak(Box::new(AtomicUsize::new(0))),
        &*Box::leak(Box::new(AtomicUsize::new(0))),
    );
    let watching = tokio::spawn(async {
        loop {
            let now = status("Threads:")
                .and_then(|it| usize::try_from(it).ok())
                .unwrap_or_default();
            threads.fetch_max(now, Ordering::Relaxed);
            sleep(Duration::from_millis(10)).await;
        }
    });
    let is_shared = way == "shared";
    let mut running = JoinSet::new();
    for number in 0..rollouts {
        let (url, name) = (url.to_owned(), format!("web-{number}"));
        let hooks = is_shared.then(|| hooks(&client, &name, &url));
        running.spawn(async move {
            let mut slowest = Duration::ZERO;
            for interval in 0..INTERVALS {
                let begun = Instant::now();
                let approved = match &hooks {
                    Some(hooks) => ask(hooks, interval).await,
                    None => call(&name, &url).await.is_ok(),
                };
                failed.fetch_add(usize::from(!approved), Ordering::Relaxed);
                slowest = slowest.max(begun.elapsed());
                sleep(INTERVAL.saturating_sub(begun.elapsed())).await;
            }
            slowest
        });
    }
    let slowest = running.join_all().await.into_iter().max().unwrap_or_default();
    watching.abort();
    json!({
        "calls": rollouts * INTERVALS as usize,
        "failed": failed.load(Ordering::Relaxed),
        "threads": Some(threads.load(Ordering::Relaxed)).filter(|it| *it > 0),
        "peak_kb": status("VmHWM:"),
        "slowest_ms": u64::try_from(slowest.as_millis()).unwrap_or(u64::MAX),
    })
}

fn hooks(client: &Client, name: &str, url: &str) -> Webhooks {
    let written = json!([{ "name": "load test", "url": url, "timeout": "30s" }]);
    let written: Vec<Webhook> = serde_json::from_value(written).expect("webhooks");
    Webhooks::of(name, "bench")
        .hooks(written)
        .build(client)
        .expect("webhooks")
}

async fn ask(hooks: &Webhooks, interval: u32) -> bool {
    let gate = Gate::new(GateKind::Rollout, "load test");
    let question = GateQuestion {
        gate: &gate,
        revision: &Revision::new("v2").expect("a revision"),
        phase: Phase::Progressing,
        began: None,
        checks: Checks::default(),
        key: &format!("v2/{interval}/load test"),
    };
    hooks.ask(&question).await.is_ok_and(|it| it == Answer::Approved)
}

/// As it is often written.
async fn call(name: &str, url: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()?;
    let payload = json!({ "name": name, "namespace": "bench", "phase": "Progressing", "checksum": "1" });
    let answer = client.post(url).json(&payload).send().await?.error_for_status()?;
    Ok(answer.text().await?)
}

/// A number of this process' own.
fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|it| it.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A server that answers everything, after a while. It says where it is, and goes with whoever has started it.
async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!(
        "http://localhost:{}/",
        listener.local_addr().expect("an address").port()
    );
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream));
    }
}

async fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = tokio::io::BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap_or_default();
                }
                None if line.trim_end().is_empty() => break,
                Some(_) | None => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        sleep(ANSWERS_AFTER).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK")
            .await?;
    }
}
