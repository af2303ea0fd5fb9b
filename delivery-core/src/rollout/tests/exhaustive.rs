//! Every reachable state and edge of small plans.
//!
//! A node is what survives a crash (the saved [`State`]) and the world. The driver's operations, apply the routing, apply
//! the pods, observe and step and save, are edges of their own and may happen in any order and any number of times:
//! so a crash between any two of them, a repeat after it, and an operation that fails are all explored. The world may do
//! anything in between: routers lag, pods come and go, time passes, revisions are pushed, commands arrive, answers are
//! good, bad, empty or missing, and facts are unknown.
//!
//! Invariants are checked on edges as well as on states, because "no data lets a round pass" leaves no bad state behind.
//! The number of nodes is pinned: a smaller exploration is a broken one. And deliberately planted bugs must be caught.

mod mutants;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use std::println;

use serde::Serialize;

use crate::analysis::{Act, Baseline, Sample};
use crate::plan::{
    AbTest, BlueGreen, Canary, Capabilities, Gate, GateKind, JudgeSpec, MatchRule, MetricSpec, MirrorFirst,
    Plan, Spec, Step, Strategy, Text,
};
use crate::port::{Answer, CanaryWish, Pods, Traffic};
use crate::rollout::readiness::{Readiness, is_ready, readiness, serves};
use crate::rollout::{
    Command, Content, Desired, End, Idle, Observation, Order, Outcome, Passing, Phase, Question, Reason,
    Reply, Retreat, Side, Stage, State, desired, step,
};
use crate::{Revision, Timestamp, Weight};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const INTERVAL: Duration = Duration::from_secs(1);

/// A decision machine: ours, or one with a bug.
trait Machine {
    fn step<'a>(&self, plan: &'a Plan, state: &'a State, seen: &Observation) -> Outcome<'a> {
        step(plan, state, seen)
    }

    fn desired(&self, plan: &Plan, state: &State) -> Desired {
        desired(plan, state)
    }
}

struct Ours;
impl Machine for Ours {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct World {
    target: u8,
    pushes: u8,
    primary: Pod,
    canary: Pod,
    /// What the router was told, and what it does.
    applied: Traffic,
    in_force: Traffic,
    /// Whether somebody else may scale the canary to nothing.
    meddled_with: bool,
}

/// One side: its revision (0 for none), whether its pods take requests, and whether somebody scaled it to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Pod {
    revision: u8,
    ready: bool,
    scaled_away: bool,
}

impl Pod {
    const NONE: Self = Self::starting(0);

    const fn starting(revision: u8) -> Self {
        Self {
            revision,
            ready: false,
            scaled_away: false,
        }
    }

    const fn ready(revision: u8) -> Self {
        Self {
            ready: true,
            ..Self::starting(revision)
        }
    }
}

/// What the checker remembers of a run, beside what the machine does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Ghost {
    rounds: u8,
    approvals: u8,
    /// The revision that may not have traffic, and when that ends: with another target, or a retry.
    banned: u8,
}

#[derive(Clone, Debug)]
struct Node {
    state: State,
    world: World,
    ghost: Ghost,
}

fn revision(number: u8) -> Revision {
    Revision::new(&format!("r{number}")).unwrap()
}

fn number(revision: &Revision) -> u8 {
    revision.as_str()[1..].parse().unwrap()
}

impl Node {
    fn first() -> Self {
        let world = World {
            target: 2,
            pushes: 2,
            primary: Pod::ready(1),
            canary: Pod::NONE,
            applied: Traffic::PRIMARY,
            in_force: Traffic::PRIMARY,
            meddled_with: false,
        };
        Self {
            state: State::initialized(revision(1)),
            world,
            ghost: Ghost::default(),
        }
    }

    /// Where only one more revision is pushed, or the old one again.
    fn one_push() -> Self {
        let mut node = Self::first();
        node.world.pushes = 1;
        node
    }

    /// Before a take-over: what serves is the target's own pods, and there is no primary.
    fn take_over() -> Self {
        let world = World {
            target: 1,
            pushes: 1,
            primary: Pod::NONE,
            canary: Pod::ready(1),
            applied: Traffic::CANARY,
            in_force: Traffic::CANARY,
            meddled_with: false,
        };
        Self {
            state: State::new(NOW),
            world,
            ghost: Ghost::default(),
        }
    }

    /// Where somebody may scale the canary to nothing at any moment.
    fn meddled_with() -> Self {
        let mut node = Self::first();
        node.world.meddled_with = true;
        // The newest revision stays the newest: what is explored is the canary.
        node.world.pushes = 0;
        node
    }

    /// As the driver observes: what is in force counts only after the wanted routing was applied. Before that, something
    /// that was applied earlier may still come into force.
    fn observe(&self, want: &Desired) -> Observation {
        let applied = want
            .routing
            .as_ref()
            .is_none_or(|it| it.traffic == self.world.applied);
        let pods = |pod: &Pod| match pod.revision {
            0 => Pods::default(),
            number if pod.scaled_away => Pods {
                revision: Some(revision(number)),
                ..Pods::default()
            },
            number => Pods {
                revision: Some(revision(number)),
                wanted: 1,
                total: 1,
                updated: 1,
                available: pod.ready.into(),
                unready_since: None,
            },
        };
        Observation {
            now: NOW,
            target: Some(revision(self.world.target)),
            primary: Some(pods(&self.world.primary)),
            canary: Some(pods(&self.world.canary)),
            in_force: applied.then_some(self.world.in_force),
            replies: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// Two nodes that nothing can tell apart are the same: only how long ago something was matters, and only as far as a
    /// rule asks.
    fn settle(mut self) -> Self {
        let state = &mut self.state;
        state.sequence = 0;
        state.outbox.clear();
        state.commands.clear();
        state.dropped = 0;
        let old = NOW.before(INTERVAL);
        for since in [&mut state.unready.primary, &mut state.unready.canary] {
            *since = since.map(|it| Passing {
                since: it.since.max(old),
                ..it
            });
        }
        match &mut state.stage {
            Stage::Rollout(run) => {
                run.due = run.due.map(|due| due.max(NOW));
                run.entered = NOW;
                run.guarded = run.guarded.map(|asked| asked.max(old));
                run.steady = run.steady.map(|_| NOW);
                run.evidence.clear();
                run.denials = run.denials.min(1);
                run.checks.consecutive = 0;
                run.checks.inconclusive = 0;
                run.checks.errors = 0;
            }
            Stage::Retreat(retreat) => {
                retreat.why = Reason::PlanChanged;
                retreat.checks = crate::analysis::Checks::default();
            }
            Stage::Idle(Idle::Failed { why, checks, .. }) => {
                *why = Reason::PlanChanged;
                *checks = crate::analysis::Checks::default();
            }
            Stage::Idle(Idle::Succeeded { checks }) => *checks = crate::analysis::Checks::default(),
            Stage::Bootstrap(bootstrap) => bootstrap.entered = bootstrap.entered.max(old),
            Stage::Idle(Idle::Initialized) => {}
        }
        self
    }

    fn older(&self, by: Duration) -> Self {
        let mut node = self.clone();
        for since in [&mut node.state.unready.primary, &mut node.state.unready.canary] {
            *since = since.map(|it| Passing {
                since: it.since.before(by),
                ..it
            });
        }
        match &mut node.state.stage {
            Stage::Rollout(run) => {
                run.due = run.due.map(|due| due.before(by));
                run.guarded = run.guarded.map(|asked| asked.before(by));
            }
            Stage::Bootstrap(bootstrap) => bootstrap.entered = bootstrap.entered.before(by),
            Stage::Idle(_) | Stage::Retreat(_) => {}
        }
        node
    }

    /// The whole node as a number; the text of the state leaves no field out.
    fn key(&self) -> u128 {
        let mut text = Vec::with_capacity(2_048);
        serde_json::to_writer(&mut text, &(&self.state, &self.world, &self.ghost)).unwrap();
        // A product per eight bytes, folded to its middle: some ten million nodes do not collide in 128 bits.
        text.chunks(8)
            .fold(0x9e37_79b9_7f4a_7c15_c2b2_ae3d_27d4_eb4f_u128, |key, bytes| {
                let mut word = [0; 8];
                word[..bytes.len()].copy_from_slice(bytes);
                let mixed = (key ^ u128::from(u64::from_le_bytes(word)))
                    .wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
                mixed ^ (mixed >> 67)
            })
    }
}

/// What may happen, and what must not.
struct Check<'m> {
    plan: Plan,
    machine: &'m dyn Machine,
    required_rounds: u8,
    required_approvals: u8,
}

type Edges = Vec<(&'static str, Node)>;

impl<'m> Check<'m> {
    fn new(spec: &Spec, machine: &'m dyn Machine) -> Self {
        let (mut plan, _) = spec.compile(&Capabilities::ALL).unwrap();
        plan.deadline_parts = 1;
        let rounds = |step: &Step| {
            if let Step::Analyse { rounds } = step {
                *rounds
            } else {
                0
            }
        };
        let required_rounds = plan.steps().iter().map(rounds).sum::<u32>();
        let required_approvals = plan
            .steps()
            .iter()
            .filter(|it| matches!(it, Step::Gate(_)))
            .count();
        Self {
            plan,
            machine,
            required_rounds: required_rounds.try_into().unwrap(),
            required_approvals: required_approvals.try_into().unwrap(),
        }
    }

    /// Everything that can happen next.
    fn edges(&self, node: &Node) -> Result<Edges, String> {
        let mut edges = Vec::new();
        let want = self.machine.desired(&self.plan, &node.state);
        if let Some(routing) = &want.routing {
            let mut next = node.clone();
            next.world.applied = routing.traffic;
            edges.push(("the routing is applied", next));
        }
        edges.push(("the pods are applied", self.apply_pods(node, &want)?));
        self.steps(node, &want, &mut edges)?;
        self.happen(node, &mut edges);
        for (what, next) in &edges {
            physical(next).map_err(|why| format!("{what}: {why}"))?;
        }
        Ok(edges)
    }

    #[allow(clippy::unused_self, reason = "it belongs to the driver's operations")]
    fn apply_pods(&self, node: &Node, want: &Desired) -> Result<Node, String> {
        let mut next = node.clone();
        let world = &mut next.world;
        if let Some(primary) = &want.pods.primary
            && world.primary.revision != number(primary)
        {
            // Replaced pod by pod: it may or may not be ready meanwhile; here it is not, until it is again.
            world.primary = Pod::starting(number(primary));
        }
        match &want.pods.canary {
            CanaryWish::AsIs => {}
            CanaryWish::Down if world.in_force.reaches_canary() => {
                return Err(format!("pods go while they have traffic: {}", world.in_force));
            }
            CanaryWish::Down => world.canary = Pod::NONE,
            CanaryWish::Up { revision, .. } => {
                let wanted = number(revision);
                if world.canary.revision != wanted || world.canary.scaled_away {
                    world.canary = Pod::starting(wanted);
                }
            }
        }
        Ok(next)
    }

    /// Observe and step, with all answers, with facts missing, and with every command.
    fn steps(&self, node: &Node, want: &Desired, edges: &mut Edges) -> Result<(), String> {
        let full = node.observe(want);
        let before = edges.len();
        self.answered("a step", node, &full, edges)?;
        if edges.len() == before
            && let Some(why) = asleep(&self.plan, &node.state, &full)
        {
            return Err(why.to_string());
        }
        for unknown in 0..5_u8 {
            let mut seen = full.clone();
            let nothing = unknown == 4;
            if unknown == 0 || nothing {
                seen.target = None;
            }
            if unknown == 1 || nothing {
                seen.primary = None;
            }
            if unknown == 2 || nothing {
                seen.canary = None;
            }
            if unknown == 3 || nothing {
                seen.in_force = None;
            }
            self.answered("a step that sees less", node, &seen, edges)?;
        }
        for order in [
            Order::Approve,
            Order::Promote,
            Order::Pause,
            Order::Resume,
            Order::Abort,
            Order::Retry,
        ] {
            let command = Command {
                id: "now".to_string(),
                actor: "somebody".to_string(),
                order,
            };
            let seen = Observation {
                commands: vec![command],
                ..full.clone()
            };
            self.answered("a command", node, &seen, edges)?;
        }
        Ok(())
    }

    fn answered(
        &self,
        what: &'static str,
        node: &Node,
        seen: &Observation,
        edges: &mut Edges,
    ) -> Result<(), String> {
        match self.machine.step(&self.plan, &node.state, seen) {
            Outcome::Hold { .. } => Ok(()),
            Outcome::Go(next, reason) => {
                // Somebody who says so may be in a hurry.
                let by_itself = seen.commands.is_empty() && goes_on(&node.state, &next);
                if by_itself && unguarded(&self.plan, &node.state) && !was_guarded(seen) {
                    return Err("it goes on, and nobody asks the gates that may want a rollback".to_string());
                }
                let next = Node {
                    state: *next,
                    ..node.clone()
                };
                edges.push((what, self.decided(node, next, &reason, seen)?));
                Ok(())
            }
            Outcome::Ask(question) => {
                // An answer to an earlier question is no answer to this one.
                let mut late = seen.clone();
                late.replies.extend(
                    answers(
                        &self.plan,
                        &node.state,
                        &question,
                        node.state.sequence.wrapping_sub(1),
                    )
                    .into_iter()
                    .map(|it| it.0),
                );
                let still = self.machine.step(&self.plan, &node.state, &late);
                if still != Outcome::Ask(question.clone()) {
                    return Err("an answer that came too late was taken".to_string());
                }
                for (reply, good) in answers(&self.plan, &node.state, &question, node.state.sequence) {
                    let mut seen = seen.clone();
                    seen.replies.push(reply);
                    let mut after = Vec::new();
                    self.answered(what, node, &seen, &mut after)?;
                    let wanted = matches!((&question, seen.replies.last()), (Question::Gate(gate), Some(Reply { content: Content::Gate { said: Ok(Answer::Approved), .. }, .. })) if gate.kind == GateKind::Rollback);
                    if wanted
                        && !after
                            .iter()
                            .all(|(_, next)| matches!(next.state.stage, Stage::Retreat(_)))
                    {
                        return Err("a rollback that was asked for does not come".to_string());
                    }
                    for (_, next) in &after {
                        let measured = matches!(question, Question::Measure { .. });
                        if measured && !good && progress(&next.state) > progress(&node.state) {
                            return Err("a round passed without good data".to_string());
                        }
                    }
                    edges.extend(after);
                }
                Ok(())
            }
        }
    }

    /// The rules for a decision.
    fn decided(
        &self,
        before: &Node,
        mut after: Node,
        reason: &Reason,
        seen: &Observation,
    ) -> Result<Node, String> {
        let (was, is) = (&before.state, &after.state);
        let ready = |pods: &Option<Pods>, wanted: &Revision| {
            pods.as_ref().is_some_and(|pods| is_ready(pods, wanted, 100))
        };
        let (share_before, share) = (was.traffic(), is.traffic());
        if let Stage::Rollout(run) = &is.stage
            && more_canary(share_before, share)
            && !ready(&seen.canary, &run.revision)
        {
            return Err(format!("{share} although the canary was not observed ready"));
        }
        let canary_serves = |state: &State| {
            matches!(
                state.stage,
                Stage::Idle(Idle::Failed {
                    serving: Side::Canary,
                    ..
                })
            )
        };
        if canary_serves(is) && !canary_serves(was) && !ready(&seen.canary, is.primary.as_ref().unwrap()) {
            return Err("the canary serves although it was not observed ready".to_string());
        }
        let less_canary = share_before.reaches_canary() && share.weight() < share_before.weight();
        if less_canary && !serves(seen.primary.as_ref()) {
            return Err(format!("{share} although the primary was not observed to serve"));
        }
        let (pods_before, pods) = (desired(&self.plan, was).pods, desired(&self.plan, is).pods);
        if pods.canary == CanaryWish::Down
            && pods_before.canary != CanaryWish::Down
            && !matches!(seen.in_force, Some(traffic) if !traffic.reaches_canary())
        {
            return Err("pods go although traffic was not observed to have left them".to_string());
        }
        let runs = |pods: &CanaryWish| {
            if let CanaryWish::Up { revision, .. } = pods {
                Some(revision.clone())
            } else {
                None
            }
        };
        if let (Some(traffic), Some(new)) = (seen.in_force, runs(&pods.canary))
            && traffic.reaches_canary()
            && runs(&pods_before.canary).as_ref() != Some(&new)
            && serves(seen.primary.as_ref())
        {
            return Err(format!(
                "{new} is put under {traffic} although the primary serves"
            ));
        }
        let command = matches!(reason, Reason::Commanded { ignored: None, .. });
        let ghost = &mut after.ghost;
        if matches!(reason, Reason::NewRevision | Reason::TrafficBack)
            || !matches!(is.stage, Stage::Rollout(_))
        {
            (ghost.rounds, ghost.approvals) = (0, 0);
        }
        if let (Stage::Rollout(run), Reason::RoundPassed { .. }) = (&was.stage, reason)
            && matches!(run.step, Step::Analyse { .. })
        {
            ghost.rounds = ghost.rounds.saturating_add(1).min(self.required_rounds);
        }
        if matches!(reason, Reason::Approved { .. }) {
            ghost.approvals = ghost.approvals.saturating_add(1).min(self.required_approvals);
        }
        // A primary that is created takes what serves already.
        let is_given_back = matches!(is.stage, Stage::Retreat(_)) && pods.primary == was.primary;
        if pods.primary != pods_before.primary
            && !is_given_back
            && !matches!(is.stage, Stage::Bootstrap(_))
            && !command
            && (ghost.rounds, ghost.approvals) != (self.required_rounds, self.required_approvals)
        {
            return Err(format!("the primary's template changes after {ghost:?}"));
        }
        match &is.stage {
            Stage::Retreat(Retreat {
                end: End::Failed,
                revision,
                ..
            }) => ghost.banned = number(revision),
            Stage::Idle(Idle::Failed {
                refused: Some(revision),
                serving: Side::Primary,
                ..
            }) => {
                ghost.banned = number(revision);
            }
            Stage::Rollout(run) if number(&run.revision) == ghost.banned => {
                return Err(format!(
                    "{} was refused and is brought forward again",
                    run.revision
                ));
            }
            _ => {}
        }
        if command && matches!(was.stage, Stage::Idle(Idle::Failed { .. })) {
            ghost.banned = 0;
        }
        Ok(after)
    }

    /// What the world does by itself, and what people do to it.
    #[allow(clippy::unused_self, reason = "it belongs to what may happen")]
    fn happen(&self, node: &Node, edges: &mut Edges) {
        let mut happen = |what, change: &dyn Fn(&mut World)| {
            let mut next = node.clone();
            change(&mut next.world);
            if next.world != node.world {
                edges.push((what, next));
            }
        };
        happen("the routing comes into force", &|world| {
            world.in_force = world.applied;
        });
        happen("the primary changes its mind", &|world| {
            world.primary.ready = !world.primary.ready;
        });
        if node.world.canary.revision != 0 && !node.world.canary.scaled_away {
            happen("the canary changes its mind", &|world| {
                world.canary.ready = !world.canary.ready;
            });
            if node.world.meddled_with {
                happen("somebody scales the canary to nothing", &|world| {
                    world.canary = Pod {
                        scaled_away: true,
                        ..Pod::starting(world.canary.revision)
                    };
                });
            }
        }
        edges.push(("time passes", node.older(INTERVAL)));
        for target in [1, 2, 3] {
            if node.world.pushes > 0 && node.world.target != target {
                let mut next = node.clone();
                next.world.pushes -= 1;
                next.world.target = target;
                next.ghost.banned = 0;
                edges.push(("somebody pushes", next));
            }
        }
    }

    /// The end that a well-behaved world comes to from here; with good answers, or bad ones.
    fn ends(&self, node: &Node, good: bool, known: &mut BTreeSet<u128>) -> Result<(), String> {
        let mut path = Vec::new();
        let mut node = node.clone();
        // A pause waits for a person.
        node.state.paused = None;
        for _ in 0..120 {
            node = node.settle();
            let key = node.key();
            if known.contains(&key) {
                known.extend(path);
                return Ok(());
            }
            path.push(key);
            let want = self.machine.desired(&self.plan, &node.state);
            node = self.apply_pods(&node, &want)?;
            if let Some(routing) = &want.routing {
                node.world.applied = routing.traffic;
            }
            node.world.in_force = node.world.applied;
            node.world.primary.ready = true;
            node.world.canary.ready = node.world.canary.revision != 0 && !node.world.canary.scaled_away;
            let mut seen = node.observe(&want);
            loop {
                match self.machine.step(&self.plan, &node.state, &seen) {
                    Outcome::Go(next, _) => {
                        node.state = *next;
                        break;
                    }
                    Outcome::Ask(question) => {
                        let wanted = |(_, is_good): &(Reply, bool)| *is_good == good;
                        let reply = answers(&self.plan, &node.state, &question, node.state.sequence)
                            .into_iter()
                            .find(wanted)
                            .unwrap()
                            .0;
                        seen.replies.push(reply);
                    }
                    Outcome::Hold { until: Some(_), .. } => {
                        node = node.older(INTERVAL);
                        break;
                    }
                    Outcome::Hold { until: None, why } => {
                        return self.right_end(&node, &why).map(|()| known.extend(path));
                    }
                }
            }
        }
        // Asked for ever and never approved: a person's turn.
        let waiting = matches!(node.state.phase(), Phase::Waiting | Phase::WaitingPromotion);
        if waiting && !good {
            Ok(())
        } else {
            Err(format!("no end: {:?} {:?}", node.state.stage, node.world))
        }
    }

    fn right_end(&self, node: &Node, why: &Reason) -> Result<(), String> {
        let Node { state, world, .. } = node;
        let wanted = revision(world.target);
        let refused =
            matches!(&state.stage, Stage::Idle(Idle::Failed { refused: Some(it), .. }) if *it == wanted);
        let at_rest =
            matches!(state.stage, Stage::Idle(_)) && (state.primary.as_ref() == Some(&wanted) || refused);
        let want = self.machine.desired(&self.plan, state);
        let converged = want.routing.is_none_or(|it| it.traffic == world.in_force)
            && want
                .pods
                .primary
                .is_none_or(|it| number(&it) == world.primary.revision);
        if at_rest && converged {
            Ok(())
        } else {
            Err(format!("a wrong end ({why}): {:?} {world:?}", state.stage))
        }
    }

    /// All nodes, or the story of the first violation.
    fn explore(&self, first: Node, limit: usize) -> Result<Explored, String> {
        let mut met: BTreeSet<u128> = BTreeSet::new();
        let mut nodes: Vec<(u32, &'static str)> = Vec::new();
        let mut queue = VecDeque::new();
        let mut explored = Explored::default();
        let (mut ends_well, mut ends_badly) = (BTreeSet::new(), BTreeSet::new());
        let first = first.settle();
        met.insert(first.key());
        nodes.push((0, "at first"));
        queue.push_back((0, first));
        while let Some((at, node)) = queue.pop_front() {
            let story = |why: String| {
                let mut story = vec![why];
                let mut at = at;
                while at != 0 {
                    let (parent, what) = nodes[usize::try_from(at).unwrap()];
                    story.push(what.to_string());
                    at = parent;
                }
                story.reverse();
                format!(
                    "{}\nin {:?}\n{:?}\n{:?}",
                    story.join(" → "),
                    node.state.stage,
                    node.world,
                    node.ghost
                )
            };
            explored.phases.insert(node.state.phase());
            self.ends(&node, true, &mut ends_well).map_err(story)?;
            self.ends(&node, false, &mut ends_badly).map_err(story)?;
            let edges = self.edges(&node).map_err(story)?;
            explored.edges += edges.len();
            for (what, next) in edges {
                let next = next.settle();
                let number = u32::try_from(nodes.len()).unwrap();
                if met.insert(next.key()) {
                    nodes.push((at, what));
                    queue.push_back((number, next));
                }
            }
            if nodes.len() > limit {
                return Err(format!("more than {limit} states"));
            }
        }
        explored.states = nodes.len();
        Ok(explored)
    }
}

#[derive(Debug, Default)]
struct Explored {
    states: usize,
    edges: usize,
    phases: BTreeSet<Phase>,
}

/// What must be acted upon at once in every unfinished run, whatever it waits for: a pause, a gate, pods, the routing, time,
/// or its promotion.
fn asleep(plan: &Plan, state: &State, seen: &Observation) -> Option<&'static str> {
    let Stage::Rollout(run) = &state.stage else {
        return None;
    };
    let dead = run.scale.is_some()
        && state.traffic().reaches_canary()
        && !serves(seen.canary.as_ref())
        && serves(seen.primary.as_ref());
    let withdrawn = seen.target != Some(run.revision.clone()) && seen.target == state.primary;
    let overdue = !run.promoting
        && run.scale.is_some()
        && readiness(plan, state, seen, Side::Canary) == Readiness::Dead;
    let unguarded = unguarded(plan, state);
    [
        (dead, "traffic is left with a canary that serves nothing"),
        (withdrawn, "a revision that nobody wants is not withdrawn"),
        (overdue, "a canary that is overdue is not given up"),
        (unguarded, "nobody asks the gates that may want a rollback"),
    ]
    .into_iter()
    .find_map(|(is, why)| is.then_some(why))
}

/// Whether the gates that may want a rollback have to be asked now.
fn unguarded(plan: &Plan, state: &State) -> bool {
    match &state.stage {
        Stage::Rollout(run) => {
            run.began.is_some() && !plan.rollback_gates.is_empty() && run.guard_due(plan) <= NOW
        }
        Stage::Bootstrap(_) | Stage::Idle(_) | Stage::Retreat(_) => false,
    }
}

/// Whether they have all answered.
fn was_guarded(seen: &Observation) -> bool {
    let asked = |it: &Reply| matches!(&it.content, Content::Gate { kind, .. } if *kind == GateKind::Rollback);
    seen.replies.iter().any(asked)
}

/// Whether a decision brings a revision forward.
fn goes_on(before: &State, after: &State) -> bool {
    match (&before.stage, &after.stage) {
        (Stage::Rollout(was), Stage::Rollout(is)) => {
            was.plan == is.plan && was.revision == is.revision && progress(before) < progress(after)
        }
        (Stage::Rollout(_), Stage::Idle(Idle::Succeeded { .. })) => true,
        _ => false,
    }
}

/// All answers to a question, and whether they are good for the rollout.
fn answers(plan: &Plan, state: &State, question: &Question<'_>, sequence: u64) -> Vec<(Reply, bool)> {
    let reply = |content, good| (Reply { sequence, content }, good);
    match question {
        Question::Gate(gate) => {
            let said = |said| Content::Gate {
                kind: gate.kind,
                name: gate.name.clone(),
                said,
            };
            let stops = gate.kind == GateKind::Rollback;
            vec![
                reply(said(Ok(Answer::Approved)), !stops),
                reply(said(Ok(Answer::Denied(String::new()))), stops),
                reply(said(Err("unreachable".to_string())), false),
            ]
        }
        // Only sequential judges ask for it.
        Question::History { .. } => vec![reply(Content::History(BTreeMap::new()), true)],
        Question::Measure { .. } => {
            let of = |value| BTreeMap::from([("good".to_string(), value)]);
            let compares = plan.metrics().iter().any(|it| it.judge.compares());
            let sample = |canary| {
                if !compares {
                    return Sample::Value(canary);
                }
                // Nothing can be measured of a primary that gets no traffic.
                let rests = state.traffic() == Traffic::Split(Weight::WHOLE);
                let primary = if rests { f64::NAN } else { 1.0 };
                Sample::Pair { canary, primary }
            };
            vec![
                reply(Content::Measured(of(sample(1.0))), true),
                reply(Content::Measured(of(sample(0.0))), false),
                reply(Content::Measured(of(sample(f64::NAN))), false),
                reply(Content::Measured(BTreeMap::new()), false),
            ]
        }
    }
}

/// How far a run is: its step, and the rounds in it.
fn progress(state: &State) -> (usize, u32, bool) {
    match &state.stage {
        Stage::Rollout(run) => (run.at, run.rounds, run.promoting),
        Stage::Bootstrap(_) | Stage::Idle(_) | Stage::Retreat(_) => (0, 0, false),
    }
}

fn more_canary(before: Traffic, after: Traffic) -> bool {
    after.weight() > before.weight() || after.reaches_canary() && !before.reaches_canary()
}

/// What must hold in the world itself.
fn physical(node: &Node) -> Result<(), String> {
    let World {
        primary,
        canary,
        in_force,
        ..
    } = &node.world;
    if primary.revision == 0 && *in_force != Traffic::CANARY {
        return Err(format!("{in_force}, and the primary has no pods"));
    }
    if canary.revision == 0 && in_force.reaches_canary() {
        return Err(format!("{in_force}, and the canary has no pods"));
    }
    Ok(())
}

fn spec(strategy: Strategy) -> Spec {
    Spec {
        interval: INTERVAL,
        deadline: INTERVAL,
        threshold: 2,
        metrics: vec![MetricSpec::at_least("good", 1.0)],
        ..Spec::new(strategy)
    }
}

fn canary(weights: &[f64]) -> Canary {
    Canary {
        step_weights: weights.to_vec(),
        ..Canary::default()
    }
}

use Phase::{Failed, Finalising, Progressing, Promoting, RollingBack, Succeeded};
const PHASES: [Phase; 6] = [Progressing, Promoting, Finalising, RollingBack, Succeeded, Failed];

fn every_state_is_safe_and_comes_to_an_end(spec: &Spec, pinned: (usize, usize)) {
    explored(spec, Node::first(), pinned);
}

fn explored(spec: &Spec, first: Node, pinned: (usize, usize)) {
    let explored = Check::new(spec, &Ours)
        .explore(first, 3_000_000)
        .unwrap_or_else(|story| panic!("{story}"));
    println!("{} states, {} edges", explored.states, explored.edges);
    for phase in PHASES {
        assert!(explored.phases.contains(&phase), "{phase} was never reached");
    }
    assert_eq!(
        (explored.states, explored.edges),
        pinned,
        "a smaller exploration is a broken one"
    );
}

#[test]
fn a_canary_with_three_weights() {
    explored(
        &spec(Strategy::Canary(canary(&[10.0, 30.0, 60.0]))),
        Node::one_push(),
        (674_336, 10_274_329),
    );
}

#[test]
fn blue_green() {
    let blue_green = BlueGreen {
        iterations: 1,
        mirror: None,
    };
    every_state_is_safe_and_comes_to_an_end(&spec(Strategy::BlueGreen(blue_green)), (1_132_284, 17_603_900));
}

#[test]
fn an_a_b_test() {
    let condition = (String::from("x-canary"), Text::Exact(String::from("1")));
    let rules = vec![MatchRule {
        headers: BTreeMap::from([condition]),
        ..MatchRule::default()
    }];
    every_state_is_safe_and_comes_to_an_end(
        &spec(Strategy::AbTest(AbTest { iterations: 1, rules })),
        (1_282_780, 19_924_699),
    );
}

#[test]
fn copies_first() {
    let first = MirrorFirst {
        share: 100.0,
        canary: canary(&[50.0]),
    };
    explored(
        &spec(Strategy::MirrorFirst(first)),
        Node::one_push(),
        (406_416, 6_192_997),
    );
}

#[test]
fn a_gradual_promotion() {
    let gradual = Canary {
        step_weight_promotion: Some(50.0),
        ..canary(&[100.0])
    };
    every_state_is_safe_and_comes_to_an_end(&spec(Strategy::Canary(gradual)), (1_486_708, 23_304_442));
}

#[test]
fn a_comparison_with_a_primary_that_has_lost_its_traffic() {
    let baseline = Baseline {
        max_ratio: Some(1.5),
        max_difference: None,
        higher_is_better: true,
        quantile: 0.99,
    };
    let compared = Spec {
        metrics: vec![MetricSpec::judged("good", JudgeSpec::Baseline(baseline))],
        ..spec(Strategy::Canary(canary(&[50.0, 100.0])))
    };
    explored(&compared, Node::one_push(), (415_536, 6_349_437));
}

#[test]
fn a_take_over() {
    explored(
        &spec(Strategy::Canary(canary(&[50.0]))),
        Node::take_over(),
        (30_708, 451_834),
    );
}

#[test]
fn a_canary_that_somebody_scales_to_nothing() {
    explored(
        &spec(Strategy::Canary(canary(&[30.0, 60.0]))),
        Node::meddled_with(),
        (40_472, 610_248),
    );
}

#[test]
fn gates_of_every_kind() {
    let gates = GateKind::ALL.map(|kind| Gate::new(kind, "gate")).to_vec();
    let gated = Spec {
        gates,
        act: Some(Act::AtOnce),
        ..spec(Strategy::Canary(canary(&[50.0])))
    };
    explored(&gated, Node::one_push(), (799_048, 14_268_512));
}
