//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use delivery_core::time::parse_interval;

use crate::controller::ControllerArgs;
use crate::prometheus::Measured;
use crate::service::{Bad, ServiceArgs};
use crate::tempo::Judge;

/// A canary release on this machine: two versions of a real service, real requests through a real weighted proxy.
///
/// Exit status: 0 promoted, 2 rolled back, 1 an error. Ctrl-C rolls back, and ends with all traffic on the old version;
/// a second Ctrl-C ends at once.
#[derive(Debug, Parser)]
#[command(name = "local", args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
    #[command(flatten)]
    pub(crate) options: Options,
}

/// What else the program can be, most of it when it starts itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// One process of the service.
    #[command(hide = true)]
    Service(ServiceArgs),
    /// The controlling process.
    #[command(hide = true)]
    Controller(ControllerArgs),
    /// Check that the router, the workload, the metric source and the notifier of this example keep what their ports
    /// promise, under load.
    Contract,
}

/// What can be chosen.
#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub(crate) struct Options {
    /// Release a bad version 2.
    #[arg(long, value_name = "HOW")]
    pub(crate) bad: Option<Bad>,
    /// Who judges version 2.
    #[arg(long, value_enum, value_name = "JUDGE", default_value_t)]
    pub(crate) judge: Judge,
    /// Kill the controlling process (SIGKILL) several times in mid-rollout.
    #[arg(long)]
    pub(crate) kill_controller: bool,
    /// Let the promotion wait for a gate, which you open with the `curl` line that is shown; a check runs before the first
    /// traffic, and events are sent.
    #[arg(long)]
    pub(crate) gate: bool,
    #[command(flatten)]
    pub(crate) measured: Measured,
    /// Write the whole run to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// How long each weight lasts, and how often the metrics are judged: 500ms to 1m.
    #[arg(long, default_value = "2s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Requests per second.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(50..=2_000))]
    pub(crate) rate: u32,
    /// The proxy's port on 127.0.0.1; 0 for any free one.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Keep the rollout's state in this folder, and leave it there. Default: a temporary one.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state: Option<PathBuf>,
    /// Start this program as service and controller, instead of this one again.
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) program: Option<PathBuf>,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = parse_interval(text).map_err(|it| it.to_string())?;
    let range = Duration::from_millis(500)..=Duration::from_secs(60);
    if range.contains(&interval) {
        Ok(interval)
    } else {
        Err(String::from("expected 500ms to 1m"))
    }
}
