//! The definitions that the API server gets: as they are committed, and beside Flagger's own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use delivery_k8s::api::crds;
use serde_json::{Map, Value};

fn at(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// After a change of the types: `UPDATE_CRDS=1 cargo test -p delivery-k8s --test crd`.
#[test]
fn the_committed_definitions_are_those_of_the_types() {
    let definitions = crds();
    let texts = definitions
        .iter()
        .map(|crd| serde_saphyr::to_string(crd).expect("a definition is YAML"));
    let text = texts.collect::<Vec<_>>().join("---\n");
    let file = at("crds.yaml");
    if std::env::var_os("UPDATE_CRDS").is_some() {
        fs::write(&file, &text).expect("the file can be written");
    }
    let committed = fs::read_to_string(&file).expect("crds.yaml is there");
    assert!(
        committed == text,
        "crds.yaml is not what the types say: UPDATE_CRDS=1 cargo test -p delivery-k8s --test crd"
    );
}

/// Where ours differs from Flagger's, and in which direction.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// Ours refuses what Flagger's lets through.
    Stricter(String),
    /// Ours lets through what Flagger's refuses or takes out.
    Laxer(String),
}

type Found = BTreeSet<Difference>;

fn stricter(found: &mut Found, text: String) {
    found.insert(Difference::Stricter(text));
}

fn laxer(found: &mut Found, text: String) {
    found.insert(Difference::Laxer(text));
}

fn is_open(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

fn kind(schema: &Value) -> &str {
    schema["type"].as_str().unwrap_or("any")
}

/// Everything in which ours differs from Flagger's, from this path on.
fn differences(path: &str, flagger: &Value, ours: &Value, found: &mut Found) {
    let (theirs, own) = (kind(flagger), kind(ours));
    // Every whole number is a number.
    if theirs != own && own != "any" && !(theirs == "integer" && own == "number") {
        stricter(found, format!("{path}: {theirs}, here {own}"));
    }
    compare_names(path, flagger, ours, found);
    compare_bounds(path, flagger, ours, found);
    if theirs == "object" {
        compare_required(path, flagger, ours, found);
    }
    compare_fields(path, flagger, ours, found);
    for inside in ["items", "additionalProperties"] {
        match (flagger.get(inside), ours.get(inside)) {
            (Some(theirs), Some(own)) => differences(&format!("{path}[]"), theirs, own, found),
            (Some(_), None) if !is_open(ours) => stricter(found, format!("{path}[]: is taken out")),
            (Some(_) | None, _) => {}
        }
    }
}

/// The fixed sets of names.
fn compare_names(path: &str, flagger: &Value, ours: &Value, found: &mut Found) {
    match (flagger["enum"].as_array(), ours["enum"].as_array()) {
        (None, None) => {}
        (None, Some(_)) => stricter(found, format!("{path}: any text, here a fixed set")),
        (Some(_), None) => laxer(found, format!("{path}: a fixed set, here any text")),
        (Some(theirs), Some(own)) => {
            for name in theirs.iter().filter(|name| !own.contains(name)) {
                stricter(found, format!("{path}: {name} is not allowed"));
            }
            for name in own
                .iter()
                .filter(|name| !theirs.contains(name) && !name.is_null())
            {
                laxer(found, format!("{path}: {name} is allowed"));
            }
        }
    }
}

fn compare_bounds(path: &str, flagger: &Value, ours: &Value, found: &mut Found) {
    const BOUNDS: [&str; 9] = [
        "pattern",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "oneOf",
        "anyOf",
    ];
    for bound in BOUNDS {
        match (flagger.get(bound), ours.get(bound)) {
            (None, None) => {}
            (Some(theirs), Some(own))
                if theirs == own || theirs.is_number() && theirs.as_f64() == own.as_f64() => {}
            (Some(Value::Array(theirs)), Some(Value::Array(own)))
                if theirs.iter().all(|way| own.contains(way)) =>
            {
                laxer(
                    found,
                    format!("{path}: {bound} with {} ways more", own.len() - theirs.len()),
                );
            }
            (Some(theirs), None) => {
                let theirs = if theirs.is_array() {
                    String::new()
                } else {
                    format!(" {theirs}")
                };
                laxer(found, format!("{path}: no {bound}{theirs}"));
            }
            (theirs, Some(own)) => stricter(found, format!("{path}: {bound} {own}, Flagger's {theirs:?}")),
        }
    }
    // Of the formats, this is one that the API server checks.
    let date = |schema: &Value| schema["format"] == "date-time";
    if date(ours) && !date(flagger) {
        stricter(found, format!("{path}: a date"));
    }
}

fn compare_required(path: &str, flagger: &Value, ours: &Value, found: &mut Found) {
    let required = |schema: &Value| -> BTreeSet<String> {
        let names = schema["required"].as_array().into_iter().flatten();
        names
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    };
    let (theirs, own) = (required(flagger), required(ours));
    for name in own.difference(&theirs) {
        stricter(found, format!("{path}.{name}: required"));
    }
    for name in theirs.difference(&own) {
        laxer(found, format!("{path}.{name}: not required"));
    }
}

fn compare_fields(path: &str, flagger: &Value, ours: &Value, found: &mut Found) {
    let none = Map::new();
    let theirs = flagger["properties"].as_object().unwrap_or(&none);
    let own = ours["properties"].as_object().unwrap_or(&none);
    // The API server keeps these of every object.
    let kept = |name: &str| !path.contains('.') && ["apiVersion", "kind", "metadata"].contains(&name);
    for (name, theirs) in theirs.iter().filter(|(name, _)| !kept(name)) {
        match own.get(name) {
            Some(own) => differences(&format!("{path}.{name}"), theirs, own, found),
            None if is_open(ours) => {}
            None => stricter(found, format!("{path}.{name}: is taken out")),
        }
    }
    for name in own.keys().filter(|name| !theirs.contains_key(*name)) {
        laxer(found, format!("{path}.{name}: is kept"));
    }
}

#[test]
fn ours_let_through_whatever_flaggers_let_through() {
    let text =
        fs::read_to_string(at("tests/data/flagger-schemas.json")).expect("Flagger's schemas are there");
    let flagger: Value = serde_json::from_str(&text).expect("JSON");
    let mut found = BTreeSet::new();
    for crd in crds() {
        let kind = crd["spec"]["names"]["kind"].as_str().expect("a kind");
        let ours = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        differences(kind, &flagger[kind], ours, &mut found);
    }
    for difference in &found {
        println!("{difference:?}");
    }
    let stricter: Vec<_> = found
        .iter()
        .filter(|it| matches!(it, Difference::Stricter(_)))
        .collect();
    assert!(stricter.is_empty(), "{stricter:#?}");
}
