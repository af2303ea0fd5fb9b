//! Counts from counters: how much was counted within a window, exactly.
//!
//! `rate` and `increase` extrapolate, so that 3 requests become 3.43. What is needed here are whole numbers: the sum of
//! what each counter rose by between two neighbouring samples within the window. One query brings them, the raw samples of
//! the window (`requests_total{…}[1m]`), and everything else is a pure function of these:
//!
//! - Only samples within the window count, and only what was counted between two of them. What was counted before the
//!   first scrape in the window, or after the last, belongs to other windows.
//! - A counter that fell was started anew, and has counted from 0 since; and so have the others of its process, also one
//!   that has overtaken itself meanwhile.
//! - A series that appears while its process was scraped before (the first request that fails) has counted from 0. One that
//!   appears together with its process has counted for nobody knows how long, and is taken up from there.
//!
//! Which series belong to one process is told by labels, `job` and `instance` by default.

use std::collections::{BTreeMap, BTreeSet};

use delivery_core::Timestamp;
use delivery_core::analysis::{Histogram, Nothing, Tally, Window};

use crate::reply::{Data, NoReply, Reply, Track};

/// Labels by name.
type LabelMap = BTreeMap<String, String>;

/// A counter's samples within a window, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counter {
    labels: LabelMap,
    samples: Vec<(Timestamp, u64)>,
}

/// How much counters rose within a window, by their labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rises(BTreeMap<LabelMap, u64>);

/// The counters of a reply to a query for raw samples.
///
/// # Errors
/// [`Nothing::NoData`] without a series, [`Nothing::Unusable`] for what is no counter.
pub(crate) fn read(reply: &Reply<'_>, window: Window) -> Result<Vec<Counter>, Nothing> {
    let tracks = match &reply.data {
        Data::Matrix(tracks) => tracks,
        Data::Vector(_) | Data::Scalar(_) | Data::Text(_) | Data::Streams => {
            return Err(Nothing::Unusable(
                "the query returns no range vector of a counter".into(),
            ));
        }
    };
    let counters: Vec<Counter> = tracks
        .iter()
        .map(|it| counter(it, window))
        .collect::<Result<_, _>>()?;
    if counters.iter().all(|it| it.samples.is_empty()) {
        return Err(Nothing::NoData);
    }
    Ok(counters)
}

fn counter(track: &Track<'_>, window: Window) -> Result<Counter, Nothing> {
    let unusable = |what: String| {
        let labels = crate::error::shortened(&track.labels.to_string(), 120);
        Err(Nothing::Unusable(format!("{labels} {what}")))
    };
    if track.histograms {
        return unusable("is a native histogram (ask for classic buckets)".into());
    }
    let (mut samples, mut wrong) = (Vec::new(), None);
    let read = track.for_each(|point| {
        if point.at < window.from || point.at > window.to {
            return;
        }
        match count(point.value) {
            Some(count) => samples.push((point.at, count)),
            None => wrong = Some(point.value),
        }
    });
    if let Err(NoReply::Unreadable(error)) = read {
        return unusable(format!("cannot be read: {error}"));
    }
    if let Some(value) = wrong {
        return unusable(format!("is {value}, which is no count"));
    }
    Ok(Counter {
        labels: track.labels.map(),
        samples,
    })
}

/// A whole number of at most 2^53, up to which a float counts exactly.
fn count(value: f64) -> Option<u64> {
    const MOST: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a whole number in the range"
    )]
    ((0.0..=MOST).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

/// The newest sample of all.
pub(crate) fn newest(counters: &[Counter]) -> Option<Timestamp> {
    let last = |it: &Counter| it.samples.last().map(|(at, _)| *at);
    counters.iter().filter_map(last).max()
}

/// How much each counter rose.
///
/// # Errors
/// [`Nothing::NoData`] without a sample, [`Nothing::TooFewScrapes`] when no process was scraped twice within the window.
pub(crate) fn rises(counters: &[Counter], process: &[String]) -> Result<Rises, Nothing> {
    let mut processes: BTreeMap<_, Vec<&Counter>> = BTreeMap::new();
    for counter in counters {
        let label = |it: &String| counter.labels.get(it).map(String::as_str);
        let known: Vec<Option<&str>> = process.iter().map(label).collect();
        // A series that tells nothing of its process is one for itself.
        let alone = known.iter().all(Option::is_none).then_some(&counter.labels);
        processes.entry((known, alone)).or_default().push(counter);
    }
    let mut rises = Rises::default();
    let mut known = false;
    for counters in processes.values() {
        known |= process_rises(counters, &mut rises);
    }
    if known {
        return Ok(rises);
    }
    let seen = counters.iter().any(|counter| !counter.samples.is_empty());
    Err(if seen {
        Nothing::TooFewScrapes { seen: 1, needed: 2 }
    } else {
        Nothing::NoData
    })
}

/// The counters of one process; whether it was scraped twice.
fn process_rises(counters: &[&Counter], rises: &mut Rises) -> bool {
    let scrapes: BTreeSet<Timestamp> = counters
        .iter()
        .flat_map(|it| it.samples.iter().map(|(at, _)| *at))
        .collect();
    let mut all: Vec<Followed<'_>> = counters.iter().map(|it| Followed::new(it)).collect();
    for (number, scrape) in scrapes.iter().enumerate() {
        for counter in &mut all {
            counter.go_to(*scrape);
        }
        if number == 0 {
            for counter in &mut all {
                counter.last = counter.now;
            }
            continue;
        }
        let restarted = all.iter().filter(|it| it.fell()).filter_map(|it| it.now).max();
        for counter in &mut all {
            counter.rise(restarted);
        }
    }
    for Followed { counter, risen, .. } in all {
        let sum = rises.0.entry(counter.labels.clone()).or_default();
        *sum = sum.saturating_add(risen);
    }
    scrapes.len() > 1
}

/// A counter, from scrape to scrape.
struct Followed<'a> {
    counter: &'a Counter,
    left: &'a [(Timestamp, u64)],
    /// What it was when it was last seen.
    last: Option<u64>,
    /// What the present scrape found, if anything.
    now: Option<u64>,
    risen: u64,
}

impl<'a> Followed<'a> {
    fn new(counter: &'a Counter) -> Self {
        Self {
            counter,
            left: &counter.samples,
            last: None,
            now: None,
            risen: 0,
        }
    }

    fn go_to(&mut self, scrape: Timestamp) {
        self.now = None;
        if let [(at, count), left @ ..] = self.left
            && *at == scrape
        {
            (self.now, self.left) = (Some(*count), left);
        }
    }

    fn fell(&self) -> bool {
        matches!((self.last, self.now), (Some(last), Some(now)) if now < last)
    }

    /// Counts what it rose by. Of a process that was started anew, the counters that fell tell how much it may have counted
    /// since: one that did not fall has overtaken itself if it counted no more than they did.
    fn rise(&mut self, restarted: Option<u64>) {
        let Some(now) = self.now else {
            if restarted.is_some() {
                self.last = Some(0);
            }
            return;
        };
        let anew = self.fell() || restarted.is_some_and(|most| now <= most);
        let before = self.last.filter(|_| !anew).unwrap_or(0);
        self.risen = self.risen.saturating_add(now.saturating_sub(before));
        self.last = Some(now);
    }
}

/// Which requests are picked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Picked {
    /// Those that failed.
    Failed,
    /// Those that did not.
    Good,
}

/// Requests, from the counters of all and of some of them, read together.
///
/// # Errors
/// [`Nothing::NoData`] without a request, [`Nothing::Unusable`] with more failed or good ones than there are.
pub(crate) fn tally(
    all: &[Counter],
    some: &[Counter],
    picked: Picked,
    process: &[String],
) -> Result<Tally, Nothing> {
    // The two came in two answers. Where both have a series, that of all counts; scrapes that only the later answer
    // knows are left out.
    let scrapes: BTreeSet<Timestamp> = all
        .iter()
        .flat_map(|it| it.samples.iter().map(|(at, _)| *at))
        .collect();
    let known: BTreeSet<&LabelMap> = all.iter().map(|it| &it.labels).collect();
    let others = some
        .iter()
        .filter(|it| !known.contains(&it.labels))
        .map(|it| Counter {
            labels: it.labels.clone(),
            samples: it
                .samples
                .iter()
                .filter(|(at, _)| scrapes.contains(at))
                .copied()
                .collect(),
        });
    let together: Vec<Counter> = all.iter().cloned().chain(others).collect();
    let Rises(rises) = rises(&together, process)?;
    let sum = |wanted: &BTreeSet<&LabelMap>| {
        rises
            .iter()
            .filter(|(labels, _)| wanted.contains(labels))
            .fold(0_u64, |sum, (_, rise)| sum.saturating_add(*rise))
    };
    let total = sum(&known);
    let some = sum(&some.iter().map(|it| &it.labels).collect());
    if total == 0 {
        return Err(Nothing::NoData);
    }
    let errors = match picked {
        Picked::Failed => Some(some).filter(|it| *it <= total),
        Picked::Good => total.checked_sub(some),
    };
    let more = || {
        let what = if picked == Picked::Failed {
            "failed"
        } else {
            "good"
        };
        Nothing::Unusable(format!("{some} {what} requests of {total}"))
    };
    Ok(Tally {
        total,
        errors: errors.ok_or_else(more)?,
    })
}

/// A histogram, from the counters of its buckets; `scale` makes the wanted unit of their bounds.
///
/// # Errors
/// [`Nothing::NoData`] without a request, [`Nothing::Unusable`] for what are no buckets.
pub(crate) fn histogram(buckets: &[Counter], scale: f64, process: &[String]) -> Result<Histogram, Nothing> {
    let Rises(rises) = rises(buckets, process)?;
    let mut sums: Vec<(f64, u64)> = Vec::new();
    for (labels, rise) in rises {
        let bound = bound(&labels)?;
        match sums.iter_mut().find(|(it, _)| it.total_cmp(&bound).is_eq()) {
            Some((_, sum)) => *sum = sum.saturating_add(rise),
            None => sums.push((bound, rise)),
        }
    }
    let scaled = sums.into_iter().map(|(bound, count)| (bound * scale, count));
    let histogram = Histogram::new(scaled.collect())?;
    if histogram.total() == 0 {
        return Err(Nothing::NoData);
    }
    Ok(histogram)
}

fn bound(labels: &LabelMap) -> Result<f64, Nothing> {
    let unusable = |why: String| Nothing::Unusable(why);
    let bound = labels
        .get("le")
        .ok_or_else(|| unusable("a series without the label `le` is no bucket".into()))?;
    bound
        .parse()
        .map_err(|_| unusable(format!("le={bound:?} is no bound of a bucket")))
}

/// Requests, of which those that were slower than a bound of the histogram count as failed.
///
/// # Errors
/// [`Nothing::Unusable`] for a number that is no bound, with those that are nearest.
pub(crate) fn slower(histogram: &Histogram, than: f64) -> Result<Tally, Nothing> {
    let buckets = histogram.buckets();
    let same = |bound: f64| (bound - than).abs() <= than.abs() * 1e-9;
    let total = histogram.total();
    if let Some((_, fast)) = buckets.iter().find(|(bound, _)| same(*bound)) {
        return Ok(Tally {
            total,
            errors: total.saturating_sub(*fast),
        });
    }
    let below = buckets.iter().rev().find(|(bound, _)| *bound < than);
    let above = buckets
        .iter()
        .find(|(bound, _)| *bound > than && bound.is_finite());
    let nearest: Vec<String> = [below, above]
        .into_iter()
        .flatten()
        .map(|(bound, _)| bound.to_string())
        .collect();
    let nearest = if nearest.is_empty() {
        "there is none".to_owned()
    } else {
        format!("the nearest: {}", nearest.join(" and "))
    };
    Err(Nothing::Unusable(format!(
        "{than} is no bound of a bucket, so nobody can tell how many were slower ({nearest})"
    )))
}

#[cfg(test)]
mod tests;
