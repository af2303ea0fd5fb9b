//! Which strategy an analysis asks for.

use std::collections::BTreeMap;

use delivery_core::plan::{AbTest, BlueGreen, Canary, Flaw, MatchRule, MirrorFirst, Step, Strategy, Text};

use super::{Findings, open};
use crate::api::{Analysis, Match, StringMatch};
use crate::provider::{Mirror, Provider, Traffic};

/// A strategy, and whether it moves weights.
pub(super) struct Chosen {
    pub(super) strategy: Strategy,
    pub(super) moves_weights: bool,
}

/// The strategy that Flagger would choose: `iterations` and `match` make an A/B test, `iterations` alone a blue-green
/// rollout, anything else is a canary. A list of `steps` is chosen before all of them.
pub(super) fn compile(analysis: &Analysis, provider: &Provider, found: &mut Findings) -> Chosen {
    if let Some(steps) = open::<Vec<Step>>("spec.analysis.steps", analysis.steps.as_ref(), found) {
        return by_hand(steps, analysis, found);
    }
    let iterations = match found
        .whole("spec.analysis.iterations", analysis.iterations)
        .map(u32::try_from)
    {
        Some(Ok(iterations)) => iterations,
        Some(Err(_)) => {
            found.warn(
                "spec.analysis.iterations",
                "less than 0 is taken as 0, as Flagger does",
            );
            0
        }
        None => 0,
    };
    let share = analysis.mirror_weight.filter(|share| *share > 0.0);
    if share.is_some() && !mirrors(analysis) {
        found.warn("spec.analysis.mirrorWeight", "has no effect without mirror: true");
    }
    let share = share.unwrap_or(100.0);
    if iterations == 0 {
        weighted(share, analysis, found)
    } else {
        iterated(iterations, share, analysis, provider, found)
    }
}

fn mirrors(analysis: &Analysis) -> bool {
    analysis.mirror.unwrap_or(false)
}

/// A list of steps, beside which no other strategy may stand.
fn by_hand(steps: Vec<Step>, analysis: &Analysis, found: &mut Findings) -> Chosen {
    let others = [
        ("iterations", analysis.iterations.is_some()),
        ("stepWeight", analysis.step_weight.is_some()),
        ("stepWeights", !analysis.step_weights.is_empty()),
        ("maxWeight", analysis.max_weight.is_some()),
        ("stepWeightPromotion", analysis.step_weight_promotion.is_some()),
        ("mirror", analysis.mirror.is_some()),
        ("match", !analysis.matches.is_empty()),
    ];
    for (field, _) in others.into_iter().filter(|(_, set)| *set) {
        let remedy = "leave it out: the list of steps says all of it";
        found.error(
            &format!("spec.analysis.{field}"),
            Flaw::Contradiction,
            "a second strategy",
            remedy,
        );
    }
    Chosen {
        strategy: Strategy::Steps(steps),
        moves_weights: true,
    }
}

/// Rising weights, perhaps with copies before them.
fn weighted(share: f64, analysis: &Analysis, found: &mut Findings) -> Chosen {
    if !analysis.matches.is_empty() {
        found.warn(
            "spec.analysis.match",
            "has no effect without iterations: every user may meet the canary",
        );
    }
    let canary = Canary {
        step_weight: analysis.step_weight,
        max_weight: analysis.max_weight,
        step_weights: analysis.step_weights.clone(),
        step_weight_promotion: analysis.step_weight_promotion,
    };
    let strategy = if mirrors(analysis) {
        Strategy::MirrorFirst(MirrorFirst { share, canary })
    } else {
        Strategy::Canary(canary)
    };
    Chosen {
        strategy,
        moves_weights: true,
    }
}

/// Rounds without weights: an A/B test where requests can match, a blue-green rollout otherwise.
fn iterated(
    iterations: u32,
    share: f64,
    analysis: &Analysis,
    provider: &Provider,
    found: &mut Findings,
) -> Chosen {
    let weights = [
        ("stepWeight", analysis.step_weight.is_some_and(|step| step > 0.0)),
        ("stepWeights", !analysis.step_weights.is_empty()),
        ("maxWeight", analysis.max_weight.is_some_and(|most| most > 0.0)),
        (
            "stepWeightPromotion",
            analysis.step_weight_promotion.is_some_and(|step| step > 0.0),
        ),
    ];
    for (field, _) in weights.into_iter().filter(|(_, set)| *set) {
        found.warn(
            &format!("spec.analysis.{field}"),
            "has no effect beside iterations: no weight moves",
        );
    }
    if !analysis.matches.is_empty() && provider.traffic == Traffic::Split {
        if mirrors(analysis) {
            found.warn("spec.analysis.mirror", "has no effect beside match");
        }
        let rules = analysis
            .matches
            .iter()
            .enumerate()
            .map(|(at, conditions)| rule(at, conditions, found));
        let strategy = Strategy::AbTest(AbTest {
            iterations,
            rules: rules.collect(),
        });
        return Chosen {
            strategy,
            moves_weights: false,
        };
    }
    if !analysis.matches.is_empty() {
        let text =
            "has no effect: this provider cannot match requests, and the revision is judged without traffic";
        found.warn("spec.analysis.match", text);
    }
    let copies = provider.mirror != Mirror::Never;
    if mirrors(analysis) && !copies {
        let text =
            "has no effect: this provider cannot copy requests, and the revision is judged without copies";
        found.warn("spec.analysis.mirror", text);
    }
    let mirror = (mirrors(analysis) && copies).then_some(share);
    Chosen {
        strategy: Strategy::BlueGreen(BlueGreen { iterations, mirror }),
        moves_weights: false,
    }
}

fn rule(at: usize, conditions: &Match, found: &mut Findings) -> MatchRule {
    let path = format!("spec.analysis.match[{at}]");
    if !conditions.source_labels.is_empty() {
        let remedy =
            "a condition on a header or a parameter; without this one, requests would match that should not";
        found.error(
            &format!("{path}.sourceLabels"),
            Flaw::Unsupported,
            "a condition",
            remedy,
        );
    }
    let mut texts = |field: &str, written: &BTreeMap<String, StringMatch>, name: fn(&str) -> String| {
        let texts = written.iter().filter_map(|(key, text)| {
            let condition = condition(&format!("{path}.{field}.{key}"), text, found)?;
            Some((name(key), condition))
        });
        texts.collect::<BTreeMap<String, Text>>()
    };
    MatchRule {
        headers: texts("headers", &conditions.headers, str::to_lowercase),
        query_params: texts("queryParams", &conditions.query_params, str::to_owned),
    }
}

/// A condition on a text, which is exactly one.
fn condition(path: &str, written: &StringMatch, found: &mut Findings) -> Option<Text> {
    let StringMatch {
        exact,
        prefix,
        suffix,
        regex,
    } = written.clone();
    let all = [
        exact.map(Text::Exact),
        prefix.map(Text::Prefix),
        suffix.map(Text::Suffix),
        regex.map(Text::Regex),
    ];
    let mut set = all.into_iter().flatten();
    match (set.next(), set.next()) {
        (Some(text), None) => Some(text),
        (None, _) => {
            found.error(
                path,
                Flaw::Contradiction,
                "no condition",
                "one of exact, prefix, suffix, regex",
            );
            None
        }
        (Some(_), Some(_)) => {
            found.error(
                path,
                Flaw::Contradiction,
                "several conditions",
                "one of exact, prefix, suffix, regex",
            );
            None
        }
    }
}
