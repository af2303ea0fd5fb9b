use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Examined, POLLS, STAYS, Violation, cut_off};
use crate::plan::{Capabilities, MatchRule, Text};
use crate::port::{Cookie, Routing, Traffic, TrafficRouter};
use crate::weight::{Split, Weight};

const COMES: &str = "what was applied is in force after a while";
const LASTS: &str = "what is in force stays so until something else is applied";

/// Checks a [`TrafficRouter`]: it does everything that its [`Capabilities`] say, what was applied comes into force and
/// stays so, applying it again or after half an attempt is harmless, and what was applied last counts.
///
/// It moves traffic between the sides, to all of it and back; all of it is at the primary afterwards. Whether requests really
/// go where `observe` says, and whether none fails on the way, only requests can tell: send some while this runs.
///
/// # Errors
/// The [`Violation`] that was met first; the traffic is then wherever it was.
///
/// ```
/// use std::sync::Mutex;
///
/// use async_trait::async_trait;
/// use delivery_core::contract;
/// use delivery_core::plan::Capabilities;
/// use delivery_core::port::{PortError, Routing, Traffic, TrafficRouter};
///
/// #[derive(Default)]
/// struct InMemory(Mutex<Option<Traffic>>);
///
/// #[async_trait]
/// impl TrafficRouter for InMemory {
///     fn capabilities(&self) -> Capabilities {
///         Capabilities { mirror: false, mirror_share: false, matching: false, sticky: false, ..Capabilities::ALL }
///     }
///
///     async fn apply(&self, want: &Routing) -> Result<(), PortError> {
///         *self.0.lock().unwrap() = Some(want.traffic);
///         Ok(())
///     }
///
///     async fn observe(&self) -> Result<Option<Traffic>, PortError> {
///         Ok(*self.0.lock().unwrap())
///     }
/// }
///
/// async fn my_router_keeps_its_promises() -> Result<(), contract::Violation> {
///     contract::traffic_router(&InMemory::default(), async || {}).await
/// }
/// # let mut context = core::task::Context::from_waker(core::task::Waker::noop());
/// # let checked = core::pin::pin!(my_router_keeps_its_promises()).poll(&mut context);
/// # assert_eq!(checked, core::task::Poll::Ready(Ok(())));
/// ```
pub async fn traffic_router(router: &dyn TrafficRouter, wait: impl AsyncFn()) -> Result<(), Violation> {
    let it = Router {
        it: Examined {
            port: "TrafficRouter",
            wait,
        },
        router,
    };
    let can = router.capabilities();
    let all = routings(&can);
    for want in &all {
        it.comes_into_force(want).await?;
        it.lasts(want).await?;
        it.may_be_applied_again(want).await?;
    }
    for (earlier, want) in all.iter().zip(all.iter().skip(1)) {
        // Neither an attempt that was given up nor one that was overtaken counts.
        it.gives_up(earlier).await;
        it.it.succeeds("apply", router.apply(earlier)).await?;
        it.comes_into_force(want).await?;
        it.lasts(want).await?;
        it.gives_up(earlier).await;
        it.comes_into_force(want).await?;
        it.lasts(want).await?;
    }
    let primary = Routing::split(Split::PRIMARY);
    it.comes_into_force(&primary).await?;
    it.lasts(&primary).await?;
    it.it
        .check(router.capabilities() == can, "capabilities are constant", || {
            format!("{can:?}, and then {:?}", router.capabilities())
        })
}

struct Router<'a, W> {
    it: Examined<W>,
    router: &'a dyn TrafficRouter,
}

impl<W: AsyncFn()> Router<'_, W> {
    /// Begins to apply, and drops the attempt. What may be under way then has a pause to arrive.
    async fn gives_up(&self, want: &Routing) {
        cut_off(self.router.apply(want)).await;
        self.it.pause().await;
    }

    /// As a driver does it: applied again and again until it is in force.
    async fn comes_into_force(&self, want: &Routing) -> Result<(), Violation> {
        for _ in 0..POLLS {
            self.it.succeeds("apply", self.router.apply(want)).await?;
            if self.in_force().await? == Some(want.traffic) {
                return Ok(());
            }
            self.it.pause().await;
            if self.in_force().await? == Some(want.traffic) {
                return Ok(());
            }
        }
        let seen = in_words(self.in_force().await?);
        let seen = format!(
            "{} was applied, and {POLLS} pauses later it was {seen}",
            want.traffic
        );
        Err(self.it.broken(COMES, seen))
    }

    /// It is in force, and stays so.
    async fn lasts(&self, want: &Routing) -> Result<(), Violation> {
        for pause in 1..=STAYS {
            self.it.pause().await;
            self.is_still(want, LASTS, pause).await?;
        }
        Ok(())
    }

    /// It is in force, and stays so although it is applied again.
    async fn may_be_applied_again(&self, want: &Routing) -> Result<(), Violation> {
        const AGAIN: &str = "applying the same routing again changes nothing";
        for pause in 1..=STAYS {
            self.it.succeeds("apply", self.router.apply(want)).await?;
            self.is_still(want, AGAIN, pause).await?;
            self.it.pause().await;
            self.is_still(want, AGAIN, pause).await?;
        }
        Ok(())
    }

    async fn is_still(&self, want: &Routing, promise: &'static str, pause: u32) -> Result<(), Violation> {
        let seen = self.in_force().await?;
        self.it.check(seen == Some(want.traffic), promise, || {
            format!(
                "{} was in force, and {pause} pauses later it was {}",
                want.traffic,
                in_words(seen)
            )
        })
    }

    async fn in_force(&self) -> Result<Option<Traffic>, Violation> {
        self.it.succeeds("observe", self.router.observe()).await
    }
}

fn in_words(seen: Option<Traffic>) -> String {
    seen.map_or_else(
        || String::from("not known what is in force"),
        |it| format!("{it}"),
    )
}

/// Everything that such a router can be asked for.
fn routings(can: &Capabilities) -> Vec<Routing> {
    let routing = |traffic| Routing {
        traffic,
        ..Routing::split(Split::PRIMARY)
    };
    let mut all = Vec::from([routing(Traffic::PRIMARY)]);
    if can.weights() {
        let finest = can.granularity;
        // Half, in whole steps of what it can set.
        let steps = 5_000_u32.checked_div(finest.as_hundredths().into()).unwrap_or(0);
        let half = Weight::hundredths(steps.saturating_mul(finest.as_hundredths().into())).unwrap_or(finest);
        let whole = Traffic::CANARY;
        all.extend(
            [
                Traffic::Split(finest),
                Traffic::Split(half),
                whole,
                Traffic::Split(finest),
            ]
            .map(routing),
        );
    }
    if can.mirror {
        all.push(routing(Traffic::Mirror(Weight::WHOLE)));
    }
    if can.mirror && can.mirror_share {
        all.extend(Weight::percent(50).map(|share| routing(Traffic::Mirror(share))));
    }
    if can.matching {
        let headers = [("x-canary".to_owned(), Text::Exact("always".to_owned()))].into();
        all.push(Routing {
            rules: [MatchRule {
                headers,
                ..MatchRule::default()
            }]
            .into(),
            ..routing(Traffic::Match)
        });
    }
    if can.sticky && can.weights() {
        let (name, value) = ("contract-check".to_owned(), "0123456789abcdef".to_owned());
        let cookie = Some(Cookie {
            name,
            value,
            max_age: Duration::from_secs(3_600),
        });
        all.push(Routing {
            cookie,
            ..routing(Traffic::Split(can.granularity))
        });
    }
    all.push(routing(Traffic::PRIMARY));
    all
}
