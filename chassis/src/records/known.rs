//! Rows that need not be looked for again.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use common::id::Id;

/// Number of rows that are remembered to exist, 16 bytes each.
const KNOWN_ROWS: usize = 10_000;

/// Records, and other rows that new ones refer to, that existed when they were last used. Only a hint: the foreign keys
/// decide.
#[derive(Debug, Default)]
pub struct KnownRows(Mutex<HashSet<Id>>);

impl KnownRows {
    /// Whether all of these are known to exist.
    #[must_use]
    pub fn hold<'a>(&self, ids: impl IntoIterator<Item = &'a Id>) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.into_iter().all(|id| known.contains(id))
    }

    /// Adds these, which were there.
    pub fn add<'a>(&self, ids: impl IntoIterator<Item = &'a Id>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > KNOWN_ROWS {
            known.clear();
        }
        known.extend(ids);
    }

    /// Forgets all, since one of them may be gone.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_rows_are_limited() {
        let known = KnownRows::default();
        let some = |numbers: std::ops::Range<u128>| -> Vec<Id> {
            numbers.map(|number| Id::from(uuid::Uuid::from_u128(number))).collect()
        };
        let most = KNOWN_ROWS as u128;
        known.add(&some(0..most + 1));
        assert!(known.hold(&some(0..most + 1)));
        assert!(!known.hold(&some(most..most + 2)));
        known.add(&some(most + 1..most + 2));
        assert!(known.hold(&some(most + 1..most + 2)));
        assert!(!known.hold(&some(0..1)));
        known.clear();
        assert!(!known.hold(&some(most + 1..most + 2)));
    }
}
