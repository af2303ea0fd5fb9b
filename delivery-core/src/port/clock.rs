//! The time.

use crate::time::Timestamp;

/// Tells the time.
///
/// # Contract
/// - Wall-clock time: a saved moment means the same after a restart, on another machine too.
/// - It may jump; a rollout then waits longer or shorter, and nothing else.
///
/// `contract::clock` checks this for any implementation.
///
/// # Example
/// ```
/// use delivery_core::Timestamp;
/// use delivery_core::port::Clock;
///
/// struct Watch;
///
/// impl Clock for Watch {
///     fn now(&self) -> Timestamp {
///         Timestamp::default().after(std::time::UNIX_EPOCH.elapsed().unwrap_or_default())
///     }
/// }
///
/// assert!(Watch.now() > Timestamp::from_millis(1_735_689_600_000), "2025 is over");
/// ```
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

const _: Option<&dyn Clock> = None;
