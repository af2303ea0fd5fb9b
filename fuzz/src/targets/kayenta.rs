//! Canary configs of Kayenta.

use delivery_core::plan::{Canary, Capabilities, Spec, Strategy, kayenta};

use super::text;
use crate::{Shape, check};

/// What is read becomes metrics that a plan takes or refuses in words.
pub(super) fn run(input: &[u8]) -> Shape {
    let input = text(input);
    let mut shape = Shape::default();
    for values in [&[][..], &[("location", "{{ namespace }}"), ("scope", "x")]] {
        let imported = match kayenta(&input, values) {
            Ok(imported) => imported,
            Err(error) => return shape.said(&check::error(&error)),
        };
        for difference in &imported.differences {
            check::told(&difference.to_string());
            shape = shape.said(&difference.text);
        }
        let canary = Canary {
            step_weight: Some(10.0),
            ..Canary::default()
        };
        let spec = Spec {
            metrics: imported.metrics,
            ..Spec::new(Strategy::Canary(canary))
        };
        match spec.compile(&Capabilities::ALL) {
            Ok((plan, warnings)) => {
                shape = shape.and(plan.metrics().len());
                check::all(&warnings);
            }
            Err(errors) => {
                for error in &errors.errors {
                    check::told(&error.to_string());
                    shape = shape.said(&error.remedy);
                }
            }
        }
    }
    shape
}
