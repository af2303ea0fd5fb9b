//! A path as it is walked: made once of what the parser has read, with the types of RFC 9535 checked and the patterns
//! compiled.

use jsonpath_rust::parser::model::{
    Comparable, Comparison, Filter, FilterAtom, FnArg, Literal, Segment, Selector as Read, SingularQuery,
    SingularQuerySegment, Test, TestFunction,
};
use serde_json::Value;

use super::pattern::Pattern;

/// Steps from one node to others.
pub(super) type Steps = Vec<Step>;

/// One step of a path.
#[derive(Debug)]
pub(super) struct Step {
    /// Whether it starts from all nodes below as well: `..`.
    pub(super) descends: bool,
    pub(super) selectors: Vec<Selector>,
}

/// Which children are selected.
#[derive(Debug)]
pub(super) enum Selector {
    Name(String),
    Wildcard,
    /// From the end, if it is negative.
    Index(i64),
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    },
    Filter(Condition),
}

/// What a child has to be.
#[derive(Debug)]
pub(super) enum Condition {
    Any(Vec<Self>),
    All(Vec<Self>),
    Not(Box<Self>),
    Exists(Query),
    Compares(Operand, Operator, Operand),
    Matches(Operand, Pattern),
}

/// How two values compare. What is not here is one of these with its sides exchanged or negated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Less,
    LessOrEqual,
}

/// A value that is compared, or none.
#[derive(Debug)]
pub(super) enum Operand {
    Literal(Value),
    /// The node at which a query points, of which there is at most one, or the only one of several.
    Node(Query),
    Length(Box<Self>),
    Count(Query),
}

/// Steps in a filter.
#[derive(Debug)]
pub(super) struct Query {
    /// Whether they start at the root of the document, not at the child in question.
    pub(super) from_root: bool,
    pub(super) steps: Steps,
}

/// Steps as they were read.
///
/// # Errors
/// What is wrong with them, and what would be right.
pub(super) fn steps(segments: Vec<Segment>) -> Result<Steps, Wrong> {
    segments.into_iter().map(step).collect()
}

/// What is wrong with a path, and what would be right.
pub(super) type Wrong = (String, &'static str);

fn step(segment: Segment) -> Result<Step, Wrong> {
    let (descends, selectors) = match segment {
        Segment::Descendant(below) => {
            let Step { selectors, .. } = step(*below)?;
            return Ok(Step {
                descends: true,
                selectors,
            });
        }
        Segment::Selector(only) => (false, vec![only]),
        Segment::Selectors(several) => (false, several),
    };
    let selectors: Result<_, _> = selectors.into_iter().map(selector).collect();
    Ok(Step {
        descends,
        selectors: selectors?,
    })
}

fn selector(read: Read) -> Result<Selector, Wrong> {
    Ok(match read {
        Read::Name(name) => Selector::Name(name),
        Read::Wildcard => Selector::Wildcard,
        Read::Index(index) => Selector::Index(index),
        Read::Slice(start, end, step) => Selector::Slice {
            start,
            end,
            step: step.unwrap_or(1),
        },
        Read::Filter(filter) => Selector::Filter(condition(filter)?),
    })
}

fn condition(filter: Filter) -> Result<Condition, Wrong> {
    let several = |it: Vec<Filter>| it.into_iter().map(condition).collect::<Result<_, _>>();
    Ok(match filter {
        Filter::Or(filters) => Condition::Any(several(filters)?),
        Filter::And(filters) => Condition::All(several(filters)?),
        Filter::Atom(FilterAtom::Filter { expr, not }) => negated(condition(*expr)?, not),
        Filter::Atom(FilterAtom::Test { expr, not }) => negated(test(*expr)?, not),
        Filter::Atom(FilterAtom::Comparison(comparison)) => compares(*comparison)?,
    })
}

fn negated(condition: Condition, not: bool) -> Condition {
    if not {
        Condition::Not(Box::new(condition))
    } else {
        condition
    }
}

fn test(test: Test) -> Result<Condition, Wrong> {
    let function = match test {
        Test::RelQuery(segments) => return Ok(Condition::Exists(query(false, segments)?)),
        Test::AbsQuery(it) => return Ok(Condition::Exists(query(true, it.segments)?)),
        Test::Function(function) => *function,
    };
    match function {
        TestFunction::Match(text, pattern) => matches(text, pattern, true),
        TestFunction::Search(text, pattern) => matches(text, pattern, false),
        TestFunction::Length(_) | TestFunction::Count(_) | TestFunction::Value(_) => Err((
            format!("`{function}`, which is a value and no condition"),
            "a comparison, such as length(@.a) > 1",
        )),
        TestFunction::Custom(..) => Err(unknown(&function)),
    }
}

fn matches(text: FnArg, pattern: FnArg, whole: bool) -> Result<Condition, Wrong> {
    let text = argument(text)?;
    let FnArg::Literal(Literal::String(written)) = pattern else {
        return Err((
            format!("the pattern `{pattern}`, which the answer would have to tell"),
            "a pattern in quotes",
        ));
    };
    let pattern = Pattern::new(&written, whole).map_err(|why| {
        let expected = "a regular expression (RFC 9485) that takes at most 64 KiB of memory";
        (format!("the pattern '{written}' ({why})"), expected)
    })?;
    Ok(Condition::Matches(text, pattern))
}

fn compares(comparison: Comparison) -> Result<Condition, Wrong> {
    let (one, operator, other, not) = match comparison {
        Comparison::Eq(one, other) => (one, Operator::Equal, other, false),
        Comparison::Ne(one, other) => (one, Operator::Equal, other, true),
        Comparison::Lt(one, other) => (one, Operator::Less, other, false),
        Comparison::Gt(one, other) => (other, Operator::Less, one, false),
        Comparison::Lte(one, other) => (one, Operator::LessOrEqual, other, false),
        Comparison::Gte(one, other) => (other, Operator::LessOrEqual, one, false),
    };
    let condition = Condition::Compares(operand(one)?, operator, operand(other)?);
    Ok(negated(condition, not))
}

fn operand(comparable: Comparable) -> Result<Operand, Wrong> {
    Ok(match comparable {
        Comparable::Literal(it) => Operand::Literal(literal(it)),
        Comparable::Function(it) => value(it)?,
        Comparable::SingularQuery(it) => {
            let (from_root, segments) = match it {
                SingularQuery::Current(segments) => (false, segments),
                SingularQuery::Root(segments) => (true, segments),
            };
            let selectors = segments.into_iter().map(|it| match it {
                SingularQuerySegment::Index(index) => Selector::Index(index),
                SingularQuerySegment::Name(name) => Selector::Name(name),
            });
            let steps = selectors.map(|it| Step {
                descends: false,
                selectors: vec![it],
            });
            Operand::Node(Query {
                from_root,
                steps: steps.collect(),
            })
        }
    })
}

/// What a function is as a value.
fn value(function: TestFunction) -> Result<Operand, Wrong> {
    match function {
        TestFunction::Length(text) => Ok(Operand::Length(Box::new(argument(*text)?))),
        TestFunction::Count(nodes) => Ok(Operand::Count(nodes_of(nodes)?)),
        TestFunction::Value(nodes) => Ok(Operand::Node(nodes_of(nodes)?)),
        TestFunction::Match(..) | TestFunction::Search(..) => Err((
            format!("`{function}`, which is a condition and no value"),
            "it without a comparison",
        )),
        TestFunction::Custom(..) => Err(unknown(&function)),
    }
}

/// An argument that is one value.
fn argument(argument: FnArg) -> Result<Operand, Wrong> {
    match argument {
        FnArg::Literal(it) => Ok(Operand::Literal(literal(it))),
        FnArg::Test(test) => match *test {
            Test::Function(function) => value(*function),
            other => {
                let query = query_of(other)?;
                let is_one = |it: &Step| {
                    !it.descends
                        && matches!(it.selectors.as_slice(), [Selector::Name(_) | Selector::Index(_)])
                };
                if query.steps.iter().all(is_one) {
                    Ok(Operand::Node(query))
                } else {
                    let found = "an argument that may be several values";
                    Err((
                        String::from(found),
                        "names and numbers only, or value(…) around it",
                    ))
                }
            }
        },
        FnArg::Filter(it) => Err((format!("the condition `{it}` as an argument"), "a value")),
    }
}

/// An argument that may be several nodes.
fn nodes_of(argument: FnArg) -> Result<Query, Wrong> {
    match argument {
        FnArg::Test(test) => query_of(*test),
        other => Err((format!("`{other}` as an argument"), "a path, such as @.a")),
    }
}

fn query_of(test: Test) -> Result<Query, Wrong> {
    match test {
        Test::RelQuery(segments) => query(false, segments),
        Test::AbsQuery(it) => query(true, it.segments),
        Test::Function(it) => Err((format!("`{it}` as an argument"), "a path, such as @.a")),
    }
}

fn query(from_root: bool, segments: Vec<Segment>) -> Result<Query, Wrong> {
    let steps = steps(segments)?;
    Ok(Query { from_root, steps })
}

fn literal(literal: Literal) -> Value {
    match literal {
        Literal::Int(it) => it.into(),
        Literal::Float(it) => it.into(),
        Literal::String(it) => it.into(),
        Literal::Bool(it) => it.into(),
        Literal::Null => Value::Null,
    }
}

fn unknown(function: &TestFunction) -> Wrong {
    let expected = "one of length, count, value, match and search";
    (format!("the function `{function}`"), expected)
}
