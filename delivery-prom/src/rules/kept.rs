//! Which labels the result of an expression can have.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use promql_parser::label::{Labels, MatchOp};
use promql_parser::parser::token::{self, T_COUNT_VALUES, T_LAND, T_LOR, T_LUNLESS};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector,
};

use super::file::Recording;

/// No series has as many labels. What could have more is taken to have any, so that the work for each expression has a
/// bound however many rules record under one name.
const MOST: usize = 128;

/// Label names, from what is certain: a label that is not in here is never in the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// At most these.
    Only(BTreeSet<String>),
    /// Any but these.
    AllBut(BTreeSet<String>),
}

impl Kept {
    const NOTHING: Self = Self::Only(BTreeSet::new());
    const ANYTHING: Self = Self::AllBut(BTreeSet::new());

    pub(super) fn has(&self, label: &str) -> bool {
        match self {
            Self::Only(names) => names.contains(label),
            Self::AllBut(names) => !names.contains(label),
        }
    }

    /// Whether there is no label that could tell one service from another.
    pub(super) fn tells_nothing(&self) -> bool {
        matches!(self, Self::Only(names) if names.iter().all(|it| it == "__name__"))
    }

    fn with(mut self, label: &str) -> Self {
        match &mut self {
            Self::Only(names) => names.insert(label.into()),
            Self::AllBut(names) => names.remove(label),
        };
        self
    }

    fn without(mut self, label: &str) -> Self {
        match &mut self {
            Self::Only(names) => names.remove(label),
            Self::AllBut(names) => names.insert(label.into()),
        };
        self
    }

    fn bounded(self) -> Self {
        match &self {
            Self::Only(names) | Self::AllBut(names) if names.len() > MOST => Self::ANYTHING,
            Self::Only(_) | Self::AllBut(_) => self,
        }
    }

    fn minus(self, labels: &Labels) -> Self {
        labels.labels.iter().fold(self, |kept, it| kept.without(it))
    }

    fn among(&self, labels: &Labels) -> Self {
        Self::Only(labels.labels.iter().filter(|it| self.has(it)).cloned().collect())
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(a), Self::Only(b)) => Self::Only(&a | &b),
            (Self::AllBut(a), Self::AllBut(b)) => Self::AllBut(&a & &b),
            (Self::Only(some), Self::AllBut(none)) | (Self::AllBut(none), Self::Only(some)) => {
                Self::AllBut(&none - &some)
            }
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(a), Self::Only(b)) => Self::Only(&a & &b),
            (Self::AllBut(a), Self::AllBut(b)) => Self::AllBut(&a | &b),
            (Self::Only(some), Self::AllBut(none)) | (Self::AllBut(none), Self::Only(some)) => {
                Self::Only(&some - &none)
            }
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = |names: &BTreeSet<String>| {
            names
                .iter()
                .map(|it| format!("`{it}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        match self {
            Self::Only(names) if names.is_empty() => f.write_str("keeps no label"),
            Self::Only(names) => write!(f, "keeps only {}", written(names)),
            Self::AllBut(names) => write!(f, "drops {}", written(names)),
        }
    }
}

/// What recording rules of the same file make of labels.
#[derive(Debug, Default)]
pub(super) struct Records(BTreeMap<String, Kept>);

impl Records {
    pub(super) fn new(rules: &[Recording]) -> Self {
        let mut records = Self::default();
        for rule in rules {
            let kept = rule
                .labels
                .iter()
                .fold(records.kept(&rule.expr).with("__name__"), |kept, it| {
                    kept.with(&it.name)
                });
            let before = records.0.entry(rule.name.clone()).or_insert(Kept::NOTHING);
            *before = std::mem::replace(before, Kept::NOTHING).or(kept).bounded();
        }
        records
    }

    /// The labels that the result of an expression can have.
    pub(super) fn kept(&self, expr: &Expr) -> Kept {
        match expr {
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Kept::NOTHING,
            Expr::VectorSelector(it) => self.selected(it),
            Expr::MatrixSelector(it) => self.selected(&it.vs),
            Expr::Paren(it) => self.kept(&it.expr),
            Expr::Subquery(it) => self.kept(&it.expr),
            Expr::Unary(it) => self.kept(&it.expr).without("__name__"),
            Expr::Aggregate(it) => self.aggregated(it),
            Expr::Binary(it) => self.combined(it),
            Expr::Call(it) => self.called(it),
            Expr::Extension(_) => Kept::ANYTHING,
        }
    }

    fn selected(&self, selector: &VectorSelector) -> Kept {
        let name = selector.name.as_deref().or_else(|| equal(selector, "__name__"));
        let known = name
            .and_then(|it| self.0.get(it))
            .cloned()
            .unwrap_or(Kept::ANYTHING);
        if !selector.matchers.or_matchers.is_empty() {
            return known;
        }
        selector
            .matchers
            .matchers
            .iter()
            .filter(|it| matches!(it.op, MatchOp::Equal) && it.value.is_empty())
            .fold(known, |kept, it| kept.without(&it.name))
    }

    fn aggregated(&self, aggregate: &AggregateExpr) -> Kept {
        let inner = self.kept(&aggregate.expr);
        if selects(aggregate) {
            return inner;
        }
        let grouped = match &aggregate.modifier {
            None => Kept::NOTHING,
            Some(LabelModifier::Include(labels)) => inner.among(labels),
            Some(LabelModifier::Exclude(labels)) => inner.minus(labels).without("__name__"),
        };
        match (aggregate.op.id(), aggregate.param.as_deref()) {
            (T_COUNT_VALUES, Some(Expr::StringLiteral(label))) => grouped.with(&label.val),
            _ => grouped,
        }
    }

    fn combined(&self, binary: &BinaryExpr) -> Kept {
        let (left, right) = (self.kept(&binary.lhs), self.kept(&binary.rhs));
        let named = binary.op.is_comparison_operator() && !binary.return_bool();
        let unnamed = |kept: Kept| if named { kept } else { kept.without("__name__") };
        match binary.op.id() {
            T_LAND | T_LUNLESS => return left,
            T_LOR => return left.or(right),
            _ => {}
        }
        match (is_scalar(&binary.lhs), is_scalar(&binary.rhs)) {
            (true, true) => return Kept::NOTHING,
            (true, false) => return unnamed(right),
            (false, true) => return unnamed(left),
            (false, false) => {}
        }
        let Some(modifier) = &binary.modifier else {
            return matched_on_all(left, right, named);
        };
        let many = |many: Kept, one: &Kept, taken: &Labels| {
            taken.labels.iter().fold(unnamed(many), |kept, it| {
                if one.has(it) {
                    kept.with(it)
                } else {
                    kept.without(it)
                }
            })
        };
        match &modifier.card {
            VectorMatchCardinality::ManyToOne(taken) => many(left, &right, taken),
            VectorMatchCardinality::OneToMany(taken) => many(right, &left, taken),
            VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => match &modifier.matching
            {
                None => matched_on_all(left, right, named),
                Some(LabelModifier::Include(labels)) => left.among(labels),
                Some(LabelModifier::Exclude(labels)) => {
                    matched_on_all(left.minus(labels), right.minus(labels), named)
                }
            },
        }
    }

    fn called(&self, call: &Call) -> Kept {
        let argument = |at: usize| call.args.args.get(at).map(|it| &**it);
        let inner = || {
            let vector = call
                .args
                .args
                .iter()
                .find(|it| !is_scalar(it) && it.value_type() != ValueType::String);
            vector.map_or(Kept::NOTHING, |it| self.kept(it))
        };
        match call.func.name {
            "scalar" | "time" | "vector" | "pi" => Kept::NOTHING,
            "absent" | "absent_over_time" => absent(argument(0)),
            "label_replace" | "label_join" => match argument(1) {
                Some(Expr::StringLiteral(label)) => inner().with(&label.val),
                _ => Kept::ANYTHING,
            },
            "histogram_quantile" | "histogram_fraction" => inner().without("le").without("__name__"),
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" | "last_over_time"
            | "first_over_time" => inner(),
            "info" => Kept::ANYTHING,
            _ => inner().without("__name__"),
        }
    }
}

/// Whether an aggregation takes some of its elements as they are.
fn selects(aggregate: &AggregateExpr) -> bool {
    [
        token::T_TOPK,
        token::T_BOTTOMK,
        token::T_LIMITK,
        token::T_LIMIT_RATIO,
    ]
    .contains(&aggregate.op.id())
}

pub(super) fn is_scalar(expr: &Expr) -> bool {
    expr.value_type() == ValueType::Scalar
}

/// Elements of both sides pair up when all their labels are equal, so a label that one side cannot have is in no pair.
fn matched_on_all(left: Kept, right: Kept, named: bool) -> Kept {
    let name = named && left.has("__name__");
    let both = left.and(right);
    if name {
        both.with("__name__")
    } else {
        both.without("__name__")
    }
}

/// `absent` makes its element's labels of the selector's equalities.
fn absent(argument: Option<&Expr>) -> Kept {
    let selector = match argument {
        Some(Expr::VectorSelector(it)) => it,
        Some(Expr::MatrixSelector(it)) => &it.vs,
        _ => return Kept::NOTHING,
    };
    let equal = selector
        .matchers
        .matchers
        .iter()
        .filter(|it| matches!(it.op, MatchOp::Equal));
    Kept::Only(
        equal
            .map(|it| it.name.clone())
            .filter(|it| it != "__name__")
            .collect(),
    )
}

fn equal<'a>(selector: &'a VectorSelector, label: &str) -> Option<&'a str> {
    let found = selector
        .matchers
        .matchers
        .iter()
        .find(|it| matches!(it.op, MatchOp::Equal) && it.name == label);
    found.map(|it| it.value.as_str())
}
