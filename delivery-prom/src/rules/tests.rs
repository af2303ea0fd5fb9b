//! Each lint with a fault and without it, and files that cannot be read.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// A file with one alerting rule, its expression on line 6.
fn rule(expr: &str, rest: &str) -> String {
    let mut text = String::from("groups:\n- name: g\n  interval: 15s\n  rules:\n  - alert: A\n");
    writeln!(text, "    expr: {}", serde_json::to_string(expr).unwrap()).unwrap();
    for line in rest.lines() {
        writeln!(text, "    {line}").unwrap();
    }
    text
}

/// The same lines, two columns to the right.
fn indented(text: &str) -> String {
    text.lines().flat_map(|it| ["  ", it, "\n"]).collect()
}

/// Line and lint of each finding.
fn found(file: &str, text: &str) -> Vec<(u64, Lint)> {
    check(file, text, &Pace::default())
        .unwrap()
        .iter()
        .map(|it| (it.line, it.lint))
        .collect()
}

fn lints(expr: &str, rest: &str) -> Vec<Lint> {
    found("a.yaml", &rule(expr, rest))
        .into_iter()
        .map(|it| it.1)
        .collect()
}

fn refused(file: &str, text: &str) -> String {
    check(file, text, &Pace::default()).unwrap_err().to_string()
}

// Labels that a text prints

#[test]
fn a_text_may_print_what_the_expression_keeps_and_nothing_else() {
    for (expr, label, kept) in [
        ("up{job=\"a\"}", "pod", true),
        ("up{pod=\"\"}", "pod", false),
        ("up{job=\"a\"} == 0", "__name__", true),
        ("rate(x{job=\"a\"}[1m])", "__name__", false),
        ("sum by (service)(x)", "service", true),
        ("sum by (service)(x)", "pod", false),
        ("sum without (pod)(x)", "service", true),
        ("sum without (pod)(x)", "pod", false),
        ("sum(x{job=\"a\"})", "job", false),
        ("sum by (service)(sum by (pod)(x))", "service", false),
        ("topk(3, sum by (service)(x))", "service", true),
        ("topk(3, sum by (service)(x))", "pod", false),
        ("count_values by (job)(\"version\", x)", "version", true),
        ("quantile by (job)(0.9, x)", "pod", false),
        (
            "histogram_quantile(0.99, sum by (le, service)(rate(b[1m])))",
            "service",
            true,
        ),
        (
            "histogram_quantile(0.99, sum by (le, service)(rate(b[1m])))",
            "le",
            false,
        ),
        (
            "label_replace(sum by (job)(x), \"service\", \"$1\", \"job\", \"(.*)\")",
            "service",
            true,
        ),
        ("absent(up{job=\"a\"})", "job", true),
        ("absent(up{job=~\"a\"})", "job", false),
        ("absent_over_time(up{job=\"a\"}[1m])", "pod", false),
        ("vector(1)", "job", false),
        ("time() > bool 5", "job", false),
        ("sum by (a)(x{job=\"j\"}) / sum by (b)(y{job=\"j\"})", "a", false),
        ("sum by (a, b)(x) / on (a) sum by (a)(y)", "a", true),
        ("sum by (a, b)(x) / on (a) sum by (a)(y)", "b", false),
        ("sum by (a, b)(x) / ignoring (b) sum by (a)(y)", "b", false),
        ("sum by (a, b)(x) / on (a) group_left sum by (a)(y)", "b", true),
        ("sum by (a, b)(x) * on (a) group_left (team) owner", "team", true),
        (
            "sum by (a, b)(x) * on (a) group_left (team) sum by (a)(owner)",
            "team",
            false,
        ),
        (
            "sum by (a)(x) * on (a) group_right (b) sum by (a, c)(y)",
            "c",
            true,
        ),
        ("sum by (a)(x) and on () sum(y{job=\"j\"})", "a", true),
        ("sum by (a)(x) and on () sum by (b)(y)", "b", false),
        ("sum by (a)(x) or sum by (b)(y)", "b", true),
        ("sum by (a)(x) unless sum by (a)(y)", "b", false),
        ("1 - sum by (a)(x)", "a", true),
        ("-sum by (a)(x)", "b", false),
        ("max_over_time(sum by (a)(x)[1m:15s])", "a", true),
        ("max_over_time(sum by (a)(x)[1m:15s])", "b", false),
        ("(sum by (a)(x) > 0) > bool 1", "a", true),
    ] {
        let text = format!("annotations:\n  text: 'x {{{{ $labels.{label} }}}}'");
        let found = check("a.yaml", &rule(expr, &text), &Pace::default()).unwrap();
        let dropped: Vec<_> = found.iter().filter(|it| it.lint == Lint::LabelDropped).collect();
        assert_eq!(dropped.is_empty(), kept, "{label} of {expr}: {dropped:?}");
        assert!(dropped.iter().all(|it| it.line == 8));
    }
}

#[test]
fn a_label_of_the_rule_itself_is_not_in_labels() {
    let text = rule(
        "sum by (pod)(x)",
        "labels:\n  service: web\nannotations:\n  text: '{{ $labels.service }}'",
    );
    let found = check("a.yaml", &text, &Pace::default()).unwrap();
    assert_eq!(
        found[0].to_string(),
        "a.yaml:10: rule `A` of group `g`: annotation `text` prints $labels.service, which is empty: `$labels` are \
         those of the expression, which keeps only `pod`, and not the rule's own; write the label's value out \
         [label-dropped]"
    );
}

#[test]
fn what_a_recording_rule_drops_is_dropped() {
    let text = "groups:\n- name: g\n  interval: 15s\n  rules:\n  - record: service:errors\n    expr: sum by (service)(x)\n    \
                labels: {tier: front}\n  - alert: A\n    expr: service:errors > 1\n    annotations:\n      \
                a: '{{ $labels.service }} {{ $labels.tier }}'\n      b: '{{ $labels.pod }}'\n";
    assert_eq!(found("a.yaml", text), [(12, Lint::LabelDropped)]);
}

#[test]
fn what_is_wrong_with_a_recording_rule_is_wrong_with_the_alert_that_reads_it() {
    let text = "groups:\n- name: g\n  interval: 15s\n  rules:\n  - record: errors:rate5m\n    expr: sum(rate(e[5m]))\n  \
                - record: ratio\n    expr: errors:rate5m / sum(rate(t[5m]))\n  - record: loop\n    expr: loop\n  \
                - alert: A\n    expr: ratio > 0.01 or loop > 0\n  - alert: B\n    expr: ratio > 0.01\n";
    let lints: Vec<(u64, Lint)> = found("a.yaml", text);
    let expected = [
        (11, Lint::SlowAlert),
        (12, Lint::NoTraffic),
        (13, Lint::SlowAlert),
        (14, Lint::SumsEverything),
        (14, Lint::NoTraffic),
    ];
    assert_eq!(lints, expected);
}

#[test]
fn a_template_that_we_do_not_support_is_still_looked_at() {
    let text = "annotations:\n  a: '{{ if $labels.pod }}{{ $labels.pod }}{{ end }}'\n  b: '{{ if .Labels.job }}x{{ end }}'";
    assert_eq!(lints("sum by (job)(x)", text), [Lint::LabelDropped]);
}

#[test]
fn a_template_that_is_refused_or_prints_an_error_is_reported_and_any_other_is_not() {
    for (text, broken) in [
        ("{{ $value", true),
        ("{{ $lables.job }}", true),
        ("{{ $value | upper }}", true),
        ("{{ $value } }}", true),
        ("{{ if $value }}x", true),
        ("{{ .labels.job }}", true),
        ("{{ if gt $value 1 }}x{{ end }}", true),
        ("{{ if gt $value 1.0 }}x{{ end }}", false),
        ("{{ $labels.job | title | reReplaceAll \"a\" \"b\" }}", false),
        (r#"{{ printf "%d" $value }}"#, true),
        (r#"{{ printf "%.0f" $value }}"#, false),
        ("{{ range query \"up\" }}{{ . }}{{ end }}", false),
    ] {
        let rest = format!("annotations:\n  a: '{text}'");
        let expected: &[Lint] = if broken { &[Lint::BrokenText] } else { &[] };
        assert_eq!(lints("sum by (job)(x)", &rest), expected, "{text}");
    }
}

// Sums over everything

#[test]
fn one_number_of_all_services_is_reported() {
    for (expr, everything) in [
        ("sum(x) > 1", true),
        ("sum by ()(x) > 1", true),
        ("max(avg(x)) > 1", true),
        ("sum by (service)(x) > 1", false),
        ("sum without (pod)(x) > 1", false),
        ("sum(x{service=\"web\"}) > 1", false),
        ("sum(x{pod=~\"web-canary-.*\"}) > 1", false),
        ("sum(x{status=\"500\"}) > 1", true),
        ("x > 1", false),
        ("topk(1, x) > 1", false),
        ("absent(x)", false),
        ("x > on () group_left sum(y)", false),
    ] {
        let expected: &[Lint] = if everything { &[Lint::SumsEverything] } else { &[] };
        assert_eq!(lints(expr, ""), expected, "{expr}");
    }
}

// No traffic

#[test]
fn a_ratio_to_traffic_must_say_what_it_wants_without_traffic() {
    for (expr, silent) in [
        ("sum by (a)(rate(e[1m])) / sum by (a)(rate(t[1m])) > 0.01", true),
        (
            "sum by (a)(increase(e[1m])) / (sum by (a)(increase(t[1m]))) > 0.01",
            true,
        ),
        ("a:errors:rate1m / a:requests:rate1m > 0.01", true),
        ("1 - rate(e[1m]) / rate(t[1m]) > 0.01", true),
        (
            "sum by (a)(rate(e[1m])) / (sum by (a)(rate(t[1m])) > 0) > 0.01",
            false,
        ),
        (
            "sum by (a)(rate(e[1m])) / clamp_min(sum by (a)(rate(t[1m])), 1) > 0.01",
            false,
        ),
        (
            "sum by (a)(rate(e[1m])) / sum by (a)(rate(t[1m])) > 0.01 and sum by (a)(rate(t[1m])) > 0",
            false,
        ),
        (
            "sum by (a)(rate(e[1m])) / sum by (a)(rate(t[1m])) > 0.01 and sum by (a)(other) > 0",
            true,
        ),
        ("sum by (a)(rate(e[1m])) / 100 > 0.01", false),
        ("rate(cpu[1m]) / limit > 0.9", false),
    ] {
        let expected: &[Lint] = if silent { &[Lint::NoTraffic] } else { &[] };
        assert_eq!(lints(expr, ""), expected, "{expr}");
    }
}

#[test]
fn another_rule_may_watch_for_the_absence_of_traffic() {
    let ratio = "sum by (a)(rate(e[1m])) / sum by (a)(rate(t[1m])) > 0.01";
    for (watch, silent) in [
        ("absent(t)", false),
        ("sum by (a)(rate(t[1m])) == 0", false),
        ("sum by (a)(rate(t[1m])) < 0.1", false),
        ("sum by (a)(rate(t[1m])) > 1000", true),
        ("absent(other)", true),
    ] {
        let text = format!("{}  - alert: B\n    expr: {watch}\n", rule(ratio, ""));
        assert_eq!(found("a.yaml", &text).is_empty(), !silent, "{watch}");
    }
}

// Slowness

#[test]
fn an_alert_must_come_within_a_step() {
    let pace = Pace::default();
    for (expr, rest, slow) in [
        ("rate(x[1m])", "for: 30s", false),
        ("rate(x[1m])", "for: 31s", true),
        ("rate(x[2m])", "", true),
        ("max_over_time(rate(x[30s])[1m:15s])", "", true),
        ("x", "for: 0m", false),
    ] {
        let found = check("a.yaml", &rule(expr, rest), &pace).unwrap();
        assert_eq!(
            found.iter().any(|it| it.lint == Lint::SlowAlert),
            slow,
            "{expr} {rest}: {found:?}"
        );
    }
    let text = rule("rate(x[5m])", "for: 2m");
    let slow = &check("a.yaml", &text, &pace).unwrap()[0];
    assert_eq!(
        slow.to_string(),
        "a.yaml:5: rule `A` of group `g`: it fires 2m30s after the cause at the earliest (`for` 2m, evaluated every 15s, \
         scraped every 15s) and looks back over 5m; an analysis step takes 1m: by then the canary has moved 5 steps; stay \
         at each weight for at least 5m, or shorten `for` and the range to what fits into a step [slow-alert]"
    );
    let patient = Pace {
        step: Duration::from_secs(300),
        ..pace
    };
    assert_eq!(check("a.yaml", &text, &patient).unwrap(), []);
    let rare = Pace {
        evaluation: Duration::from_secs(900),
        ..patient
    };
    assert_eq!(
        check("a.yaml", &text, &rare).unwrap(),
        [],
        "the group has an interval of its own"
    );
    assert_ne!(
        check("a.yaml", &text.replace("  interval: 15s\n", ""), &rare).unwrap(),
        []
    );
}

// Counts with decimals

#[test]
fn a_count_is_printed_whole() {
    for (expr, text, decimals) in [
        ("increase(x[1m]) > 3", "{{ $value }}", true),
        ("sum by (a)(increase(x[1m])) > 3", "{{ $value | humanize }}", true),
        (
            "increase(x[1m]) > 3 and on () up{job=\"a\"}",
            "{{ $value }}",
            true,
        ),
        ("increase(x[1m]) > 3", r#"{{ printf "%.0f" $value }}"#, false),
        ("round(increase(x[1m])) > 3", "{{ $value }}", false),
        ("avg by (a)(increase(x[1m])) > 3", "{{ $value }}", false),
        ("rate(x[1m]) > 3", "{{ $value }}", false),
    ] {
        let expected: &[Lint] = if decimals { &[Lint::ExtrapolatedCount] } else { &[] };
        assert_eq!(
            lints(expr, &format!("annotations:\n  a: '{text}'")),
            expected,
            "{expr} {text}"
        );
    }
}

// Files

#[test]
fn rules_are_found_in_files_manifests_lists_and_among_other_documents() {
    let spec = "spec:\n  groups:\n  - name: g\n    rules:\n    - alert: A\n      expr: sum(x)\n";
    let manifest = format!("apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n{spec}");
    assert_eq!(found("a.yaml", &manifest), [(8, Lint::SumsEverything)]);

    let documents = format!("kind: Service\nmetadata: {{name: web}}\n---\n{manifest}---\n{manifest}");
    let lines: Vec<u64> = found("a.yaml", &documents).iter().map(|it| it.0).collect();
    assert_eq!(lines, [11, 20]);

    let indented = indented(&manifest);
    let list = format!("kind: List\nitems:\n- {}", indented.trim_start());
    assert_eq!(found("a.yaml", &list), [(10, Lint::SumsEverything)]);
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_line() {
    for (text, message) in [
        ("groups: [\n", "a.yaml:1: no YAML: unclosed bracket"),
        (
            "kind: Service\n",
            "a.yaml: there are neither rules nor log stages",
        ),
        ("", "a.yaml: there are neither rules nor log stages"),
    ] {
        let refused = refused("a.yaml", text);
        assert!(refused.starts_with(message), "{text}: {refused}");
        assert_eq!(refused.lines().count(), 1, "{refused}");
    }
}

/// A group with a rule that Prometheus refuses, and one in which something is found.
fn beside(rule: &str) -> String {
    format!("groups:\n- name: g\n  rules:\n{rule}  - alert: Last\n    expr: sum(x) > 1\n")
}

#[test]
fn what_prometheus_refuses_is_found_on_its_line_and_hides_nothing() {
    for (rule, line, message) in [
        (
            "  - alert: A\n",
            4,
            "rule `A` of group `g`: a rule needs `expr`; ",
        ),
        (
            "  - expr: x\n",
            4,
            "a rule has neither `alert` nor `record`; name it",
        ),
        ("  - text\n", 4, "a rule is a text; expected a mapping"),
        (
            "  - alert: A\n    expr: sum(x\n",
            5,
            "rule `A` of group `g`: `expr` is no PromQL that we can read: ",
        ),
        (
            "  - alert: A\n    expr: [x]\n",
            5,
            "rule `A` of group `g`: `expr` is a list; expected a text",
        ),
        (
            "  - alert: {a: b}\n    expr: x\n",
            4,
            "`alert` is a mapping; expected a text",
        ),
        (
            "  - alert: A\n    expr: x\n    for: 5 minutes\n",
            6,
            "rule `A` of group `g`: `for`: \"5 minutes\" is no duration: unknown unit",
        ),
        (
            "  - alert: A\n    expr: x\n    annotations: [a]\n",
            6,
            "rule `A` of group `g`: `annotations` is a list; expected a mapping of texts",
        ),
        (
            "  - alert: A\n    expr: x\n    labels:\n      a: [b]\n",
            7,
            "rule `A` of group `g`: `a` of `labels` is a list; expected a text",
        ),
        (
            "  - alert: A\n    expr: x\n    fro: 5m\n",
            6,
            "rule `A` of group `g`: a rule has no field `fro`; expected record, alert, ",
        ),
        (
            "  - alert: A\n    record: B\n    expr: x\n",
            4,
            "rule `A` of group `g`: a rule has both `alert` and `record`; ",
        ),
        (
            "  - record: B\n    expr: x\n    for: 5m\n",
            6,
            "rule `B` of group `g`: a rule with `record` has `for`; ",
        ),
        (
            "  - record: B{a=\"b\"}\n    expr: x\n",
            4,
            "rule `B{a=\"b\"}` of group `g`: `record` is ",
        ),
        (
            "  - alert: A\n    expr: x\n    labels: {__name__: b}\n",
            6,
            "rule `A` of group `g`: the label `__name__` cannot be set; ",
        ),
        (
            "  - alert: A\n    expr: x\n    annotations: {\"\": b}\n",
            6,
            "rule `A` of group `g`: an annotation has no name; ",
        ),
        (
            "  - alert: A\n    expr: x\n    expr: y\n",
            6,
            "`expr` stands twice in the same mapping; ",
        ),
    ] {
        let found = check("a.yaml", &beside(rule), &Pace::default()).unwrap();
        let refused: Vec<String> = found
            .iter()
            .filter(|it| it.lint == Lint::Refused)
            .map(ToString::to_string)
            .collect();
        let expected = format!("a.yaml:{line}: {message}");
        assert!(
            matches!(&refused[..], [one] if one.starts_with(&expected) && one.lines().count() == 1),
            "{rule}: {refused:?}"
        );
        let last = found.iter().filter(|it| it.lint == Lint::SumsEverything);
        assert_eq!(last.count(), 1, "{rule}: {found:?}");
    }
}

#[test]
fn what_is_wrong_around_the_rules_is_found_on_its_line() {
    for (text, expected) in [
        ("groups: web\n", "a.yaml:1: `groups` is a text; expected a list"),
        ("groups:\n- web\n", "a.yaml:2: a group is a text; expected "),
        ("groups:\n- rules: []\n", "a.yaml:2: a group needs `name`; "),
        (
            "groups:\n- name: g\n  rules: {}\n",
            "a.yaml:3: `rules` is a mapping; expected a list",
        ),
        (
            "groups:\n- name: g\n- name: g\n",
            "a.yaml:3: there is another group `g` in the file; ",
        ),
        ("groups:\n- name: g\n  interval: soon\n", "a.yaml:3: `interval`: "),
        (
            "groups:\n- name: g\n  limit: many\n",
            "a.yaml:3: `limit` is no number; ",
        ),
        (
            "groups:\n- name: g\n  rule: []\n",
            "a.yaml:3: a group has no field `rule`; ",
        ),
        (
            "groups:\n- name: g\n  labels: {__name__: a}\n",
            "a.yaml:3: the label `__name__` cannot be set; ",
        ),
        (
            "groups: []\ngroup: []\n",
            "a.yaml:2: a rules file has no field `group`; ",
        ),
        (
            "kind: PrometheusRule\nspec:\n  a: b\n",
            "a.yaml:3: a PrometheusRule without `spec.groups`; ",
        ),
    ] {
        let found = check("a.yaml", text, &Pace::default()).unwrap();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(
            matches!(&found[..], [one] if one.starts_with(expected) && one.ends_with("[refused]")),
            "{text}: {found:?}"
        );
    }
    for text in [
        "groups: []\n",
        "groups:\n",
        "groups:\n- name: g\n",
        "groups:\n-\n- name: g\n  rules:\n  -\n",
        "groups:\n- name: g\n  rules:\n",
        "groups:\n- name: g\n  limit: 1.5\n",
        "groups:\n- name: g\n  limit: 5\n  interval:\n  query_offset: 1m\n  labels: {a: b}\n",
        "namespace: n\ngroups: []\n",
        "groups:\n- name: g\n  rules:\n  - record: a\n    expr: x\n    for: 0s\n    annotations: {}\n    labels: {a: 1}\n",
    ] {
        assert_eq!(check("a.yaml", text, &Pace::default()).unwrap(), [], "{text}");
    }
}

#[test]
fn an_expression_without_end_is_refused_and_not_followed() {
    for expr in [
        "(".repeat(1_000),
        "-".repeat(10_000) + "x",
        ["x", &" or x".repeat(5_000)].concat(),
        "x".repeat(20_000),
    ] {
        let found = check("a.yaml", &rule(&expr, ""), &Pace::default()).unwrap();
        assert!(
            matches!(&found[..], [one] if one.lint == Lint::Refused && one.wrong.contains("expected at most")),
            "{}: {found:?}",
            expr.len()
        );
    }
    assert_eq!(lints(&["x", &" or x".repeat(400)].concat(), ""), []);
    assert_eq!(lints(&[&"(".repeat(400), "x", &")".repeat(400)].concat(), ""), []);
}

#[test]
fn a_pattern_in_back_quotes_is_promql() {
    assert_eq!(lints("sum by (a)(x{code=~`5\\d\\d`}) > 1", ""), []);
    assert_eq!(lints("sum(x{code=~`5\\d\\d`}) > 1", ""), [Lint::SumsEverything]);
}

// What a text prints

#[test]
fn the_dot_of_a_query_is_not_the_alert() {
    for (text, dropped) in [
        (
            "{{ range query \"up\" }}{{ .Labels.pod }}{{ .Value }}{{ end }}",
            false,
        ),
        ("{{ with query \"up\" | first }}{{ .Labels.pod }}{{ end }}", false),
        (
            "{{ with query \"up\" }}{{ . | first | label \"pod\" }}{{ end }}",
            false,
        ),
        (
            "{{ range $i, $it := query \"up\" }}{{ $it.Labels.pod }}{{ end }}",
            false,
        ),
        ("{{ $it := query \"up\" | first }}{{ $it.Labels.pod }}", false),
        (
            "{{ define \"t\" }}{{ .Labels.pod }}{{ end }}{{ range query \"up\" }}{{ template \"t\" . }}{{ end }}",
            false,
        ),
        ("{{ range query \"up\" }}{{ $labels.pod }}{{ end }}", true),
        ("{{ range query \"up\" }}{{ $.Labels.pod }}{{ end }}", true),
        (
            "{{ range query \"up\" }}x{{ else }}{{ .Labels.pod }}{{ end }}",
            true,
        ),
        ("{{ if .Labels.job }}{{ .Labels.pod }}{{ end }}", true),
        ("{{ with $labels }}{{ .pod }}{{ end }}", true),
        ("{{ with .Labels.job }}{{ $labels.pod | toUpper }}{{ end }}", true),
        ("{{ $all := .Labels }}{{ $all.pod }}", true),
        ("{{ index .Labels \"pod\" }}", true),
        ("{{ printf \"%s\" (index $labels \"pod\") }}", true),
        (
            "{{ define \"t\" }}{{ .pod }}{{ end }}{{ template \"t\" $labels }}",
            true,
        ),
        ("{{ define \"t\" }}{{ .pod }}{{ end }}", false),
        (
            "{{ $externalLabels.pod }}{{ .ExternalLabels.pod }}{{ $externalURL }}",
            false,
        ),
    ] {
        let rest = format!("annotations:\n  a: '{text}'");
        let expected: &[Lint] = if dropped { &[Lint::LabelDropped] } else { &[] };
        assert_eq!(lints("sum by (job)(x)", &rest), expected, "{text}");
    }
}

#[test]
fn a_word_that_our_own_templates_lack_switches_nothing_off() {
    let text = "annotations:\n  a: '{{ $labels.pod | title }}: {{ $value | humanize }} {{ if $labels.job }}x{{ end }}'\n  \
                b: '{{ range query \"up\" }}{{ $value }}{{ end }}'\n  c: '{{ with $value }}{{ . }}{{ end }}'";
    assert_eq!(
        lints("sum by (job)(increase(x[1m])) > 3", text),
        [
            Lint::LabelDropped,
            Lint::ExtrapolatedCount,
            Lint::ExtrapolatedCount,
            Lint::ExtrapolatedCount
        ]
    );
}

#[test]
fn a_template_is_checked_beside_an_expression_that_is_none() {
    let text = rule(
        "sum(",
        "annotations:\n  a: '{{ $lables.pod }} {{ $value }}'\n  b: '{{ $labels.pod }}'",
    );
    assert_eq!(
        found("a.yaml", &text),
        [(6, Lint::Refused), (8, Lint::BrokenText)]
    );
}

#[test]
fn what_is_wrong_with_a_template_is_said_with_its_place() {
    for (text, message) in [
        (
            "x {{ $lables.pod }}",
            "Prometheus refuses the file for annotation `a`: at byte 5 of the template: variable `$lables` is not \
             declared here (expected `$`, `$externalLabels`, `$externalURL`, `$labels`, `$value`); correct the template",
        ),
        (
            "{{ $value | humanizepercentage }}",
            "Prometheus refuses the file for annotation `a`: at byte 12 of the template: there is no function \
             `humanizepercentage`; write `humanizePercentage`",
        ),
        (
            "{{ $value } }}",
            "Prometheus refuses the file for annotation `a`: at byte 10 of the template: `}` where a space, `|` or \
             the end of the action should stand (an action ends with }}); ",
        ),
        (
            "{{ if $value }}x",
            "Prometheus refuses the file for annotation `a`: at byte 16 of the template: the template ends inside a block \
             (expected {{ end }})",
        ),
        (
            "{{ if gt $value 1 }}x{{ end }}",
            "annotation `a` prints an error: at byte 6 of the template: `gt` compares a number with a point with an \
             integer, which Go refuses (expected e.g. 1.0 and not 1 to compare with the value)",
        ),
        (
            "{{ .labels.pod }}",
            "annotation `a` prints an error: at byte 3 of the template: field `labels` of the alert's data, which has none \
             of that name (expected Labels, ExternalLabels, ExternalURL or Value)",
        ),
        (
            "{{ ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1",
            "Prometheus refuses the file for annotation `a`: at byte ",
        ),
    ] {
        let rest = format!("annotations:\n  a: '{text}'");
        let found = check("a.yaml", &rule("sum by (job)(x)", &rest), &Pace::default()).unwrap();
        let expected = format!("a.yaml:8: rule `A` of group `g`: {message}");
        assert!(
            matches!(&found[..], [one] if one.to_string().starts_with(&expected)),
            "{text}: {found:#?}"
        );
    }
}

#[test]
fn a_template_of_more_levels_than_we_read_is_said_to_be_unchecked() {
    let text = ["{{ ", &"(".repeat(200), "1", &")".repeat(200), " }}"].concat();
    let found = check(
        "a.yaml",
        &rule("sum by (job)(x)", &format!("annotations:\n  a: '{text}'")),
        &Pace::default(),
    );
    let found = found.unwrap();
    assert!(
        found[0].wrong.starts_with("annotation `a` cannot be checked: "),
        "{found:?}"
    );
}

#[test]
fn templates_that_call_each_other_without_end_are_looked_at_once() {
    let mut text = String::from("{{ template \"t0\" . }}");
    for at in 0..20_000 {
        let next = (at + 1) % 20_000;
        write!(
            text,
            "{{{{ define \"t{at}\" }}}}{{{{ template \"t{next}\" . }}}}{{{{ template \"t{next}\" $ }}}}{{{{ end }}}}"
        )
        .unwrap();
    }
    text.push_str(
        "{{ define \"t0\" }}{{ end }}{{ define \"u\" }}{{ .Labels.pod }}{{ end }}{{ template \"u\" . }}",
    );
    let rest = format!("annotations:\n  a: '{text}'");
    assert_eq!(lints("sum by (job)(x)", &rest), [Lint::LabelDropped]);
}

// Many rules

/// Alerts and records of one name, each of which reads the name itself and has labels of its own; records that form a
/// chain; and alerts that watch for absence.
fn many(count: usize) -> String {
    let mut text = String::from("groups:\n- name: g\n  interval: 15s\n  rules:\n");
    for at in 0..count {
        writeln!(
            text,
            "  - record: same\n    expr: sum by (l{at}) (same offset 1m / rate(t[1m]))\n    labels: {{m{at}: a}}\n  \
             - record: c{at}\n    expr: c{} + c{} + same\n  - alert: A\n    expr: c{at} > 1 and w > 0 and same > 0\n    \
             annotations: {{a: '{{{{ $labels.l{at} }}}}'}}\n  - alert: B\n    expr: absent(w{at})",
            at + 1,
            at + 2
        )
        .unwrap();
    }
    text
}

/// Would not end in any bearable time if each alert looked at each record, or each record at those before it.
#[test]
fn many_rules_of_one_name_are_checked() {
    let count = 5_000;
    let found = found("a.yaml", &many(count));
    let silent = found.iter().filter(|it| it.1 == Lint::NoTraffic).count();
    assert_eq!(silent, count);
    // A label that the records so far dropped, as long as they are few enough to count their labels.
    let dropped = found.iter().filter(|it| it.1 == Lint::LabelDropped).count();
    assert!(silent + dropped == found.len() && dropped < 300, "{dropped}");
}

/// An alias may be overridden, which is not the same as a key that stands twice.
#[test]
fn only_what_is_written_twice_stands_twice() {
    let text = "groups:\n- name: g\n  interval: 15s\n  rules:\n  - &base\n    alert: A\n    expr: x > 1\n    labels: &own {a: b}\n  \
                - <<: *base\n    alert: B\n    labels:\n      <<: *own\n      a: c\n";
    assert_eq!(found("a.yaml", text), []);
    let text = "pipeline_stages:\n- drop: {source: a, value: b, source: c}\n";
    assert_eq!(found("a.yaml", text), [(2, Lint::Refused)]);
}

// Log stages

const JSON: &str = "- json:\n    expressions: {level: level, msg: message, trace_id: }\n";

#[test]
fn a_drop_stage_that_cannot_match_is_reported() {
    for (stage, never) in [
        ("- drop: {expression: '.*level=debug.*'}", true),
        ("- drop: {expression: 'message=\"ok\"'}", true),
        ("- drop: {source: level, expression: 'level=debug'}", true),
        ("- drop: {source: [level, msg], expression: 'level=debug'}", true),
        ("- drop: {source: level, value: debug}", false),
        ("- drop: {source: level, expression: '^debug$'}", false),
        ("- drop: {expression: '\"level\":\"debug\"'}", false),
        ("- drop: {expression: '/healthz'}", false),
        ("- drop: {expression: 'loglevel=debug'}", false),
        ("- drop: {older_than: 24h}", false),
        (
            "- match:\n    selector: '{app=\"a\"}'\n    stages:\n    - drop: {expression: 'level=debug'}",
            true,
        ),
    ] {
        let text = indented(&[JSON, stage].concat());
        let found = found("a.yaml", &format!("pipeline_stages:\n{text}"));
        let lints: Vec<Lint> = found.iter().map(|it| it.1).collect();
        let expected: &[Lint] = if never { &[Lint::DropNeverMatches] } else { &[] };
        assert_eq!(lints, expected, "{stage}");
    }
    // Lines that are not JSON may well say level=debug.
    assert_eq!(
        found(
            "a.yaml",
            "pipeline_stages:\n- drop: {expression: 'level=debug'}\n"
        ),
        []
    );
}

#[test]
fn a_label_with_a_value_for_each_request_is_reported() {
    for (label, many) in [
        ("trace_id:", true),
        ("traceID:", true),
        ("request-id:", true),
        ("id: span_id", true),
        ("client_ip:", true),
        ("level:", false),
        ("app: service", false),
    ] {
        let found = found(
            "a.yaml",
            &format!("a:\n  pipelineStages:\n  - labels:\n      {label}\n"),
        );
        let expected: &[(u64, Lint)] = if many { &[(4, Lint::HighCardinality)] } else { &[] };
        assert_eq!(found, expected, "{label}");
    }
}

const ALLOY: &str = r#"// Logs of all pods.
loki.source.kubernetes "pods" {
  targets    = discovery.relabel.pods.output
  forward_to = [loki.process.app.receiver]
}

loki.process "app" {
  forward_to = [loki.write.default.receiver, concat(a, [b])[0]]

  stage.json {
    expressions = { level = "level", msg = "message", trace_id = "" }
  }
  /* labels
     of streams */
  stage.labels {
    values = {
      level    = "",
      trace_id = "",
    }
  }
  stage.match {
    selector = `{app="web"}`
    stage.drop {
      expression = ".*level=debug.*"
      older_than = "1h" + "30m"
    }
  }
}
"#;

#[test]
fn alloy_is_read_too() {
    let all = [(18, Lint::HighCardinality), (23, Lint::DropNeverMatches)];
    for file in ["a.alloy", "folder/a.river"] {
        assert_eq!(found(file, ALLOY), all);
    }
    let better = ALLOY.replace("      trace_id = \"\",\n", "");
    let better = better.replace(
        "expression = \".*level=debug.*\"",
        "source = \"level\"\n value = \"debug\"",
    );
    assert_eq!(found("a.alloy", &better), []);
}

#[test]
fn alloy_that_cannot_be_read_is_an_error_with_its_line() {
    for (text, message) in [
        ("", "a.alloy: there is no `loki.process` block with a stage"),
        (
            "a = 1\n}",
            "a.alloy:2: `}` where an attribute or a block should stand",
        ),
        ("a {\n", "a.alloy: a block has no end (expected `}`)"),
        ("\na \"x\" =", "a.alloy:2: `=` where `=` or `{` should stand"),
        ("a = \"x\n", "a.alloy:1: a text has no end (expected \")"),
        ("\n/* x", "a.alloy:2: a comment has no end (expected */)"),
        ("a = }", "a.alloy:1: `}` where a value should stand"),
        ("a", "a.alloy:1: the file ends where `=` or `{` should stand"),
    ] {
        assert_eq!(refused("a.alloy", text), message, "{text}");
    }
    assert!(refused("a.alloy", &"a {".repeat(1_000)).ends_with("more than 64 nested blocks"));
    assert!(
        refused("a.alloy", &["a = ", &"[".repeat(1_000)].concat()).ends_with("more than 64 nested blocks")
    );
}

proptest! {
    #[test]
    fn no_file_panics(text in "[ -~\n]{0,200}") {
        _ = check("a.yaml", &text, &Pace::default());
        _ = check("a.alloy", &text, &Pace::default());
    }

    #[test]
    fn nothing_made_of_alloys_own_words_panics(
        words in proptest::collection::vec(
            prop::sample::select(vec![
                "loki.process", "stage.drop", "\"x\"", "{", "}", "[", "]", "(", ")", "=", ",", "a", "-", "!", "+", "\n", "/*",
                "*/", "//", "`", "\"", ".b",
            ]),
            0..40,
        ),
    ) {
        _ = check("a.alloy", &words.join(" "), &Pace::default());
    }

    #[test]
    fn nothing_made_of_promqls_own_words_panics(
        words in proptest::collection::vec(
            prop::sample::select(vec![
                "sum", "by", "(a)", "(", ")", "x", "[1m]", "[1m:5s]", "rate", "/", "and", "or", "on", "group_left", "> 0",
                "{", "}", "a=\"b\"", "offset 5m", "@ 5", "bool", "absent", "label_replace", ",", "1", "-", "topk", "without",
            ]),
            0..16,
        ),
    ) {
        _ = check("a.yaml", &rule(&words.join(" "), ""), &Pace::default());
    }
}

#[test]
fn what_is_quoted_of_a_file_is_one_line_with_a_bound() {
    let odd = "\\u202e\\n".to_owned() + &"x".repeat(9_000);
    let file = format!(
        r#"groups:
  - name: "{odd}"
    rules:
      - alert: "{odd}"
        expr: up
        "a\u202e": 1
        annotations: {{ a: "{{{{ {odd} }}}}" }}
"#
    );
    let findings = check("f.yaml", &file, &Pace::default()).unwrap();
    assert!(findings.len() >= 2, "{findings:?}");
    for finding in findings {
        let said = finding.to_string();
        assert_eq!(text::hidden(&said), None, "{said}");
        assert!(said.chars().count() < 2_000, "{said}");
    }
}

#[test]
fn a_file_that_is_too_deep_is_refused() {
    for deep in ["[".repeat(30_000), "{ s: ".repeat(9_000)] {
        let said = refused("f.yaml", &format!("groups: {deep}"));
        assert!(said.contains("no YAML: "), "{said}");
    }
}
