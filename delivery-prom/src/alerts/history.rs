//! What a rule would have alerted about: its expression over the past, and the core's evaluation of it.

use std::collections::BTreeMap;

use delivery_core::Timestamp;
use delivery_core::alerting::{AlertRule, Alerts, DuplicateLabels, Element, Template, TemplateError, replay};

use crate::client::{Client, Ranged};
use crate::error::{Error, SHOWN, shortened};
use crate::reply::{Data, NoReply, Reply};
use crate::ruler::{AlertingRule, Names};

/// A rule of a server, to be evaluated over the past, or with another `for`.
///
/// # Errors
/// [`UnusableText`] for a label or an annotation with a template that the core cannot fill in.
pub fn evaluated(rule: &AlertingRule) -> Result<AlertRule, UnusableText> {
    let texts = |texts: &Names| {
        let parsed = texts.iter().map(|(name, text)| match text.parse::<Template>() {
            Ok(template) => Ok((name.clone(), template)),
            Err(source) => Err(UnusableText {
                rule: shortened(&rule.name, SHOWN),
                text: shortened(name, SHOWN),
                source,
            }),
        });
        parsed.collect::<Result<BTreeMap<String, Template>, UnusableText>>()
    };
    Ok(AlertRule {
        hold: rule.hold,
        keep_firing_for: rule.keep_firing_for,
        labels: texts(&rule.labels)?,
        annotations: texts(&rule.annotations)?,
        ..AlertRule::new(rule.name.clone())
    })
}

/// A label or an annotation of a rule that cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule `{rule}`: its label or annotation `{text}` cannot be filled in")]
pub struct UnusableText {
    /// The rule's name, shortened.
    pub rule: String,
    /// The name of the label or annotation, shortened.
    pub text: String,
    /// What is wrong with it.
    pub source: TemplateError,
}

/// What a rule would have alerted about: its alerts after each evaluation of `range`, whose query is the rule's expression
/// and whose step is the interval of its group.
///
/// Begin earlier than what you want to know about: an alert that was active before the first evaluation is taken as one
/// that begins with it. An evaluation that fails is an error in its place.
///
/// # Errors
/// What an exchange with the server brings, among it that a range has too many steps; [`Error::Query`] for a query whose
/// result is a native histogram or no series.
///
/// # Example
/// ```no_run
/// use std::time::Duration;
/// use delivery_core::Timestamp;
/// use delivery_core::alerting::AlertState;
/// use delivery_prom::ruler::Rule;
/// use delivery_prom::{Client, Ranged, alerts};
///
/// /// Would the rules have told about the incident, and how late, if `for` were 30 s?
/// async fn sooner(client: &Client, from: Timestamp, to: Timestamp) -> Result<(), Box<dyn std::error::Error>> {
///     for group in client.rules().await? {
///         for rule in &group.rules {
///             let Rule::Alerting(known) = rule else { continue };
///             let rule = delivery_core::alerting::AlertRule { hold: Duration::from_secs(30), ..alerts::evaluated(known)? };
///             let range = Ranged { query: &known.query, from, to, step: group.interval };
///             let story = alerts::history(client, &rule, &range).await?;
///             let fires = |it: &delivery_core::alerting::Alerts| it.iter().any(|it| it.state == AlertState::Firing);
///             let first = story.iter().find(|(_, alerts)| alerts.as_ref().is_ok_and(fires));
///             println!("{}: {:?}", known.name, first.map(|it| it.0));
///         }
///     }
///     Ok(())
/// }
/// ```
pub async fn history(
    client: &Client,
    rule: &AlertRule,
    range: &Ranged<'_>,
) -> Result<Vec<(Timestamp, Result<Alerts, DuplicateLabels>)>, Error> {
    let answer = client.query_range(range).await?;
    let unusable = |why: String| Error::Query {
        query: shortened(range.query, SHOWN),
        why,
    };
    let ticks = ticks(&answer.reply()?, range).map_err(unusable)?;
    Ok(replay(rule, ticks).collect())
}

/// What an expression yields at each step of a range, also where that is nothing.
fn ticks(reply: &Reply<'_>, range: &Ranged<'_>) -> Result<Vec<(Timestamp, Vec<Element>)>, String> {
    let Data::Matrix(tracks) = &reply.data else {
        return Err("its result is no series (expected those that alert)".into());
    };
    let mut ticks: Vec<(Timestamp, Vec<Element>)> = Vec::new();
    let mut now = range.from;
    // A step of nothing is refused before anything is sent; here it only must not be endless.
    while now <= range.to && ticks.last().is_none_or(|(last, _)| *last < now) {
        ticks.push((now, Vec::new()));
        now = now.after(range.step);
    }
    for track in tracks {
        if track.histograms {
            return Err("its result is a native histogram (expected numbers)".into());
        }
        let labels = track.labels.map();
        let points = track.points().map_err(|it: NoReply| it.to_string())?;
        for point in points {
            if let Ok(at) = ticks.binary_search_by_key(&point.at, |it| it.0) {
                ticks[at].1.push(Element {
                    labels: labels.clone(),
                    value: point.value,
                });
            }
        }
    }
    Ok(ticks)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use delivery_core::alerting::Labels;

    use super::*;
    use crate::reply;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn read(data: &str) -> Result<Vec<(Timestamp, Vec<Element>)>, String> {
        let body = format!(r#"{{"status":"success","data":{data}}}"#);
        let range = Ranged {
            query: "x",
            from: at(60),
            to: at(105),
            step: Duration::from_secs(15),
        };
        ticks(&reply::parse(body.as_bytes()).unwrap(), &range)
    }

    #[test]
    fn every_step_is_a_tick_and_a_gap_is_an_empty_one() {
        let data = r#"{"resultType":"matrix","result":[
            {"metric":{"pod":"a"},"values":[[60,"1"],[90,"NaN"]]},
            {"metric":{"pod":"b"},"values":[[90,"2"],[91,"7"],[120,"8"]]}]}"#;
        let ticks = read(data).unwrap();
        let seen: Vec<(u64, String)> = ticks
            .iter()
            .map(|(at, elements)| {
                let elements: Vec<String> = elements
                    .iter()
                    .map(|it| format!("{}={}", it.labels["pod"], it.value))
                    .collect();
                (at.as_millis() / 1_000, elements.join(" "))
            })
            .collect();
        let expected = [(60, "a=1"), (75, ""), (90, "a=NaN b=2"), (105, "")];
        assert_eq!(seen, expected.map(|(at, elements)| (at, elements.to_owned())));
    }

    #[test]
    fn what_is_no_series_is_refused() {
        let scalar = r#"{"resultType":"scalar","result":[60,"1"]}"#;
        assert_eq!(
            read(scalar).unwrap_err(),
            "its result is no series (expected those that alert)"
        );
    }

    #[test]
    fn a_rule_of_a_server_is_one_of_the_core() {
        let rule: AlertingRule = serde_json::from_str(
            r#"{"name":"A","query":"x","duration":120,"keepFiringFor":30,"labels":{"severity":"critical"},
                "annotations":{"text":"{{ $value }}"}}"#,
        )
        .unwrap();
        let read = evaluated(&rule).unwrap();
        assert_eq!(
            (read.hold, read.keep_firing_for),
            (Duration::from_secs(120), Duration::from_secs(30))
        );
        assert_eq!(read.annotations["text"].render(&Labels::new(), 4.1), "4.1");

        let unusable = AlertingRule {
            labels: [("a".into(), "{{ if }}".into())].into(),
            ..rule
        };
        let error = evaluated(&unusable).unwrap_err();
        assert_eq!(
            error.to_string(),
            "rule `A`: its label or annotation `a` cannot be filled in"
        );
        assert_eq!(error.source.offset, 3);
    }
}
