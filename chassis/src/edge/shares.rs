//! Each caller's share of what all of them use.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// A caller and a connection each get at most one part in this many.
const SHARE: usize = 4;

/// How many callers may be known before those that hold nothing are forgotten.
const KNOWN: usize = 1024;

/// A share of this many, at least one.
pub(super) fn share(most: usize) -> usize {
    most.div_ceil(SHARE)
}

/// What callers hold, by the hash of their identity, for as long as something refers to it.
#[derive(Debug)]
pub(super) struct Shares<T>(Mutex<HashMap<u64, Arc<T>>>);

impl<T> Default for Shares<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Shares<T> {
    /// What the caller with this hash holds; initially, a `new` one.
    pub(super) fn of(&self, key: u64, new: impl FnOnce() -> T) -> Arc<T> {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() >= KNOWN && shares.len() == shares.capacity() {
            shares.retain(|_, share| Arc::strong_count(share) > 1);
        }
        Arc::clone(shares.entry(key).or_insert_with(|| Arc::new(new())))
    }

    /// Forgets callers that hold nothing.
    pub(super) fn tidy(&self) {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        shares.shrink_to(KNOWN);
    }
}
