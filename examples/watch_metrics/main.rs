//! What would a rollout see now? Measures every metric of a plan once per interval, as a rollout would, and shows each with
//! its bounds, how far it is from them, and whether there was anything to judge. Nothing is released.
//!
//! ```text
//! cargo run -p delivery-examples --bin watch-metrics -- --prometheus http://localhost:9090 --plan PLAN.yaml
//! cargo run -p delivery-examples --bin watch-metrics -- --prometheus http://localhost:9090 --plan PLAN.yaml --once --json
//! ```
//!
//! The file has a plan, or a plan under `plan` and beside it what the plan's metrics are measured with; `plan.yaml` in this
//! folder shows both.
//!
//! Exit status with `--once`: 0 all metrics pass, 2 one fails, 1 one cannot be measured because of an error, 3 one has
//! nothing to judge, or is under suspicion. 141 nobody reads the output any more.

#[path = "../simulate/document.rs"]
mod document;
mod options;
mod plan;
mod round;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use delivery_core::host::SystemClock;
use delivery_core::port::Clock;
use delivery_examples::{complain, line, status};
use tokio::time::{MissedTickBehavior, interval};

use crate::options::Options;
use crate::plan::Watched;
use crate::round::Round;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(asked) => {
            let _ = asked.print();
            let harmless = matches!(asked.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if harmless {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
    };
    // What stands between, such as a token that others can read.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // A standard error that is closed cannot be told of on standard error: that would be a panic.
        .log_internal_errors(false)
        .init();
    let watched = match Watched::read(&options) {
        Ok(watched) => watched,
        Err(problems) => {
            for problem in problems {
                complain(problem);
            }
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => status(runtime.block_on(watch(&options, &watched))),
        Err(error) => {
            complain(format_args!("cannot start: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Shows a round per interval; ends when nobody looks any more, or after one.
async fn watch(options: &Options, watched: &Watched) -> Result<ExitCode, Box<dyn Error>> {
    let running = watched.primary.as_ref().unwrap_or(&watched.canary);
    for short in watched
        .metrics
        .short_windows(&watched.plan, running, SystemClock.now())
        .await
    {
        complain(short);
    }
    let mut memory = BTreeMap::new();
    let mut beats = interval(watched.plan.interval());
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let round = Round::measure(watched, &SystemClock, &mut memory).await;
        if options.json {
            line(round.json())?;
        } else {
            line(&round)?;
        }
        if options.once {
            return Ok(ExitCode::from(round.status()));
        }
    }
}
