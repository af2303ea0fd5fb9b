//! The small examples do what their first lines say.

use std::process::Command;

/// What an example prints; it must succeed, and complain about nothing.
fn printed(example: &str) -> String {
    let output = Command::new(example)
        .output()
        .expect("the example was built with this test");
    let (out, err) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(
        output.status.success() && err.is_empty(),
        "{}\n{out}\n{err}",
        output.status
    );
    out
}

/// These texts are there, in this order.
fn tells(out: &str, story: &[&str]) {
    let mut rest = out;
    for text in story {
        let Some((_, after)) = rest.split_once(text) else {
            panic!("{text:?} is not where it should be in\n{out}")
        };
        rest = after;
    }
}

#[test]
fn embed_promotes_the_new_revision() {
    let out = printed(env!("CARGO_BIN_EXE_embed"));
    let story = [
        "STEP",
        "in all: ",
        "Initialized",
        "the primary runs what is wanted",
        "Progressing",
        "90/10",
        "80/20",
        "70/30",
        "60/40",
        "50/50",
        "Promoting",
        "Finalising",
        "Succeeded",
        "100/0",
    ];
    tells(&out, &story);
}

#[test]
fn custom_router_brings_every_split_into_force() {
    let out = printed(env!("CARGO_BIN_EXE_custom-router"));
    let story = [
        "asked for 90/10",
        "90/10 in force",
        "asked for 50/50",
        "50/50 in force",
        "asked for 100/0",
        "100/0 in force",
    ];
    tells(&out, &story);
}

#[test]
fn custom_metric_tells_no_data_from_bad_data() {
    let out = printed(env!("CARGO_BIN_EXE_custom-metric"));
    let story = [
        "minute 0: 120 requests,  0 failed -> pass",
        "minute 1: 120 requests, 10 failed -> fail (request-success-rate 91.667, wanted at least 99)",
        "minute 2: Nothing(NoData) -> inconclusive",
    ];
    tells(&out, &story);
}
