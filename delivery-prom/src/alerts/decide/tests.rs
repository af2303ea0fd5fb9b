//! One rule, one alert, one thing that differs.

use super::*;
use crate::alerts::{Attribution, Severity};

const NOW: Timestamp = Timestamp::from_millis(1_777_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);

/// When the rollout began: ten minutes ago.
fn start() -> Timestamp {
    NOW.before(MINUTE * 10)
}

/// A critical alert of ours in this state, active for five minutes.
fn alert(state: AlertState) -> Alert {
    Alert {
        labels: names([
            ("alertname", "HighErrorRate"),
            ("service", "web"),
            ("severity", "critical"),
        ]),
        annotations: BTreeMap::new(),
        state,
        active_at: Some(NOW.before(MINUTE * 5)),
        value: Some(0.015),
    }
}

fn names<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.into(), value.into())).into()
}

/// A healthy rule with these alerts, evaluated ten seconds ago.
fn rule(alerts: Vec<Alert>) -> AlertingRule {
    AlertingRule {
        name: "HighErrorRate".into(),
        query: "errors > 0.01".into(),
        hold: MINUTE * 2,
        keep_firing_for: Duration::ZERO,
        labels: names([("severity", "critical")]),
        annotations: BTreeMap::new(),
        alerts,
        state: AlertState::Inactive,
        health: Health::Ok,
        last_error: None,
        last_series_fetched: None,
        last_evaluation: Some(NOW.before(Duration::from_secs(10))),
    }
}

fn group(rule: AlertingRule) -> RuleGroup {
    RuleGroup {
        name: "service-health".into(),
        file: "alerts.yaml".into(),
        interval: Duration::from_secs(15),
        last_evaluation: rule.last_evaluation,
        rules: vec![Rule::Alerting(rule)],
    }
}

fn policy() -> Policy {
    Policy::watching(["HighErrorRate"])
}

fn of(policy: &Policy, rule: AlertingRule) -> (Says, String) {
    let decision = decide(policy, &[group(rule)], Some(start()), NOW);
    (decision.says, decision.to_string())
}

fn of_alert(policy: &Policy, alert: Alert) -> (Says, String) {
    of(policy, rule(vec![alert]))
}

const NAME: &str = "HighErrorRate{service=\"web\", severity=\"critical\"}";

// Rules

#[test]
fn a_healthy_and_quiet_rule_goes_on() {
    assert_eq!(
        of(&policy(), rule(vec![])),
        (Says::GoOn, "all watched rules are quiet".into())
    );
    assert_eq!(of_alert(&policy(), alert(AlertState::Inactive)).0, Says::GoOn);
}

#[test]
fn silence_of_a_rule_that_is_not_healthy_is_inconclusive() {
    let healthy = || rule(vec![]);
    let ago = |seconds| Some(NOW.before(Duration::from_secs(seconds)));
    for (rule, says) in [
        (
            AlertingRule {
                health: Health::Err,
                last_error: Some("boom".into()),
                ..healthy()
            },
            "rule `HighErrorRate` fails: boom",
        ),
        (
            AlertingRule {
                health: Health::Err,
                ..healthy()
            },
            "rule `HighErrorRate` fails: it does not say why",
        ),
        (
            AlertingRule {
                health: Health::Unknown,
                ..healthy()
            },
            "rule `HighErrorRate` was not evaluated yet",
        ),
        (
            AlertingRule {
                last_evaluation: None,
                ..healthy()
            },
            "rule `HighErrorRate` was not evaluated yet",
        ),
        (
            AlertingRule {
                last_evaluation: ago(31),
                ..healthy()
            },
            "rule `HighErrorRate` was evaluated 31s ago (expected at most 30s)",
        ),
        (
            AlertingRule {
                last_evaluation: Some(NOW.after(Duration::from_secs(16))),
                ..healthy()
            },
            "rule `HighErrorRate` was evaluated 16s in the future: two clocks disagree",
        ),
        (
            AlertingRule {
                name: "HighErrorRates".into(),
                ..healthy()
            },
            "there is no alerting rule `HighErrorRate`",
        ),
    ] {
        assert_eq!(of(&policy(), rule), (Says::Inconclusive, says.into()));
    }
    for evaluated in [ago(30), Some(NOW.after(Duration::from_secs(15)))] {
        assert_eq!(
            of(
                &policy(),
                AlertingRule {
                    last_evaluation: evaluated,
                    ..healthy()
                }
            )
            .0,
            Says::GoOn
        );
    }
}

#[test]
fn every_rule_that_is_watched_must_be_there() {
    let both = Policy::watching(["HighErrorRate", "HighLatency"]);
    let (says, why) = of(&both, rule(vec![]));
    assert_eq!(
        (says, why.as_str()),
        (Says::Inconclusive, "there is no alerting rule `HighLatency`")
    );

    let (says, why) = of(&Policy::watching::<&str>([]), rule(vec![]));
    assert_eq!(says, Says::Inconclusive);
    assert_eq!(why, "no rule is watched (expected names or labels of rules)");

    let labelled = |severity| Policy {
        labels: names([("severity", severity)]),
        ..Policy::watching::<&str>([])
    };
    assert_eq!(of(&labelled("critical"), rule(vec![])).0, Says::GoOn);
    assert_eq!(
        of(&labelled("critical"), rule(vec![alert(AlertState::Firing)])).0,
        Says::RollBack
    );
    let (says, why) = of(&labelled("page"), rule(vec![alert(AlertState::Firing)]));
    assert_eq!(
        (says, why.as_str()),
        (
            Says::Inconclusive,
            "there is no alerting rule with {severity=\"page\"}"
        )
    );
}

#[test]
fn of_two_rules_with_one_name_both_must_be_healthy() {
    let broken = AlertingRule {
        health: Health::Err,
        ..rule(vec![])
    };
    let decision = decide(
        &policy(),
        &[group(rule(vec![])), group(broken)],
        Some(start()),
        NOW,
    );
    assert_eq!(decision.says, Says::Inconclusive);
}

// States and severities

#[test]
fn firing_acts_by_severity_and_pending_holds_at_most() {
    let severity = Severity {
        map: [
            ("critical".into(), Reaction::RollBack),
            ("info".into(), Reaction::Ignore),
        ]
        .into(),
        ..Severity::default()
    };
    let usual = Policy { severity, ..policy() };
    let patient = Policy {
        pending: Pending::Ignore,
        ..usual.clone()
    };
    for (policy, state, severity, says) in [
        (&usual, AlertState::Firing, "critical", Says::RollBack),
        (&usual, AlertState::Firing, "warning", Says::Hold),
        (&usual, AlertState::Firing, "info", Says::GoOn),
        (&usual, AlertState::Firing, "", Says::Hold),
        (&usual, AlertState::Pending, "critical", Says::Hold),
        (&usual, AlertState::Pending, "warning", Says::Hold),
        (&usual, AlertState::Pending, "info", Says::GoOn),
        (
            &usual,
            AlertState::Unknown("Error".into()),
            "critical",
            Says::Inconclusive,
        ),
        (&patient, AlertState::Pending, "critical", Says::GoOn),
        (&patient, AlertState::Firing, "critical", Says::RollBack),
    ] {
        let mut alert = alert(state.clone());
        alert.labels.insert("severity".into(), severity.into());
        assert_eq!(of_alert(policy, alert).0, says, "{state:?} {severity:?}");
    }
    assert_eq!(
        of_alert(&usual, alert(AlertState::Firing)).1,
        format!("{NAME} fires")
    );
    assert_eq!(
        of_alert(&usual, alert(AlertState::Pending)).1,
        format!("{NAME} is pending")
    );
}

#[test]
fn an_alert_without_a_severity_is_like_any_other_severity() {
    let mut alert = alert(AlertState::Firing);
    alert.labels.remove("severity");
    assert_eq!(of_alert(&policy(), alert).0, Says::Hold);
}

#[test]
fn the_worst_of_all_alerts_and_rules_decides_and_all_are_told() {
    let broken = AlertingRule {
        name: "Other".into(),
        health: Health::Err,
        last_error: None,
        ..rule(vec![])
    };
    let firing = rule(vec![alert(AlertState::Pending), alert(AlertState::Firing)]);
    let both = Policy::watching(["HighErrorRate", "Other"]);
    let decision = decide(&both, &[group(broken), group(firing)], Some(start()), NOW);
    assert_eq!(decision.says, Says::RollBack);
    let all = format!("{NAME} fires; rule `Other` fails: it does not say why; {NAME} is pending");
    assert_eq!(decision.to_string(), all);
}

// Since when

#[test]
fn what_was_active_when_the_rollout_began_is_ignored_or_keeps_it_from_beginning() {
    let before = NOW.before(MINUTE * 11);
    let old = Alert {
        active_at: Some(before),
        ..alert(AlertState::Firing)
    };
    let blocking = Policy {
        at_start: AtStart::Block,
        ..policy()
    };
    let asked = |policy: &Policy, start| decide(policy, &[group(rule(vec![old.clone()]))], start, NOW);

    assert_eq!(asked(&policy(), None).says, Says::GoOn);
    assert_eq!(asked(&policy(), Some(start())).says, Says::GoOn);
    assert_eq!(asked(&blocking, None).says, Says::Hold);
    assert_eq!(
        asked(&blocking, None).to_string(),
        format!("{NAME} is active before the rollout begins")
    );
    assert_eq!(asked(&blocking, Some(start())).says, Says::RollBack);
}

#[test]
fn an_alert_of_the_very_moment_and_one_without_a_moment_count() {
    for active_at in [Some(NOW.before(MINUTE * 10)), None] {
        assert_eq!(
            of_alert(
                &policy(),
                Alert {
                    active_at,
                    ..alert(AlertState::Firing)
                }
            )
            .0,
            Says::RollBack
        );
    }
}

#[test]
fn a_broken_rule_keeps_a_rollout_from_beginning() {
    let broken = AlertingRule {
        health: Health::Err,
        ..rule(vec![])
    };
    assert_eq!(
        decide(&policy(), &[group(broken)], None, NOW).says,
        Says::Inconclusive
    );
    assert_eq!(decide(&policy(), &[], None, NOW).says, Says::Inconclusive);
}

// Whose

#[test]
fn an_alert_of_somebody_else_is_ignored_and_one_of_nobody_holds_or_is_ours() {
    let ours = [("service", "web"), ("namespace", "production")];
    let (required, assumed) = (Attribution::require(ours), Attribution::assume_ours(ours));
    for (labels, when_required, when_assumed) in [
        (
            names([("service", "web"), ("namespace", "production")]),
            Says::RollBack,
            Says::RollBack,
        ),
        (
            names([("service", "shop"), ("namespace", "production")]),
            Says::GoOn,
            Says::GoOn,
        ),
        (
            names([("service", "web"), ("namespace", "test")]),
            Says::GoOn,
            Says::GoOn,
        ),
        (names([("service", "web")]), Says::Hold, Says::RollBack),
        (names([]), Says::Hold, Says::RollBack),
    ] {
        let mut alert = alert(AlertState::Firing);
        alert.labels = labels;
        alert.labels.insert("severity".into(), "critical".into());
        for (attribution, says) in [(&required, when_required), (&assumed, when_assumed)] {
            let policy = Policy {
                attribution: attribution.clone(),
                ..policy()
            };
            assert_eq!(
                of_alert(&policy, alert.clone()).0,
                says,
                "{:?} {attribution:?}",
                alert.labels
            );
        }
    }
}

#[test]
fn an_alert_of_somebody_else_is_ignored_even_if_it_also_lacks_a_label() {
    let policy = Policy {
        attribution: Attribution::require([("namespace", "production"), ("service", "shop")]),
        ..policy()
    };
    assert_eq!(of_alert(&policy, alert(AlertState::Firing)).0, Says::GoOn);
}

#[test]
fn an_alert_of_nobody_that_was_active_when_the_rollout_began_is_ignored() {
    let policy = Policy {
        attribution: Attribution::require([("namespace", "production")]),
        ..policy()
    };
    let old = Alert {
        active_at: Some(NOW.before(MINUTE * 11)),
        ..alert(AlertState::Firing)
    };
    for start in [None, Some(start())] {
        assert_eq!(
            decide(&policy, &[group(rule(vec![old.clone()]))], start, NOW).says,
            Says::GoOn
        );
    }
    let (says, why) = of_alert(&policy, alert(AlertState::Firing));
    assert_eq!(says, Says::Hold);
    assert_eq!(
        why,
        format!("{NAME} is active and has no label `namespace` to tell whose it is")
    );
}

// Time

#[test]
fn a_rule_that_needs_longer_than_a_step_is_told() {
    let groups = [group(rule(vec![]))];
    let scrape = Duration::from_secs(15);
    let short = crate::alerts::too_short(&policy(), &groups, scrape, MINUTE);
    assert_eq!(
        short[0].to_string(),
        "rule `HighErrorRate` fires 150s after the cause at the earliest, and the canary stays at a weight for 60s \
         (expected at least 150s)"
    );
    assert_eq!(
        crate::alerts::too_short(&policy(), &groups, scrape, Duration::from_secs(150)),
        []
    );
}

#[test]
fn the_words_of_grafana_are_read() {
    for (word, says) in [
        ("Normal", Says::GoOn),
        ("inactive", Says::GoOn),
        ("Pending", Says::Hold),
        ("Alerting", Says::RollBack),
        ("Recovering", Says::RollBack),
        ("Normal (NoData)", Says::Inconclusive),
        ("Normal (Error)", Says::Inconclusive),
        ("Alerting (NoData)", Says::Inconclusive),
        ("NoData", Says::Inconclusive),
        ("Error", Says::Inconclusive),
        ("", Says::Inconclusive),
    ] {
        let (found, why) = of_alert(&policy(), alert(AlertState::from(String::from(word))));
        assert_eq!(found, says, "{word}: {why}");
        assert!(
            says != Says::Inconclusive || why.contains(&format!("{word:?}")),
            "{why}"
        );
    }
}

#[test]
fn a_rule_that_looked_at_nothing_is_not_healthy() {
    for change in [
        (|rule: &mut AlertingRule| rule.last_series_fetched = Some(0)) as fn(&mut AlertingRule),
        |rule| rule.health = Health::NoData,
    ] {
        let mut rule = rule(Vec::new());
        change(&mut rule);
        let (says, why) = of(&policy(), rule);
        assert_eq!(says, Says::Inconclusive);
        assert!(why.contains("looked at no series"), "{why}");
    }
    let mut rule = rule(Vec::new());
    rule.last_series_fetched = Some(3);
    assert_eq!(of(&policy(), rule).0, Says::GoOn);
}

#[test]
fn of_many_causes_the_worst_are_told_and_how_many_more() {
    let alerts = (0..25_000).map(|number| {
        let mut alert = alert(AlertState::Firing);
        alert
            .labels
            .insert("pod".into(), format!("web-{number}").repeat(20));
        alert
    });
    let (says, why) = of(&policy(), rule(alerts.collect()));
    assert_eq!(says, Says::RollBack);
    assert!(why.ends_with("; and 24992 more"), "{why}");
    assert!(why.len() < 4_000, "{} bytes", why.len());
}
