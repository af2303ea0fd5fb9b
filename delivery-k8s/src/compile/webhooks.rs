//! The webhooks that are asked, as gates.

use delivery_core::plan::{Fallback, Flaw, Gate, GateKind};
use delivery_core::time::parse_interval;

use super::paths::Paths;
use super::{Findings, quoted};
use crate::api::Webhook;

/// Flagger's types of webhooks that only inform.
const INFORM: [&str; 2] = ["post-rollout", "event"];

/// The gates, in the order in which the webhooks are written. Their names are those that `delivery-http` gives its
/// webhooks, so that each finds its own.
pub(super) fn gates(webhooks: &[Webhook], paths: &mut Paths, found: &mut Findings) -> Vec<Gate> {
    let mut gates: Vec<Gate> = Vec::new();
    for (at, webhook) in webhooks.iter().enumerate() {
        let path = format!("spec.analysis.webhooks[{at}]");
        if webhook.url.trim().is_empty() {
            found.error(
                &format!("{path}.url"),
                Flaw::Contradiction,
                "no address",
                "an absolute http or https URL",
            );
        }
        let written = webhook
            .kind
            .as_deref()
            .filter(|kind| !kind.is_empty())
            .unwrap_or("rollout");
        let Some(kind) = GateKind::ALL.into_iter().find(|kind| kind.name() == written) else {
            if !INFORM.contains(&written) {
                let known: Vec<&str> = GateKind::ALL
                    .iter()
                    .map(|kind| kind.name())
                    .chain(INFORM)
                    .collect();
                let remedy = format!("one of {}", known.join(", "));
                found.error(&format!("{path}.type"), Flaw::Name, &quoted(written), &remedy);
            }
            continue;
        };
        let name = unique(&webhook.name, |name| {
            gates.iter().any(|gate| gate.kind == kind && gate.name == name)
        });
        if name != webhook.name {
            let text = format!(
                "is a name that an earlier webhook of this type has: called {} here",
                quoted(&name)
            );
            found.warn(&format!("{path}.name"), &text);
        }
        let mut gate = Gate::new(kind, name);
        gate.deadline = webhook.deadline.as_deref().and_then(|text| {
            let parsed = parse_interval(text);
            if let Err(error) = &parsed {
                let remedy = format!("a duration such as 1h: {error}");
                found.error(
                    &format!("{path}.deadline"),
                    Flaw::OutOfRange,
                    &quoted(text),
                    &remedy,
                );
            }
            parsed.ok()
        });
        gate.default = match webhook.default.as_deref() {
            None | Some("reject") => Fallback::Reject,
            Some("approve") => Fallback::Approve,
            Some(other) => {
                found.error(
                    &format!("{path}.default"),
                    Flaw::Name,
                    &quoted(other),
                    "approve or reject",
                );
                Fallback::Reject
            }
        };
        if let Some(every) = found.count(&format!("{path}.every"), webhook.every) {
            gate.every = every;
        }
        gates.push(gate);
        paths.gates.push(at);
    }
    gates
}

/// The name, or the name and the least number from 2 on that nobody has.
pub(super) fn unique(name: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(name) {
        return name.to_owned();
    }
    let mut numbered = (2_u32..).map(|number| format!("{name} {number}"));
    numbered.find(|name| !taken(name)).unwrap_or_default()
}
