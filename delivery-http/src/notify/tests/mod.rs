mod chats;
mod programs;
mod words;

use delivery_core::plan::{AbTest, BlueGreen, Canary, MirrorFirst, Spec, Strategy};
use delivery_core::rollout::{Notice, Severity};
use serde_json::Value;

use self::words::*;
use super::*;

#[test]
fn an_unknown_sender_is_an_error_that_lists_the_known_ones() {
    for known in SENDERS {
        assert_eq!(sender(known.name).unwrap().name, known.name);
    }
    let known = "slack, msteams, msteams-connector, discord, rocket, gchat, webhook, alertmanager, cdevents";
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
            for name in [
                "slack",
                "msteams",
                "msteams-connector",
                "discord",
                "rocket",
                "gchat",
                "webhook",
            ] {
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
            "/attachments/0/content/body/1/text",
            format!("line 1 line 2 <{zero}!channel> @here [a]{zero}(http://x) [31m"),
        ),
        (
            "msteams-connector",
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
        ("msteams", 24_000),
        ("msteams-connector", 24_000),
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
