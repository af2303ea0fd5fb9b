//! What the table of `tests/alerting` cannot say: errors of templates, and texts that are no templates.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn rendered(template: &str) -> String {
    let labels = [("pod", "web-1"), ("service", "web")].map(|(name, value)| (name.into(), value.into()));
    template
        .parse::<Template>()
        .unwrap()
        .render(&labels.into(), 0.015)
}

fn refused(template: &str) -> String {
    template.parse::<Template>().unwrap_err().to_string()
}

#[test]
fn what_is_no_action_is_printed_as_it_is() {
    for (comment, rest) in [
        ("a {{/* x */}} b", "a  b"),
        ("a {{- /* x */ -}} b", "ab"),
        ("a {{- /* }} */}} b", "a b"),
    ] {
        assert_eq!(rendered(comment), rest);
    }
    for text in ["", "plain", "{ { $value } }", "}}", "服务错误率超过1%", "100%"] {
        assert_eq!(rendered(text), text);
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn what_cannot_be_used_is_refused_with_its_place_and_what_would_be_right() {
    let known = "(expected a label, `$value`, or one of humanize, humanize1024, humanizeDuration, \
                 humanizePercentage, toUpper, toLower, printf, index)";
    for (template, message) in [
        ("a {{ if $value }}", format!("5: `if` is not supported {known}")),
        (
            "{{ $externalLabels.a }}",
            format!("3: `$externalLabels.a` is not supported {known}"),
        ),
        ("{{ $labels }}", format!("3: `$labels` is not supported {known}")),
        (
            "{{ $labels.a.b }}",
            format!("3: `$labels.a.b` is not supported {known}"),
        ),
        ("{{ . }}", format!("3: `.` is not supported {known}")),
        ("{{ $x := 1 }}", format!("3: `$x` is not supported {known}")),
        (
            "{{ query \"up\" }}",
            format!("3: `query` is not supported {known}"),
        ),
        (
            "{{ $value | first }}",
            format!("12: `first` is not supported {known}"),
        ),
        ("{{ end }}", format!("3: `end` is not supported {known}")),
        (
            "ä {{ $value",
            String::from("3: an action has no end (expected }})"),
        ),
        (
            "{{ }}",
            String::from("3: the end of the action where a label, `$value` or a function should stand"),
        ),
        (
            "{{ 'a' }}",
            String::from("3: `'` where a label, `$value` or a function should stand"),
        ),
        (
            "{{ $value $value }}",
            String::from("10: `$` where `|` or `}}` should stand"),
        ),
        (
            "{{ $value | $value }}",
            String::from("10: `$` where a function should stand"),
        ),
        (
            "{{ ($value }}",
            String::from("11: the end of the action where a closing parenthesis should stand"),
        ),
        ("{{ \"a }}", String::from("3: a text has no end (expected \")")),
        ("{{ `a }}", String::from("3: a text has no end (expected `)")),
        (
            r#"{{ "\d" }}"#,
            String::from(r#"4: `\d` where \n, \t, \r, \" or \\ should stand"#),
        ),
        (
            "{{/* a */ }}",
            String::from("0: a comment has no end (expected */}})"),
        ),
        (
            "{{ /* a */}}",
            String::from("3: `/` where a label, `$value` or a function should stand"),
        ),
        (
            "{{/* a }}",
            String::from("0: a comment has no end (expected */}})"),
        ),
        (
            "{{ humanize $labels.pod }}",
            String::from("3: humanize takes the value, and is given a text"),
        ),
        (
            "{{ $value | humanize | humanize }}",
            String::from("23: humanize takes the value, and is given a text"),
        ),
        (
            "{{ humanize }}",
            String::from("3: humanize takes the value, and is given nothing"),
        ),
        (
            "{{ toUpper $value }}",
            String::from("3: toUpper takes a text, and is given a number"),
        ),
        (
            "{{ printf $value }}",
            String::from(
                "3: printf takes a format in quotes first, e.g. printf \"%.2f\" $value, and is given something else",
            ),
        ),
        (
            r#"{{ printf "%d" $value }}"#,
            String::from("3: %d of printf takes no number here, and is given one (expected e.g. %.2f)"),
        ),
        (
            r#"{{ printf "%s" $value }}"#,
            String::from("3: %s of printf takes a text, and is given a number (expected e.g. %.2f)"),
        ),
        (
            r#"{{ printf "%.2f" $labels.pod }}"#,
            String::from("3: %f of printf takes a number, and is given a text"),
        ),
        (
            r#"{{ printf "%.2f" }}"#,
            String::from("3: %f of printf takes an argument, and is given none"),
        ),
        (
            r#"{{ printf "a" $value }}"#,
            String::from("3: printf \"a\" takes one argument for each verb, and is given more"),
        ),
        (
            r#"{{ printf "50%" }}"#,
            String::from(
                "3: a verb of printf has no end (expected a letter like f or s; a percent sign is written %%)",
            ),
        ),
        (
            r#"{{ printf "%999f" $value }}"#,
            String::from("3: printf takes a width and a precision of at most 100, and is given more"),
        ),
        (
            "{{ index $labels $value }}",
            String::from(
                "3: index takes the labels and a name in quotes, e.g. index $labels \"pod\", and is given something \
                 else",
            ),
        ),
    ] {
        let expected = message.split_once(": ").unwrap();
        let expected = format!("at byte {} of the template: {}", expected.0, expected.1);
        assert_eq!(refused(template), expected, "{template}");
    }
}

#[test]
fn nesting_and_long_pipelines_end_somewhere() {
    for nested in [
        ["{{", &"(".repeat(100_000)].concat(),
        ["{{ $labels.pod", &"|toUpper".repeat(100_000), "}}"].concat(),
    ] {
        assert!(refused(&nested).ends_with("more than 32 nested expressions"));
    }
    assert_eq!(
        rendered(&["{{$labels.pod", &"|toUpper".repeat(32), "}}"].concat()),
        "WEB-1"
    );
}

#[test]
fn a_template_tells_which_labels_it_prints() {
    let template: Template =
        r#"{{ $labels.pod }} {{ index $labels "le" | toUpper }} {{ printf "%s" $labels.pod }} {{ $value }}"#
            .parse()
            .unwrap();
    let labels: Vec<_> = template.labels().into_iter().collect();
    assert_eq!(labels, [("le", 21), ("pod", 3)]);
}

#[test]
fn a_template_tells_whether_it_prints_the_value_unrounded() {
    for (template, bare) in [
        ("{{ $value }}", Some(3)),
        ("a {{ .Value }}", Some(5)),
        ("{{ $value | humanize }}", Some(3)),
        ("{{ $value | humanizePercentage }}", None),
        (r#"{{ printf "%.0f" $value }}"#, None),
        ("{{ $labels.pod }}", None),
    ] {
        assert_eq!(
            template.parse::<Template>().unwrap().unrounded_value(),
            bare,
            "{template}"
        );
    }
}

#[test]
fn duplicate_labels_are_named_and_leave_what_was_known() {
    let rule = AlertRule {
        labels: [("pod".into(), "all".parse().unwrap())].into(),
        ..AlertRule::new("Down")
    };
    let element = |pod: &str| Element {
        labels: [("pod".into(), pod.into())].into(),
        value: 1.0,
    };
    let (start, later) = (
        crate::Timestamp::from_millis(0),
        crate::Timestamp::from_millis(60_000),
    );
    let known = Alerts::default().tick(&rule, start, &[element("a")]).unwrap();
    let error = known
        .tick(&rule, later, &[element("a"), element("b")])
        .unwrap_err();
    assert_eq!(error.labels, r#"{alertname="Down", pod="all"}"#);
    assert_eq!(
        known
            .tick(&rule, later, &[element("a")])
            .unwrap()
            .iter()
            .next()
            .unwrap()
            .active_at,
        start
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,60}", value: f64) {
        if let Ok(template) = text.parse::<Template>() {
            template.render(&Labels::new(), value);
        }
    }

    #[test]
    fn nothing_made_of_the_languages_own_words_panics(
        words in proptest::collection::vec(
            prop::sample::select(std::vec![
                "{{", "}}", "{{-", "-}}", " ", "$value", "$labels.pod", "|", "(", ")", "humanize", "printf", "\"%5.1f\"",
                "\"%s\"", "`", "\"", "\\", "/*", "*/", ".", "index", "$labels", "ä", "\n",
            ]),
            0..24,
        ),
        value: f64,
    ) {
        match words.concat().parse::<Template>() {
            Ok(template) => _ = template.render(&Labels::new(), value),
            Err(error) => prop_assert!(error.offset <= words.concat().len()),
        }
    }

    #[test]
    fn the_value_is_printed_so_that_it_reads_back(value: f64) {
        let read: f64 = sample_text(value).parse().unwrap();
        prop_assert!(read == value || read.is_nan() && value.is_nan());
    }
}

#[test]
fn what_is_quoted_of_a_template_is_one_line_with_a_bound() {
    for odd in ["{{ $value \u{7f} }}", "{{ $value \u{202e} }}"] {
        let said = refused(odd);
        assert_eq!(crate::text::hidden(&said), None, "{said:?}");
    }
    for odd in [
        alloc::format!("{{{{ {} }}}}", "x".repeat(9_000)),
        alloc::format!("{{{{ printf \"%{}\" $value }}}}", "z".repeat(9_000)),
    ] {
        let said = refused(&odd);
        assert!(said.chars().count() < 600, "{said}");
    }
}
