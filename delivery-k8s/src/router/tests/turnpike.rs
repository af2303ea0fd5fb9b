//! Turnpike: a `TollRoute` divides the requests.

use delivery_core::port::{Routing, Traffic};
use serde_json::{Value, json};

use super::Router;
use super::object::{Kind, Objects, Subject, Unroutable, percent, share};
use crate::provider::Provider;

const ROUTE: Kind = Kind {
    api_version: "turnpike.example.com/v1",
    kind: "TollRoute",
    plural: "tollroutes",
};

/// Weights stand in `spec.lanes[].weight`.
pub(super) const TOLL_ROUTE: Router = Router {
    // What users write in `spec.provider`. It moves weights, and cannot match requests, copy them or set cookies.
    provider: Provider {
        names: &["turnpike"],
        ..Provider::SPLITS
    },
    writes: &[ROUTE],
    objects,
    observe,
};

fn objects(subject: &Subject<'_>, routing: &Routing) -> Result<Vec<Value>, Unroutable> {
    let Traffic::Split(canary) = routing.traffic else {
        let why = format!("turnpike has weights alone ({} is asked for)", routing.traffic);
        return Err(Unroutable::new("spec.provider", why));
    };
    let canary = percent(canary);
    let lane =
        |service: &str, weight: u16| json!({ "service": service, "port": subject.port, "weight": weight });
    let spec = json!({ "lanes": [
        lane(&subject.primary, 100_u16.saturating_sub(canary)),
        lane(&subject.canary_service, canary),
    ] });
    let metadata = subject.apex_metadata();
    Ok(vec![subject.object(ROUTE, &subject.apex, Some(&metadata), &spec)])
}

/// Turnpike reports nothing on it: what the object says counts.
fn observe(subject: &Subject<'_>, objects: &Objects) -> Option<Traffic> {
    let lanes = objects.get(ROUTE.kind, &subject.apex)?["spec"]["lanes"].as_array()?;
    let weight = |side: &str| lanes.iter().find(|lane| lane["service"] == side)?["weight"].as_u64();
    share(weight(&subject.primary)?, weight(&subject.canary_service)?).map(Traffic::Split)
}
