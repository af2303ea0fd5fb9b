//! The gate server as its users see it: curl, Flagger's webhooks, a controller.

mod attacks;
#[path = "../../../delivery-outbound/tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use delivery_core::analysis::Checks;
use delivery_core::contract;
use delivery_core::plan::{Canary, Capabilities, Gate, GateKind, Spec, Strategy};
use delivery_core::port::{Answer, Approver, GateQuestion};
use delivery_core::rollout::{Command, Idle, Order, Phase, Reason, Stage};
use delivery_core::sim::{Happening, Scenario, Version, World};
use delivery_core::{Revision, State, advance};
use delivery_http::Endpoint;
use delivery_http::gate_server::{GateServer, GateServerBuilder, Remote};
use delivery_http::hook::{Authentication, Webhooks};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use support::client;

const ALICE: &str = "alice's token is long";
const BOB: &str = "bob's token is long too";

// Gates

#[tokio::test]
async fn paths_and_answers_are_those_of_flaggers_load_tester() {
    let server = Running::start("paths").await;
    let table = [
        ("/healthz", 200, "OK"),
        ("/gate/approve", 200, "OK"),
        ("/gate/halt", 403, "Forbidden"),
        ("/gate/check", 403, "Forbidden"),
        ("/gate/open", 202, ""),
        ("/gate/check", 200, "Approved"),
        ("/rollback/check", 403, "Forbidden"),
        ("/rollback/open", 202, ""),
        ("/rollback/check", 200, "Approved"),
        ("/gate/close", 202, ""),
        ("/gate/check", 403, "Forbidden"),
        ("/rollback/check", 200, "Approved"),
        ("/rollback/close", 202, ""),
        ("/rollback/check", 403, "Forbidden"),
    ];
    for (path, status, says) in table {
        // As a webhook of Flagger sends it.
        let body = json!({ "name": "web", "namespace": "shop", "phase": "Progressing", "checksum": "85d557f47b", "metadata": { "a": "b" } });
        assert_eq!(
            server.post(path, ALICE, &body).await,
            (status, says.to_owned()),
            "{path}"
        );
    }
    let other = json!({ "name": "api", "namespace": "shop" });
    server
        .post(
            "/gate/open",
            ALICE,
            &json!({ "name": "web", "namespace": "shop" }),
        )
        .await;
    assert_eq!(server.post("/gate/check", ALICE, &other).await.0, 403);
}

#[tokio::test]
async fn nothing_is_changed_without_a_token_and_checks_need_none_unless_asked_for() {
    let server = Running::start("tokens").await;
    let web = json!({ "name": "web", "namespace": "shop" });
    for token in ["", "nobody's token is long", &ALICE[1..], &format!("{ALICE}x")] {
        for path in [
            "/gate/open",
            "/gate/close",
            "/rollback/open",
            "/rollback/close",
            "/commands/shop/web",
        ] {
            assert_eq!(server.post(path, token, &web).await.0, 401, "{path} {token:?}");
        }
        for path in ["/gates", "/audit", "/commands/shop/web"] {
            assert_eq!(
                server.call(Method::GET, path, token, String::new()).await.0,
                401,
                "{path}"
            );
        }
        assert_eq!(
            server
                .call(Method::DELETE, "/commands/shop/web/1", token, String::new())
                .await
                .0,
            401
        );
        assert_eq!(server.post("/gate/check", token, &web).await.0, 403);
    }
    let strict = Running::with("strict-tokens", GateServerBuilder::checks_need_a_token).await;
    assert_eq!(strict.post("/gate/check", "", &web).await.0, 401);
    assert_eq!(strict.post("/gate/check", BOB, &web).await.0, 403);
}

#[tokio::test]
async fn webhooks_wait_for_the_gate_and_go_on_when_it_is_open() {
    let server = Running::start("webhooks").await;
    let written = json!([
        { "type": "confirm-promotion", "name": "gate", "url": server.url("/gate/check") },
        { "type": "rollback", "name": "gate", "url": server.url("/rollback/check") },
    ]);
    let hooks = Webhooks::of("web", "shop")
        .hooks(serde_json::from_value::<Vec<_>>(written).unwrap())
        .build(&client())
        .unwrap();
    let revision = Revision::new("v2").unwrap();
    let (promotion, rollback) = (
        Gate::new(GateKind::ConfirmPromotion, "gate"),
        Gate::new(GateKind::Rollback, "gate"),
    );
    let question = |gate| GateQuestion {
        gate,
        revision: &revision,
        phase: Phase::Progressing,
        began: None,
        checks: Checks::default(),
        key: "v2/7",
    };
    let denied = Answer::Denied(format!("http://{} answered 403: Forbidden", server.address));
    assert_eq!(hooks.ask(&question(&promotion)).await.unwrap(), denied);
    server
        .post(
            "/gate/open",
            ALICE,
            &json!({ "name": "web", "namespace": "shop" }),
        )
        .await;
    assert_eq!(hooks.ask(&question(&promotion)).await.unwrap(), Answer::Approved);
    assert_eq!(hooks.ask(&question(&rollback)).await.unwrap(), denied);
    let wait = async || tokio::time::sleep(Duration::from_millis(20)).await;
    contract::approver(&hooks, &question(&promotion), wait)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_open_stays_open_and_the_audit_says_who_when_and_what() {
    let mut server = Running::start("stays-open").await;
    let web = json!({ "name": "web", "namespace": "shop" });
    server.post("/gate/open", ALICE, &web).await;
    server.post("/gate/open", BOB, &web).await;
    server.post("/rollback/open", BOB, &web).await;
    server.post("/rollback/close", ALICE, &web).await;
    server
        .post("/commands/shop/web", BOB, &json!({ "order": "pause", "id": "7" }))
        .await;

    server.restart().await;
    assert_eq!(server.post("/gate/check", "", &web).await.0, 200);
    assert_eq!(server.post("/rollback/check", "", &web).await.0, 403);
    assert_eq!(
        server.read("/gates").await,
        json!([{ "gate": "gate", "rollout": "web.shop" }])
    );
    assert_eq!(
        server.read("/commands/shop/web").await,
        json!([{ "id": "7", "actor": "bob", "order": "pause" }])
    );

    let (status, audit) = server.call(Method::GET, "/audit", ALICE, String::new()).await;
    assert_eq!(status, 200);
    let lines: Vec<Value> = audit
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let told: Vec<_> = lines
        .iter()
        .map(|it| (it["who"].as_str().unwrap(), it["what"].as_str().unwrap()))
        .collect();
    // Bob has opened what was open: nothing was changed.
    assert_eq!(
        told,
        [
            ("alice", "open"),
            ("bob", "open"),
            ("alice", "close"),
            ("bob", "order")
        ]
    );
    assert!(
        lines
            .iter()
            .all(|it| it["at"].as_u64() > Some(1_700_000_000_000) && it["rollout"] == "web.shop")
    );
    assert!(!audit.contains("long"), "no token is written down");
}

// Commands

#[tokio::test]
async fn a_controller_carries_commands_out_once() {
    let server = Running::start("commands").await;
    let base = Endpoint::new("gates", &server.url("/")).unwrap();
    let token = Authentication::bearer("token", BOB.into()).unwrap();
    let remote = Remote::new(&client(), &base, token, "web", "shop").unwrap();
    assert_eq!(remote.waiting().await.unwrap(), []);

    for order in ["approve", "promote", "pause", "resume", "abort", "retry"] {
        let (status, _) = server
            .post(
                "/commands/shop/web",
                ALICE,
                &json!({ "order": order, "id": order }),
            )
            .await;
        assert_eq!(status, 202, "{order}");
    }
    let (_, given) = server
        .post("/commands/shop/web", ALICE, &json!({ "order": "pause" }))
        .await;
    let given: Command = serde_json::from_str(&given).unwrap();
    let commands = remote.waiting().await.unwrap();
    assert_eq!(commands.len(), 7);
    assert_eq!(
        commands[5],
        Command {
            id: "retry".into(),
            actor: "alice".into(),
            order: Order::Retry
        }
    );
    assert_eq!(commands[6], given);

    // Three were carried out and saved.
    let mut state = State::initialized(Revision::new("v1").unwrap());
    state.commands = vec!["approve".into(), "promote".into(), given.id.clone()];
    remote.settle(&commands, &state).await.unwrap();
    // The controller dies before it knows, and tells it once more.
    remote.settle(&commands, &state).await.unwrap();
    let left: Vec<String> = remote
        .waiting()
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.id)
        .collect();
    assert_eq!(left, ["pause", "resume", "abort", "retry"]);

    // Somebody sends a command again because its answer was lost: it is not carried out again.
    assert_eq!(
        server
            .post(
                "/commands/shop/web",
                ALICE,
                &json!({ "order": "approve", "id": "approve" })
            )
            .await
            .0,
        202
    );
    assert_eq!(remote.waiting().await.unwrap().len(), 4);
    assert_eq!(
        server
            .post(
                "/commands/shop/web",
                ALICE,
                &json!({ "order": "abort", "id": "approve" })
            )
            .await
            .0,
        409
    );
    assert_eq!(server.read("/commands/shop/api").await, json!([]));
}

#[tokio::test]
async fn a_running_rollout_obeys_each_command_once() {
    let server = Running::start("obeys").await;
    let base = Endpoint::new("gates", &server.url("/")).unwrap();
    let token = Authentication::bearer("token", BOB.into()).unwrap();
    let remote = Remote::new(&client(), &base, token, "web", "shop").unwrap();
    let canary = Canary {
        step_weight: Some(10.0),
        max_weight: Some(50.0),
        ..Canary::default()
    };
    let (plan, _) = Spec::new(Strategy::Canary(canary))
        .compile(&Capabilities::ALL)
        .unwrap();
    let revision = |name| Revision::new(name).unwrap();
    let scenario = Scenario {
        happenings: vec![Happening::push(Duration::ZERO, revision("v2"))],
        ..Scenario::new(revision("v1")).version(revision("v2"), Version::GOOD)
    };
    let world = World::new(&scenario);

    // What somebody orders, at which weight; at 20 % the controller dies each time before it has told the server.
    let mut orders = vec![("abort", 30), ("resume", 20), ("pause", 20)];
    let mut obeyed = Vec::new();
    let ended = loop {
        let commands = remote.waiting().await.unwrap();
        let advanced = advance(&plan, &world.ports(), &commands).await.unwrap();
        let weight = advanced.state.traffic().weight().as_hundredths() / 100;
        if weight != 20 {
            remote.settle(&commands, &advanced.state).await.unwrap();
        }
        obeyed.clone_from(&advanced.state.commands);
        if advanced.state.phase() == Phase::Failed && advanced.until.is_none() {
            break advanced.state;
        }
        if let Some((order, at)) = orders.pop_if(|(_, at)| *at == weight) {
            server
                .post(
                    "/commands/shop/web",
                    ALICE,
                    &json!({ "order": order, "id": format!("{order} at {at}").replace(' ', "-") }),
                )
                .await;
        } else if let Some(next) = [advanced.until, world.next_change()].into_iter().flatten().min() {
            world.advance_to(next);
        }
    };
    assert_eq!(obeyed, ["pause-at-20", "resume-at-20", "abort-at-30"]);
    assert!(
        matches!(ended.stage, Stage::Idle(Idle::Failed { why: Reason::Commanded { ref actor, .. }, .. }) if actor == "alice")
    );
    assert_eq!(remote.waiting().await.unwrap(), []);
}

#[tokio::test]
async fn commands_of_its_own_naming_are_all_different() {
    let server = Running::start("own-naming").await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let (_, given) = server
            .post("/commands/shop/web", ALICE, &json!({ "order": "pause" }))
            .await;
        ids.insert(serde_json::from_str::<Command>(&given).unwrap().id);
    }
    assert_eq!(ids.len(), 20);
}

// Bad input

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_a_reason() {
    let server = Running::start("bad-input").await;
    let table: [(&str, Value, u16, &str); 9] = [
        ("/gate/open", json!({}), 400, "missing field `name`"),
        (
            "/gate/open",
            json!({ "name": "web" }),
            400,
            "missing field `namespace`",
        ),
        (
            "/gate/open",
            json!({ "name": "../web", "namespace": "shop" }),
            400,
            "name: expected 1 to 253 letters",
        ),
        ("/gate/check", json!(7), 400, "invalid type: integer"),
        (
            "/commands/shop/web",
            json!({ "order": "explode" }),
            400,
            "expected one of `approve`, `promote`",
        ),
        (
            "/commands/shop/web",
            json!({ "order": "pause", "id": "a/b" }),
            400,
            "id: expected 1 to 128 letters",
        ),
        (
            "/commands/shop/web",
            json!({ "order": "pause", "actor": "root" }),
            400,
            "unknown field `actor`",
        ),
        (
            "/commands/sh.op/web",
            json!({ "order": "pause" }),
            400,
            "namespace: expected 1 to 63",
        ),
        ("/nowhere", json!({}), 404, ""),
    ];
    for (path, body, status, says) in table {
        let (answered, said) = server.post(path, ALICE, &body).await;
        assert!(
            answered == status && said.contains(says),
            "{path} {body}: {answered} {said}"
        );
    }
    let text = |text: &str| text.to_owned();
    assert_eq!(
        server.call(Method::POST, "/gate/open", ALICE, text("{")).await.0,
        400
    );
    assert_eq!(
        server
            .call(Method::POST, "/gate/open", ALICE, "x".repeat(65 * 1024))
            .await
            .0,
        413
    );
    assert_eq!(
        server.call(Method::PUT, "/gate/open", ALICE, text("{}")).await.0,
        405
    );
    assert_eq!(
        server
            .call(Method::DELETE, "/commands/shop/web/7", ALICE, text(""))
            .await
            .0,
        409
    );
}

#[tokio::test]
async fn whoever_sends_no_end_of_a_body_holds_nobody() {
    let server = Running::start("slow").await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /gate/open HTTP/1.1\r\nhost: it\r\nauthorization: Bearer {ALICE}\r\ncontent-length: 100\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(
        server
            .post(
                "/gate/open",
                ALICE,
                &json!({ "name": "web", "namespace": "shop" })
            )
            .await
            .0,
        202
    );
    // Another one does not even come to the end of the head.
    let mut slower = TcpStream::connect(server.address).await.unwrap();
    slower
        .write_all(b"POST /gate/open HTTP/1.1\r\nhost:")
        .await
        .unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    let mut rest = String::new();
    let _ = slower.read_to_string(&mut rest).await;
    assert!(!rest.contains(" 202 "), "{rest}");
}

#[tokio::test]
async fn many_at_the_same_time_are_all_written() {
    let mut server = Running::start("many").await;
    let names: Vec<Value> = (0..50)
        .map(|it| json!({ "name": format!("web-{it}"), "namespace": "shop" }))
        .collect();
    let opened = futures::future::join_all(names.iter().map(|it| server.post("/gate/open", ALICE, it))).await;
    assert!(opened.iter().all(|it| it.0 == 202));
    server.restart().await;
    assert_eq!(server.read("/gates").await.as_array().unwrap().len(), 50);
}

/// A gate server on loopback whose file is gone afterwards.
struct Running {
    address: SocketAddr,
    serving: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    folder: PathBuf,
    setup: fn(GateServerBuilder) -> GateServerBuilder,
    client: reqwest::Client,
}

impl Running {
    async fn start(name: &str) -> Self {
        Self::with(name, |it| it).await
    }

    async fn with(name: &str, setup: fn(GateServerBuilder) -> GateServerBuilder) -> Self {
        let folder = std::env::temp_dir().join(format!("delivery-gate-server-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut server = Self {
            address: ([127, 0, 0, 1], 0).into(),
            serving: None,
            folder,
            setup,
            client,
        };
        server.restart().await;
        server
    }

    async fn restart(&mut self) {
        if let Some((stop, task)) = self.serving.take() {
            stop.send(()).unwrap();
            task.await.unwrap();
        }
        let builder = GateServer::builder(self.folder.join("gates.jsonl"))
            .token("alice", &ALICE.into())
            .unwrap()
            .token("bob", &BOB.into())
            .unwrap();
        let server = (self.setup)(builder).open().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = server.serve(listener, async { drop(stopped.await) });
        let task = tokio::spawn(serving);
        self.serving = Some((stop, task));
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn post(&self, path: &str, token: &str, body: &Value) -> (u16, String) {
        self.call(Method::POST, path, token, body.to_string()).await
    }

    async fn read(&self, path: &str) -> Value {
        let (status, text) = self.call(Method::GET, path, ALICE, String::new()).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn call(&self, method: Method, path: &str, token: &str, body: String) -> (u16, String) {
        let mut request = self.client.request(method, self.url(path)).body(body);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
        }
        (status.as_u16(), response.text().await.unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
