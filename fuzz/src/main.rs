//! Mutates the seeds of a target for a while, and keeps every input that finds something.
//!
//! ```text
//! cargo run --release -p delivery-fuzz -- all --seconds 60
//! cargo run --release -p delivery-fuzz -- plan --seconds 600 --seed 7
//! ```
//!
//! Exit status: 0 nothing was found, 2 something was found, 1 an error.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use delivery_fuzz::mutate::Mutator;
use delivery_fuzz::store::{Kept, keep};
use delivery_fuzz::{Shape, Target, targets};

/// Mutates the seeds of a target for a while, and keeps every input that finds something.
#[derive(Debug, Parser)]
#[command(name = "delivery-fuzz")]
struct Options {
    /// Which target; `all` for one after the other
    target: String,
    /// How long for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Another seed gives other inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write each input to this file before it is run: it is there after an end that no panic is, such as a stack that
    /// overflows
    #[arg(long, value_name = "FILE")]
    keep_current: Option<PathBuf>,
    /// Run this one input and nothing else
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

/// So many different findings of one target are enough to begin with.
const ENOUGH: usize = 20;

/// So many inputs are kept to be mutated.
const POOL: usize = 20_000;

/// An input that takes longer is a finding.
const HANGS: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(2),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<usize, Box<dyn Error>> {
    let chosen: Vec<&Target> = targets::ALL
        .iter()
        .filter(|it| options.target == "all" || options.target == it.name)
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = targets::ALL.iter().map(|it| it.name).collect();
        return Err(format!(
            "there is no target `{}` (expected all, {})",
            options.target,
            names.join(", ")
        )
        .into());
    }
    let mut found = 0;
    for target in chosen {
        if let Some(file) = &options.input {
            let shape = (target.run)(&fs::read(file)?);
            line(&format!("{:<14}  {shape:?}", target.name))?;
            continue;
        }
        found += fuzz(target, options)?;
    }
    Ok(found)
}

/// What is being run, and since when.
type Current = Arc<Mutex<Option<(Instant, Vec<u8>)>>>;

/// Ends everything when one input takes too long, and keeps it.
fn watch(target: &'static str, current: Current) {
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(1));
            let current = current.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((since, input)) = &*current
                && since.elapsed() > HANGS
            {
                let kept = keep(target, &name("slow", input), input);
                let _ = writeln!(
                    io::stderr(),
                    "{target}: an input takes longer than {HANGS:?}: {kept:?}"
                );
                std::process::exit(2);
            }
        }
    });
}

/// The name of an input: the same for the same bytes.
fn name(kind: &str, input: &[u8]) -> String {
    format!(
        "{kind}-{}",
        format!("{:?}", Shape::default().and(input)).replace(|it: char| !it.is_ascii_digit(), "")
    )
}

fn fuzz(target: &'static Target, options: &Options) -> Result<usize, Box<dyn Error>> {
    let mut pool: Vec<Vec<u8>> = Kept::Seeds
        .read(target.name)?
        .into_iter()
        .map(|(_, it)| it)
        .collect();
    pool.extend(Kept::Found.read(target.name)?.into_iter().map(|(_, it)| it));
    if pool.is_empty() {
        return Err(format!("`{}` has no seeds", target.name).into());
    }
    let mut mutator = Mutator::new(options.seed, target.longest, pool.iter().map(Vec::as_slice));
    let current = Current::default();
    watch(target.name, Arc::clone(&current));
    // A finding is told below; its backtrace would only hide it.
    std::panic::set_hook(Box::new(|_| {}));
    let (begun, mut runs, mut slowest) = (Instant::now(), 0_u64, Duration::ZERO);
    let (mut shapes, mut words) = (BTreeSet::new(), BTreeSet::new());
    let seeds = pool.len();
    let mut next = pool.clone();
    while begun.elapsed() < Duration::from_secs(options.seconds) && words.len() < ENOUGH {
        let input = next.pop().unwrap_or_else(|| {
            let numbers = mutator.numbers();
            // What was new last is the most promising.
            let newest = pool.len().min(64);
            let from = match numbers.below(3) {
                0 => pool.len() - newest + numbers.below(newest),
                _ => numbers.below(pool.len()),
            };
            let other = numbers.below(pool.len());
            mutator.mutate(&pool[from], &pool[other])
        });
        if let Some(file) = &options.keep_current {
            fs::write(file, &input)?;
        }
        let since = Instant::now();
        *current.lock().unwrap_or_else(PoisonError::into_inner) = Some((since, input.clone()));
        let ended = target.try_run(&input);
        *current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        slowest = slowest.max(since.elapsed());
        runs += 1;
        match ended {
            Ok(shape) => {
                if shapes.insert(shape) && pool.len() < POOL && runs > seeds as u64 {
                    pool.push(input);
                }
            }
            Err(why) => {
                if words.insert(Shape::default().said(why.split(':').next().unwrap_or_default())) {
                    let path = keep(target.name, &name("panic", &input), &input)?;
                    line(&format!("{}: {why}\n  kept as {}", target.name, path.display()))?;
                }
            }
        }
    }
    let _ = std::panic::take_hook();
    line(&format!(
        "{:<14} {runs:>10} executions in {:>3} s, {:>5} kinds of outcome, slowest {:>5} ms, {} found",
        target.name,
        begun.elapsed().as_secs(),
        shapes.len(),
        slowest.as_millis(),
        words.len()
    ))?;
    Ok(words.len())
}

fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush())
}
