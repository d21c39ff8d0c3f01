//! What clients were told, and what became of each of their requests.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tonic::Code;

/// What a load has come to.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// The instance that each request was told of, by the request's id.
    acknowledged: BTreeMap<String, String>,
    failed: BTreeMap<String, usize>,
    slowest: Duration,
}

/// The same, at its end.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) acknowledged: BTreeMap<String, String>,
    pub(crate) failed: BTreeMap<String, usize>,
    pub(crate) slowest: Duration,
}

impl Ledger {
    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn acknowledged(&self, request_id: String, instance_id: String, took: Duration) {
        let mut entries = self.entries();
        entries.acknowledged.insert(request_id, instance_id);
        entries.slowest = entries.slowest.max(took);
    }

    pub(crate) fn failed(&self, code: Code, took: Duration) {
        let mut entries = self.entries();
        *entries.failed.entry(format!("{code:?}")).or_default() += 1;
        entries.slowest = entries.slowest.max(took);
    }

    pub(crate) fn count(&self) -> usize {
        self.entries().acknowledged.len()
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let entries = self.entries();
        Outcome {
            acknowledged: entries.acknowledged.clone(),
            failed: entries.failed.clone(),
            slowest: entries.slowest,
        }
    }
}

impl Outcome {
    /// How many requests failed.
    pub(crate) fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    /// How many were made.
    pub(crate) fn all(&self) -> usize {
        self.acknowledged.len() + self.failures()
    }
}
