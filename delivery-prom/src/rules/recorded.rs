//! What expressions are found to do through the recorded series that they read, directly or through others.
//!
//! Everything is found once for each recorded name and handed on to the names that read it, so that the work grows with the
//! size of the rules, however many share a name or form chains and circles.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use promql_parser::parser::Expr;

use super::expression::{longest_range, metrics, sums_everything, unguarded_traffic};
use super::file::Recording;

/// What is found in an expression and in all that it reads.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts<'a> {
    /// The longest time that is looked back over.
    pub(super) range: Duration,
    /// An aggregation of all services into one number.
    pub(super) everything: Option<&'a Expr>,
    /// The traffic that something is divided by, where nobody says what that means without traffic.
    pub(super) traffic: Option<&'a Expr>,
}

impl<'a> Facts<'a> {
    fn of(expr: &'a Expr, watched: &BTreeSet<String>) -> Self {
        Self {
            range: longest_range(expr),
            everything: sums_everything(expr),
            traffic: unguarded_traffic(expr, watched),
        }
    }

    /// What is nearer goes first.
    fn and(self, other: Self) -> Self {
        Self {
            range: self.range.max(other.range),
            everything: self.everything.or(other.everything),
            traffic: self.traffic.or(other.traffic),
        }
    }
}

/// The facts of each recorded name.
#[derive(Debug)]
pub(super) struct Recorded<'a> {
    places: BTreeMap<&'a str, usize>,
    facts: Vec<Facts<'a>>,
}

impl<'a> Recorded<'a> {
    pub(super) fn new(rules: &'a [Recording], watched: &BTreeSet<String>) -> Self {
        let mut places = BTreeMap::new();
        for rule in rules {
            let next = places.len();
            places.entry(rule.name.as_str()).or_insert(next);
        }
        let mut facts = vec![Facts::default(); places.len()];
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); places.len()];
        for rule in rules {
            let Some(own) = places.get(rule.name.as_str()).copied() else {
                continue;
            };
            if let Some(facts) = facts.get_mut(own) {
                *facts = facts.and(Facts::of(&rule.expr, watched));
            }
            for name in metrics(&rule.expr) {
                let read = places.get(name.as_str()).and_then(|it| readers.get_mut(*it));
                if let Some(readers) = read {
                    readers.push(own);
                }
            }
        }
        let ranges: Vec<Duration> = facts.iter().map(|it| it.range).collect();
        let mut order: Vec<usize> = (0..facts.len()).collect();
        // The longest goes first, so that whoever has one has the longest.
        order.sort_by_key(|it| std::cmp::Reverse(ranges.get(*it).copied()));
        let found = |of: &dyn Fn(&Facts<'a>) -> bool| -> Vec<usize> {
            let places = facts.iter().enumerate();
            places.filter(|it| of(it.1)).map(|it| it.0).collect()
        };
        let everything = nearest(&found(&|it| it.everything.is_some()), &readers);
        let traffic = nearest(&found(&|it| it.traffic.is_some()), &readers);
        let mut longest = vec![None; facts.len()];
        for start in order {
            hand_on([start].into(), &readers, &mut longest);
        }
        let own = facts.clone();
        for (at, facts) in facts.iter_mut().enumerate() {
            let of = |source: &[Option<usize>]| {
                let source = source.get(at).copied().flatten()?;
                own.get(source).copied()
            };
            facts.range = of(&longest).map_or(facts.range, |it| it.range);
            facts.everything = of(&everything).and_then(|it| it.everything);
            facts.traffic = of(&traffic).and_then(|it| it.traffic);
        }
        Self { places, facts }
    }

    /// The facts of an expression.
    pub(super) fn facts<'b>(&self, expr: &'b Expr, watched: &BTreeSet<String>) -> Facts<'b>
    where
        'a: 'b,
    {
        let read = metrics(expr);
        let read = read
            .iter()
            .filter_map(|it| self.facts.get(*self.places.get(it.as_str())?).copied());
        read.fold(Facts::of(expr, watched), Facts::and)
    }
}

/// For each place the nearest of the sources that it reads, through any number of others.
fn nearest(sources: &[usize], readers: &[Vec<usize>]) -> Vec<Option<usize>> {
    let mut source = vec![None; readers.len()];
    hand_on(sources.to_vec(), readers, &mut source);
    source
}

/// Hands each source on to those who read it and have none.
fn hand_on(sources: Vec<usize>, readers: &[Vec<usize>], source: &mut [Option<usize>]) {
    let mut reached = Vec::new();
    for own in sources {
        if let Some(place @ None) = source.get_mut(own) {
            *place = Some(own);
            reached.push(own);
        }
    }
    let mut next = 0;
    while let Some(at) = reached.get(next).copied() {
        next += 1;
        let from = source.get(at).copied().flatten();
        for reader in readers.get(at).into_iter().flatten() {
            if let Some(place @ None) = source.get_mut(*reader) {
                *place = from;
                reached.push(*reader);
            }
        }
    }
}
