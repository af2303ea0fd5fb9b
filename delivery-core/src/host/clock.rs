//! The system's clock.

use super::std::time::{Duration, SystemTime, UNIX_EPOCH};
use crate::port::Clock;
use crate::time::Timestamp;

/// The system's wall clock.
///
/// A machine whose clock stands before 1970 has the epoch as its time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the port through which the time comes in"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Timestamp::default().after(since)
    }
}
