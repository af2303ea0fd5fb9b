//! Where the fields of a spec stand in a manifest.

use delivery_core::plan::{PlanError, Warning};

/// Fields of a spec, and where they stand in a manifest. The first that a path begins with counts.
const FIELDS: &[(&str, &str)] = &[
    ("strategy.canary.", "spec.analysis."),
    ("strategy.canary", "spec.analysis"),
    ("strategy.mirrorFirst.share", "spec.analysis.mirrorWeight"),
    ("strategy.mirrorFirst.canary.", "spec.analysis."),
    ("strategy.mirrorFirst.canary", "spec.analysis"),
    ("strategy.mirrorFirst", "spec.analysis.mirror"),
    ("strategy.blueGreen.mirror", "spec.analysis.mirrorWeight"),
    ("strategy.blueGreen.", "spec.analysis."),
    ("strategy.blueGreen", "spec.analysis.iterations"),
    ("strategy.abTest.", "spec.analysis."),
    ("strategy.abTest", "spec.analysis.match"),
    ("strategy.steps", "spec.analysis.steps"),
    ("strategy", "spec.analysis"),
    ("ready.primary", "spec.analysis.primaryReadyThreshold"),
    ("ready.canary", "spec.analysis.canaryReadyThreshold"),
    ("deadline", "spec.progressDeadlineSeconds"),
    ("affinity", "spec.analysis.sessionAffinity"),
    ("", "spec.analysis."),
];

/// Where the fields of one Canary's spec stand in its manifest.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// Which webhook each gate is.
    pub(super) gates: Vec<usize>,
}

impl Paths {
    pub(super) fn error(&self, error: PlanError) -> PlanError {
        PlanError {
            path: self.manifest(&error.path),
            ..error
        }
    }

    pub(super) fn warning(&self, warning: Warning) -> Warning {
        Warning {
            path: self.manifest(&warning.path),
            ..warning
        }
    }

    fn manifest(&self, path: &str) -> String {
        if let Some((at, rest)) = path.strip_prefix("gates[").and_then(|rest| rest.split_once(']')) {
            let gate = at.parse::<usize>().ok().and_then(|at| self.gates.get(at));
            if let Some(webhook) = gate {
                return format!("spec.analysis.webhooks[{webhook}]{rest}");
            }
        }
        if let Some(metric) = path
            .strip_suffix(".window")
            .filter(|path| path.starts_with("metrics["))
        {
            return format!("spec.analysis.{metric}.interval");
        }
        let field = FIELDS
            .iter()
            .find_map(|(of, stands)| Some((stands, path.strip_prefix(of)?)));
        field.map_or_else(|| path.to_owned(), |(stands, rest)| format!("{stands}{rest}"))
    }
}
