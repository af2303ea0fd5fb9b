//! The targets.

mod address;
mod alerts;
mod chaos;
mod duration;
mod journal;
mod json_metric;
mod kayenta;
mod plan;
mod reply;
mod rules;
mod state;
mod template;

use crate::{Shape, Target};

/// All of them.
pub const ALL: &[Target] = &[
    target("state", state::run, 4_000),
    target("plan", plan::run, 20_000),
    target("chaos", chaos::run, 64 << 20),
    target("reply", reply::run, 2_000),
    target("alerts", alerts::run, 2_000),
    target("template", template::run, 2_000),
    target("json-metric", json_metric::run, 4_000),
    target("rules", rules::run, 20_000),
    target("kayenta", kayenta::run, 2_000),
    target("journal", journal::run, 2_000),
    target("duration", duration::run, 200),
    target("address", address::run, 2_000),
];

const fn target(name: &'static str, run: fn(&[u8]) -> Shape, bytes_per_byte: u64) -> Target {
    let longest = 64 << 10;
    Target {
        name,
        run,
        longest,
        bytes_per_byte,
    }
}

/// The input as a text, as far as it is one.
fn text(input: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(input)
}
