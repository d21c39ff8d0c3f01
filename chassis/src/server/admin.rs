//! The second listener, for the service's operators: probes and metrics.

use std::{future::Future, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{self, server::TcpIncoming},
};

use super::Health;
use crate::metrics::{self, CONTENT_TYPE};

/// What the listener serves.
#[derive(Debug, Clone)]
struct AdminState {
    registry: Arc<Registry>,
    health: Health,
}

/// Serves probes and metrics, and `grpc.health.v1`, until `ended`.
pub(super) fn serve(
    listener: TcpListener,
    grpc: Routes,
    registry: Registry,
    health: Health,
    ended: CancellationToken,
) -> impl Future<Output = Result<(), transport::Error>> {
    let state = AdminState { registry: Arc::new(registry), health };
    let router = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(is_ready))
        .route("/healthz", get(is_ready))
        .route("/metrics", get(scrape))
        .with_state(state);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    transport::Server::builder().accept_http1(true).serve_with_incoming_shutdown(
        grpc.prepare().into_axum_router().merge(router),
        incoming,
        ended.cancelled_owned(),
    )
}

async fn is_ready(State(state): State<AdminState>) -> (StatusCode, &'static str) {
    if state.health.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: stopping, or without the database\n")
    }
}

async fn scrape(State(state): State<AdminState>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics::render(&state.registry)).into_response()
}
