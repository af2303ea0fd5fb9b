//! Alerting rules, manifests with rules, and log stages.

use delivery_prom::rules::{Pace, check};

use super::text;
use crate::{Shape, check as must};

/// Each finding is one line. The first line of the input may say that it is Alloy.
pub(super) fn run(input: &[u8]) -> Shape {
    let input = text(input);
    let (first, rest) = must::line(&input);
    let (file, text) = if first.trim() == "# alloy" {
        ("f.alloy", rest)
    } else {
        ("f.yaml", input.as_ref())
    };
    let mut shape = Shape::default();
    match check(file, text, &Pace::default()) {
        Ok(findings) => {
            // YAML knows more line breaks than one.
            let lines = u64::try_from(text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count())
                .unwrap_or(u64::MAX);
            for finding in findings {
                must::told(&finding.to_string());
                assert!(
                    (1..=lines.max(1)).contains(&finding.line),
                    "{finding} in {lines} lines"
                );
                shape = shape.and(finding.lint).said(&finding.wrong);
            }
        }
        Err(error) => shape = shape.said(&must::error(&error)),
    }
    shape
}
