//! What a rule would have alerted about, over the past of a real Prometheus.

#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "prometheus/server.rs"]
mod server;

use std::time::Duration;

use delivery_core::alerting::{AlertRule, Labels};
use delivery_prom::alerts::{evaluated, history};
use delivery_prom::ruler::Rule;
use delivery_prom::{Client, Ranged};
use server::{Prometheus, at};

/// Every 15 s. Errors come at 60 s, and end with 120 s.
const REQUESTS: [&str; 2] = [
    r#"requests_total{service="web",code="200"}: 0 100 200 300 395 490 585 680 775 870 965 1060 1155 1250 1345 1440"#,
    r#"requests_total{service="web",code="500"}: 0 0   0   0   5   10  15  20  25  25  25  25   25   25   25   25"#,
];

const RULES: &str = r#"
groups:
- name: web
  interval: 15s
  rules:
  - alert: HighErrorRate
    expr: |
      sum by (service) (rate(requests_total{code="500"}[30s]))
        / sum by (service) (rate(requests_total[30s])) > 0.01
    for: 30s
    keep_firing_for: 15s
    labels: {severity: critical}
    annotations: {text: '{{ $labels.service }}: {{ $value | humanizePercentage }}'}
"#;

/// Seconds, state and text after each evaluation; the state of nothing is empty.
async fn story(client: &Client, change: impl FnOnce(AlertRule) -> AlertRule) -> Vec<(u64, String)> {
    let groups = client.rules().await.unwrap();
    let Rule::Alerting(known) = &groups[0].rules[0] else {
        panic!("{groups:?}");
    };
    let rule = change(evaluated(known).unwrap());
    let range = Ranged {
        query: &known.query,
        from: at(0),
        to: at(225),
        step: groups[0].interval,
    };
    let history = history(client, &rule, &range).await.unwrap();
    let labels: Labels = [
        ("alertname", "HighErrorRate"),
        ("service", "web"),
        ("severity", "critical"),
    ]
    .map(|(a, b)| (a.into(), b.into()))
    .into();
    let mut story: Vec<(u64, String)> = Vec::new();
    for (now, alerts) in history {
        let alerts = alerts.unwrap();
        let seen = alerts.iter().map(|it| {
            assert_eq!(it.labels, labels);
            format!("{} {}", it.state, it.annotations["text"])
        });
        let seen = seen.collect::<String>();
        if story.last().is_none_or(|(_, last)| *last != seen) {
            story.push((now.since(at(0)).as_secs(), seen));
        }
    }
    story
}

#[tokio::test]
#[ignore = "needs prometheus: run the README's test command"]
async fn a_rule_is_evaluated_again_over_what_was_recorded() {
    let prometheus = Prometheus::with(&REQUESTS).rules(RULES).start().await;
    let client = prometheus.client();
    // A rate over 30 s sees two differences of 15 s, of which at first and at last one has errors.
    let told = |all: &[(u64, &str)]| {
        all.iter()
            .map(|(at, it)| (*at, (*it).to_owned()))
            .collect::<Vec<_>>()
    };
    let usual = [
        (0, ""),
        (60, "pending web: 2.5%"),
        (75, "pending web: 5%"),
        (90, "firing web: 5%"),
        (135, "firing web: 2.564%"),
        (165, "inactive web: 2.564%"),
    ];
    assert_eq!(story(&client, |it| it).await, told(&usual));

    // What if?
    let sooner = story(&client, |it| AlertRule {
        hold: Duration::ZERO,
        ..it
    })
    .await;
    assert_eq!(sooner[1], (60, "firing web: 2.5%".into()));
    let later = story(&client, |it| AlertRule {
        hold: Duration::from_secs(90),
        ..it
    })
    .await;
    assert_eq!(later.last().unwrap(), &(150, String::new()));
}
