//! A recording, as people and as programs read it.

use std::fmt;
use std::time::Duration;

use delivery_core::plan::{Plan, Warning};
use delivery_core::rollout::{Outcome, explain};
use delivery_core::sim::{Fault, Happening, Recording, START, Scenario};
use delivery_core::time::GoDuration;
use serde_json::json;

/// Everything that there is to tell.
pub(crate) struct Story<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) scenario: &'a Scenario,
    pub(crate) warnings: &'a [Warning],
    pub(crate) recording: &'a Recording,
}

impl Story<'_> {
    /// For programs: the recording, and what leads to it.
    pub(crate) fn json(&self) -> String {
        let rows = self.plan.timetable().rows;
        let timetable = rows.iter().map(|row| {
            let longest = row.longest.map(|it| GoDuration::saturating_from(it).to_string());
            let shortest = GoDuration::saturating_from(row.shortest).to_string();
            json!({ "step": row.step, "weight": row.weight, "checks": row.checks, "shortest": shortest, "longest": longest })
        });
        let whole = json!({
            "promoted": self.recording.promoted(),
            "began": START,
            "warnings": self.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "timetable": timetable.collect::<Vec<_>>(),
            "explanation": self.explanation(),
            "recording": self.recording,
        });
        format!("{whole:#}")
    }

    fn explanation(&self) -> String {
        let waits = Outcome::Hold {
            until: None,
            why: self.recording.why.clone(),
        };
        explain(self.plan, &self.recording.state, Some(&waits))
    }

    /// The moves, and between them what came from outside.
    fn lines(&self) -> Vec<String> {
        let moves = self
            .recording
            .rows
            .iter()
            .map(|it| (it.at.since(START), 1, it.to_string()));
        let done = self
            .scenario
            .happenings
            .iter()
            .map(|it| (it.at, 0, outside(it.at, &happened(it))));
        let faults = self.scenario.faults.iter().flat_map(|it| {
            let what = fault(it.of);
            let ends = format!("{what} again");
            [
                (it.from, 0, outside(it.from, &format!("no {what}"))),
                (it.until, 0, outside(it.until, &ends)),
            ]
        });
        let mut lines: Vec<(Duration, u8, String)> = moves.chain(done).chain(faults).collect();
        lines.retain(|(at, ..)| *at <= self.recording.took);
        lines.sort_by_key(|(at, order, _)| (*at, *order));
        lines.into_iter().map(|(.., line)| line).collect()
    }
}

impl fmt::Display for Story<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        writeln!(f, "{}\n", self.plan.timetable())?;
        writeln!(
            f,
            "{:>8}  {:<16}  {:<11}  FAILED     WHY",
            "TIME", "PHASE", "TRAFFIC"
        )?;
        for line in self.lines() {
            writeln!(f, "{line}")?;
        }
        for trouble in &self.recording.troubles {
            writeln!(
                f,
                "trouble from {} on: {}",
                time(trouble.at.since(START)),
                trouble.text
            )?;
        }
        let (took, rests) = (
            time(self.recording.took),
            if self.recording.ended {
                "at rest"
            } else {
                "not at rest"
            },
        );
        writeln!(f, "\nAfter {took}, {rests}:\n{}\n", self.explanation())?;
        let users = &self.recording.users;
        let (requests, errors, lost) = (users.requests, users.errors, users.lost);
        write!(
            f,
            "Users sent {requests} requests: {errors} answered with an error, {lost} lost for lack of pods."
        )?;
        for served in &users.by_revision {
            write!(
                f,
                "\n{}: {} requests, {} errors",
                served.revision, served.requests, served.errors
            )?;
        }
        if users.copied > 0 {
            write!(f, "\nand {} copies, whose answers nobody saw", users.copied)?;
        }
        Ok(())
    }
}

fn time(it: Duration) -> GoDuration {
    GoDuration::saturating_from(it)
}

fn outside(at: Duration, what: &str) -> String {
    format!("{:>8}  -- {what}", time(at).to_string())
}

fn happened(it: &Happening) -> String {
    let parts = [
        it.push.as_ref().map(|it| format!("{it} is pushed")),
        it.command.map(|it| format!("somebody gives the command {it}")),
        it.scale_canary
            .map(|it| format!("somebody scales the canary to {it} pods")),
        it.clock_forward
            .map(|by| format!("the clock is set forward by {}", time(by))),
        it.clock_back
            .map(|by| format!("the clock is set back by {}", time(by))),
        it.set_weight
            .map(|it| format!("somebody sets the canary's weight to {it}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

const fn fault(fault: Fault) -> &'static str {
    match fault {
        Fault::Metrics => "connection to the metric source",
        Fault::Router => "connection to the router",
        Fault::Workload => "connection to the workload",
        Fault::Store => "connection to the store",
        Fault::Notifier => "connection to the notifier",
        Fault::Answers => "answers to measurements and gates",
    }
}
