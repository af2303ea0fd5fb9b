//! What a user writes.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use delivery_core::plan::{Fallback, GateKind};
use delivery_core::time::{parse_interval, written};
use serde::{Deserialize, Deserializer, de};

/// A webhook as it is written, in YAML or JSON: an entry of Flagger's `analysis.webhooks`, and three fields more.
///
/// It does not show its URL, which may be a secret.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// When it is called, and what its answer means. Default: `rollout`.
    #[serde(rename = "type", default)]
    pub kind: HookKind,
    /// What it is called, for people. Two of one kind may have the same name; then the second is `… 2` in what is told.
    pub name: String,
    /// What is called: an absolute `http` or `https` URL.
    pub url: String,
    /// The time for each attempt, from 1 ms to 24 h; default 10 s, also for a text of fewer than two characters.
    #[serde(default, deserialize_with = "timeout")]
    pub timeout: Option<Duration>,
    /// How often it is tried again after no answer, 408, 429 or a 5xx other than 501: 0 to 100, default 0. The waits
    /// between are 1 s, 2 s, 4 s to 30 s, with up to as much again by chance, or what `Retry-After` says, at most 60 s.
    /// What only informs is not counted: it is sent again until it was taken.
    #[serde(default)]
    pub retries: u32,
    /// Whether the certificate is not looked at.
    #[serde(rename = "disableTLS", default)]
    pub disable_tls: bool,
    /// Whether denials by this hook are no alert: see [`Webhooks::mute`](super::Webhooks::mute).
    #[serde(default)]
    pub mute_alert: bool,
    /// Sent along.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// How long the answer of a gate may take until `default` counts as its answer. None: for ever. Only for gates that
    /// are waited for: `pre-rollout` and `confirm-…`.
    #[serde(default, with = "written::option")]
    pub deadline: Option<Duration>,
    /// What counts when the deadline has passed.
    #[serde(default)]
    pub default: Fallback,
    /// After a denial it is asked again after this many rounds: 1 or more. Flagger: 2 before the promotion of A/B tests
    /// and blue-green.
    #[serde(default)]
    pub every: Option<u32>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(text) if text.len() >= 2 => parse_interval(&text).map(Some).map_err(de::Error::custom),
        Some(_) | None => Ok(None),
    }
}

/// Flagger's types of webhooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookKind {
    /// Before anything moves.
    ConfirmRollout,
    /// Before the first traffic.
    PreRollout,
    /// In every round.
    #[default]
    #[serde(alias = "")]
    Rollout,
    /// Before each increase of traffic.
    ConfirmTrafficIncrease,
    /// Before the promotion.
    ConfirmPromotion,
    /// In every interval: 2xx rolls back.
    Rollback,
    /// After the end.
    PostRollout,
    /// At every notice.
    Event,
}

impl HookKind {
    /// All kinds, in the order in which a rollout meets them.
    pub const ALL: [Self; 8] = [
        Self::ConfirmRollout,
        Self::PreRollout,
        Self::Rollout,
        Self::ConfirmTrafficIncrease,
        Self::ConfirmPromotion,
        Self::Rollback,
        Self::PostRollout,
        Self::Event,
    ];

    /// The kind as it is written.
    pub const fn name(self) -> &'static str {
        match self.gate() {
            Some(gate) => gate.name(),
            None if matches!(self, Self::Event) => "event",
            None => "post-rollout",
        }
    }

    /// The gate that it is; none for what only informs.
    pub const fn gate(self) -> Option<GateKind> {
        match self {
            Self::ConfirmRollout => Some(GateKind::ConfirmRollout),
            Self::PreRollout => Some(GateKind::PreRollout),
            Self::Rollout => Some(GateKind::Rollout),
            Self::ConfirmTrafficIncrease => Some(GateKind::ConfirmTrafficIncrease),
            Self::ConfirmPromotion => Some(GateKind::ConfirmPromotion),
            Self::Rollback => Some(GateKind::Rollback),
            Self::PostRollout | Self::Event => None,
        }
    }

    /// Whether a rollout stands still until it is answered.
    pub(super) const fn is_waited_for(self) -> bool {
        match self {
            Self::ConfirmRollout
            | Self::PreRollout
            | Self::ConfirmTrafficIncrease
            | Self::ConfirmPromotion => true,
            Self::Rollout | Self::Rollback | Self::PostRollout | Self::Event => false,
        }
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_of_a_flagger_manifest_is_read_as_it_is() {
        let hook: Webhook = serde_json::from_value(json!({
            "name": "load-test", "url": "http://flagger-loadtester.test/", "timeout": "5s", "retries": 2,
            "disableTLS": true, "muteAlert": true, "metadata": { "cmd": "hey -z 1m http://podinfo-canary/" },
        }))
        .unwrap();
        assert_eq!(
            (hook.kind, hook.timeout, hook.retries),
            (HookKind::Rollout, Some(Duration::from_secs(5)), 2)
        );
        assert!(hook.disable_tls && hook.mute_alert);
        assert_eq!(hook.metadata["cmd"], "hey -z 1m http://podinfo-canary/");
    }

    #[test]
    fn every_type_is_read_by_its_name() {
        for kind in HookKind::ALL {
            let hook: Webhook =
                serde_json::from_value(json!({ "type": kind.name(), "name": "a", "url": "b" })).unwrap();
            assert_eq!(hook.kind, kind);
        }
        let none: Webhook = serde_json::from_value(json!({ "type": "", "name": "a", "url": "b" })).unwrap();
        assert_eq!(none.kind, HookKind::Rollout);
    }

    #[test]
    fn a_timeout_of_fewer_than_two_characters_is_the_default() {
        for (written, read) in [
            ("", Ok(None)),
            ("5", Ok(None)),
            ("5s", Ok(Some(5_000))),
            ("50", Err(())),
            ("-5s", Err(())),
        ] {
            let hook: Result<Webhook, _> =
                serde_json::from_value(json!({ "name": "a", "url": "b", "timeout": written }));
            let millis = hook.map(|it| it.timeout.map(|it| it.as_millis())).map_err(drop);
            assert_eq!(millis, read, "{written:?}");
        }
    }

    #[test]
    fn a_field_or_type_that_does_not_exist_is_named() {
        let read = |value| serde_json::from_value::<Webhook>(value).unwrap_err().to_string();
        let error = read(json!({ "name": "a", "url": "b", "timout": "5s" }));
        assert!(
            error.contains("`timout`") && error.contains("`timeout`"),
            "{error}"
        );
        let error = read(json!({ "name": "a", "url": "b", "type": "confirm" }));
        assert!(
            error.contains("`confirm`") && error.contains("`confirm-promotion`"),
            "{error}"
        );
    }
}
