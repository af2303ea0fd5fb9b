//! The objects that the running Flagger 1.44 wrote for its own manifests, beside those that are written here.
//!
//! Reads the folder `tests/flagger-objects`, or the one that `FLAGGER_OBJECTS` names. Prints a line for each file and a
//! closing count: `cargo test -p delivery-k8s --test flagger_objects -- --nocapture`.

#[path = "flagger_objects/differences.rs"]
mod differences;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use delivery_core::Weight;
use delivery_core::port::{Cookie, Routing, Traffic};
use delivery_k8s::api::{Analysis, Canary, read};
use delivery_k8s::router::{Objects, Pods, Router, Subject, services};
use serde_json::Value;

use self::differences::{Difference, compare};

/// Objects of workloads, which do not exist here yet.
const NOT_YET: [&str; 6] = [
    "Deployment",
    "DaemonSet",
    "ConfigMap",
    "Secret",
    "HorizontalPodAutoscaler",
    "ScaledObject",
];

/// One recording: a Canary, and all objects of its namespace at moments of its rollout.
struct Recording {
    canary: Canary,
    provider: String,
    snapshots: Vec<(String, Vec<Value>)>,
}

impl Recording {
    fn read(text: &str) -> Result<Self, String> {
        let recording: Value =
            serde_json::from_str(text).map_err(|error| format!("this is not JSON: {error}"))?;
        let (canary, _) =
            read::<Canary>(recording["canary"].clone()).map_err(|error| format!("canary.{error}"))?;
        let provider = canary
            .spec
            .provider
            .clone()
            .unwrap_or_else(|| String::from("istio"));
        let snapshots = recording["snapshots"]
            .as_array()
            .ok_or("snapshots: there is no such list")?;
        let objects = |snapshot: &Value| {
            snapshot["objects"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|it| it.1.clone())
                .collect()
        };
        let named = |snapshot: &Value| {
            (
                snapshot["at"].as_str().unwrap_or_default().to_owned(),
                objects(snapshot),
            )
        };
        Ok(Self {
            canary,
            provider,
            snapshots: snapshots.iter().map(named).collect(),
        })
    }
}

/// How requests are divided at a moment of the recording.
fn traffic(at: &str, analysis: &Analysis, provider: &str) -> Traffic {
    let percent = |weight: f64| Traffic::Split(Weight::try_from(weight.min(100.0)).expect("a weight"));
    let iterated = analysis.iterations.unwrap_or(0.0) > 0.0;
    let mirror = analysis.mirror.unwrap_or(false);
    let step = analysis.step_weight.unwrap_or(0.0);
    match at {
        "moved" | "promoting" if iterated && !analysis.matches.is_empty() && provider != "kubernetes" => {
            Traffic::Match
        }
        "moved" if mirror && provider != "kubernetes" => {
            Traffic::Mirror(Weight::try_from(analysis.mirror_weight.unwrap_or(100.0)).expect("a weight"))
        }
        "moved" if iterated || provider == "kubernetes" => Traffic::PRIMARY,
        "moved" => percent(analysis.step_weights.first().copied().unwrap_or(step)),
        "promoting" if provider == "kubernetes" => Traffic::PRIMARY,
        "promoting" if iterated => Traffic::CANARY,
        "promoting" => {
            let most = analysis.max_weight.filter(|most| *most > 0.0).unwrap_or(100.0);
            let stepped = (most / step).ceil() * step;
            percent(analysis.step_weights.last().copied().unwrap_or(stepped))
        }
        _ => Traffic::PRIMARY,
    }
}

/// Which pods the Services select.
fn pods(canary: &Canary, objects: &[Value]) -> Pods {
    let target = &canary.spec.target_ref;
    let is_target =
        |it: &&Value| it["kind"] == target.kind.as_str() && it["metadata"]["name"] == target.name.as_str();
    let workload = objects
        .iter()
        .find(is_target)
        .expect("the target is among the objects");
    let labels = &workload["spec"]["selector"]["matchLabels"];
    let known = ["app", "name", "app.kubernetes.io/name"];
    let label = known
        .into_iter()
        .find(|name| labels[*name].is_string())
        .expect("a label that tells its pods");
    let service = canary.spec.service.as_ref().expect("a service");
    let main = service
        .target_port
        .as_ref()
        .map_or_else(|| serde_json::json!(service.port), |port| serde_json::json!(port));
    let mut ports = Vec::new();
    for container in workload["spec"]["template"]["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten()
    {
        for port in container["ports"].as_array().into_iter().flatten() {
            let number = port["containerPort"]
                .as_u64()
                .and_then(|it| u16::try_from(it).ok())
                .expect("a port");
            let name = port["name"].as_str().unwrap_or_default();
            let is_main = main.as_f64() == Some(f64::from(number)) || main == name;
            if !is_main {
                ports.push((name.to_owned(), number));
            }
        }
    }
    Pods {
        label: label.into(),
        value: labels[label].as_str().unwrap_or_default().into(),
        ports,
    }
}

/// Flagger draws the cookie's value by chance: the one that it drew.
fn cookie(canary: &Canary, objects: &[Value], traffic: Traffic) -> Option<Cookie> {
    let affinity = canary.spec.analysis.as_ref()?.session_affinity.as_ref()?;
    let text = serde_json::to_string(objects).expect("objects are JSON");
    let value = text
        .split_once(&format!("{}=", affinity.cookie_name))?
        .1
        .split(';')
        .next()?;
    (!traffic.weight().is_zero()).then(|| Cookie {
        name: affinity.cookie_name.clone(),
        value: value.into(),
        max_age: std::time::Duration::from_secs_f64(affinity.max_age.unwrap_or(86_400.0)),
    })
}

/// What is different in a recording, and which kinds of objects nobody writes here yet.
fn differences(recording: &Recording) -> (Vec<Difference>, BTreeSet<String>) {
    let (mut found, mut not_yet) = (Vec::new(), BTreeSet::new());
    let analysis = recording.canary.spec.analysis.clone().unwrap_or_default();
    for (at, recorded) in &recording.snapshots {
        let given: Objects = recorded.iter().cloned().collect();
        let pods = pods(&recording.canary, recorded);
        let subject = Subject::new(&recording.canary, &pods, &given).expect("the manifest has a service");
        let mut ours = Vec::from(services(&subject));
        let traffic = traffic(at, &analysis, &recording.provider);
        if let Some(router) = Router::of(&recording.provider) {
            let routing = Routing {
                cookie: cookie(&recording.canary, recorded, traffic),
                ..routing(traffic)
            };
            ours.extend((router.objects)(&subject, &routing).expect("the manifest can be routed"));
            let seen = (router.observe)(&subject, &accepted(recorded));
            if seen != Some(traffic) {
                found.push(Difference::read_back(at, traffic, seen));
            }
        }
        let named = |object: &Value| {
            format!(
                "{}/{}",
                object["kind"].as_str().unwrap_or("?"),
                object["metadata"]["name"].as_str().unwrap_or("?")
            )
        };
        for object in recorded {
            let name = named(object);
            match ours.iter().find(|own| named(own) == name) {
                Some(own) => compare(at, &name, own, object, &mut found),
                None if NOT_YET.iter().any(|kind| object["kind"] == *kind) => {
                    not_yet.insert(object["kind"].as_str().unwrap_or_default().to_owned());
                }
                None if Router::of(&recording.provider).is_none() => {
                    not_yet.insert(object["kind"].as_str().unwrap_or_default().to_owned());
                }
                // An Ingress, a route or an Upstream that a user wrote, and that is only read.
                None if object["metadata"]["ownerReferences"].is_null() => {}
                None => found.push(Difference::missing(at, &name)),
            }
        }
        for own in &ours {
            if !recorded.iter().any(|it| named(it) == named(own)) {
                found.push(Difference::added(at, &named(own)));
            }
        }
    }
    (found, not_yet)
}

fn routing(traffic: Traffic) -> Routing {
    Routing {
        traffic,
        rules: std::sync::Arc::from([]),
        cookie: None,
        primary_cookie: None,
    }
}

/// As a data plane reports that it has taken them. The recordings have no status.
fn accepted(objects: &[Value]) -> Objects {
    let with_status = |object: &Value| {
        let mut object = object.clone();
        object["status"] = serde_json::json!({ "parents": [{ "conditions": [{ "type": "Accepted", "status": "True" }] }],
            "conditions": [{ "type": "Valid", "status": "True" }] });
        object
    };
    objects.iter().map(with_status).collect()
}

#[test]
fn the_objects_are_flaggers_but_for_what_differs_on_purpose() {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flagger-objects");
    let folder: PathBuf = env::var_os("FLAGGER_OBJECTS").map_or_else(own, PathBuf::from);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry of the folder").path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|it| it == "json"));
    files.sort();
    assert!(!files.is_empty(), "{}: no recordings", folder.display());
    let (mut equal, mut on_purpose, mut wrong) = (0, 0, 0);
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{name}: {error}"));
        let recording = match Recording::read(&text) {
            Ok(recording) => recording,
            Err(error) => {
                wrong += 1;
                println!("{name}: DIFFERS: cannot be read: {error}");
                continue;
            }
        };
        let (found, not_yet) = differences(&recording);
        let rest = if not_yet.is_empty() {
            String::new()
        } else {
            format!(
                " (not compared: {})",
                not_yet.into_iter().collect::<Vec<_>>().join(", ")
            )
        };
        let reasons: BTreeSet<&str> = found.iter().filter_map(|it| it.reason).collect();
        let unexplained: Vec<&Difference> = found.iter().filter(|it| it.reason.is_none()).collect();
        if let Some(first) = unexplained.first() {
            wrong += 1;
            println!(
                "{name}: DIFFERS: {first} (and {} more){rest}",
                unexplained.len() - 1
            );
        } else if reasons.is_empty() {
            equal += 1;
            println!("{name}: equal{rest}");
        } else {
            on_purpose += 1;
            println!(
                "{name}: differs on purpose: {}{rest}",
                reasons.into_iter().collect::<Vec<_>>().join("; ")
            );
        }
    }
    println!(
        "{} files: {equal} equal, {on_purpose} differ on purpose, {wrong} differ",
        files.len()
    );
    assert_eq!(wrong, 0, "see the lines with DIFFERS above");
}
