//! What is wrong with these alerting rules, as far as progressive delivery goes? Reads Prometheus rules files,
//! `PrometheusRule` manifests, and the log stages of promtail, of its Helm chart and of Alloy.
//!
//! You will see a line for each thing that is wrong, with what would be right. What Prometheus would refuse is among them, and
//! hides nothing else:
//!
//! ```text
//! cargo run -p delivery-examples --bin check-rules -- examples/check_rules/alerts.yaml examples/check_rules/logs.yaml
//! cargo run -p delivery-examples --bin check-rules -- --step 5m alerts.yaml
//! ```
//!
//! Exit status: 0 nothing was found, 2 something was found, 1 a file could not be read as YAML or Alloy or holds nothing to
//! check (all others are still checked), 141 nobody reads the output any more.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;
use delivery_core::time::PromDuration;
use delivery_examples::{complain, line, status};
use delivery_prom::rules::{Finding, Pace, check};

/// Reports what is wrong with alerting rules and log stages as `file:line: message`.
#[derive(Parser)]
#[command(name = "check-rules")]
struct Arguments {
    /// Rules files and manifests (`PrometheusRule`), promtail or Helm values in YAML; Alloy as `.alloy` or `.river`
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How long a canary stays at one weight: the analysis interval
    #[arg(long, default_value = "1m", value_parser = duration)]
    step: Duration,
    /// How often rules are evaluated whose group does not say so
    #[arg(long, default_value = "15s", value_parser = duration)]
    evaluation: Duration,
    /// How often the canary is scraped
    #[arg(long, default_value = "15s", value_parser = duration)]
    scrape: Duration,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
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
    status(run(&arguments))
}

fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let pace = Pace {
        step: arguments.step,
        evaluation: arguments.evaluation,
        scrape: arguments.scrape,
    };
    let (mut found, mut failed) = (false, false);
    for file in &arguments.files {
        match checked(file, &pace) {
            Ok(findings) => {
                found |= !findings.is_empty();
                for finding in findings {
                    line(finding)?;
                }
            }
            Err(why) => {
                failed = true;
                complain(why);
            }
        }
    }
    Ok(match (failed, found) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(2),
        (false, false) => ExitCode::SUCCESS,
    })
}

/// What is wrong with one file; or why nobody can tell.
fn checked(file: &Path, pace: &Pace) -> Result<Vec<Finding>, String> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|it| format!("{name}: {it}"))?;
    check(&name, &text, pace).map_err(|it| it.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<PromDuration>() {
        Ok(duration) if duration.as_millis() > 0 => Ok(duration.into()),
        Ok(_) => Err(String::from("expected more than nothing, e.g. 1m")),
        Err(error) => Err(error.to_string()),
    }
}
