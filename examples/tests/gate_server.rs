//! The example `gate-server`: a process that is killed and forgets nothing.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use delivery_http::client::{Call, Client, Endpoint};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
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
    assert!(
        !ok && said.contains("reading the token of alice in missing: "),
        "{said}"
    );
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

#[test]
fn what_is_no_file_is_refused_and_a_token_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("no-file");
    assert!(
        Command::new("mkfifo")
            .arg(folder.0.join("pipe"))
            .status()
            .unwrap()
            .success()
    );
    let run = |arguments: &[&str]| {
        let output = Command::new(PROGRAM)
            .args(arguments)
            .args(["--listen", "127.0.0.1:0"])
            .current_dir(&folder.0)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let pipe = "expected a file, and found a pipe, socket or device\n";
    assert_eq!(
        run(&["--token", "alice=pipe"]),
        format!("reading the token of alice in pipe: {pipe}")
    );
    assert_eq!(
        run(&["--token", "alice=."]),
        "reading the token of alice in .: expected a file, and found a folder\n"
    );
    assert_eq!(
        run(&["--token", "alice=token", "--file", "pipe"]),
        format!("reading the gates in pipe: {pipe}")
    );
    assert_eq!(
        run(&["--token", "alice=token", "--file", "."]),
        "reading the gates in .: expected a file, and found a folder\n"
    );
    std::fs::set_permissions(folder.0.join("token"), PermissionsExt::from_mode(0o644)).unwrap();
    let said = run(&["--token", "alice=token", "--file", "pipe"]);
    let warning = "others can use the token in token (mode 644): run `chmod 600 'token'`";
    assert!(said.contains(warning), "{said}");
    assert!(!said.contains(TOKEN), "{said}");
}

/// Strangers who never read an answer have all the file handles that the server may have.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_keep_out_somebody_honest() {
    let folder = Folder::new("strangers");
    let mut server = Server::run(
        &folder,
        Command::new("sh").args(["-c", "ulimit -n 48; exec \"$0\" \"$@\"", PROGRAM]),
    );
    let address = server.url.trim_start_matches("http://").to_owned();
    let mut strangers = JoinSet::new();
    for _ in 0..200 {
        let address = address.clone();
        strangers.spawn(async move {
            let mut stream = tokio::net::TcpStream::connect(address).await?;
            let requests = "GET /healthz HTTP/1.1\r\nhost: it\r\n\r\n".repeat(1_000);
            while stream.write_all(requests.as_bytes()).await.is_ok() {}
            Ok::<_, std::io::Error>(())
        });
    }
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    for name in ["web", "api", "db"] {
        assert_eq!(server.post("/gate/open", name).await, 202, "{name}");
        // Without a token too, on a connection of its own.
        server.client = Client::builder().direct().build().unwrap();
        assert_eq!(server.post("/gate/check", name).await, 200, "{name}");
    }
    strangers.abort_all();
}

/// It is killed while it writes its file anew, a little later each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_anew_is_whole_after_kill_9() {
    let folder = Folder::new("anew");
    let line = |what: &str, name: &str| {
        format!(
            "{{\"at\":1,\"who\":\"alice\",\"rollout\":\"{name}.shop\",\"what\":\"{what}\",\"gate\":\"gate\"}}\n"
        )
    };
    let mut text = line("open", "kept");
    for _ in 0..10_000 {
        text += &(line("open", "web") + &line("close", "web"));
    }
    let file = folder.0.join("gates.jsonl");
    let (mut whole, mut shorter) = (0, 0);
    for round in 0..40 {
        std::fs::write(&file, &text).unwrap();
        let mut starting = Server::command(&folder, &mut Command::new(PROGRAM))
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5 * round));
        starting.kill().unwrap();
        starting.wait().unwrap();
        let left = std::fs::read_to_string(&file).unwrap();
        match left.lines().count() {
            20_001 => {
                whole += 1;
                assert_eq!(left, text);
            }
            1_001 => shorter += 1,
            other => panic!("{other} lines"),
        }
        if round % 10 == 0 {
            let server = Server::start(&folder);
            assert_eq!(server.post("/gate/check", "kept").await, 200);
            assert_eq!(server.post("/gate/check", "web").await, 403);
        }
    }
    assert!(whole > 0, "it was always faster");
    assert_eq!(whole + shorter, 40);
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
        Self::run(folder, &mut Command::new(PROGRAM))
    }

    fn command<'a>(folder: &Folder, command: &'a mut Command) -> &'a mut Command {
        command
            .args(["--listen", "127.0.0.1:0", "--token", "alice=token"])
            .current_dir(&folder.0)
            .stdout(Stdio::piped())
    }

    fn run(folder: &Folder, command: &mut Command) -> Self {
        let mut child = Self::command(folder, command).spawn().unwrap();
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
        Err(delivery_http::client::Error::Refused { status, .. }) => status,
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
        let token = folder.join("token");
        std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
        std::fs::set_permissions(token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
