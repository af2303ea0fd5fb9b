//! ingress-nginx: a second `Ingress`, marked as canary by annotations, takes its share of the requests of the first.

use std::collections::BTreeMap;

use delivery_core::plan::Patterns;
use delivery_core::port::{Routing, Traffic};
use serde_json::{Value, json};

use super::Router;
use super::object::{Ingress, Kind, Objects, Subject, Unroutable, escaped, percent, share};
use crate::api::StringMatch;
use crate::provider::{Needs, Provider};

pub(super) const INGRESS: Kind = Kind {
    api_version: "networking.k8s.io/v1",
    kind: "Ingress",
    plural: "ingresses",
};

/// The prefix of ingress-nginx's annotations; Flagger's `-ingress-annotations-prefix`.
const PREFIX: &str = "nginx.ingress.kubernetes.io";

/// The weight stands in the annotation `canary-weight` of the copy, a condition in `canary-by-…`.
pub(super) const CANARY_INGRESS: Router = Router {
    provider: Provider {
        names: &["nginx"],
        matching: true,
        patterns: Patterns::Backtracking,
        needs: Some(Needs::Ingress),
        ..Provider::SPLITS
    },
    writes: &[INGRESS],
    objects,
    observe,
};

fn objects(subject: &Subject<'_>, routing: &Routing) -> Result<Vec<Value>, Unroutable> {
    let ingress = Ingress::of(subject)?;
    let mut marks = BTreeMap::from([(String::from("canary"), String::from("true"))]);
    let weight = match routing.traffic {
        Traffic::Split(weight) => percent(weight),
        Traffic::Match => {
            marks.extend(conditions(subject)?);
            0
        }
        Traffic::Mirror(_) => {
            return Err(Unroutable::new(
                "spec.analysis.mirror",
                "is more than this router can do: leave it out",
            ));
        }
    };
    marks.insert("canary-weight".into(), weight.to_string());
    let marks = marks
        .into_iter()
        .map(|(name, value)| (format!("{PREFIX}/{name}"), value));
    let metadata = super::object::unreconciled(ingress.metadata(marks));
    let spec = ingress.spec(|backend| {
        backend["service"]["name"] = json!(subject.canary_service);
    });
    Ok(vec![subject.object(
        INGRESS,
        &ingress.copy,
        Some(&metadata),
        &spec,
    )])
}

/// One header and one cookie at most: ingress-nginx asks the header first, then the cookie.
fn conditions(subject: &Subject<'_>) -> Result<BTreeMap<String, String>, Unroutable> {
    let mut marks = BTreeMap::new();
    let analysis = subject.canary.spec.analysis.as_ref();
    for (at, condition) in analysis.iter().flat_map(|analysis| &analysis.matches).enumerate() {
        let path = format!("spec.analysis.match[{at}]");
        if condition.headers.len() != 1
            || !condition.query_params.is_empty()
            || !condition.source_labels.is_empty()
        {
            return Err(Unroutable::new(
                &path,
                "must be exactly one header for this router",
            ));
        }
        for (name, text) in &condition.headers {
            let path = format!("{path}.headers.{name}");
            let added = if name.eq_ignore_ascii_case("cookie") {
                let StringMatch {
                    exact: Some(cookie), ..
                } = text
                else {
                    let why = "must be the name of a cookie, as exact: its value `always` means the canary";
                    return Err(Unroutable::new(&path, why));
                };
                vec![("canary-by-cookie", cookie.clone())]
            } else {
                let (mark, value) = match text {
                    StringMatch {
                        exact: Some(text), ..
                    } => ("canary-by-header-value", text.clone()),
                    StringMatch {
                        prefix: Some(text), ..
                    } => ("canary-by-header-pattern", format!("^{}", escaped(text))),
                    StringMatch {
                        suffix: Some(text), ..
                    } => ("canary-by-header-pattern", format!("{}$", escaped(text))),
                    StringMatch {
                        regex: Some(text), ..
                    } => ("canary-by-header-pattern", text.clone()),
                    StringMatch { .. } => return Err(Unroutable::new(&path, "has no condition")),
                };
                vec![("canary-by-header", name.clone()), (mark, value)]
            };
            for (mark, value) in added {
                if marks.insert(mark.to_owned(), value).is_some() {
                    return Err(Unroutable::new(
                        &path,
                        "is a second one: this router has one header and one cookie",
                    ));
                }
            }
        }
    }
    Ok(marks)
}

/// ingress-nginx reports nothing on it: what the copy says counts.
fn observe(subject: &Subject<'_>, objects: &Objects) -> Option<Traffic> {
    let copy = Ingress::copy_name(subject).ok()?;
    let marks = &objects.get(INGRESS.kind, &copy)?["metadata"]["annotations"];
    let mark = |name: &str| marks[format!("{PREFIX}/{name}")].as_str();
    if mark("canary") != Some("true") {
        return Some(Traffic::PRIMARY);
    }
    if mark("canary-by-header").is_some() || mark("canary-by-cookie").is_some() {
        return Some(Traffic::Match);
    }
    let weight: u64 = mark("canary-weight")?.parse().ok()?;
    share(100_u64.checked_sub(weight)?, weight).map(Traffic::Split)
}
