//! One round: every metric measured and judged, for people and for machines.

use std::collections::BTreeMap;
use std::fmt;

use delivery_core::Weight;
use delivery_core::analysis::{
    Due, Evidence, Judge, Look, Memory, Metric, Nothing, Range, Sample, Verdict, Window, judge,
};
use delivery_core::port::{Clock, Measure};
use delivery_prom::{Error, Measured};
use futures::future::join_all;
use serde::Serialize;

use crate::plan::{Watched, chain};

/// One round.
#[derive(Serialize)]
pub(crate) struct Round {
    /// RFC 3339, UTC.
    at: String,
    /// The worst of all.
    verdict: Verdict,
    metrics: Vec<Row>,
}

/// One metric.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(flatten)]
    evidence: Evidence,
    /// How far the value is from the nearest bound, in the metric's unit; negative when it is beyond.
    distance: Option<f64>,
    /// Whether there was nothing to judge.
    missing: bool,
    /// Why it could not be measured.
    error: Option<String>,
    /// How far the measurement looked back, in seconds.
    window: f64,
    /// What was sent.
    queries: Vec<String>,
    /// What the server warned of.
    warnings: Vec<String>,
}

impl Round {
    /// Measures everything at the same time, over the windows that end now. What judges remember of earlier rounds is in
    /// `memory`.
    pub(crate) async fn measure(
        watched: &Watched,
        clock: &dyn Clock,
        memory: &mut BTreeMap<String, Memory>,
    ) -> Self {
        let to = clock.now();
        let metrics = watched.plan.metrics();
        let asks: Vec<Measure<'_>> = metrics
            .iter()
            .map(|metric| Measure {
                metric,
                window: Window {
                    from: to.before(metric.window),
                    to,
                },
                canary: &watched.canary,
                primary: watched.primary.as_ref(),
                weight: Weight::ZERO,
            })
            .collect();
        let measured = join_all(asks.iter().map(|it| watched.metrics.measure_with_queries(it))).await;
        Self::of(&watched.plan.due(Look::Round, to), measured, memory)
    }

    /// What was measured, judged.
    fn of(
        due: &Due<'_>,
        measured: Vec<Result<Measured, Error>>,
        memory: &mut BTreeMap<String, Memory>,
    ) -> Self {
        let (mut samples, mut rows) = (BTreeMap::new(), Vec::new());
        for (metric, measured) in due.metrics.iter().zip(measured) {
            let (sample, error, queries, warnings) = match measured {
                Ok(it) => (it.sample, None, it.queries, it.warnings),
                Err(error) => {
                    let why = chain(&error);
                    let sample = Sample::Nothing(Nothing::Unreachable(why.clone()));
                    (sample, Some(why), Vec::new(), Vec::new())
                }
            };
            samples.insert(metric.name.clone(), sample);
            rows.push((metric, error, queries, warnings));
        }
        let judged = judge(due, &samples, memory);
        *memory = judged.memory;
        let rows = judged.evidence.into_iter().zip(rows);
        let row = |(evidence, (metric, error, queries, warnings)): (Evidence, (&Metric, _, _, _))| Row {
            distance: evidence.value.and_then(|it| distance(&metric.judge, it)),
            missing: evidence.verdict == Verdict::Inconclusive,
            evidence,
            error,
            window: metric.window.as_secs_f64(),
            queries,
            warnings,
        };
        Self {
            at: due.at.to_string(),
            verdict: judged.verdict,
            metrics: rows.map(row).collect(),
        }
    }

    /// The exit status that tells how it was.
    pub(crate) fn status(&self) -> u8 {
        let failed = self.verdict == Verdict::Fail;
        let error = self.metrics.iter().any(|it| it.error.is_some());
        match (failed, error, self.verdict) {
            (true, _, _) => 2,
            (false, true, _) => 1,
            (false, false, Verdict::Inconclusive | Verdict::Suspect) => 3,
            (false, false, Verdict::Abstains | Verdict::Confirmed | Verdict::Pass | Verdict::Fail) => 0,
        }
    }

    /// In one line.
    pub(crate) fn json(&self) -> String {
        // There is nothing in it that JSON does not have.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// How far a number is from the nearest bound of its judge; none where there is no fixed one.
fn distance(judge: &Judge, value: f64) -> Option<f64> {
    let Judge::Range(Range { min, max, .. }) = judge else {
        return None;
    };
    let (above, below) = (min.map(|it| value - it), max.map(|it| it - value));
    let nearest = [above, below].into_iter().flatten().reduce(f64::min)?;
    nearest.is_finite().then_some(nearest)
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self
            .metrics
            .iter()
            .map(|it| it.evidence.metric.chars().count())
            .max();
        let width = widest.unwrap_or(0).max("METRIC".len());
        writeln!(f, "{}", self.at)?;
        writeln!(
            f,
            "{:<width$}  {:>12}  {:<20}  {:>10}  VERDICT",
            "METRIC", "VALUE", "BOUNDS", "DISTANCE"
        )?;
        for row in &self.metrics {
            let Evidence {
                metric,
                verdict,
                value,
                against,
            } = &row.evidence;
            let number = |it: Option<f64>| it.map_or_else(|| String::from("-"), |it| format!("{it:.3}"));
            let (bounds, why) = if value.is_none() {
                ("-", format!(": {against}"))
            } else {
                (against.as_str(), String::new())
            };
            writeln!(
                f,
                "{metric:<width$}  {:>12}  {bounds:<20}  {:>10}  {verdict}{why}",
                number(*value),
                number(row.distance)
            )?;
            for warning in &row.warnings {
                writeln!(f, "{:<width$}  - {warning}", "")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use delivery_core::Timestamp;
    use delivery_core::analysis::{Compare, Tally, Terms};

    use super::*;

    fn metric(name: &str, range: Range) -> Metric {
        Metric {
            name: name.into(),
            query: None,
            window: Duration::from_secs(60),
            min_sample: 0,
            judge: Judge::Range(range),
        }
    }

    fn judged(metrics: &[Metric], measured: Vec<Result<Measured, Error>>) -> Round {
        let due = Due {
            metrics,
            terms: &Terms::DEFAULT,
            look: Look::Round,
            at: Timestamp::from_millis(1_777_000_000_000),
            primary_rests: false,
        };
        Round::of(&due, measured, &mut BTreeMap::new())
    }

    fn round(samples: &[Sample]) -> Round {
        let metrics: Vec<Metric> = (0..samples.len())
            .map(|at| metric(&format!("m{at}"), Range::at_least(99.0)))
            .collect();
        let measured = samples.iter().map(|sample| {
            Ok(Measured {
                sample: sample.clone(),
                queries: Vec::new(),
                warnings: vec![String::from("one store is gone")],
            })
        });
        judged(&metrics, measured.collect())
    }

    #[test]
    fn the_status_tells_the_worst() {
        let (good, bad) = (Sample::Value(99.5), Sample::Value(98.0));
        let none = Sample::Nothing(Nothing::NoData);
        for (samples, status) in [
            (&[good.clone(), good.clone()][..], 0),
            (&[good.clone(), none.clone()], 3),
            (&[bad.clone(), none.clone()], 2),
            (&[good.clone(), bad.clone()], 2),
        ] {
            assert_eq!(round(samples).status(), status, "{samples:?}");
        }
        let metrics = [metric("m", Range::at_least(99.0))];
        let broken = || {
            vec![Err(Error::NoQuery {
                metric: String::from("m"),
                known: String::from("none"),
            })]
        };
        assert_eq!(judged(&metrics, broken()).status(), 1);
    }

    #[test]
    fn a_sequential_judge_remembers_the_rounds_before() {
        let metrics = [Metric {
            judge: Judge::Compare(Compare::default()),
            ..metric("errors", Range::at_most(1.0))
        }];
        let due = Due {
            metrics: &metrics,
            terms: &Terms::DEFAULT,
            look: Look::Round,
            at: Timestamp::from_millis(1_777_000_000_000),
            primary_rests: false,
        };
        let bad = || {
            vec![Ok(Measured {
                sample: Sample::Counts {
                    canary: Tally {
                        total: 100,
                        errors: 20,
                    },
                    primary: Some(Tally {
                        total: 900,
                        errors: 9,
                    }),
                },
                queries: Vec::new(),
                warnings: Vec::new(),
            })]
        };
        let mut memory = BTreeMap::new();
        assert_eq!(
            Round::of(&due, bad(), &mut memory).status(),
            3,
            "one odd round is no proof"
        );
        assert_eq!(Round::of(&due, bad(), &mut memory).status(), 2);
    }

    #[test]
    fn a_round_is_shown_to_people_and_to_machines() {
        let round = round(&[Sample::Value(99.5), Sample::Nothing(Nothing::NoData)]);
        let shown = round.to_string();
        for line in [
            "m0            99.500  at least 99                0.500  pass",
            "m1                 -  -                              -  inconclusive: no data",
            "        - one store is gone",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
        let json: serde_json::Value = serde_json::from_str(&round.json()).unwrap();
        assert_eq!(json["verdict"], "inconclusive");
        assert_eq!(json["metrics"][0]["value"], 99.5);
        assert_eq!(json["metrics"][0]["distance"], 0.5);
        assert_eq!(json["metrics"][0]["missing"], false);
        assert_eq!(json["metrics"][1]["missing"], true);
        assert_eq!(json["metrics"][1]["against"], "no data");
        assert_eq!(json["metrics"][1]["warnings"][0], "one store is gone");
    }

    #[test]
    fn the_distance_is_that_to_the_nearest_bound() {
        let between = Range {
            min: Some(1.0),
            max: Some(10.0),
            quantile: 0.99,
        };
        for (range, value, expected) in [
            (Range::at_least(99.0), 98.0, Some(-1.0)),
            (Range::at_most(500.0), 100.0, Some(400.0)),
            (between, 3.0, Some(2.0)),
            (between, 9.0, Some(1.0)),
            (between, 12.0, Some(-2.0)),
            (Range::at_least(1.0), f64::INFINITY, None),
        ] {
            assert_eq!(distance(&Judge::Range(range), value), expected, "{value}");
        }
    }
}
