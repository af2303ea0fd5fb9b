use delivery_core::rollout::Notice;
use serde_json::{Value, json};

use super::words::*;
use crate::notify::sender;

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
    let refusal = sender("msteams").unwrap().refusal;
    let failed = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId x";
    assert_eq!(refusal(failed.as_bytes()).as_deref(), Some(failed));
    assert_eq!(refusal(b"1"), None);
    assert_eq!(refusal(b""), None);
}

#[test]
fn teams_gets_the_message_card_of_flagger() {
    let body = to("msteams").sent(&failed());
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
    let begun = to("msteams").sent(&begun()).remove(0);
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
