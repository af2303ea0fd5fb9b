//! The tick machine: inactive, pending, firing, resolved.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::{AlertRule, Element, Labels};
use crate::time::Timestamp;

/// How long an alert that fired is remembered after it was resolved: `resolvedRetention` of Prometheus.
pub const RESOLVED_RETENTION: Duration = Duration::from_secs(15 * 60);

/// What state an alert is in, from harmless to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertState {
    /// It has fired, and its element has gone.
    Inactive,
    /// Its element is there, not yet for as long as the rule's `for`.
    Pending,
    /// It fires.
    Firing,
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        })
    }
}

/// One alert of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What identifies it: the element's labels, the rule's, and `alertname`.
    pub labels: Labels,
    /// Texts for people, as of the last element.
    pub annotations: Labels,
    /// What state it is in.
    pub state: AlertState,
    /// Since when its element was there without a gap.
    pub active_at: Timestamp,
    /// When it began to fire, if it did.
    pub fired_at: Option<Timestamp>,
    /// When it was resolved, if it was.
    pub resolved_at: Option<Timestamp>,
    /// Since when it fires without an element, because of `keep_firing_for`.
    pub kept_since: Option<Timestamp>,
    /// The value of the last element.
    pub value: f64,
}

/// The alerts of one rule, which are all that its next evaluation needs to know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alerts(BTreeMap<Labels, Alert>);

impl Alerts {
    /// All alerts by their labels, resolved ones until [`RESOLVED_RETENTION`] is over.
    pub fn iter(&self) -> impl Iterator<Item = &Alert> {
        self.0.values()
    }

    /// The alerts after one evaluation of the rule at `now`, where its expression yields `elements`.
    ///
    /// Evaluations must come in order of time, at the interval of the rule's group: one in which an element is missing
    /// starts its `for` again.
    ///
    /// # Errors
    /// [`DuplicateLabels`] when two elements make the same alert. Prometheus then gives the rule up for this
    /// evaluation, so what was remembered stays as it is: call again with it at the next tick.
    pub fn tick(
        &self,
        rule: &AlertRule,
        now: Timestamp,
        elements: &[Element],
    ) -> Result<Self, DuplicateLabels> {
        let mut alerts = self.0.clone();
        let mut seen = BTreeSet::new();
        for element in elements {
            let labels = labels(rule, element);
            if !seen.insert(labels.clone()) {
                return Err(DuplicateLabels {
                    rule: rule.name.clone(),
                    labels: shown(&labels),
                });
            }
            let annotations = rule
                .annotations
                .iter()
                .map(|(name, template)| (name.clone(), template.render(&element.labels, element.value)))
                .collect();
            match alerts.get_mut(&labels) {
                Some(alert) if alert.state != AlertState::Inactive => {
                    alert.value = element.value;
                    alert.annotations = annotations;
                }
                Some(_) | None => {
                    let alert = Alert {
                        labels: labels.clone(),
                        annotations,
                        state: AlertState::Pending,
                        active_at: now,
                        fired_at: None,
                        resolved_at: None,
                        kept_since: None,
                        value: element.value,
                    };
                    alerts.insert(labels, alert);
                }
            }
        }
        alerts.retain(|labels, alert| {
            if seen.contains(labels) {
                alert.kept_since = None;
                alert.mature(rule, now);
                true
            } else {
                alert.miss(rule, now)
            }
        });
        Ok(Self(alerts))
    }
}

impl Alert {
    /// Pending for long enough is firing, in the very tick in which that is so.
    fn mature(&mut self, rule: &AlertRule, now: Timestamp) {
        if self.state == AlertState::Pending && now.since(self.active_at) >= rule.hold {
            self.state = AlertState::Firing;
            self.fired_at = Some(now);
        }
    }

    /// Its element is not there. Tells whether it is remembered.
    fn miss(&mut self, rule: &AlertRule, now: Timestamp) -> bool {
        match self.state {
            AlertState::Pending => false,
            AlertState::Inactive => self
                .resolved_at
                .is_none_or(|it| now.since(it) <= RESOLVED_RETENTION),
            AlertState::Firing => {
                let kept = !rule.keep_firing_for.is_zero()
                    && now.since(*self.kept_since.get_or_insert(now)) < rule.keep_firing_for;
                if !kept {
                    self.state = AlertState::Inactive;
                    self.resolved_at = Some(now);
                }
                true
            }
        }
    }
}

/// Evaluates a rule over recorded elements, in order of time: the alerts after each evaluation.
///
/// An evaluation that fails is an error in its place, and the next one goes on from what was known before it.
///
/// # Example
/// ```
/// use delivery_core::Timestamp;
/// use delivery_core::alerting::{AlertRule, Element, Labels, replay};
///
/// let rule = AlertRule::new("Down");
/// let element = Element { labels: Labels::new(), value: 1.0 };
/// let recorded = [vec![], vec![element], vec![]].into_iter().enumerate();
/// let ticks = recorded.map(|(at, elements)| (Timestamp::from_millis(at as u64 * 60_000), elements));
///
/// let known: Vec<usize> = replay(&rule, ticks).map(|(_, it)| it.map_or(0, |it| it.iter().count())).collect();
/// assert_eq!(known, [0, 1, 1]); // the resolved alert is remembered for a while
/// ```
pub fn replay(
    rule: &AlertRule,
    ticks: impl IntoIterator<Item = (Timestamp, Vec<Element>)>,
) -> impl Iterator<Item = (Timestamp, Result<Alerts, DuplicateLabels>)> {
    let mut known = Alerts::default();
    ticks.into_iter().map(move |(now, elements)| {
        let next = known.tick(rule, now, &elements);
        if let Ok(next) = &next {
            known = next.clone();
        }
        (now, next)
    })
}

/// Two elements of one evaluation became the same alert.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "rule `{rule}`: two elements have the labels {labels} (expected labels that tell them apart: the rule must not \
     overwrite or empty the label in which they differ)"
)]
pub struct DuplicateLabels {
    /// The rule's name.
    pub rule: String,
    /// The labels, as Prometheus writes them.
    pub labels: String,
}

/// The labels that identify an element's alert.
fn labels(rule: &AlertRule, element: &Element) -> Labels {
    let mut labels = element.labels.clone();
    labels.remove("__name__");
    for (name, template) in &rule.labels {
        match template.render(&element.labels, element.value) {
            empty if empty.is_empty() => labels.remove(name),
            text => labels.insert(name.clone(), text),
        };
    }
    labels.insert(String::from("alertname"), rule.name.clone());
    labels.retain(|_, value| !value.is_empty());
    labels
}

fn shown(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    ["{", &pairs.join(", "), "}"].concat()
}
