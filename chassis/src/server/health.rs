//! Health: what probes are told of a service, over gRPC and HTTP.

use std::{convert::Infallible, time::Duration};

use tokio_util::sync::CancellationToken;
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health as HealthService, HealthServer},
    server::HealthReporter,
};

use crate::{background, db::Db, edge::Edge};

/// How often the database is checked.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// After how many checks of the database callers that have been away are forgotten, which walks through all of them.
const TIDY: u64 = 60;

/// Always serving while the process lives, for liveness probes; the empty name and those of the services
/// follow the database, for readiness probes.
const LIVENESS: &str = "liveness";

/// Whether requests should be sent to this process.
#[derive(Debug, Clone)]
pub(super) struct Health {
    reporter: HealthReporter,
    /// Full names of the gRPC services that follow the database.
    names: &'static [&'static str],
    db: Db,
    stopping: CancellationToken,
}

impl Health {
    /// The health of these gRPC services, and the service that tells it.
    pub(super) async fn new(
        names: &'static [&'static str],
        db: Db,
    ) -> (Self, HealthServer<impl HealthService>) {
        let (reporter, service) = tonic_health::server::health_reporter();
        reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        let health = Self { reporter, names, db, stopping: CancellationToken::new() };
        health.report(health.db.is_ready()).await;
        (health, service)
    }

    /// Whether requests should be sent here.
    pub(super) fn is_ready(&self) -> bool {
        !self.stopping.is_cancelled() && self.db.is_ready()
    }

    /// Follows the database.
    pub(super) async fn heartbeat(self, edge: Edge) -> Infallible {
        background::keep("heartbeat", || self.follow(&edge)).await
    }

    async fn follow(&self, edge: &Edge) -> Infallible {
        let mut serving = self.db.is_ready();
        self.report(serving).await;
        let mut interval = tokio::time::interval(HEARTBEAT);
        let mut beats = 0_u64;
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            beats += 1;
            if beats.is_multiple_of(TIDY) {
                edge.tidy();
            }
            let now = self.db.heartbeat().await;
            if now != serving {
                tracing::info!(
                    serving = now,
                    "the database {} be written",
                    if now { "can" } else { "cannot" }
                );
                serving = now;
                self.report(serving).await;
            }
        }
    }

    /// Tells probes and watchers to send requests elsewhere. Its heartbeat must have ended.
    pub(super) async fn stop(&self) {
        self.stopping.cancel();
        self.report(false).await;
    }

    /// Ends health watches once they have been told; the streams would keep the process from ending.
    pub(super) async fn end_watches(&mut self) {
        for name in self.names.iter().chain([&"", &LIVENESS]) {
            self.reporter.clear_service_status(name).await;
        }
    }

    async fn report(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in self.names.iter().chain([&""]) {
            self.reporter.set_service_status(*name, status).await;
        }
    }
}
