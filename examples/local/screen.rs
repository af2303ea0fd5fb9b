//! What a person sees: a table that grows by a line per transition, and remarks between its lines.

use std::io::{self, Write};

use delivery_core::host::SystemClock;
use delivery_core::port::Clock;
use delivery_core::rollout::Notice;
use delivery_core::{Revision, Timestamp, text};

/// What is released.
pub(crate) const NAME: &str = "my-service";

/// The table's head.
pub(crate) fn head() {
    line(&format!(
        "{:<10}  {:<12}  {:>6}  {:<20}  REASON",
        "NAME", "STATUS", "WEIGHT", "LASTTRANSITIONTIME"
    ));
}

/// A row of the table.
pub(crate) fn row(notice: &Notice) {
    let (phase, weight) = (notice.phase.to_string(), notice.weight.as_percent());
    // A row is a line, whatever somebody wrote into a command or a gate.
    let reason: String = text::line(&notice.reason.to_string()).collect();
    line(&format!(
        "{NAME:<10}  {phase:<12}  {weight:>6}  {:<20}  {reason}",
        seconds(notice.at)
    ));
}

/// Something that happened beside the rollout.
pub(crate) fn remark(said: &str) {
    let text: String = text::line(said).collect();
    line(&format!("{:<10}  - {text}", ""));
}

/// Any line. Standard output may go away (`local | head`): the rollout goes on.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// The present moment.
pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// To the second, as Kubernetes writes it.
fn seconds(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('.')
        .map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// The version that serves at the beginning.
pub(crate) fn old() -> Revision {
    named("v1")
}

/// The version that is released.
pub(crate) fn new() -> Revision {
    named("v2")
}

fn named(name: &str) -> Revision {
    Revision::new(name).unwrap_or_else(|_| Revision::of(&serde_json::Value::from(name)))
}
