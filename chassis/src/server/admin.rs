//! The second listener, for the service's operators: probes and metrics.

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

/// What the listener serves.
#[derive(Debug, Clone)]
struct AdminState {
    registry: Arc<Registry>,
    ready: super::Ready,
}

/// What is served beside `grpc.health.v1`.
pub(super) fn beside(health: Router, registry: Registry, ready: super::Ready) -> Router {
    let state = AdminState { registry: Arc::new(registry), ready };
    let router = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(is_ready))
        .route("/healthz", get(is_ready))
        .route("/metrics", get(scrape))
        .with_state(state);
    health.merge(router)
}

async fn is_ready(State(state): State<AdminState>) -> (StatusCode, &'static str) {
    if state.ready.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: stopping, or without the database\n")
    }
}

async fn scrape(State(state): State<AdminState>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics::render(&state.registry)).into_response()
}

impl super::Ready {
    /// Whether requests should be sent here.
    fn is_ready(&self) -> bool {
        !self.stopping.is_cancelled() && self.db.is_ready()
    }

    /// Follows `db` until told to stop.
    pub(super) fn new(db: Db) -> Self {
        Self { db, stopping: tokio_util::sync::CancellationToken::new() }
    }
}
