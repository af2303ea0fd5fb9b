//! What an alerting expression measures, and over what.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::label::MatchOp;
use promql_parser::parser::token::{self, T_DIV, T_EQLC, T_LAND, T_LSS, T_LTE, T_LUNLESS};
use promql_parser::parser::{self, AggregateExpr, BinaryExpr, Expr, VectorSelector};

use super::kept::is_scalar;
use crate::backquotes;

/// A longer one is not read by anybody, and neither by us.
const LONGEST: usize = 16 * 1024;

/// As many operators and parentheses are taken: each may nest the next.
const MOST_OPERATORS: usize = 500;

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Expr, String> {
    if text.len() > LONGEST {
        return Err(format!(
            "it is {} bytes long (expected at most {LONGEST})",
            text.len()
        ));
    }
    let words = text.split(|it: char| !it.is_alphanumeric() && it != '_');
    let operators = text
        .matches(['(', '+', '-', '*', '/', '%', '^', '<', '>', '=', '['])
        .count()
        + words
            .filter(|it| {
                matches!(
                    it.to_ascii_lowercase().as_str(),
                    "and" | "or" | "unless" | "atan2"
                )
            })
            .count();
    if operators > MOST_OPERATORS {
        return Err(format!(
            "it has {operators} operators and brackets (expected at most {MOST_OPERATORS})"
        ));
    }
    parser::parse(&backquotes::replaced(text))
}

/// The longest time that it looks back over: ranges, with the subqueries around them.
pub(super) fn longest_range(expr: &Expr) -> Duration {
    let inner = children(expr)
        .into_iter()
        .map(longest_range)
        .max()
        .unwrap_or_default();
    match expr {
        Expr::MatrixSelector(it) => it.range,
        Expr::Subquery(it) => it.range.saturating_add(inner),
        _ => inner,
    }
}

/// The function that extrapolates a count to its range, where the result is that count and nobody rounded it.
pub(super) fn extrapolated_count(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::Paren(it) => extrapolated_count(&it.expr),
        Expr::Aggregate(it) => extrapolated_count(&it.expr).filter(|_| keeps_unit(it)),
        Expr::Binary(it) if it.op.is_comparison_operator() && !it.return_bool() && is_scalar(&it.rhs) => {
            extrapolated_count(&it.lhs)
        }
        Expr::Binary(it) if [T_LAND, T_LUNLESS].contains(&it.op.id()) => extrapolated_count(&it.lhs),
        Expr::Call(it) if matches!(it.func.name, "increase" | "delta") => Some(it.func.name),
        _ => None,
    }
}

fn keeps_unit(aggregate: &AggregateExpr) -> bool {
    [
        token::T_SUM,
        token::T_MAX,
        token::T_MIN,
        token::T_TOPK,
        token::T_BOTTOMK,
    ]
    .contains(&aggregate.op.id())
}

/// An aggregation of series that nothing ties to one service into a single number.
pub(super) fn sums_everything(expr: &Expr) -> Option<&Expr> {
    if let Expr::Aggregate(it) = expr {
        let grouped = it
            .modifier
            .as_ref()
            .is_some_and(|it| !it.is_include() || !it.labels().is_empty());
        let loose = || selectors(expr).iter().all(|it| !names_a_service(it));
        let selects = [token::T_TOPK, token::T_BOTTOMK].contains(&it.op.id());
        if !grouped && !selects && loose() {
            return Some(expr);
        }
    }
    children(expr).into_iter().find_map(sums_everything)
}

/// Words in the names of labels that tell whose series it is.
const IDENTITY: [&str; 12] = [
    "service",
    "app",
    "job",
    "namespace",
    "deployment",
    "workload",
    "container",
    "pod",
    "instance",
    "host",
    "route",
    "ingress",
];

fn names_a_service(selector: &VectorSelector) -> bool {
    selector.matchers.matchers.iter().any(|it| {
        matches!(it.op, MatchOp::Equal | MatchOp::Re(_)) && IDENTITY.iter().any(|word| it.name.contains(word))
    })
}

/// What a ratio to traffic divides by, where the expression does not say what it wants without traffic.
/// `watched` are metrics that other rules look after.
pub(super) fn unguarded_traffic<'a>(expr: &'a Expr, watched: &BTreeSet<String>) -> Option<&'a Expr> {
    unguarded(expr, watched, &BTreeSet::new())
}

/// `guarded` are metrics that the same expression looks after.
fn unguarded<'a>(expr: &'a Expr, watched: &BTreeSet<String>, guarded: &BTreeSet<String>) -> Option<&'a Expr> {
    if let Expr::Binary(it) = expr {
        if [T_LAND, T_LUNLESS].contains(&it.op.id()) {
            // `ratio and traffic > 0` says it.
            let mut guarded = guarded.clone();
            guarded.extend(metrics(&it.rhs));
            return unguarded(&it.lhs, watched, &guarded);
        }
        if it.op.id() == T_DIV && !is_scalar(&it.rhs) && is_traffic(&it.rhs) && !is_bounded(&it.rhs) {
            let names = metrics(&it.rhs);
            let known = |it: &String| watched.contains(it) || guarded.contains(it);
            if names.is_empty() || !names.iter().all(known) {
                return Some(&it.rhs);
            }
        }
    }
    children(expr)
        .into_iter()
        .find_map(|it| unguarded(it, watched, guarded))
}

/// Whether an expression that divides can be zero.
fn is_bounded(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(it) => is_bounded(&it.expr),
        Expr::Binary(it) => it.op.is_comparison_operator() && !it.return_bool(),
        Expr::Call(it) => it.func.name == "clamp_min",
        _ => false,
    }
}

/// Whether an expression counts things that may not happen.
fn is_traffic(expr: &Expr) -> bool {
    let counts = match expr {
        Expr::Call(it) => {
            matches!(
                it.func.name,
                "rate" | "irate" | "increase" | "count_over_time" | "sum_over_time"
            )
        }
        // Recorded rates are named level:metric:operations.
        Expr::VectorSelector(it) => it.name.as_deref().is_some_and(|it| {
            it.rsplit_once(':').is_some_and(|(_, operations)| {
                operations.starts_with("rate") || operations.starts_with("increase")
            })
        }),
        _ => false,
    };
    counts || children(expr).into_iter().any(is_traffic)
}

/// The metrics that a rule watches for being absent or zero.
pub(super) fn watched_for_absence(expr: &Expr) -> BTreeSet<String> {
    match expr {
        Expr::Call(it) if it.func.name.starts_with("absent") => metrics(expr),
        Expr::Binary(BinaryExpr { op, lhs, rhs, .. })
            if [T_EQLC, T_LSS, T_LTE].contains(&op.id())
                && is_scalar(rhs)
                && is_traffic(lhs)
                && !divides(lhs) =>
        {
            metrics(lhs)
        }
        _ => children(expr).into_iter().flat_map(watched_for_absence).collect(),
    }
}

fn divides(expr: &Expr) -> bool {
    let here = matches!(expr, Expr::Binary(it) if it.op.id() == T_DIV);
    here || children(expr).into_iter().any(divides)
}

pub(super) fn metrics(expr: &Expr) -> BTreeSet<String> {
    selectors(expr)
        .into_iter()
        .filter_map(|it| it.name.clone())
        .collect()
}

fn selectors(expr: &Expr) -> Vec<&VectorSelector> {
    match expr {
        Expr::VectorSelector(it) => vec![it],
        Expr::MatrixSelector(it) => vec![&it.vs],
        _ => children(expr).into_iter().flat_map(selectors).collect(),
    }
}

fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(it) => vec![&it.expr],
        Expr::Unary(it) => vec![&it.expr],
        Expr::Binary(it) => vec![&it.lhs, &it.rhs],
        Expr::Paren(it) => vec![&it.expr],
        Expr::Subquery(it) => vec![&it.expr],
        Expr::Call(it) => it.args.args.iter().map(|it| &**it).collect(),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
}
