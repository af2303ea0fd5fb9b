//! Istio: a `VirtualService` divides the requests, two `DestinationRules` say how each side is reached.

use std::collections::BTreeMap;

use delivery_core::plan::Patterns;
use delivery_core::port::{Cookie, Routing, Traffic};
use serde_json::{Value, json};

use super::Router;
use super::object::{Kind, Objects, Subject, Unroutable, fields, given, has, percent, set, share};
use crate::api::{HttpMatch, Match, Rewrite, SessionAffinity, StringMatch};
use crate::provider::{Mirror, Provider};

const ROUTE: Kind = Kind {
    api_version: "networking.istio.io/v1beta1",
    kind: "VirtualService",
    plural: "virtualservices",
};

const RULE: Kind = Kind {
    api_version: "networking.istio.io/v1beta1",
    kind: "DestinationRule",
    plural: "destinationrules",
};

/// Weights stand in the routes of `spec.http`, or of `spec.tcp` where the service speaks `tcp`.
pub(super) const VIRTUAL_SERVICE: Router = Router {
    provider: Provider {
        names: &["istio"],
        matching: true,
        query_params: true,
        patterns: Patterns::Linear,
        mirror: Mirror::Share,
        sticky: true,
        ..Provider::SPLITS
    },
    writes: &[ROUTE, RULE],
    objects,
    observe,
};

fn objects(subject: &Subject<'_>, routing: &Routing) -> Result<Vec<Value>, Unroutable> {
    let service = subject.service;
    if service.delegation.unwrap_or(false) && !(service.hosts.is_empty() && service.gateways.is_empty()) {
        let why = "a delegate has no hosts and gateways: leave them out, or delegation";
        return Err(Unroutable::new("spec.service.delegation", why));
    }
    if is_tcp(subject) && !matches!(routing.traffic, Traffic::Split(_)) {
        let why = "a service of tcp has weights alone: leave mirror and match out";
        return Err(Unroutable::new("spec.service.appProtocol", why));
    }
    let rule = |side: &str| {
        let spec = fields([
            ("host", json!(side)),
            ("trafficPolicy", json!(service.traffic_policy)),
        ]);
        subject.object(RULE, side, None, &spec)
    };
    let mut spec = if service.delegation.unwrap_or(false) {
        json!({ "hosts": [] })
    } else {
        json!({ "hosts": hosts(subject), "gateways": gateways(subject) })
    };
    if is_tcp(subject) {
        let ports = service
            .matches
            .iter()
            .map(|it| json!({ "port": it.port.unwrap_or(0) }));
        let mut route = json!({ "route": weighted(subject, routing.traffic) });
        set(&mut route, "match", ports.collect::<Vec<_>>());
        spec["tcp"] = json!([route]);
    } else {
        spec["http"] = Value::Array(http(subject, routing));
    }
    let route = subject.object(ROUTE, &subject.apex, Some(&subject.apex_metadata()), &spec);
    Ok(vec![rule(&subject.canary_service), rule(&subject.primary), route])
}

fn is_tcp(subject: &Subject<'_>) -> bool {
    subject
        .service
        .app_protocol
        .as_deref()
        .is_some_and(|it| it.eq_ignore_ascii_case("tcp"))
}

/// The hosts that the Canary names, and the Service itself unless one of them stands for it.
fn hosts<'a>(subject: &'a Subject<'_>) -> Vec<&'a str> {
    let mut hosts: Vec<&str> = subject.service.hosts.iter().map(String::as_str).collect();
    if !hosts.iter().any(|host| *host == subject.apex || *host == "*") {
        hosts.push(&subject.apex);
    }
    hosts
}

fn gateways<'a>(subject: &'a Subject<'_>) -> Vec<&'a str> {
    let gateways: Vec<&str> = subject.service.gateways.iter().map(String::as_str).collect();
    if gateways.is_empty() {
        vec!["mesh"]
    } else {
        gateways
    }
}

/// The routes in the order in which a request is compared with them.
fn http(subject: &Subject<'_>, routing: &Routing) -> Vec<Value> {
    let service = subject.service;
    let analysis = subject.canary.spec.analysis.as_ref();
    let route = |matches: &[HttpMatch], destinations: Vec<Value>| {
        fields([
            ("match", json!(matches)),
            ("rewrite", rewrite(service.rewrite.as_ref())),
            ("timeout", json!(service.timeout)),
            ("retries", json!(service.retries)),
            ("corsPolicy", json!(service.cors_policy)),
            ("headers", json!(service.headers)),
            ("route", Value::Array(destinations)),
        ])
    };
    let conditions = analysis
        .map(|analysis| analysis.matches.as_slice())
        .unwrap_or_default();
    if !conditions.is_empty() {
        // A test of some users: their requests first, then those of all others, which the primary answers.
        let weights = if routing.traffic == Traffic::Match {
            Traffic::CANARY
        } else {
            routing.traffic
        };
        let others = vec![destination(subject, &subject.primary, 100)];
        return vec![
            route(&merged(conditions, &service.matches), weighted(subject, weights)),
            route(&service.matches, others),
        ];
    }
    let mut by_weight = route(&service.matches, weighted(subject, routing.traffic));
    if let Traffic::Mirror(copied) = routing.traffic {
        by_weight["mirror"] = destination(subject, &subject.canary_service, 0)["destination"].take();
        by_weight["mirrorPercentage"] = json!({ "value": copied.as_percent() });
    }
    match (
        &routing.cookie,
        analysis.and_then(|analysis| analysis.session_affinity.as_ref()),
    ) {
        (Some(cookie), Some(affinity)) => {
            let cookies = [
                (Some(cookie), Traffic::CANARY),
                (routing.primary_cookie.as_ref(), Traffic::PRIMARY),
            ];
            sticky(subject, &by_weight, &cookies, affinity)
        }
        (Some(_) | None, _) => vec![by_weight],
    }
}

/// Whoever has a side's cookie stays there; whom a side answers gets its cookie.
fn sticky(
    subject: &Subject<'_>,
    by_weight: &Value,
    cookies: &[(Option<&Cookie>, Traffic)],
    affinity: &SessionAffinity,
) -> Vec<Value> {
    let mut routes = Vec::new();
    let mut by_weight = by_weight.clone();
    for (cookie, side) in cookies {
        let Some(cookie) = cookie else { continue };
        let has_cookie = StringMatch {
            regex: Some(has(cookie)),
            ..StringMatch::default()
        };
        let mut stays = by_weight.clone();
        let matches = merged(
            &[Match {
                headers: BTreeMap::from([("Cookie".into(), has_cookie)]),
                ..Match::default()
            }],
            &subject.service.matches,
        );
        stays["match"] = json!(matches);
        stays["route"] = Value::Array(weighted(subject, *side));
        routes.push(stays);
    }
    for (cookie, side) in cookies {
        let Some(cookie) = cookie else { continue };
        by_weight["route"][usize::from(*side == Traffic::CANARY)]["headers"] =
            json!({ "response": { "add": { "Set-Cookie": given(cookie, affinity) } } });
    }
    routes.push(by_weight);
    routes
}

/// Every condition of the analysis with every one of the service.
fn merged(conditions: &[Match], service: &[HttpMatch]) -> Vec<HttpMatch> {
    let all = [HttpMatch::default()];
    let service = if service.is_empty() { &all } else { service };
    let with = |condition: &Match, of: &HttpMatch| {
        let mut both = of.clone();
        both.headers.extend(condition.headers.clone());
        both.query_params.extend(condition.query_params.clone());
        both.source_labels.extend(condition.source_labels.clone());
        both
    };
    conditions
        .iter()
        .flat_map(|condition| service.iter().map(move |of| with(condition, of)))
        .collect()
}

fn rewrite(rewrite: Option<&Rewrite>) -> Value {
    let Some(rewrite) = rewrite else {
        return Value::Null;
    };
    fields([
        ("uri", json!(rewrite.uri)),
        ("authority", json!(rewrite.authority)),
    ])
}

/// Both sides with their weights in percent.
fn weighted(subject: &Subject<'_>, traffic: Traffic) -> Vec<Value> {
    let canary = percent(traffic.weight());
    vec![
        destination(subject, &subject.primary, 100_u16.saturating_sub(canary)),
        destination(subject, &subject.canary_service, canary),
    ]
}

fn destination(subject: &Subject<'_>, side: &str, weight: u16) -> Value {
    let service = subject.service;
    // Behind a gateway of its own, a service with several ports must say which.
    let beyond_the_mesh = service.gateways.first().is_some_and(|gateway| gateway != "mesh");
    let mut destination = json!({ "host": side });
    let beyond_the_mesh = beyond_the_mesh || service.delegation.unwrap_or(false);
    if service.port_discovery.unwrap_or(false) && beyond_the_mesh {
        destination["port"] = json!({ "number": subject.port });
    }
    json!({ "destination": destination, "weight": weight })
}

fn observe(subject: &Subject<'_>, objects: &Objects) -> Option<Traffic> {
    let spec = &objects.get(ROUTE.kind, &subject.apex)?["spec"];
    let routes = spec[if is_tcp(subject) { "tcp" } else { "http" }].as_array()?;
    // The last route with both sides divides by weight; one before it keeps users on a side.
    let (at, route) = routes
        .iter()
        .enumerate()
        .rev()
        .find(|(_, route)| weight(route, &subject.canary_service).is_some())?;
    let canary = weight(route, &subject.canary_service)?;
    let divided = share(weight(route, &subject.primary).unwrap_or(0), canary)?;
    if route["mirror"]["host"] == subject.canary_service.as_str() {
        let copied = route["mirrorPercentage"]["value"].as_f64().unwrap_or(100.0);
        return Some(Traffic::Mirror(copied.try_into().ok()?));
    }
    let for_some = at + 1 < routes.len() && canary > 0;
    Some(if for_some {
        Traffic::Match
    } else {
        Traffic::Split(divided)
    })
}

fn weight(route: &Value, side: &str) -> Option<u64> {
    let destinations = route["route"].as_array()?;
    let destination = destinations.iter().find(|it| it["destination"]["host"] == side)?;
    // The only destination needs no weight.
    Some(
        destination["weight"]
            .as_u64()
            .unwrap_or(if destinations.len() == 1 { 100 } else { 0 }),
    )
}
