//! What is left when everything is over: a few lines for people, and JSON for programs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use delivery_core::Weight;
use delivery_core::rollout::{Notice, Phase};
use serde::{Serialize, Serializer};

use crate::error::Error;
use crate::load::{Book, StepReport};
use crate::screen::{self, NAME};

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The new version serves everything.
    Promoted,
    /// The old version serves everything.
    RolledBack,
    /// Something else went wrong; the report has `error`.
    Error,
}

/// The whole run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    /// Why there is no other outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// Requests of the load and of the prober.
    pub(crate) sent: u64,
    /// Those that failed for any other reason than that the bad version itself answered badly.
    pub(crate) failed: u64,
    /// Why, and how many.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Those that the bad version itself answered badly.
    pub(crate) bad_answers: u64,
    /// Those that the proxy asked of more than one process.
    pub(crate) retried: u64,
    /// Those that were not sent, because the machine could not keep up.
    pub(crate) skipped: u64,
    pub(crate) longest_outage_ms: u64,
    pub(crate) duration_ms: u64,
    /// How long the canary had traffic until it was taken away; none if it was not.
    pub(crate) canary_traffic_ms: Option<u64>,
    /// How often the controller was killed.
    pub(crate) kills: u32,
    /// What the canary had at the end, in percent.
    #[serde(serialize_with = "percent")]
    pub(crate) weight_at_end: Weight,
    pub(crate) transitions: Vec<Transition>,
    pub(crate) steps: Vec<StepReport>,
}

/// One row of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Transition {
    /// RFC 3339, UTC.
    at: String,
    phase: Phase,
    /// The canary's share, in percent.
    #[serde(serialize_with = "percent")]
    weight: Weight,
    reason: String,
}

/// A whole number where it is one: 10 and not 10.0.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn percent<S: Serializer>(weight: &Weight, out: S) -> Result<S::Ok, S::Error> {
    let hundredths = weight.as_hundredths();
    if hundredths.is_multiple_of(100) {
        out.serialize_u16(hundredths / 100)
    } else {
        out.serialize_f64(weight.as_percent())
    }
}

impl From<&Notice> for Transition {
    fn from(notice: &Notice) -> Self {
        let Notice {
            at,
            phase,
            weight,
            reason,
            ..
        } = notice;
        Self {
            at: at.to_string(),
            phase: *phase,
            weight: *weight,
            reason: reason.to_string(),
        }
    }
}

/// A file beside the report, which becomes the report; removed if it does not.
struct Draft {
    draft: PathBuf,
    report: PathBuf,
}

impl Draft {
    /// The one of the report at this path. A pipe or a terminal has none: it is written to as it is.
    fn of(path: &Path) -> Option<Self> {
        if fs::metadata(path).is_ok_and(|it| !it.is_file()) {
            return None;
        }
        // A link goes on leading to its report.
        let report = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut name = report.file_name()?.to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        Some(Self {
            draft: report.with_file_name(name),
            report,
        })
    }

    fn write(self, text: &str) -> io::Result<Self> {
        let mut file = File::create(&self.draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Ok(self)
    }

    fn publish(self) -> io::Result<()> {
        fs::rename(&self.draft, &self.report)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.draft);
    }
}

impl Report {
    /// A report in which nothing has happened.
    pub(crate) fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            error: None,
            sent: 0,
            failed: 0,
            failures: BTreeMap::new(),
            bad_answers: 0,
            retried: 0,
            skipped: 0,
            longest_outage_ms: 0,
            duration_ms: 0,
            canary_traffic_ms: None,
            kills: 0,
            weight_at_end: Weight::ZERO,
            transitions: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Puts the requests into a report.
    pub(crate) fn count(&mut self, book: &Book, outage: Duration) {
        self.sent = book.steps.iter().map(|it| it.sent).sum();
        self.failed = book.failures.values().sum();
        self.failures.clone_from(&book.failures);
        self.bad_answers = book.steps.iter().map(|it| it.bad).sum();
        self.skipped = book.skipped;
        self.longest_outage_ms = u64::try_from(outage.as_millis()).unwrap_or(u64::MAX);
        self.steps = book
            .steps
            .iter()
            .filter(|it| it.sent > 0)
            .map(crate::load::Step::report)
            .collect();
    }

    /// Whether a report could be written here: better known before the rollout than after it.
    pub(crate) fn check(path: &Path) -> Result<(), Error> {
        let tried = match Draft::of(path) {
            Some(draft) => draft.write("").map(drop),
            None => fs::OpenOptions::new().write(true).open(path).map(drop),
        };
        tried.map_err(|source| Error::Report {
            path: path.to_owned(),
            source,
        })
    }

    /// Writes it as JSON: whole or not at all, so that nobody takes a part of it, or the one of another run, for it.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Report {
            path: path.to_owned(),
            source,
        };
        let text = serde_json::to_string_pretty(self).map_err(|it| failed(it.into()))?;
        let text = text + "\n";
        match Draft::of(path) {
            Some(draft) => draft.write(&text).and_then(Draft::publish),
            None => fs::write(path, text),
        }
        .map_err(failed)
    }

    /// Shows it.
    pub(crate) fn show(&self) {
        let Self {
            sent,
            failed,
            bad_answers,
            retried,
            skipped,
            longest_outage_ms,
            kills,
            ..
        } = self;
        screen::line("");
        let (what, seconds) = (self.what(), Duration::from_millis(self.duration_ms).as_secs_f64());
        screen::line(&format!("{NAME} {what}, after {seconds:.1} s."));
        screen::line("");
        screen::line(&format!(
            "requests  {sent} sent, {failed} failed, longest outage {longest_outage_ms} ms"
        ));
        if let Some(exposed) = self.canary_traffic_ms {
            let seconds = Duration::from_millis(exposed).as_secs_f64();
            screen::line(&format!(
                "          v2 had traffic for {seconds:.1} s and answered {bad_answers} requests badly"
            ));
        }
        for (why, count) in &self.failures {
            screen::line(&format!("          {count} failed: {why}"));
        }
        for (count, what) in [
            (*bad_answers, "answered badly by the new version itself"),
            (
                *retried,
                "tried again on another process, because the first one went away",
            ),
            (*skipped, "not sent, because this machine could not keep up"),
        ] {
            if count > 0 {
                screen::line(&format!("          {count} {what}"));
            }
        }
        if *kills > 0 {
            screen::line(&format!("          the controller was killed {kills} times"));
        }
        screen::line("");
        screen::line("WEIGHT    SENT  BY v2  BAD  FAILED  P50 ms  P99 ms");
        for step in &self.steps {
            let StepReport {
                weight,
                sent,
                by_new_version,
                bad_answers,
                failed,
                p50_ms,
                p99_ms,
            } = step;
            let millis = |it: &Option<f64>| it.map_or(String::from("-"), |it| format!("{it:.1}"));
            let (p50, p99) = (millis(p50_ms), millis(p99_ms));
            screen::line(&format!(
                "{weight:>6}  {sent:>6} {by_new_version:>6} {bad_answers:>4} {failed:>7} {p50:>7} {p99:>7}"
            ));
        }
    }

    fn what(&self) -> String {
        match (self.outcome, &self.error) {
            (Outcome::Promoted, _) => String::from("v2 is promoted: it answers all requests"),
            (Outcome::RolledBack, _) => String::from("v2 is rolled back: v1 answers all requests"),
            (Outcome::Error, why) => format!("went wrong: {}", why.as_deref().unwrap_or("nobody knows why")),
        }
    }
}
