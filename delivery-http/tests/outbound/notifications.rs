use std::sync::Arc;
use std::time::Duration;

use delivery_core::contract;
use delivery_core::driver::Ports;
use delivery_core::plan::{Canary, Capabilities, Spec, Strategy};
use delivery_core::port::{Fault, Notifier, Sent};
use delivery_core::rollout::Phase;
use delivery_core::sim::{Happening, Scenario, World};
use delivery_core::{Revision, advance};
use delivery_http::Client;
use delivery_http::notify::{About, Message, Notifications, Rate, Receiver, SENDERS, Sender};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::inbox::{Answer, Inbox};
use crate::words::{about, chain, client, denied, failed, promoted, receiver, stepped, telling, told};

#[tokio::test]
async fn every_sender_tells_a_real_server() {
    for (sender, path) in SENDERS.iter().zip([
        "/hook?a=b",
        "/hook?a=b",
        "/hook?a=b",
        "/hook/slack?a=b",
        "/hook?a=b",
        "/hook?a=b",
        "/hook?a=b",
        "/hook/api/v2/alerts?a=b",
        "/hook?a=b",
    ]) {
        let inbox = Inbox::open().await;
        let address = format!("{}/hook?a=b", inbox.url);
        let receiver = receiver(sender.name, &address).token("t0ken".into()).unwrap();
        let (about, notice) = (about(), promoted(7));
        let bodies = receiver.bodies(&Message {
            about: &about,
            notice: &notice,
        });
        told(&telling([receiver]), &notice).await.unwrap();
        let got = inbox.got();
        assert_eq!((got.len(), bodies.len()), (1, 1), "{}", sender.name);
        assert_eq!(
            (got[0].method.as_str(), got[0].target.as_str()),
            ("POST", path),
            "{}",
            sender.name
        );
        assert_eq!(got[0].body, bodies[0], "{}", sender.name);
        assert_eq!(got[0].header("content-type"), sender.content_type);
        assert_eq!(got[0].header("authorization"), "Bearer t0ken");
        assert_eq!(got[0].header("idempotency-key"), "shop/web/1777000007000/7");
    }
}

#[tokio::test]
async fn what_is_appended_to_an_address_may_be_there_already() {
    for (name, path) in [
        ("discord", "/hook/slack"),
        ("alertmanager", "/api/v2/alerts"),
        ("alertmanager", "/api/v2/alerts/"),
    ] {
        let inbox = Inbox::open().await;
        told(
            &telling([receiver(name, &format!("{}{path}", inbox.url))]),
            &failed(1),
        )
        .await
        .unwrap();
        assert_eq!(inbox.got()[0].target, path);
    }
}

#[tokio::test]
async fn it_keeps_the_promises_of_every_notifier() {
    let inbox = Inbox::open().await;
    let all = telling(SENDERS.iter().map(|it| receiver(it.name, &inbox.url)));
    let wait = async || tokio::time::sleep(Duration::from_millis(10)).await;
    contract::notifier(&all, wait).await.unwrap();
    // Three notices, each sent twice: seven chats and Alertmanager got them once. Of these, CDEvents know an incident.
    assert_eq!(inbox.got().len(), 3 * 8 + 1);
}

#[tokio::test]
async fn a_notice_is_not_told_twice_by_the_same_process() {
    let inbox = Inbox::open().await;
    let notifications = telling([receiver("webhook", &inbox.url)]);
    for notice in [stepped(1), stepped(1), stepped(2), stepped(1), stepped(2)] {
        told(&notifications, &notice).await.unwrap();
    }
    assert_eq!(ids(&inbox), [1, 2]);
}

#[tokio::test]
async fn what_is_told_again_after_a_crash_is_the_same_to_the_byte() {
    for sender in SENDERS {
        let inbox = Inbox::open().await;
        for _process in 0..2 {
            told(&telling([receiver(sender.name, &inbox.url)]), &promoted(1))
                .await
                .unwrap();
        }
        let got = inbox.got();
        assert_eq!(got.len(), 2, "{}", sender.name);
        assert_eq!(got[0].body, got[1].body);
        assert_eq!(got[0].header("idempotency-key"), got[1].header("idempotency-key"));
    }
}

#[tokio::test]
async fn two_bodies_of_a_notice_are_not_taken_for_repeats_of_each_other() {
    const TWICE: Sender = Sender {
        name: "twice",
        bodies: |_, _| vec![json!(1), json!(2)],
        ..Sender::CHAT
    };
    let inbox = Inbox::open().await;
    for _process in 0..2 {
        let twice = Receiver::new(&TWICE, &inbox.url.as_str().into()).unwrap();
        told(&telling([twice]), &promoted(7)).await.unwrap();
    }
    let got = inbox.got();
    let keys: Vec<&str> = got.iter().map(|it| it.header("idempotency-key")).collect();
    let (first, second) = ("shop/web/1777000007000/7", "shop/web/1777000007000/7/2");
    assert_eq!(keys, [first, second, first, second]);
}

#[tokio::test]
async fn a_sender_of_ones_own_tells_a_real_server() {
    const NTFY: Sender = Sender {
        name: "ntfy",
        path: "/rollouts",
        bodies: |message, _| vec![json!({ "message": message.text() })],
        ..Sender::CHAT
    };
    let inbox = Inbox::open().await;
    let ntfy = Receiver::new(&NTFY, &inbox.url.as_str().into()).unwrap();
    told(&telling([ntfy]), &promoted(1)).await.unwrap();
    let got = inbox.got().remove(0);
    assert_eq!(got.target, "/rollouts");
    assert_eq!(
        got.body,
        json!({ "message": "Succeeded v2, 10 % to the canary: promotion completed" })
    );
}

#[tokio::test]
async fn a_receiver_that_fails_gets_it_later_and_the_others_do_not_get_it_again() {
    let (good, bad) = (
        Inbox::open().await,
        Inbox::open().await.then([Answer::status(503)]),
    );
    let notifications = telling([
        receiver("slack", &good.url).named("team"),
        receiver("webhook", &bad.url).named("audit"),
    ]);
    let error = told(&notifications, &stepped(1)).await.unwrap_err();
    assert_eq!(error.fault, Fault::Transient { after: None });
    let says = format!(
        "sending notice 1 of web.shop: audit was not told: {} answered 503",
        bad.url
    );
    assert_eq!(chain(&error), says);
    while told(&notifications, &stepped(1)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((good.got().len(), bad.got().len()), (1, 2));
}

#[tokio::test]
async fn a_receiver_is_left_alone_for_as_long_as_it_asks() {
    let busy = Answer {
        after: Some(600),
        ..Answer::status(503)
    };
    let inbox = Inbox::open().await.then([busy]);
    let shared = Arc::new(receiver("webhook", &inbox.url).named("audit"));
    let of =
        |name| Notifications::new(client(), About::new(name, "shop"), vec![Arc::clone(&shared)]).unwrap();
    let (web, api) = (of("web"), of("api"));
    told(&web, &stepped(1)).await.unwrap_err();
    for id in [1, 2, 1, 2] {
        let sent = web.send(&stepped(id)).await.unwrap();
        assert_eq!(sent, Sent::Underway, "what failed was reported once");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Another rollout hears why its notice does not arrive.
    let error = told(&api, &stepped(1)).await.unwrap_err();
    let text = chain(&error);
    assert!(text.contains("audit was not told: left alone for"), "{text}");
    assert!(matches!(error.fault, Fault::Transient { after: Some(_) }));
    assert_eq!(inbox.got().len(), 1);
}

#[tokio::test]
async fn everybody_who_fails_is_reported() {
    let (one, two) = (Inbox::open().await, Inbox::open().await);
    let (one, two) = (
        one.then([Answer::status(404)]),
        two.then([Answer {
            after: Some(30),
            ..Answer::status(429)
        }]),
    );
    let notifications = telling([receiver("slack", &one.url), receiver("gchat", &two.url)]);
    // At the same time, or one after the other.
    let mut said = String::new();
    while !(said.contains("slack") && said.contains("gchat")) {
        let error = told(&notifications, &stepped(1)).await.unwrap_err();
        said += &chain(&error);
    }
    for says in [
        format!("slack was not told: {} answered 404", one.url),
        format!("gchat was not told: {} answered 429", two.url),
    ] {
        assert!(said.contains(&says), "{said}");
    }
}

#[tokio::test]
async fn a_message_that_is_refused_as_it_is_is_reported_once() {
    for status in [400, 413, 415, 422] {
        let inbox = Inbox::open().await.then([Answer {
            body: "invalid_payload".into(),
            ..Answer::status(status)
        }]);
        let notifications = telling([receiver("slack", &inbox.url)]);
        let error = told(&notifications, &stepped(1)).await.unwrap_err();
        assert_eq!(error.fault, Fault::Permanent);
        assert!(
            chain(&error).ends_with(&format!("answered {status}: invalid_payload")),
            "{}",
            chain(&error)
        );
        told(&notifications, &stepped(1)).await.unwrap();
        told(&notifications, &stepped(2)).await.unwrap();
        assert_eq!(inbox.got().len(), 2, "the one that was refused, and the next");
    }
}

#[tokio::test]
async fn a_receiver_that_is_set_up_wrongly_keeps_its_notices() {
    for status in [401, 403, 404, 410] {
        let inbox = Inbox::answering(move |_| Answer::status(status)).await;
        let notifications = telling([receiver("slack", &inbox.url)]);
        let error = told(&notifications, &stepped(1)).await.unwrap_err();
        assert_eq!(error.fault, Fault::Permanent);
        assert!(told(&notifications, &stepped(1)).await.is_err(), "not given up");
    }
}

#[tokio::test]
async fn slacks_api_may_decline_with_200() {
    let decline = Answer::body(r#"{"ok":false,"error":"channel_not_found"}"#);
    let inbox = Inbox::open().await.then([decline]);
    let error = told(&telling([receiver("slack", &inbox.url)]), &stepped(1))
        .await
        .unwrap_err();
    assert!(
        chain(&error).ends_with("declined: channel_not_found"),
        "{}",
        chain(&error)
    );
}

/// What workflows and connectors of Teams say.
#[tokio::test]
async fn teams_says_in_its_own_ways_what_it_took() {
    let declined = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId tcid=0";
    let disabled =
        r#"{"error":{"code":"WorkflowTriggerIsNotEnabled","message":"Could not execute workflow"}}"#;
    let says = |status, body: &str| Answer {
        body: body.into(),
        ..Answer::status(status)
    };
    let throttled = Answer {
        after: Some(7),
        ..says(429, r#"{"error":{"code":"WorkflowRunThrottled"}}"#)
    };
    for (answer, error) in [
        (says(202, ""), None),
        (says(200, "1"), None),
        (
            says(200, declined),
            Some("declined: Webhook message delivery failed"),
        ),
        (
            says(400, disabled),
            Some("answered 400: {\"error\":{\"code\":\"WorkflowTriggerIsNotEnabled\""),
        ),
        (throttled, Some("answered 429: ")),
    ] {
        let inbox = Inbox::open().await.then([answer]);
        let sent = told(&telling([receiver("msteams", &inbox.url)]), &stepped(1)).await;
        let said = sent.err().map(|it| chain(&it));
        assert_eq!(said.is_some(), error.is_some(), "{said:?}");
        if let (Some(said), Some(error)) = (said, error) {
            assert!(said.contains(error), "{said}");
        }
        assert_eq!(inbox.got()[0].body["type"], "message");
    }
}

#[tokio::test]
async fn no_more_than_the_rate_and_errors_all_the_same() {
    let inbox = Inbox::open().await;
    let rate = Some(Rate {
        notices: 2,
        per: Duration::from_secs(3_600),
    });
    let notifications = telling([receiver("webhook", &inbox.url).rate(rate)]);
    for notice in [stepped(1), denied(2), stepped(3), failed(4), stepped(5)] {
        assert_eq!(notifications.send(&notice).await.unwrap(), Sent::Underway);
    }
    told(&notifications, &failed(4)).await.unwrap();
    told(&notifications, &failed(6)).await.unwrap();
    for late in [stepped(3), stepped(5)] {
        assert_eq!(notifications.send(&late).await.unwrap(), Sent::Underway);
    }
    assert_eq!(ids(&inbox), [1, 2, 4, 6]);
    assert_eq!(notifications.flush(Duration::ZERO).await, 2);
}

#[tokio::test]
async fn a_receiver_has_one_rate_for_all_rollouts() {
    let inbox = Inbox::open().await;
    let rate = Some(Rate {
        notices: 1,
        per: Duration::from_secs(3_600),
    });
    let shared = Arc::new(receiver("webhook", &inbox.url).rate(rate));
    let of =
        |name| Notifications::new(client(), About::new(name, "shop"), vec![Arc::clone(&shared)]).unwrap();
    told(&of("web"), &stepped(1)).await.unwrap();
    let api = of("api");
    assert_eq!(api.send(&stepped(1)).await.unwrap(), Sent::Underway);
    assert_eq!(api.flush(Duration::from_millis(50)).await, 1);
    assert_eq!(inbox.got().len(), 1);
}

#[tokio::test]
async fn what_is_sent_in_between_arrives_in_order_and_once() {
    let inbox = Inbox::open().await.then([Answer::status(503)]);
    let notifications = telling([receiver("webhook", &inbox.url)]);
    let mut failures = 0;
    for id in 0..20 {
        for again in 0..=id {
            failures += usize::from(notifications.send(&stepped(again)).await.is_err());
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(notifications.flush(Duration::from_secs(60)).await, 0);
    for id in 0..20 {
        failures += usize::from(told(&notifications, &stepped(id)).await.is_err());
    }
    assert_eq!(failures, 1, "what failed was reported once");
    let wanted: Vec<u64> = [0].into_iter().chain(0..20).collect();
    assert_eq!(ids(&inbox), wanted, "the first one was refused once");
}

#[tokio::test]
async fn it_stops_with_its_owner_and_waits_no_longer_than_it_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let notifications = telling([receiver("webhook", &url).timeout(Duration::from_secs(3_600))]);
    for id in 0..3 {
        assert_eq!(notifications.send(&stepped(id)).await.unwrap(), Sent::Underway);
    }
    let (mut call, _) = listener.accept().await.unwrap();
    assert_eq!(notifications.flush(Duration::from_millis(50)).await, 3);
    drop(notifications);
    // The call ends although nobody has answered it.
    let mut request = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), call.read_to_end(&mut request));
    let _ = ended.await.expect("the call goes on");
    assert!(request.starts_with(b"POST / HTTP/1.1"));
}

#[test]
fn what_waits_outlives_its_runtime() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (first, second) = (runtime(), runtime());
    let inbox = second.block_on(Inbox::open());
    let notifications = telling([receiver("webhook", &inbox.url)]);
    // The task is begun, and dropped with its runtime before it has sent anything.
    assert_eq!(
        first.block_on(notifications.send(&stepped(1))).unwrap(),
        Sent::Underway
    );
    drop(first);
    second.block_on(told(&notifications, &stepped(1))).unwrap();
    assert_eq!(ids(&inbox), [1]);
}

#[test]
fn without_a_runtime_it_says_so() {
    let notifications = telling([receiver("webhook", "http://127.0.0.1:9")]);
    let error = futures::executor::block_on(notifications.send(&stepped(1))).unwrap_err();
    assert!(
        chain(&error).starts_with("sending notice 1 of web.shop: "),
        "{}",
        chain(&error)
    );
}

/// The ids of what arrived, in that order.
fn ids(inbox: &Inbox) -> Vec<u64> {
    inbox
        .got()
        .iter()
        .map(|it| it.body["id"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn whom_the_client_may_not_call_is_refused_at_once() {
    let client = Client::builder()
        .allow_hosts(["hooks.slack.com"])
        .unwrap()
        .build()
        .unwrap();
    let build = |address: &str| {
        let receiver = Arc::new(receiver("slack", address).named("team"));
        Notifications::new(client.clone(), about(), vec![receiver]).map(drop)
    };
    build("https://hooks.slack.com/services/s3cret").unwrap();
    let error = build("https://evil.example.com/s3cret").unwrap_err().to_string();
    assert!(
        error.starts_with("address of team: https://evil.example.com"),
        "{error}"
    );
    assert!(!error.contains("s3cret"));
}

#[tokio::test]
async fn a_rollout_goes_on_although_a_receiver_is_dead() {
    let inbox = Inbox::open().await;
    let notifications = telling([
        receiver("webhook", &inbox.url),
        receiver("slack", "http://127.0.0.1:9/nobody").named("dead"),
    ]);
    let (v1, v2) = (Revision::new("v1").unwrap(), Revision::new("v2").unwrap());
    let canary = Canary {
        step_weight: Some(50.0),
        ..Canary::default()
    };
    let (plan, _) = Spec::new(Strategy::Canary(canary))
        .compile(&Capabilities::ALL)
        .unwrap();
    let scenario = Scenario {
        happenings: vec![Happening::push(Duration::from_secs(30), v2.clone())],
        ..Scenario::new(v1)
    };
    let world = World::new(&scenario);
    let ports = Ports {
        notifier: &notifications,
        ..world.ports()
    };
    let (mut troubles, mut state) = (0, None);
    for _ in 0..1_000 {
        let now = advance(&plan, &ports, &[]).await.unwrap();
        for trouble in &now.troubles {
            assert!(chain(trouble).contains("dead was not told"), "{}", chain(trouble));
            troubles += 1;
        }
        let ended = now.state.phase() == Phase::Succeeded;
        state = Some(now.state);
        if ended {
            break;
        }
        let next = [now.until, world.next_change()]
            .into_iter()
            .flatten()
            .min()
            .unwrap();
        world.advance_to(next);
        // Those who send have a moment.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let state = state.unwrap();
    assert_eq!((state.phase(), state.primary), (Phase::Succeeded, Some(v2)));
    assert!(
        troubles > 0 && !state.outbox.is_empty(),
        "what was not told is still there"
    );
    while inbox.got().len() < state.outbox.len() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let wanted: Vec<u64> = state.outbox.iter().map(|it| it.id).collect();
    assert_eq!(ids(&inbox), wanted, "everything once, in order, and nothing else");
    assert_eq!(inbox.got().last().unwrap().body["phase"], "Succeeded");
}

#[tokio::test]
async fn a_redirect_that_leaves_the_message_behind_is_not_followed() {
    for (status, hits) in [(301, 0), (302, 0), (303, 0), (307, 1), (308, 1)] {
        let other = Inbox::open().await;
        let away = Answer {
            location: Some(format!("{}/login", other.url)),
            ..Answer::status(status)
        };
        let inbox = Inbox::open().await.then([away]);
        let sent = told(&telling([receiver("webhook", &inbox.url)]), &stepped(1)).await;
        assert_eq!((sent.is_ok(), other.got().len()), (hits == 1, hits), "{status}");
        if let Some(got) = other.got().first() {
            assert_eq!((got.method.as_str(), &got.body), ("POST", &inbox.got()[0].body));
        }
    }
}
