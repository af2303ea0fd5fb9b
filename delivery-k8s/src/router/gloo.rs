//! Gloo: a `RouteTable` divides the requests between two `Upstream`s.

use delivery_core::plan::Patterns;
use delivery_core::port::{Routing, Traffic};
use serde_json::{Value, json};

use super::Router;
use super::object::{Kind, Objects, Subject, Unroutable, fields, percent, share};
use crate::api::{Match, StringMatch};
use crate::provider::Provider;

const TABLE: Kind = Kind {
    api_version: "gateway.solo.io/v1",
    kind: "RouteTable",
    plural: "routetables",
};
const UPSTREAM: Kind = Kind {
    api_version: "gloo.solo.io/v1",
    kind: "Upstream",
    plural: "upstreams",
};

/// Weights stand in `spec.routes[].routeAction.multi.destinations[].weight`; one without has none.
pub(super) const ROUTE_TABLE: Router = Router {
    provider: Provider {
        names: &["gloo"],
        matching: true,
        patterns: Patterns::Linear,
        ..Provider::SPLITS
    },
    writes: &[TABLE, UPSTREAM],
    objects,
    observe,
};

fn objects(subject: &Subject<'_>, routing: &Routing) -> Result<Vec<Value>, Unroutable> {
    let analysis = subject.canary.spec.analysis.as_ref();
    let conditions = analysis
        .map(|analysis| analysis.matches.as_slice())
        .unwrap_or_default();
    let mut routes = Vec::new();
    if conditions.is_empty() {
        routes.push(route(subject, Vec::new(), routing.traffic)?);
    } else {
        let for_some = if routing.traffic == Traffic::Match {
            Traffic::CANARY
        } else {
            routing.traffic
        };
        let matchers: Result<Vec<Value>, Unroutable> = conditions.iter().enumerate().map(matcher).collect();
        routes.push(route(subject, matchers?, for_some)?);
        routes.push(route(subject, Vec::new(), Traffic::PRIMARY)?);
    }
    let table = subject.object(
        TABLE,
        &subject.apex,
        Some(&subject.apex_metadata()),
        &json!({ "routes": routes }),
    );
    Ok(vec![
        upstream(subject, &subject.canary_service),
        upstream(subject, &subject.primary),
        table,
    ])
}

fn upstream_name(subject: &Subject<'_>, side: &str) -> String {
    let Subject { namespace, port, .. } = subject;
    format!("{namespace}-{side}upstream-{port}")
}

/// Where a side is, with the settings of the Upstream that the Canary names.
fn upstream(subject: &Subject<'_>, side: &str) -> Value {
    let reference = subject.canary.spec.upstream_ref.as_ref();
    let copied = reference.and_then(|reference| subject.given.get(UPSTREAM.kind, &reference.name));
    let mut spec = copied.map_or_else(|| json!({}), |upstream| upstream["spec"].clone());
    let value = if side == subject.primary {
        format!("{}-primary", subject.pods.value)
    } else {
        subject.pods.value.clone()
    };
    spec["kube"] = json!({
        "selector": { subject.pods.label.as_str(): value },
        "serviceName": side,
        "serviceNamespace": subject.namespace,
        "servicePort": subject.port
    });
    subject.object(UPSTREAM, &upstream_name(subject, side), None, &spec)
}

fn matcher((at, condition): (usize, &Match)) -> Result<Value, Unroutable> {
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
    let headers = condition.headers.iter().map(|(name, text)| match text {
        StringMatch {
            exact: Some(text), ..
        } => json!({ "name": name, "value": text }),
        StringMatch {
            prefix: Some(text), ..
        } => json!({ "name": name, "value": format!("{}.*", super::object::escaped(text)), "regex": true }),
        StringMatch {
            suffix: Some(text), ..
        } => json!({ "name": name, "value": format!(".*{}", super::object::escaped(text)), "regex": true }),
        StringMatch { regex, .. } => json!({ "name": name, "value": regex, "regex": true }),
    });
    Ok(json!({ "headers": headers.collect::<Vec<_>>() }))
}

fn route(subject: &Subject<'_>, matchers: Vec<Value>, traffic: Traffic) -> Result<Value, Unroutable> {
    let Traffic::Split(canary) = traffic else {
        return Err(Unroutable::new(
            "spec.analysis.mirror",
            "is more than this router can do: leave it out",
        ));
    };
    let side = |name: &str, weight: u16| {
        let upstream = json!({ "name": upstream_name(subject, name), "namespace": subject.namespace });
        let mut side = json!({ "destination": { "upstream": upstream } });
        if weight > 0 {
            side["weight"] = json!(weight);
        }
        side
    };
    let canary = percent(canary);
    let destinations = [
        side(&subject.primary, 100_u16.saturating_sub(canary)),
        side(&subject.canary_service, canary),
    ];
    Ok(fields([
        ("inheritablePathMatchers", json!(true)),
        ("matchers", Value::Array(matchers)),
        (
            "routeAction",
            json!({ "multi": { "destinations": destinations } }),
        ),
    ]))
}

/// Gloo reports on the table in a status of its own form: what the table says counts.
fn observe(subject: &Subject<'_>, objects: &Objects) -> Option<Traffic> {
    let routes = objects.get(TABLE.kind, &subject.apex)?["spec"]["routes"].as_array()?;
    let weight = |route: &Value, side: &str| {
        let name = upstream_name(subject, side);
        let destinations = route["routeAction"]["multi"]["destinations"].as_array()?;
        let found = destinations
            .iter()
            .find(|it| it["destination"]["upstream"]["name"] == name.as_str())?;
        Some(found["weight"].as_u64().unwrap_or(0))
    };
    let divided = |route: &Value| {
        share(
            weight(route, &subject.primary)?,
            weight(route, &subject.canary_service)?,
        )
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
