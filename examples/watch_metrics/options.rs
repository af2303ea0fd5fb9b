//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Measures every metric of a plan once per interval, as a rollout would, and shows how it would be judged.
///
/// Exit status with --once: 0 all metrics pass, 2 one fails, 1 one cannot be measured because of an error, 3 one has
/// nothing to judge.
#[derive(Debug, Parser)]
#[command(name = "watch-metrics")]
pub(crate) struct Options {
    /// Where the Prometheus is, or what speaks its API, e.g. `http://localhost:9090`.
    #[arg(long, value_name = "URL")]
    pub(crate) prometheus: String,
    /// The plan, in YAML or JSON; or a file with `plan`, `names`, `provider` and `queries`.
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: PathBuf,
    /// One round, and then end with a status that tells how it was.
    #[arg(long)]
    pub(crate) once: bool,
    /// One line of JSON per round.
    #[arg(long)]
    pub(crate) json: bool,
    /// Whose data is meant, where several share a server.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// A file with the token to log in with.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// A file with the certificate of an authority of one's own, in PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) authority: Option<PathBuf>,
    /// The canary's revision, where queries ask for it.
    #[arg(long, default_value = "canary")]
    pub(crate) revision: String,
    /// The primary's revision, where queries ask for it.
    #[arg(long)]
    pub(crate) primary: Option<String>,
}
