//! Gates that people open, and commands for running rollouts, over HTTP.
//!
//! ```text
//! (umask 077; head -c 24 /dev/urandom | base64 > alice.token)
//! cargo run -p delivery-examples --bin gate-server -- --token alice=alice.token
//! ```
//!
//! You see where it listens, and the `curl` lines that open a gate, close it and pause a rollout. Point a webhook of type
//! `confirm-promotion` at `/gate/check`, of this program's rollouts or of Flagger's: the paths are those of its load
//! tester. Kill it and start it again: what was open is open.
//!
//! It is `delivery_http::gate_server` and a command line; embed that to have gates in a controller of your own.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use delivery_http::gate_server::GateServer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Gates that people open, and commands for running rollouts.
#[derive(Debug, Parser)]
#[command(name = "gate-server")]
struct Options {
    /// Where it listens. It speaks plain HTTP: anything but loopback belongs behind something that encrypts.
    #[arg(long, default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// The file that changes are kept in.
    #[arg(long, default_value = "gates.jsonl", value_name = "FILE")]
    file: PathBuf,
    /// Whoever has the token in this file may change things, and is called so in the audit. May be repeated.
    #[arg(long, value_name = "WHO=FILE", required = true, value_parser = token)]
    token: Vec<(String, PathBuf)>,
    /// Asking whether a gate is open needs a token too.
    #[arg(long)]
    checks_need_a_token: bool,
}

fn token(text: &str) -> Result<(String, PathBuf), String> {
    let (who, file) = text
        .split_once('=')
        .ok_or("expected WHO=FILE, such as alice=alice.token")?;
    Ok((who.to_owned(), file.into()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // What goes wrong while it serves, and tokens that others can read.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // A standard error that is closed cannot be told of on standard error: that would be a panic.
        .log_internal_errors(false)
        .init();
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes = std::iter::successors(error.source(), |it: &&(dyn Error + 'static)| (*it).source());
            let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
            let _ = writeln!(io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let mut server = GateServer::builder(&options.file);
    for (who, file) in &options.token {
        server = server.token_file(who, file)?;
    }
    if options.checks_need_a_token {
        server = server.checks_need_a_token();
    }
    let server = server.open().await?;
    let listening = TcpListener::bind(options.listen).await;
    let listener = listening.map_err(|it| format!("listening on {}: {it}", options.listen))?;
    introduce(&options, listener.local_addr()?);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    server.serve(listener, stop).await;
    Ok(())
}

/// What one can do now.
fn introduce(options: &Options, address: SocketAddr) {
    let file = options
        .token
        .first()
        .map_or_else(String::new, |(_, file)| file.display().to_string());
    let curl = format!("curl -H \"Authorization: Bearer $(cat '{file}')\"");
    let rollout = r#"-d '{"name":"web","namespace":"shop"}'"#;
    let text = format!(
        "gate server on http://{address}, changes in {}\n\
         open:  {curl} {rollout} http://{address}/gate/open\n\
         close: {curl} {rollout} http://{address}/gate/close\n\
         pause: {curl} -d '{{\"order\":\"pause\"}}' http://{address}/commands/shop/web\n",
        options.file.display()
    );
    // Somebody may have closed it; the server goes on.
    let _ = io::stdout()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush());
}
