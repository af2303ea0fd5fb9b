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
/// struct Stopped;
///
/// impl Clock for Stopped {
///     fn now(&self) -> Timestamp {
///         Timestamp::from_millis(1_777_000_000_000)
///     }
/// }
///
/// assert_eq!(Stopped.now(), Stopped.now());
/// ```
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

const _: Option<&dyn Clock> = None;
