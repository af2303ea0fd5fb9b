//! Bugs that were planted on purpose. A check that has never failed may be looking at the wrong side of a step.

use super::*;

/// The story of a violation that the check finds in a machine.
fn caught(machine: &dyn Machine, why: &str) {
    let spec = spec(Strategy::Canary(canary(&[50.0])));
    let story = Check::new(&spec, machine)
        .explore(Node::first(), 400_000)
        .expect_err("the bug was not found");
    assert!(story.contains(why), "another bug than the planted one: {story}");
}

#[test]
fn silence_is_taken_for_consent() {
    struct Mutant;
    impl Machine for Mutant {
        fn step<'a>(&self, plan: &'a Plan, state: &'a State, seen: &Observation) -> Outcome<'a> {
            let mut seen = seen.clone();
            for reply in &mut seen.replies {
                if let Content::Measured(samples) = &mut reply.content {
                    let missing = samples.get("good").is_none_or(|it| *it != Sample::Value(0.0));
                    if missing {
                        samples.insert("good".to_string(), Sample::Value(1.0));
                    }
                }
            }
            step(plan, state, &seen)
        }
    }
    caught(&Mutant, "a round passed without good data");
}

#[test]
fn what_was_asked_for_is_taken_for_done() {
    struct Mutant;
    impl Machine for Mutant {
        fn step<'a>(&self, plan: &'a Plan, state: &'a State, seen: &Observation) -> Outcome<'a> {
            step(
                plan,
                state,
                &Observation {
                    in_force: Some(state.traffic()),
                    ..seen.clone()
                },
            )
        }
    }
    caught(&Mutant, "pods go");
}

#[test]
fn a_refusal_is_forgotten() {
    struct Mutant;
    impl Machine for Mutant {
        fn step<'a>(&self, plan: &'a Plan, state: &'a State, seen: &Observation) -> Outcome<'a> {
            let mut outcome = step(plan, state, seen);
            if let Outcome::Go(next, _) = &mut outcome
                && let Stage::Idle(Idle::Failed { refused, .. }) = &mut next.stage
            {
                *refused = None;
            }
            outcome
        }
    }
    // Refused, and begun again, for ever.
    caught(&Mutant, "no end");
}

#[test]
fn pods_go_before_the_traffic() {
    struct Mutant;
    impl Machine for Mutant {
        fn desired(&self, plan: &Plan, state: &State) -> Desired {
            let mut want = desired(plan, state);
            if matches!(state.stage, Stage::Retreat(_)) {
                want.pods.canary = CanaryWish::Down;
            }
            want
        }
    }
    caught(&Mutant, "pods go while they have traffic");
}

#[test]
fn a_side_without_pods_is_ready() {
    struct Mutant;
    impl Machine for Mutant {
        fn step<'a>(&self, plan: &'a Plan, state: &'a State, seen: &Observation) -> Outcome<'a> {
            let mut seen = seen.clone();
            if let (Some(canary), Stage::Rollout(run)) = (&mut seen.canary, &state.stage)
                && canary.wanted == 0
            {
                let revision = Some(run.revision.clone());
                *canary = Pods {
                    revision,
                    wanted: 1,
                    total: 1,
                    updated: 1,
                    available: 1,
                    unready_since: None,
                };
            }
            step(plan, state, &seen)
        }
    }
    caught(&Mutant, "although the canary was not observed ready");
}

#[test]
fn a_canary_that_serves_nothing_keeps_its_traffic() {
    struct Mutant;
    impl Machine for Mutant {
        fn step<'a>(&self, plan: &'a Plan, state: &'a State, seen: &Observation) -> Outcome<'a> {
            let mut seen = seen.clone();
            if let Some(canary) = &mut seen.canary
                && canary.available == 0
            {
                // One that serves, beside one that is on its way: not ready, and not dead.
                (canary.total, canary.available) = (canary.updated + 1, 1);
            }
            step(plan, state, &seen)
        }
    }
    caught(&Mutant, "traffic is left with a canary that serves nothing");
}

#[test]
fn the_promotion_does_not_wait_for_the_primary() {
    struct Mutant;
    impl Machine for Mutant {
        fn step<'a>(&self, plan: &'a Plan, state: &'a State, seen: &Observation) -> Outcome<'a> {
            let mut seen = seen.clone();
            if let (Some(primary), Stage::Rollout(run)) = (&mut seen.primary, &state.stage)
                && run.promoting
            {
                primary.revision = Some(run.revision.clone());
                primary.available = primary.wanted;
            }
            step(plan, state, &seen)
        }
    }
    caught(&Mutant, "although the primary was not observed to serve");
}

#[test]
fn a_pause_holds_before_safety_is_looked_at() {
    struct Mutant;
    impl Machine for Mutant {
        fn step<'a>(&self, plan: &'a Plan, state: &'a State, seen: &Observation) -> Outcome<'a> {
            if state.paused.is_some() && seen.commands.is_empty() {
                return Outcome::Hold {
                    until: None,
                    why: Reason::Paused,
                };
            }
            step(plan, state, seen)
        }
    }
    // Whichever of the rules is met first.
    let spec = spec(Strategy::Canary(canary(&[50.0])));
    let story = Check::new(&spec, &Mutant)
        .explore(Node::first(), 400_000)
        .expect_err("the bug was not found");
    let rules = [
        "is not withdrawn",
        "a canary that serves nothing",
        "is not given up",
        "no end",
    ];
    assert!(rules.iter().any(|rule| story.contains(rule)), "{story}");
}

#[test]
fn a_promotion_is_not_withdrawn() {
    struct Mutant;
    impl Machine for Mutant {
        fn step<'a>(&self, plan: &'a Plan, state: &'a State, seen: &Observation) -> Outcome<'a> {
            let mut seen = seen.clone();
            if let Stage::Rollout(run) = &state.stage
                && run.promoting
                && seen.target == state.primary
            {
                seen.target = Some(run.revision.clone());
            }
            step(plan, state, &seen)
        }
    }
    caught(&Mutant, "a revision that nobody wants is not withdrawn");
}

#[test]
fn the_gates_sleep_while_a_run_waits() {
    struct Mutant;
    impl Machine for Mutant {
        fn step<'a>(&self, plan: &'a Plan, state: &'a State, seen: &Observation) -> Outcome<'a> {
            match step(plan, state, seen) {
                Outcome::Ask(Question::Gate(gate))
                    if gate.kind == GateKind::Rollback && state.paused.is_some() =>
                {
                    Outcome::Hold {
                        until: None,
                        why: Reason::Paused,
                    }
                }
                outcome => outcome,
            }
        }
    }
    let gated = Spec {
        gates: vec![Gate::new(GateKind::Rollback, "gate")],
        ..spec(Strategy::Canary(canary(&[50.0])))
    };
    let story = Check::new(&gated, &Mutant)
        .explore(Node::one_push(), 400_000)
        .expect_err("the bug was not found");
    assert!(
        story.contains("nobody asks the gates that may want a rollback"),
        "{story}"
    );
}

#[test]
fn a_promotion_is_in_a_hurry_and_asks_nobody() {
    struct Mutant;
    impl Machine for Mutant {
        fn step<'a>(&self, plan: &'a Plan, state: &'a State, seen: &Observation) -> Outcome<'a> {
            let promoting = matches!(&state.stage, Stage::Rollout(run) if run.promoting);
            match step(plan, state, seen) {
                Outcome::Ask(Question::Gate(gate)) if promoting && gate.kind == GateKind::Rollback => {
                    let said = Ok(Answer::Denied(String::new()));
                    let content = Content::Gate {
                        kind: gate.kind,
                        name: gate.name.clone(),
                        said,
                    };
                    let mut seen = seen.clone();
                    seen.replies.push(Reply {
                        sequence: state.sequence,
                        content,
                    });
                    step(plan, state, &seen)
                }
                outcome => outcome,
            }
        }
    }
    let guarded = Spec {
        gates: vec![Gate::new(GateKind::Rollback, "gate")],
        ..spec(Strategy::Canary(canary(&[50.0])))
    };
    let story = Check::new(&guarded, &Mutant)
        .explore(Node::first(), 400_000)
        .expect_err("the bug was not found");
    assert!(story.contains("nobody asks the gates"), "{story}");
}
