//! Walks a document along a path, and counts its steps.
//!
//! A path or a document that somebody made for it can ask for more work than anybody waits for: a filter in a filter looks
//! at everything again for each thing that it looks at. So every node that is looked at and everything that is compared is
//! a step, and after so many of them the walk ends. It goes down one branch at a time and keeps no lists, so its memory is
//! bounded by the depth of the document.

use std::ops::ControlFlow;

use serde_json::Value;

use super::expression::{Condition, Operand, Operator, Query, Selector, Step};

/// How many steps a walk may have. An answer of a megabyte has at most half a million nodes.
pub(super) const MOST: u64 = 4_000_000;

/// How many bytes of a text are looked at within one step.
const BYTES: usize = 64;

/// Why a walk ends before it has been everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Whoever walks has seen enough.
    Enough,
    /// There are too many steps.
    TooMuch,
}

type Flow<T = ()> = ControlFlow<Stop, T>;

/// Where a walk is, below the root.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hop<'a> {
    Name(&'a str),
    Index(usize),
}

/// Called with each node that is found.
type Found<'a, 'f> = &'f mut dyn FnMut(&'a Value, &[Hop<'a>]) -> Flow;

/// A value that is compared: one of the document or of the path, or a number that was counted.
enum Compared<'v> {
    Nothing,
    There(&'v Value),
    Number(u64),
}

#[derive(Debug)]
pub(super) struct Walk<'a> {
    root: &'a Value,
    trail: Vec<Hop<'a>>,
    left: u64,
}

impl<'a> Walk<'a> {
    pub(super) const fn new(root: &'a Value) -> Self {
        Self {
            root,
            trail: Vec::new(),
            left: MOST,
        }
    }

    /// How many steps there were.
    #[cfg(test)]
    pub(super) const fn spent(&self) -> u64 {
        MOST.saturating_sub(self.left)
    }

    /// Goes from the root along these steps.
    pub(super) fn along(&mut self, steps: &'a [Step], found: Found<'a, '_>) -> Flow {
        self.go(steps, self.root, found)
    }

    fn go(&mut self, steps: &'a [Step], at: &'a Value, found: Found<'a, '_>) -> Flow {
        let Some((step, rest)) = steps.split_first() else {
            return found(at, &self.trail);
        };
        if step.descends {
            self.descend(step, rest, at, found)
        } else {
            self.select(step, rest, at, found)
        }
    }

    fn descend(&mut self, step: &'a Step, rest: &'a [Step], at: &'a Value, found: Found<'a, '_>) -> Flow {
        self.select(step, rest, at, found)?;
        self.children(at, |walk, child| walk.descend(step, rest, child, found))
    }

    fn select(&mut self, step: &'a Step, rest: &'a [Step], at: &'a Value, found: Found<'a, '_>) -> Flow {
        for selector in &step.selectors {
            self.spend(1)?;
            match (selector, at) {
                (Selector::Name(name), Value::Object(members)) => {
                    self.spend(price(name))?;
                    if let Some((name, child)) = members.get_key_value(name) {
                        self.hop(Hop::Name(name), |walk| walk.go(rest, child, found))?;
                    }
                }
                (Selector::Index(index), Value::Array(items)) => {
                    if let Some(index) = from_either_end(*index, items.len())
                        && let Some(child) = items.get(index)
                    {
                        self.hop(Hop::Index(index), |walk| walk.go(rest, child, found))?;
                    }
                }
                (Selector::Slice { start, end, step }, Value::Array(items)) => {
                    for index in slice(*start, *end, *step, items.len()) {
                        self.spend(1)?;
                        if let Some(child) = items.get(index) {
                            self.hop(Hop::Index(index), |walk| walk.go(rest, child, found))?;
                        }
                    }
                }
                (Selector::Wildcard, _) => {
                    self.children(at, |walk, child| walk.go(rest, child, found))?;
                }
                (Selector::Filter(condition), _) => self.children(at, |walk, child| {
                    if walk.holds(condition, child)? {
                        walk.go(rest, child, found)
                    } else {
                        Flow::Continue(())
                    }
                })?,
                (Selector::Name(_) | Selector::Index(_) | Selector::Slice { .. }, _) => {}
            }
        }
        Flow::Continue(())
    }

    /// Goes to each child, one after the other.
    fn children(&mut self, at: &'a Value, mut go: impl FnMut(&mut Self, &'a Value) -> Flow) -> Flow {
        match at {
            Value::Array(items) => {
                for (index, child) in items.iter().enumerate() {
                    self.spend(1)?;
                    self.hop(Hop::Index(index), |walk| go(walk, child))?;
                }
            }
            Value::Object(members) => {
                for (name, child) in members {
                    self.spend(1)?;
                    self.hop(Hop::Name(name), |walk| go(walk, child))?;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Flow::Continue(())
    }

    fn hop(&mut self, hop: Hop<'a>, go: impl FnOnce(&mut Self) -> Flow) -> Flow {
        self.trail.push(hop);
        let flow = go(self);
        self.trail.pop();
        flow
    }

    fn holds(&mut self, condition: &'a Condition, at: &'a Value) -> Flow<bool> {
        self.spend(1)?;
        match condition {
            Condition::Any(conditions) => {
                for condition in conditions {
                    if self.holds(condition, at)? {
                        return Flow::Continue(true);
                    }
                }
                Flow::Continue(false)
            }
            Condition::All(conditions) => {
                for condition in conditions {
                    if !self.holds(condition, at)? {
                        return Flow::Continue(false);
                    }
                }
                Flow::Continue(true)
            }
            Condition::Not(condition) => Flow::Continue(!self.holds(condition, at)?),
            Condition::Exists(query) => {
                let mut exists = false;
                self.query(query, at, &mut |_| {
                    exists = true;
                    Flow::Break(Stop::Enough)
                })?;
                Flow::Continue(exists)
            }
            Condition::Compares(one, operator, other) => {
                let (one, other) = (self.value(one, at)?, self.value(other, at)?);
                self.compares(&one, *operator, &other)
            }
            Condition::Matches(text, pattern) => {
                let Compared::There(Value::String(text)) = self.value(text, at)? else {
                    return Flow::Continue(false);
                };
                self.spend(pattern.price(text))?;
                Flow::Continue(pattern.is_in(text))
            }
        }
    }

    /// Calls `found` with the nodes at which a query points, until it has seen enough.
    fn query(&mut self, query: &'a Query, at: &'a Value, found: &mut dyn FnMut(&'a Value) -> Flow) -> Flow {
        let from = if query.from_root { self.root } else { at };
        match self.go(&query.steps, from, &mut |node, _| found(node)) {
            Flow::Break(Stop::TooMuch) => Flow::Break(Stop::TooMuch),
            Flow::Break(Stop::Enough) | Flow::Continue(()) => Flow::Continue(()),
        }
    }

    fn value(&mut self, operand: &'a Operand, at: &'a Value) -> Flow<Compared<'a>> {
        Flow::Continue(match operand {
            Operand::Literal(value) => Compared::There(value),
            Operand::Node(query) => {
                let (mut only, mut several) = (None, false);
                self.query(query, at, &mut |node| {
                    several = only.is_some();
                    only = Some(node);
                    if several {
                        Flow::Break(Stop::Enough)
                    } else {
                        Flow::Continue(())
                    }
                })?;
                match only.filter(|_| !several) {
                    Some(node) => Compared::There(node),
                    None => Compared::Nothing,
                }
            }
            Operand::Length(of) => match self.value(of, at)? {
                Compared::There(Value::String(text)) => {
                    self.spend(price(text))?;
                    Compared::count(text.chars().count())
                }
                Compared::There(Value::Array(items)) => Compared::count(items.len()),
                Compared::There(Value::Object(members)) => Compared::count(members.len()),
                Compared::There(_) | Compared::Number(_) | Compared::Nothing => Compared::Nothing,
            },
            Operand::Count(query) => {
                let mut count = 0_usize;
                self.query(query, at, &mut |_| {
                    count = count.saturating_add(1);
                    Flow::Continue(())
                })?;
                Compared::count(count)
            }
        })
    }

    fn compares(&mut self, one: &Compared<'_>, operator: Operator, other: &Compared<'_>) -> Flow<bool> {
        let less = match operator {
            Operator::Equal => false,
            Operator::Less | Operator::LessOrEqual => self.is_less(one, other)?,
        };
        match operator {
            Operator::Less => Flow::Continue(less),
            Operator::Equal | Operator::LessOrEqual if less => Flow::Continue(true),
            Operator::Equal | Operator::LessOrEqual => self.is_equal(one, other),
        }
    }

    fn is_less(&mut self, one: &Compared<'_>, other: &Compared<'_>) -> Flow<bool> {
        if let (Compared::There(Value::String(one)), Compared::There(Value::String(other))) = (one, other) {
            self.spend(price(one))?;
            return Flow::Continue(one < other);
        }
        let less = match (one.number(), other.number()) {
            (Some(one), Some(other)) => one.is_less(other),
            _ => false,
        };
        Flow::Continue(less)
    }

    fn is_equal(&mut self, one: &Compared<'_>, other: &Compared<'_>) -> Flow<bool> {
        match (one, other) {
            (Compared::There(one), Compared::There(other)) => self.are_equal(one, other),
            (Compared::Nothing, Compared::Nothing) => Flow::Continue(true),
            (Compared::Nothing, _) | (_, Compared::Nothing) => Flow::Continue(false),
            (one, other) => Flow::Continue(match (one.number(), other.number()) {
                (Some(one), Some(other)) => one.is_equal(other),
                _ => false,
            }),
        }
    }

    /// Whether two values are the same, numbers by what they are and not by how they are written.
    fn are_equal(&mut self, one: &Value, other: &Value) -> Flow<bool> {
        self.spend(1)?;
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => {
                Flow::Continue(Number::of(one).is_equal(Number::of(other)))
            }
            (Value::String(one), Value::String(other)) => {
                self.spend(price(one))?;
                Flow::Continue(one == other)
            }
            (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
                for (one, other) in one.iter().zip(other) {
                    if !self.are_equal(one, other)? {
                        return Flow::Continue(false);
                    }
                }
                Flow::Continue(true)
            }
            (Value::Object(one), Value::Object(other)) if one.len() == other.len() => {
                for (name, one) in one {
                    self.spend(price(name))?;
                    let Some(other) = other.get(name) else {
                        return Flow::Continue(false);
                    };
                    if !self.are_equal(one, other)? {
                        return Flow::Continue(false);
                    }
                }
                Flow::Continue(true)
            }
            (Value::Null, Value::Null) => Flow::Continue(true),
            (Value::Bool(one), Value::Bool(other)) => Flow::Continue(one == other),
            _ => Flow::Continue(false),
        }
    }

    fn spend(&mut self, steps: u64) -> Flow {
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Flow::Continue(())
            }
            None => Flow::Break(Stop::TooMuch),
        }
    }
}

impl Compared<'_> {
    fn count(count: usize) -> Self {
        Self::Number(u64::try_from(count).unwrap_or(u64::MAX))
    }

    fn number(&self) -> Option<Number> {
        match self {
            Self::There(Value::Number(it)) => Some(Number::of(it)),
            Self::Number(it) => Some(Number::Whole(i128::from(*it))),
            Self::There(_) | Self::Nothing => None,
        }
    }
}

/// A number of a document, which has whole numbers that no double has.
#[derive(Clone, Copy, Debug)]
enum Number {
    Whole(i128),
    Double(f64),
}

impl Number {
    fn of(number: &serde_json::Number) -> Self {
        let whole = number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from));
        whole.map_or_else(|| Self::Double(number.as_f64().unwrap_or(f64::NAN)), Self::Whole)
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "the other one is a double, and knows no better"
    )]
    const fn double(self) -> f64 {
        match self {
            Self::Whole(it) => it as f64,
            Self::Double(it) => it,
        }
    }

    fn is_less(self, other: Self) -> bool {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one < other,
            (one, other) => one.double() < other.double(),
        }
    }

    #[allow(clippy::float_cmp, reason = "RFC 9535 compares numbers by their value")]
    fn is_equal(self, other: Self) -> bool {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one == other,
            (one, other) => one.double() == other.double(),
        }
    }
}

/// What it costs to look at a text.
fn price(text: &str) -> u64 {
    u64::try_from(text.len() / BYTES).unwrap_or(u64::MAX)
}

/// The place in a list of that length that an index means.
fn from_either_end(index: i64, length: usize) -> Option<usize> {
    if index < 0 {
        length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    } else {
        usize::try_from(index).ok()
    }
}

/// The places of a slice, by section 2.3.4.2.2 of RFC 9535.
fn slice(start: Option<i64>, end: Option<i64>, step: i64, length: usize) -> impl Iterator<Item = usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let normal = |it: i64| if it < 0 { length.saturating_add(it) } else { it };
    let forwards = step > 0;
    let (first, last) = if forwards {
        let first = normal(start.unwrap_or(0)).clamp(0, length);
        (first, normal(end.unwrap_or(length)).clamp(0, length))
    } else {
        let first = normal(start.unwrap_or(length.saturating_sub(1))).clamp(-1, length.saturating_sub(1));
        let last = end.map_or(-1, normal).clamp(-1, length.saturating_sub(1));
        (first, last)
    };
    let within = move |it: &i64| if forwards { *it < last } else { *it > last };
    std::iter::successors(Some(first), move |it| it.checked_add(step))
        .take_while(move |it| step != 0 && within(it))
        .filter_map(|it| usize::try_from(it).ok())
}
