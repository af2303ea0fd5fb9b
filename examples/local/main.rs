//! A canary release on this machine, with nothing but this program.
//!
//! ```text
//! cargo run -p delivery-examples --bin local
//! ```
//!
//! You see version 1 of a small HTTP service take all requests, version 2 come up beside it, and a table that grows by a
//! line per transition, with its reason: 10 % of the requests to version 2, 20 %, up to 50 %, as long as the success
//! rate stays at 99 % and the P99 latency below 500 ms; then the promotion. At the end there is the users' view:
//! how many requests were sent, how many failed (none), and how fast the answers were at each weight.
//!
//! With `--bad errors|latency|crash|no-traffic` version 2 is a bad one and is rolled back; with `--kill-controller` the
//! controlling process is killed again and again, and it all ends the same. With `--gate` the promotion waits until you open
//! a gate with `curl`. With `--prometheus` a real Prometheus measures ([`prometheus`]), with `--stop-prometheus` one that
//! is gone for a while. `--help` has the rest.
//!
//! Everything is real: processes, connections, requests, metrics, signals. What a cluster would be is in this process
//! ([`proxy`], [`platform`], [`monitoring`], [`load`]); the services ([`service`]) and the controller ([`controller`]: the
//! engine of `delivery-core` over the ports in [`ports`]) are processes of their own, which are this program again.
//!
//! The exit status is 0 when version 2 was promoted, 2 when it was rolled back, 1 for an error.

mod admin;
mod balance;
mod chaos;
mod contract;
mod controller;
mod error;
mod gates;
mod http;
mod journal;
mod keeper;
mod load;
mod monitoring;
mod options;
mod pages;
mod platform;
mod pod;
mod ports;
mod prometheus;
mod proxy;
mod report;
mod scrape;
mod screen;
mod service;
mod signals;
mod state_folder;
mod supervisor;
mod tempo;
mod wire;

use std::future::Future;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::error::{Error, chain};
use crate::options::{Cli, Role};
use crate::report::Outcome;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // Clap's own status for wrong options is 2, which is a rollback here.
            return if error.use_stderr() {
                ExitCode::from(1)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let ended = match cli.role {
        Some(Role::Service(args)) => run(1, service::run(args)).map(|()| Outcome::Promoted),
        Some(Role::Controller(args)) => run(1, controller::run(args)).map(|()| Outcome::Promoted),
        Some(Role::Contract) => run(2, contract::run(&cli.options)).map(|()| Outcome::Promoted),
        None => run(2, supervisor::run(cli.options)),
    };
    match ended {
        Ok(Outcome::Promoted) => ExitCode::SUCCESS,
        Ok(Outcome::RolledBack) => ExitCode::from(2),
        Ok(Outcome::Error) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", chain(&error));
            ExitCode::from(1)
        }
    }
}

/// Runs it on so many threads.
fn run<T>(threads: usize, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build();
    runtime
        .map_err(|source| Error::Io {
            doing: "start threads",
            source,
        })?
        .block_on(work)
}
