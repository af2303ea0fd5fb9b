//! Traefik: a `TraefikService` divides the requests.

use delivery_core::port::{Routing, Traffic};
use serde_json::{Value, json};

use super::Router;
use super::object::{Kind, Objects, Subject, Unroutable, percent, share};
use crate::provider::Provider;

const SERVICE: Kind = Kind {
    api_version: "traefik.io/v1alpha1",
    kind: "TraefikService",
    plural: "traefikservices",
};

/// Weights stand in `spec.weighted.services`; without traffic, the canary is not among them.
pub(super) const TRAEFIK_SERVICE: Router = Router {
    provider: Provider {
        names: &["traefik"],
        ..Provider::SPLITS
    },
    writes: &[SERVICE],
    objects,
    observe,
};

fn objects(subject: &Subject<'_>, routing: &Routing) -> Result<Vec<Value>, Unroutable> {
    let Traffic::Split(canary) = routing.traffic else {
        return Err(Unroutable::new(
            "spec.provider",
            format!("traefik has weights alone ({} is asked for)", routing.traffic),
        ));
    };
    let side = |name: &str, weight: u16| json!({ "name": name, "namespace": subject.namespace, "port": subject.port, "weight": weight });
    let canary = percent(canary);
    let mut services = vec![side(&subject.primary, 100_u16.saturating_sub(canary))];
    if canary > 0 {
        services.push(side(&subject.canary_service, canary));
    }
    let spec = json!({ "weighted": { "services": services } });
    Ok(vec![subject.object(
        SERVICE,
        &subject.apex,
        Some(&subject.apex_metadata()),
        &spec,
    )])
}

/// Traefik reports nothing on it: what it says counts.
fn observe(subject: &Subject<'_>, objects: &Objects) -> Option<Traffic> {
    let services = objects.get(SERVICE.kind, &subject.apex)?["spec"]["weighted"]["services"].as_array()?;
    let weight = |side: &str| {
        Some(
            services.iter().find(|service| service["name"] == side)?["weight"]
                .as_u64()
                .unwrap_or(1),
        )
    };
    let divided = share(
        weight(&subject.primary).unwrap_or(0),
        weight(&subject.canary_service).unwrap_or(0),
    )?;
    Some(Traffic::Split(divided))
}
