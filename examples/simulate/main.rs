//! What would this plan do? Plays a rollout in a simulated world, on a virtual clock, and shows every move with its
//! reason.
//!
//! ```text
//! cargo run -p delivery-examples --bin simulate -- examples/simulate/scenarios/canary-good.yaml
//! cargo run -p delivery-examples --bin simulate -- PLAN.yaml SCENARIO.yaml --json
//! ```
//!
//! Exit status: 0 promoted, 2 not promoted, 1 an error.

mod document;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use delivery_core::plan::{Capabilities, Plan, PlanErrors, Spec, Warning};
use delivery_core::sim::{self, Scenario};

use crate::document::{Document, Part, Problem};
use crate::story::Story;

/// Plays a rollout in a simulated world, on a virtual clock.
#[derive(Parser)]
#[command(name = "simulate")]
struct Arguments {
    /// The plan, in YAML or JSON; or plan and scenario in one file, under `plan` and `scenario`
    plan: PathBuf,
    /// The scenario, in YAML or JSON
    scenario: Option<PathBuf>,
    /// Print the recording as JSON
    #[arg(long)]
    json: bool,
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
    let (plan, scenario, warnings) = match read(&arguments) {
        Ok(read) => read,
        Err(mut problems) => {
            problems.sort();
            for problem in problems {
                eprintln!("{problem}");
            }
            return ExitCode::FAILURE;
        }
    };
    let recording = sim::run(&plan, &scenario);
    let story = Story {
        plan: &plan,
        scenario: &scenario,
        warnings: &warnings,
        recording: &recording,
    };
    if arguments.json {
        println!("{}", story.json());
    } else {
        println!("{story}");
    }
    if recording.promoted() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    }
}

/// Plan, scenario and warnings; or everything that is wrong with the files.
fn read(arguments: &Arguments) -> Result<(Plan, Scenario, Vec<Warning>), Vec<Problem>> {
    let first = Document::read(&arguments.plan).map_err(|it| vec![it])?;
    let second = arguments
        .scenario
        .as_deref()
        .map(Document::read)
        .transpose()
        .map_err(|it| vec![it])?;
    if second.is_none() {
        let missing = ["plan", "scenario"]
            .into_iter()
            .filter(|field| !first.has(field))
            .map(|field| {
                let text = format!("missing field `{field}` (a file by itself has `plan` and `scenario`)");
                first.part("").problem("", text)
            });
        let missing: Vec<Problem> = missing.collect();
        if !missing.is_empty() {
            return Err(missing);
        }
    }
    let (plan, scenario) = (
        first.part("plan"),
        second.as_ref().unwrap_or(&first).part("scenario"),
    );
    let spec = plan
        .read()
        .and_then(|it: Spec| it.compile(&Capabilities::ALL).map_err(|it| told(&plan, &it)));
    let story = scenario.read().and_then(|it: Scenario| match it.check() {
        Ok(warnings) => Ok((it, warnings)),
        Err(errors) => Err(told(&scenario, &errors)),
    });
    match (spec, story) {
        (Ok((plan, warnings)), Ok((scenario, more))) => Ok((plan, scenario, [warnings, more].concat())),
        (Ok(_), Err(problems)) | (Err(problems), Ok(_)) => Err(problems),
        (Err(problems), Err(more)) => Err(problems.into_iter().chain(more).collect()),
    }
}

/// What is wrong with a value that has the right form, at the places where it is written.
fn told(part: &Part<'_>, errors: &PlanErrors) -> Vec<Problem> {
    let problem = |it: &delivery_core::plan::PlanError| {
        part.problem(&it.path, format!("{} {} ({})", it.value, it.flaw, it.remedy))
    };
    errors.errors.iter().map(problem).collect()
}
