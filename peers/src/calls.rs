//! Metrics of calls to a peer.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tonic::Code;

/// Counters of calls to a peer, over all its replicas.
#[derive(Debug, Default)]
pub struct Calls {
    answers: Family<Outcome, Counter>,
    /// Calls that were retried.
    pub(crate) retries: Counter,
    /// Calls that were not retried, because too many already were.
    pub(crate) retries_refused: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    code: String,
}

impl Calls {
    /// Counts an attempt by its outcome.
    pub(crate) fn answered(&self, code: Code) {
        self.answers.get_or_create(&Outcome { code: chassis::status::code_name(code).to_owned() }).inc();
    }

    /// Adds the counters to a registry; `peer` becomes part of their names, such as `glance`.
    pub fn register(&self, peer: &str, registry: &mut Registry) {
        registry.register(
            format!("imprint_{peer}_requests"),
            format!("Tries of calls to {peer}-svc, by their outcome"),
            self.answers.clone(),
        );
        registry.register(
            format!("imprint_{peer}_retries"),
            format!("Calls to {peer}-svc that were made again"),
            self.retries.clone(),
        );
        registry.register(
            format!("imprint_{peer}_retries_refused"),
            format!("Calls to {peer}-svc that were not made again, because too many were"),
            self.retries_refused.clone(),
        );
    }
}
