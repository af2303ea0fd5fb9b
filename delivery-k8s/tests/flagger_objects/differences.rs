//! Where two objects differ, and which of it is meant.

use std::fmt;

use delivery_core::port::Traffic;
use serde_json::Value;

/// Something that is not the same.
#[derive(Debug)]
pub(crate) struct Difference {
    /// The moment, the object and the field.
    path: String,
    ours: String,
    theirs: String,
    /// Why it is meant, if it is.
    pub(crate) reason: Option<&'static str>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {}", self.path, self.ours, self.theirs)
    }
}

impl Difference {
    pub(crate) fn missing(at: &str, object: &str) -> Self {
        Self {
            path: format!("{at} {object}"),
            ours: "nothing".into(),
            theirs: "an object".into(),
            reason: None,
        }
    }

    pub(crate) fn added(at: &str, object: &str) -> Self {
        Self {
            path: format!("{at} {object}"),
            ours: "an object".into(),
            theirs: "nothing".into(),
            reason: None,
        }
    }

    pub(crate) fn read_back(at: &str, wanted: Traffic, seen: Option<Traffic>) -> Self {
        let seen = seen.map_or_else(|| String::from("nothing"), |it| it.to_string());
        Self {
            path: format!("{at} as read back"),
            ours: seen,
            theirs: wanted.to_string(),
            reason: None,
        }
    }
}

/// Fields that the API server fills in.
const DEFAULTS: [&str; 4] = [
    "internalTrafficPolicy",
    "ipFamilies",
    "ipFamilyPolicy",
    "sessionAffinity",
];

/// Everything in which an object of ours differs from the recorded one.
pub(crate) fn compare(at: &str, name: &str, ours: &Value, theirs: &Value, found: &mut Vec<Difference>) {
    let mut theirs = theirs.clone();
    if theirs["kind"] == "Service" {
        for field in DEFAULTS {
            theirs["spec"].as_object_mut().map(|spec| spec.remove(field));
        }
    }
    let before = found.len();
    walk(&format!("{at} {name}"), ours, &theirs, found);
    for difference in found.iter_mut().skip(before) {
        difference.reason = reason(ours, &theirs);
    }
}

fn walk(path: &str, ours: &Value, theirs: &Value, found: &mut Vec<Difference>) {
    match (ours, theirs) {
        (Value::Object(own), Value::Object(other)) => {
            let names = own
                .keys()
                .chain(other.keys().filter(|name| !own.contains_key(*name)));
            for name in names {
                let at = format!("{path}.{name}");
                walk(
                    &at,
                    own.get(name).unwrap_or(&Value::Null),
                    other.get(name).unwrap_or(&Value::Null),
                    found,
                );
            }
        }
        (Value::Array(own), Value::Array(other)) if own.len() == other.len() => {
            for (at, (own, other)) in own.iter().zip(other).enumerate() {
                walk(&format!("{path}[{at}]"), own, other, found);
            }
        }
        (own, other) if own == other => {}
        (own, other) => {
            let (ours, theirs) = (own.to_string(), other.to_string());
            found.push(Difference {
                path: path.into(),
                ours,
                theirs,
                reason: None,
            });
        }
    }
}

/// Takes one difference out of an object of Flagger's.
type Undo = fn(&Value) -> Value;

/// Differences that are meant, each by what it changes: with it undone, the objects are equal.
const MEANT: [(&str, Undo); 3] = [
    (
        "the route of all other users has its weight at all times",
        whole_route,
    ),
    (
        "the cookie of a run that is over is not taken back: its value names a revision, and keeps nobody",
        no_stale_cookie,
    ),
    (
        "Skipper's second Ingress says the same before the first rollout and after it",
        always_in_force,
    ),
];

fn reason(ours: &Value, theirs: &Value) -> Option<&'static str> {
    MEANT
        .into_iter()
        .find(|(_, undo)| undo(theirs) == *ours)
        .map(|(reason, _)| reason)
}

/// Flagger sets the primary's weight to 0 in the route that has no other destination.
fn whole_route(theirs: &Value) -> Value {
    let mut theirs = theirs.clone();
    for route in theirs["spec"]["http"].as_array_mut().into_iter().flatten() {
        if let Some([only]) = route["route"].as_array_mut().map(Vec::as_mut_slice)
            && only["weight"] == 0
        {
            only["weight"] = 100.into();
        }
    }
    theirs
}

/// Flagger keeps a route that makes browsers forget the cookie of the last run, until the next one.
fn no_stale_cookie(theirs: &Value) -> Value {
    let mut theirs = theirs.clone();
    let stale = |route: &Value| route.to_string().contains("Max-Age=-1");
    for list in ["http", "rules"] {
        if let Some(routes) = theirs["spec"].get_mut(list).and_then(Value::as_array_mut) {
            routes.retain(|route| !stale(route));
        }
    }
    theirs
}

/// After a rollout, Flagger switches Skipper's second Ingress off, which it leaves on before the first one.
fn always_in_force(theirs: &Value) -> Value {
    let mut theirs = theirs.clone();
    let predicate = "/metadata/annotations/zalando.org~1skipper-predicate";
    if let Some(predicate) = theirs.pointer_mut(predicate).filter(|it| **it == "False()") {
        *predicate = "Weight(100)".into();
    }
    theirs
}
