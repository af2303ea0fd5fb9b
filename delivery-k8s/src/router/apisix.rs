//! APISIX: a second `ApisixRoute`, which comes before the one that users know, divides the requests.

use delivery_core::port::{Routing, Traffic};
use serde_json::{Value, json};

use super::Router;
use super::object::{Kind, Objects, Subject, Unroutable, percent, share};
use crate::provider::{Needs, Provider};

const ROUTE: Kind = Kind {
    api_version: "apisix.apache.org/v2",
    kind: "ApisixRoute",
    plural: "apisixroutes",
};

/// Higher than the priority of the route that users know: APISIX takes the highest.
const PRIORITY: u32 = 10_000;

/// Weights stand in `spec.http[].backends[].weight` of the copy.
pub(super) const APISIX_ROUTE: Router = Router {
    provider: Provider {
        names: &["apisix"],
        needs: Some(Needs::Route),
        ..Provider::SPLITS
    },
    writes: &[ROUTE],
    objects,
    observe,
};

fn name<'a>(subject: &Subject<'a>) -> Result<(&'a str, String), Unroutable> {
    let reference = subject.canary.spec.route_ref.as_ref();
    let original = &reference
        .ok_or_else(|| Unroutable::new("spec.routeRef", "is missing: the ApisixRoute that users call"))?
        .name;
    Ok((original, format!("{original}-{}-canary", subject.apex)))
}

fn objects(subject: &Subject<'_>, routing: &Routing) -> Result<Vec<Value>, Unroutable> {
    let Traffic::Split(canary) = routing.traffic else {
        return Err(Unroutable::new(
            "spec.provider",
            format!("apisix has weights alone ({} is asked for)", routing.traffic),
        ));
    };
    let canary = percent(canary);
    let (original, copy) = name(subject)?;
    let missing = || {
        Unroutable::new(
            "spec.routeRef.name",
            format!("there is no ApisixRoute {original:?}"),
        )
    };
    let mut spec = subject.given.get(ROUTE.kind, original).ok_or_else(missing)?["spec"].clone();
    let rules = spec["http"].as_array_mut().ok_or_else(missing)?;
    // Only what leads to the service is divided; whatever else the route does stays with the original.
    rules.retain(|rule| {
        rule["backends"].as_array().is_some_and(|it| {
            it.iter()
                .any(|backend| backend["serviceName"] == subject.apex.as_str())
        })
    });
    if rules.is_empty() {
        let why = format!(
            "the ApisixRoute {original:?} leads nowhere to the Service {:?}",
            subject.apex
        );
        return Err(Unroutable::new("spec.routeRef.name", why));
    }
    for rule in rules {
        if rule["backends"]
            .as_array()
            .is_some_and(|backends| backends.len() != 1)
        {
            let why = format!("the ApisixRoute {original:?} must have exactly one backend for the Service");
            return Err(Unroutable::new("spec.routeRef.name", why));
        }
        let side = |name: &str, weight: u16| json!({ "serviceName": name, "servicePort": subject.port, "weight": weight });
        rule["backends"] = json!([
            side(&subject.primary, 100_u16.saturating_sub(canary)),
            side(&subject.canary_service, canary)
        ]);
        rule["priority"] = json!(PRIORITY);
        if rule["websocket"].is_null() {
            rule["websocket"] = json!(false);
        }
    }
    Ok(vec![subject.object(ROUTE, &copy, None, &spec)])
}

/// APISIX reports nothing on weights: what the copy says counts.
fn observe(subject: &Subject<'_>, objects: &Objects) -> Option<Traffic> {
    let (_, copy) = name(subject).ok()?;
    let rules = objects.get(ROUTE.kind, &copy)?["spec"]["http"].as_array()?;
    let divided = |rule: &Value| {
        let backends = rule["backends"].as_array()?;
        let weight =
            |side: &str| backends.iter().find(|backend| backend["serviceName"] == side)?["weight"].as_u64();
        share(weight(&subject.primary)?, weight(&subject.canary_service)?)
    };
    let first = divided(rules.first()?)?;
    // Rules that say different things say nothing.
    rules
        .iter()
        .all(|rule| divided(rule) == Some(first))
        .then_some(Traffic::Split(first))
}
