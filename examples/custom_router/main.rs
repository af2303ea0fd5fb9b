//! A traffic router of your own: [`FileRouter`] writes a file that a proxy reads.
//!
//! You will see three splits asked for one after the other, and each come into force a moment later, when the proxy has
//! read the file. What is in force is what the proxy says, and never what was written: that is the one thing to get right
//! in a router. The proxy is a small one that knows nothing but its file; in your program it is `HAProxy` with a map,
//! Traefik's file provider, Envoy's file-based discovery, or your own load balancer.
//!
//! ```sh
//! cargo run -p delivery-examples --bin custom-router
//! cargo test -p delivery-examples --bin custom-router    # the contract that every router has to pass
//! ```

use core::time::Duration;
use std::error::Error;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use async_trait::async_trait;
use delivery_core::plan::Capabilities;
use delivery_core::port::{PortError, Routing, Traffic, TrafficRouter};
use delivery_core::{Split, Weight};
use delivery_examples::{line, status};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, interval, sleep, timeout};

/// Routes by a file that a proxy reads whenever it changes.
struct FileRouter {
    /// The file.
    file: PathBuf,
    /// Where the proxy tells which split it uses.
    status: SocketAddr,
}

/// What is in the file, and what the proxy tells: `{"canary":12.5}`, in percent.
#[derive(Deserialize, Serialize)]
struct Shares {
    canary: Weight,
}

#[async_trait]
impl TrafficRouter for FileRouter {
    /// A plan that needs more than this is refused before anything moves.
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            mirror: false,
            mirror_share: false,
            matching: false,
            sticky: false,
            ..Capabilities::ALL
        }
    }

    async fn apply(&self, want: &Routing) -> Result<(), PortError> {
        let doing = || format!("writing the split to {}", self.file.display());
        let Traffic::Split(canary) = want.traffic else {
            return Err(PortError::permanent(
                doing(),
                "this router can only split traffic",
            ));
        };
        let text = serde_json::to_vec(&Shares { canary }).map_err(|it| PortError::permanent(doing(), it))?;
        if fs::read(&self.file).is_ok_and(|present| present == text) {
            return Ok(());
        }
        // There is no `await` in here, so that this is done as a whole or not at all. The proxy never reads half a file,
        // because a rename puts all of it there at once.
        let new = self.file.with_extension("new");
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &self.file));
        written.map_err(|it| PortError::transient(doing(), it))
    }

    async fn observe(&self) -> Result<Option<Traffic>, PortError> {
        let doing = || format!("asking the proxy at {} for its split", self.status);
        let answer = timeout(Duration::from_secs(1), async {
            let mut text = Vec::new();
            TcpStream::connect(self.status)
                .await?
                .read_to_end(&mut text)
                .await
                .map(|_| text)
        });
        let text = answer
            .await
            .map_err(io::Error::from)
            .flatten()
            .map_err(|it| PortError::transient(doing(), it))?;
        let shares: Option<Shares> =
            serde_json::from_slice(&text).map_err(|it| PortError::permanent(doing(), it))?;
        Ok(shares.map(|it| Traffic::Split(it.canary)))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    status(run().await.map(|()| ExitCode::SUCCESS))
}

async fn run() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("delivery-custom-router-{}", std::process::id()));
    fs::create_dir(&directory)?;
    let shown = show(&directory).await;
    fs::remove_dir_all(&directory)?;
    shown
}

async fn show(directory: &Path) -> Result<(), Box<dyn Error>> {
    let router = start(directory).await?;
    for percent in [10, 50, 0] {
        let want = Split::canary(Weight::percent(percent)?);
        router.apply(&Routing::split(want)).await?;
        let asked = Instant::now();
        line(format_args!("asked for {want}"))?;
        timeout(Duration::from_secs(10), async {
            loop {
                let seen = router.observe().await?;
                let after = asked.elapsed().as_millis();
                let known = seen.map_or("nobody can tell".into(), |it| format!("{it} in force"));
                line(format_args!("  {after:>3} ms later: {known}"))?;
                if seen == Some(Traffic::Split(want.canary)) {
                    return Ok::<(), Box<dyn Error>>(());
                }
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await??;
    }
    Ok(())
}

/// A router, and the proxy that it is for.
async fn start(directory: &Path) -> io::Result<FileRouter> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let router = FileRouter {
        file: directory.join("split.json"),
        status: listener.local_addr()?,
    };
    tokio::spawn(proxy(router.file.clone(), listener));
    Ok(router)
}

/// Looks at its file 20 times a second, and tells whoever connects which split it uses.
async fn proxy(file: PathBuf, listener: TcpListener) {
    let mut in_force: Option<Shares> = None;
    let mut look = interval(Duration::from_millis(50));
    loop {
        tokio::select! {
            _ = look.tick() => {
                let read = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
                // A file that is missing or no split changes nothing.
                in_force = read.or(in_force);
            }
            Ok((mut stream, _)) = listener.accept() => {
                let told = serde_json::to_vec(&in_force).unwrap_or_default();
                // Whoever hung up does not want to know.
                let _ = stream.write_all(&told).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_keeps_the_promises_of_every_router() {
        let directory =
            std::env::temp_dir().join(format!("delivery-custom-router-test-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let router = start(&directory).await.unwrap();
        let wait = async || sleep(Duration::from_millis(10)).await;
        let kept = delivery_core::contract::traffic_router(&router, wait).await;
        fs::remove_dir_all(&directory).unwrap();
        kept.unwrap();
    }
}
