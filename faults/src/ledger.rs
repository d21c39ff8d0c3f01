//! The outcome of each request of a load.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The outcome of a load so far.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// The instance in the response to each request, by request id.
    acknowledged: BTreeMap<String, String>,
    failed: Failures,
    slowest: Duration,
}

/// Failed requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failures {
    /// Their number, by code.
    pub(crate) codes: BTreeMap<String, usize>,
    /// Those that do not tell a program why they failed and that a retry helps.
    pub(crate) unexplained: BTreeMap<String, usize>,
}

impl Failures {
    pub(crate) fn add(&mut self, status: &Status) {
        *self.codes.entry(format!("{:?}", status.code())).or_default() += 1;
        let has_reason = status.get_details_error_info().is_some_and(|info| !info.reason.is_empty());
        let has_delay = status.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some());
        if status.code() != Code::Unavailable || !has_reason || !has_delay {
            let said = format!("{:?}: {}", status.code(), status.message());
            *self.unexplained.entry(said).or_default() += 1;
        }
    }

    /// Number of failed requests.
    pub(crate) fn count(&self) -> usize {
        self.codes.values().sum()
    }
}

/// The final outcome of a load.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) acknowledged: BTreeMap<String, String>,
    pub(crate) failed: BTreeMap<String, usize>,
    pub(crate) unexplained: BTreeMap<String, usize>,
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

    pub(crate) fn failed(&self, status: &Status, took: Duration) {
        let mut entries = self.entries();
        entries.failed.add(status);
        entries.slowest = entries.slowest.max(took);
    }

    pub(crate) fn count(&self) -> usize {
        self.entries().acknowledged.len()
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let entries = self.entries();
        Outcome {
            acknowledged: entries.acknowledged.clone(),
            failed: entries.failed.codes.clone(),
            unexplained: entries.failed.unexplained.clone(),
            slowest: entries.slowest,
        }
    }
}

impl Outcome {
    /// Number of failed requests.
    pub(crate) fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    /// Number of requests.
    pub(crate) fn all(&self) -> usize {
        self.acknowledged.len() + self.failures()
    }
}
