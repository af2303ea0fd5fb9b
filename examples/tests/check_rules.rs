//! The program `check-rules`, over the files that are shipped with it and over files that are wrong.

use std::path::Path;
use std::process::{Command, Output};

/// Runs it in the folder of its files.
fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_check-rules"))
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("check_rules"))
        .output()
        .expect("the example was built with this test")
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn out(output: &Output) -> Vec<String> {
    String::from_utf8(output.stdout.clone())
        .unwrap()
        .lines()
        .map(String::from)
        .collect()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// `file:line`, rule and lint of each line.
fn gist(lines: &[String]) -> Vec<(String, String)> {
    lines
        .iter()
        .map(|line| {
            let place = line.splitn(3, ':').take(2).collect::<Vec<_>>().join(":");
            let lint = line
                .rsplit_once('[')
                .map(|it| it.1.trim_end_matches(']').to_owned());
            (place, lint.unwrap_or_default())
        })
        .collect()
}

#[test]
fn every_fault_of_the_usual_alerts_is_found_on_its_line() {
    let output = run(&["alerts.yaml"]);
    let lines = out(&output);
    let expected = [
        ("alerts.yaml:5", "slow-alert"),
        ("alerts.yaml:6", "sums-everything"),
        ("alerts.yaml:6", "no-traffic"),
        ("alerts.yaml:14", "label-dropped"),
        ("alerts.yaml:15", "slow-alert"),
        ("alerts.yaml:25", "slow-alert"),
        ("alerts.yaml:30", "extrapolated-count"),
    ];
    assert_eq!(
        gist(&lines),
        expected.map(|(place, lint)| (place.into(), lint.into())),
        "{lines:#?}"
    );
    assert_eq!((status(&output), err(&output).as_str()), (2, ""));
    assert_eq!(
        lines[3],
        "alerts.yaml:14: rule `TooManyErrors` of group `shop`: annotation `description` prints $labels.service, which \
         is empty: the expression keeps no label; aggregate by (service), or print a label that the expression keeps \
         [label-dropped]"
    );
}

#[test]
fn the_faults_of_a_log_pipeline_are_found() {
    let output = run(&["logs.yaml"]);
    let expected = [
        ("logs.yaml:13", "high-cardinality"),
        ("logs.yaml:14", "drop-never-matches"),
    ];
    assert_eq!(
        gist(&out(&output)),
        expected.map(|(place, lint)| (place.into(), lint.into()))
    );
    assert_eq!(status(&output), 2);
}

#[test]
fn nothing_is_found_in_the_better_files() {
    let output = run(&["alerts-better.yaml", "logs-better.yaml"]);
    assert_eq!(out(&output), Vec::<String>::new());
    assert_eq!((status(&output), err(&output).as_str()), (0, ""));
}

#[test]
fn a_slower_rollout_has_time_for_slower_alerts() {
    let lints = gist(&out(&run(&["--step", "15m", "alerts.yaml"])));
    assert!(lints.iter().all(|it| it.1 != "slow-alert"), "{lints:?}");
    assert_eq!(lints.len(), 4);
    let lints = gist(&out(&run(&["--step", "59s", "alerts-better.yaml"])));
    assert_eq!(lints.len(), 4, "{lints:?}");
}

/// A folder of this test's own.
fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("delivery-check-rules-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_file_that_cannot_be_checked_is_an_error_and_all_others_are_checked() {
    let folder = folder("broken");
    let broken = folder.join("broken.yaml");
    std::fs::write(&broken, "groups: [\n").unwrap();
    let broken = broken.to_str().unwrap();

    let output = run(&["missing.yaml", broken, "alerts.yaml"]);
    assert_eq!((status(&output), out(&output).len()), (1, 7));
    let errors = err(&output);
    assert!(errors.starts_with("missing.yaml: "), "{errors}");
    assert!(errors.contains("broken.yaml:1: no YAML: "), "{errors}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_rule_that_prometheus_refuses_is_found_and_so_is_what_is_wrong_with_the_others() {
    let folder = folder("refused");
    let refused = folder.join("refused.yaml");
    std::fs::write(
        &refused,
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: sum(\n    annotations: {a: '{{ $lables.b }}'}\n  - alert: B\n    \
         expr: sum(x) > 1\n",
    )
    .unwrap();

    let output = run(&[refused.to_str().unwrap()]);
    let lints: Vec<String> = gist(&out(&output)).into_iter().map(|it| it.1).collect();
    assert_eq!(lints, ["refused", "broken-text", "sums-everything"]);
    assert_eq!((status(&output), err(&output).as_str()), (2, ""));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn wrong_arguments_are_errors_that_say_what_would_be_right() {
    for (arguments, says) in [
        (&[][..], "<FILES>..."),
        (&["--step", "soon", "alerts.yaml"], "a number is missing"),
        (&["--step", "0s", "alerts.yaml"], "expected more than nothing"),
    ] {
        let output = run(arguments);
        assert_eq!(status(&output), 1, "{arguments:?}");
        assert!(err(&output).contains(says), "{}", err(&output));
    }
    assert_eq!(status(&run(&["--help"])), 0);
}
