//! A running service: its API beside health and reflection, from its first request to its last.

use std::{future::Future, io, time::Duration};

use axum::{body::Body, http};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{self, server::TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::ServiceBuilder;
use tower_http::{
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    trace::TraceLayer,
};

use crate::{db::Db, edge::Edge};

/// How long open requests may take after the signal to stop; Kubernetes allows 30 s by default.
const GRACE: Duration = Duration::from_secs(10);

/// How often the database is looked at.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Always serving while the process lives, for liveness probes; the empty name and those of the services
/// follow the database, for readiness probes.
const LIVENESS: &str = "liveness";

/// What a service serves.
pub struct Service {
    /// Domain of its error reasons.
    pub domain: &'static str,
    /// Its encoded descriptors, for reflection.
    pub descriptors: &'static [u8],
    /// Full names of its gRPC services, for health.
    pub names: &'static [&'static str],
    /// Its gRPC services.
    pub routes: Routes,
    /// Its database.
    pub db: Db,
}

/// Why a service could not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its descriptors are broken.
    #[error("reflection cannot be built")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// Its listener failed.
    #[error("the listener failed")]
    Transport(#[from] transport::Error),
}

/// Serves on `listener` until `shutdown`, then lets open requests end.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status(LIVENESS, ServingStatus::Serving).await;
    let ready = service.db.pools().is_ok();
    report(&health, service.names, ready).await;
    let heartbeat = tokio::spawn(heartbeat(health.clone(), service.names, service.db.clone(), ready));

    let router = with_reflection(service.routes.add_service(health_service), service.descriptors)?
        .prepare()
        .into_axum_router();
    // Around the router: a layer of the router's would be around each of its routes, in a box that is copied for
    // each request.
    let layered = ServiceBuilder::new()
        .map_request(|request: http::Request<tonic::body::Body>| request.map(Body::new))
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(TraceLayer::new_for_grpc().on_failure(()))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(Edge { domain: service.domain })
        .service(router);

    let stopping = CancellationToken::new();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving = transport::Server::builder()
        // For what a service serves over HTTP beside gRPC.
        .accept_http1(true)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .serve_with_incoming_shutdown(layered, incoming, stopping.clone().cancelled_owned());
    tokio::pin!(serving);

    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = shutdown => {
            tracing::info!("shutting down");
            heartbeat.abort();
            // Readiness turns first: probes and watchers take us out before we stop accepting.
            report(&health, service.names, false).await;
            stopping.cancel();
            end_watches(health, service.names).await;
            timeout(GRACE, serving).await.unwrap_or_else(|_| {
                tracing::warn!("requests are still open after {GRACE:?}; leaving them");
                Ok(())
            })
        }
    };
    service.db.close().await;
    Ok(ended?)
}

/// Listens for the signals to stop (SIGTERM, or SIGINT from a terminal) from now on; the future completes with
/// the first of them.
pub fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Adds reflection in both versions: grpcurl asks for v1alpha, newer clients for v1.
fn with_reflection(routes: Routes, descriptors: &'static [u8]) -> Result<Routes, Error> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that clients can show the details of an error.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}

/// Keeps the health true, which was reported as `serving`.
async fn heartbeat(health: HealthReporter, names: &'static [&'static str], db: Db, mut serving: bool) {
    let mut interval = tokio::time::interval(HEARTBEAT);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let now = db.heartbeat().await;
        if now != serving {
            tracing::info!(serving = now, "the database is {}", if now { "there" } else { "away" });
            serving = now;
            report(&health, names, serving).await;
        }
    }
}

/// Whoever watches the health has been told; the streams would hold the process up.
async fn end_watches(mut health: HealthReporter, names: &[&'static str]) {
    for name in names.iter().chain([&"", &LIVENESS]) {
        health.clear_service_status(name).await;
    }
}

async fn report(health: &HealthReporter, names: &[&'static str], serving: bool) {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in names.iter().chain([&""]) {
        health.set_service_status(*name, status).await;
    }
}
