//! Reads the services' metrics: Prometheus' text format, as much of it as exporters write.

use std::collections::BTreeMap;

use crate::wire::RequestsBody;

/// One line of a metrics page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// A line that is no metric.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}: {text:?}")]
pub(crate) struct NoMetrics {
    pub(crate) line: usize,
    pub(crate) why: &'static str,
    pub(crate) text: String,
}

/// The series of a page. Comments, time stamps and exemplars are skipped.
///
/// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
pub(crate) fn parse(page: &str) -> Result<Vec<Series>, NoMetrics> {
    page.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, text)| {
            series(text).map_err(|why| NoMetrics {
                line,
                why,
                text: text.chars().take(80).collect(),
            })
        })
        .collect()
}

fn series(text: &str) -> Result<Series, &'static str> {
    let end = text
        .find(|it: char| it == '{' || it.is_whitespace())
        .ok_or("no value")?;
    let (name, rest) = text.split_at(end);
    let good = |first: bool, it: char| {
        it.is_ascii_alphabetic() || "_:".contains(it) || !first && it.is_ascii_digit()
    };
    if name.is_empty() || !name.chars().enumerate().all(|(at, it)| good(at == 0, it)) {
        return Err("no name");
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.split_whitespace().next().ok_or("no value")?;
    // Rust reads `+Inf`, `-Inf` and `NaN` as Prometheus writes them.
    let value = value.parse().map_err(|_| "the value is no number")?;
    Ok(Series {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// The labels up to the closing brace, and what comes after it.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), &'static str> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, quoted) = rest.split_once('=').ok_or("a label without a value")?;
        let mut characters = quoted
            .trim_start()
            .strip_prefix('"')
            .ok_or("a label's value is not quoted")?
            .chars();
        let mut value = String::new();
        loop {
            match characters.next().ok_or("a label's value does not end")? {
                '"' => break,
                '\\' => match characters.next().ok_or("a label's value does not end")? {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                other => value.push(other),
            }
        }
        labels.insert(name.trim().to_owned(), value);
        rest = characters.as_str().trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// The service's counters at one moment. What a page does not have is missing, not 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counters {
    pub(crate) requests: Option<RequestsBody>,
    pub(crate) durations: Option<BTreeMap<Bound, u64>>,
}

/// A histogram's upper bound in seconds, in its order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound(pub(crate) f64);

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Bound {}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Counters {
    /// What a page says about `http_requests_total` and `http_request_duration_seconds`.
    pub(crate) fn of(page: &[Series]) -> Self {
        let mut counters = Self::default();
        for series in page {
            match series.name.as_str() {
                "http_requests_total" => {
                    let requests = counters.requests.get_or_insert_default();
                    requests.total += count(series.value);
                    if series
                        .labels
                        .get("code")
                        .is_some_and(|code| code.starts_with('5'))
                    {
                        requests.errors += count(series.value);
                    }
                }
                "http_request_duration_seconds_bucket" => {
                    let Some(bound) = series.labels.get("le").and_then(|it| it.parse().ok()) else {
                        continue;
                    };
                    *counters
                        .durations
                        .get_or_insert_default()
                        .entry(Bound(bound))
                        .or_default() += count(series.value);
                }
                _ => {}
            }
        }
        counters
    }

    /// How much was counted since `before`. Counters that fell were started anew, and have counted from 0.
    pub(crate) fn since(&self, before: &Self) -> Self {
        if self.fell_since(before) {
            return self.clone();
        }
        let requests = self.requests.map(|now| {
            let before = before.requests.unwrap_or_default();
            RequestsBody {
                total: now.total - before.total,
                errors: now.errors - before.errors,
            }
        });
        let rise = |(bound, count): (&Bound, &u64)| (*bound, count - before.at_most(*bound));
        Self {
            requests,
            durations: self.durations.as_ref().map(|it| it.iter().map(rise).collect()),
        }
    }

    fn fell_since(&self, before: &Self) -> bool {
        let (now, then) = (
            self.requests.unwrap_or_default(),
            before.requests.unwrap_or_default(),
        );
        let requests = self.requests.is_some() && (now.total < then.total || now.errors < then.errors);
        requests
            || self
                .durations
                .iter()
                .flatten()
                .any(|(bound, count)| *count < before.at_most(*bound))
    }

    fn at_most(&self, bound: Bound) -> u64 {
        self.durations
            .as_ref()
            .and_then(|it| it.get(&bound))
            .copied()
            .unwrap_or(0)
    }

    /// Both together.
    pub(crate) fn add(&mut self, other: &Self) {
        if let Some(more) = other.requests {
            let requests = self.requests.get_or_insert_default();
            requests.total += more.total;
            requests.errors += more.errors;
        }
        for (bound, more) in other.durations.iter().flatten() {
            *self.durations.get_or_insert_default().entry(*bound).or_default() += more;
        }
    }
}

/// A counter's value as a whole number; it is one up to 2^53.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and NaN is 0"
)]
const fn count(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"
# HELP http_requests Requests by status code.
# TYPE http_requests counter
http_requests_total{code="200"} 17
http_requests_total{code="500",} 2 1395066363000
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_sum 1.5
http_request_duration_seconds_count 19
http_request_duration_seconds_bucket{le="0.5"} 18 # {trace="x"} 0.1
http_request_duration_seconds_bucket{le="+Inf"} 19.0
# EOF
"#;

    fn counters(page: &str) -> Counters {
        Counters::of(&parse(page).unwrap())
    }

    fn counted(total: u64, errors: u64, fast: u64) -> Counters {
        Counters {
            requests: Some(RequestsBody { total, errors }),
            durations: Some(BTreeMap::from([
                (Bound(0.5), fast),
                (Bound(f64::INFINITY), total),
            ])),
        }
    }

    #[test]
    fn a_page_is_read() {
        assert_eq!(counters(PAGE), counted(19, 2, 18));
    }

    #[test]
    fn labels_may_have_anything_in_them() {
        let page = parse(r#"a_b:c{path="/a\"}{,= b\\\n",x = "é"}  +Inf  7"#).unwrap();
        assert_eq!(page[0].labels["path"], "/a\"}{,= b\\\n");
        assert_eq!(page[0].labels["x"], "é");
        assert!(page[0].value.is_infinite());
    }

    #[test]
    fn garbage_is_an_error_with_its_line() {
        for (text, why) in [
            ("http_requests_total", "no value"),
            ("http_requests_total{code=\"200\"}", "no value"),
            ("up up", "the value is no number"),
            ("1up 1", "no name"),
            ("<html> 1", "no name"),
            ("a{b} 1", "a label without a value"),
            ("a{b=c} 1", "a label's value is not quoted"),
            ("a{b=\"c 1", "a label's value does not end"),
            ("a{b=\"c\\", "a label's value does not end"),
            ("{} 1", "no name"),
        ] {
            let page = format!("# fine\nup 1\n{text}\n");
            assert_eq!(
                parse(&page),
                Err(NoMetrics {
                    line: 3,
                    why,
                    text: text.to_owned()
                })
            );
        }
    }

    #[test]
    fn what_is_not_exported_is_missing_and_not_0() {
        assert_eq!(counters(""), Counters::default());
        assert_eq!(
            counters("# TYPE http_requests counter\nup 1\n"),
            Counters::default()
        );
    }

    #[test]
    fn differences() {
        assert_eq!(counted(30, 3, 25).since(&counted(19, 2, 18)), counted(11, 1, 7));
        assert_eq!(counted(30, 3, 25).since(&Counters::default()), counted(30, 3, 25));
        assert_eq!(
            Counters::default().since(&counted(19, 2, 18)),
            Counters::default()
        );
    }

    #[test]
    fn a_counter_that_fell_was_started_anew() {
        assert_eq!(counted(5, 0, 5).since(&counted(19, 2, 18)), counted(5, 0, 5));
        // The total has overtaken the old one already, the errors have not.
        assert_eq!(counted(20, 1, 19).since(&counted(19, 2, 18)), counted(20, 1, 19));
    }

    #[test]
    fn sums() {
        let mut sum = Counters::default();
        sum.add(&counted(5, 1, 4));
        sum.add(&Counters::default());
        sum.add(&counted(7, 0, 7));
        assert_eq!(sum, counted(12, 1, 11));
    }
}
