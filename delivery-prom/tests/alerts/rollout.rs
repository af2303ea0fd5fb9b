//! A rollout in a simulated world whose version `v2` is watched by a real Prometheus.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use delivery_core::host::SystemClock;
use delivery_core::plan::{Canary, Capabilities, Spec, Strategy};
use delivery_core::port::{Answer, Approver, GateQuestion, Notifier, PortError, Sent};
use delivery_core::rollout::{Notice, Phase};
use delivery_core::sim::{Happening, START, Scenario, World};
use delivery_core::{Ports, Revision, Weight, advance};
use delivery_prom::alerts::{AlertGate, Policy};

use crate::server::Server;

/// The world goes so much faster than Prometheus: an interval of a minute takes three seconds.
const FASTER: u32 = 20;

pub(crate) struct Rollout {
    version: &'static str,
    turns: u32,
}

/// What is known after a turn.
pub(crate) struct Now {
    pub(crate) weight: Weight,
    /// What the gate said, and what was announced in this turn.
    pub(crate) said: String,
}

#[derive(Debug)]
pub(crate) struct End {
    pub(crate) phase: Phase,
    /// The largest share that the canary ever had.
    pub(crate) heaviest: Weight,
    /// What the gate said and what was announced, without repetitions.
    story: Vec<String>,
}

impl End {
    pub(crate) fn told(&self, text: &str) -> bool {
        self.story.iter().any(|it| it.contains(text))
    }
}

impl Rollout {
    pub(crate) fn of(version: &'static str) -> Self {
        Self { version, turns: 600 }
    }

    /// Ends after so many turns of a tenth of a second, wherever it is.
    pub(crate) fn turns(self, turns: u32) -> Self {
        Self { turns, ..self }
    }

    /// Runs it to its end, and tells after every turn.
    pub(crate) async fn run(&self, server: &Server, policy: Policy, mut after: impl AsyncFnMut(&Now)) -> End {
        let gate = AlertGate::new("alerts", policy, server.client(), Arc::new(SystemClock));
        let canary = Canary {
            step_weight: Some(20.0),
            max_weight: Some(60.0),
            ..Canary::default()
        };
        let spec = Spec {
            gates: gate.gates().to_vec(),
            ..Spec::new(Strategy::Canary(canary))
        };
        let (plan, _) = spec.compile(&Capabilities::ALL).unwrap();
        let push = Happening::push(Duration::from_secs(10), Revision::new("v2").unwrap());
        let scenario = Scenario {
            happenings: vec![push],
            ..Scenario::new(Revision::new("v1").unwrap())
        };
        let world = World::new(&scenario);
        let journal = Journal {
            gate,
            said: Mutex::default(),
        };
        let ports = Ports {
            approver: &journal,
            notifier: &journal,
            ..world.ports()
        };

        let began = Instant::now();
        let mut end = End {
            phase: Phase::Initialized,
            heaviest: Weight::ZERO,
            story: Vec::new(),
        };
        let mut harmed = false;
        for _ in 0..self.turns {
            let now = advance(&plan, &ports, &[]).await.unwrap();
            end.phase = now.state.phase();
            let weight = now.state.traffic().weight();
            end.heaviest = end.heaviest.max(weight);
            // Once only: the test may say that it is over.
            if !weight.is_zero() && !harmed {
                server.errors(u32::from(self.version == "failing"));
                server.slow(u32::from(self.version == "slow at first"));
                harmed = true;
            }
            let said = journal
                .said
                .lock()
                .unwrap()
                .drain(..)
                .collect::<Vec<_>>()
                .join("; ");
            if !said.is_empty() && end.story.last() != Some(&said) {
                end.story.push(said.clone());
            }
            if matches!(end.phase, Phase::Succeeded | Phase::Failed) {
                break;
            }
            after(&Now { weight, said }).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            world.advance_to(START.after(began.elapsed() * FASTER));
        }
        end
    }
}

/// The gate, with its answers and all notices written down.
struct Journal {
    gate: AlertGate,
    said: Mutex<Vec<String>>,
}

impl Journal {
    fn note(&self, text: String) {
        self.said.lock().unwrap().push(text);
    }
}

#[async_trait]
impl Approver for Journal {
    async fn ask(&self, question: &GateQuestion<'_>) -> Result<Answer, PortError> {
        let said = self.gate.ask(question).await;
        self.note(match &said {
            Ok(Answer::Approved) => format!("{}: yes", question.gate.kind),
            Ok(Answer::Denied(why)) => format!("{}: no, {why}", question.gate.kind),
            Err(error) => format!("{}: {error}: {}", question.gate.kind, error.source),
        });
        said
    }
}

#[async_trait]
impl Notifier for Journal {
    async fn send(&self, notice: &Notice) -> Result<Sent, PortError> {
        self.note(notice.reason.to_string());
        Ok(Sent::Delivered)
    }
}
