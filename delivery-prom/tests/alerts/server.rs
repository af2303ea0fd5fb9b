//! A Prometheus of a test, and what it scrapes.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use delivery_prom::Client;

const RULES: &str = r#"
groups:
- name: service-health
  interval: 1s
  rules:
  - alert: Errors
    expr: web_errors > 0
    for: 2s
    labels: {severity: critical}
  - alert: Slow
    expr: web_slow > 0
    labels: {severity: warning}
  - alert: Old
    expr: label_replace(vector(1), "service", "web", "", "")
    labels: {severity: critical}
  - alert: Patient
    expr: web_errors > 0
    for: 1h
    labels: {severity: critical}
  - alert: Broken
    expr: web_pair * on (service) web_pair
"#;

/// A running Prometheus; it ends with the test.
pub(crate) struct Server {
    folder: PathBuf,
    address: SocketAddr,
    process: Mutex<Option<Child>>,
    web: Arc<Web>,
}

/// What the service tells about itself.
#[derive(Default)]
struct Web {
    errors: AtomicU32,
    slow: AtomicU32,
}

impl Server {
    /// One that has evaluated its rules with the service's first metrics.
    pub(crate) async fn start() -> Self {
        let web = Arc::new(Web::default());
        let target = serve(Arc::clone(&web));
        let address = free_address();
        let folder = std::env::temp_dir().join(format!(
            "delivery-alerts-{}-{}",
            std::process::id(),
            address.port()
        ));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("rules.yml"), RULES).unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs:\n- \
             job_name: web\n  static_configs: [{{targets: ['{target}']}}]\n  metric_relabel_configs:\n  - {{regex: \
             'instance|job', action: labeldrop}}\n"
        );
        fs::write(folder.join("prometheus.yml"), config).unwrap();
        let server = Self {
            folder,
            address,
            process: Mutex::default(),
            web,
        };
        server.resume().await;
        server
    }

    pub(crate) fn client(&self) -> Client {
        let server = delivery_prom::Server::new(&format!("http://{}", self.address)).unwrap();
        server.timeout(Duration::from_secs(2)).client().unwrap()
    }

    /// How many requests of the service fail.
    pub(crate) fn errors(&self, count: u32) {
        self.web.errors.store(count, Ordering::SeqCst);
    }

    /// How many requests of the service are slow.
    pub(crate) fn slow(&self, count: u32) {
        self.web.slow.store(count, Ordering::SeqCst);
    }

    /// Stops it; what it knows stays on the disk.
    pub(crate) fn stop(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it, and waits until it has scraped the service and evaluated its rules after that.
    pub(crate) async fn resume(&self) {
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let process = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                self.folder.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                self.folder.join("data").display()
            ))
            .arg(format!("--web.listen-address={}", self.address))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|it| panic!("prometheus: {it} (install it with `apt-get install prometheus`)"));
        *self.process.lock().unwrap() = Some(process);
        let client = self.client();
        for _ in 0..300 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let Ok(groups) = client.rules().await else {
                continue;
            };
            // `Broken` fails only when there is something to fail on.
            if format!("{groups:?}").contains("duplicate series") {
                return;
            }
        }
        panic!("{}", fs::read_to_string(self.folder.join("log")).unwrap());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        _ = fs::remove_dir_all(&self.folder);
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

/// Answers every request with the service's metrics, for as long as the test runs.
fn serve(web: Arc<Web>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever hangs up early misses something.
            _ = answer(stream, &web);
        }
    });
    address
}

fn answer(mut stream: TcpStream, web: &Web) -> std::io::Result<()> {
    _ = stream.read(&mut [0; 4096])?;
    let (errors, slow) = (web.errors.load(Ordering::SeqCst), web.slow.load(Ordering::SeqCst));
    let body = format!(
        "web_errors{{service=\"web\"}} {errors}\nweb_slow{{service=\"web\"}} {slow}\nweb_pair{{service=\"web\",a=\"1\"}} \
         1\nweb_pair{{service=\"web\",a=\"2\"}} 1\n"
    );
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
