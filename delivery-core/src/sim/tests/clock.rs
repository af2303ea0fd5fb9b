//! Clocks that step: whatever they do, a rollout ends as it does without.

use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};
use proptest::strategy::Strategy as Draw;

use super::*;

const INTERVAL: Duration = Duration::from_secs(60);

/// A step of the clock: when, and by how many seconds, forward or back.
fn steps() -> impl Draw<Value = Vec<(u64, i64)>> {
    prop::collection::vec((0_u64..900, -7_200_i64..7_200), 0..4)
}

fn plan() -> Plan {
    let canary = Canary {
        step_weight: Some(20.0),
        max_weight: Some(60.0),
        ..Canary::default()
    };
    let spec = Spec {
        interval: INTERVAL,
        threshold: 3,
        metrics: vec![MetricSpec::at_least("request-success-rate", 99.0)],
        ..Spec::new(Strategy::Canary(canary))
    };
    spec.compile(&Capabilities::ALL).unwrap().0
}

fn with_steps(mut scenario: Scenario, steps: &[(u64, i64)]) -> Scenario {
    for (at, by) in steps {
        let (at, length) = (Duration::from_secs(*at), Duration::from_secs(by.unsigned_abs()));
        scenario.happenings.push(if *by < 0 {
            Happening::clock_back(at, length)
        } else {
            Happening::clock_forward(at, length)
        });
    }
    scenario
}

/// When the last thing happened that shows.
fn end(recording: &Recording) -> Duration {
    recording
        .rows
        .last()
        .map_or(Duration::ZERO, |row| row.at.since(START))
}

/// Each step may begin a wait anew, and cost the round in which it falls.
fn late(steps: &[(u64, i64)]) -> Duration {
    2 * INTERVAL * u32::try_from(steps.len()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_good_version_is_promoted_and_not_much_later(steps in steps(), ready in 1_u64..300) {
        let version = Version { ready: Becomes::After(Duration::from_secs(ready)), ..Version::GOOD };
        let scenario = v2(version);
        let plainly = run(&plan(), &scenario);
        let recording = run(&plan(), &with_steps(scenario, &steps));
        prop_assert!(recording.promoted(), "{:?}: {}", steps, recording.why);
        prop_assert!(end(&recording) <= end(&plainly) + late(&steps), "{:?}: {:?}", steps, end(&recording));
        prop_assert_eq!(recording.users.errors + recording.users.lost, 0);
    }

    #[test]
    fn a_bad_version_is_rolled_back_and_not_much_later(steps in steps()) {
        let scenario = v2(Version { errors: percent(5), ..Version::GOOD });
        let plainly = run(&plan(), &scenario);
        let recording = run(&plan(), &with_steps(scenario, &steps));
        prop_assert!(!recording.promoted());
        prop_assert!(end(&recording) <= end(&plainly) + late(&steps), "{:?}: {:?}", steps, end(&recording));
    }

    #[test]
    fn a_canary_that_never_comes_up_has_its_time_and_not_much_more(steps in steps()) {
        let scenario = v2(Version { ready: Becomes::Never, ..Version::GOOD });
        let deadline = plan().deadline();
        let recording = run(&plan(), &with_steps(scenario, &steps));
        prop_assert!(!recording.promoted());
        // A step costs a quarter of the deadline at most, or begins a part anew.
        let steps_in_time = u32::try_from(steps.len()).unwrap();
        let least = deadline.saturating_sub(deadline / 4 * steps_in_time);
        prop_assert!(end(&recording) >= least, "{:?}: {:?}", steps, end(&recording));
        prop_assert!(end(&recording) <= deadline + INTERVAL + deadline / 4 * steps_in_time, "{:?}: {:?}", steps, end(&recording));
    }
}
