//! The lints of alerting rules.

use std::collections::BTreeSet;
use std::time::Duration;

use delivery_core::alerting::{Template, TemplateError, TemplateFault};
use delivery_core::time::PromDuration;

use promql_parser::parser::Expr;

use super::expression::{
    extrapolated_count, longest_range, sums_everything, unguarded_traffic, watched_for_absence, with_records,
};
use super::file::{Alerting, Rules, Text};
use super::kept::Records;
use super::{Finding, Lint, Pace};

pub(super) fn check(rules: &Rules, pace: &Pace) -> Vec<Finding> {
    let records = Records::new(&rules.records);
    let watched = rules
        .alerts
        .iter()
        .flat_map(|it| watched_for_absence(&it.expr))
        .collect();
    let checked = rules.alerts.iter().map(|rule| {
        let texts = rule.annotations.iter().map(|it| ("annotation", it));
        let texts = texts.chain(rule.labels.iter().map(|it| ("label", it)));
        let mut found: Vec<Finding> = texts
            .flat_map(|(kind, text)| printed(rule, kind, text, &records))
            .collect();
        let read = with_records(&rule.expr, &rules.records);
        if records.kept(&rule.expr).tells_nothing() {
            found.extend(everything(rule, &read));
        }
        found.extend(no_traffic(rule, &read, &watched));
        found.extend(slow(rule, &read, pace));
        found
    });
    checked.flatten().collect()
}

/// What a label or an annotation prints that nobody wants to read.
fn printed(rule: &Alerting, kind: &str, text: &Text, records: &Records) -> Vec<Finding> {
    let template = text.source.parse::<Template>();
    let labels: Vec<String> = match &template {
        Ok(template) => template.labels().into_keys().map(String::from).collect(),
        // What our templates do not support, Prometheus may.
        Err(_) => mentioned(&text.source),
    };
    let mut found: Vec<Finding> = labels
        .iter()
        .filter_map(|label| dropped(rule, kind, text, label, records))
        .collect();
    found.extend(
        template
            .as_ref()
            .err()
            .and_then(|it| broken(rule, kind, text, it)),
    );
    if template.is_ok_and(|it| it.unrounded_value().is_some())
        && let Some(function) = extrapolated_count(&rule.expr)
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

fn dropped(rule: &Alerting, kind: &str, text: &Text, label: &str, records: &Records) -> Option<Finding> {
    let kept = records.kept(&rule.expr);
    if kept.has(label) {
        return None;
    }
    let own = rule.labels.iter().any(|it| it.name == label) || label == "alertname";
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
    Some(finding(rule, text.line, Lint::LabelDropped, wrong, right))
}

/// Only what is wrong in Go's language, too.
fn broken(rule: &Alerting, kind: &str, text: &Text, error: &TemplateError) -> Option<Finding> {
    let certain = match &error.fault {
        TemplateFault::Open { .. } => true,
        TemplateFault::Argument { function, .. } => function.contains("printf"),
        _ => false,
    };
    certain.then(|| {
        let wrong = format!("{kind} `{}` prints an error: {error}", text.name);
        finding(
            rule,
            text.line,
            Lint::BrokenText,
            wrong,
            String::from("correct the template"),
        )
    })
}

fn everything(rule: &Alerting, read: &[&Expr]) -> Option<Finding> {
    let aggregate = read.iter().find_map(|it| sums_everything(it))?;
    Some(finding(
        rule,
        rule.expr_line,
        Lint::SumsEverything,
        format!(
            "`{aggregate}` makes one number of all services: a small one that fails altogether disappears beside a big \
             healthy one, and the alert belongs to nobody's rollout"
        ),
        String::from("aggregate by the label that names the service, or select one service"),
    ))
}

fn no_traffic(rule: &Alerting, read: &[&Expr], watched: &BTreeSet<String>) -> Option<Finding> {
    let traffic = read.iter().find_map(|it| unguarded_traffic(it, watched))?;
    Some(finding(
        rule,
        rule.expr_line,
        Lint::NoTraffic,
        format!(
            "it divides by `{traffic}`: without traffic the ratio is not a number, nothing alerts, and silence looks \
             like health"
        ),
        format!("say so with `and {traffic} > 0`, or add a rule that alerts when the traffic is absent"),
    ))
}

/// An alert needs its scrape, its evaluation and its `for`, and a range that reaches back into the step before is
/// diluted by it.
fn slow(rule: &Alerting, read: &[&Expr], pace: &Pace) -> Option<Finding> {
    let evaluation = rule.evaluation.unwrap_or(pace.evaluation);
    let delay = rule.hold.saturating_add(evaluation).saturating_add(pace.scrape);
    let range = read.iter().map(|it| longest_range(it)).max().unwrap_or_default();
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

/// Names behind `$labels.` and `.Labels.`, each once.
fn mentioned(text: &str) -> Vec<String> {
    let names: BTreeSet<String> = ["$labels.", ".Labels."]
        .into_iter()
        .flat_map(|before| text.split(before).skip(1))
        .map(|behind| {
            let end = behind
                .find(|it: char| !it.is_ascii_alphanumeric() && it != '_')
                .unwrap_or(behind.len());
            behind.chars().take(end).collect()
        })
        .filter(|it: &String| !it.is_empty())
        .collect();
    names.into_iter().collect()
}

fn written(duration: Duration) -> String {
    PromDuration::saturating_from(duration).to_string()
}
