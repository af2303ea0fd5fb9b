//! Templates of alerts, and files of rules: what the check says of them, and what a real `promtool` says.
#![cfg(feature = "rules-check")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use delivery_prom::rules::{Finding, Lint, Pace, check};

/// Templates that Prometheus takes, whatever they print.
const TAKEN: &[&str] = &[
    "plain } text { with }} braces",
    "{{ $labels.job }}{{ .Labels.job }}{{ $.Labels.job }}{{ $value }}{{ .Value }}",
    "{{ $externalLabels.a }}{{ .ExternalLabels.a }}{{ $externalURL }}{{ .ExternalURL }}",
    "{{- $value -}}\n {{- /* a }} comment */ -}} x",
    "{{$value|humanize}}{{ $value | humanize1024 }}{{ humanizeDuration $value }}",
    "{{ $value | humanizePercentage }}{{ $value | humanizeTimestamp }}{{ $value | toTime }}",
    "{{ $labels.job | toUpper | toLower | title }}{{ stripPort $labels.job }}{{ stripDomain $labels.job }}",
    "{{ reReplaceAll \"a(.)\" \"$1\" $labels.job }}{{ match \"a.*\" $labels.job }}",
    "{{ graphLink \"up\" }}{{ tableLink \"up\" }}{{ pathPrefix }}{{ externalURL }}{{ safeHtml \"a\" }}",
    "{{ query \"up\" | first | value }}{{ query \"up\" | sortByLabel \"a\" | first | label \"job\" }}",
    "{{ query \"up\" | first | strvalue }}{{ parseDuration \"5m\" }}{{ args 1 2 }}",
    "{{ printf \"%s %.1f\" $labels.job $value }}{{ print 1 }}{{ println }}{{ html \"<\" }}{{ js \"a\" }}{{ urlquery \"a b\" }}",
    "{{ and 1 2 }}{{ or 1 2 }}{{ not 1 }}{{ len \"a\" }}{{ index $labels \"job\" }}{{ slice \"abc\" 1 2 }}",
    "{{ eq 1 1 }}{{ ne 1 2 }}{{ lt 1 2 }}{{ le 1 2 }}{{ gt 1 2 }}{{ ge 1 2 }}{{ call 1 }}",
    "{{ range query \"up\" }}{{ .Labels.job }} {{ .Value }}{{ else }}none{{ end }}",
    "{{ range $i, $it := query \"up\" }}{{ $i }}{{ $it.Labels.job }}{{ break }}{{ continue }}{{ end }}",
    "{{ with query \"up\" }}{{ . | first | value | humanize }}{{ end }}",
    "{{ with printf \"up{job='%s'}\" $labels.job | query }}{{ . | first | value }}{{ else }}-{{ end }}",
    "{{ if eq $labels.job \"a\" }}1{{ else if eq $labels.job \"b\" }}2{{ else }}3{{ end }}",
    "{{ if and (gt $value 1.0) (lt $value 2.0) }}x{{ end }}",
    "{{ $x := 1 }}{{ $x = 2 }}{{ $x }}{{ if true }}{{ $y := $x }}{{ $y }}{{ end }}",
    "{{ $s := \"\" }}{{ if gt $value 1.0 }}{{ $s = \"s\" }}{{ end }}pod{{ $s }}",
    "{{ define \"a\" }}{{ . }}{{ end }}{{ template \"a\" $value }}{{ template \"a\" }}",
    "{{ template \"nowhere\" }}",
    "{{ block \"a\" $labels }}{{ .job }}{{ end }}",
    "{{ define `a` }} {{ end }}{{ define \"a\" }}x{{ end }}",
    "{{ \"}}\" }}{{ `}}` }}{{ '}' }}",
    "{{ `5\\d\n` }}{{ \"\\x41\\u00e9\\U0001F600\\101\\\\\\\"\" }}{{ '\\'' }}{{ '\\n' }}",
    "{{ 1 }}{{ -1 }}{{ +1 }}{{ 1.5 }}{{ .5 }}{{ 1. }}{{ 1e3 }}{{ 0x1F }}{{ 0b1 }}{{ 0o17 }}{{ 017 }}{{ 1_000 }}",
    "{{ 0x1p-2 }}{{ 1i }}{{ 1+2i }}{{ 1.5e1-2i }}{{ 18446744073709551615 }}{{ -9223372036854775808 }}",
    "{{ 0_7 }}{{ 1_0.5 }}{{ 08.5 }}{{ 0i }}{{ -0 }}{{ 0x.8p1 }}",
    "{{ true }}{{ false }}{{ not nil }}",
    "{{ (print 1) }}{{ ((1)) }}{{ (query \"up\" | first).Value }}{{ (index (query \"up\") 0).Labels.job }}",
    "{{ print\n  $value\n}}",
    "{{print $value}}{{$labels.job}}{{.Labels.job}}",
    "{{ print 1|print|print }}",
    "{{ $value | }}",
    "{{ print . $ }}",
    "{{ $labels.größe }}{{ $größe := 1 }}{{ $größe }}",
    "{{ $never = 1 }}",
    "{{ nil }}",
    "{{ .Foo }}{{ $value.foo }}{{ $labels.job.foo }}",
    "{{ toUpper $value }}{{ humanize }}{{ eq $value 1 }}{{ printf \"%d\" $value }}",
    "{{ $labels.job 1 }}",
    "{{ 1 2 }}",
    "{{ if $x := $value }}{{ $x }}{{ else }}{{ $x }}{{ end }}",
    "{{ with $x := $value }}{{ $x }}{{ end }}{{ with $x := 1 }}{{ $x }}{{ end }}",
    "{{ range $i, $labels }}{{ end }}",
    "{{ range $x := . }}{{ $x }}{{ end }}",
    "{{ if not (eq \"a\" \"b\") }}{{ end }}",
    "{{/* only a comment */}}",
    "{{ printf `%s {{ }}` $labels.job }}",
    "{{ $l := .Labels }}{{ $l.job }}{{ range $k, $v := $l }}{{ $k }}={{ $v }} {{ end }}",
    "{{ range $k, $v := $labels }}{{ if ne $k \"pod\" }}{{ $v }}{{ end }}{{ end }}",
    "{{ (printf \"%.2f\" $value) }} {{ printf \"%v\" (len $labels) }}",
    "{{ query \"a{b=\\\"c\\\"}\" | first | label \"d\" }}",
    "{{ $a := 1 }}{{ $b := 2 }}{{ range . }}{{ $a }}{{ $b }}{{ $a := 3 }}{{ end }}{{ $a }}",
    "{{ define \"a\" }}{{ range . }}{{ break }}{{ end }}{{ end }}",
    "{{- 3 }} {{-3 }} {{3 -}}",
    "{{\t$value\r\n}}",
];

/// Templates for which Prometheus refuses the whole file.
const REFUSED: &[&str] = &[
    "{{ $value",
    "{{ $value }",
    "{{",
    "{{ }}",
    "{{- -}}",
    "{{/* x",
    "{{/* x }}",
    "{{/* x */ }}",
    "{{ /* x */ }}",
    "{{ $value } }}",
    "{{ { $value }}",
    "{{ $lables.job }}",
    "{{ $Value }}",
    "{{ $x }}",
    "{{ $value | upper }}",
    "{{ $value | Humanize }}",
    "{{ humanize_1024 $value }}",
    "{{ labels.job }}",
    "{{ value }x{{ end }}",
    "{{ tmpl \"a\" . }}",
    "{{ default \"a\" $labels.job }}",
    "{{ $labels.job-name }}",
    "{{ $labels[\"job\"] }}",
    "{{ $labels.\"job\" }}",
    "{{ $value * 100 }}",
    "{{ $value + 1 }}",
    "{{ $value / 2.0 | humanize }}",
    "{{ $value > 1 }}",
    "{{ if $value > 1 }}x{{ end }}",
    "{{ if $value == 1 }}x{{ end }}",
    "{{ if $labels.job && $value }}x{{ end }}",
    "{{ if $value }}x",
    "{{ if }}x{{ end }}",
    "{{ if 1 }}{{ else }}{{ else }}{{ end }}",
    "{{ if 1 }}{{ elseif 2 }}{{ end }}",
    "{{ if 1 }}{{ else range . }}{{ end }}",
    "{{ if 1 }}x{{ end }}{{ end }}",
    "{{ end }}",
    "{{ else }}",
    "{{ range }}{{ end }}",
    "{{ range query \"up\" }}{{ .Value }}",
    "{{ range $a, $b, $c := . }}{{ end }}",
    "{{ range $a, 1 }}{{ end }}",
    "{{ with }}{{ end }}",
    "{{ with $x := 1 }}{{ end }}{{ $x }}",
    "{{ range $i, $x := . }}{{ end }}{{ $i }}",
    "{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}",
    "{{ define \"a\" }}{{ $labels.job }}{{ end }}",
    "{{ block \"a\" . }}{{ $value }}{{ end }}",
    "{{ define \"a\" }}x{{ end }}{{ define \"a\" }}y{{ end }}",
    "{{ define a }}x{{ end }}",
    "{{ define \"a\" }}x",
    "{{ if 1 }}{{ define \"a\" }}x{{ end }}{{ end }}",
    "{{ template }}",
    "{{ template a }}",
    "{{ block \"a\" }}x{{ end }}",
    "{{ break }}",
    "{{ range . }}{{ end }}{{ continue }}",
    "{{ \"a }}",
    "{{ `a }}",
    "{{ 'ab' }}",
    "{{ '' }}",
    "{{ \"\\d\" }}",
    "{{ \"\\'\" }}",
    "{{ \"\\400\" }}",
    "{{ 1a }}",
    "{{ 1e }}",
    "{{ 089 }}",
    "{{ 0x }}",
    "{{ 99999999999999999999 }}",
    "{{ (print 1 }}",
    "{{ print 1) }}",
    "{{ () }}",
    "{{ print | 1 }}",
    "{{ $labels.job | . }}",
    "{{ 3 - }}",
    "{{ print(1) }}",
];

/// Templates that print an error, or a complaint of `printf`, in place of what was meant.
const WRONG: &[&str] = &[
    "{{ .Foo }}",
    "{{ .labels.job }}",
    "{{ $labels.job.name }}",
    "{{ $value.job }}",
    "{{ (query \"up\").Value }}",
    "{{ range query \"up\" }}{{ .job }}{{ end }}",
    "{{ query \"up\" | value }}",
    "{{ query \"up\" | label \"job\" }}",
    "{{ $value | first }}",
    "{{ query $value }}",
    "{{ toUpper $value }}",
    "{{ $value | reReplaceAll \"a\" \"b\" }}",
    "{{ reReplaceAll \"a\" $labels.job }}",
    "{{ humanize }}",
    "{{ humanize $value 2 }}",
    "{{ humanize $labels }}",
    "{{ humanize \"much\" }}",
    "{{ if gt $value 1 }}x{{ end }}",
    "{{ if eq $value 0 }}x{{ else }}y{{ end }}",
    "{{ if eq $labels.job 1 }}x{{ end }}",
    "{{ if eq $value \"4.1\" }}x{{ end }}",
    "{{ if lt (len $labels) 2.0 }}x{{ end }}",
    "{{ printf \"%d\" $value }}",
    "{{ printf \"%s\" $value }}",
    "{{ printf \"%.1f\" $labels.job }}",
    "{{ printf \"%s %s\" $labels.job }}",
    "{{ printf \"%s\" $labels.job $value }}",
    "{{ printf \"100%\" }}",
    "{{ printf $value }}",
    "{{ $value | printf \"%d\" }}",
    "{{ $labels.job $value }}",
    "{{ $value | $labels.job }}",
    "{{ 1 2 }}",
    "{{ (1) 2 }}",
    "{{ nil }}",
    "{{ $never = 1 }}",
    "{{ template \"nowhere\" }}",
    "{{ define \"a\" }}{{ .Foo }}{{ end }}{{ template \"a\" $ }}",
    "{{ range $value }}{{ end }}",
    "{{ range $labels.job }}{{ end }}",
    "{{ index $labels 1 }}",
    "{{ index $value 1 }}",
    "{{ len $value }}",
    "{{ with query \"up\" }}{{ .Labels.job }}{{ end }}",
];

/// Templates that print what was meant.
const RIGHT: &[&str] = &[
    "{{ $labels.job }} {{ $labels.nothing }} {{ $value }} {{ .Labels }}",
    "{{ range query \"up\" }}{{ .Labels.job }} {{ .Value }} {{ .Value | humanize }}{{ end }}",
    "{{ with query \"up\" | first }}{{ .Labels.job }} {{ .Value }}{{ end }}",
    "{{ query \"up\" | first | value | printf \"%.1f\" }}",
    "{{ query \"up\" | sortByLabel \"job\" | first | label \"job\" }}",
    "{{ (index (query \"up\") 0).Labels.job }}",
    "{{ if gt $value 1.0 }}x{{ end }}{{ if eq $labels.job \"a\" \"j\" }}y{{ end }}",
    "{{ $n := query \"up\" | first | value }}{{ $s := \"\" }}{{ if gt $n 1.0 }}{{ $s = \"s\" }}{{ end }}{{ $n }} pod{{ $s }}",
    "{{ if and $labels.job (gt $value 1.0) }}x{{ end }}{{ or $labels.job \"none\" | toUpper }}",
    "{{ printf \"%s %q %5.1f %e %v %%\" $labels.job $labels.job $value $value $labels }}",
    "{{ printf \"%d %x %c\" (len $labels.job) 10 'a' }}{{ printf \"%t\" (eq 1 1) }}",
    "{{ printf \"%[2]s %[1]s\" \"a\" \"b\" }}{{ printf \"%*d\" 5 1 }}",
    "{{ humanize \"4.1\" }}{{ humanizeDuration 61 }}{{ humanizePercentage 0.5 }}{{ humanizeTimestamp $value }}",
    "{{ ($value | toTime).Format \"2006-01-02\" }}{{ ($value | toTime).Year }}",
    "{{ range $k, $v := $labels }}{{ $k | toUpper }}={{ $v }} {{ end }}{{ range $labels }}{{ . | title }}{{ end }}",
    "{{ define \"a\" }}{{ .Labels.job }}{{ end }}{{ range query \"up\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" $ }}",
    "{{ define \"a\" }}{{ .arg0 | toUpper }} {{ .arg1 }}{{ end }}{{ template \"a\" (args $labels.job $value) }}",
    "{{ block \"a\" $labels }}{{ .job | toUpper }}{{ end }}",
    "{{ $labels.job | reReplaceAll \"(.)\" \"<$1>\" | title }}{{ if match \"j\" $labels.job }}x{{ end }}",
    "{{ index $labels \"job\" | toUpper }}{{ len $labels }}{{ slice $labels.job 0 1 | toUpper }}",
    "{{ with $labels.job }}{{ . | toUpper }}{{ end }}{{ with $value }}{{ . | humanize }}{{ end }}",
    "{{ range $i, $it := query \"up\" }}{{ if $i }}, {{ end }}{{ $it.Labels.job }}{{ else }}{{ .Labels.job }}{{ end }}",
    "{{ $externalLabels.a | toUpper }}{{ .ExternalURL | toUpper }}",
    "{{ print $value 1 \"a\" nil }}{{ println }}{{ html \"<\" | toUpper }}{{ urlquery $labels.job | toUpper }}",
    "{{ $x := $value }}{{ $x | humanize }}{{ $x = $labels.job }}{{ $x }}",
    "{{ $n := query \"count(up)\" | first | value }}{{ $n }} monitors: {{- range query \"up == 0\" }}  - {{ .Labels.pod }} on \
     {{ .Labels.host }}{{- end }}",
    "{{ with printf \"up{job='%s'}\" .Labels.job | query }}{{ . | first | label \"job\" | toUpper }}{{ end }}",
    "{{ with printf `up{job=\"%s\"}` $labels.job | query }}{{ . | first | value | printf \"%.2f\" }}{{ end }}",
    "{{ range query \"up\" }}{{ . | value | printf \"%.2f\" }}{{ . | label \"job\" }}{{ end }}",
    "{{ parseDuration \"5m\" | humanizeDuration }}{{ stripPort $labels.job | stripDomain }}{{ not $value }}",
];

/// Files that differ in what is around the templates: each rule, and whether Prometheus takes it.
const RULES: &[(&str, bool)] = &[
    ("alert: A, expr: up", true),
    (
        "alert: A, expr: up, for: 5m, keep_firing_for: 1h30m, labels: {a: 1, b: true, c: }, annotations: {}",
        true,
    ),
    (
        "alert: A, expr: up, for: 0, keep_firing_for: , labels: , annotations: ",
        true,
    ),
    ("alert: 5, expr: 1", true),
    (
        "record: a:b, expr: up, labels: {a: b}, for: 0s, annotations: {}",
        true,
    ),
    ("alert: A, record: '', expr: up", true),
    ("alert: A, expr: 'up{a=~`5\\d\\d|\"x\\.`} > 0 # `comment`'", true),
    (
        "alert: A, expr: 'label_replace(up, `a`, `$1`, `b`, `(.*)\\.x`)'",
        true,
    ),
    ("alert: A", false),
    ("expr: up", false),
    ("alert: A, record: B, expr: up", false),
    ("alert: A, expr: ''", false),
    ("alert: A, expr: 'sum('", false),
    ("alert: A, expr: [up]", false),
    ("alert: A, expr: up, for: soon", false),
    ("alert: A, expr: up, for: 5", false),
    ("alert: A, expr: up, for: -5m", false),
    ("alert: A, expr: up, for: [5m]", false),
    ("alert: A, expr: up, labels: [a]", false),
    ("alert: A, expr: up, labels: {a: [b]}", false),
    ("alert: A, expr: up, labels: {__name__: b}", false),
    ("alert: A, expr: up, annotations: a", false),
    ("alert: A, expr: up, annotation: {a: b}", false),
    ("alert: A, expr: up, severity: b", false),
    ("record: a, expr: up, for: 5m", false),
    ("record: a, expr: up, keep_firing_for: 5m", false),
    ("record: a, expr: up, annotations: {a: b}", false),
    ("record: 'a{b=\"c\"}', expr: up", false),
    ("alert: A, expr: up, expr: up", false),
    ("alert: A, expr: up, labels: {a: b, a: c}", false),
];

fn alert(name: &str, text: &str) -> String {
    format!(
        "  - alert: {name}\n    expr: up > 0\n    annotations:\n      a: {}\n",
        serde_json::to_string(text).unwrap()
    )
}

fn file(rules: &str) -> String {
    format!("groups:\n- name: g\n  interval: 15s\n  rules:\n{rules}")
}

/// A file of one rule, in braces.
fn flow(rule: &str) -> String {
    file(&format!("  - {{{rule}}}\n"))
}

fn findings(text: &str) -> Vec<Finding> {
    check("rules.yaml", text, &Pace::default()).unwrap()
}

fn is_refused(text: &str) -> bool {
    findings(text)
        .iter()
        .any(|it| it.lint == Lint::Refused || it.wrong.starts_with("Prometheus refuses the file"))
}

fn prints_an_error(text: &str) -> bool {
    let found = findings(&file(&alert("A", text)));
    assert!(
        !found.iter().any(|it| it.wrong.starts_with("Prometheus refuses")),
        "{text}: {found:?}"
    );
    found.iter().any(|it| it.lint == Lint::BrokenText)
}

/// All files, and whether Prometheus takes them.
fn files() -> Vec<(String, bool)> {
    let texts = |texts: &[&str], taken: bool| -> Vec<(String, bool)> {
        let files = texts.iter().map(|it| (file(&alert("A", it)), taken));
        files.collect()
    };
    let mut files = texts(TAKEN, true);
    files.extend(texts(RIGHT, true));
    files.extend(texts(WRONG, true));
    files.extend(texts(REFUSED, false));
    files.extend(RULES.iter().map(|(rule, taken)| (flow(rule), *taken)));
    files
}

#[test]
fn what_prometheus_refuses_is_a_finding_and_what_it_takes_is_not() {
    let wrong: Vec<String> = files()
        .into_iter()
        .filter(|(file, taken)| is_refused(file) == *taken)
        .map(|(file, _)| format!("{file}: {:?}", findings(&file)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_prints_an_error_is_a_finding_and_what_does_not_is_none() {
    let all = RIGHT
        .iter()
        .map(|it| (it, false))
        .chain(WRONG.iter().map(|it| (it, true)));
    let wrong: Vec<String> = all
        .filter(|(text, expected)| prints_an_error(text) != *expected)
        .map(|(text, _)| format!("{text}: {:?}", findings(&file(&alert("A", text)))))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Younger than what Debian ships.
    for text in [
        "{{ toDuration 90 }}",
        "{{ $value.Count }}{{ .Value.Sum }}{{ range query \"up\" }}{{ .Value.Count }}{{ end }}",
        "{{ now | humanizeTimestamp }}",
        "{{ urlQueryEscape $labels.job }}",
        "{{ with 0 }}{{ else with 1 }}{{ . }}{{ end }}",
    ] {
        assert!(!prints_an_error(text), "{text}");
    }
}

/// Writes files for `promtool` into a folder of their own.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("delivery-rule-texts-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn promtool(arguments: &[&str], paths: &[PathBuf]) -> Output {
    Command::new("promtool")
        .args(arguments)
        .args(paths)
        .output()
        .expect("promtool is installed")
}

#[test]
#[ignore = "needs promtool: run the README's test command"]
fn promtool_takes_and_refuses_the_same_files() {
    let folder = folder("check");
    let mut paths = BTreeMap::new();
    for (at, (text, taken)) in files().into_iter().enumerate() {
        let path = folder.join(format!("{at}.yaml"));
        fs::write(&path, &text).unwrap();
        paths.insert(path, (text, taken));
    }
    let said = promtool(&["check", "rules"], &paths.keys().cloned().collect::<Vec<_>>());
    let errors = String::from_utf8(said.stderr).unwrap();
    let refused: BTreeSet<&str> = errors
        .lines()
        .filter_map(|it| it.split_once(": "))
        .map(|it| it.0)
        .collect();
    let wrong: Vec<&String> = paths
        .iter()
        .filter(|(path, (_, taken))| refused.contains(path.to_str().unwrap()) == *taken)
        .map(|(_, (text, _))| text)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}: {errors}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "needs promtool: run the README's test command"]
fn promtool_prints_errors_for_the_same_templates() {
    let folder = folder("test");
    let texts = || {
        RIGHT
            .iter()
            .map(|it| (it, false))
            .chain(WRONG.iter().map(|it| (it, true)))
    };
    let mut rules = String::new();
    let mut test = String::from(
        "rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  external_url: http://prometheus:9090\n  \
         input_series: [{series: 'up{job=\"j\"}', values: '4.1x5'}]\n  alert_rule_test:\n",
    );
    for (at, (text, _)) in texts().enumerate() {
        rules.push_str(&alert(&format!("A{at}x"), text));
        writeln!(test, "  - {{eval_time: 1m, alertname: A{at}x, exp_alerts: []}}").unwrap();
    }
    fs::write(folder.join("rules.yaml"), file(&rules)).unwrap();
    let path = folder.join("test.yaml");
    fs::write(&path, test).unwrap();
    // Every alert fires, and none is expected: each is said with what it prints.
    let said = promtool(&["test", "rules"], &[path]);
    let said = [said.stdout, said.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    let mut wrong = Vec::new();
    for (at, (text, expected)) in texts().enumerate() {
        let printed = said
            .split_once(&format!("alertname: A{at}x,"))
            .and_then(|it| it.1.split_once("Annotations:"))
            .map(|it| it.1.lines().next().unwrap_or_default());
        let printed = printed.unwrap_or_else(|| panic!("{text}: {said}"));
        let error = printed.contains("<error expanding template") || printed.contains("%!");
        if error != expected {
            wrong.push(format!("{text}: {printed}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    fs::remove_dir_all(folder).unwrap();
}
