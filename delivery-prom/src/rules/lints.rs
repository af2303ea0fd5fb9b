//! The lints of alerting rules.

use std::collections::BTreeSet;
use std::time::Duration;

use delivery_core::time::PromDuration;
use promql_parser::parser::Expr;

use super::expression::{extrapolated_count, watched_for_absence};
use super::file::{Alerting, Rules, Text};
use super::gotext::{self, Refused};
use super::kept::{Kept, Records};
use super::printed::{self, VARIABLES};
use super::recorded::Recorded;
use super::{Finding, Lint, Pace, functions};

pub(super) fn check(rules: &Rules, pace: &Pace) -> Vec<Finding> {
    let records = Records::new(&rules.records);
    let expressions = rules.alerts.iter().filter_map(|it| it.expr.as_ref());
    let watched = expressions.flat_map(watched_for_absence).collect();
    let recorded = Recorded::new(&rules.records, &watched);
    let mut found = rules.refused.clone();
    for rule in &rules.alerts {
        let kept = rule.expr.as_ref().map(|it| records.kept(it));
        let own: BTreeSet<&str> = rule.labels.iter().map(|it| it.name.as_str()).collect();
        let texts = rule.annotations.iter().map(|it| ("annotation", it));
        let texts = texts.chain(rule.labels.iter().map(|it| ("label", it)));
        found.extend(texts.flat_map(|(kind, text)| printed(rule, kind, text, kept.as_ref(), &own)));
        let Some(expr) = &rule.expr else {
            continue;
        };
        let facts = recorded.facts(expr, &watched);
        if kept.is_some_and(|it| it.tells_nothing()) {
            found.extend(facts.everything.map(|it| everything(rule, it)));
        }
        found.extend(facts.traffic.map(|it| no_traffic(rule, it)));
        found.extend(slow(rule, facts.range, pace));
    }
    found
}

/// What a label or an annotation prints that nobody wants to read.
/// `own` are the labels of the rule itself.
fn printed(
    rule: &Alerting,
    kind: &str,
    text: &Text,
    kept: Option<&Kept>,
    own: &BTreeSet<&str>,
) -> Vec<Finding> {
    let tree = match gotext::parse(&text.source, &VARIABLES, &functions::exists) {
        Ok(tree) => tree,
        Err(refused) => return vec![unread(rule, kind, text, &refused)],
    };
    let printed = printed::printed(&tree);
    let errors = printed.errors.iter().map(|(at, why)| {
        finding(
            rule,
            text.line,
            Lint::BrokenText,
            format!(
                "{kind} `{}` prints an error: at byte {at} of the template: {why}",
                text.name
            ),
            String::from("correct the template"),
        )
    });
    let mut found: Vec<Finding> = errors.collect();
    if let Some(kept) = kept {
        let dropped = printed.labels.iter().filter(|it| !kept.has(it));
        found.extend(dropped.map(|it| {
            let own = own.contains(it.as_str()) || it == "alertname";
            dropped_label(rule, kind, text, it, kept, own)
        }));
    }
    if printed.decimals
        && let Some(function) = rule.expr.as_ref().and_then(extrapolated_count)
    {
        found.push(finding(
            rule,
            text.line,
            Lint::ExtrapolatedCount,
            format!(
                "{kind} `{}` prints the value of `{function}`, which Prometheus extrapolates to the whole range: 4 may \
                 print as 4.1",
                text.name
            ),
            String::from(r#"print `{{ printf "%.0f" $value }}`"#),
        ));
    }
    found
}

fn unread(rule: &Alerting, kind: &str, text: &Text, refused: &Refused) -> Finding {
    let Refused { at, why, only_here } = refused;
    let name = &text.name;
    let (wrong, right) = if *only_here {
        (
            format!("{kind} `{name}` cannot be checked"),
            String::from("write it with fewer levels"),
        )
    } else if let Some(function) = why.strip_prefix("there is no function `") {
        let alike = functions::alike(function.trim_end_matches('`'));
        let right = alike.map_or_else(
            || format!("beside Go's own there are {}", functions::known()),
            |it| format!("write `{it}`"),
        );
        (format!("Prometheus refuses the file for {kind} `{name}`"), right)
    } else {
        (
            format!("Prometheus refuses the file for {kind} `{name}`"),
            String::from("correct the template"),
        )
    };
    let wrong = format!("{wrong}: at byte {at} of the template: {why}");
    finding(rule, text.line, Lint::BrokenText, wrong, right)
}

fn dropped_label(rule: &Alerting, kind: &str, text: &Text, label: &str, kept: &Kept, own: bool) -> Finding {
    let (wrong, right) = if own {
        (
            format!(
                "{kind} `{}` prints $labels.{label}, which is empty: `$labels` are those of the expression, which \
                 {kept}, and not the rule's own",
                text.name
            ),
            String::from("write the label's value out"),
        )
    } else {
        (
            format!(
                "{kind} `{}` prints $labels.{label}, which is empty: the expression {kept}",
                text.name
            ),
            format!("aggregate by ({label}), or print a label that the expression keeps"),
        )
    };
    finding(rule, text.line, Lint::LabelDropped, wrong, right)
}

fn everything(rule: &Alerting, aggregate: &Expr) -> Finding {
    finding(
        rule,
        rule.expr_line,
        Lint::SumsEverything,
        format!(
            "`{aggregate}` makes one number of all services: a small one that fails altogether disappears beside a big \
             healthy one, and the alert belongs to nobody's rollout"
        ),
        String::from("aggregate by the label that names the service, or select one service"),
    )
}

fn no_traffic(rule: &Alerting, traffic: &Expr) -> Finding {
    finding(
        rule,
        rule.expr_line,
        Lint::NoTraffic,
        format!(
            "it divides by `{traffic}`: without traffic the ratio is not a number, nothing alerts, and silence looks \
             like health"
        ),
        format!("say so with `and {traffic} > 0`, or add a rule that alerts when the traffic is absent"),
    )
}

/// An alert needs its scrape, its evaluation and its `for`, and a range that reaches back into the step before is
/// diluted by it.
fn slow(rule: &Alerting, range: Duration, pace: &Pace) -> Option<Finding> {
    let evaluation = rule.evaluation.unwrap_or(pace.evaluation);
    let delay = rule.hold.saturating_add(evaluation).saturating_add(pace.scrape);
    let needed = delay.max(range);
    if needed <= pace.step {
        return None;
    }
    let steps = needed.as_millis().checked_div(pace.step.as_millis()).unwrap_or(0);
    let moved = match steps {
        0 => String::from("no step waits for it"),
        1 => String::from("by then the canary has moved on"),
        _ => format!("by then the canary has moved {steps} steps"),
    };
    let mut why = format!(
        "it fires {} after the cause at the earliest (`for` {}, evaluated every {}, scraped every {})",
        written(delay),
        written(rule.hold),
        written(evaluation),
        written(pace.scrape)
    );
    if !range.is_zero() {
        why = format!("{why} and looks back over {}", written(range));
    }
    Some(finding(
        rule,
        rule.line,
        Lint::SlowAlert,
        format!("{why}; an analysis step takes {}: {moved}", written(pace.step)),
        format!(
            "stay at each weight for at least {}, or shorten `for` and the range to what fits into a step",
            written(needed)
        ),
    ))
}

fn finding(rule: &Alerting, line: u64, lint: Lint, wrong: String, right: String) -> Finding {
    Finding {
        file: String::new(),
        line,
        lint,
        rule: Some(rule.name.clone()),
        wrong,
        right,
    }
}

fn written(duration: Duration) -> String {
    PromDuration::saturating_from(duration).to_string()
}
