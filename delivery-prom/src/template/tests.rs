//! Templates as people write them, and as they should not.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn names() -> Names {
    let some = |it: &str| Some(it.to_owned());
    Names {
        name: some("podinfo-release"),
        namespace: some("prod"),
        target: some("podinfo"),
        service: some("podinfo-svc"),
        ingress: some("podinfo-ing"),
        route: some("podinfo-route"),
        variables: [("cluster".to_owned(), r#"dev-.*|"x""#.to_owned())].into(),
    }
}

fn render(text: &str) -> Result<String, TemplateError> {
    let names = names();
    let filling = Filling {
        names: &names,
        revision: Some("v2"),
        interval: Duration::from_secs(90),
    };
    Template::parse(text)?.render(&filling)
}

#[test]
fn gaps_are_filled() {
    for text in ["", "vector(1)", "x{a=\"b\"}"] {
        assert_eq!(render(text).as_deref(), Ok(text));
    }
    let all = "\"{{name}} {{ namespace }} {{\ttarget\n}} {{  service}} {{ingress }} {{ route }} {{ revision }} {{ interval }}\"";
    let query = r#""podinfo-release prod podinfo podinfo-svc podinfo-ing podinfo-route v2 1m30s""#;
    assert_eq!(render(all).as_deref(), Ok(query));
}

#[test]
fn markers_trim_and_comments_vanish() {
    for (text, query) in [
        ("a \n{{- interval -}} \t b", "a1m30sb"),
        ("a {{- interval }} b", "a1m30s b"),
        ("a {{ interval -}} b", "a 1m30sb"),
        ("a {{/* not {{ this }} */}} b", "a  b"),
        ("a {{- /* this */ -}} b", "ab"),
        ("{{ interval -}} {{- interval }}", "1m30s1m30s"),
        ("a }} b", "a }} b"),
        ("sum({a=\"b\"}) { {", "sum({a=\"b\"}) { {"),
    ] {
        assert_eq!(render(text).as_deref(), Ok(query), "{text}");
    }
}

#[test]
fn service_ingress_and_route_are_the_targets_unless_told_otherwise() {
    let names = Names {
        target: Some("web".into()),
        ..Names::default()
    };
    let filling = Filling {
        names: &names,
        revision: None,
        interval: Duration::from_secs(60),
    };
    let template = Template::parse("'{{ service }} {{ ingress }} {{ route }}'").unwrap();
    assert_eq!(template.render(&filling).as_deref(), Ok("'web web web'"));
}

#[test]
fn the_interval_is_a_prometheus_duration() {
    for (millis, text) in [
        (60_000, Some("1m")),
        (47_123, Some("47s123ms")),
        (3_600_000 * 36, Some("1d12h")),
        (0, None),
    ] {
        let names = Names::default();
        let filling = Filling {
            names: &names,
            revision: None,
            interval: Duration::from_millis(millis),
        };
        let query = Template::parse("{{ interval }}").unwrap().render(&filling);
        assert_eq!(query.ok().as_deref(), text);
    }
}

#[test]
fn names_mean_themselves_wherever_they_stand() {
    let name = r#"a.b"c\d`"#;
    let names = Names {
        target: Some(name.into()),
        ..Names::default()
    };
    let filling = Filling {
        names: &names,
        revision: None,
        interval: Duration::from_secs(60),
    };
    for (text, query) in [
        (r#"x{a="{{ target }}"}"#, r#"x{a="a.b\"c\\d`"}"#),
        (r"x{a!='{{ target }}'}", r#"x{a!='a.b"c\\d`'}"#),
        (r#"x{a=~"{{ target }}-.*"}"#, r#"x{a=~"a\\.b\"c\\\\d`-.*"}"#),
        (r#"x{a !~ "x\"{{ target }}"}"#, r#"x{a !~ "x\"a\\.b\"c\\\\d`"}"#),
        (
            r#"x{a=~"y"} # "=~
            + x{b="{{ target }}"}"#,
            r#"x{a=~"y"} # "=~
            + x{b="a.b\"c\\d`"}"#,
        ),
        (r#"{a="b"} |~ "{{ target }}""#, r#"{a="b"} |~ "a\\.b\"c\\\\d`""#),
        (
            r#"x{a=~"{{ target }}", b="{{ target }}"}"#,
            r#"x{a=~"a\\.b\"c\\\\d`", b="a.b\"c\\d`"}"#,
        ),
    ] {
        let rendered = Template::parse(text).unwrap().render(&filling);
        assert_eq!(rendered.as_deref(), Ok(query));
    }
    for (text, why) in [
        ("{{ target }}_total", "outside of quotes"),
        ("x{a=`{{ target }}`}", "between back quotes"),
    ] {
        let error = Template::parse(text).unwrap().render(&filling).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn variables_are_part_of_the_query() {
    let text = r#"x{a=~"{{ variables.cluster }}"} + {{variables.cluster}}"#;
    assert_eq!(render(text).unwrap(), r#"x{a=~"dev-.*|"x""} + dev-.*|"x""#);
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_place() {
    for (text, message) in [
        ("ab {{ target", "`{{` at offset 3 is never closed (expected `}}`)"),
        (
            "ab {{ target }",
            "`{{` at offset 3 is never closed (expected `}}`)",
        ),
        ("{{/* x }}", "`{{` at offset 0 is never closed (expected `}}`)"),
        (
            "ab {{ }}",
            "the gap at offset 3 is empty (expected e.g. {{ target }})",
        ),
        (
            "ab {{- -}}",
            "the gap at offset 3 is empty (expected e.g. {{ target }})",
        ),
        (
            "é {{ targt }}",
            "`targt` at offset 6 is unknown (expected name, namespace, target, service, ingress, route, revision, \
             interval or variables.x)",
        ),
        ("{{ target.name }}", "`target.name` at offset 3 is unknown"),
        ("{{ variables }}", "`variables` at offset 3 is unknown"),
        ("{{ variables.a.b }}", "`variables.a.b` at offset 3 is unknown"),
        ("{{ variables.a-b }}", "`variables.a-b` at offset 3 is unknown"),
        (
            "{{ if eq target \"x\" }}1{{ end }}",
            "`if eq target \"x\"` at offset 3: conditions of Go templates are not supported (write the query out)",
        ),
        ("{{- range . }}", "`range .` at offset 4: loops of"),
        ("{{ end }}", "`end` at offset 3: conditions and loops of"),
        (
            "{{ with target }}",
            "`with target` at offset 3: blocks with another dot of",
        ),
        ("{{ template \"x\" }}", "nested templates of"),
        ("{{ target | printf \"%s\" }}", "pipelines of"),
        ("{{ printf \"%s\" target }}", "functions of"),
        ("{{ index variables \"a-b\" }}", "functions of"),
        ("{{- $route := target }}", "variables of"),
        ("{{ $route }}", "variables of"),
        ("{{ .Values.x }}", "fields of"),
        ("{{ (target) }}", "parentheses of"),
        ("{{ \"x\" }}", "constants of"),
        ("{{-3}}", "`-3` at offset 2: constants of"),
        ("{{ 7 }}", "constants of"),
        ("{{ true }}", "constants of"),
        ("{{ target namespace }}", "arguments of"),
    ] {
        let error = Template::parse(text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}: {text}");
    }
}

#[test]
fn what_nothing_is_known_to_fill_is_an_error() {
    let names = Names::default();
    let filling = Filling {
        names: &names,
        revision: None,
        interval: Duration::ZERO,
    };
    for gap in [
        "name",
        "namespace",
        "target",
        "service",
        "ingress",
        "route",
        "revision",
        "interval",
        "variables.x",
    ] {
        let template = Template::parse(&format!("x {{{{ {gap} }}}}")).unwrap();
        assert_eq!(
            template.render(&filling),
            Err(TemplateError::Missing {
                name: gap.to_owned(),
                at: 2
            })
        );
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*", near in "(\\{\\{-?|-?\\}\\}| |target|/\\*|\\*/|[.\"'`\\\\$|é]){0,12}") {
        let _ = (render(&text), render(&near));
    }

    /// Whatever a name is, it does not get out of its quotes.
    #[test]
    fn a_name_stays_in_its_quotes(name in "\\PC{0,20}", pattern: bool) {
        let operator = if pattern { "=~" } else { "=" };
        let names = Names { target: Some(name.clone()), ..Names::default() };
        let filling = Filling { names: &names, revision: None, interval: Duration::from_secs(1) };
        let template = Template::parse(&format!("x{{a{operator}\"{{{{ target }}}}\"}}")).unwrap();
        let query = template.render(&filling).unwrap();
        let quoted = query.strip_prefix(&format!("x{{a{operator}")).unwrap().strip_suffix('}').unwrap();
        let text: String = serde_json::from_str(quoted).unwrap();
        if pattern {
            prop_assert_eq!(text.replace("\\\\", "\u{0}").replace('\\', "").replace('\u{0}', "\\"), name);
        } else {
            prop_assert_eq!(text, name);
        }
    }
}
