//! The second listener, for those who operate the service: probes and metrics.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::registry::Registry;

use crate::{
    db::Db,
    metrics::{self, CONTENT_TYPE},
};

/// What the listener tells.
#[derive(Debug, Clone)]
struct Told {
    registry: Arc<Registry>,
    ready: super::Ready,
}

/// What is served beside `grpc.health.v1`.
pub(super) fn beside(health: Router, registry: Registry, ready: super::Ready) -> Router {
    let told = Told { registry: Arc::new(registry), ready };
    let router = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(is_ready))
        .route("/healthz", get(is_ready))
        .route("/metrics", get(scrape))
        .with_state(told);
    health.merge(router)
}

async fn is_ready(State(told): State<Told>) -> (StatusCode, &'static str) {
    if told.ready.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: stopping, or without the database\n")
    }
}

async fn scrape(State(told): State<Told>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics::render(&told.registry)).into_response()
}

impl super::Ready {
    /// Whether requests should be sent here.
    fn is_ready(&self) -> bool {
        !self.stopping.is_cancelled() && self.db.is_ready()
    }

    /// Follows `db` until it is told to stop.
    pub(super) fn new(db: Db) -> Self {
        Self { db, stopping: tokio_util::sync::CancellationToken::new() }
    }
}
