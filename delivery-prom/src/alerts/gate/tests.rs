//! The gate before a server that says what it is told.

use std::time::Duration;

use delivery_core::analysis::Checks;
use delivery_core::contract;
use delivery_core::port::{Fault, Open};
use delivery_core::rollout::Phase;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::Server;

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        NOON
    }
}

const NOON: Timestamp = Timestamp::from_millis(1_777_032_000_000);
const ELEVEN: Timestamp = Timestamp::from_millis(1_777_028_400_000);

/// A server whose only rule has an alert that is active since half past eleven.
async fn server(alert: &str) -> MockServer {
    let alerts: Vec<Value> = match alert {
        "none" => vec![],
        state => vec![json!({
            "labels": {"alertname": "Errors", "severity": "critical"}, "annotations": {}, "state": state,
            "activeAt": "2026-04-24T11:30:00Z", "value": "1e+00"
        })],
    };
    let group = json!({
        "name": "g", "file": "f", "interval": 15, "lastEvaluation": "2026-04-24T12:00:00Z",
        "rules": [{
            "type": "alerting", "name": "Errors", "query": "x", "duration": 0, "labels": {}, "annotations": {},
            "alerts": alerts, "state": "inactive", "health": "ok", "lastEvaluation": "2026-04-24T12:00:00Z"
        }]
    });
    let server = MockServer::start().await;
    let body = json!({"status": "success", "data": {"groups": [group]}});
    Mock::given(method("GET"))
        .and(path("/api/v1/rules"))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(&server)
        .await;
    server
}

fn gate(uri: &str) -> AlertGate {
    let client = Server::new(uri)
        .unwrap()
        .timeout(Duration::from_secs(2))
        .client()
        .unwrap();
    AlertGate::new("alerts", Policy::watching(["Errors"]), client, Arc::new(Noon))
}

fn v2() -> delivery_core::Revision {
    delivery_core::Revision::new("v2").unwrap()
}

async fn asked(
    approver: &dyn Approver,
    kind: GateKind,
    name: &str,
    began: Option<Timestamp>,
) -> Result<Answer, PortError> {
    let (gate, revision) = (Gate::new(kind, name), v2());
    let question = GateQuestion {
        gate: &gate,
        revision: &revision,
        phase: Phase::Progressing,
        began,
        checks: Checks::default(),
        key: "v2/7",
    };
    approver.ask(&question).await
}

/// Whether it says yes.
async fn yes(gate: &AlertGate, kind: GateKind, began: Option<Timestamp>) -> bool {
    asked(gate, kind, "alerts", began).await.unwrap() == Answer::Approved
}

#[tokio::test]
async fn only_a_firing_alert_rolls_back_and_only_silence_goes_on() {
    for (alert, goes_on, rolls_back) in [
        ("none", true, false),
        ("pending", false, false),
        ("firing", false, true),
    ] {
        let server = server(alert).await;
        let gate = gate(&server.uri());
        for kind in GateKind::ALL {
            let expected = match kind {
                GateKind::Rollback => rolls_back,
                _ => goes_on,
            };
            assert_eq!(yes(&gate, kind, Some(ELEVEN)).await, expected, "{alert} {kind}");
        }
    }
}

#[tokio::test]
async fn an_alert_that_is_older_than_the_rollout_does_nothing() {
    let server = server("firing").await;
    let gate = gate(&server.uri());
    for began in [None, Some(NOON)] {
        for kind in GateKind::ALL {
            assert_eq!(
                yes(&gate, kind, began).await,
                kind != GateKind::Rollback,
                "{kind} {began:?}"
            );
        }
    }
}

#[tokio::test]
async fn gates_of_other_names_are_handed_on_or_refused() {
    let server = server("none").await;
    let error = asked(&gate(&server.uri()), GateKind::ConfirmPromotion, "boss", None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.fault, error.to_string().as_str()),
        (Fault::Permanent, "asking the gate `boss`")
    );
    let both = gate(&server.uri()).others(Arc::new(Open));
    assert_eq!(
        asked(&both, GateKind::ConfirmPromotion, "boss", None)
            .await
            .unwrap(),
        Answer::Approved
    );
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_approves_nothing() {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let uri = format!("http://{free}");
    let gate = gate(&uri);
    for kind in [GateKind::Rollback, GateKind::ConfirmPromotion] {
        let error = asked(&gate, kind, "alerts", None).await.unwrap_err();
        assert!(matches!(error.fault, Fault::Transient { .. }), "{error:?}");
        assert!(error.source.to_string().contains(&uri), "{}", error.source);
    }
}

#[tokio::test]
async fn it_keeps_the_contract_of_an_approver() {
    let server = server("none").await;
    let it = gate(&server.uri());
    for gate in it.gates() {
        let question = GateQuestion {
            gate: &gate,
            revision: &v2(),
            phase: Phase::Progressing,
            began: None,
            checks: Checks::default(),
            key: "v2/7",
        };
        let wait = async || tokio::time::sleep(Duration::from_millis(10)).await;
        contract::approver(&it, &question, wait).await.unwrap();
    }
}
