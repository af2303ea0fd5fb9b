//! Every Canary of Flagger's own documents and tests compiles to a plan, and what is no whole Canary is refused with the
//! field that is missing.
//!
//! Reads the folder `tests/manifests`, or the one that `FLAGGER_CANARIES` names. Prints a line for each object and a
//! closing count: `cargo test -p delivery-k8s --test manifests -- --nocapture`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use delivery_k8s::api::{Canary, read};
use delivery_k8s::compile::{Surroundings, compile};
use serde_json::Value;

/// What became of an object.
enum Outcome {
    /// It is a plan: how many steps it has, and what it warns of.
    Plan(String),
    /// It is a fragment, and this is what it is told.
    Fragment(String),
    /// Neither, or it should not be.
    Wrong(String),
}

fn folder() -> PathBuf {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    env::var_os("FLAGGER_CANARIES").map_or_else(own, PathBuf::from)
}

fn outcome(object: &Value) -> Outcome {
    let whole = object["spec"]["targetRef"].is_object();
    let (canary, ignored) = match read::<Canary>(object.clone()) {
        Ok(read) => read,
        Err(error) if !whole => return Outcome::Fragment(error.to_string()),
        Err(error) => return Outcome::Wrong(error.to_string()),
    };
    if !whole {
        return Outcome::Wrong(String::from("a fragment was taken for a whole Canary"));
    }
    match compile(&canary, &Surroundings::default()) {
        Ok(compiled) => {
            let steps = compiled.plan.timetable().rows.len();
            let mut text = format!("{steps} steps");
            for warning in ignored.iter().chain(&compiled.warnings) {
                text.push_str("\n    ");
                text.push_str(&warning.to_string());
            }
            Outcome::Plan(text)
        }
        Err(errors) => Outcome::Wrong(errors.to_string()),
    }
}

#[test]
fn whole_canaries_compile_and_fragments_are_refused() {
    let folder = folder();
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry of the folder").path())
        .collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|it| it == "yaml" || it == "yml" || it == "json")
    });
    files.sort();
    assert!(!files.is_empty(), "{}: no manifests", folder.display());
    let (mut plans, mut fragments, mut wrong) = (0, 0, 0);
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{name}: {error}"));
        let objects: Vec<Value> = match serde_saphyr::from_multiple(&text) {
            Ok(objects) => objects,
            Err(error) => {
                wrong += 1;
                println!("{name}: WRONG: this is not YAML: {error}");
                continue;
            }
        };
        for object in objects.iter().filter(|it| it["kind"] == "Canary") {
            match outcome(object) {
                Outcome::Plan(text) => {
                    plans += 1;
                    println!("{name}: plan, {text}");
                }
                Outcome::Fragment(text) => {
                    fragments += 1;
                    println!("{name}: fragment: {text}");
                }
                Outcome::Wrong(text) => {
                    wrong += 1;
                    println!("{name}: WRONG: {text}");
                }
            }
        }
    }
    println!(
        "{} files: {plans} plans, {fragments} fragments, {wrong} wrong",
        files.len()
    );
    assert_eq!(wrong, 0, "see the lines with WRONG above");
    assert!(plans > 0, "not one Canary was compiled");
}
