//! What a webhook gets. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use delivery_core::port::GateQuestion;
use delivery_core::rollout::{Notice, Phase, Severity};
use delivery_core::{Revision, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use super::HookKind;

/// A rollout's place among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rollout {
    pub(super) name: String,
    pub(super) namespace: String,
    /// What the revision does not cover.
    pub(super) config: String,
}

/// The body: Flagger's keys, in its order.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Payload<'a> {
    name: &'a str,
    namespace: &'a str,
    phase: &'static str,
    checksum: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, Cow<'a, str>>,
}

impl Rollout {
    /// What a gate is asked with.
    pub(super) fn question<'a>(
        &'a self,
        question: &GateQuestion<'_>,
        metadata: &'a BTreeMap<String, String>,
    ) -> Payload<'a> {
        use delivery_core::plan::GateKind;
        let phase = match question.gate.kind {
            GateKind::ConfirmRollout | GateKind::Rollback => phase(question.phase),
            GateKind::PreRollout
            | GateKind::Rollout
            | GateKind::ConfirmTrafficIncrease
            | GateKind::ConfirmPromotion => "Progressing",
        };
        self.payload(phase, Some(question.revision), own(metadata))
    }

    /// What a hook that is only informed gets.
    pub(super) fn notice<'a>(
        &'a self,
        kind: HookKind,
        notice: &Notice,
        metadata: &'a BTreeMap<String, String>,
    ) -> Payload<'a> {
        let mut metadata = own(metadata);
        if kind == HookKind::Event {
            let event_type = match notice.severity {
                Severity::Info => "Normal",
                Severity::Warn | Severity::Error => "Warning",
            };
            metadata.insert(
                "eventMessage",
                format!("{}.{}: {}", self.name, self.namespace, notice.reason).into(),
            );
            metadata.insert("eventType", event_type.into());
            metadata.insert("timestamp", notice.at.as_millis().to_string().into());
        }
        self.payload(phase(notice.phase), notice.revision.as_ref(), metadata)
    }

    fn payload<'a>(
        &'a self,
        phase: &'static str,
        revision: Option<&Revision>,
        metadata: BTreeMap<&'a str, Cow<'a, str>>,
    ) -> Payload<'a> {
        Payload {
            name: &self.name,
            namespace: &self.namespace,
            phase,
            checksum: revision.map_or_else(String::new, |it| digest(&json!([it, self.config]))),
            metadata,
        }
    }

    /// The identity of a question, as a header can have it.
    pub(super) fn question_key(&self, key: &str) -> String {
        digest(&json!([self.namespace, self.name, key]))
    }

    /// The identity of a notice, for this hook.
    pub(super) fn notice_key(&self, kind: HookKind, hook: &str, id: u64, at: Timestamp) -> String {
        digest(&json!([
            self.namespace,
            self.name,
            kind.name(),
            hook,
            id,
            at.as_millis()
        ]))
    }
}

fn own(metadata: &BTreeMap<String, String>) -> BTreeMap<&str, Cow<'_, str>> {
    metadata
        .iter()
        .map(|(key, value)| (key.as_str(), Cow::Borrowed(value.as_str())))
        .collect()
}

/// 32 hexadecimal digits.
fn digest(content: &Value) -> String {
    Revision::of(content).as_str().to_owned()
}

/// The phase by Flagger's name, which has none for a retreat of its own.
const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Initializing => "Initializing",
        Phase::Initialized => "Initialized",
        Phase::Waiting => "Waiting",
        Phase::Progressing | Phase::RollingBack => "Progressing",
        Phase::WaitingPromotion => "WaitingPromotion",
        Phase::Promoting => "Promoting",
        Phase::Finalising => "Finalising",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
    }
}

#[cfg(test)]
mod tests {
    use delivery_core::Weight;
    use delivery_core::analysis::Checks;
    use delivery_core::plan::{Gate, GateKind};
    use delivery_core::rollout::Reason;

    use super::*;

    fn web() -> Rollout {
        Rollout {
            name: "web".into(),
            namespace: "shop".into(),
            config: String::new(),
        }
    }

    fn asked(rollout: &Rollout, kind: GateKind, phase: Phase, revision: &str) -> Value {
        let gate = Gate::new(kind, "gate");
        let question = GateQuestion {
            gate: &gate,
            revision: &Revision::new(revision).unwrap(),
            phase,
            began: None,
            checks: Checks::default(),
            key: "v2/7/gate",
        };
        serde_json::to_value(rollout.question(&question, &BTreeMap::new())).unwrap()
    }

    #[test]
    fn a_gate_gets_the_keys_of_flagger_and_no_metadata_when_there_is_none() {
        let payload = asked(&web(), GateKind::PreRollout, Phase::Progressing, "v2");
        let expected = json!({
            "name": "web", "namespace": "shop", "phase": "Progressing",
            "checksum": payload["checksum"],
        });
        assert_eq!(payload, expected);
        assert_eq!(payload["checksum"].as_str().unwrap().len(), 32);
    }

    #[test]
    fn the_phase_is_the_one_that_flagger_names() {
        let table = [
            (GateKind::ConfirmRollout, Phase::Waiting, "Waiting"),
            (GateKind::PreRollout, Phase::Progressing, "Progressing"),
            (GateKind::Rollout, Phase::WaitingPromotion, "Progressing"),
            (
                GateKind::ConfirmTrafficIncrease,
                Phase::Progressing,
                "Progressing",
            ),
            (GateKind::ConfirmPromotion, Phase::WaitingPromotion, "Progressing"),
            (GateKind::Rollback, Phase::WaitingPromotion, "WaitingPromotion"),
            (GateKind::Rollback, Phase::RollingBack, "Progressing"),
        ];
        for (kind, phase, named) in table {
            assert_eq!(asked(&web(), kind, phase, "v2")["phase"], named, "{kind} {phase}");
        }
    }

    #[test]
    fn the_checksum_follows_revision_and_configuration_and_nothing_else() {
        let checksum = |rollout: &Rollout, revision| {
            asked(rollout, GateKind::Rollout, Phase::Progressing, revision)["checksum"].clone()
        };
        let configured = Rollout {
            config: "c2".into(),
            ..web()
        };
        let other = Rollout {
            name: "api".into(),
            ..web()
        };
        assert_eq!(checksum(&web(), "v2"), checksum(&other, "v2"));
        assert_ne!(checksum(&web(), "v2"), checksum(&web(), "v3"));
        assert_ne!(checksum(&web(), "v2"), checksum(&configured, "v2"));
        // Receivers may keep it, so it stays in every release.
        assert_eq!(checksum(&web(), "v2"), json!("4850db7e9d2623f7f0e7e1d0948ce907"));
    }

    fn notice(severity: Severity, phase: Phase) -> Notice {
        Notice {
            id: 7,
            at: Timestamp::from_millis(1_777_000_000_123),
            revision: Revision::new("v2").ok(),
            phase,
            weight: Weight::ZERO,
            severity,
            reason: Reason::StepDone,
        }
    }

    #[test]
    fn an_event_says_what_happened_and_the_users_own_metadata_steps_back() {
        let own = BTreeMap::from([("team".into(), "a".into()), ("eventType".into(), "mine".into())]);
        for (severity, event_type) in [
            (Severity::Info, "Normal"),
            (Severity::Warn, "Warning"),
            (Severity::Error, "Warning"),
        ] {
            let rollout = web();
            let payload = rollout.notice(HookKind::Event, &notice(severity, Phase::RollingBack), &own);
            let payload = serde_json::to_value(payload).unwrap();
            let metadata = json!({
                "eventMessage": "web.shop: the pause is over", "eventType": event_type,
                "timestamp": "1777000000123", "team": "a",
            });
            assert_eq!(
                (&payload["metadata"], &payload["phase"]),
                (&metadata, &json!("Progressing"))
            );
        }
    }

    #[test]
    fn after_a_rollout_the_metadata_is_the_users_own() {
        let rollout = web();
        let own = BTreeMap::from([("team".into(), "a".into())]);
        let payload = rollout.notice(
            HookKind::PostRollout,
            &notice(Severity::Info, Phase::Succeeded),
            &own,
        );
        let payload = serde_json::to_value(payload).unwrap();
        assert_eq!(
            (&payload["metadata"], &payload["phase"]),
            (&json!({ "team": "a" }), &json!("Succeeded"))
        );
    }

    #[test]
    fn keys_differ_by_rollout_question_hook_and_notice() {
        let other = Rollout {
            namespace: "test".into(),
            ..web()
        };
        let at = Timestamp::from_millis(1);
        let keys = [
            web().question_key("v2/7/rollout/a"),
            web().question_key("v2/8/rollout/a"),
            other.question_key("v2/7/rollout/a"),
            web().notice_key(HookKind::Event, "a", 7, at),
            web().notice_key(HookKind::Event, "b", 7, at),
            web().notice_key(HookKind::PostRollout, "a", 7, at),
            web().notice_key(HookKind::Event, "a", 8, at),
            other.notice_key(HookKind::Event, "a", 7, at),
        ];
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(web().question_key("v2/7/rollout/a"), keys[0]);
    }
}
