//! Plans and scenarios as people write them.

use delivery_core::plan::{Capabilities, Spec};
use delivery_core::sim::{START, Scenario, World};
use serde::Deserialize;

use super::text;
use crate::drive::{Drive, drive};
use crate::{Shape, check};

#[derive(Deserialize)]
struct File {
    plan: Spec,
    scenario: Scenario,
}

/// How many decisions of each rollout are made.
const STEPS: u32 = 150;

/// What is written is a plan or refused in words; a plan can be told and driven.
pub(super) fn run(input: &[u8]) -> Shape {
    let input = text(input);
    let File { plan: spec, scenario } = match serde_saphyr::from_str(&input) {
        Ok(file) => file,
        Err(error) => return Shape::default().said(&error.without_snippet().to_string()),
    };
    let shape = match scenario.check() {
        Ok(warnings) => {
            check::all(&warnings);
            Shape::default().and(warnings.len().min(3))
        }
        Err(errors) => {
            check::all(&errors.errors);
            errors
                .errors
                .iter()
                .fold(Shape::default(), |shape, it| shape.said(&it.remedy))
        }
    };
    let (plan, warnings) = match spec.compile(&Capabilities::ALL) {
        Ok(compiled) => compiled,
        Err(errors) => {
            check::all(&errors.errors);
            return errors
                .errors
                .iter()
                .fold(shape, |shape, it| shape.said(&it.remedy));
        }
    };
    check::all(&warnings);
    let shape = warnings.iter().fold(shape, |shape, it| shape.said(&it.text));
    let timetable = plan.timetable();
    let _ = (timetable.to_string(), timetable.shortest(), timetable.longest());
    let written = serde_json::to_string(&spec).ok();
    let again = written.as_deref().map(serde_json::from_str::<Spec>);
    match again {
        Some(Ok(again)) => assert!(again == spec, "a plan is read as another one: {written:?}"),
        other => panic!("a plan is not read again: {other:?} of {written:?}"),
    }
    let world = World::new(&scenario);
    let how = Drive {
        steps: STEPS,
        crashes: &[],
        untouched: false,
    };
    let driven = drive(&plan, &world, START.after(scenario.limit), &how);
    let users = world.users();
    assert!(users.errors + users.lost <= users.requests + 1, "{users:?}");
    shape.and(driven.shape).and(driven.ended)
}
