//! The recordings, as data.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

pub(crate) struct Recording {
    pub(crate) scenario: String,
    pub(crate) canary: Value,
    pub(crate) script: Value,
    pub(crate) from_start: bool,
    pub(crate) initial: Seen,
    pub(crate) ticks: Vec<Tick>,
}

pub(crate) struct Tick {
    pub(crate) number: usize,
    pub(crate) hooks: Vec<(String, u64)>,
    pub(crate) after: Seen,
}

/// What can be seen from outside after a tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) phase: String,
    pub(crate) weight: i64,
    pub(crate) iterations: i64,
    pub(crate) failed_checks: i64,
    pub(crate) applied: Option<String>,
    pub(crate) promoted: Option<String>,
    pub(crate) configs: Option<String>,
    pub(crate) route: Option<Route>,
    pub(crate) target: Option<Pods>,
    pub(crate) primary: Option<Pods>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Route {
    pub(crate) primary: i64,
    pub(crate) canary: i64,
    pub(crate) mirror: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pods {
    pub(crate) replicas: i64,
    pub(crate) ready: i64,
    pub(crate) revision: String,
}

/// What the script may say. A word that is not here is a mistake, or something that this replay does not understand.
const SCRIPT: [&str; 10] = [
    "metrics",
    "hooks",
    "actions",
    "during",
    "ready",
    "from_start",
    "configmap",
    "replicas",
    "deploy_deadline",
    "objects",
];
const ACTIONS: [&str; 8] = [
    "revision",
    "replicas",
    "ready",
    "canary",
    "config",
    "route_weights",
    "delete_route",
    "delete_canary",
];

/// Every recording in a folder, by name.
pub(crate) fn all(folder: &Path) -> Vec<Recording> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|why| panic!("reading {}: {why}", folder.display()));
    let mut paths: Vec<_> = files
        .map(|file| file.expect("listing the folder").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "json"));
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Recording {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|why| panic!("reading {}: {why}", path.display()));
    let whole: Value = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let script = whole["script"].clone();
    known(&script, &SCRIPT, path);
    for actions in ["actions", "during"] {
        for at in script[actions].as_object().into_iter().flat_map(|it| it.values()) {
            for action in at.as_array().expect("a list of actions") {
                known(action, &ACTIONS, path);
            }
        }
    }
    let mut canary = serde_json::json!({});
    canary["spec"] = whole["canary"]["spec"].clone();
    canary["provider"] = whole["provider"].clone();
    Recording {
        scenario: whole["scenario"].as_str().expect("a name").into(),
        canary,
        from_start: script["from_start"].as_bool().unwrap_or(false),
        script,
        initial: seen(&whole["initial"]),
        ticks: whole["ticks"]
            .as_array()
            .expect("ticks")
            .iter()
            .map(tick)
            .collect(),
    }
}

fn known(object: &Value, words: &[&str], path: &Path) {
    for word in object.as_object().into_iter().flat_map(|it| it.keys()) {
        assert!(
            words.contains(&word.as_str()),
            "{}: no such word: {word}",
            path.display()
        );
    }
}

fn tick(tick: &Value) -> Tick {
    let hook = |hook: &Value| {
        (
            hook["type"].as_str().unwrap_or("").into(),
            hook["status"].as_u64().unwrap_or(0),
        )
    };
    Tick {
        number: usize::try_from(tick["tick"].as_u64().expect("a number")).expect("a small number"),
        hooks: tick["hooks"].as_array().into_iter().flatten().map(hook).collect(),
        after: seen(&tick["after"]),
    }
}

fn seen(state: &Value) -> Seen {
    let text = |key: &str| state[key].as_str().map(String::from);
    let pods = |key: &str| {
        let pods = &state[key];
        Some(Pods {
            replicas: pods["replicas"].as_i64()?,
            ready: pods["ready"].as_i64().unwrap_or(0),
            revision: pods["revision"].as_str()?.into(),
        })
    };
    let route = &state["route"];
    Seen {
        phase: text("phase").unwrap_or_default(),
        weight: state["canaryWeight"].as_i64().unwrap_or(0),
        iterations: state["iterations"].as_i64().unwrap_or(0),
        failed_checks: state["failedChecks"].as_i64().unwrap_or(0),
        applied: text("lastAppliedSpec"),
        promoted: text("lastPromotedSpec"),
        configs: state
            .get("trackedConfigs")
            .filter(|it| !it.is_null())
            .map(ToString::to_string),
        route: route["primary"].as_i64().map(|primary| Route {
            primary,
            canary: route["canary"].as_i64().unwrap_or(0),
            mirror: route["mirror"].as_bool().unwrap_or(false),
        }),
        target: pods("target"),
        primary: pods("primary"),
    }
}

impl Recording {
    /// What was done between this tick and the next.
    pub(crate) fn actions(&self, after: usize) -> Vec<&Value> {
        self.script["actions"][after.to_string()]
            .as_array()
            .into_iter()
            .flatten()
            .collect()
    }

    /// What was done while a call of this tick was being answered.
    pub(crate) fn during(&self, tick: usize, call: &str) -> Vec<Value> {
        self.script["during"][format!("{tick}:{call}")]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn ends_in(&self, phase: &str) -> bool {
        self.ticks.last().is_some_and(|tick| tick.after.phase == phase)
    }
}

/// The value that a script gives for a tick: by number, by range, by default.
pub(crate) fn scripted(values: &Value, tick: usize) -> Option<&Value> {
    let Some(by_tick) = values.as_object() else {
        return (!values.is_null()).then_some(values);
    };
    let matches: BTreeMap<usize, &Value> = by_tick
        .iter()
        .filter_map(|(key, value)| {
            let (from, to) = match (key.strip_suffix('+'), key.split_once('-')) {
                (Some(from), _) => (from.parse().ok()?, usize::MAX),
                (None, Some((from, to))) => (from.parse().ok()?, to.parse().ok()?),
                (None, None) => (key.parse().ok()?, key.parse().ok()?),
            };
            (from..=to).contains(&tick).then_some((to - from, value))
        })
        .collect();
    // The narrowest range speaks.
    matches.into_values().next().or_else(|| by_tick.get("default"))
}

impl Seen {
    /// What differs from the recording, in words. What the recording does not know is not compared.
    pub(crate) fn differences(&self, theirs: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let mut differ = |what: &str, ours: String, theirs: String| {
            if ours != theirs {
                differences.push(format!("{what} {ours}, theirs {theirs}"));
            }
        };
        differ("phase", self.phase.clone(), theirs.phase.clone());
        differ("weight", self.weight.to_string(), theirs.weight.to_string());
        differ(
            "iterations",
            self.iterations.to_string(),
            theirs.iterations.to_string(),
        );
        differ(
            "failed checks",
            self.failed_checks.to_string(),
            theirs.failed_checks.to_string(),
        );
        if let Some(route) = theirs.route {
            differ(
                "route",
                self.route.map_or("none".into(), |it| it.to_string()),
                route.to_string(),
            );
        }
        let replicas =
            |pods: &Option<Pods>| pods.as_ref().map_or("none".into(), |it| it.replicas.to_string());
        differ(
            "target replicas",
            replicas(&self.target),
            replicas(&theirs.target),
        );
        let revision = |pods: &Option<Pods>| pods.as_ref().map_or("none".into(), |it| it.revision.clone());
        differ(
            "primary revision",
            revision(&self.primary),
            revision(&theirs.primary),
        );
        differences
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}{}",
            self.primary,
            self.canary,
            if self.mirror { " mirrored" } else { "" }
        )
    }
}
