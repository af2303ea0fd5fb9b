//! What a server says of its rules and alerts.

use delivery_core::Timestamp;
use delivery_prom::alerts::{Attribution, Policy, decide, evaluated, too_short};
use delivery_prom::ruler::{Rule, RuleGroup};
use std::time::Duration;

use crate::{Shape, check};

const NOW: Timestamp = Timestamp::from_millis(1_777_000_000_000);

/// Whatever it says, there is a decision, in one line.
pub(super) fn run(input: &[u8]) -> Shape {
    let groups: Vec<RuleGroup> = match serde_json::from_slice(input) {
        Ok(groups) => groups,
        Err(_) => return Shape::default(),
    };
    let mut shape = Shape::default();
    let all: Vec<String> = groups
        .iter()
        .flat_map(|it| &it.rules)
        .filter_map(|it| {
            if let Rule::Alerting(it) = it {
                Some(it.name.clone())
            } else {
                None
            }
        })
        .collect();
    for attribution in [
        Attribution::default(),
        Attribution::require([("app", "web")]),
        Attribution::assume_ours([("app", "web")]),
    ] {
        let policy = Policy {
            attribution,
            ..Policy::watching(all.iter().map(String::as_str).chain(["HighErrors"]))
        };
        for began in [None, Some(NOW.before(Duration::from_secs(300)))] {
            let decision = decide(&policy, &groups, began, NOW);
            check::told(&decision.to_string());
            shape = shape.and(decision.says).said(&decision.to_string());
        }
        shape = shape.and(
            too_short(&policy, &groups, Duration::from_secs(15), Duration::from_secs(60))
                .len()
                .min(3),
        );
    }
    for rule in groups.iter().flat_map(|it| &it.rules) {
        if let Rule::Alerting(rule) = rule
            && let Err(error) = evaluated(rule)
        {
            shape = shape.said(&check::error(&error));
        }
    }
    shape
}
