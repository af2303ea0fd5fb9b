//! Alerting rules over recorded series: what Prometheus would alert about, and when.
//!
//! An [`AlertRule`] is everything of a rule but its expression; what the expression yields is an input, once per
//! evaluation. [`Alerts::tick`] is the whole machine: it takes what was remembered, the moment and the elements, and
//! gives what is remembered next. So one can ask beforehand whether an alert would have noticed an incident, how long
//! it would have taken, and what its texts would have said.
//!
//! The machine is that of Prometheus'
//! [`rules/alerting.go`](https://github.com/prometheus/prometheus/blob/v2.42.0/rules/alerting.go); the [`Template`]s
//! are the part of its template language that prints a label or the value.
//!
//! ```
//! use core::time::Duration;
//! use delivery_core::Timestamp;
//! use delivery_core::alerting::{AlertRule, AlertState, Alerts, Element};
//!
//! let rule = AlertRule {
//!     hold: Duration::from_secs(120),
//!     annotations: [("description".into(), "{{ $labels.service }}: {{ $value | humanizePercentage }}".parse()?)].into(),
//!     ..AlertRule::new("HighErrorRate")
//! };
//! let minute = |it: u64| Timestamp::from_millis(it * 60_000);
//! let failing = [Element { labels: [("service".into(), "web".into())].into(), value: 0.015 }];
//!
//! let mut alerts = Alerts::default();
//! for at in 1..=3 {
//!     alerts = alerts.tick(&rule, minute(at), &failing)?;
//! }
//! let alert = alerts.iter().next().ok_or("no alert")?;
//! assert_eq!((alert.state, alert.active_at), (AlertState::Firing, minute(1)));
//! assert_eq!(alert.annotations["description"], "web: 1.5%");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod machine;
mod number;
mod template;

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::time::Duration;

pub use self::machine::{Alert, AlertState, Alerts, DuplicateLabels, RESOLVED_RETENTION, replay};
pub use self::number::sample_text;
pub use self::template::{Template, TemplateError, TemplateFault};

/// Labels or annotations: names and values.
pub type Labels = BTreeMap<String, String>;

/// An alerting rule without its expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRule {
    /// The rule's name: the label `alertname` of its alerts.
    pub name: String,
    /// `for`: how long the expression must yield an element before its alert fires. Zero: it fires at once.
    pub hold: Duration,
    /// `keep_firing_for`: how long an alert still fires after its element has gone. Zero: not at all.
    pub keep_firing_for: Duration,
    /// Labels that the rule sets. One that renders to nothing takes the element's label of that name away.
    pub labels: BTreeMap<String, Template>,
    /// Texts for people. They see the element's labels, not the rule's.
    pub annotations: BTreeMap<String, Template>,
}

impl AlertRule {
    /// A rule that fires at once, without labels and annotations.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            hold: Duration::ZERO,
            keep_firing_for: Duration::ZERO,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }
}

/// One element of the vector that a rule's expression yields at one moment. It alerts whatever its value is.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// Its labels, `__name__` among them where the expression keeps it.
    pub labels: Labels,
    /// Its value, in the expression's unit.
    pub value: f64,
}

#[cfg(test)]
mod tests;
