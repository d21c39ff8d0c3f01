//! Metrics of image jobs and volume jobs.

use std::sync::LazyLock;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::{error::Error, store::Backlog};

pub(super) static JOBS: LazyLock<Jobs> = LazyLock::new(Jobs::default);
pub(in crate::compute) static VOLUME_JOBS: LazyLock<Jobs> = LazyLock::new(Jobs::default);

/// Counters and gauges.
#[derive(Debug, Default)]
pub(in crate::compute) struct Jobs {
    attempts: Family<Attempt, Counter>,
    waiting: Gauge,
    oldest: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    outcome: &'static str,
    /// Why it failed; empty if it did not.
    reason: &'static str,
}

impl Jobs {
    /// Counts an attempt of a job.
    pub(in crate::compute) fn count<T>(&self, done: &Result<T, Error>) {
        use chassis::status::Failure as _;
        let (outcome, reason) = match done {
            Ok(_) => ("done", ""),
            Err(error @ Error::GlanceRefused { .. }) => ("refused", error.describe().reason),
            Err(error) => ("later", error.describe().reason),
        };
        self.attempts.get_or_create(&Attempt { outcome, reason }).inc();
    }

    /// Records what is still to be done.
    pub(in crate::compute) fn set_backlog(&self, backlog: Backlog) {
        self.waiting.set(backlog.jobs);
        self.oldest.set(backlog.oldest.num_seconds().max(0));
    }
}

/// Adds the counters to a registry.
pub fn register(registry: &mut Registry) {
    registry.register(
        "imprint_image_jobs",
        "Attempts to register or delete images of instances, by what came of them",
        JOBS.attempts.clone(),
    );
    registry.register(
        "imprint_image_jobs_waiting",
        "Images of instances that are still to be registered or deleted, by any replica",
        JOBS.waiting.clone(),
    );
    registry.register_with_unit(
        "imprint_image_jobs_oldest",
        "How long the oldest of these has been necessary",
        Unit::Seconds,
        JOBS.oldest.clone(),
    );
    registry.register(
        "imprint_volume_jobs",
        "Attempts to hold volumes for instances or to take them back, by what came of them",
        VOLUME_JOBS.attempts.clone(),
    );
    registry.register(
        "imprint_volume_jobs_waiting",
        "Instances whose volumes are still to be held or taken back, by any replica",
        VOLUME_JOBS.waiting.clone(),
    );
    registry.register_with_unit(
        "imprint_volume_jobs_oldest",
        "How long the oldest of these has been necessary",
        Unit::Seconds,
        VOLUME_JOBS.oldest.clone(),
    );
}
