use delivery_core::rollout::{Notice, Reason};
use serde_json::{Value, json};

use super::words::*;
use crate::notify::{About, Field, Message, sender};

#[test]
fn slack_gets_the_payload_of_flagger() {
    let body = to("slack").channel("deploys").username("bot").sent(&begun());
    assert_eq!(
        body,
        [json!({
            "channel": "deploys",
            "username": "bot",
            "icon_url": "",
            "icon_emoji": ":rocket:",
            "attachments": [{
                "color": "good",
                "author_name": "web.shop",
                "text": "Progressing v2, 0 % to the canary: new revision",
                "mrkdwn_in": ["text"],
                "fields": [
                    { "title": "Target", "value": "Deployment/web.shop", "short": false },
                    { "title": "Failed checks threshold", "value": "1", "short": false },
                    { "title": "Progress deadline", "value": "600s", "short": false },
                    { "title": "Traffic routing", "value": "Weight step: 10 max: 100", "short": false },
                ],
            }],
        })]
    );
}

#[test]
fn those_who_speak_slacks_format_differ_in_colors_only() {
    for (name, usual, error) in [
        ("slack", "good", "danger"),
        ("discord", "good", "danger"),
        ("rocket", "#0076D7", "#FF0000"),
    ] {
        let attachment = |notice: &Notice| to(name).sent(notice).remove(0)["attachments"][0].clone();
        assert_eq!(attachment(&stepped())["color"], usual);
        assert_eq!(attachment(&denied("no"))["color"], usual, "a warning is no error");
        assert_eq!(attachment(&failed())["color"], error);
        let body = to(name).sent(&stepped()).remove(0);
        let mut slack = to("slack").sent(&stepped()).remove(0);
        slack["attachments"][0]["color"] = usual.into();
        assert_eq!(body, slack);
        assert_eq!(
            (&body["channel"], &body["username"]),
            (&json!("general"), &json!("flagger"))
        );
    }
}

#[test]
fn slacks_api_declines_with_a_status_of_200() {
    let refusal = sender("slack").unwrap().refusal;
    for (reply, why) in [
        ("ok", None),
        (r#"{"ok":true,"ts":"1.2"}"#, None),
        (
            r#"{"ok":false,"error":"channel_not_found"}"#,
            Some("channel_not_found"),
        ),
        (r#"{"ok":false}"#, Some("no reason given")),
        ("", None),
    ] {
        assert_eq!(refusal(reply.as_bytes()).as_deref(), why, "{reply}");
    }
}

#[test]
fn teams_says_with_a_status_of_200_that_it_failed() {
    for name in ["msteams", "msteams-connector"] {
        let refusal = sender(name).unwrap().refusal;
        let failed = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId x";
        assert_eq!(refusal(failed.as_bytes()).as_deref(), Some(failed));
        assert_eq!(refusal(b"1"), None);
        assert_eq!(refusal(b""), None);
    }
}

#[test]
fn teams_gets_an_adaptive_card() {
    let block = |text: &str, weight: &str, color: &str| json!({ "type": "TextBlock", "text": text, "weight": weight, "color": color, "wrap": true });
    let card = |body: Value| {
        let content = json!({
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.2",
            "msteams": { "width": "Full" },
            "body": body,
        });
        let kind = "application/vnd.microsoft.card.adaptive";
        let attachment = json!({ "contentType": kind, "contentUrl": null, "content": content });
        [json!({ "type": "message", "attachments": [attachment] })]
    };
    let text = "RollingBack v2, 0 % to the canary: threshold 5 reached: request-success-rate 94.1, wanted at least 99";
    let who = block("web.shop", "Bolder", "Default");
    let expected = card(json!([who, block(text, "Default", "Attention")]));
    assert_eq!(to("msteams").sent(&failed()), expected);
    let text = "Progressing v2, 0 % to the canary: new revision";
    let fact = |title: &str, value: &str| json!({ "title": title, "value": value });
    let facts = [
        fact("Target", "Deployment/web.shop"),
        fact("Failed checks threshold", "1"),
        fact("Progress deadline", "600s"),
        fact("Traffic routing", "Weight step: 10 max: 100"),
    ];
    let facts = json!({ "type": "FactSet", "facts": facts });
    let expected = card(json!([who, block(text, "Default", "Default"), facts]));
    assert_eq!(to("msteams").sent(&begun()), expected);
}

/// Teams counts a fifth more than was sent, and takes 28 KB.
#[test]
fn a_message_to_teams_fits_with_many_long_facts() {
    let long = "\u{10348}\\\"]".repeat(5_000);
    let mut about = About::new("web", "shop").cluster(&long);
    about.fields = vec![Field::new(&long, &long); 100];
    let notice = Notice {
        reason: Reason::NewRevision,
        ..denied(&long)
    };
    let message = Message {
        about: &about,
        notice: &notice,
    };
    for name in ["msteams", "msteams-connector"] {
        let body = to(name).bodies(&message).remove(0).to_string();
        assert!(body.len() < 20_000, "{name}: {} bytes", body.len());
        let mut long_text = message;
        let notice = denied(&long);
        long_text.notice = &notice;
        let body = to(name).bodies(&long_text).remove(0).to_string();
        assert!(body.len() < 20_000, "{name}: {} bytes", body.len());
    }
}

#[test]
fn a_connector_of_teams_gets_the_message_card_of_flagger() {
    let body = to("msteams-connector").sent(&failed());
    let text = "RollingBack v2, 0 % to the canary: threshold 5 reached: request-success-rate 94.1, wanted at least 99";
    assert_eq!(
        body,
        [json!({
            "@type": "MessageCard",
            "@context": "http://schema.org/extensions",
            "themeColor": "FF0000",
            "summary": "web.shop",
            "sections": [{ "activityTitle": text, "activitySubtitle": "web.shop", "facts": [] }],
        })]
    );
    let begun = to("msteams-connector").sent(&begun()).remove(0);
    assert_eq!(begun["themeColor"], "0076D7");
    let facts = &begun["sections"][0]["facts"];
    assert_eq!(
        facts[0],
        json!({ "name": "Target", "value": "Deployment/web.shop" })
    );
}

#[test]
fn google_chat_gets_a_paragraph_for_the_text_and_one_for_each_field() {
    let body = to("gchat").sent(&begun()).remove(0);
    let card = &body["cards"][0];
    assert_eq!(
        card["header"],
        json!({ "title": "flagger", "subtitle": "web.shop" })
    );
    let paragraphs: Vec<&Value> = card["sections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["widgets"][0]["textParagraph"]["text"])
        .collect();
    assert_eq!(paragraphs.len(), 5);
    let strong =
        "<font color=#848484><strong>Progressing v2, 0 % to the canary: new revision</strong></font>";
    assert_eq!(paragraphs[0], strong);
    assert_eq!(
        paragraphs[1],
        "Target<br><font color=#848484><strong>Deployment/web.shop</strong></font>"
    );
}
