//! Volumes: created from images, with what they remember of them.
//!
//! `grpc` and `http` (the edges) → `volumes` (the use cases) → `peers::glance` (the image catalogue), `store` (SQL) and `storage`
//! (the data); `volume` and `quota` hold plain data and know none of them.

use chassis::server::{Base, Service};
use tonic::service::Routes;

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

/// Everything cinder-svc serves on `base`: both edges on `volumes`, on one port. `public_endpoint` is the URL at which
/// callers reach it, if that is not the host that their requests name.
#[must_use]
pub fn service(volumes: VolumeApi, public_endpoint: Option<&str>, base: &Base) -> Service {
    let grpc = grpc::routes(volumes.clone(), base.options.limits.message);
    let api = http::Api::new(volumes, public_endpoint, base);
    let routes = Routes::from(api.beside(grpc.into_axum_router()));
    Service {
        path: http::path,
        metrics: |registry| {
            chassis::data::register_metrics(registry);
            peers::glance::register_metrics(registry);
        },
        ..Service::new(base, http::CONVENTIONS, proto::cinder::DESCRIPTORS, grpc::NAMES, routes)
    }
}
