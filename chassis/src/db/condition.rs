//! What can be done with the database, as far as that is known.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How often writing is tried if nothing suggests a problem.
const INTERVAL: Duration = Duration::from_secs(5);

/// How often a database error in this process suggested that writing may have become impossible: the disk is full, or
/// the session's server is no longer the primary. The next heartbeat checks whether that is so.
static DOUBTS: AtomicU64 = AtomicU64::new(0);

/// What can be done with a database; each value includes the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Condition {
    /// Nothing.
    Away,
    /// It can be read.
    ReadOnly,
    /// It can be read and written.
    Serving,
}

/// Records that writing may have become impossible.
pub(super) fn doubt() {
    DOUBTS.fetch_add(1, Ordering::Relaxed);
}

/// When writing was tried, and which doubts were known then.
#[derive(Debug, Default)]
pub(super) struct WriteProbe(Mutex<(Option<Instant>, u64)>);

impl WriteProbe {
    /// Whether there have been doubts since the last time this was asked.
    pub(super) fn has_doubts(&self) -> bool {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let doubts = DOUBTS.load(Ordering::Relaxed);
        std::mem::replace(&mut tried.1, doubts) != doubts
    }

    /// Whether it is time to try again; if so, that is recorded.
    pub(super) fn is_due(&self) -> bool {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = tried.0.is_none_or(|before| before.elapsed() >= INTERVAL);
        if is_due {
            tried.0 = Some(Instant::now());
        }
        is_due
    }
}
