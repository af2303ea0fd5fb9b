//! What a server says of its rules and alerts.
//!
//! <https://prometheus.io/docs/prometheus/latest/querying/api/#rules>

use std::collections::BTreeMap;
use std::time::Duration;

use delivery_core::Timestamp;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::moment;

/// Labels or annotations.
pub type Names = BTreeMap<String, String>;

/// Rules that are evaluated together.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleGroup {
    /// Its name, unique within the file.
    pub name: String,
    /// The file that it stands in.
    #[serde(default)]
    pub file: String,
    /// How often it is evaluated.
    #[serde(default, deserialize_with = "seconds")]
    pub interval: Duration,
    /// When it was last evaluated; none when it never was.
    #[serde(default, deserialize_with = "moment")]
    pub last_evaluation: Option<Timestamp>,
    /// Its rules, in order.
    #[serde(default, deserialize_with = "or_default")]
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
#[non_exhaustive]
pub enum Rule {
    /// One that raises alerts.
    Alerting(AlertingRule),
    /// One that records a series.
    Recording(RecordingRule),
    /// Another kind.
    #[serde(other)]
    Unknown,
}

/// A rule that raises alerts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertingRule {
    /// The alert's name.
    pub name: String,
    /// Its expression.
    #[serde(default)]
    pub query: String,
    /// How long the expression must have had a result until the alert fires: the rule's `for`.
    #[serde(default, rename = "duration", deserialize_with = "seconds")]
    pub hold: Duration,
    /// How long the alert goes on firing after that.
    #[serde(default, deserialize_with = "seconds")]
    pub keep_firing_for: Duration,
    /// The rule's own labels, before their templates are filled in.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: Names,
    /// Its annotations, before their templates are filled in.
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: Names,
    /// Its alerts that are pending or firing.
    #[serde(default, deserialize_with = "or_default")]
    pub alerts: Vec<Alert>,
    /// The state of its worst alert.
    #[serde(default)]
    pub state: AlertState,
    /// Whether its last evaluation went well.
    #[serde(default)]
    pub health: Health,
    /// What went wrong in its last evaluation.
    #[serde(default)]
    pub last_error: Option<String>,
    /// When it was last evaluated; none when it never was.
    #[serde(default, deserialize_with = "moment")]
    pub last_evaluation: Option<Timestamp>,
    /// How many series its expression looked at, where the server tells (vmalert does).
    #[serde(default)]
    pub last_series_fetched: Option<u64>,
}

/// A rule that records a series.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordingRule {
    /// The series' name.
    pub name: String,
    /// Its expression.
    #[serde(default)]
    pub query: String,
    /// The labels that it adds.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: Names,
    /// Whether its last evaluation went well.
    #[serde(default)]
    pub health: Health,
    /// What went wrong in its last evaluation.
    #[serde(default)]
    pub last_error: Option<String>,
    /// When it was last evaluated; none when it never was.
    #[serde(default, deserialize_with = "moment")]
    pub last_evaluation: Option<Timestamp>,
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// The series' labels, those of the rule, and `alertname`.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: Names,
    /// The rule's annotations, filled in.
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: Names,
    /// Its state.
    pub state: AlertState,
    /// Since when its expression has had a result.
    #[serde(default, deserialize_with = "moment")]
    pub active_at: Option<Timestamp>,
    /// The value of its expression; none where it is no number.
    #[serde(default, deserialize_with = "number")]
    pub value: Option<f64>,
}

/// The state of an alert, in the words of Prometheus or of Grafana.
///
/// | here | Prometheus and most others | Grafana |
/// |---|---|---|
/// | inactive | `inactive` | `Normal` |
/// | pending | `pending` | `Pending` |
/// | firing | `firing` | `Alerting`, `Recovering` |
/// | unknown | anything else | `NoData`, `Error`, and whatever has one of them in brackets: `Normal (NoData)`, `Alerting (Error)` |
///
/// Grafana lets silence and failure pass for a state of health or of alarm, as its user has set it; the brackets tell.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
#[non_exhaustive]
pub enum AlertState {
    /// Its expression has no result.
    Inactive,
    /// Its expression has a result, but not for long enough.
    Pending,
    /// It fires.
    Firing,
    /// A state that is not known here, as it is written.
    Unknown(String),
}

impl Default for AlertState {
    fn default() -> Self {
        Self::Unknown(String::new())
    }
}

impl From<String> for AlertState {
    fn from(written: String) -> Self {
        match written.to_ascii_lowercase().as_str() {
            "inactive" | "normal" => Self::Inactive,
            "pending" => Self::Pending,
            "firing" | "alerting" | "recovering" => Self::Firing,
            _ => Self::Unknown(written),
        }
    }
}

/// Whether a rule's last evaluation went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// It did.
    Ok,
    /// It failed.
    #[serde(alias = "error")]
    Err,
    /// It found no data at all: Grafana tells it from silence.
    #[serde(rename = "nodata")]
    NoData,
    /// Nobody knows: it has not been evaluated yet.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A value, or its default for `null`, which Go writes for what is empty.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(from)?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|it| de::Error::custom(format_args!("{seconds} seconds: {it}")))
}

/// Go writes its zero time, in the year 1, for what never was.
fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else {
        return Ok(None);
    };
    if text.starts_with("0001-01-01T") {
        return Ok(None);
    }
    let wrong = || de::Error::custom(format_args!("{text:?} is no moment (expected RFC 3339)"));
    moment::parse(&text).map(Some).ok_or_else(wrong)
}

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Number(f64),
    }
    Ok(match Option::deserialize(from)? {
        Some(Written::Text(text)) => text.parse().ok(),
        Some(Written::Number(number)) => Some(number),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Prometheus 2.42 answers.
    const GROUP: &str = r#"{
        "name": "canary", "file": "/etc/rules.yaml", "interval": 15, "limit": 0, "evaluationTime": 0.0004,
        "lastEvaluation": "2026-11-24T09:32:19.125678901+01:00",
        "rules": [
            {"state": "firing", "name": "HighErrorRate", "query": "errors > 0.01", "duration": 120, "keepFiringFor": 0.5,
             "labels": {"severity": "critical"}, "annotations": {"summary": "{{ $value }}"},
             "alerts": [{"labels": {"alertname": "HighErrorRate", "severity": "critical", "pod": "a"},
                         "annotations": {"summary": "0.015"}, "state": "firing",
                         "activeAt": "2026-11-24T08:30:19.125678901Z", "value": "1.5e-02"}],
             "health": "ok", "evaluationTime": 0.0002, "lastEvaluation": "2026-11-24T08:32:19Z", "type": "alerting"},
            {"name": "errors", "query": "1", "health": "err", "lastError": "boom", "evaluationTime": 0,
             "lastEvaluation": "0001-01-01T00:00:00Z", "type": "recording"},
            {"name": "later", "type": "dreaming"}
        ]}"#;

    #[test]
    fn a_group_is_read() {
        let group: RuleGroup = serde_json::from_str(GROUP).unwrap();
        assert_eq!(
            (group.name.as_str(), group.interval, group.rules.len()),
            ("canary", Duration::from_secs(15), 3)
        );
        assert_eq!(
            group.last_evaluation.unwrap().to_string(),
            "2026-11-24T08:32:19.125Z"
        );
        let [
            Rule::Alerting(alerting),
            Rule::Recording(recording),
            Rule::Unknown,
        ] = group.rules.as_slice()
        else {
            panic!("{group:?}");
        };
        assert_eq!(
            (alerting.hold, alerting.keep_firing_for),
            (Duration::from_secs(120), Duration::from_millis(500))
        );
        assert_eq!(
            (&alerting.state, alerting.health),
            (&AlertState::Firing, Health::Ok)
        );
        let alert = &alerting.alerts[0];
        assert_eq!((alert.value, alert.labels["pod"].as_str()), (Some(0.015), "a"));
        assert_eq!(alert.active_at.unwrap().to_string(), "2026-11-24T08:30:19.125Z");
        assert_eq!(
            (recording.health, recording.last_error.as_deref()),
            (Health::Err, Some("boom"))
        );
        assert_eq!(recording.last_evaluation, None, "it was never evaluated");
    }

    #[test]
    fn what_is_left_out_or_unknown_is_no_error() {
        let bare = r#"{"name":"g","rules":[{"type":"alerting","name":"a","alerts":null,"labels":null,"state":"snoozed","health":""}]}"#;
        let group: RuleGroup = serde_json::from_str(bare).unwrap();
        let [Rule::Alerting(rule)] = group.rules.as_slice() else {
            panic!("{group:?}");
        };
        assert_eq!(
            (&rule.state, rule.health),
            (&AlertState::Unknown("snoozed".into()), Health::Unknown)
        );
        let empty: RuleGroup = serde_json::from_str(r#"{"name":"g","rules":null}"#).unwrap();
        assert!(empty.rules.is_empty());
    }

    #[test]
    fn garbage_is_an_error_that_names_it() {
        for (text, says) in [
            (r#"{"name":"g","interval":-1}"#, "-1 seconds"),
            (
                r#"{"name":"g","lastEvaluation":"yesterday"}"#,
                "\"yesterday\" is no moment",
            ),
            (r#"{"rules":[]}"#, "name"),
        ] {
            let error = serde_json::from_str::<RuleGroup>(text).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
