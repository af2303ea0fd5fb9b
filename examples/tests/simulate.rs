//! The program `simulate`, over every scenario that is shipped and over files that are wrong.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

// Stories

/// A shipped scenario, its exit status, and what is told of it.
const TOLD: [(&str, i32, &[&str]); 17] = [
    (
        "ab-test-gate",
        0,
        &[
            "confirm-promotion product-owner denied",
            "10 rounds",
            "21m30s  Promoting",
        ],
    ),
    (
        "blue-green",
        0,
        &["6m30s  Progressing       0/100", "Succeeded: revision v2"],
    ),
    (
        "canary-crashes",
        2,
        &[
            "2m35s  Progressing       100/0        failed 1   the canary serves nothing: its traffic waits at the primary",
            "7m35s  RollingBack",
            "0 answered with an error, 0 lost",
        ],
    ),
    (
        "canary-errors",
        2,
        &[
            "request-success-rate 97, wanted at least 99",
            "4m30s  RollingBack       100/0",
            "Users sent 54000 requests: 108 answered with an error, 0 lost",
            "Next: another revision than v2, or `retry`",
        ],
    ),
    (
        "canary-good",
        0,
        &[
            "in all: 8m0s at least",
            "8m30s  Succeeded",
            "0 answered with an error, 0 lost",
        ],
    ),
    (
        "canary-latency",
        2,
        &[
            "99/1",
            "request-duration 260, wanted within 1.5 times the primary's 150",
        ],
    ),
    (
        "canary-worse",
        2,
        &[
            "at 200 requests/s and 0.1 % errors, request-success-rate: every request failing in 20s",
            "convicted by request-success-rate: request-success-rate fail:",
            "times the rate",
        ],
    ),
    (
        "clock-steps",
        0,
        &[
            "-- the clock is set forward by 1h0m0s",
            "-- the clock is set back by 1h0m0s",
            "6m30s  Progressing       60/40",
            "11m30s  Succeeded",
        ],
    ),
    (
        "early-promotion",
        0,
        &["good beyond doubt, promoted early", "Promoting         90/10"],
    ),
    (
        "gradual-promotion",
        0,
        &["Promoting         60/40", "Promoting         80/20"],
    ),
    (
        "mirror-first",
        2,
        &["mirror 50 %", "0 answered with an error", "9000 copies"],
    ),
    (
        "never-ready",
        0,
        &[
            "5m30s  Failed",
            "the canary was not ready in time",
            "1h5m0s  Succeeded",
        ],
    ),
    (
        "newer-revision",
        0,
        &[
            "a newer revision is wanted: v3",
            "somebody: pause",
            "Succeeded: revision v3",
        ],
    ),
    (
        "no-data-held",
        0,
        &[
            "nothing to judge",
            "-- no connection to the metric source",
            "16m30s  Succeeded",
        ],
    ),
    (
        "paused-and-reverted",
        0,
        &[
            "10m0s  Initialized       100/0",
            "30m0s  Progressing       100/0        failed 0   new revision",
            "Succeeded: revision v3",
        ],
    ),
    (
        "paused-canary-dies",
        2,
        &[
            "somebody: pause",
            "6m50s  Progressing       100/0        failed 1   the canary serves nothing",
            "the canary was not ready in time",
            "0 answered with an error, 0 lost for lack of pods",
        ],
    ),
    (
        "promotion-failed",
        2,
        &[
            "8m30s  Failed            0/100",
            "primary not ready in time: the canary serves",
        ],
    ),
];

#[test]
fn every_shipped_scenario_ends_as_it_says() {
    for (name, status, parts) in TOLD {
        let (output, text) = simulate(&[&scenario(name)]);
        assert_eq!(output.status.code(), Some(status), "{name}\n{text}");
        assert!(output.stderr.is_empty(), "{name}: {}", error(&output));
        for part in parts {
            assert!(text.contains(part), "{name}: {part:?} is not in\n{text}");
        }
        assert!(text.contains(", 0 lost for lack of pods."), "{name}\n{text}");
        assert!(!text.contains("warning"), "{name}\n{text}");
    }
    let shipped = std::fs::read_dir(scenarios())
        .unwrap()
        .map(|it| it.unwrap().path());
    let mut shipped: Vec<String> = shipped
        .map(|it| it.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    shipped.sort();
    assert_eq!(
        shipped,
        TOLD.map(|(name, ..)| name),
        "every scenario has its line here"
    );
}

#[test]
fn every_scenario_begins_with_its_story() {
    for file in std::fs::read_dir(scenarios()).unwrap() {
        let path = file.unwrap().path();
        assert!(
            std::fs::read_to_string(&path).unwrap().starts_with("# "),
            "{}",
            path.display()
        );
    }
}

#[test]
fn machines_get_json() {
    let (output, text) = simulate(&[&scenario("canary-errors"), "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["promoted"], false);
    assert_eq!(told["recording"]["users"]["errors"], 108);
    assert_eq!(told["recording"]["took"], "4m30s");
    let rows = told["recording"]["rows"].as_array().unwrap();
    assert_eq!(rows.last().unwrap()["phase"], "Failed");
    assert!(told["timetable"].as_array().unwrap().len() > 5);
}

#[test]
fn judges_are_shown_side_by_side_on_the_same_story() {
    // A canary that fails 3 of 100 requests: both judges see it, one much sooner.
    let both = ["--judge", "range", "--judge", "sequential"];
    let (output, text) = simulate(&[&[scenario("canary-errors").as_str()], &both[..]].concat());
    assert_eq!(output.status.code(), Some(2), "{text}");
    let row = |name: &str| {
        let line = text.lines().find(|it| it.starts_with(name)).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let errors: u64 = words[4].parse().unwrap();
        (words[1].to_owned(), words[2].to_owned(), errors)
    };
    assert_eq!(
        row("range"),
        ("Failed".to_owned(), "3m0s".to_owned(), 108),
        "{text}"
    );
    let sequential = row("sequential");
    assert_eq!(
        (sequential.0.as_str(), sequential.1.as_str()),
        ("Failed", "20s"),
        "{text}"
    );
    assert!(sequential.2 * 5 < 108, "{text}");

    // Five times the primary's errors, and above 99 %: only one of them sees it.
    let (_, text) = simulate(&[&[scenario("canary-worse").as_str()], &both[..]].concat());
    let line = |name: &str| text.lines().find(|it| it.starts_with(name)).unwrap().to_owned();
    assert!(line("range").contains("Succeeded"), "{text}");
    assert!(line("sequential").contains("Failed"), "{text}");

    let (_, text) = simulate(&[&scenario("canary-errors"), "--judge", "sequential"]);
    assert!(text.contains("convicted by request-success-rate"), "{text}");
}

#[test]
fn plan_and_scenario_may_be_two_files_and_json() {
    let folder = Folder::new("two");
    let plan = folder.write(
        "plan.json",
        r#"{"strategy": {"canary": {"stepWeight": 50}}, "interval": "30s"}"#,
    );
    let story = folder.write("story.yaml", "primary: v1\nhappenings: [{ at: 1m, push: v2 }]\n");
    let (output, text) = simulate(&[&plan, &story]);
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    assert!(
        text.contains("warning: metrics: without metrics, only readiness can stop a bad revision"),
        "{text}"
    );
}

#[test]
fn less_than_a_request_per_second_can_be_simulated() {
    let folder = Folder::new("slow");
    let plan = folder.write(
        "plan.yaml",
        "strategy: { canary: { stepWeight: 50 } }\ninterval: 10m\nmetrics: [{ name: request-success-rate, thresholdRange: { min: 99 } }]\n",
    );
    let story = |rate: &str| {
        format!("primary: v1\nrequestsPerSecond: {rate}\nhappenings: [{{ at: 1m, push: v2 }}]\n")
    };
    let (output, text) = simulate(&[&plan, &folder.write("slow.yaml", &story("0.05"))]);
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    assert!(text.contains("0 answered with an error"), "{text}");
    let refused = simulate(&[&plan, &folder.write("wrong.yaml", &story("-1"))]).0;
    assert!(
        error(&refused)
            .contains("requestsPerSecond: -1 is no rate (expected requests per second: 0, or from"),
        "{}",
        error(&refused)
    );
}

// Manifests of Flagger

fn manifest(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("simulate/manifests");
    folder.join(name).display().to_string()
}

#[test]
#[cfg(feature = "k8s")]
fn a_canary_of_flagger_is_played_as_it_is() {
    let (output, text) = simulate(&[&manifest("canary.yaml")]);
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    for told in [
        "shift traffic to 20 %",
        "gate confirm-promotion owner",
        "request-success-rate 100 at least 99.5; queue-depth 40 at most 40",
        "3m0s  Succeeded",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }

    let folder = Folder::new("manifest");
    let story = "primary: v1\nversions: {v2: {errors: 3}}\nhappenings: [{ at: 0s, push: v2 }]\n";
    let (output, text) = simulate(&[&manifest("canary.yaml"), &folder.write("story.yaml", story)]);
    assert_eq!(output.status.code(), Some(2), "{}", error(&output));
    assert!(
        text.contains("wanted at least 99.5; queue-depth: no data"),
        "{text}"
    );
}

#[test]
#[cfg(feature = "k8s")]
fn what_is_wrong_with_a_canary_is_told_with_its_field() {
    let whole = std::fs::read_to_string(manifest("canary.yaml")).unwrap();
    let (template, canary) = whole.split_once("---\n").unwrap();
    let folder = Folder::new("wrong-manifest");
    for (text, says) in [
        (
            whole.replace("[5, 20, 50]", "[5, 50, 20]"),
            "spec.analysis.stepWeights[2]: 20 % does not rise",
        ),
        (
            whole.replace("          name: queue-depth\n", "          name: depth\n"),
            "spec.analysis.metrics[1].templateRef: \"depth\" is no usable name",
        ),
        (
            whole.replace("gatewayapi:v1", "istoi"),
            "spec.provider: \"istoi\" is no usable name",
        ),
        (
            whole.replace("interval: 30s", "interval: [30s]"),
            "spec.analysis.interval",
        ),
        (
            format!("{whole}---\n{canary}"),
            "2 Canaries stand here, and one rollout is played",
        ),
        (template.to_owned(), "a manifest of Kubernetes (expected a plan"),
    ] {
        let (output, _) = simulate(&[&folder.write("canary.yaml", &text)]);
        assert_eq!(output.status.code(), Some(1), "{says}");
        assert!(error(&output).contains(says), "{says}: {}", error(&output));
    }
}

#[test]
#[cfg(not(feature = "k8s"))]
fn a_manifest_needs_what_reads_it() {
    let (output, _) = simulate(&[&manifest("canary.yaml")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output).contains("--features k8s"), "{}", error(&output));
}

// Files that are wrong

#[test]
fn what_does_not_fit_is_told_with_its_line_and_field() {
    refused(
        "plan:
           strategy:
             canary: { stepWeight: 10, maxWeigth: 50 }
           threshold: many
         scenario:
           primary: v1",
        &[
            "file.yaml:3:42: plan.strategy.canary.maxWeigth: unknown field `maxWeigth`, expected one of `stepWeight`, `maxWeight`",
            "file.yaml:4:14: plan.threshold: string \"many\" does not fit here, expected a whole number, 0 or more",
        ],
    );
}

#[test]
fn a_metric_without_a_judge_or_with_a_misspelt_one_is_told() {
    refused(
        "plan:
           strategy:
             canary: { stepWeight: 10 }
           metrics:
             - { name: speed, tresholdRange: { max: 5 } }
             - { name: size }
             - { name: weight, threshold: 5, baseline: { maxRatio: 2 } }
         scenario:
           primary: v1",
        &[
            "file.yaml:5:37: plan.metrics[0].tresholdRange: unknown field `tresholdRange`, expected one of",
            "file.yaml:6:7: plan.metrics[1]: metric `size` has no judge (expected one of thresholdRange, threshold, baseline, compare, objective, mannWhitney)",
            "file.yaml:7:7: plan.metrics[2]: metric `weight` has threshold and baseline (expected one of",
        ],
    );
}

#[test]
fn a_scenario_that_does_not_fit_is_told_too() {
    refused(
        "plan: { strategy: { canary: { stepWeight: 10 } } }
         scenario:
           primary: v1
           metricLag: 5 minutes
           versions:
             v1.2: { ready: sometimes, errors: 130 }
           happenings:
             - { at: 1m, push: v1.2 }
             - { at: 2m, comand: pause }",
        &[
            "file.yaml:4:14: scenario.metricLag: \"5 minutes\" is no duration: unknown unit \" minutes\"",
            "file.yaml:6:20: scenario.versions.v1.2.ready: unknown variant `sometimes`, expected `after` or `never`",
            "file.yaml:6:39: scenario.versions.v1.2.errors: 130 % is no share of the traffic",
            "file.yaml:9:25: scenario.happenings[1].comand: unknown field `comand`",
        ],
    );
}

#[test]
fn a_plan_that_cannot_work_is_told_where_it_is_written() {
    refused(
        "plan:
           interval: 1ms
           strategy:
             canary:
               stepWeights:
                 - 10
                 - 5
                 - 40
                 - 40
         scenario:
           primary: v1
           pods: 0",
        &[
            "file.yaml:2:13: plan.interval: 1ms is out of range (from 100ms to 86400s)",
            "file.yaml:7:11: plan.strategy.canary.stepWeights[1]: 5 % does not rise (more than the 10 % before it",
            "file.yaml:9:11: plan.strategy.canary.stepWeights[3]: 40 % does not rise",
            "file.yaml:12:9: scenario.pods: 0 is out of range (at least 1",
        ],
    );
}

#[test]
fn what_is_missing_is_told_at_what_lacks_it() {
    refused(
        "plan:
           strategy:
             canary: { stepWeight: 10 }
         scenario:
           faults:
             - { of: metrics, from: 1m }",
        &[
            "file.yaml:5:3: scenario: missing field `primary`",
            "file.yaml:6:7: scenario.faults[0]: missing field `until`",
        ],
    );
    refused("plan: {}", &["file.yaml:1:1: missing field `scenario`"]);
}

#[test]
fn what_is_no_yaml_or_no_file_is_told() {
    refused(
        "plan: [1, 2\nscenario: }",
        &["file.yaml:2:", "this is not YAML (or JSON)"],
    );
    refused(
        "plan: 1\nplan: 2",
        &["file.yaml:2:1: this is not YAML (or JSON): duplicate mapping key `plan`"],
    );
    let (output, _) = simulate(&["no-such-file.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error(&output).starts_with("no-such-file.yaml: cannot be read: "),
        "{}",
        error(&output)
    );
}

#[test]
fn an_argument_that_nobody_knows_is_an_error_and_no_rollback() {
    assert_eq!(simulate(&["--jsn"]).0.status.code(), Some(1));
    assert_eq!(simulate(&["--help"]).0.status.code(), Some(0));
}

// Words

/// The file is refused, with exactly these problems in this order (each may be cut off), or with a message that has all
/// the parts where there is only one problem.
fn refused(text: &str, expected: &[&str]) {
    let folder = Folder::new("refused");
    // The text stands in a test, further to the right than in a file.
    let file = folder.write("file.yaml", &text.replace("\n         ", "\n"));
    let (output, told) = simulate(&[&file]);
    let problems = error(&output).replace(&format!("{}/", folder.0.display()), "");
    assert_eq!(output.status.code(), Some(1), "{problems}");
    assert!(told.is_empty(), "{told}");
    if expected.len() == problems.lines().count() {
        for (problem, expected) in problems.lines().zip(expected) {
            assert!(problem.starts_with(expected), "{expected}\nis not\n{problems}");
        }
    } else {
        assert_eq!(problems.lines().count(), 1, "{problems}");
        assert!(expected.iter().all(|it| problems.contains(it)), "{problems}");
    }
}

fn simulate(arguments: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_simulate"))
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

fn error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("simulate/scenarios")
}

fn scenario(name: &str) -> String {
    scenarios()
        .join(name)
        .with_extension("yaml")
        .to_str()
        .unwrap()
        .to_owned()
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("simulate-{}-{name}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
