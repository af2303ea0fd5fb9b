//! A rollout inside a program of your own: the twenty lines of the README.
//!
//! You will see the timetable of a plan, and then a rollout that follows it: `v1` serves, somebody pushes `v2`, and it gets
//! 10 % more of the traffic every minute. The world is simulated, so ten minutes are over at once. In your program each
//! field of `Ports` is something that does the real thing, and a timer stands where `advance_to` stands here.
//!
//! ```sh
//! cargo run -p delivery-examples --bin embed
//! ```

use core::time::Duration;
use std::error::Error;
use std::process::ExitCode;

use delivery_core::plan::{Canary, Capabilities, MetricSpec, Spec, Strategy};
use delivery_core::sim::{Happening, Scenario, World};
use delivery_core::{Revision, advance};
use delivery_examples::{line, status};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    status(roll_out().await)
}

async fn roll_out() -> Result<ExitCode, Box<dyn Error>> {
    // What is wanted, and the plan for it; an impossible one is refused here, with everything that is wrong with it.
    let canary = Canary {
        step_weight: Some(10.0),
        max_weight: Some(50.0),
        ..Canary::default()
    };
    let spec = Spec {
        metrics: vec![
            MetricSpec::at_least("request-success-rate", 99.0),
            MetricSpec::at_most("request-duration", 500.0),
        ],
        ..Spec::new(Strategy::Canary(canary))
    };
    let (plan, _warnings) = spec.compile(&Capabilities::ALL)?;
    line(format_args!("{}\n", plan.timetable()))?;

    // The world, through its ports: store, pods, traffic, metrics, gates, notices, clock.
    let push = Happening::push(Duration::from_secs(30), Revision::new("v2")?);
    let scenario = Scenario {
        happenings: vec![push],
        ..Scenario::new(Revision::new("v1")?)
    };
    let world = World::new(&scenario);

    // The loop. It may be stopped anywhere, by a crash too: the next call goes on from the saved state.
    loop {
        let now = advance(&plan, &world.ports(), &[]).await?;
        let (phase, traffic) = (now.state.phase(), now.state.traffic());
        line(format_args!("{phase:<12} {traffic:>5}  {}", now.why))?;
        let Some(next) = [now.until, world.next_change()].into_iter().flatten().min() else {
            break;
        };
        world.advance_to(next);
    }
    Ok(ExitCode::SUCCESS)
}
