//! What requests are told apart by: conditions of an A/B test, and the cookies that keep users on a side.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use core::time::Duration;

use regex_syntax::ast::ErrorKind;
use regex_syntax::ast::parse::Parser;

use super::problem::Problems;
use super::{Affinity, Capabilities, Flaw, MatchRule, Patterns, Text};

/// Checks the rules of an A/B test.
pub(super) fn check_rules(rules: &[MatchRule], can: &Capabilities, problems: &mut Problems) {
    const PATH: &str = "strategy.abTest.match";
    if rules.is_empty() {
        let remedy = "write at least one condition; without any, use blueGreen";
        problems.error(PATH, Flaw::NoStep, "no condition", remedy);
    }
    for (at, rule) in rules.iter().enumerate() {
        let path = format!("{PATH}[{at}]");
        if rule.headers.is_empty() && rule.query_params.is_empty() {
            let remedy = "write at least one condition: without any, every request matches";
            problems.error(&path, Flaw::NoStep, "no condition", remedy);
        }
        if !rule.query_params.is_empty() && !can.query_params {
            let remedy = "a condition on a header, or a router that compares parameters";
            problems.error(
                format!("{path}.queryParams"),
                Flaw::Unsupported,
                "a parameter",
                remedy,
            );
        }
        let headers = format!("{path}.headers");
        check_texts(&headers, &rule.headers, is_token, can, problems);
        let parameters = format!("{path}.queryParams");
        check_texts(&parameters, &rule.query_params, is_parameter, can, problems);
    }
}

fn check_texts(
    path: &str,
    conditions: &BTreeMap<String, Text>,
    is_name: fn(&str) -> bool,
    can: &Capabilities,
    problems: &mut Problems,
) {
    for (name, text) in conditions {
        if !is_name(name) {
            let remedy = "letters, digits and the signs that such a name may have";
            problems.error(path, Flaw::Name, format!("{name:?}"), remedy);
        }
        let path = format!("{path}.{name}");
        let (Text::Exact(value) | Text::Prefix(value) | Text::Suffix(value) | Text::Regex(value)) = text;
        if value.chars().any(char::is_control) {
            let remedy = "a text that a request can have: no line breaks or other control characters";
            problems.error(&path, Flaw::OutOfRange, format!("{value:?}"), remedy);
        } else if matches!(text, Text::Regex(_))
            && let Err((flaw, remedy)) = check_pattern(value, can.patterns)
        {
            problems.error(&path, flaw, format!("{value:?}"), remedy);
        }
    }
}

/// Whether a router can run a regular expression, and what would be right.
fn check_pattern(pattern: &str, patterns: Patterns) -> Result<(), (Flaw, String)> {
    if patterns == Patterns::None {
        return Err((Flaw::Unsupported, String::from("exact, prefix or suffix")));
    }
    let Err(error) = Parser::new().parse(pattern) else {
        return Ok(());
    };
    let kind = error.kind();
    // Words of other dialects, such as `\Q…\E`, are left to the router.
    if matches!(kind, ErrorKind::EscapeUnrecognized) {
        return Ok(());
    }
    if matches!(
        kind,
        ErrorKind::UnsupportedBackreference | ErrorKind::UnsupportedLookAround
    ) {
        let remedy =
            "a pattern without look-around and references to groups, which this router does not have";
        return match patterns {
            Patterns::Backtracking => Ok(()),
            Patterns::Linear | Patterns::None => Err((Flaw::Unsupported, String::from(remedy))),
        };
    }
    let remedy = format!("{kind}, at character {}", error.span().start.column);
    Err((Flaw::Pattern, remedy))
}

/// Checks what keeps users on a side.
pub(super) fn check_affinity(affinity: &Affinity, can: &Capabilities, problems: &mut Problems) {
    if !can.sticky {
        let remedy = "leave affinity out, or use a router that has it";
        problems.error("affinity", Flaw::Unsupported, "a cookie", remedy);
    }
    let Affinity {
        cookie_name,
        primary_cookie_name,
        max_age,
    } = affinity;
    let primary = primary_cookie_name
        .iter()
        .map(|it| ("affinity.primaryCookieName", it));
    for (path, name) in [("affinity.cookieName", cookie_name)].into_iter().chain(primary) {
        if !is_token(name) {
            let remedy = "letters, digits and !#$%&'*+-.^_`|~ (a token of RFC 9110, section 5.6.2)";
            problems.error(path, Flaw::Name, format!("{name:?}"), remedy);
        }
    }
    if primary_cookie_name.as_ref() == Some(cookie_name) {
        let remedy = "a name that is not cookieName's";
        problems.error(
            "affinity.primaryCookieName",
            Flaw::Name,
            format!("{cookie_name:?}"),
            remedy,
        );
    }
    if *max_age < Duration::from_secs(1) {
        let remedy = "at least 1s: a browser forgets a cookie of less at once";
        problems.error(
            "affinity.maxAge",
            Flaw::OutOfRange,
            format!("{max_age:?}"),
            remedy,
        );
    }
}

/// A token of RFC 9110, section 5.6.2: the name of a header, or of a cookie (RFC 6265, section 4.1.1).
fn is_token(text: &str) -> bool {
    let is_sign = |it| {
        matches!(
            it,
            '!' | '#'..='\'' | '*' | '+' | '-' | '.' | '^' | '_' | '`' | '|' | '~'
        )
    };
    !text.is_empty() && text.chars().all(|it| it.is_ascii_alphanumeric() || is_sign(it))
}

/// The name of a parameter of a query, before it is encoded.
fn is_parameter(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::plan::{AbTest, Canary, Spec, Strategy};

    fn errors(spec: &Spec, can: &Capabilities) -> Vec<String> {
        let errors = spec.compile(can).map_or_else(|it| it.errors, |_| Vec::new());
        errors.iter().map(ToString::to_string).collect()
    }

    fn matching(json: &str) -> Spec {
        let rules = serde_json::from_str(json).unwrap();
        Spec::new(Strategy::AbTest(AbTest { iterations: 1, rules }))
    }

    const LINEAR: Capabilities = Capabilities {
        patterns: Patterns::Linear,
        ..Capabilities::ALL
    };

    #[test]
    fn conditions_that_a_request_can_meet_are_taken() {
        for rules in [
            r#"[{"headers": {"x-canary": {"exact": "always"}}}]"#,
            r#"[{"queryParams": {"beta[]": {"prefix": ""}}}, {"headers": {"cookie": {"regex": "^(.*?;)?(type=insider)(;.*)?$"}}}]"#,
            r#"[{"headers": {"user-agent": {"regex": "(?i).*Firefox.*"}, "x_y.z~": {"suffix": "ü"}}}]"#,
            r#"[{"headers": {"a": {"regex": "\\Qa.b\\E"}, "b": {"regex": "[[:alpha:]]+\\d{2,}\\b"}}}]"#,
        ] {
            assert_eq!(errors(&matching(rules), &LINEAR), Vec::<String>::new(), "{rules}");
        }
    }

    #[test]
    fn conditions_that_no_request_meets_or_no_router_runs_are_refused() {
        let all = Capabilities::ALL;
        let none = Capabilities {
            patterns: Patterns::None,
            query_params: false,
            ..all
        };
        let path = "strategy.abTest.match[0]";
        for (can, rules, says) in [
            (
                all,
                "[]",
                "strategy.abTest.match: no condition never leads anywhere",
            ),
            (
                all,
                "[{}]",
                "strategy.abTest.match[0]: no condition never leads anywhere",
            ),
            (
                all,
                r#"[{"headers": {"a": {"exact": "b"}}}, {}]"#,
                "strategy.abTest.match[1]: no condition never leads anywhere",
            ),
            (
                all,
                r#"[{"headers": {"": {"exact": "b"}}}]"#,
                r#"headers: "" is no usable name"#,
            ),
            (
                all,
                r#"[{"headers": {"x y": {"exact": "b"}}}]"#,
                r#"headers: "x y" is no usable name"#,
            ),
            (
                all,
                r#"[{"headers": {"x:": {"exact": "b"}}}]"#,
                r#"headers: "x:" is no usable name"#,
            ),
            (
                all,
                r#"[{"queryParams": {"": {"exact": "b"}}}]"#,
                r#"queryParams: "" is no usable name"#,
            ),
            (
                all,
                r#"[{"headers": {"a": {"exact": "b\r\nc: d"}}}]"#,
                r#"headers.a: "b\r\nc: d" is out of range"#,
            ),
            (
                all,
                r#"[{"headers": {"a": {"regex": "("}}}]"#,
                r#"headers.a: "(" is no regular expression (unclosed group"#,
            ),
            (
                all,
                r#"[{"headers": {"a": {"regex": "*x"}}}]"#,
                "is no regular expression",
            ),
            (
                all,
                r#"[{"queryParams": {"a": {"regex": "[a"}}}]"#,
                "queryParams.a: \"[a\" is no regular expression",
            ),
            (
                LINEAR,
                r#"[{"headers": {"a": {"regex": "^(?!bot).*$"}}}]"#,
                "is more than the traffic router can do (a pattern without look-around",
            ),
            (
                LINEAR,
                r#"[{"headers": {"a": {"regex": "(a)\\1"}}}]"#,
                "references to groups",
            ),
            (
                none,
                r#"[{"headers": {"a": {"regex": "b"}}}]"#,
                "can do (exact, prefix or suffix)",
            ),
            (
                none,
                r#"[{"queryParams": {"a": {"exact": "b"}}}]"#,
                "queryParams: a parameter is more than",
            ),
        ] {
            let errors = errors(&matching(rules), &can);
            assert!(
                errors.len() == 1 && errors[0].contains(says),
                "{rules}: {errors:?}"
            );
            assert!(
                errors[0].starts_with(path) || !errors[0].contains("[0]"),
                "{errors:?}"
            );
        }
        let look_around = matching(r#"[{"headers": {"a": {"regex": "^(?!bot).*$"}}}]"#);
        assert_eq!(
            errors(&look_around, &all),
            Vec::<String>::new(),
            "a router with PCRE runs it"
        );
    }

    #[test]
    fn cookies_have_names_that_browsers_take() {
        let kept = |name: &str, primary: Option<&str>, seconds| Spec {
            affinity: Some(Affinity {
                cookie_name: name.into(),
                primary_cookie_name: primary.map(Into::into),
                max_age: Duration::from_secs(seconds),
            }),
            ..Spec::new(Strategy::Canary(Canary {
                step_weights: vec![50.0],
                ..Canary::default()
            }))
        };
        for (name, primary) in [
            ("side", None),
            ("__Host-side.1", Some("primary-side")),
            ("a!#$%&'*+^_`|~", None),
        ] {
            assert_eq!(
                errors(&kept(name, primary, 1), &LINEAR),
                Vec::<String>::new(),
                "{name}"
            );
        }
        for (name, primary, seconds, says) in [
            (
                "side; Path=/",
                None,
                1,
                r#"affinity.cookieName: "side; Path=/" is no usable name"#,
            ),
            ("", None, 1, "affinity.cookieName"),
            ("a=b", None, 1, "affinity.cookieName"),
            ("a,b", None, 1, "affinity.cookieName"),
            ("ä", None, 1, "affinity.cookieName"),
            ("side", Some("a b"), 1, "affinity.primaryCookieName: \"a b\""),
            (
                "side",
                Some("side"),
                1,
                "affinity.primaryCookieName: \"side\" is no usable name (a name that is not cookieName's)",
            ),
            (
                "side",
                None,
                0,
                "affinity.maxAge: 0ns is out of range (at least 1s",
            ),
        ] {
            let errors = errors(&kept(name, primary, seconds), &LINEAR);
            assert!(
                errors.len() == 1 && errors[0].starts_with(says),
                "{name}: {errors:?}"
            );
        }
    }
}
