//! What a program on an ordinary machine needs: the system's clock, and stores in memory and in a file.
//!
//! This is the only module of the core that may name `std`. Everything in it is a port, so that a program takes what fits
//! and brings the rest.
//!
//! ```
//! use delivery_core::host::{MemoryStore, SystemClock};
//! use delivery_core::port::{Approver, Clock, Notifier, Open, Silent, StateStore};
//!
//! let (clock, store, approver, notifier) = (SystemClock, MemoryStore::default(), Open, Silent);
//! let _ports: (&dyn Clock, &dyn StateStore, &dyn Approver, &dyn Notifier) = (&clock, &store, &approver, &notifier);
//! ```

extern crate std;

mod clock;
mod file_store;
mod memory_store;

pub use self::clock::SystemClock;
pub use self::file_store::FileStore;
pub use self::memory_store::MemoryStore;
