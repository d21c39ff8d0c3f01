//! Metrics of Keystone.

use std::sync::{Arc, LazyLock};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::{Rejected, api::Failure, token::Token};

/// One for all services of a process.
pub(super) static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

/// Registers the metrics of Keystone.
pub fn register(registry: &mut Registry) {
    registry.register(
        "imprint_keystone_questions",
        "Validations of tokens by Keystone, by outcome: valid, invalid, or failed",
        METRICS.questions.clone(),
    );
    registry.register(
        "imprint_keystone_logins",
        "Logins of the service itself at Keystone, by result: ok or failed",
        METRICS.logins.clone(),
    );
    // Present from the start: `rate` misses the first increment of a series that appears with it.
    for outcome in ["valid", "invalid", "failed"] {
        drop(METRICS.questions.get_or_create(&Question { outcome }));
    }
    for result in ["ok", "failed"] {
        drop(METRICS.logins.get_or_create(&Login { result }));
    }
}

#[derive(Debug, Default)]
pub(super) struct Metrics {
    questions: Family<Question, Counter>,
    logins: Family<Login, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Question {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Login {
    result: &'static str,
}

impl Metrics {
    /// Counts a validation.
    pub(super) fn validated(&self, verdict: &Result<Result<Arc<Token>, Rejected>, Failure>) {
        let outcome = match verdict {
            Ok(Ok(_)) => "valid",
            Ok(Err(Rejected)) => "invalid",
            Err(_) => "failed",
        };
        self.questions.get_or_create(&Question { outcome }).inc();
    }

    /// Counts a login.
    pub(super) fn logged_in(&self, is_ok: bool) {
        self.logins.get_or_create(&Login { result: if is_ok { "ok" } else { "failed" } }).inc();
    }
}
