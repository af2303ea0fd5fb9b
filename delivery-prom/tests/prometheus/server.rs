//! A real Prometheus on a free loopback port, with data of the past in it.

use std::fmt::Write;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use delivery_core::Timestamp;
use delivery_prom::{Client, Server};
use tokio::time::{Instant, sleep};

/// The first scrape.
pub(crate) const BEGINNING: Timestamp = Timestamp::from_millis(1_777_000_000_000);

/// So many seconds after the first scrape.
pub(crate) fn at(seconds: u64) -> Timestamp {
    BEGINNING.after(Duration::from_secs(seconds))
}

/// Names another Prometheus than the one that is installed, to test against.
const BINARY: &str = "DELIVERY_PROMETHEUS";

/// What a Prometheus is started with.
#[derive(Default)]
pub(crate) struct Prometheus {
    page: String,
    rules: String,
    web: String,
}

/// A Prometheus at work; ends when it is dropped.
pub(crate) struct Running {
    child: Child,
    folder: Folder,
    port: u16,
    tls: bool,
}

impl Prometheus {
    /// Series with one value per scrape, 15 s apart, the first at [`BEGINNING`]: `name{labels}: 1 2 . 4`. A dot is a
    /// scrape that did not find the series.
    pub(crate) fn with(lines: &[&str]) -> Self {
        let mut page = String::new();
        for line in lines {
            let (series, values) = line.rsplit_once(": ").unwrap();
            for (scrape, value) in (0..).zip(values.split_whitespace()) {
                if value != "." {
                    let seconds = at(scrape * 15).as_millis() / 1_000;
                    writeln!(page, "{series} {value} {seconds}").unwrap();
                }
            }
        }
        Self {
            page: page + "# EOF\n",
            ..Self::default()
        }
    }

    /// Evaluates these rules every second.
    pub(crate) fn rules(self, yaml: &str) -> Self {
        Self {
            rules: yaml.to_owned(),
            ..self
        }
    }

    /// Serves with this web configuration, over TLS.
    pub(crate) fn web(self, yaml: &str, files: &[(&str, &str)]) -> (Self, Folder) {
        let folder = Folder::new();
        for (name, content) in files {
            fs::write(folder.0.join(name), content).unwrap();
        }
        let web = yaml.replace("FOLDER", folder.0.to_str().unwrap());
        (Self { web, ..self }, folder)
    }

    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(self) -> Running {
        let folder = Folder::new();
        let write = |name: &str, content: &str| fs::write(folder.0.join(name), content).unwrap();
        write("page.txt", &self.page);
        write("rules.yaml", &self.rules);
        write(
            "prometheus.yaml",
            "global: {evaluation_interval: 1s}\nrule_files: [rules.yaml]\n",
        );
        write("web.yaml", &self.web);
        let mut promtool = Command::new("promtool");
        promtool
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([folder.0.join("page.txt"), folder.0.join("data")])
            .stdin(Stdio::null());
        let out = promtool.output().unwrap_or_else(missing);
        assert!(
            out.status.success() || self.page == "# EOF\n",
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        let port = free_port();
        let mut running = Running {
            child: spawn(&folder.0, port),
            folder,
            port,
            tls: !self.web.is_empty(),
        };
        running.wait().await;
        running
    }
}

impl Running {
    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// A client with the defaults.
    pub(crate) fn client(&self) -> Client {
        Server::new(&self.address()).unwrap().client().unwrap()
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port.
    pub(crate) async fn restart(&mut self) {
        self.child = spawn(&self.folder.0, self.port);
        self.wait().await;
    }

    async fn wait(&mut self) {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let log = fs::read_to_string(self.folder.0.join("log")).unwrap_or_default();
                panic!("prometheus ended with {status}: {log}");
            }
            let up = if self.tls {
                tokio::net::TcpStream::connect(("127.0.0.1", self.port))
                    .await
                    .is_ok()
            } else {
                self.client().ready().await.is_ok()
            };
            if up {
                return;
            }
            assert!(Instant::now() < until, "prometheus did not become ready");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(folder: &Path, port: u16) -> Child {
    let log = fs::File::create(folder.join("log")).unwrap();
    let program = std::env::var_os(BINARY).unwrap_or_else(|| "prometheus".into());
    Command::new(program)
        .current_dir(folder)
        .args([
            "--config.file=prometheus.yaml",
            "--web.config.file=web.yaml",
            "--storage.tsdb.path=data",
            "--storage.tsdb.retention.time=100y",
            &format!("--web.listen-address=127.0.0.1:{port}"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap_or_else(missing)
}

#[expect(clippy::needless_pass_by_value, reason = "as unwrap_or_else wants it")]
fn missing<T>(error: io::Error) -> T {
    panic!(
        "prometheus and promtool cannot be started ({error}): install them, e.g. apt-get install prometheus"
    )
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A folder of one test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "prometheus-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
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
