//! Routes of every router, as they are written and as they are read back.

/// The router that `CONTRIBUTING.md` adds: its text is this file's.
mod turnpike;

use std::collections::BTreeSet;
use std::sync::Arc;

use delivery_core::Weight;
use delivery_core::port::Cookie;
use serde_json::json;

use super::*;
use crate::api::{Canary, read};

/// A Canary that every router can serve.
fn canary(provider: &str, analysis: &Value) -> Canary {
    let object = json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": { "name": "web", "namespace": "shop", "uid": "1" },
        "spec": {
            "provider": provider,
            "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "ingressRef": { "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "web" },
            "routeRef": { "apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "name": "web" },
            "service": { "port": 80, "gatewayRefs": [{ "name": "public" }] },
            "analysis": analysis
        }
    });
    read(object).unwrap_or_else(|error| panic!("{error}")).0
}

fn pods() -> Pods {
    Pods {
        label: "app".into(),
        value: "web".into(),
        ports: vec![("metrics".into(), 9_797)],
    }
}

/// What users have written themselves.
fn given() -> Vec<Value> {
    let path = json!({ "path": "/", "pathType": "Prefix", "backend": { "service": { "name": "web", "port": { "number": 80 } } } });
    let other = json!({ "path": "/", "pathType": "Prefix", "backend": { "service": { "name": "other", "port": { "number": 80 } } } });
    vec![
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "web", "namespace": "shop" },
            "spec": {
                "defaultBackend": { "service": { "name": "other", "port": { "number": 80 } } },
                "rules": [
                    { "host": "web.example.com", "http": { "paths": [path, other] } },
                    { "host": "other.example.com", "http": { "paths": [other] } }
                ]
            }
        }),
        json!({
            "apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "metadata": { "name": "web", "namespace": "shop" },
            "spec": { "http": [{ "name": "a", "backends": [{ "serviceName": "web", "servicePort": 80 }] }] }
        }),
    ]
}

fn routing(traffic: Traffic) -> Routing {
    Routing {
        traffic,
        rules: Arc::from([]),
        cookie: None,
        primary_cookie: None,
    }
}

/// The objects as the API server and the data plane have them after they were written: of a first generation, accepted.
fn in_force(objects: Vec<Value>) -> Vec<Value> {
    let status = json!({
        "parents": [{ "conditions": [{ "type": "Accepted", "status": "True", "observedGeneration": 1 }] }],
        "conditions": [{ "type": "Valid", "status": "True", "observedGeneration": 1 }]
    });
    let with_status = |mut object: Value| {
        object["metadata"]["generation"] = json!(1);
        object["status"] = status.clone();
        object
    };
    objects.into_iter().map(with_status).collect()
}

fn written(
    router: &Router,
    canary: &Canary,
    routing: &Routing,
) -> Result<(Vec<Value>, Option<Traffic>), Unroutable> {
    let (pods, before) = (pods(), given().into_iter().collect());
    let subject = Subject::new(canary, &pods, &before)?;
    let objects = (router.objects)(&subject, routing)?;
    let all = given()
        .into_iter()
        .chain(services(&subject))
        .chain(objects.clone());
    let after: Objects = in_force(all.collect()).into_iter().collect();
    Ok((
        objects,
        (router.observe)(
            &Subject {
                given: &after,
                ..subject.clone()
            },
            &after,
        ),
    ))
}

#[test]
fn every_router_reads_back_what_it_wrote() {
    let weights = || (0..=100).map(|percent| Traffic::Split(Weight::percent(percent).expect("a weight")));
    for router in ROUTERS.iter().copied().chain([&turnpike::TOLL_ROUTE]) {
        for name in router.provider.names {
            let provider = &router.provider;
            let can = provider.capabilities(true);
            let plain = canary(
                name,
                &json!({ "interval": "1m", "stepWeight": 10, "threshold": 1 }),
            );
            for traffic in weights().filter(|traffic| can.weights() || *traffic == Traffic::PRIMARY) {
                let (_, seen) = written(router, &plain, &routing(traffic))
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(seen, Some(traffic), "{name}");
            }
            let copies = provider.capabilities(false);
            if copies.mirror {
                let share = if copies.mirror_share {
                    Weight::percent(30).expect("a weight")
                } else {
                    Weight::WHOLE
                };
                let (_, seen) =
                    written(router, &plain, &routing(Traffic::Mirror(share))).expect("it can copy requests");
                assert_eq!(seen, Some(Traffic::Mirror(share)), "{name}");
            } else {
                let refused = written(router, &plain, &routing(Traffic::Mirror(Weight::WHOLE)));
                assert!(refused.is_err(), "{name} cannot copy requests, and says so");
            }
            let some = json!({
                "interval": "1m", "iterations": 3, "threshold": 1,
                "match": [{ "headers": { "x-canary": { "exact": "insider" } } }]
            });
            for traffic in [Traffic::Match, Traffic::PRIMARY]
                .into_iter()
                .filter(|_| can.matching)
            {
                let (_, seen) =
                    written(router, &canary(name, &some), &routing(traffic)).expect("it can match requests");
                assert_eq!(seen, Some(traffic), "{name}");
            }
            if can.sticky {
                let sticky = json!({
                    "interval": "1m", "stepWeight": 10, "threshold": 1,
                    "sessionAffinity": { "cookieName": "si.de", "primaryCookieName": "main", "secure": true, "sameSite": "Lax" }
                });
                let cookie = |name: &str, seconds| Cookie {
                    name: name.into(),
                    value: "v2".into(),
                    max_age: std::time::Duration::from_secs(seconds),
                };
                let traffic = Traffic::Split(Weight::percent(20).expect("a weight"));
                let routing = Routing {
                    cookie: Some(cookie("si.de", 86_400)),
                    primary_cookie: Some(cookie("main", 60)),
                    ..routing(traffic)
                };
                let (objects, seen) =
                    written(router, &canary(name, &sticky), &routing).expect("it can keep users");
                assert_eq!(seen, Some(traffic), "{name}");
                let text = json!(objects).to_string();
                // A dot in a cookie's name is no pattern.
                for part in [
                    "si.de=v2; Max-Age=86400; SameSite=Lax; Secure",
                    "main=v2; Max-Age=60; SameSite=Lax; Secure",
                    r".*si\\.de.*v2.*",
                    ".*main.*v2.*",
                ] {
                    assert!(text.contains(part), "{name}: {part} in {text}");
                }
                let given = text.find("main=v2").zip(text.find("si.de=v2"));
                assert!(
                    given.is_some_and(|(primary, canary)| primary < canary),
                    "{name}: {text}"
                );
            }
        }
    }
}

#[test]
fn every_provider_stands_once_and_only_these_have_no_router() {
    let names: Vec<&str> = Provider::all()
        .flat_map(|provider| provider.names)
        .copied()
        .collect();
    let once: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(once.len(), names.len(), "a name stands twice: {names:?}");
    let without = names.into_iter().filter(|name| Router::of(name).is_none());
    assert_eq!(
        without.collect::<Vec<_>>(),
        ["appmesh", "appmesh:v1beta2", "knative", "kuma"]
    );
}

#[test]
fn a_route_is_in_force_when_this_generation_of_it_was_accepted() {
    let canary = canary(
        "gatewayapi:v1",
        &json!({ "interval": "1m", "stepWeight": 10, "threshold": 1 }),
    );
    let (pods, given) = (pods(), Objects::default());
    let subject = Subject::new(&canary, &pods, &given).expect("a service");
    let router = Router::of("gatewayapi:v1").expect("a router");
    let route = (router.objects)(&subject, &routing(Traffic::CANARY))
        .expect("a route")
        .remove(0);
    let observed = |generation: i64, parents: Value| {
        let mut route = route.clone();
        route["metadata"]["generation"] = json!(generation);
        route["status"] = json!({ "parents": parents });
        (router.observe)(&subject, &std::iter::once(route).collect())
    };
    let parent = |status: &str, observed: i64| json!({ "conditions": [{ "type": "Accepted", "status": status, "observedGeneration": observed }] });
    assert_eq!(observed(2, json!([])), None, "nobody has looked at it");
    assert_eq!(
        observed(2, json!([parent("True", 1)])),
        None,
        "an older generation was accepted"
    );
    assert_eq!(observed(2, json!([parent("False", 2)])), None, "it was refused");
    assert_eq!(
        observed(2, json!([parent("True", 2), parent("False", 2)])),
        None,
        "one of two refused it"
    );
    assert_eq!(observed(2, json!([parent("True", 2)])), Some(Traffic::CANARY));
}

#[test]
fn the_second_ingress_takes_only_what_leads_to_the_service() {
    let canary = canary(
        "nginx",
        &json!({ "interval": "1m", "stepWeight": 10, "threshold": 1 }),
    );
    let router = Router::of("nginx").expect("a router");
    let (objects, _) = written(router, &canary, &routing(Traffic::PRIMARY)).expect("an Ingress");
    let spec = &objects[0]["spec"];
    assert_eq!(
        spec.get("defaultBackend"),
        None,
        "it would take every request that has no other rule"
    );
    assert_eq!(spec["rules"].as_array().map(Vec::len), Some(1), "{spec}");
    assert_eq!(
        spec["rules"][0]["http"]["paths"].as_array().map(Vec::len),
        Some(1),
        "{spec}"
    );
    assert_eq!(
        spec["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"],
        "web-canary"
    );
}

#[test]
fn what_a_router_cannot_do_is_refused_with_the_field_that_asks_for_it() {
    let matching =
        |condition: Value| json!({ "interval": "1m", "iterations": 3, "threshold": 1, "match": [condition] });
    let two = json!({ "headers": { "a": { "exact": "1" }, "b": { "exact": "2" } } });
    let labels = json!({ "sourceLabels": { "app": "front" } });
    let cookie = json!({ "headers": { "cookie": { "regex": "a=.*" } } });
    let query = json!({ "queryParams": { "beta": { "exact": "1" } } });
    let table = [
        ("contour", two.clone(), "spec.analysis.match[0].headers"),
        ("contour", query.clone(), "spec.analysis.match[0].queryParams"),
        ("nginx", two, "spec.analysis.match[0]"),
        ("nginx", cookie, "spec.analysis.match[0].headers.cookie"),
        ("gloo", query, "spec.analysis.match[0].queryParams"),
        ("gatewayapi:v1", labels, "spec.analysis.match[0].sourceLabels"),
    ];
    for (provider, condition, path) in table {
        let router = Router::of(provider).expect("a router");
        let refused = written(
            router,
            &canary(provider, &matching(condition)),
            &routing(Traffic::Match),
        );
        assert_eq!(refused.expect_err(provider).path, path, "{provider}");
    }
    let delegate = {
        let mut canary = canary(
            "istio",
            &json!({ "interval": "1m", "stepWeight": 10, "threshold": 1 }),
        );
        let service = canary.spec.service.as_mut().expect("a service");
        (service.delegation, service.hosts) = (Some(true), vec!["web.example.com".into()]);
        canary
    };
    let refused = written(
        Router::of("istio").expect("a router"),
        &delegate,
        &routing(Traffic::PRIMARY),
    );
    assert_eq!(refused.expect_err("it has hosts").path, "spec.service.delegation");
}
