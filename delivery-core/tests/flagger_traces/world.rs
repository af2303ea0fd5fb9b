//! The recorded world: it does at once what it is told, unless the script says otherwise.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use delivery_core::analysis::{Nothing, Sample};
use delivery_core::plan::{Capabilities, GateKind};
use delivery_core::port::{
    Answer, Approver, CanaryWish, Clock, GateQuestion, Loaded, Measure, MetricSource, Pods as SeenPods,
    PortError, Routing, Saved, Seen as SeenWorld, StateStore, Traffic, TrafficRouter, Version, Wish,
    Workload,
};
use delivery_core::rollout::State;
use delivery_core::{Revision, Timestamp, Weight};
use serde_json::Value;

use crate::recording::{Pods, Recording, Route, Seen, scripted};

pub(crate) struct World<'r> {
    recording: &'r Recording,
    inner: Mutex<Inner>,
}

struct Inner {
    now: Timestamp,
    tick: usize,
    /// From now on metrics are good, gates open and pods ready.
    well: bool,
    capabilities: Capabilities,
    target: Option<Side>,
    /// How many pods a target has that is created anew.
    created: u32,
    primary: Option<Side>,
    config: u32,
    primary_config: u32,
    traffic: Option<Traffic>,
    ready: BTreeMap<String, bool>,
    saved: Option<Loaded>,
}

#[derive(Clone)]
struct Side {
    name: &'static str,
    revision: String,
    replicas: u32,
    unready_since: Option<Timestamp>,
}

impl<'r> World<'r> {
    pub(crate) fn new(recording: &'r Recording) -> Self {
        let initial = &recording.initial;
        let side = |name, pods: &Pods| Side {
            name,
            revision: pods.revision.clone(),
            replicas: u32::try_from(pods.replicas).expect("a count"),
            unready_since: None,
        };
        let rules = recording.script["ready"].as_object().into_iter().flatten();
        let target = initial.target.as_ref().map(|it| side("target", it));
        Self {
            recording,
            inner: Mutex::new(Inner {
                now: Timestamp::from_millis(1_000_000),
                tick: 0,
                well: false,
                capabilities: Capabilities::ALL,
                target,
                created: replicas(recording),
                primary: initial.primary.as_ref().map(|it| side("primary", it)),
                config: 1,
                primary_config: 1,
                traffic: initial.route.map(|_| Traffic::PRIMARY),
                ready: rules
                    .map(|(rule, ready)| (rule.clone(), ready.as_bool().expect("yes or no")))
                    .collect(),
                saved: None,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nobody panicked")
    }

    pub(crate) fn set_capabilities(&self, capabilities: Capabilities) {
        let mut inner = self.lock();
        inner.capabilities = capabilities;
        if !capabilities.weights() {
            inner.traffic = Some(Traffic::PRIMARY);
        }
    }

    pub(crate) fn revision_of(seen: &Seen) -> Revision {
        Inner::named(&seen.primary.as_ref().expect("a primary").revision, 1)
    }

    /// Time passes between two ticks.
    pub(crate) fn wait(&self, time: Duration) {
        let mut inner = self.lock();
        inner.now = inner.now.after(time);
    }

    /// The next tick begins.
    pub(crate) fn begin(&self, tick: usize, interval: Duration) {
        let mut inner = self.lock();
        inner.tick = tick;
        inner.now = inner.now.after(interval);
    }

    /// From now on everything works.
    pub(crate) fn behave(&self) {
        let mut inner = self.lock();
        inner.well = true;
        inner.ready.clear();
        inner.note();
    }

    /// Something that came from outside, a second after the last tick.
    pub(crate) fn act(&self, action: &Value) {
        let mut inner = self.lock();
        let later = inner.now.after(Duration::from_secs(1));
        let now = std::mem::replace(&mut inner.now, later);
        inner.act(action);
        inner.note();
        inner.now = now;
    }

    /// What can be seen now.
    pub(crate) fn seen(&self) -> Seen {
        let inner = self.lock();
        let state = inner.saved.as_ref().map(|it| &it.state);
        let status = state.expect("a saved state").status();
        let percent = |weight: Weight| i64::from(weight.as_hundredths() / 100);
        let pods = |side: &Side| Pods {
            replicas: side.replicas.into(),
            ready: inner.available(side).into(),
            revision: side.revision.clone(),
        };
        Seen {
            phase: status.phase.to_string(),
            weight: percent(status.weight),
            iterations: status.iterations.into(),
            failed_checks: status.failed_checks.into(),
            route: inner.traffic.map(|traffic| match traffic {
                Traffic::Split(weight) => Route {
                    primary: 100 - percent(weight),
                    canary: percent(weight),
                    mirror: false,
                },
                Traffic::Mirror(_) => Route {
                    primary: 100,
                    canary: 0,
                    mirror: true,
                },
                Traffic::Match => Route {
                    primary: 0,
                    canary: 100,
                    mirror: false,
                },
            }),
            target: inner.target.as_ref().map(pods),
            primary: inner.primary.as_ref().map(pods),
            ..Seen::default()
        }
    }
}

/// How many pods a side has.
fn replicas(recording: &Recording) -> u32 {
    let replicas = recording.script["replicas"].as_u64();
    replicas.map_or(1, |it| u32::try_from(it).expect("a count"))
}

impl Inner {
    fn named(revision: &str, config: u32) -> Revision {
        Revision::new(&format!("{revision}+cfg{config}")).expect("a revision")
    }

    fn act(&mut self, action: &Value) {
        if let Some(revision) = action["revision"].as_str() {
            let replicas = self.created;
            let target = self.target.get_or_insert_with(|| Side {
                name: "target",
                revision: revision.into(),
                replicas,
                unready_since: None,
            });
            target.revision = revision.into();
        }
        if action.get("config").is_some() {
            self.config += 1;
        }
        if let (Some(target), Some(replicas)) = (&mut self.target, action["replicas"].as_u64()) {
            target.replicas = u32::try_from(replicas).expect("a count");
        }
        for (rule, ready) in action["ready"].as_object().into_iter().flatten() {
            self.ready
                .insert(rule.clone(), ready.as_bool().expect("yes or no"));
        }
        if let Some(weights) = action["route_weights"].as_array() {
            let canary = weights[1]
                .as_u64()
                .and_then(|it| u32::try_from(it).ok())
                .expect("a weight");
            self.traffic = Some(Traffic::Split(Weight::percent(canary).expect("a weight")));
        }
        if action.get("delete_route").is_some() {
            self.traffic = None;
        }
    }

    fn scale_target(&mut self, replicas: u32) {
        if let Some(target) = &mut self.target {
            target.replicas = replicas;
        }
    }

    fn available(&self, side: &Side) -> u32 {
        let exact = self.ready.get(&format!("{}:{}", side.name, side.revision));
        let ready = *exact.or_else(|| self.ready.get(side.name)).unwrap_or(&true);
        if ready { side.replicas } else { 0 }
    }

    /// Keeps the moments at which sides became unready.
    fn note(&mut self) {
        let now = self.now;
        let since = |ready: bool, before: Option<Timestamp>| if ready { None } else { before.or(Some(now)) };
        if let Some(mut target) = self.target.take() {
            target.unready_since = since(self.available(&target) > 0, target.unready_since);
            self.target = Some(target);
        }
        if let Some(mut primary) = self.primary.take() {
            primary.unready_since = since(self.available(&primary) > 0, primary.unready_since);
            self.primary = Some(primary);
        }
    }

    fn pods(&self, side: &Side, config: u32) -> SeenPods {
        SeenPods {
            revision: Some(Self::named(&side.revision, config)),
            wanted: side.replicas,
            total: side.replicas,
            updated: side.replicas,
            available: self.available(side),
            unready_since: side.unready_since,
        }
    }
}

impl Clock for World<'_> {
    fn now(&self) -> Timestamp {
        self.lock().now
    }
}

#[async_trait]
impl StateStore for World<'_> {
    async fn load(&self) -> Result<Option<Loaded>, PortError> {
        Ok(self.lock().saved.clone())
    }

    async fn save(&self, state: &State, over: Option<Version>) -> Result<Saved, PortError> {
        let mut inner = self.lock();
        assert_eq!(
            inner.saved.as_ref().map(|it| it.version),
            over,
            "nobody else saves"
        );
        let version = Version(over.map_or(1, |it| it.0 + 1));
        inner.saved = Some(Loaded {
            state: state.clone(),
            version,
        });
        Ok(Saved::Now(version))
    }
}

#[async_trait]
impl Workload for World<'_> {
    async fn apply(&self, want: &Wish) -> Result<(), PortError> {
        let mut inner = self.lock();
        let now = inner.now;
        if let Some(revision) = &want.primary {
            let (name, config) = revision.as_str().split_once("+cfg").expect("a revision of ours");
            let new = Side {
                name: "primary",
                revision: name.into(),
                replicas: replicas(self.recording),
                unready_since: Some(now),
            };
            inner.primary_config = config.parse().expect("a number");
            match &mut inner.primary {
                None => inner.primary = Some(new),
                Some(primary) if primary.revision != name => {
                    primary.revision = name.into();
                    primary.unready_since = Some(now);
                }
                Some(_) => {}
            }
        }
        match &want.canary {
            CanaryWish::AsIs => {}
            CanaryWish::Down => inner.scale_target(0),
            CanaryWish::Up { scale, .. } => {
                let primary = inner.primary.as_ref().map_or(1, |it| it.replicas);
                inner.scale_target(scale.pods(primary));
            }
        }
        inner.note();
        Ok(())
    }

    async fn observe(&self) -> Result<SeenWorld, PortError> {
        let inner = self.lock();
        Ok(SeenWorld {
            target: inner
                .target
                .as_ref()
                .map(|it| Inner::named(&it.revision, inner.config)),
            primary: Some(
                inner
                    .primary
                    .as_ref()
                    .map_or_else(SeenPods::default, |it| inner.pods(it, inner.primary_config)),
            ),
            canary: Some(
                inner
                    .target
                    .as_ref()
                    .map_or_else(SeenPods::default, |it| inner.pods(it, inner.config)),
            ),
        })
    }
}

#[async_trait]
impl TrafficRouter for World<'_> {
    fn capabilities(&self) -> Capabilities {
        self.lock().capabilities
    }

    async fn apply(&self, want: &Routing) -> Result<(), PortError> {
        let mut inner = self.lock();
        if inner.capabilities.weights() {
            inner.traffic = Some(want.traffic);
        }
        Ok(())
    }

    async fn observe(&self) -> Result<Option<Traffic>, PortError> {
        Ok(self.lock().traffic)
    }
}

#[async_trait]
impl MetricSource for World<'_> {
    async fn measure(&self, ask: &Measure<'_>) -> Result<Sample, PortError> {
        let mut inner = self.lock();
        for action in self.recording.during(inner.tick, "query") {
            inner.act(&action);
        }
        let name = ask.metric.name.as_str();
        if inner.well {
            return Ok(Sample::Value(if name == "request-success-rate" {
                100.0
            } else {
                0.0
            }));
        }
        if let Some(template) = &ask.metric.query {
            return Ok(Sample::Nothing(Nothing::Unreachable(format!(
                "no such {template}"
            ))));
        }
        let usual = Value::from(if name == "request-duration" { 10 } else { 100 });
        let answer = scripted(&self.recording.script["metrics"][name], inner.tick).unwrap_or(&usual);
        // Flagger: of several series the last one counts, and a duration is cut to whole milliseconds.
        let answer = answer.as_array().and_then(|it| it.last()).unwrap_or(answer);
        Ok(match (answer.as_f64(), answer.as_str()) {
            (Some(value), _) if name == "request-duration" => Sample::Value(value.trunc()),
            (Some(value), _) => Sample::Value(value),
            (None, Some("inf")) => Sample::Value(f64::INFINITY),
            (None, Some("nan")) => Sample::Value(f64::NAN),
            (None, Some("empty")) => Sample::Nothing(Nothing::NoData),
            (None, Some("slow" | "500")) => Sample::Nothing(Nothing::Unreachable("no answer in time".into())),
            (None, Some(what @ ("garbage" | "string" | "matrix"))) => {
                Sample::Nothing(Nothing::Unusable(what.into()))
            }
            (None, what) => panic!("no such answer: {what:?}"),
        })
    }
}

#[async_trait]
impl Approver for World<'_> {
    async fn ask(&self, question: &GateQuestion<'_>) -> Result<Answer, PortError> {
        let inner = self.lock();
        let kind = question.gate.kind;
        if inner.well {
            let deny = kind == GateKind::Rollback;
            return Ok(if deny {
                Answer::Denied("all is well".into())
            } else {
                Answer::Approved
            });
        }
        let status = scripted(&self.recording.script["hooks"][kind.name()], inner.tick);
        let status = status.map_or(200, |it| it.as_u64().expect("a status"));
        Ok(if status <= 202 {
            Answer::Approved
        } else {
            Answer::Denied(format!("status {status}"))
        })
    }
}

/// Runs a future that never waits.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here ever waits"),
    }
}
