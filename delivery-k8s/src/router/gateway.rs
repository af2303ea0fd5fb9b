//! The Gateway API: an `HTTPRoute` divides the requests.

use delivery_core::plan::Patterns;
use delivery_core::port::{Cookie, Routing, Traffic};
use serde_json::{Value, json};

use super::Router;
use super::object::{Kind, Objects, Subject, Unroutable, escaped, fields, given, has, percent, set, share};
use crate::api::{
    BackendRef, HeaderOperations, HttpMatch, Match, ParentRef, Rewrite, Service, SessionAffinity, StringMatch,
};
use crate::provider::{Mirror, Needs, Provider};

const ROUTE: Kind = Kind {
    api_version: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    plural: "httproutes",
};

/// Weights stand in `spec.rules[].backendRefs[].weight`.
pub(super) const HTTP_ROUTE: Router = Router {
    provider: Provider {
        names: &["gatewayapi:v1", "gatewayapi:v1beta1"],
        matching: true,
        query_params: true,
        patterns: Patterns::Linear,
        mirror: Mirror::WithoutWeights,
        sticky: true,
        needs: Some(Needs::Gateway),
        ..Provider::SPLITS
    },
    writes: &[ROUTE],
    objects,
    observe,
};

fn objects(subject: &Subject<'_>, routing: &Routing) -> Result<Vec<Value>, Unroutable> {
    let service = subject.service;
    if service.gateway_refs.is_empty() {
        return Err(Unroutable::new(
            "spec.service.gatewayRefs",
            "is empty: a route belongs to a Gateway at least",
        ));
    }
    let parents: Vec<Value> = service.gateway_refs.iter().map(parent).collect();
    let spec = fields([
        ("parentRefs", Value::Array(parents)),
        ("hostnames", json!(service.hosts)),
        ("rules", Value::Array(rules(subject, routing)?)),
    ]);
    Ok(vec![subject.object(
        ROUTE,
        &subject.apex,
        Some(&subject.apex_metadata()),
        &spec,
    )])
}

fn parent(gateway: &ParentRef) -> Value {
    fields([
        (
            "group",
            json!(gateway.group.as_deref().unwrap_or("gateway.networking.k8s.io")),
        ),
        ("kind", json!(gateway.kind.as_deref().unwrap_or("Gateway"))),
        ("name", json!(gateway.name)),
        ("namespace", json!(gateway.namespace)),
        ("sectionName", json!(gateway.section_name)),
        ("port", json!(gateway.port)),
    ])
}

/// The rules in the order in which a request is compared with them.
fn rules(subject: &Subject<'_>, routing: &Routing) -> Result<Vec<Value>, Unroutable> {
    let service = subject.service;
    let analysis = subject.canary.spec.analysis.as_ref();
    let mut matches = Vec::new();
    for (at, condition) in service.matches.iter().enumerate() {
        matches.push(of_service(condition, &format!("spec.service.match[{at}]"))?);
    }
    if matches.is_empty() {
        matches.push(json!({ "path": { "type": "PathPrefix", "value": "/" } }));
    }
    let rule = |matches: Vec<Value>, filters: Vec<Value>, backends: Vec<Value>| {
        fields([
            ("matches", Value::Array(matches)),
            ("filters", Value::Array(filters)),
            ("backendRefs", Value::Array(backends)),
            (
                "timeouts",
                fields([
                    ("request", json!(service.timeout)),
                    ("backendRequest", json!(service.backend_timeout)),
                ]),
            ),
        ])
    };
    let conditions = analysis
        .map(|analysis| analysis.matches.as_slice())
        .unwrap_or_default();
    if !conditions.is_empty() {
        let mut some = Vec::new();
        for (at, condition) in conditions.iter().enumerate() {
            let own = of_analysis(condition, &format!("spec.analysis.match[{at}]"))?;
            some.extend(matches.iter().map(|of| merged(&own, of)));
        }
        let weights = if routing.traffic == Traffic::Match {
            Traffic::CANARY
        } else {
            routing.traffic
        };
        let others = vec![backend(subject, &subject.primary, 100)];
        return Ok(vec![
            rule(some, filters(service), weighted(subject, weights)),
            rule(matches, filters(service), others),
        ]);
    }
    let mut filters = filters(service);
    if let Traffic::Mirror(_) = routing.traffic {
        let canary = fields([
            ("group", json!("")),
            ("kind", json!("Service")),
            ("name", json!(subject.canary_service)),
            ("port", json!(subject.port)),
        ]);
        filters.push(json!({ "type": "RequestMirror", "requestMirror": { "backendRef": canary } }));
    }
    let by_weight = rule(matches.clone(), filters, weighted(subject, routing.traffic));
    Ok(
        match (
            &routing.cookie,
            analysis.and_then(|analysis| analysis.session_affinity.as_ref()),
        ) {
            (Some(cookie), Some(affinity)) => {
                let cookies = [
                    (Some(cookie), Traffic::CANARY),
                    (routing.primary_cookie.as_ref(), Traffic::PRIMARY),
                ];
                sticky(subject, &by_weight, service, &cookies, affinity)
            }
            (Some(_) | None, _) => vec![by_weight],
        },
    )
}

/// Whoever has a side's cookie stays there; whom a side answers gets its cookie.
fn sticky(
    subject: &Subject<'_>,
    by_weight: &Value,
    service: &Service,
    cookies: &[(Option<&Cookie>, Traffic)],
    affinity: &SessionAffinity,
) -> Vec<Value> {
    let mut rules = Vec::new();
    let mut by_weight = by_weight.clone();
    for (cookie, side) in cookies {
        let Some(cookie) = cookie else { continue };
        let has_cookie = json!({
            "name": "Cookie",
            "type": "RegularExpression",
            "value": has(cookie)
        });
        let mut stays = by_weight.clone();
        stays["matches"] = if service.matches.is_empty() {
            json!([{ "headers": [has_cookie] }])
        } else {
            let matches = by_weight["matches"].as_array().into_iter().flatten();
            matches
                .map(|of| merged(&json!({ "headers": [has_cookie.clone()] }), of))
                .collect()
        };
        stays["backendRefs"] = Value::Array(weighted(subject, *side));
        rules.push(stays);
    }
    for (cookie, side) in cookies {
        let Some(cookie) = cookie else { continue };
        let added = json!({ "add": [{ "name": "Set-Cookie", "value": given(cookie, affinity) }] });
        by_weight["backendRefs"][usize::from(*side == Traffic::CANARY)]["filters"] =
            json!([{ "type": "ResponseHeaderModifier", "responseHeaderModifier": added }]);
    }
    rules.push(by_weight);
    rules
}

/// A condition of the analysis together with one of the service.
fn merged(own: &Value, service: &Value) -> Value {
    let mut both = service.clone();
    for list in ["headers", "queryParams"] {
        let of = |it: &Value| it[list].as_array().cloned().unwrap_or_default();
        set(&mut both, list, [of(own), of(service)].concat());
    }
    both
}

fn of_analysis(condition: &Match, path: &str) -> Result<Value, Unroutable> {
    if !condition.source_labels.is_empty() {
        let why = "are no condition that the Gateway API has: leave them out";
        return Err(Unroutable::new(&format!("{path}.sourceLabels"), why));
    }
    Ok(fields([
        ("headers", texts(&condition.headers, &format!("{path}.headers"))?),
        (
            "queryParams",
            texts(&condition.query_params, &format!("{path}.queryParams"))?,
        ),
    ]))
}

fn of_service(condition: &HttpMatch, path: &str) -> Result<Value, Unroutable> {
    let unknown = [
        ("scheme", condition.scheme.is_some()),
        ("authority", condition.authority.is_some()),
        ("port", condition.port.is_some()),
        ("sourceLabels", !condition.source_labels.is_empty()),
        ("gateways", !condition.gateways.is_empty()),
        ("withoutHeaders", !condition.without_headers.is_empty()),
        ("ignoreUriCase", condition.ignore_uri_case == Some(true)),
        ("sourceNamespace", condition.source_namespace.is_some()),
    ];
    if let Some((field, _)) = unknown.into_iter().find(|(_, set)| *set) {
        let why =
            "is no condition that the Gateway API has: without it, requests would match that should not";
        return Err(Unroutable::new(&format!("{path}.{field}"), why));
    }
    let path_match = match &condition.uri {
        None => json!({ "type": "PathPrefix", "value": "/" }),
        Some(StringMatch {
            exact: Some(text), ..
        }) => json!({ "type": "Exact", "value": text }),
        Some(StringMatch {
            prefix: Some(text), ..
        }) => json!({ "type": "PathPrefix", "value": text }),
        Some(StringMatch {
            regex: Some(text), ..
        }) => json!({ "type": "RegularExpression", "value": text }),
        Some(_) => {
            let why = "has no condition that the Gateway API knows (expected one of exact, prefix, regex)";
            return Err(Unroutable::new(&format!("{path}.uri"), why));
        }
    };
    let method = match &condition.method {
        None => None,
        Some(StringMatch {
            exact: Some(method), ..
        }) => Some(method),
        Some(_) => {
            let why = "is compared word by word in the Gateway API: write exact";
            return Err(Unroutable::new(&format!("{path}.method"), why));
        }
    };
    Ok(fields([
        ("path", path_match),
        ("headers", texts(&condition.headers, &format!("{path}.headers"))?),
        (
            "queryParams",
            texts(&condition.query_params, &format!("{path}.queryParams"))?,
        ),
        ("method", json!(method)),
    ]))
}

/// Conditions on named texts. A beginning and an end are patterns here.
fn texts(
    conditions: &std::collections::BTreeMap<String, StringMatch>,
    path: &str,
) -> Result<Value, Unroutable> {
    let condition = |(name, text): (&String, &StringMatch)| {
        let (kind, value) = match text {
            StringMatch {
                exact: Some(text), ..
            } => ("Exact", text.clone()),
            StringMatch {
                prefix: Some(text), ..
            } => ("RegularExpression", format!("^{}.*", escaped(text))),
            StringMatch {
                suffix: Some(text), ..
            } => ("RegularExpression", format!(".*{}$", escaped(text))),
            StringMatch {
                regex: Some(text), ..
            } => ("RegularExpression", text.clone()),
            StringMatch { .. } => {
                let why = "has no condition (expected one of exact, prefix, suffix, regex)";
                return Err(Unroutable::new(&format!("{path}.{name}"), why));
            }
        };
        Ok(json!({ "name": name, "type": kind, "value": value }))
    };
    conditions.iter().map(condition).collect()
}

/// What is done to every request: headers, rewriting, and copies that the Canary asks for at all times.
fn filters(service: &Service) -> Vec<Value> {
    let mut filters = Vec::new();
    let headers = service.headers.clone().unwrap_or_default();
    for (kind, field, operations) in [
        ("RequestHeaderModifier", "requestHeaderModifier", headers.request),
        (
            "ResponseHeaderModifier",
            "responseHeaderModifier",
            headers.response,
        ),
    ] {
        if let Some(operations) = operations {
            filters.push(json!({ "type": kind, field: header_operations(&operations) }));
        }
    }
    if let Some(rewrite) = &service.rewrite {
        filters.push(json!({ "type": "URLRewrite", "urlRewrite": url_rewrite(rewrite) }));
    }
    for mirror in &service.mirror {
        filters.push(json!({ "type": "RequestMirror", "requestMirror": { "backendRef": mirror_backend(&mirror.backend_ref) } }));
    }
    filters
}

fn mirror_backend(backend: &BackendRef) -> Value {
    fields([
        ("group", json!(backend.group.as_deref().unwrap_or(""))),
        ("kind", json!(backend.kind.as_deref().unwrap_or("Service"))),
        ("name", json!(backend.name)),
        ("namespace", json!(backend.namespace)),
        ("port", json!(backend.port)),
    ])
}

fn header_operations(operations: &HeaderOperations) -> Value {
    let list = |of: &std::collections::BTreeMap<String, String>| {
        Value::Array(
            of.iter()
                .map(|(name, value)| json!({ "name": name, "value": value }))
                .collect(),
        )
    };
    fields([
        ("add", list(&operations.add)),
        ("set", list(&operations.set)),
        ("remove", json!(operations.remove)),
    ])
}

fn url_rewrite(rewrite: &Rewrite) -> Value {
    let path = rewrite.uri.as_ref().map(|uri| match rewrite.kind.as_deref() {
        Some("ReplacePrefixMatch") => json!({ "type": "ReplacePrefixMatch", "replacePrefixMatch": uri }),
        Some(_) | None => json!({ "type": "ReplaceFullPath", "replaceFullPath": uri }),
    });
    fields([("hostname", json!(rewrite.authority)), ("path", json!(path))])
}

/// Both sides with their weights in percent.
fn weighted(subject: &Subject<'_>, traffic: Traffic) -> Vec<Value> {
    let canary = percent(traffic.weight());
    vec![
        backend(subject, &subject.primary, 100_u16.saturating_sub(canary)),
        backend(subject, &subject.canary_service, canary),
    ]
}

fn backend(subject: &Subject<'_>, side: &str, weight: u16) -> Value {
    json!({ "group": "", "kind": "Service", "name": side, "port": subject.port, "weight": weight })
}

/// What the route says, once every Gateway that it belongs to has accepted this generation of it.
fn observe(subject: &Subject<'_>, objects: &Objects) -> Option<Traffic> {
    let route = objects.get(ROUTE.kind, &subject.apex)?;
    if !in_force(route) {
        return None;
    }
    let rules = route["spec"]["rules"].as_array()?;
    // The last rule with both sides divides by weight; one before it keeps users on a side.
    let (at, rule) = rules
        .iter()
        .enumerate()
        .rev()
        .find(|(_, rule)| weight(rule, &subject.canary_service).is_some())?;
    let canary = weight(rule, &subject.canary_service)?;
    let divided = share(weight(rule, &subject.primary).unwrap_or(0), canary)?;
    let copies = rule["filters"].as_array().into_iter().flatten().any(|filter| {
        filter["type"] == "RequestMirror"
            && filter["requestMirror"]["backendRef"]["name"] == subject.canary_service.as_str()
    });
    if copies {
        return Some(Traffic::Mirror(delivery_core::Weight::WHOLE));
    }
    let for_some = at + 1 < rules.len() && canary > 0;
    Some(if for_some {
        Traffic::Match
    } else {
        Traffic::Split(divided)
    })
}

/// Whether each Gateway that reports on the route has accepted its present generation, and one does.
fn in_force(route: &Value) -> bool {
    let generation = route["metadata"]["generation"].as_i64();
    let accepted = |parent: &Value| {
        parent["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|condition| {
                condition["type"] == "Accepted"
                    && condition["status"] == "True"
                    && condition["observedGeneration"].as_i64() >= generation
            })
    };
    let parents = route["status"]["parents"].as_array();
    parents.is_some_and(|parents| !parents.is_empty() && parents.iter().all(accepted))
}

fn weight(rule: &Value, side: &str) -> Option<u64> {
    let backends = rule["backendRefs"].as_array()?;
    // A backend without a weight has 1 (Gateway API v1, BackendRef).
    Some(
        backends.iter().find(|backend| backend["name"] == side)?["weight"]
            .as_u64()
            .unwrap_or(1),
    )
}
