//! What is counted of the jobs of an outbox.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::Backlog;
use crate::status::Description;

/// Counters and gauges.
#[derive(Debug, Default)]
pub struct OutboxMetrics {
    attempts: Family<Attempt, Counter>,
    waiting: Gauge,
    oldest: Gauge,
    /// The reason of an error that means that the job will never succeed; empty if there is none.
    refused: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    outcome: &'static str,
    /// Why it failed; empty if it did not.
    reason: &'static str,
}

impl OutboxMetrics {
    /// Those of jobs for which an error with the reason `refused` is final.
    #[must_use]
    pub fn new(refused: &'static str) -> Self {
        Self { refused, ..Self::default() }
    }

    /// Counts an attempt of a job, with what went wrong; returns whether that was the last one.
    pub(super) fn count(&self, problem: Option<&Description>) -> bool {
        let (outcome, reason) = match problem {
            None => ("done", ""),
            Some(problem) if problem.reason == self.refused => ("refused", problem.reason),
            Some(problem) => ("later", problem.reason),
        };
        self.attempts.get_or_create(&Attempt { outcome, reason }).inc();
        outcome != "later"
    }

    /// Records what is still to be done.
    pub(super) fn set_backlog(&self, backlog: Backlog) {
        self.waiting.set(backlog.jobs);
        self.oldest.set(backlog.oldest.num_seconds().max(0));
    }

    /// Adds the counters to a registry: `name`, such as `imprint_image_jobs`, counts attempts to do what `what` says.
    pub fn register(&self, registry: &mut Registry, name: &str, what: &str) {
        let attempts = format!("Attempts to {what}, by what came of them");
        registry.register(name, attempts, self.attempts.clone());
        let waiting = format!("How often somebody still has to {what}, by any replica");
        registry.register(format!("{name}_waiting"), waiting, self.waiting.clone());
        let oldest = "How long the oldest of these has been necessary";
        registry.register_with_unit(format!("{name}_oldest"), oldest, Unit::Seconds, self.oldest.clone());
    }
}
