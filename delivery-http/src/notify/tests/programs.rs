use std::time::Duration;

use cdevents_sdk::CDEvent;
use delivery_core::Revision;
use delivery_core::rollout::{Notice, Phase, Reason, Severity};
use serde_json::json;

use super::words::*;
use crate::notify::{About, Message};

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
