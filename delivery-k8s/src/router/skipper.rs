//! Skipper: a second `Ingress` with both sides, and their weights in an annotation, divides the requests of the first.

use std::collections::BTreeMap;

use delivery_core::port::{Routing, Traffic};
use serde_json::{Value, json};

use super::Router;
use super::nginx::INGRESS;
use super::object::{Ingress, Objects, Subject, Unroutable, percent, share};
use crate::provider::{Needs, Provider};

const WEIGHTS: &str = "zalando.org/backend-weights";
const PREDICATE: &str = "zalando.org/skipper-predicate";

/// Weights stand in the annotation `zalando.org/backend-weights`, as JSON.
pub(super) const WEIGHTED_INGRESS: Router = Router {
    provider: Provider {
        names: &["skipper"],
        needs: Some(Needs::Ingress),
        ..Provider::SPLITS
    },
    writes: &[INGRESS],
    objects,
    observe,
};

fn objects(subject: &Subject<'_>, routing: &Routing) -> Result<Vec<Value>, Unroutable> {
    let Traffic::Split(canary) = routing.traffic else {
        return Err(Unroutable::new(
            "spec.provider",
            format!("skipper has weights alone ({} is asked for)", routing.traffic),
        ));
    };
    let canary = percent(canary);
    let ingress = Ingress::of(subject)?;
    let weights = json!({
        subject.canary_service.as_str(): canary,
        subject.primary.as_str(): 100_u16.saturating_sub(canary)
    });
    // The copy wins over the first Ingress by this weight of its routes.
    let marks = BTreeMap::from([
        (String::from(WEIGHTS), weights.to_string()),
        (String::from(PREDICATE), String::from("Weight(100)")),
    ]);
    let spec = ingress.both_sides();
    Ok(vec![subject.object(
        INGRESS,
        &ingress.copy,
        Some(&ingress.metadata(marks)),
        &spec,
    )])
}

/// Skipper reports nothing on it: what the copy says counts.
fn observe(subject: &Subject<'_>, objects: &Objects) -> Option<Traffic> {
    let copy = Ingress::copy_name(subject).ok()?;
    let text = objects.get(INGRESS.kind, &copy)?["metadata"]["annotations"][WEIGHTS].as_str()?;
    let weights: Value = serde_json::from_str(text).ok()?;
    let weight = |side: &str| weights[side].as_u64();
    share(weight(&subject.primary)?, weight(&subject.canary_service)?).map(Traffic::Split)
}
