//! A running service: its API, health and reflection, from its first request to its last.

use std::{
    convert::Infallible,
    future::Future,
    io::{self, Write as _},
    time::Duration,
};

use axum::{body::Body, http};
use prometheus_client::registry::Registry;
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
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

use crate::{
    background,
    caller::{self, Identity},
    db::Db,
    edge::{Edge, IsTransfer, Memory, Methods},
    identity::{IdentityLayer, Source},
    keystone, metrics,
};

mod admin;
mod args;
mod descriptors;
mod incoming;

pub use args::{Options, ServerArgs};

/// How often the database is checked.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// After how many checks of the database callers that have been away are forgotten, which walks through all of them.
const TIDY: u64 = 60;

/// How often clients are asked whether they are still there, and how long they may take to say so.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);

/// Bytes of a request that may arrive before anybody reads them. A connection allows this much for each of its
/// requests: those that wait for room must not hold up the ones that have it.
const WINDOW: u32 = 256 * 1024;

/// Largest HTTP/2 window.
const MOST_WINDOW: u32 = (1 << 31) - 1;

/// How many requests of a connection may have been cancelled before they are looked at; with more, the connection
/// ends. Callers whose deadlines expire at once, on a connection that others share, are not an attack: with the
/// library's limit of 20, they ended everybody's calls.
const RESETS: usize = 1024;

/// Always serving while the process lives, for liveness probes; the empty name and those of the services
/// follow the database, for readiness probes.
const LIVENESS: &str = "liveness";

/// What a service serves.
pub struct Service {
    /// Its program.
    pub program: &'static str,
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
    /// Where its callers' identities come from.
    pub identity: Identity,
    /// Which requests upload or download data.
    pub is_transfer: IsTransfer,
    /// The path that another spelling of it stands for, if there is one.
    pub path: fn(&str) -> Option<String>,
    /// The memory that its large requests and answers share.
    pub memory: Memory,
    /// Registers what it counts itself.
    pub metrics: fn(&mut Registry),
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

/// Where a service listens.
#[derive(Debug)]
pub struct Listeners {
    /// For its callers.
    pub public: TcpListener,
    /// For its operators, if there is one.
    pub admin: Option<TcpListener>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct CannotListen {
    address: String,
    source: io::Error,
}

impl Listeners {
    /// Listens on these addresses.
    pub async fn bind(public: &str, admin: Option<&str>) -> Result<Self, CannotListen> {
        let public = bind(public).await?;
        let admin = match admin {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(Self { public, admin })
    }

    /// Prints on standard output where `program` listens: the first line is for its callers.
    pub fn announce(&self, program: &str) -> io::Result<()> {
        let mut out = io::stdout();
        writeln!(out, "{program} listening on {}", self.public.local_addr()?)?;
        if let Some(admin) = &self.admin {
            writeln!(out, "{program} probes and metrics on {}", admin.local_addr()?)?;
        }
        Ok(())
    }

    /// Listens for callers only.
    #[must_use]
    pub const fn public(public: TcpListener) -> Self {
        Self { public, admin: None }
    }
}

async fn bind(address: &str) -> Result<TcpListener, CannotListen> {
    let listened = TcpListener::bind(address).await;
    listened.map_err(|source| CannotListen { address: address.to_owned(), source })
}

/// Whether requests should be sent to this process.
#[derive(Debug, Clone)]
struct Ready {
    db: Db,
    stopping: CancellationToken,
}

/// The request with the path that its own stands for, before anything depends on it.
fn under_its_path(mut request: http::Request<Body>, path: fn(&str) -> Option<String>) -> http::Request<Body> {
    let Some(path) = path(request.uri().path()) else { return request };
    let mut parts = request.uri().clone().into_parts();
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    parts.path_and_query = format!("{path}{query}").try_into().ok();
    if let Ok(uri) = http::Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

/// The request without the headers that only a trusted proxy may set.
fn without_names(mut request: http::Request<Body>) -> http::Request<Body> {
    for name in caller::IDENTITY_HEADERS {
        request.headers_mut().remove(name);
    }
    request
}

/// Serves on `listeners` until `shutdown`, then lets open requests finish.
pub async fn serve(
    listeners: Listeners,
    service: Service,
    mut options: Options,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    options.fit_open_files();
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status(LIVENESS, ServingStatus::Serving).await;
    let ready = service.db.is_ready();
    report(&health, service.names, ready).await;
    let methods = methods(service.descriptors)?;
    let edge = Edge::new(
        service.domain,
        service.names,
        methods,
        &options.limits,
        service.memory,
        service.is_transfer,
    );
    let (beats, db, reporter) = (edge.clone(), service.db.clone(), health.clone());
    let beating = move || heartbeat(reporter.clone(), service.names, db.clone(), beats.clone());
    let heartbeat = tokio::spawn(async move { background::keep("heartbeat", beating).await });
    let ready = Ready::new(service.db.clone());
    let (stopping, ended) = (CancellationToken::new(), CancellationToken::new());

    let registry = metrics::registry(service.program, env!("CARGO_PKG_VERSION"), |registry| {
        registry.register_collector(service.db.collector());
        keystone::register_metrics(registry);
        (service.metrics)(registry);
    });
    if let Some(listener) = listeners.admin {
        let health = Routes::new(health_service.clone()).prepare().into_axum_router();
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = transport::Server::builder().accept_http1(true).serve_with_incoming_shutdown(
            admin::beside(health, registry, ready.clone()),
            incoming,
            ended.clone().cancelled_owned(),
        );
        tokio::spawn(serving);
    }

    let router = with_reflection(service.routes.add_service(health_service), service.descriptors)?
        .prepare()
        .into_axum_router();
    // Around the router: a layer of the router's would be around each of its routes, in a box that is copied for
    // each request.
    let layered = ServiceBuilder::new()
        .map_request(move |request: http::Request<tonic::body::Body>| {
            let request = under_its_path(request.map(Body::new), service.path);
            if service.identity == Identity::Keystone { without_names(request) } else { request }
        })
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(edge)
        // Behind admission: to know a caller may cost more than to refuse one.
        .layer(IdentityLayer::new(Source::new(service.identity, options.keystone.clone())))
        .service(router);

    let incoming = incoming::incoming(listeners.public, &options, stopping.clone());
    let serving = transport::Server::builder()
        // For what a service serves over HTTP beside gRPC.
        .accept_http1(true)
        .http2_keepalive_interval(Some(PING))
        .http2_keepalive_timeout(Some(PONG))
        .max_concurrent_streams(options.max_concurrent_streams)
        .http2_max_pending_accept_reset_streams(Some(RESETS))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(
            WINDOW.saturating_mul(options.max_concurrent_streams).min(MOST_WINDOW),
        )
        .http2_max_header_list_size(options.max_header_bytes)
        .serve_with_incoming_shutdown(layered, incoming, stopping.clone().cancelled_owned());
    tokio::pin!(serving);

    let served = tokio::select! {
        served = &mut serving => served,
        () = shutdown => {
            tracing::info!("shutting down");
            heartbeat.abort();
            // Readiness turns first: probes and watchers take us out before we stop accepting.
            ready.stopping.cancel();
            report(&health, service.names, false).await;
            // Whoever was not told yet may still send requests; they are answered as before.
            let ended = timeout(options.drain_delay, &mut serving).await;
            stopping.cancel();
            end_watches(health, service.names).await;
            match ended {
                Ok(ended) => ended,
                Err(_) => timeout(options.grace, serving).await.unwrap_or_else(|_| {
                    tracing::warn!("requests are still open after {:?}; leaving them", options.grace);
                    Ok(())
                }),
            }
        }
    };
    ended.cancel();
    service.db.close().await;
    Ok(served?)
}

/// Listens for the signals to stop (SIGTERM, or SIGINT from a terminal) from now on; the future completes with the
/// first one.
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

/// The methods of a service, of health, and of reflection in both versions.
fn methods(descriptors: &[u8]) -> Result<Methods, Error> {
    use tonic_reflection::pb::{v1, v1alpha};
    let health = tonic_health::pb::FILE_DESCRIPTOR_SET;
    let all = [descriptors, health, v1::FILE_DESCRIPTOR_SET, v1alpha::FILE_DESCRIPTOR_SET];
    Ok(Methods::of(&all).map_err(tonic_reflection::server::Error::from)?)
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

/// Keeps the health status up to date.
async fn heartbeat(health: HealthReporter, names: &'static [&'static str], db: Db, edge: Edge) -> Infallible {
    let mut serving = db.is_ready();
    report(&health, names, serving).await;
    let mut interval = tokio::time::interval(HEARTBEAT);
    let mut beats = 0_u64;
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        beats += 1;
        if beats.is_multiple_of(TIDY) {
            edge.tidy();
        }
        let now = db.heartbeat().await;
        if now != serving {
            tracing::info!(serving = now, "the database {} be written", if now { "can" } else { "cannot" });
            serving = now;
            report(&health, names, serving).await;
        }
    }
}

/// Ends health watches once they have been told; the streams would keep the process from ending.
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
