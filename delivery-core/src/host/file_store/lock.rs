//! The lock file: at most one process saves at a time, and nobody waits for it without an end.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use super::super::std::fs::{File, OpenOptions, TryLockError};
use super::super::std::io::{self, Read, Seek, Write};
use super::super::std::path::Path;
use super::super::std::sync::{Mutex, PoisonError};
use super::super::std::{process, thread};
use super::place;

/// Held until it is dropped, or the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum NoLock {
    /// Somebody else has it.
    Held(Held),
    /// The file cannot be used.
    Failed(io::Error),
}

/// Somebody else has the lock.
#[derive(Debug)]
pub(super) struct Held {
    /// The process that took the lock last, where it says so.
    holder: Option<u32>,
    /// How long it was waited for.
    patience: Duration,
}

impl core::error::Error for Held {}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { holder, patience } = self;
        match holder {
            Some(holder) if *holder == process::id() => {
                write!(f, "another task of this process ({holder}) holds the lock")?;
            }
            Some(holder) => write!(f, "process {holder}, the last to take it, holds the lock")?,
            None => f.write_str("another process holds the lock")?,
        }
        write!(
            f,
            ", for longer than {patience:?} already: if it hangs, end it, which gives the lock up (the lock file must stay: \
             to remove it would let two processes save at once)"
        )
    }
}

/// Takes the lock, and waits no longer than this for somebody else who has it. It is waited for in a thread of its own, so
/// that the caller's thread can do something else.
pub(super) async fn take(path: &Path, patience: Duration) -> Result<Lock, NoLock> {
    let mut options = OpenOptions::new();
    place::private(&mut options, None);
    options.create(true).truncate(false).read(true).write(true);
    let file = place::open(path, &mut options).map_err(NoLock::Failed)?;
    if try_lock(&file)? {
        return Ok(locked(file));
    }
    Waiting::begin(file, patience).map_err(NoLock::Failed)?.await
}

fn try_lock(file: &File) -> Result<bool, NoLock> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(NoLock::Failed(error)),
    }
}

/// Notes in the file who has it, for others to tell. They can do without.
fn locked(mut file: File) -> Lock {
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(format!("{}\n", process::id()).as_bytes()));
    Lock { _file: file }
}

fn holder(mut file: &File) -> Option<u32> {
    let mut said = String::new();
    file.rewind().ok()?;
    file.take(16).read_to_string(&mut said).ok()?;
    said.trim().parse().ok()
}

/// The lock, as soon as a thread has it.
struct Waiting(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    done: Option<Result<Lock, NoLock>>,
    waker: Option<Waker>,
}

impl Waiting {
    fn begin(file: File, patience: Duration) -> io::Result<Self> {
        let waiting = Self(Arc::default());
        let shared = Arc::clone(&waiting.0);
        let waits = move || {
            let done = wait(file, patience);
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.done = Some(done);
            if let Some(waker) = shared.waker.take() {
                drop(shared);
                waker.wake();
            }
        };
        thread::Builder::new()
            .name(String::from("file-store-lock"))
            .spawn(waits)?;
        Ok(waiting)
    }
}

impl Future for Waiting {
    type Output = Result<Lock, NoLock>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = shared.done.take() {
            return Poll::Ready(done);
        }
        shared.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Tries again and again: the system can wait for a lock, but not for a limited time.
fn wait(file: File, patience: Duration) -> Result<Lock, NoLock> {
    const LONGEST: Duration = Duration::from_millis(50);
    let (mut pause, mut waited) = (Duration::from_millis(1), Duration::ZERO);
    while waited < patience {
        let now = pause.min(patience.saturating_sub(waited));
        #[expect(clippy::disallowed_methods, reason = "this thread exists to wait")]
        thread::sleep(now);
        waited = waited.saturating_add(now);
        if try_lock(&file)? {
            return Ok(locked(file));
        }
        pause = pause.saturating_mul(2).min(LONGEST);
    }
    Err(NoLock::Held(Held {
        holder: holder(&file),
        patience,
    }))
}
