//! What is counted of calls to the catalogue.

use std::sync::LazyLock;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tonic::Code;

pub(super) static CALLS: LazyLock<Calls> = LazyLock::new(Calls::default);

/// Counters.
#[derive(Debug, Default)]
pub(super) struct Calls {
    answers: Family<Answer, Counter>,
    /// Calls that were made again.
    pub(super) retries: Counter,
    /// Calls that were not made again, because too many were.
    pub(super) retries_refused: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    code: String,
}

impl Calls {
    /// Counts a try of a call by its outcome.
    pub(super) fn answered(&self, code: Code) {
        self.answers.get_or_create(&Answer { code: chassis::status::code_name(code).to_owned() }).inc();
    }
}

/// Adds the counters to a registry.
pub fn register(registry: &mut Registry) {
    registry.register(
        "imprint_glance_requests",
        "Tries of calls to glance-svc, by their outcome",
        CALLS.answers.clone(),
    );
    registry.register(
        "imprint_glance_retries",
        "Calls to glance-svc that were made again",
        CALLS.retries.clone(),
    );
    registry.register(
        "imprint_glance_retries_refused",
        "Calls to glance-svc that were not made again, because too many were",
        CALLS.retries_refused.clone(),
    );
}
