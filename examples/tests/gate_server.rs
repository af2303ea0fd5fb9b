//! The example `gate-server`: a process that is killed and forgets nothing.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use delivery_http::client::{Call, Client, Endpoint};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const TOKEN: &str = "alice's token is long";

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_is_open_is_open_after_kill_9() {
    let folder = Folder::new("kill");
    let mut server = Server::start(&folder);
    assert_eq!(server.post("/gate/check", "web").await, 403);
    assert_eq!(server.post("/gate/open", "web").await, 202);
    server = server.killed(&folder);
    assert_eq!(server.post("/gate/check", "web").await, 200);
    assert_eq!(server.post("/gate/close", "web").await, 202);
    server = server.killed(&folder);
    assert_eq!(server.post("/gate/check", "web").await, 403);
}

/// It is killed in the middle of many changes, again and again: what it has answered is so afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_answered_is_never_lost() {
    let folder = Folder::new("many");
    let mut server = Server::start(&folder);
    let (mut open, mut lost) = (Vec::new(), 0);
    for round in 0..5 {
        let mut changes = JoinSet::new();
        for change in 0..40 {
            let (url, client, name) = (
                server.url.clone(),
                server.client.clone(),
                format!("web-{round}-{change}"),
            );
            changes.spawn(async move { (post(&client, &url, "/gate/open", &name).await, name) });
        }
        // About half of them are answered.
        let mut answered = 0;
        while let Some(changed) = changes.join_next().await {
            match changed.unwrap() {
                (202, name) => open.push(name),
                (0, _) => lost += 1,
                (other, name) => panic!("{name}: {other}"),
            }
            answered += 1;
            if answered == 20 {
                server.child.kill().unwrap();
            }
        }
        server = server.killed(&folder);
        for name in &open {
            assert_eq!(
                server.post("/gate/check", name).await,
                200,
                "{name} after round {round}"
            );
        }
    }
    assert!(
        open.len() >= 5 * 19 && lost > 0,
        "{} answered, {lost} lost",
        open.len()
    );
}

#[test]
fn without_a_token_it_says_what_it_needs() {
    let folder = Folder::new("no-token");
    let run = |arguments: &[&str]| {
        let output = Command::new(PROGRAM)
            .args(arguments)
            .current_dir(&folder.0)
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (ok, said) = run(&[]);
    assert!(!ok && said.contains("--token <WHO=FILE>"), "{said}");
    let (ok, said) = run(&["--token", "alice"]);
    assert!(!ok && said.contains("expected WHO=FILE"), "{said}");
    let (ok, said) = run(&["--token", "alice=missing"]);
    assert!(!ok && said.contains("reading missing: "), "{said}");
    std::fs::write(folder.0.join("short"), "s3cret\n").unwrap();
    let (ok, said) = run(&["--token", "alice=short"]);
    assert!(
        !ok && said.contains("token of alice: 6 characters") && !said.contains("s3cret"),
        "{said}"
    );
    let (ok, said) = run(&["--token", "alice=token", "--file", "missing/gates.jsonl"]);
    assert!(
        !ok && said.contains("reading the gates in missing/gates.jsonl: "),
        "{said}"
    );
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_gate-server");

/// The program, and a client of it.
struct Server {
    child: Child,
    url: String,
    client: Client,
}

impl Server {
    fn start(folder: &Folder) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["--listen", "127.0.0.1:0", "--token", "alice=token"])
            .current_dir(&folder.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split_once(','))
            .unwrap()
            .0;
        let (url, client) = (
            format!("http://{address}"),
            Client::builder().direct().build().unwrap(),
        );
        Self { child, url, client }
    }

    /// Killed with SIGKILL, and another one in its place.
    fn killed(mut self, folder: &Folder) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Self::start(folder)
    }

    async fn post(&self, path: &str, name: &str) -> u16 {
        post(&self.client, &self.url, path, name).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status; 0 when there was no answer.
async fn post(client: &Client, url: &str, path: &str, name: &str) -> u16 {
    let endpoint = Endpoint::new("url", url).unwrap().join(path);
    let body: Value = json!({ "name": name, "namespace": "shop" });
    let call = Call::post(&endpoint)
        .json(&body)
        .bearer("token", &TOKEN.into())
        .unwrap();
    match client.send(&call).await {
        Ok(reply) => reply.status,
        Err(delivery_http::Error::Refused { status, .. }) => status,
        Err(_) => 0,
    }
}

/// A folder with a token, which is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gate-server-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("token"), format!("{TOKEN}\n")).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
