//! All types of hooks in the engine: the driver over a simulated world, with webhooks that a real server answers.

#[path = "../../delivery-outbound/tests/support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use delivery_core::plan::{Canary, Capabilities, MetricSpec, Plan, Spec, Strategy};
use delivery_core::port::{Clock, Notifier};
use delivery_core::rollout::Phase;
use delivery_core::sim::{Crash, Happening, START, Scenario, Version, World};
use delivery_core::{Ports, Revision, State, advance};
use delivery_http::Client;
use delivery_http::hook::{HookKind, Webhook, Webhooks};
use delivery_http::notify::{self, About, Notifications, sender};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use support::{Got, Receiver, Says, client};

#[tokio::test]
async fn all_types_of_hooks_are_called_on_the_way_to_a_promotion() {
    let server = Receiver::start(all_is_well).await;
    let ended = Rollout::new(&server).play(None).await;
    assert_eq!(ended.phase(), Phase::Succeeded);

    let got = server.got();
    let calls = |kind: HookKind| got.iter().filter(|it| it.path == path(kind)).count();
    // Weights 30 and 60, with a round at each: traffic increases to both, and with the promotion.
    let table = [
        (HookKind::ConfirmRollout, 1),
        (HookKind::PreRollout, 1),
        (HookKind::Rollout, 2),
        (HookKind::ConfirmTrafficIncrease, 3),
        (HookKind::ConfirmPromotion, 1),
        (HookKind::PostRollout, 1),
    ];
    for (kind, wanted) in table {
        assert_eq!(calls(kind), wanted, "{kind}");
    }
    assert!(calls(HookKind::Rollback) >= 2 && calls(HookKind::Event) >= 5);
    let in_order: Vec<&str> = got
        .iter()
        .map(|it| it.path.as_str())
        .filter(|it| *it != path(HookKind::Event))
        .collect();
    assert_eq!(
        (in_order[0], in_order[in_order.len() - 1]),
        ("/confirm-rollout", "/post-rollout")
    );
    let checksums: BTreeSet<&str> = got.iter().filter_map(|it| it.body["checksum"].as_str()).collect();
    assert_eq!(checksums.len(), 1, "one revision, one checksum");
    assert_eq!(keys(&got).len(), got.len(), "without a crash nothing is repeated");
}

#[tokio::test]
async fn a_rollback_hook_that_succeeds_rolls_back() {
    let server = Receiver::start(|it| match it.path.as_str() {
        "/rollback" => Says::status(200),
        _ => all_is_well(it),
    })
    .await;
    let ended = Rollout::new(&server).play(None).await;
    assert_eq!(ended.phase(), Phase::Failed);
    let got = server.got();
    let after = got.iter().find(|it| it.path == "/post-rollout").unwrap();
    assert_eq!(after.body["phase"], "Failed");
    assert!(
        messages(&got)
            .iter()
            .any(|it| it.contains("rollback it asked for a rollback")),
        "{:?}",
        messages(&got)
    );
}

#[tokio::test]
async fn what_a_failing_load_test_says_is_the_reason() {
    let server = Receiver::start(|it| match it.path.as_str() {
        "/rollout" => Says::status(500).body("p99 is 812 ms"),
        _ => all_is_well(it),
    })
    .await;
    let ended = Rollout::new(&server).play(None).await;
    assert_eq!(ended.phase(), Phase::Failed);
    let got = server.got();
    assert!(
        messages(&got)
            .iter()
            .any(|it| it.ends_with("answered 500: p99 is 812 ms")),
        "{:?}",
        messages(&got)
    );
}

#[tokio::test]
async fn a_gate_that_is_closed_holds_the_rollout_where_it_is() {
    for kind in [
        HookKind::ConfirmRollout,
        HookKind::ConfirmTrafficIncrease,
        HookKind::ConfirmPromotion,
    ] {
        let closed = path(kind);
        let server = Receiver::start(move |it| {
            if it.path == closed {
                Says::status(403)
            } else {
                all_is_well(it)
            }
        })
        .await;
        let ended = Rollout::new(&server).play(None).await;
        assert!(
            matches!(
                ended.phase(),
                Phase::Waiting | Phase::Progressing | Phase::WaitingPromotion
            ),
            "{kind} {}",
            ended.phase()
        );
        assert_eq!(ended.checks().failed, 0);
    }
}

#[tokio::test]
async fn a_gate_that_nobody_opens_in_time_counts_as_its_default() {
    for (default, phase) in [("approve", Phase::Succeeded), ("reject", Phase::Failed)] {
        let closed = path(HookKind::ConfirmPromotion);
        let server = Receiver::start(move |it| {
            if it.path == closed {
                Says::status(403)
            } else {
                all_is_well(it)
            }
        })
        .await;
        let ended = Rollout::with(&server, |kind, written| {
            if kind == HookKind::ConfirmPromotion {
                written["deadline"] = json!("3m");
                written["default"] = json!(default);
            }
        });
        assert_eq!(ended.play(None).await.phase(), phase, "{default}");
        let got = server.got();
        let asked = got
            .iter()
            .filter(|it| it.path == path(HookKind::ConfirmPromotion))
            .count();
        assert!((3..=4).contains(&asked), "{asked} times in three minutes");
        let told = messages(&got)
            .iter()
            .any(|it| it.contains("confirm-promotion it gave no answer in time"));
        assert!(told, "{:?}", messages(&got));
    }
}

/// The process dies before or after each call of another port, among them every saving of an answer.
#[tokio::test]
async fn whenever_the_process_dies_it_ends_the_same_and_a_repeated_call_has_its_key() {
    let server = Receiver::start(all_is_well).await;
    let rollout = Rollout::new(&server);
    let undisturbed = rollout.play(None).await;
    let calls = rollout.calls.get();
    let wanted = questions(&server.take());
    let mut repeated = BTreeSet::new();
    for moment in [Crash::Before, Crash::After] {
        for call in 1..=calls {
            let ended = rollout.play(Some((call, moment))).await;
            assert_eq!(
                (ended.phase(), &ended.primary),
                (undisturbed.phase(), &undisturbed.primary),
                "{moment:?} {call}"
            );
            let got = server.take();
            assert_eq!(questions(&got), wanted, "{moment:?} {call}: the same questions");
            let mut seen = BTreeMap::new();
            for it in &got {
                let first = seen.entry(it.key()).or_insert(it);
                assert_eq!(
                    (&first.path, &first.body),
                    (&it.path, &it.body),
                    "one key, one call"
                );
            }
            repeated.extend(
                got.iter()
                    .filter(|it| got.iter().filter(|other| other.key() == it.key()).count() > 1)
                    .map(|it| it.path.clone()),
            );
        }
    }
    let all: BTreeSet<String> = HookKind::ALL.into_iter().map(path).collect();
    assert_eq!(
        repeated, all,
        "every type was called again after a crash at least once"
    );
}

/// Somebody who is told takes each message, and never answers. The clock of the runtime stands still unless everybody waits
/// for it: it would have to go on by an hour for each call that a decision waited for.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_never_answers_delays_no_decision() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let silent = notify::Receiver::new(sender("webhook").unwrap(), &address.into()).unwrap();
    let silent = silent.timeout(Duration::from_secs(3_600));
    let told = Notifications::new(client(), About::new("web", "shop"), vec![Arc::new(silent)]).unwrap();
    let begun = tokio::time::Instant::now();
    let (ended, _) = notified(&told, async || ()).await;
    assert_eq!(ended.phase(), Phase::Succeeded);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(ended.outbox.len() > 5, "they wait: {}", ended.outbox.len());
    // The call was made, and holds nobody.
    let _call = listener.accept().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_event_hook_that_never_answers_delays_no_decision_in_the_background() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let written = json!([{ "type": "event", "name": "silent", "url": url, "timeout": "1h" }]);
    let hooks = Webhooks::of("web", "shop").hooks(serde_json::from_value::<Vec<Webhook>>(written).unwrap());
    let hooks = Arc::new(hooks.build(&client()).unwrap());
    let told = notify::Background::new(hooks);
    let begun = tokio::time::Instant::now();
    let (ended, _) = notified(&told, async || ()).await;
    assert_eq!(ended.phase(), Phase::Succeeded);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(ended.outbox.len() > 5, "they wait: {}", ended.outbox.len());
    let _call = listener.accept().await.unwrap();
}

/// What fails is reported, tried again after the time that it names, and arrives in order.
#[tokio::test]
async fn event_hooks_in_the_background_hear_everything_once_and_in_order() {
    let failed = std::sync::atomic::AtomicBool::new(false);
    let server = Receiver::start(move |_| {
        let again = failed.swap(true, std::sync::atomic::Ordering::SeqCst);
        Says::status(if again { 200 } else { 503 })
    })
    .await;
    let written = json!([{ "type": "event", "name": "it", "url": server.url("/") }]);
    let hooks = Webhooks::of("web", "shop").hooks(serde_json::from_value::<Vec<Webhook>>(written).unwrap());
    let told = notify::Background::new(Arc::new(hooks.build(&client()).unwrap()));
    let (ended, again) = notified(&told, async || {
        assert_eq!(told.flush(Duration::from_secs(60)).await, 0);
    })
    .await;
    // The first one reports that it had failed, and leaves the outbox with the next call.
    assert!(!ended.outbox.is_empty() && again.outbox.len() <= 1);
    let got = server.got();
    let keys: Vec<&str> = got.iter().map(Got::key).collect();
    assert_eq!(keys[0], keys[1], "it was tried again");
    assert_eq!(self::keys(&got).len(), keys.len() - 1, "everything else once");
    assert!(keys.len() > 5);
}

#[tokio::test]
async fn a_slow_receiver_hears_everything_once_and_in_order() {
    let server = Receiver::start(|_| Says::status(200).after(Duration::from_millis(20))).await;
    let receiver = notify::Receiver::new(sender("webhook").unwrap(), &server.url("/").into()).unwrap();
    let receiver = Arc::new(receiver.rate(None));
    let born =
        || Notifications::new(client(), About::new("web", "shop"), vec![Arc::clone(&receiver)]).unwrap();
    let told = born();
    let (ended, again) = notified(&told, async || {
        assert_eq!(told.flush(Duration::from_secs(60)).await, 0);
    })
    .await;
    assert!(
        !ended.outbox.is_empty() && again.outbox.is_empty(),
        "what was told has left the outbox"
    );
    let ids: Vec<u64> = server
        .got()
        .iter()
        .map(|it| it.body["id"].as_u64().unwrap())
        .collect();
    assert!(ids.len() > 5 && ids.is_sorted_by(|one, two| one < two), "{ids:?}");
    // A process that dies has told the server, but not its state: the next one tells the same once more.
    let crashed = born();
    for notice in &ended.outbox {
        crashed.send(notice).await.unwrap();
    }
    assert_eq!(crashed.flush(Duration::from_secs(60)).await, 0);
    let got = server.got();
    assert_eq!(got.len(), ids.len() + ended.outbox.len());
    assert_eq!(keys(&got).len(), ids.len(), "a repeat has its key");
}

/// The states in which a rollout that succeeds has ended: at once, and after `pause` and one more call of the driver.
async fn notified(notifier: &dyn Notifier, pause: impl AsyncFn()) -> (State, State) {
    let canary = Canary {
        step_weight: Some(20.0),
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
    let ports = Ports {
        notifier,
        ..world.ports()
    };
    loop {
        let advanced = advance(&plan, &ports, &[]).await.unwrap();
        if advanced.state.phase() == Phase::Succeeded {
            pause().await;
            let again = advance(&plan, &ports, &[]).await.unwrap();
            return (advanced.state, again.state);
        }
        let next = [advanced.until, world.next_change()].into_iter().flatten().min();
        world.advance_to(next.unwrap());
    }
}

/// All calls, repeats left out. Rollback hooks are asked in every interval, also while a run waits, and a crash may make it
/// wait once more.
fn questions(got: &[Got]) -> BTreeSet<(String, String)> {
    got.iter()
        .filter(|it| it.path != path(HookKind::Rollback))
        .map(|it| (it.path.clone(), it.key().to_owned()))
        .collect()
}

fn keys(got: &[Got]) -> BTreeSet<&str> {
    got.iter().map(Got::key).collect()
}

fn messages(got: &[Got]) -> Vec<&str> {
    got.iter()
        .filter_map(|it| it.body["metadata"]["eventMessage"].as_str())
        .collect()
}

fn path(kind: HookKind) -> String {
    format!("/{kind}")
}

fn all_is_well(call: &Got) -> Says {
    Says::status(if call.path == "/rollback" { 403 } else { 200 })
}

/// A rollout of v2 with a hook of each type.
struct Rollout {
    client: Client,
    written: Vec<Webhook>,
    scenario: Scenario,
    plan: Plan,
    /// Port calls of the latest play.
    calls: std::cell::Cell<u64>,
}

impl Rollout {
    fn new(server: &Receiver) -> Self {
        Self::with(server, |_, _| ())
    }

    /// One whose hooks are written a little differently.
    fn with(server: &Receiver, change: impl Fn(HookKind, &mut Value)) -> Self {
        let client = client();
        let written: Vec<Webhook> = HookKind::ALL
            .into_iter()
            .map(|kind| {
                let mut written =
                    json!({ "type": kind.name(), "name": "it", "url": server.url(&path(kind)) });
                change(kind, &mut written);
                serde_json::from_value(written).unwrap()
            })
            .collect();
        let canary = Canary {
            step_weight: Some(30.0),
            max_weight: Some(60.0),
            ..Canary::default()
        };
        let hooks = Webhooks::of("web", "shop")
            .hooks(written.clone())
            .build(&client)
            .unwrap();
        let spec = Spec {
            gates: hooks.gates(),
            metrics: vec![MetricSpec::at_least("request-success-rate", 99.0)],
            threshold: 2,
            ..Spec::new(Strategy::Canary(canary))
        };
        let revision = |name| Revision::new(name).unwrap();
        let scenario = Scenario {
            happenings: vec![Happening::push(Duration::ZERO, revision("v2"))],
            limit: Duration::from_secs(1_800),
            ..Scenario::new(revision("v1")).version(revision("v2"), Version::GOOD)
        };
        let (plan, _) = spec.compile(&Capabilities::ALL).unwrap();
        Self {
            client,
            written,
            scenario,
            plan,
            calls: std::cell::Cell::new(0),
        }
    }

    /// Drives it in a new world until it has ended, or half an hour has passed there.
    async fn play(&self, crash: Option<(u64, Crash)>) -> State {
        let world = World::new(&self.scenario);
        if let Some((call, moment)) = crash {
            world.crash_at(call, moment);
        }
        // What lives in memory dies with the process.
        let born = || {
            Webhooks::of("web", "shop")
                .hooks(self.written.clone())
                .build(&self.client)
                .unwrap()
        };
        let mut hooks = born();
        loop {
            let ports = Ports {
                approver: &hooks,
                notifier: &hooks,
                ..world.ports()
            };
            let advanced = advance(&self.plan, &ports, &[]).await;
            if world.restart() {
                hooks = born();
                continue;
            }
            let advanced = advanced.unwrap();
            self.calls.set(world.calls());
            let at_rest = advanced.until.is_none() && advanced.state.is_idle() && world.is_quiet();
            let next = [advanced.until, world.next_change()].into_iter().flatten().min();
            match next {
                Some(next) if !at_rest && next.since(START) < self.scenario.limit => world.advance_to(next),
                Some(_) | None => return advanced.state,
            }
            assert!(world.now() >= START);
        }
    }
}
