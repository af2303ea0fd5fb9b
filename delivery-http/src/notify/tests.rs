use cdevents_sdk::CDEvent;
use delivery_core::analysis::{Evidence, Verdict};
use delivery_core::plan::{AbTest, BlueGreen, Canary, GateKind, MirrorFirst, Spec, Strategy};
use delivery_core::rollout::{Notice, Phase, Reason, Severity, Side};
use delivery_core::{Revision, Timestamp, Weight};
use serde_json::{Value, json};

use super::*;

// Everybody.

#[test]
fn an_unknown_sender_is_an_error_that_lists_the_known_ones() {
    for known in SENDERS {
        assert_eq!(sender(known.name).unwrap().name, known.name);
    }
    let known = "slack, msteams, discord, rocket, gchat, webhook, alertmanager, cdevents";
    for unknown in ["", "Slack", "teams", "slack "] {
        let error = sender(unknown).unwrap_err().to_string();
        assert_eq!(error, format!("type: `{unknown}`; expected one of {known}"));
    }
}

#[test]
fn a_missing_severity_means_everything() {
    for (text, read) in [
        ("", Severity::Info),
        ("info", Severity::Info),
        ("warn", Severity::Warn),
        ("error", Severity::Error),
    ] {
        assert_eq!(severity(text).unwrap(), read);
    }
    let error = severity("warning").unwrap_err().to_string();
    assert_eq!(error, "severity: \"warning\"; expected info, warn or error");
}

#[test]
fn a_warning_also_goes_to_those_who_want_errors_only_the_other_way_round() {
    use Severity::{Error, Info, Warn};
    for (wants, hears) in [
        (Info, [true, true, true]),
        (Warn, [false, true, true]),
        (Error, [false, false, true]),
    ] {
        for (severity, hears) in [Info, Warn, Error].into_iter().zip(hears) {
            for name in ["slack", "msteams", "discord", "rocket", "gchat", "webhook"] {
                let sent = to(name).severity(wants).sent(&Notice {
                    severity,
                    ..stepped()
                });
                assert_eq!(
                    sent.len(),
                    usize::from(hears),
                    "{name} wants {wants:?}, is told {severity:?}"
                );
            }
        }
    }
}

#[test]
fn a_message_says_what_happened_in_a_sentence() {
    for (notice, text) in [
        (begun(), "Progressing v2, 0 % to the canary: new revision"),
        (stepped(), "Progressing v2, 10 % to the canary: the pause is over"),
        (
            failed(),
            "RollingBack v2, 0 % to the canary: threshold 5 reached: request-success-rate 94.1, wanted at least 99",
        ),
        (
            Notice {
                revision: None,
                ..denied("on\nFridays?")
            },
            "Waiting, 0 % to the canary: confirm-rollout desk denied: on\nFridays?",
        ),
    ] {
        let about = about();
        let message = Message {
            about: &about,
            notice: &notice,
        };
        assert_eq!(message.text(), text);
    }
}

#[test]
fn the_facts_about_a_plan_are_told_when_a_rollout_begins_and_the_cluster_always() {
    let names = |notice: &Notice| {
        let about = about().cluster("eu-1");
        let message = Message {
            about: &about,
            notice,
        };
        message.fields().map(|it| it.name).collect::<Vec<_>>()
    };
    let all = [
        "Cluster",
        "Target",
        "Failed checks threshold",
        "Progress deadline",
        "Traffic routing",
    ];
    assert_eq!(names(&begun()), all);
    assert_eq!(names(&bootstrapped()), all);
    for notice in [stepped(), failed(), promoted(), returned()] {
        assert_eq!(names(&notice), ["Cluster"]);
    }
}

#[test]
fn traffic_routing_reads_as_in_flagger() {
    let weights = |step_weight, max_weight, step_weights: &[f64]| Canary {
        step_weight,
        max_weight,
        step_weights: step_weights.to_vec(),
        ..Canary::default()
    };
    for (strategy, reads) in [
        (
            Strategy::Canary(weights(Some(5.0), Some(50.0), &[])),
            "Weight step: 5 max: 50",
        ),
        (
            Strategy::Canary(weights(Some(0.5), None, &[])),
            "Weight step: 0.5 max: 100",
        ),
        (
            Strategy::Canary(weights(None, None, &[1.0, 2.0, 60.0])),
            "Weight steps: 1,2,60 max: 60",
        ),
        (
            Strategy::MirrorFirst(MirrorFirst {
                share: 100.0,
                canary: weights(Some(20.0), Some(60.0), &[]),
            }),
            "Weight step: 20 max: 60",
        ),
        (
            Strategy::AbTest(AbTest {
                iterations: 3,
                rules: Vec::new(),
            }),
            "A/B Testing",
        ),
        (
            Strategy::BlueGreen(BlueGreen {
                iterations: 3,
                mirror: None,
            }),
            "Blue/Green",
        ),
        (Strategy::Steps(Vec::new()), "0 steps"),
    ] {
        let about = About::new("web", "shop").planned("Deployment/web", &Spec::new(strategy));
        assert_eq!(about.fields.last(), Some(&Field::new("Traffic routing", reads)));
    }
}

#[test]
fn what_a_gate_said_is_harmless_in_every_format() {
    let said = "line 1\r\nline 2 <!channel> @here [a](http://x)\u{1b}[31m\u{202e}";
    let zero = "\u{200b}";
    for (name, at, reads) in [
        (
            "slack",
            "/attachments/0/text",
            "line 1 line 2 &lt;!channel&gt; @here [a](http://x) [31m".into(),
        ),
        (
            "discord",
            "/attachments/0/text",
            format!("line 1 line 2 <{zero}!channel> @{zero}here [a]{zero}(http://x) [31m"),
        ),
        (
            "rocket",
            "/attachments/0/text",
            format!("line 1 line 2 <{zero}!channel> @{zero}here [a]{zero}(http://x) [31m"),
        ),
        (
            "msteams",
            "/sections/0/activityTitle",
            format!("line 1 line 2 &lt;!channel&gt; @here [a]{zero}(http://x) [31m"),
        ),
        (
            "gchat",
            "/cards/0/sections/0/widgets/0/textParagraph/text",
            "line 1 line 2 &lt;!channel&gt; @here [a](http://x) [31m</strong></font>".into(),
        ),
        (
            "alertmanager",
            "/0/annotations/description",
            "line 1 line 2 <!channel> @here [a](http://x) [31m".into(),
        ),
    ] {
        let body = to(name).sent(&denied(said)).remove(0);
        let text = body.pointer(at).and_then(Value::as_str).unwrap();
        assert!(
            text.ends_with(&format!("confirm-rollout desk denied: {reads}")),
            "{name}: {text:?}"
        );
    }
}

#[test]
fn a_text_without_end_fits_everybody() {
    // Slack, Discord (an embed), Teams (28 KB), Google Chat (32 000 bytes).
    let notice = denied(&"<ü>\"'&".repeat(20_000));
    for (name, most) in [
        ("slack", 16_000),
        ("discord", 16_000),
        ("rocket", 16_000),
        ("msteams", 28_000),
        ("gchat", 32_000),
    ] {
        let body = to(name).sent(&notice).remove(0).to_string();
        assert!(
            body.contains('…') && body.len() < most,
            "{name}: {} bytes",
            body.len()
        );
    }
}

// Chats.

#[test]
fn slack_gets_the_payload_of_flagger() {
    let body = to("slack").channel("deploys").username("bot").sent(&begun());
    assert_eq!(
        body,
        [json!({
            "channel": "deploys",
            "username": "bot",
            "icon_url": "",
            "icon_emoji": ":rocket:",
            "attachments": [{
                "color": "good",
                "author_name": "web.shop",
                "text": "Progressing v2, 0 % to the canary: new revision",
                "mrkdwn_in": ["text"],
                "fields": [
                    { "title": "Target", "value": "Deployment/web.shop", "short": false },
                    { "title": "Failed checks threshold", "value": "1", "short": false },
                    { "title": "Progress deadline", "value": "600s", "short": false },
                    { "title": "Traffic routing", "value": "Weight step: 10 max: 100", "short": false },
                ],
            }],
        })]
    );
}

#[test]
fn those_who_speak_slacks_format_differ_in_colors_only() {
    for (name, usual, error) in [
        ("slack", "good", "danger"),
        ("discord", "good", "danger"),
        ("rocket", "#0076D7", "#FF0000"),
    ] {
        let attachment = |notice: &Notice| to(name).sent(notice).remove(0)["attachments"][0].clone();
        assert_eq!(attachment(&stepped())["color"], usual);
        assert_eq!(attachment(&denied("no"))["color"], usual, "a warning is no error");
        assert_eq!(attachment(&failed())["color"], error);
        let body = to(name).sent(&stepped()).remove(0);
        let mut slack = to("slack").sent(&stepped()).remove(0);
        slack["attachments"][0]["color"] = usual.into();
        assert_eq!(body, slack);
        assert_eq!(
            (&body["channel"], &body["username"]),
            (&json!("general"), &json!("flagger"))
        );
    }
}

#[test]
fn slacks_api_declines_with_a_status_of_200() {
    let refusal = sender("slack").unwrap().refusal;
    for (reply, why) in [
        ("ok", None),
        (r#"{"ok":true,"ts":"1.2"}"#, None),
        (
            r#"{"ok":false,"error":"channel_not_found"}"#,
            Some("channel_not_found"),
        ),
        (r#"{"ok":false}"#, Some("no reason given")),
        ("", None),
    ] {
        assert_eq!(refusal(reply.as_bytes()).as_deref(), why, "{reply}");
    }
}

#[test]
fn teams_says_with_a_status_of_200_that_it_failed() {
    let refusal = sender("msteams").unwrap().refusal;
    let failed = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId x";
    assert_eq!(refusal(failed.as_bytes()).as_deref(), Some(failed));
    assert_eq!(refusal(b"1"), None);
    assert_eq!(refusal(b""), None);
}

#[test]
fn teams_gets_the_message_card_of_flagger() {
    let body = to("msteams").sent(&failed());
    let text = "RollingBack v2, 0 % to the canary: threshold 5 reached: request-success-rate 94.1, wanted at least 99";
    assert_eq!(
        body,
        [json!({
            "@type": "MessageCard",
            "@context": "http://schema.org/extensions",
            "themeColor": "FF0000",
            "summary": "web.shop",
            "sections": [{ "activityTitle": text, "activitySubtitle": "web.shop", "facts": [] }],
        })]
    );
    let begun = to("msteams").sent(&begun()).remove(0);
    assert_eq!(begun["themeColor"], "0076D7");
    let facts = &begun["sections"][0]["facts"];
    assert_eq!(
        facts[0],
        json!({ "name": "Target", "value": "Deployment/web.shop" })
    );
}

#[test]
fn google_chat_gets_a_paragraph_for_the_text_and_one_for_each_field() {
    let body = to("gchat").sent(&begun()).remove(0);
    let card = &body["cards"][0];
    assert_eq!(
        card["header"],
        json!({ "title": "flagger", "subtitle": "web.shop" })
    );
    let paragraphs: Vec<&Value> = card["sections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["widgets"][0]["textParagraph"]["text"])
        .collect();
    assert_eq!(paragraphs.len(), 5);
    let strong =
        "<font color=#848484><strong>Progressing v2, 0 % to the canary: new revision</strong></font>";
    assert_eq!(paragraphs[0], strong);
    assert_eq!(
        paragraphs[1],
        "Target<br><font color=#848484><strong>Deployment/web.shop</strong></font>"
    );
}

// Programs.

#[test]
fn a_webhook_gets_everything_that_a_notice_says() {
    let body = to("webhook").sent(&failed()).remove(0);
    let evidence = json!([{
        "metric": "request-success-rate", "verdict": "fail", "value": 94.1, "against": "at least 99",
    }]);
    assert_eq!(
        body,
        json!({
            "key": "shop/web/1777000060000/9",
            "id": 9,
            "at": "2026-04-24T03:07:40.000Z",
            "name": "web",
            "namespace": "shop",
            "cluster": null,
            "revision": "v2",
            "phase": "RollingBack",
            "weight": 0.0,
            "severity": "error",
            "text": "RollingBack v2, 0 % to the canary: threshold 5 reached: request-success-rate 94.1, wanted at least 99",
            "reason": { "budgetExhausted": { "limit": "threshold", "allowed": 5, "evidence": evidence } },
            "fields": {},
        })
    );
    let read: Reason = serde_json::from_value(body["reason"].clone()).unwrap();
    assert_eq!(read, failed().reason, "a program can read the reason back");
}

#[test]
fn an_alert_fires_until_the_rollout_recovers() {
    // Alertname, and whether it fires.
    let story = [
        (
            begun(),
            [("RolloutFailed", false), ("RolloutNeedsAttention", false)],
        ),
        (
            denied("not yet"),
            [("RolloutFailed", false), ("RolloutNeedsAttention", true)],
        ),
        (
            stepped(),
            [("RolloutFailed", false), ("RolloutNeedsAttention", false)],
        ),
        (
            failed(),
            [("RolloutFailed", true), ("RolloutNeedsAttention", false)],
        ),
        (
            returned(),
            [("RolloutFailed", true), ("RolloutNeedsAttention", false)],
        ),
        (
            begun(),
            [("RolloutFailed", false), ("RolloutNeedsAttention", false)],
        ),
        (
            stuck(),
            [("RolloutFailed", true), ("RolloutNeedsAttention", false)],
        ),
        (
            promoted(),
            [("RolloutFailed", false), ("RolloutNeedsAttention", false)],
        ),
    ];
    for (notice, alerts) in story {
        let body = to("alertmanager")
            .lasts(Duration::from_secs(60))
            .sent(&notice)
            .remove(0);
        let body = body.as_array().unwrap();
        assert_eq!(body.len(), 2);
        for (alert, (name, fires)) in body.iter().zip(alerts) {
            assert_eq!(alert["labels"]["alertname"], name);
            assert_eq!(alert["startsAt"], notice.at.to_string());
            let ends = if fires {
                notice.at.after(Duration::from_secs(60))
            } else {
                notice.at
            };
            assert_eq!(alert["endsAt"], ends.to_string(), "{name} at {:?}", notice.reason);
        }
    }
}

#[test]
fn an_alert_keeps_its_labels_for_life() {
    let about = about().cluster("eu-1");
    let labels = |notice: &Notice| {
        let body = to("alertmanager")
            .bodies(&Message {
                about: &about,
                notice,
            })
            .remove(0);
        body[0]["labels"].clone()
    };
    let all = json!({
        "alertname": "RolloutFailed", "severity": "critical", "rollout": "web", "namespace": "shop", "cluster": "eu-1",
    });
    for notice in [begun(), failed(), returned(), promoted()] {
        assert_eq!(labels(&notice), all);
    }
}

#[test]
fn severity_decides_which_alerts_exist() {
    for (severity, names) in [
        (Severity::Info, vec!["RolloutFailed", "RolloutNeedsAttention"]),
        (Severity::Warn, vec!["RolloutFailed", "RolloutNeedsAttention"]),
        (Severity::Error, vec!["RolloutFailed"]),
    ] {
        let body = to("alertmanager").severity(severity).sent(&promoted()).remove(0);
        let found: Vec<&str> = body
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|it| it["labels"]["alertname"].as_str())
            .collect();
        assert_eq!(found, names);
    }
}

#[test]
fn the_transitions_of_a_rollout_are_cdevents() {
    for (notice, types) in [
        (bootstrapped(), vec!["service.deployed"]),
        (begun(), vec![]),
        (stepped(), vec![]),
        (denied("no"), vec![]),
        (promoted(), vec!["service.upgraded"]),
        (failed(), vec!["incident.detected"]),
        (
            Notice {
                severity: Severity::Warn,
                reason: asked(),
                ..failed()
            },
            vec!["incident.detected"],
        ),
        (
            Notice {
                severity: Severity::Warn,
                reason: Reason::Drifted,
                ..failed()
            },
            vec![],
        ),
        (stuck(), vec!["incident.detected"]),
        (returned(), vec!["service.rolledback", "incident.resolved"]),
        (
            Notice {
                phase: Phase::Progressing,
                ..returned()
            },
            vec![],
        ),
    ] {
        let sent = to("cdevents").severity(Severity::Error).sent(&notice);
        let found: Vec<&str> = sent.iter().filter_map(|it| it["type"].as_str()).collect();
        let types: Vec<String> = types
            .iter()
            .map(|it| format!("dev.cdevents.{it}.0.3.0"))
            .collect();
        assert_eq!(found, types, "{:?}", notice.reason);
    }
}

#[test]
fn every_event_is_one_by_the_specification() {
    let cluster = about().cluster("eu-1");
    for about in [about(), cluster, About::new("", "")] {
        for notice in [bootstrapped(), promoted(), failed(), stuck(), returned()] {
            for event in to("cdevents").bodies(&Message {
                about: &about,
                notice: &notice,
            }) {
                // The structures of the SDK know every member of the schemas, and no other.
                let read: CDEvent = serde_json::from_value(event["data"].clone()).unwrap();
                assert_eq!(
                    serde_json::to_value(&read).unwrap()["subject"],
                    event["data"]["subject"]
                );
                assert_eq!(event["specversion"], "1.0");
                assert_eq!(event["datacontenttype"], "application/cdevents+json");
                assert_eq!(event["type"], read.ty());
                assert_eq!(event["id"], read.id().as_str());
                assert_eq!(event["source"], "/delivery");
                assert_eq!(event["subject"], read.subject().id().as_str());
                assert_eq!(event["time"], notice.at.to_string());
            }
        }
    }
}

#[test]
fn an_event_names_service_environment_and_artifact() {
    let about = about().cluster("eu-1");
    let data = |revision: &str| {
        let notice = Notice {
            revision: Revision::new(revision).ok(),
            ..promoted()
        };
        to("cdevents")
            .bodies(&Message {
                about: &about,
                notice: &notice,
            })
            .remove(0)["data"]
            .clone()
    };
    assert_eq!(data("v2")["subject"]["id"], "shop/web");
    assert_eq!(data("v2")["subject"]["content"]["environment"]["id"], "eu-1/shop");
    for (revision, artifact) in [
        ("v2", "pkg:generic/web@v2"),
        ("sha256:0b31", "pkg:generic/web@sha256%3A0b31"),
        ("pkg:oci/web@sha256%3A0b31", "pkg:oci/web@sha256%3A0b31"),
    ] {
        assert_eq!(data(revision)["subject"]["content"]["artifactId"], artifact);
    }
    let incident = to("cdevents").sent(&failed()).remove(0);
    assert_eq!(incident["data"]["subject"]["id"], "shop/web/v2");
    assert_eq!(
        incident["data"]["subject"]["id"],
        to("cdevents").sent(&returned())[1]["data"]["subject"]["id"]
    );
}

#[test]
fn the_same_event_has_the_same_id_and_every_other_another() {
    let ids = || {
        [bootstrapped(), promoted(), failed(), returned()]
            .iter()
            .flat_map(|it| to("cdevents").sent(it))
            .map(|it| it["id"].to_string())
            .collect::<Vec<_>>()
    };
    let first = ids();
    assert_eq!(first, ids());
    let different: std::collections::BTreeSet<_> = first.iter().collect();
    assert_eq!(different.len(), 5);
}

// Receivers.

#[test]
fn what_a_receiver_cannot_use_is_refused_when_it_is_built() {
    let slack = || to("slack");
    for (built, says) in [
        (
            Receiver::new(&slack::SLACK, &"hooks.slack.com/s3cret".into()),
            "address: not a URL",
        ),
        (Receiver::new(&slack::SLACK, &"".into()), "address: an empty URL"),
        (slack().source("two words"), "source: \"two words\""),
        (slack().source(""), "source: \"\""),
        (slack().token("s3cret\n".into()), "token: "),
    ] {
        let error = built.unwrap_err();
        assert!(error.to_string().starts_with(says), "{error}");
        assert!(!format!("{error:?} {error}").contains("s3cret"));
    }
}

#[test]
fn a_receiver_shows_nothing_secret() {
    let address = "https://hooks.slack.com/services/T0/B0/s3cret?token=s3cret";
    let receiver = Receiver::new(&slack::SLACK, &address.into())
        .unwrap()
        .token("s3cret".into())
        .unwrap();
    let shown = format!("{receiver:?}");
    assert!(
        shown.contains("https://hooks.slack.com") && !shown.contains("s3cret"),
        "{shown}"
    );
}

// Words.

impl Receiver {
    fn sent(&self, notice: &Notice) -> Vec<Value> {
        self.bodies(&Message {
            about: &about(),
            notice,
        })
    }
}

fn to(name: &str) -> Receiver {
    Receiver::new(sender(name).unwrap(), &"http://127.0.0.1:9/hook".into()).unwrap()
}

fn about() -> About {
    let canary = Canary {
        step_weight: Some(10.0),
        ..Canary::default()
    };
    About::new("web", "shop").planned("Deployment/web", &Spec::new(Strategy::Canary(canary)))
}

fn notice(id: u64, phase: Phase, severity: Severity, reason: Reason) -> Notice {
    Notice {
        id,
        at: Timestamp::from_millis(1_777_000_060_000),
        revision: Revision::new("v2").ok(),
        phase,
        weight: Weight::ZERO,
        severity,
        reason,
    }
}

fn bootstrapped() -> Notice {
    notice(1, Phase::Initialized, Severity::Info, Reason::Bootstrapped)
}

fn begun() -> Notice {
    notice(2, Phase::Progressing, Severity::Info, Reason::NewRevision)
}

fn stepped() -> Notice {
    let weight = Weight::percent(10).unwrap();
    Notice {
        weight,
        ..notice(3, Phase::Progressing, Severity::Info, Reason::StepDone)
    }
}

fn denied(said: &str) -> Notice {
    let (kind, gate, said) = (GateKind::ConfirmRollout, String::from("desk"), String::from(said));
    notice(
        4,
        Phase::Waiting,
        Severity::Warn,
        Reason::Denied { kind, gate, said },
    )
}

fn stuck() -> Notice {
    notice(
        5,
        Phase::Promoting,
        Severity::Error,
        Reason::DeadlineExceeded { side: Side::Primary },
    )
}

fn promoted() -> Notice {
    notice(6, Phase::Succeeded, Severity::Info, Reason::Promoted)
}

fn asked() -> Reason {
    Reason::RollbackAsked {
        gate: String::from("desk"),
    }
}

fn failed() -> Notice {
    let evidence = Evidence {
        metric: String::from("request-success-rate"),
        verdict: Verdict::Fail,
        value: Some(94.1),
        against: String::from("at least 99"),
    };
    let (limit, evidence) = (String::from("threshold"), vec![evidence]);
    notice(
        9,
        Phase::RollingBack,
        Severity::Error,
        Reason::BudgetExhausted {
            limit,
            allowed: 5,
            evidence,
        },
    )
}

fn returned() -> Notice {
    notice(10, Phase::Failed, Severity::Info, Reason::TrafficBack)
}
