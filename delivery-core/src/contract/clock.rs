use alloc::format;

use super::{Examined, POLLS, Violation};
use crate::port::Clock;
use crate::time::Timestamp;

/// 2025-01-01: no program that is checked with this ran before.
const EARLIEST: Timestamp = Timestamp::from_millis(1_735_689_600_000);
/// 2300-01-01: who counts microseconds is beyond it.
const LATEST: Timestamp = Timestamp::from_millis(10_413_792_000_000);

/// Checks a [`Clock`]: it tells wall-clock time in milliseconds since 1970, and goes on.
///
/// # Errors
/// The [`Violation`] that was met first.
///
/// ```
/// use delivery_core::contract;
/// use delivery_core::port::Clock;
/// use delivery_core::time::Timestamp;
///
/// struct Watch;
///
/// impl Clock for Watch {
///     fn now(&self) -> Timestamp {
///         Timestamp::default().after(std::time::UNIX_EPOCH.elapsed().unwrap_or_default())
///     }
/// }
///
/// async fn my_clock_keeps_its_promises() -> Result<(), contract::Violation> {
///     contract::clock(&Watch, async || std::thread::sleep(std::time::Duration::from_millis(1))).await
/// }
/// # let mut context = core::task::Context::from_waker(core::task::Waker::noop());
/// # let checked = core::pin::pin!(my_clock_keeps_its_promises()).poll(&mut context);
/// # assert_eq!(checked, core::task::Poll::Ready(Ok(())));
/// ```
pub async fn clock(clock: &dyn Clock, wait: impl AsyncFn()) -> Result<(), Violation> {
    let it = Examined { port: "Clock", wait };
    let before = clock.now();
    it.check(
        (EARLIEST..LATEST).contains(&before),
        "a moment is wall-clock time, in milliseconds since 1970",
        || format!("{before}, which is {} ms", before.as_millis()),
    )?;
    for _ in 0..POLLS {
        it.pause().await;
        if clock.now() > before {
            return Ok(());
        }
    }
    Err(it.broken(
        "time goes on",
        format!("it was {before} and then {}, {POLLS} pauses later", clock.now()),
    ))
}
