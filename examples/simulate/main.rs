//! What would this plan do? Plays a rollout in a simulated world, on a virtual clock, and shows every move with its
//! reason.
//!
//! ```text
//! cargo run -p delivery-examples --bin simulate -- examples/simulate/scenarios/canary-good.yaml
//! cargo run -p delivery-examples --bin simulate -- PLAN.yaml SCENARIO.yaml --json
//! cargo run -p delivery-examples --bin simulate -- FILE.yaml --judge range --judge sequential
//! cargo run -p delivery-examples --features k8s --bin simulate -- CANARY.yaml
//! ```
//!
//! The last is a manifest of Flagger, with its `MetricTemplate`s if they stand in the same file: what becomes of a good version,
//! or of the story in a second file.
//!
//! Exit status: 0 promoted, 2 not promoted, 1 an error, 141 nobody reads the output any more.

mod document;
mod judges;
#[cfg(feature = "k8s")]
mod manifest;
mod story;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use delivery_core::plan::{Capabilities, PlanErrors, Spec, Warning};
use delivery_core::sim::{self, Recording, Scenario};
use delivery_examples::{complain, line, status};

use crate::document::{Document, Part, Problem};
use crate::judges::{Judge, side_by_side};
#[cfg(feature = "k8s")]
use crate::manifest::Manifest;
use crate::story::Story;

/// Plays a rollout in a simulated world, on a virtual clock.
#[derive(Parser)]
#[command(name = "simulate")]
struct Arguments {
    /// The plan, in YAML or JSON; or plan and scenario in one file, under `plan` and `scenario`; or a Canary of Flagger
    plan: PathBuf,
    /// The scenario, in YAML or JSON
    scenario: Option<PathBuf>,
    /// Print the recording as JSON
    #[arg(long)]
    json: bool,
    /// Let this judge decide instead of the plan's; given twice, what each makes of the story is shown side by side
    #[arg(long, value_enum, value_name = "JUDGE", conflicts_with = "json")]
    judge: Vec<Judge>,
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
    let played = read(&arguments).and_then(|files| play(&arguments, &files));
    match played {
        Ok((text, promoted)) => {
            let ended = if promoted {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(2)
            };
            status(line(text).map(|()| ended).map_err(Into::into))
        }
        Err(mut problems) => {
            problems.sort();
            for problem in problems {
                complain(problem);
            }
            ExitCode::FAILURE
        }
    }
}

/// Plays the story, under every judge that was asked for: what is told of it, and whether it was promoted.
fn play(arguments: &Arguments, files: &Files) -> Result<(String, bool), Vec<Problem>> {
    if arguments.judge.is_empty() {
        let (text, recording) = tell(arguments, files, &files.spec, &files.scenario)?;
        return Ok((text, recording.promoted()));
    }
    let (mut text, mut played) = (String::new(), Vec::new());
    for judge in &arguments.judge {
        let (spec, scenario) = judge.apply(&files.spec, &files.scenario);
        let recording = if arguments.judge.len() == 1 {
            let (whole, recording) = tell(arguments, files, &spec, &scenario)?;
            let _ = write!(text, "{whole}\n\n");
            recording
        } else {
            let (plan, _) = spec.compile(&Capabilities::ALL).map_err(|it| files.wrong(&it))?;
            sim::run(&plan, &scenario)
        };
        played.push((*judge, recording));
    }
    text.push_str(&side_by_side(&played));
    Ok((text, played.iter().all(|(_, it)| it.promoted())))
}

/// Plays the story once; with all that is told of it.
fn tell(
    arguments: &Arguments,
    files: &Files,
    spec: &Spec,
    scenario: &Scenario,
) -> Result<(String, Recording), Vec<Problem>> {
    let (plan, warnings) = spec.compile(&Capabilities::ALL).map_err(|it| files.wrong(&it))?;
    let recording = sim::run(&plan, scenario);
    let story = Story {
        plan: &plan,
        scenario,
        warnings: &[warnings, files.warnings.clone()].concat(),
        recording: &recording,
    };
    let text = if arguments.json {
        story.json()
    } else {
        story.to_string()
    };
    Ok((text, recording))
}

/// What was read.
struct Files {
    spec: Spec,
    scenario: Scenario,
    /// About the scenario, and the manifest.
    warnings: Vec<Warning>,
    /// Where the plan is written; none for a manifest.
    plan: Option<Document>,
    path: PathBuf,
}

impl Files {
    fn wrong(&self, errors: &PlanErrors) -> Vec<Problem> {
        match &self.plan {
            Some(plan) => told(&plan.part("plan"), errors),
            None => vec![Problem::of(&self.path, "", errors.to_string())],
        }
    }
}

/// Plan and scenario; or everything that is wrong with the files.
fn read(arguments: &Arguments) -> Result<Files, Vec<Problem>> {
    #[cfg(feature = "k8s")]
    if let Some(manifest) = Manifest::read(&arguments.plan) {
        return of_manifest(arguments, manifest?);
    }
    of_plan(arguments)
}

/// A Canary, and its story.
#[cfg(feature = "k8s")]
fn of_manifest(arguments: &Arguments, manifest: Manifest) -> Result<Files, Vec<Problem>> {
    let (scenario, more) = match &arguments.scenario {
        None => (manifest.story(), Vec::new()),
        Some(path) => {
            let document = Document::read(path).map_err(|it| vec![it])?;
            let part = document.part("scenario");
            let scenario: Scenario = part.read()?;
            let warnings = scenario.check().map_err(|it| told(&part, &it))?;
            (scenario, warnings)
        }
    };
    Ok(Files {
        spec: manifest.spec,
        scenario,
        warnings: [manifest.warnings, more].concat(),
        plan: None,
        path: arguments.plan.clone(),
    })
}

/// Whether somebody wrote this file for Kubernetes. One that cannot be read is none.
fn is_manifest(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let has = |field| text.lines().any(|line| line.starts_with(field));
    has("apiVersion:") && has("kind:")
}

fn of_plan(arguments: &Arguments) -> Result<Files, Vec<Problem>> {
    if is_manifest(&arguments.plan) {
        let text = "a manifest of Kubernetes (expected a plan; for a Canary of Flagger, build with `--features k8s`)";
        return Err(vec![Problem::of(&arguments.plan, "", text.into())]);
    }
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
        .and_then(|it: Spec| match it.compile(&Capabilities::ALL) {
            Ok(_) => Ok(it),
            Err(errors) => Err(told(&plan, &errors)),
        });
    let story = scenario.read().and_then(|it: Scenario| match it.check() {
        Ok(warnings) => Ok((it, warnings)),
        Err(errors) => Err(told(&scenario, &errors)),
    });
    match (spec, story) {
        (Ok(spec), Ok((scenario, warnings))) => Ok(Files {
            spec,
            scenario,
            warnings,
            plan: Some(first),
            path: arguments.plan.clone(),
        }),
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
