//! Contour: an `HTTPProxy` divides the requests.

use delivery_core::port::{Routing, Traffic};
use serde_json::{Value, json};

use super::Router;
use super::object::{Kind, Objects, Subject, Unroutable, fields, percent, set, share};
use crate::api::{Match, StringMatch};
use crate::provider::Provider;

const PROXY: Kind = Kind {
    api_version: "projectcontour.io/v1",
    kind: "HTTPProxy",
    plural: "httpproxies",
};

/// Weights stand in `spec.routes[].services[].weight`; a service without one gets nothing.
pub(super) const HTTP_PROXY: Router = Router {
    provider: Provider {
        names: &["contour"],
        matching: true,
        ..Provider::SPLITS
    },
    writes: &[PROXY],
    objects,
    observe,
};

fn objects(subject: &Subject<'_>, routing: &Routing) -> Result<Vec<Value>, Unroutable> {
    let analysis = subject.canary.spec.analysis.as_ref();
    let prefix = prefix(subject)?;
    let conditions = analysis
        .map(|analysis| analysis.matches.as_slice())
        .unwrap_or_default();
    let routes = if conditions.is_empty() {
        vec![route(subject, &json!({ "prefix": prefix }), routing.traffic)?]
    } else {
        let for_some = if routing.traffic == Traffic::Match {
            Traffic::CANARY
        } else {
            routing.traffic
        };
        let mut routes = Vec::new();
        for (at, condition) in conditions.iter().enumerate() {
            routes.extend(matched(subject, condition, at, &prefix, for_some)?);
        }
        routes.push(route(subject, &json!({ "prefix": prefix }), Traffic::PRIMARY)?);
        routes
    };
    let spec = json!({ "routes": routes });
    Ok(vec![subject.object(
        PROXY,
        &subject.apex,
        Some(&subject.apex_metadata()),
        &spec,
    )])
}

/// Contour routes by the beginning of a path alone.
fn prefix(subject: &Subject<'_>) -> Result<String, Unroutable> {
    let matches = &subject.service.matches;
    let prefixes: Option<Vec<&String>> = matches
        .iter()
        .map(|it| it.uri.as_ref()?.prefix.as_ref())
        .collect();
    match prefixes.as_deref() {
        Some([]) => Ok(String::from("/")),
        Some([prefix]) => Ok((*prefix).clone()),
        Some(_) | None => {
            let why = "can be one beginning of a path here: one match with uri.prefix";
            Err(Unroutable::new("spec.service.match", why))
        }
    }
}

/// The routes of one condition: Contour compares several headers of one route, which all must fit.
fn matched(
    subject: &Subject<'_>,
    condition: &Match,
    at: usize,
    prefix: &str,
    traffic: Traffic,
) -> Result<Option<Value>, Unroutable> {
    let path = format!("spec.analysis.match[{at}]");
    for (field, unknown) in [
        ("queryParams", !condition.query_params.is_empty()),
        ("sourceLabels", !condition.source_labels.is_empty()),
    ] {
        if unknown {
            return Err(Unroutable::new(
                &format!("{path}.{field}"),
                "is no condition that this router has: use headers",
            ));
        }
    }
    let mut own = json!({ "prefix": prefix });
    let mut headers = condition.headers.iter();
    let (Some((name, text)), None) = (headers.next(), headers.next()) else {
        return Err(Unroutable::new(
            &format!("{path}.headers"),
            "must be exactly one header for this router",
        ));
    };
    own["header"] = match text {
        StringMatch {
            exact: Some(text), ..
        } => json!({ "name": name, "exact": text }),
        // What begins or ends so contains it: Contour knows no closer condition.
        StringMatch {
            prefix: Some(text), ..
        }
        | StringMatch {
            suffix: Some(text), ..
        } => json!({ "name": name, "contains": text }),
        StringMatch { .. } => {
            let why = "has no condition that Contour knows (expected one of exact, prefix, suffix)";
            return Err(Unroutable::new(&format!("{path}.headers.{name}"), why));
        }
    };
    route(subject, &own, traffic).map(Some)
}

fn route(subject: &Subject<'_>, condition: &Value, traffic: Traffic) -> Result<Value, Unroutable> {
    let Traffic::Split(canary) = traffic else {
        return Err(Unroutable::new(
            "spec.analysis.mirror",
            "is more than this router can do: leave it out",
        ));
    };
    let service = subject.service;
    let side = |name: &str, weight: u16| {
        // Linkerd finds the side by this header.
        let to = format!("{name}.{}.svc.cluster.local:{}", subject.namespace, subject.port);
        let mut side = json!({
            "name": name,
            "port": subject.port,
            "requestHeadersPolicy": { "set": [{ "name": "l5d-dst-override", "value": to }] }
        });
        if weight > 0 {
            side["weight"] = json!(weight);
        }
        side
    };
    let canary = percent(canary);
    let mut route = json!({
        "conditions": [condition],
        "services": [
            side(&subject.primary, 100_u16.saturating_sub(canary)),
            side(&subject.canary_service, canary),
        ]
    });
    if let Some(timeout) = &service.timeout {
        route["timeoutPolicy"] = json!({ "response": timeout, "idle": "5m" });
    }
    if let Some(retries) = &service.retries {
        let after = retries.retry_on.as_deref().unwrap_or_default();
        let after: Vec<&str> = after
            .split(',')
            .map(str::trim)
            .filter(|it| !it.is_empty())
            .collect();
        let policy = fields([
            ("count", json!(retries.attempts)),
            ("perTryTimeout", json!(retries.per_try_timeout)),
            ("retryOn", json!(after)),
        ]);
        set(&mut route, "retryPolicy", policy);
    }
    Ok(route)
}

/// What the proxy says, once Contour has found this generation of it valid.
fn observe(subject: &Subject<'_>, objects: &Objects) -> Option<Traffic> {
    let proxy = objects.get(PROXY.kind, &subject.apex)?;
    let generation = proxy["metadata"]["generation"].as_i64();
    let valid = proxy["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| {
            condition["type"] == "Valid"
                && condition["status"] == "True"
                && condition["observedGeneration"].as_i64() >= generation
        });
    let routes = proxy["spec"]["routes"].as_array().filter(|_| valid)?;
    let weight = |route: &Value, side: &str| {
        let services = route["services"].as_array()?;
        Some(
            services.iter().find(|service| service["name"] == side)?["weight"]
                .as_u64()
                .unwrap_or(0),
        )
    };
    let divided = |route: &Value| {
        let canary = weight(route, &subject.canary_service)?;
        share(weight(route, &subject.primary).unwrap_or(0), canary)
    };
    match routes.as_slice() {
        [] => None,
        [route] => divided(route).map(Traffic::Split),
        [some, ..] => divided(some).map(|weight| {
            if weight.is_zero() {
                Traffic::PRIMARY
            } else {
                Traffic::Match
            }
        }),
    }
}
