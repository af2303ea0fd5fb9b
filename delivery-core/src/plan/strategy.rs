//! Strategies: a spec in, a list of steps out. A new strategy is one more function here.
//!
//! The named strategies keep Flagger's rhythm (reference: `pkg/controller/scheduler.go` of Flagger 1.44): one move per
//! interval, the canary up one interval before its first traffic, and a drained canary one interval after its last.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::matching;
use super::problem::Problems;
use super::spec::List;
use super::{
    AbTest, BlueGreen, Canary, Capabilities, Flaw, Gate, GateKind, MirrorFirst, Scale, Spec, Step, Strategy,
};
use crate::weight::Weight;

/// The steps of a spec. What is wrong goes into `problems`.
pub(super) fn steps(spec: &Spec, can: &Capabilities, problems: &mut Problems) -> List {
    match &spec.strategy {
        Strategy::Steps(steps) => {
            for (at, gate) in spec.gates.iter().enumerate() {
                if !matches!(gate.kind, GateKind::Rollback | GateKind::Rollout) {
                    let remedy = "in a list of steps, write the gate as a step where it belongs";
                    problems.error(format!("gates[{at}].kind"), Flaw::Order, gate.kind, remedy);
                }
            }
            List {
                steps: steps.clone(),
                rules: Arc::from([]),
                iterated: false,
            }
        }
        _ if spec.skip_analysis => {
            let mut steps = gates(spec, GateKind::ConfirmRollout, 1);
            steps.push(Step::Scale {
                scale: Scale::LikePrimary,
                dwell: spec.interval,
            });
            steps.push(Step::Promote {
                dwell: Duration::ZERO,
            });
            steps.push(Step::Settle {
                drain: Duration::ZERO,
            });
            List {
                steps,
                rules: Arc::from([]),
                iterated: false,
            }
        }
        Strategy::Canary(canary) if can.weights() => {
            self::canary(spec, canary, "strategy.canary", None, problems)
        }
        Strategy::MirrorFirst(first) if can.weights() => mirror_first(spec, first, can, problems),
        Strategy::Canary(_) | Strategy::MirrorFirst(_) => {
            problems.warn(
                "strategy",
                "the router cannot split traffic: judged in 10 rounds without traffic, as blue-green",
            );
            blue_green(
                spec,
                &BlueGreen {
                    iterations: 10,
                    mirror: None,
                },
                can,
                problems,
            )
        }
        Strategy::BlueGreen(blue_green) => self::blue_green(spec, blue_green, can, problems),
        Strategy::AbTest(ab_test) if can.weights() || can.matching => {
            matching::check_rules(&ab_test.rules, can, problems);
            self::ab_test(spec, ab_test, problems)
        }
        Strategy::AbTest(ab_test) => {
            problems.warn(
                "strategy.abTest.match",
                "the router cannot match requests: judged without traffic, as blue-green",
            );
            blue_green(
                spec,
                &BlueGreen {
                    iterations: ab_test.iterations,
                    mirror: None,
                },
                can,
                problems,
            )
        }
    }
}

/// Rising weights, a round at each, promotion after the last.
fn canary(spec: &Spec, canary: &Canary, path: &str, mirror: Option<Weight>, problems: &mut Problems) -> List {
    let weights = weights(canary, path, problems);
    let mut steps = opening(spec);
    steps.extend(gates(spec, GateKind::ConfirmTrafficIncrease, 1));
    if let Some(share) = mirror {
        steps.push(Step::Mirror { share });
        steps.push(Step::Analyse { rounds: 1 });
    }
    for (at, weight) in weights.iter().enumerate() {
        if at > 0 {
            steps.extend(gates(spec, GateKind::ConfirmTrafficIncrease, 1));
        }
        steps.push(Step::Shift {
            weight: *weight,
            dwell: Duration::ZERO,
        });
        steps.push(Step::Analyse { rounds: 1 });
    }
    steps.extend(gates(spec, GateKind::ConfirmTrafficIncrease, 1));
    steps.extend(gates(spec, GateKind::ConfirmPromotion, 1));
    steps.push(Step::Promote { dwell: spec.interval });
    if let Some(step) = canary.step_weight_promotion.filter(|it| *it > 0.0)
        && let Some(step) = weight(step, &format!("{path}.stepWeightPromotion"), problems)
    {
        let mut left = weights.last().copied().unwrap_or_default().saturating_sub(step);
        while !left.is_zero() {
            steps.push(Step::Return {
                weight: left,
                dwell: spec.interval,
            });
            left = left.saturating_sub(step);
        }
    }
    steps.push(Step::Settle { drain: spec.interval });
    List {
        steps,
        rules: Arc::from([]),
        iterated: false,
    }
}

/// Copies first, for one round, then a canary.
fn mirror_first(spec: &Spec, first: &MirrorFirst, can: &Capabilities, problems: &mut Problems) -> List {
    let share = mirrored(first.share, "strategy.mirrorFirst.share", can, problems);
    canary(
        spec,
        &first.canary,
        "strategy.mirrorFirst.canary",
        share,
        problems,
    )
}

/// Rounds without traffic (copies at most), then all of the traffic for one round, then promotion.
fn blue_green(spec: &Spec, blue_green: &BlueGreen, can: &Capabilities, problems: &mut Problems) -> List {
    iterations(blue_green.iterations, "strategy.blueGreen.iterations", problems);
    let mut steps = opening(spec);
    if let Some(share) = blue_green.mirror
        && let Some(share) = mirrored(share, "strategy.blueGreen.mirror", can, problems)
    {
        steps.push(Step::Mirror { share });
    }
    steps.push(Step::Analyse {
        rounds: blue_green.iterations,
    });
    steps.extend(gates(spec, GateKind::ConfirmPromotion, 2));
    if can.weights() {
        steps.push(Step::Shift {
            weight: Weight::WHOLE,
            dwell: Duration::ZERO,
        });
    }
    steps.push(Step::Analyse { rounds: 1 });
    steps.extend(gates(spec, GateKind::ConfirmPromotion, 2));
    steps.push(Step::Promote { dwell: spec.interval });
    steps.push(Step::Settle { drain: spec.interval });
    List {
        steps,
        rules: Arc::from([]),
        iterated: true,
    }
}

/// Rounds with the matching requests, then promotion.
fn ab_test(spec: &Spec, ab_test: &AbTest, problems: &mut Problems) -> List {
    iterations(ab_test.iterations, "strategy.abTest.iterations", problems);
    let mut steps = opening(spec);
    steps.push(Step::Match);
    steps.push(Step::Analyse {
        rounds: ab_test.iterations,
    });
    steps.extend(gates(spec, GateKind::ConfirmPromotion, 2));
    steps.push(Step::Promote { dwell: spec.interval });
    steps.push(Step::Settle { drain: spec.interval });
    List {
        steps,
        rules: Arc::from(ab_test.rules.as_slice()),
        iterated: true,
    }
}

/// What comes before any traffic.
fn opening(spec: &Spec) -> Vec<Step> {
    let mut steps = gates(spec, GateKind::ConfirmRollout, 1);
    steps.push(Step::Scale {
        scale: Scale::LikePrimary,
        dwell: spec.interval,
    });
    steps.extend(gates(spec, GateKind::PreRollout, 1));
    steps
}

fn gates(spec: &Spec, kind: GateKind, every: u32) -> Vec<Step> {
    let of_kind = spec.gates.iter().filter(|it| it.kind == kind);
    of_kind
        .map(|it| {
            Step::Gate(Gate {
                every: it.every.max(every),
                ..it.clone()
            })
        })
        .collect()
}

fn iterations(iterations: u32, path: &str, problems: &mut Problems) {
    if iterations == 0 {
        problems.error(path, Flaw::NoStep, 0, "at least 1 round");
    }
}

fn mirrored(share: f64, path: &str, can: &Capabilities, problems: &mut Problems) -> Option<Weight> {
    if !can.mirror {
        let remedy = "leave mirroring out, or use a router that can copy requests";
        problems.error(path, Flaw::Unsupported, format!("mirroring {share} %"), remedy);
        return None;
    }
    let share = weight(share, path, problems)?;
    if share.is_zero() {
        problems.error(path, Flaw::NoStep, "0 %", "more than 0");
        return None;
    }
    if share < Weight::WHOLE && !can.mirror_share {
        problems.error(
            path,
            Flaw::Unsupported,
            share,
            "this router copies all requests or none: write 100",
        );
        return None;
    }
    Some(share)
}

fn weight(percent: f64, path: &str, problems: &mut Problems) -> Option<Weight> {
    let weight = Weight::try_from(percent).ok();
    if weight.is_none() {
        let remedy = "from 0 to 100, with at most two decimals";
        problems.error(path, Flaw::OutOfRange, format!("{percent} %"), remedy);
    }
    weight
}

/// The weights of a canary, rising.
fn weights(canary: &Canary, path: &str, problems: &mut Problems) -> Vec<Weight> {
    if canary.step_weights.is_empty() {
        let max = match canary.max_weight.filter(|it| *it > 0.0) {
            Some(max) if max > 100.0 => {
                let remedy = "at most 100: more is never reached, and the rollout would never be promoted";
                problems.error(
                    format!("{path}.maxWeight"),
                    Flaw::Unreachable,
                    format!("{max} %"),
                    remedy,
                );
                return Vec::new();
            }
            Some(max) => weight(max, &format!("{path}.maxWeight"), problems),
            None => Some(Weight::WHOLE),
        };
        return stepped(canary.step_weight, max, path, problems);
    }
    if canary.max_weight.is_some() {
        problems.warn(
            format!("{path}.maxWeight"),
            "ignored: the last of stepWeights is the maximum",
        );
    }
    let path = format!("{path}.stepWeights");
    let mut weights: Vec<Weight> = Vec::with_capacity(canary.step_weights.len());
    for (at, percent) in canary.step_weights.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let percent = if *percent > 100.0 {
            problems.warn(path.clone(), format!("{percent} % is taken as 100 %"));
            100.0
        } else {
            *percent
        };
        let Some(weight) = weight(percent, &path, problems) else {
            continue;
        };
        match weights.last() {
            None if weight.is_zero() => {
                problems.error(
                    path,
                    Flaw::NoStep,
                    "0 %",
                    "more than 0: the first weight starts the traffic",
                );
            }
            Some(last) if weight <= *last => {
                let remedy = format!("more than the {last} before it, or leave it out");
                problems.error(path, Flaw::NotRising, weight, remedy);
            }
            None | Some(_) => weights.push(weight),
        }
    }
    match canary.step_weight.filter(|it| *it > 0.0) {
        // As Flagger: the step drives, the list only says where it ends.
        Some(_) => {
            let text =
                "stepWeight is set too, and drives: of the list only the last weight counts, as the maximum";
            problems.warn(path.clone(), text);
            stepped(canary.step_weight, weights.last().copied(), &path, problems)
        }
        None => weights,
    }
}

fn stepped(step: Option<f64>, max: Option<Weight>, path: &str, problems: &mut Problems) -> Vec<Weight> {
    let step_path = format!("{path}.stepWeight");
    let Some(step) = weight(step.unwrap_or(0.0), &step_path, problems) else {
        return Vec::new();
    };
    let Some(max) = max else { return Vec::new() };
    if step.is_zero() {
        let remedy = "a step above 0, or a list of stepWeights; otherwise no traffic ever moves";
        problems.error(step_path, Flaw::NoStep, "0 %", remedy);
        return Vec::new();
    }
    let mut weights = vec![step];
    let mut weight = step;
    while weight < max {
        weight = weight.saturating_add(step);
        weights.push(weight);
    }
    if weight > max {
        let text = format!("does not meet maxWeight {max}: the last weight is {weight}, as in Flagger");
        problems.warn(step_path, text);
    }
    weights
}

/// Whether the steps make sense in this order, and the router can do them.
pub(super) fn check(strategy: &Strategy, steps: &[Step], can: &Capabilities, problems: &mut Problems) {
    // What is wrong with a step is told where its author wrote it.
    let path = |at: usize| match strategy {
        Strategy::Steps(_) => format!("strategy.steps[{at}]"),
        Strategy::Canary(_) => String::from("strategy.canary"),
        Strategy::BlueGreen(_) => String::from("strategy.blueGreen"),
        Strategy::AbTest(_) => String::from("strategy.abTest"),
        Strategy::MirrorFirst(_) => String::from("strategy.mirrorFirst"),
    };
    let mut order = Order::default();
    for (at, step) in steps.iter().enumerate() {
        order.meet(step, &path(at), can, problems);
    }
    if problems.errors.is_empty() {
        order.end(&path(steps.len().saturating_sub(1)), problems);
    }
}

/// What came before a step.
#[derive(Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent facts about what came before"
)]
struct Order {
    scaled: bool,
    weight: Weight,
    unjudged: bool,
    analysed: bool,
    promoted: bool,
    settled: bool,
}

impl Order {
    fn meet(&mut self, step: &Step, path: &str, can: &Capabilities, problems: &mut Problems) {
        let mut misplaced = |when: bool, remedy: &str| {
            if when {
                problems.error(path, Flaw::Order, format!("`{}`", step.name()), remedy);
            }
        };
        misplaced(self.settled, "settle is the last step");
        let needs_pods = matches!(
            step,
            Step::Shift { .. }
                | Step::Mirror { .. }
                | Step::Match
                | Step::Analyse { .. }
                | Step::Promote { .. }
        );
        misplaced(
            needs_pods && !self.scaled,
            "scale comes first: there are no canary pods yet",
        );
        misplaced(
            self.promoted
                && !matches!(
                    step,
                    Step::Return { .. } | Step::Settle { .. } | Step::Pause { .. }
                ),
            "after promote only return, pause and settle make sense",
        );
        misplaced(
            !self.promoted && matches!(step, Step::Return { .. } | Step::Settle { .. }),
            "promote comes first: otherwise the revision is thrown away",
        );
        match step {
            Step::Gate(gate) => misplaced(
                matches!(gate.kind, GateKind::Rollback | GateKind::Rollout),
                "this kind is asked again and again: write it under `gates`",
            ),
            Step::Scale { scale, .. } => {
                misplaced(matches!(scale, Scale::Pods(0)), "a canary has at least 1 pod");
                self.scaled = true;
            }
            Step::Shift { weight, .. } => {
                if *weight <= self.weight {
                    let remedy = format!("more than the {} before it", self.weight);
                    problems.error(path, Flaw::NotRising, weight, remedy);
                }
                granular(*weight, path, can, problems);
                self.weight = *weight;
                self.unjudged = true;
            }
            Step::Mirror { .. } => {
                if !can.mirror {
                    problems.error(
                        path,
                        Flaw::Unsupported,
                        "mirroring",
                        "use a router that can copy requests",
                    );
                }
                if !self.weight.is_zero() {
                    problems.error(path, Flaw::Order, "`mirror`", "mirror before the first shift");
                }
            }
            Step::Match => {
                if !can.matching {
                    problems.error(
                        path,
                        Flaw::Unsupported,
                        "matching",
                        "use a router that can match requests",
                    );
                }
            }
            Step::Analyse { rounds } => {
                if *rounds == 0 {
                    problems.error(path, Flaw::OutOfRange, "0 rounds", "at least 1");
                }
                self.unjudged = false;
                self.analysed = true;
            }
            Step::Pause { .. } => {}
            Step::Promote { .. } => self.promoted = true,
            Step::Return { weight, .. } => {
                if *weight >= self.weight {
                    let remedy = format!("less than the {} before it", self.weight);
                    problems.error(path, Flaw::NotFalling, weight, remedy);
                }
                granular(*weight, path, can, problems);
                self.weight = *weight;
            }
            Step::Settle { .. } => self.settled = true,
        }
    }

    fn end(&self, last: &str, problems: &mut Problems) {
        if !self.promoted || !self.settled {
            let remedy = "end with promote and settle";
            problems.error(last, Flaw::NoStep, "the list", remedy);
        }
        if self.unjudged {
            problems.warn(last, "the last weight is promoted without having been analysed");
        }
        if self.promoted && !self.analysed {
            problems.warn(
                "strategy",
                "nothing is analysed: only readiness can stop a bad revision",
            );
        }
    }
}

fn granular(weight: Weight, path: &str, can: &Capabilities, problems: &mut Problems) {
    let granularity = can.granularity.as_hundredths();
    match weight.as_hundredths().checked_rem(granularity) {
        Some(0) => {}
        Some(_) => {
            let remedy = format!("this router sets traffic in steps of {}", can.granularity);
            problems.error(path, Flaw::Unsupported, weight, remedy);
        }
        None => problems.error(
            path,
            Flaw::Unsupported,
            weight,
            "this router cannot split traffic",
        ),
    }
}
