//! What is wrong with alerting rules and log pipelines, as far as progressive delivery goes.
//!
//! A rule can be valid, be on everybody's dashboard, and still be useless while a canary runs: it fires after the
//! canary has moved on, it cannot say whose fault it is, or it is silent when there is nothing to measure. [`check`]
//! reads a Prometheus rules file, a `PrometheusRule`, a promtail configuration, the values of its Helm chart or an Alloy
//! configuration, and reports each [`Finding`] with its line and what would be right. It evaluates nothing and asks
//! nobody.
//!
//! | lint | reports |
//! |---|---|
//! | `label-dropped` | a label in a text that the expression does not keep, which prints as nothing |
//! | `sums-everything` | an aggregation over all services, in which a small one disappears |
//! | `no-traffic` | a ratio to traffic that says nothing when there is none |
//! | `slow-alert` | `for` or a range that ends only after the canary has moved on |
//! | `extrapolated-count` | a count that prints with decimals |
//! | `broken-text` | a template that Prometheus refuses, or that prints an error |
//! | `refused` | a rule, a group or a field that Prometheus refuses, and all rules of the file with it |
//! | `drop-never-matches` | a log stage that drops nothing |
//! | `high-cardinality` | a log label with a value per request |
//!
//! The feature `rules-check` is its own because it is a tool for people who write rules: a program that only measures
//! needs neither the PromQL parser nor the YAML reader. (`promql-validate` shares the former.)
//!
//! ```
//! use delivery_prom::rules::{Lint, Pace, check};
//!
//! let text = r#"
//! groups:
//!   - name: service-health
//!     rules:
//!       - alert: Restarts
//!         expr: sum(increase(restarts_total{job="web"}[1m])) > 3
//!         annotations:
//!           summary: "{{ $labels.pod }} restarts"
//! "#;
//! let findings = check("alerts.yaml", text, &Pace::default())?;
//! assert_eq!(findings.len(), 1);
//! assert_eq!((findings[0].line, findings[0].lint), (8, Lint::LabelDropped));
//! # Ok::<(), delivery_prom::rules::Unreadable>(())
//! ```

mod alloy;
mod expression;
mod file;
mod functions;
mod gotext;
mod kept;
mod lints;
mod node;
mod printed;
mod recorded;
mod stages;
mod verbs;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use delivery_core::text;

use self::node::Node;

/// How fast things move around a rule. A rule that is slower than an analysis step cannot stop the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long a canary stays at one weight at least: the analysis interval of the plan. Default 1 min, as in the
    /// usual Flagger examples.
    pub step: Duration,
    /// Prometheus' `evaluation_interval`, for groups that have no `interval`. Default 15 s, as in Prometheus' example
    /// configuration (without one it is 1 min).
    pub evaluation: Duration,
    /// Prometheus' `scrape_interval` for the canary. Default 15 s, likewise.
    pub scrape: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            step: Duration::from_secs(60),
            evaluation: Duration::from_secs(15),
            scrape: Duration::from_secs(15),
        }
    }
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Lint {
    /// A text prints a label that the expression does not keep.
    LabelDropped,
    /// An aggregation over everything: no service can be told from another.
    SumsEverything,
    /// A ratio to traffic says nothing when there is none.
    NoTraffic,
    /// The alert comes after the canary has moved on.
    SlowAlert,
    /// A count is printed as Prometheus extrapolates it, with decimals.
    ExtrapolatedCount,
    /// A template that Prometheus refuses, and the whole file with it; or one that prints an error instead of what was
    /// meant.
    BrokenText,
    /// A rule, a group or a field that Prometheus refuses, and the whole file with it.
    Refused,
    /// A log stage that drops nothing.
    DropNeverMatches,
    /// A log label with a value for each request.
    HighCardinality,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LabelDropped => "label-dropped",
            Self::SumsEverything => "sums-everything",
            Self::NoTraffic => "no-traffic",
            Self::SlowAlert => "slow-alert",
            Self::ExtrapolatedCount => "extrapolated-count",
            Self::BrokenText => "broken-text",
            Self::Refused => "refused",
            Self::DropNeverMatches => "drop-never-matches",
            Self::HighCardinality => "high-cardinality",
        })
    }
}

/// One thing that is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file, as it was named to [`check`].
    pub file: String,
    /// The line, counted from 1. In a text of several lines, the one on which it begins.
    pub line: u64,
    /// What kind of thing is wrong.
    pub lint: Lint,
    /// The rule, where it is about one.
    pub rule: Option<RuleName>,
    /// What is wrong, and what comes of it.
    pub wrong: String,
    /// What would be right.
    pub right: String,
}

impl fmt::Display for Finding {
    /// `file:line: message`, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if let Some(RuleName { group, rule }) = &self.rule {
            write!(f, "rule `{rule}` of group `{group}`: ")?;
        }
        write!(f, "{}; {} [{}]", self.wrong, self.right, self.lint)
    }
}

/// Which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleName {
    /// The group's name.
    pub group: String,
    /// The name of the alert or of what is recorded.
    pub rule: String,
}

/// A file that cannot be checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {why}", .line.map(|it| format!(":{it}")).unwrap_or_default())]
#[non_exhaustive]
pub struct Unreadable {
    /// The file, as it was named to [`check`].
    pub file: String,
    /// The line, counted from 1, where there is one.
    pub line: Option<u64>,
    /// What is wrong, and what would be right.
    pub why: String,
}

/// Checks one file. Its name says what it is: Alloy ends with `.alloy` or `.river`, all others are YAML of one or more
/// documents.
///
/// Findings are in the order of the file. What is wrong with one rule keeps nobody from the findings of the others: a rule
/// that Prometheus would refuse is a finding, too.
///
/// # Errors
/// [`Unreadable`] for a file that is no YAML or Alloy, or that holds neither rules nor log stages.
pub fn check(file: &str, written: &str, pace: &Pace) -> Result<Vec<Finding>, Unreadable> {
    let unreadable = |Fault { line, why }| Unreadable {
        file: file.into(),
        line,
        why: fit(why, WRONG),
    };
    let extension = Path::new(file).extension().and_then(|it| it.to_str());
    let mut findings = if matches!(extension, Some("alloy" | "river")) {
        let pipelines = alloy::pipelines(written).map_err(unreadable)?;
        if pipelines.is_empty() {
            return Err(unreadable(Fault::whole(
                "there is no `loki.process` block with a stage",
            )));
        }
        stages::check(&pipelines)
    } else {
        let documents = Node::documents(written).map_err(|it| unreadable(Fault::yaml(&it)))?;
        let rules = file::rules(&documents);
        let pipelines = stages::pipelines(&documents);
        if rules.is_none() && pipelines.is_empty() {
            return Err(unreadable(Fault::whole(
                "there are neither rules nor log stages (expected `groups`, a PrometheusRule with `spec.groups`, or a \
                 list `pipeline_stages` or `pipelineStages`)",
            )));
        }
        let mut findings = rules.map(|it| lints::check(&it, pace)).unwrap_or_default();
        findings.extend(stages::check(&pipelines));
        findings.extend(file::repeated(&documents));
        findings
    };
    findings.sort_by_key(|it| (it.line, it.lint));
    Ok(findings
        .into_iter()
        .map(|it| Finding {
            file: file.into(),
            rule: it.rule.map(|RuleName { group, rule }| RuleName {
                group: fit(group, text::NAME),
                rule: fit(rule, text::NAME),
            }),
            wrong: fit(it.wrong, WRONG),
            right: fit(it.right, RIGHT),
            ..it
        })
        .collect())
}

/// The most characters of what is wrong.
const WRONG: usize = 800;

/// The most characters of what would be right.
const RIGHT: usize = 600;

/// A text that quotes the file, which may hold anything: fit to be seen, and not too long.
fn fit(said: String, most: usize) -> String {
    if said.len() <= most && text::hidden(&said).is_none() {
        said
    } else {
        text::shortened(&said, most)
    }
}

/// Why something cannot be read, before it is known in which file.
#[derive(Debug, PartialEq)]
struct Fault {
    line: Option<u64>,
    why: String,
}

impl Fault {
    fn at(line: u64, why: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            why: why.into(),
        }
    }

    fn whole(why: impl Into<String>) -> Self {
        Self {
            line: None,
            why: why.into(),
        }
    }

    fn yaml(error: &serde_saphyr::Error) -> Self {
        let text = error.to_string();
        Self {
            line: error.location().map(|it| it.line()),
            why: format!("no YAML: {}", text.lines().next().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests;
