//! A running service: its API, health and reflection, from its first request to its last.

use std::{future::Future, io, pin::Pin, time::Duration};

use axum::{body::Body, extract::OriginalUri, http};
use prometheus_client::registry::Registry;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport};
use tower::ServiceBuilder;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

use crate::{
    caller::{self, Identity},
    db::Db,
    edge::{Edge, IsTransfer, Memory},
    http::Conventions,
    identity::{IdentityLayer, Source},
    keystone, metrics,
};

mod admin;
mod args;
mod descriptors;
mod health;
mod incoming;
mod listeners;
mod reflection;

pub use args::{Options, ServerArgs};
pub use listeners::{CannotListen, Listeners};

use health::Health;

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

/// What every service is built on.
#[derive(Debug)]
pub struct Base {
    /// Its program.
    pub program: &'static str,
    /// Its database, migrated unless that is away.
    pub db: Db,
    /// Where its callers' identities come from.
    pub identity: Identity,
    /// How it listens, and its limits.
    pub options: Options,
}

/// What a service serves.
pub struct Service {
    /// Its program.
    pub program: &'static str,
    /// What its errors look like, and what else its calls have in common.
    pub conventions: Conventions,
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

/// Serves on `listeners` until `shutdown`, then lets open requests finish.
pub async fn serve(
    listeners: Listeners,
    service: Service,
    mut options: Options,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    options.fit_open_files();
    let (health, health_service) = Health::new(service.names, service.db.clone()).await;
    let methods = reflection::methods(service.descriptors)?;
    let (limits, memory) = (&options.limits, service.memory.clone());
    let edge = Edge::new(service.conventions, service.names, methods, limits, memory, service.is_transfer);
    let heartbeat = tokio::spawn(health.clone().heartbeat(edge.clone()));
    let (stopping, ended) = (CancellationToken::new(), CancellationToken::new());
    if let Some(listener) = listeners.admin {
        let grpc = Routes::new(health_service.clone());
        tokio::spawn(admin::serve(listener, grpc, service.registry(), health.clone(), ended.clone()));
    }

    let services = service.routes.add_service(health_service);
    let router = reflection::with_reflection(services, service.descriptors)?.prepare().into_axum_router();
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
    let serving = transport(&options).serve_with_incoming_shutdown(
        layered,
        incoming,
        stopping.clone().cancelled_owned(),
    );
    tokio::pin!(serving);

    let served = tokio::select! {
        served = &mut serving => served,
        () = shutdown => {
            heartbeat.abort();
            drain(serving, health, &options, &stopping).await
        }
    };
    ended.cancel();
    service.db.close().await;
    Ok(served?)
}

/// Lets open requests finish: as before for as long as others need to notice, then for the time of grace.
async fn drain(
    mut serving: Pin<&mut impl Future<Output = Result<(), transport::Error>>>,
    mut health: Health,
    options: &Options,
    stopping: &CancellationToken,
) -> Result<(), transport::Error> {
    tracing::info!("shutting down");
    // Readiness turns first: probes and watchers take us out before we stop accepting.
    health.stop().await;
    // Whoever was not told yet may still send requests; they are answered as before.
    let ended = timeout(options.drain_delay, &mut serving).await;
    stopping.cancel();
    health.end_watches().await;
    if let Ok(ended) = ended {
        return ended;
    }
    timeout(options.grace, serving).await.unwrap_or_else(|_| {
        tracing::warn!("requests are still open after {:?}; leaving them", options.grace);
        Ok(())
    })
}

impl Base {
    /// What a program with default options is built on.
    #[must_use]
    pub fn new(program: &'static str, db: Db, identity: Identity) -> Self {
        Self { program, db, identity, options: Options::default() }
    }
}

impl Service {
    /// A service of `routes` on `base`, without transfers of data and without metrics of its own; `names` are the full
    /// names of its gRPC services, which `descriptors` describe.
    #[must_use]
    pub fn new(
        base: &Base,
        conventions: Conventions,
        descriptors: &'static [u8],
        names: &'static [&'static str],
        routes: Routes,
    ) -> Self {
        Self {
            program: base.program,
            conventions,
            descriptors,
            names,
            routes,
            db: base.db.clone(),
            identity: base.identity,
            is_transfer: |_| false,
            path: |_| None,
            memory: base.options.limits.memory(),
            metrics: |_| {},
        }
    }

    /// Its metrics, for the listener of its operators.
    fn registry(&self) -> Registry {
        metrics::registry(self.program, env!("CARGO_PKG_VERSION"), |registry| {
            registry.register_collector(self.db.collector());
            keystone::register_metrics(registry);
            (self.metrics)(registry);
        })
    }
}

/// HTTP/2 for gRPC, and HTTP/1.1 for what a service serves over HTTP beside it.
fn transport(options: &Options) -> transport::Server {
    let streams = options.max_concurrent_streams;
    transport::Server::builder()
        .accept_http1(true)
        .http2_keepalive_interval(Some(PING))
        .http2_keepalive_timeout(Some(PONG))
        .max_concurrent_streams(streams)
        .http2_max_pending_accept_reset_streams(Some(RESETS))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW.saturating_mul(streams).min(MOST_WINDOW))
        .http2_max_header_list_size(options.max_header_bytes)
}

/// The request with the path that its own stands for, before anything depends on it. Handlers find its own as
/// [`OriginalUri`].
fn under_its_path(mut request: http::Request<Body>, path: fn(&str) -> Option<String>) -> http::Request<Body> {
    let Some(path) = path(request.uri().path()) else { return request };
    let original = request.uri().clone();
    let mut parts = original.clone().into_parts();
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    parts.path_and_query = format!("{path}{query}").try_into().ok();
    if let Ok(uri) = http::Uri::from_parts(parts) {
        *request.uri_mut() = uri;
        request.extensions_mut().insert(OriginalUri(original));
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
