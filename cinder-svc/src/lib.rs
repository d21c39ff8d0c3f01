//! Volumes: created from images, with what they remember of them.
//!
//! `grpc` and `http` (the edges) → `volumes` (the use cases) → `peers::glance` (the image catalogue), `store` (SQL) and `storage`
//! (the data); `volume` and `quota` hold plain data and know none of them.

use chassis::server::{Base, Service};
use tonic::service::Routes;

use proto::cinder::v1::volume_service_server;

use volumes::VolumeApi;

pub mod config;
pub mod error;
pub mod grpc;
pub mod http;
pub mod list;
pub mod quota;
pub mod storage;
pub mod store;
pub mod volume;
pub mod volumes;

/// Whether a path is one of data of volumes.
fn is_transfer(path: &str) -> bool {
    let method =
        path.strip_prefix('/').and_then(|path| path.strip_prefix(volume_service_server::SERVICE_NAME));
    matches!(method, Some("/ReadVolumeData" | "/WriteVolumeData"))
}

/// Everything cinder-svc serves on `base`: both edges on `volumes`, on one port. `public_endpoint` is the URL at which
/// callers reach it, if that is not the host that their requests name.
#[must_use]
pub fn service(volumes: VolumeApi, public_endpoint: Option<&str>, base: &Base) -> Service {
    let grpc = grpc::routes(volumes.clone(), base.options.limits.message);
    let api = http::Api::new(volumes, public_endpoint, base);
    let routes = Routes::from(api.beside(grpc.into_axum_router()));
    Service {
        is_transfer: |request| is_transfer(request.uri().path()),
        path: http::path,
        metrics: |registry| {
            chassis::data::register_metrics(registry);
            peers::glance::register_metrics(registry);
        },
        ..Service::new(base, http::CONVENTIONS, proto::cinder::DESCRIPTORS, grpc::NAMES, routes)
    }
}
