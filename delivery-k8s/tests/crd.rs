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

fn differences(path: &str, flagger: &Value, ours: &Value, found: &mut BTreeSet<Difference>) {
    let open = |schema: &Value| schema["x-kubernetes-preserve-unknown-fields"] == true;
    let kind = |schema: &Value| schema["type"].as_str().unwrap_or("any").to_owned();
    let (theirs, own) = (kind(flagger), kind(ours));
    // Every whole number is a number.
    if theirs != own && own != "any" && !(theirs == "integer" && own == "number") {
        found.insert(Difference::Stricter(format!("{path}: {theirs}, here {own}")));
    }
    if let Some(names) = ours["enum"].as_array() {
        let known = flagger["enum"].as_array();
        for name in known.into_iter().flatten().filter(|name| !names.contains(name)) {
            found.insert(Difference::Stricter(format!("{path}: {name} is not allowed")));
        }
        match known {
            None => {
                found.insert(Difference::Stricter(format!(
                    "{path}: any text, here a fixed set"
                )));
            }
            Some(known) => {
                for name in names
                    .iter()
                    .filter(|name| !known.contains(name) && !name.is_null())
                {
                    found.insert(Difference::Laxer(format!("{path}: {name} is allowed")));
                }
            }
        }
    } else if flagger["enum"].is_array() {
        found.insert(Difference::Laxer(format!("{path}: a fixed set, here any text")));
    }
    for bound in [
        "pattern",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "format",
        "oneOf",
        "anyOf",
    ] {
        match (flagger.get(bound), ours.get(bound)) {
            (None, None) => {}
            (Some(theirs), Some(own))
                if theirs == own || theirs.is_number() && theirs.as_f64() == own.as_f64() => {}
            // One way more.
            (Some(Value::Array(theirs)), Some(Value::Array(own)))
                if theirs.iter().all(|way| own.contains(way)) =>
            {
                found.insert(Difference::Laxer(format!(
                    "{path}: {bound} with {} ways more",
                    own.len() - theirs.len()
                )));
            }
            // A format that the API server does not know means nothing.
            (theirs, own) if bound == "format" => {
                let checked = |format: Option<&Value>| format.is_some_and(|it| it == "date-time");
                if checked(own) && !checked(theirs) {
                    found.insert(Difference::Stricter(format!("{path}: {bound} {own:?}")));
                }
            }
            (Some(theirs), None) => {
                let theirs = if theirs.is_array() {
                    String::new()
                } else {
                    format!(" {theirs}")
                };
                found.insert(Difference::Laxer(format!("{path}: no {bound}{theirs}")));
            }
            (theirs, Some(own)) => {
                found.insert(Difference::Stricter(format!(
                    "{path}: {bound} {own}, Flagger's {theirs:?}"
                )));
            }
        }
    }
    let required = |schema: &Value| -> BTreeSet<String> {
        let names = schema["required"].as_array().into_iter().flatten();
        names
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    };
    // A list has no fields that could be missing.
    if theirs == "object" {
        let (theirs, own) = (required(flagger), required(ours));
        found.extend(
            own.difference(&theirs)
                .map(|name| Difference::Stricter(format!("{path}.{name}: required"))),
        );
        found.extend(
            theirs
                .difference(&own)
                .map(|name| Difference::Laxer(format!("{path}.{name}: not required"))),
        );
    }
    let none = Map::new();
    let fields = |schema: &Value| schema["properties"].as_object().unwrap_or(&none).clone();
    let (theirs, own) = (fields(flagger), fields(ours));
    // The API server keeps these of every object.
    let kept = |name: &str| !path.contains('.') && ["apiVersion", "kind", "metadata"].contains(&name);
    for (name, theirs) in theirs.iter().filter(|(name, _)| !kept(name)) {
        match own.get(name) {
            Some(own) => differences(&format!("{path}.{name}"), theirs, own, found),
            None if open(ours) => {}
            None => {
                found.insert(Difference::Stricter(format!("{path}.{name}: is taken out")));
            }
        }
    }
    for name in own.keys().filter(|name| !theirs.contains_key(*name)) {
        found.insert(Difference::Laxer(format!("{path}.{name}: is kept")));
    }
    for inside in ["items", "additionalProperties"] {
        match (flagger.get(inside), ours.get(inside)) {
            (Some(theirs), Some(own)) => differences(&format!("{path}[]"), theirs, own, found),
            (Some(_), None) if !open(ours) => {
                found.insert(Difference::Stricter(format!("{path}[]: is taken out")));
            }
            (Some(_) | None, _) => {}
        }
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
