//! Alerts as a gate, with a real Prometheus that scrapes and evaluates every second.

#[path = "alerts/rollout.rs"]
mod rollout;
#[path = "alerts/server.rs"]
mod server;

use delivery_core::host::SystemClock;
use delivery_core::port::Clock;
use delivery_core::rollout::Phase;
use delivery_core::{Timestamp, Weight};
use delivery_prom::alerts::{Attribution, Policy, Says, decide};
use rollout::Rollout;
use server::Server;

/// What the server says by now to a rollout that began at `start`.
async fn said(server: &Server, policy: &Policy, start: Timestamp) -> (Says, String) {
    let groups = server.client().rules().await.unwrap();
    let decision = decide(policy, &groups, Some(start), SystemClock.now());
    (decision.says, decision.to_string())
}

/// Asks until the server says this; it then says why.
async fn says(server: &Server, policy: &Policy, start: Timestamp, expected: Says) -> String {
    let mut last = None;
    for _ in 0..300 {
        let (says, why) = said(server, policy, start).await;
        if says == expected {
            return why;
        }
        last = Some((says, why));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("expected {expected:?}, the last answer was {last:?}");
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn what_a_real_server_says_of_its_rules_is_decided_upon() {
    let server = Server::start().await;
    let start = SystemClock.now();
    says(
        &server,
        &Policy::watching(["Errors", "Slow", "Old"]),
        start,
        Says::GoOn,
    )
    .await;

    // Each rule by itself, with an alert that began after the rollout.
    server.errors(1);
    server.slow(1);
    let errors = Policy::watching(["Errors"]);
    let why = says(&server, &errors, start, Says::Hold).await;
    assert_eq!(why, r#"Errors{service="web", severity="critical"} is pending"#);
    let why = says(&server, &errors, start, Says::RollBack).await;
    assert_eq!(why, r#"Errors{service="web", severity="critical"} fires"#);
    let slow = Policy::watching(["Slow"]);
    let why = says(&server, &slow, start, Says::Hold).await;
    assert!(
        why.starts_with(r#"Slow{service="web", severity="warning"} "#),
        "{why}"
    );

    // The same alerts, of somebody else and of nobody.
    let theirs = |label, value| Policy {
        attribution: Attribution::require([(label, value)]),
        ..errors.clone()
    };
    assert_eq!(
        said(&server, &theirs("service", "shop"), start).await.0,
        Says::GoOn
    );
    assert_eq!(
        said(&server, &theirs("namespace", "production"), start).await.0,
        Says::Hold
    );

    // One that fired before the rollout began, and one that will only be pending.
    let old = Policy::watching(["Old"]);
    assert_eq!(said(&server, &old, SystemClock.now()).await.0, Says::GoOn);
    assert_eq!(said(&server, &old, Timestamp::default()).await.0, Says::RollBack);
    let patient = Policy::watching(["Patient"]);
    assert_eq!(
        says(&server, &patient, start, Says::Hold).await,
        r#"Patient{service="web", severity="critical"} is pending"#
    );

    // Rules that say nothing.
    let why = says(&server, &Policy::watching(["Broken"]), start, Says::Inconclusive).await;
    assert!(
        why.starts_with("rule `Broken` fails: ") && why.contains("duplicate series"),
        "{why}"
    );
    let why = said(&server, &Policy::watching(["Renamed"]), start).await;
    assert_eq!(
        why,
        (Says::Inconclusive, "there is no alerting rule `Renamed`".into())
    );
    let labelled = |value: &str| Policy {
        labels: [("severity".into(), value.into())].into(),
        ..Policy::watching::<&str>([])
    };
    assert_eq!(said(&server, &labelled("warning"), start).await.0, Says::Hold);
    assert_eq!(
        said(&server, &labelled("page"), start).await.0,
        Says::Inconclusive
    );

    // What is not there any more is not held against anybody.
    server.errors(0);
    server.slow(0);
    says(&server, &Policy::watching(["Errors", "Slow"]), start, Says::GoOn).await;
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn a_good_version_is_promoted() {
    let server = Server::start().await;
    let rollout = Rollout::of("good");
    let end = rollout
        .run(&server, Policy::watching(["Errors", "Slow"]), async |_| {})
        .await;
    assert_eq!(end.phase, Phase::Succeeded, "{end:?}");
    assert_eq!(end.heaviest, Weight::percent(60).unwrap());
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn an_alert_that_fires_rolls_back() {
    let server = Server::start().await;
    let rollout = Rollout::of("failing");
    let end = rollout
        .run(&server, Policy::watching(["Errors", "Slow"]), async |_| {})
        .await;
    assert_eq!(end.phase, Phase::Failed, "{end:?}");
    assert!(
        !end.heaviest.is_zero() && end.heaviest < Weight::percent(60).unwrap(),
        "{end:?}"
    );
    assert!(end.told("alerts asked for a rollback"), "{end:?}");
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn an_alert_that_only_warns_holds_the_weight_until_it_is_gone() {
    let server = Server::start().await;
    let rollout = Rollout::of("slow at first");
    let mut held = 0;
    let end = rollout
        .run(&server, Policy::watching(["Errors", "Slow"]), async |now| {
            held += u32::from(now.said.contains("Slow{service=\"web\", severity=\"warning\"}"));
            if held == 5 {
                server.slow(0);
            }
        })
        .await;
    assert!(held >= 5, "{end:?}");
    assert_eq!(end.phase, Phase::Succeeded, "{end:?}");
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn a_rule_that_is_missing_or_broken_keeps_everything_where_it_is() {
    let server = Server::start().await;
    for (rule, says) in [
        ("Renamed", "there is no alerting rule `Renamed`"),
        ("Broken", "rule `Broken` fails: "),
    ] {
        let policy = Policy::watching(["Errors", rule]);
        says_so(&server, &Policy::watching([rule])).await;
        let end = Rollout::of("good")
            .turns(60)
            .run(&server, policy, async |_| {})
            .await;
        assert!(end.heaviest.is_zero(), "{end:?}");
        assert_eq!(end.phase, Phase::Waiting, "{end:?}");
        assert!(end.told(says), "{end:?}");
    }
}

/// Waits until the rule is known to say nothing.
async fn says_so(server: &Server, policy: &Policy) {
    says(server, policy, SystemClock.now(), Says::Inconclusive).await;
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn without_prometheus_the_weight_is_held_and_with_it_the_rollout_goes_on() {
    let server = Server::start().await;
    let rollout = Rollout::of("good");
    let (mut stopped_at, mut turns) = (None, 0);
    let end = rollout
        .run(
            &server,
            Policy::watching(["Errors", "Slow"]),
            async |now| match stopped_at {
                None if !now.weight.is_zero() => {
                    server.stop();
                    stopped_at = Some(now.weight);
                }
                Some(weight) if turns < 80 => {
                    assert_eq!(now.weight, weight, "nothing moves while nobody can tell");
                    turns += 1;
                    if turns == 80 {
                        server.resume().await;
                    }
                }
                None | Some(_) => {}
            },
        )
        .await;
    assert_eq!((turns, end.phase), (80, Phase::Succeeded), "{end:?}");
    assert!(end.told("it cannot be reached"), "{end:?}");
}
