//! Webhooks against a real server: what it gets, and what its answers mean.

#[path = "../../delivery-outbound/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use delivery_core::analysis::Checks;
use delivery_core::contract;
use delivery_core::plan::{Fallback, Gate, GateKind};
use delivery_core::port::{Answer, Approver, Fault, GateQuestion, Notifier, PortError};
use delivery_core::rollout::{Notice, Phase, Reason, Severity};
use delivery_core::{Revision, Timestamp, Weight};
use delivery_http::hook::{Authentication, HookKind, Webhook, Webhooks};
use delivery_http::{Client, FanOut};
use serde_json::{Value, json};

use support::{Broken, Receiver, Says, broken, client};

// Gates

#[tokio::test]
async fn a_gate_is_asked_as_flagger_asks() {
    let server = Receiver::saying(Says::status(200)).await;
    for kind in HookKind::ALL {
        let Some(gate) = kind.gate() else { continue };
        let hooks = hooks(
            json!([{ "type": kind.name(), "name": "it", "url": server.url("/gate/check?x=1"), "metadata": { "cmd": "hey" } }]),
        );
        assert_eq!(hooks.gates(), [Gate::new(gate, "it")]);
        assert_eq!(ask(&hooks, gate, "it").await.unwrap(), Answer::Approved);
        let got = server.take();
        let [call] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(
            (call.method.as_str(), call.path.as_str()),
            ("POST", "/gate/check?x=1")
        );
        assert_eq!(call.headers["content-type"], "application/json");
        let phase = match kind {
            HookKind::ConfirmRollout | HookKind::Rollback => "WaitingPromotion",
            _ => "Progressing",
        };
        let expected = json!({
            "name": "web", "namespace": "shop", "phase": phase, "checksum": call.body["checksum"], "metadata": { "cmd": "hey" },
        });
        assert_eq!(call.body, expected);
        // In Flagger's order, for those who compare texts.
        assert!(
            call.text
                .starts_with(r#"{"name":"web","namespace":"shop","phase":""#),
            "{}",
            call.text
        );
    }
}

#[tokio::test]
async fn any_2xx_approves_and_what_else_is_said_reaches_the_reason() {
    for status in [200, 201, 202, 204, 250] {
        let server = Receiver::saying(Says::status(status)).await;
        assert_eq!(asked(&server).await.unwrap(), Answer::Approved, "{status}");
    }
    for status in [400, 401, 403, 404, 409, 501] {
        let server = Receiver::saying(Says::status(status).body("3 of 20 tests\nfailed")).await;
        let said = format!(
            "http://{} answered {status}: 3 of 20 tests failed",
            server.address
        );
        assert_eq!(asked(&server).await.unwrap(), Answer::Denied(said));
    }
    for status in [408, 429, 500, 503] {
        let server = Receiver::saying(Says::status(status).body("out of order")).await;
        let error = asked(&server).await.unwrap_err();
        assert!(matches!(error.fault, Fault::Transient { .. }));
        let said = format!(
            "asking confirm-promotion it: http://{} answered {status}: out of order",
            server.address
        );
        assert_eq!(chain(&error), said);
    }
}

/// A proxy in front of a gate wants a person to log in: by a redirect to its page, or with the page itself.
#[tokio::test]
async fn no_page_to_log_in_opens_a_gate_or_rolls_back() {
    const PAGE: &str = "\n<!DOCTYPE html><form method=post><input name=user><input TYPE='Password'></form>";
    for status in [200, 301, 302, 303] {
        for kind in GateKind::ALL {
            let server = Receiver::start(move |it| match it.path.as_str() {
                "/gate" => Says::status(status).header("location", "/login").body(PAGE),
                _ => Says::status(200).body(PAGE),
            })
            .await;
            let hooks = hooks(json!([{ "type": kind.name(), "name": "it", "url": server.url("/gate") }]));
            let said = ask(&hooks, kind, "it").await;
            assert!(
                !matches!(said, Ok(Answer::Approved)),
                "{kind}, {status}: {said:?}"
            );
            let got = server.got();
            assert!(
                got.iter().all(|it| it.path == "/gate"),
                "{kind}, {status}: the page was fetched"
            );
        }
    }
    let server = Receiver::saying(Says::status(200).body(PAGE)).await;
    let error = chain(&asked(&server).await.unwrap_err());
    assert!(error.contains("a page to log in, which is no answer"), "{error}");
    let server = Receiver::saying(Says::status(200).body("<p>approved, and no password=type here</p>")).await;
    assert_eq!(asked(&server).await.unwrap(), Answer::Approved);
}

#[tokio::test]
async fn a_gate_that_cannot_be_asked_has_not_approved() {
    for how in [
        Broken::Refuses,
        Broken::ResetsBefore,
        Broken::ResetsAfter,
        Broken::NoHttp,
        Broken::Hangs,
        Broken::Drips,
    ] {
        let hooks = hooks(
            json!([{ "type": "confirm-promotion", "name": "it", "url": broken(how).await, "timeout": "200ms" }]),
        );
        let error = ask(&hooks, GateKind::ConfirmPromotion, "it").await.unwrap_err();
        assert!(
            matches!(error.fault, Fault::Transient { .. }),
            "{how:?}: {error:?}"
        );
    }
    let none = hooks(json!([]));
    let error = ask(&none, GateKind::ConfirmPromotion, "it").await.unwrap_err();
    assert_eq!(
        chain(&error),
        "asking confirm-promotion it: there is no such webhook"
    );
}

#[tokio::test]
async fn the_timeout_is_for_each_attempt() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let server = Receiver::start(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => Says::status(200).after(Duration::from_secs(30)),
        _ => Says::status(200).after(Duration::from_millis(200)),
    })
    .await;
    let hooks = hooks(
        json!([{ "type": "confirm-promotion", "name": "it", "url": server.url("/"), "timeout": "500ms", "retries": 1 }]),
    );
    assert_eq!(
        ask(&hooks, GateKind::ConfirmPromotion, "it").await.unwrap(),
        Answer::Approved
    );
    let got = server.got();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].key(), got[1].key(), "an attempt is no other question");
}

#[tokio::test]
async fn a_question_has_its_key_whoever_asks_and_however_often() {
    let server = Receiver::saying(Says::status(200)).await;
    let written = json!([{ "type": "confirm-promotion", "name": "it", "url": server.url("/") }]);
    for key in ["v2/7/gate", "v2/7/gate", "v2/8/gate"] {
        // Another process each time.
        let hooks = hooks(written.clone());
        let gate = Gate::new(GateKind::ConfirmPromotion, "it");
        hooks.ask(&question(&gate, &v2(), key)).await.unwrap();
    }
    let keys: Vec<String> = server.got().iter().map(|it| it.key().to_owned()).collect();
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[0], keys[2]);
    assert!(keys[0].len() == 32 && keys[0].bytes().all(|it| it.is_ascii_hexdigit()));
}

#[tokio::test]
async fn the_ports_contract_is_kept() {
    let server = Receiver::saying(Says::status(200)).await;
    let written = json!([
        { "type": "confirm-promotion", "name": "it", "url": server.url("/") },
        { "type": "event", "name": "journal", "url": server.url("/") },
        { "type": "post-rollout", "name": "after", "url": server.url("/") },
    ]);
    let gate = Gate::new(GateKind::ConfirmPromotion, "it");
    let wait = async || tokio::time::sleep(Duration::from_millis(20)).await;
    contract::approver(
        &hooks(written.clone()),
        &question(&gate, &v2(), "v2/7/gate"),
        wait,
    )
    .await
    .unwrap();
    contract::notifier(&hooks(written), wait).await.unwrap();
    assert!(server.got().len() >= 4 + 3);
}

#[tokio::test]
async fn a_hook_that_hangs_holds_nobody_else() {
    let server = Receiver::start(|it| match it.path.as_str() {
        "/hangs" => Says::status(200).after(Duration::from_secs(60)),
        _ => Says::status(200),
    })
    .await;
    let client = client();
    let written = |path: &str| json!([{ "type": "confirm-promotion", "name": "it", "url": server.url(path), "timeout": "20s" }]);
    let hanging: Vec<Webhooks> = (0..200).map(|_| with(&client, written("/hangs"))).collect();
    let stuck = futures::future::join_all(hanging.iter().map(|it| ask(it, GateKind::ConfirmPromotion, "it")));
    let others = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for _ in 0..20 {
            ask(&with(&client, written("/")), GateKind::ConfirmPromotion, "it")
                .await
                .unwrap();
        }
    };
    tokio::select! {
        _ = stuck => panic!("they hang"),
        () = others => {}
    }
}

#[tokio::test]
async fn a_hook_with_a_secret_sends_it_and_the_others_do_not() {
    let server = Receiver::saying(Says::status(200)).await;
    let written = vec![
        hook(json!({ "type": "confirm-promotion", "name": "it", "url": server.url("/") })),
        hook(json!({ "type": "confirm-promotion", "name": "keyed", "url": server.url("/") })),
        hook(json!({ "type": "confirm-promotion", "name": "other", "url": server.url("/") })),
    ];
    let hooks = Webhooks::of("web", "shop")
        .hooks(written)
        .authenticate("it", Authentication::bearer("token", "s3cret".into()).unwrap())
        .authenticate(
            "keyed",
            Authentication::header("key", "X-Api-Key", "s3cret".into()).unwrap(),
        )
        .build(&client())
        .unwrap();
    assert!(!format!("{hooks:?}").contains("s3cret"));
    for name in ["it", "keyed", "other"] {
        ask(&hooks, GateKind::ConfirmPromotion, name).await.unwrap();
    }
    let got = server.got();
    let sent = |at: usize, name: &str| got[at].headers.get(name).map(String::as_str);
    assert_eq!(
        (sent(0, "authorization"), sent(0, "x-api-key")),
        (Some("Bearer s3cret"), None)
    );
    assert_eq!(
        (sent(1, "authorization"), sent(1, "x-api-key")),
        (None, Some("s3cret"))
    );
    assert_eq!((sent(2, "authorization"), sent(2, "x-api-key")), (None, None));
}

// Notices

#[tokio::test]
async fn an_event_hook_hears_everything_and_a_post_rollout_hook_the_end() {
    let server = Receiver::saying(Says::status(204)).await;
    let hooks = hooks(json!([
        { "type": "event", "name": "journal", "url": server.url("/event"), "metadata": { "team": "a" } },
        { "type": "post-rollout", "name": "after", "url": server.url("/after"), "metadata": { "team": "b" } },
        { "type": "rollout", "name": "gate", "url": server.url("/gate") },
    ]));
    let table = [
        (Phase::Progressing, Reason::StepDone, "/event"),
        (Phase::RollingBack, Reason::TrafficBack, "/event"),
        (Phase::Succeeded, Reason::Promoted, "/event /after"),
        (Phase::Failed, Reason::TrafficBack, "/event /after"),
        (Phase::Failed, Reason::PromotionFailed, "/event /after"),
        (Phase::Failed, Reason::Withdrawn, "/event"),
    ];
    for (id, (phase, reason, paths)) in (1..).zip(table) {
        hooks.send(&notice(id, phase, reason)).await.unwrap();
        let mut got = server.take();
        got.sort_by(|a, b| b.path.cmp(&a.path));
        let called: Vec<&str> = got.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(called.join(" "), paths, "{phase}");
        assert_eq!(got[0].body["metadata"]["timestamp"], "1777000000000");
        assert_eq!(got[0].body["metadata"]["team"], "a");
        if let Some(after) = got.get(1) {
            assert_eq!(
                (&after.body["phase"], &after.body["metadata"]),
                (&json!(phase.to_string()), &json!({ "team": "b" }))
            );
            assert_ne!(after.key(), got[0].key());
        }
    }
}

#[tokio::test]
async fn a_notice_that_one_hook_did_not_take_comes_back_to_that_one_only() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let server = Receiver::start(move |it| match it.path.as_str() {
        "/bad" if counted.fetch_add(1, Ordering::SeqCst) == 0 => Says::status(500),
        _ => Says::status(200),
    })
    .await;
    let hooks = hooks(json!([
        { "type": "event", "name": "good", "url": server.url("/good") },
        { "type": "event", "name": "bad", "url": server.url("/bad"), "retries": 9 },
    ]));
    let notice = notice(7, Phase::Progressing, Reason::StepDone);
    let error = chain(&hooks.send(&notice).await.unwrap_err());
    assert!(
        error.starts_with("sending notice 7 of web.shop: event hook bad was not told: http://127.0.0.1:"),
        "{error}"
    );
    // For a second, it is left alone.
    let error = chain(&hooks.send(&notice).await.unwrap_err());
    assert!(error.contains("left alone for"), "{error}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    hooks.send(&notice).await.unwrap();
    hooks.send(&notice).await.unwrap();
    let got = server.got();
    let of = |path: &str| {
        got.iter()
            .filter(|it| it.path == path)
            .map(|it| it.key().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!((of("/good").len(), of("/bad").len()), (1, 2));
    assert_eq!(of("/bad")[0], of("/bad")[1]);
}

#[tokio::test]
async fn a_payload_that_is_not_taken_as_it_is_is_reported_once() {
    let server = Receiver::saying(Says::status(422).body("no such team")).await;
    let hooks = hooks(json!([{ "type": "event", "name": "journal", "url": server.url("/") }]));
    let notice = notice(7, Phase::Progressing, Reason::StepDone);
    assert!(chain(&hooks.send(&notice).await.unwrap_err()).ends_with("answered 422: no such team"));
    hooks.send(&notice).await.unwrap();
    assert_eq!(server.got().len(), 1);
}

#[tokio::test]
async fn a_muted_hook_alerts_nobody_and_events_are_sent_all_the_same() {
    let (events, alerts) = (
        Receiver::saying(Says::status(200)).await,
        Receiver::saying(Says::status(200)).await,
    );
    let hooks = hooks(json!([
        { "type": "confirm-promotion", "name": "quiet", "url": events.url("/"), "muteAlert": true },
        { "type": "confirm-promotion", "name": "loud", "url": events.url("/") },
        { "type": "rollback", "name": "quiet", "url": events.url("/"), "muteAlert": true },
        { "type": "event", "name": "journal", "url": events.url("/") },
    ]));
    let alerting = with(
        &client(),
        json!([{ "type": "event", "name": "alert", "url": alerts.url("/") }]),
    );
    let muted = hooks.mute(alerting);
    let all = FanOut::new().and(&muted).and(&hooks);
    let denied = |gate: &str| Reason::Denied {
        kind: GateKind::ConfirmPromotion,
        gate: gate.into(),
        said: String::new(),
    };
    let reasons = [
        denied("quiet"),
        denied("loud"),
        Reason::RollbackAsked { gate: "quiet".into() },
        Reason::Promoted,
    ];
    for (id, reason) in (1..).zip(reasons) {
        all.send(&notice(id, Phase::Progressing, reason)).await.unwrap();
    }
    let messages: Vec<Value> = alerts
        .got()
        .iter()
        .map(|it| it.body["metadata"]["eventMessage"].clone())
        .collect();
    assert_eq!(
        messages,
        [
            "web.shop: confirm-promotion loud denied",
            "web.shop: promotion completed"
        ]
    );
    assert_eq!(events.got().len(), 4);
}

#[tokio::test]
async fn several_notifiers_that_fail_are_all_named() {
    let url = broken(Broken::Refuses).await;
    let one = |name: &str| hooks(json!([{ "type": "event", "name": name, "url": url }]));
    let (a, b) = (one("a"), one("b"));
    let error = FanOut::new()
        .and(&a)
        .and(&b)
        .send(&notice(7, Phase::Progressing, Reason::StepDone))
        .await;
    let error = error.unwrap_err();
    assert!(matches!(error.fault, Fault::Transient { .. }));
    let text = chain(&error);
    assert!(
        text.contains("event hook a was not told") && text.contains("event hook b was not told"),
        "{text}"
    );
}

// Bad input

#[test]
fn everything_that_cannot_be_used_is_told_at_once() {
    let restricted = Client::builder()
        .allow_hosts(["example.com"])
        .unwrap()
        .build()
        .unwrap();
    let written = [
        json!({ "name": "", "url": "http://example.com/" }),
        json!({ "name": "a", "url": "example.com" }),
        json!({ "name": "b", "url": "http://evil.test/" }),
        json!({ "name": "c", "url": "http://example.com/", "timeout": "25h", "retries": 101, "every": 0 }),
        json!({ "name": "d", "url": "http://example.com/", "deadline": "1h", "default": "approve" }),
        json!({ "name": "e", "url": "http://example.com/", "type": "pre-rollout", "default": "approve" }),
    ];
    let built = Webhooks::of("web", "shop")
        .hooks(written.map(hook))
        .authenticate(
            "nobody",
            Authentication::bearer("token", "s3cret".into()).unwrap(),
        )
        .build(&restricted);
    let error = built.unwrap_err().to_string();
    for problem in [
        "webhooks: authentication for `nobody`; expected the name of one of them",
        "webhooks[0].name: an empty name; expected a name",
        "webhooks[1].url: not a URL",
        "webhooks[2].url: http://evil.test is not among the allowed hosts",
        "webhooks[3].timeout: 90000s; expected 1ms to 24h",
        "webhooks[3].retries: 101; expected 0 to 100",
        "webhooks[3].every: 0; expected at least 1",
        "webhooks[4].deadline: a deadline of rollout; expected a gate that is waited for",
        "webhooks[5].default: a default without a deadline",
    ] {
        assert!(error.contains(problem), "{problem}\n{error}");
    }
}

#[test]
fn a_secret_that_no_header_can_have_is_refused_and_not_repeated() {
    for secret in ["s3cret\nX-Evil: 1", "s3cret\0", ""] {
        for made in [
            Authentication::bearer("token", secret.into()),
            Authentication::header("token", "X-Key", secret.into()),
        ] {
            let error = made.unwrap_err();
            assert!(
                error.to_string().starts_with("token: ") && !format!("{error:?}").contains("s3cret"),
                "{error:?}"
            );
        }
    }
    assert!(Authentication::header("token", "no name", "s3cret".into()).is_err());
}

#[test]
fn hooks_of_one_name_are_told_apart_and_gates_take_deadlines_along() {
    let hooks = hooks(json!([
        { "name": "load", "url": "http://a/" },
        { "name": "load", "url": "http://b/" },
        { "name": "load", "type": "event", "url": "http://b/" },
        { "name": "load", "type": "confirm-promotion", "url": "http://c/", "deadline": "4h", "default": "approve", "every": 2 },
    ]));
    let gates = [
        Gate::new(GateKind::Rollout, "load"),
        Gate::new(GateKind::Rollout, "load 2"),
        Gate {
            deadline: Some(Duration::from_secs(4 * 3_600)),
            default: Fallback::Approve,
            every: 2,
            ..Gate::new(GateKind::ConfirmPromotion, "load")
        },
    ];
    assert_eq!(hooks.gates(), gates);
}

// Helpers

fn hook(value: Value) -> Webhook {
    serde_json::from_value(value).unwrap()
}

fn hooks(written: Value) -> Webhooks {
    with(&client(), written)
}

fn with(client: &Client, written: Value) -> Webhooks {
    let written: Vec<Webhook> = serde_json::from_value(written).unwrap();
    Webhooks::of("web", "shop").hooks(written).build(client).unwrap()
}

fn v2() -> Revision {
    Revision::new("v2").unwrap()
}

fn question<'a>(gate: &'a Gate, revision: &'a Revision, key: &'a str) -> GateQuestion<'a> {
    GateQuestion {
        gate,
        revision,
        phase: Phase::WaitingPromotion,
        began: None,
        checks: Checks::default(),
        key,
    }
}

async fn ask(hooks: &Webhooks, kind: GateKind, name: &str) -> Result<Answer, PortError> {
    hooks
        .ask(&question(&Gate::new(kind, name), &v2(), "v2/7/gate"))
        .await
}

async fn asked(server: &Receiver) -> Result<Answer, PortError> {
    let hooks = hooks(json!([{ "type": "confirm-promotion", "name": "it", "url": server.url("/") }]));
    ask(&hooks, GateKind::ConfirmPromotion, "it").await
}

fn notice(id: u64, phase: Phase, reason: Reason) -> Notice {
    Notice {
        id,
        at: Timestamp::from_millis(1_777_000_000_000),
        revision: Some(v2()),
        phase,
        weight: Weight::ZERO,
        severity: Severity::Info,
        reason,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |it| it.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
