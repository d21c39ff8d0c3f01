//! Volumes: created from images, with what they remember of them.
//!
//! `grpc` (the edge) → `volumes` (the use cases) → `peers::glance` (the image catalogue), `store` (SQL) and `storage`
//! (the data); `volume` and `quota` hold plain data and know none of them.

use chassis::{
    http::{Conventions, ErrorBody},
    server::{Base, Service},
    status::StatusCode,
};

use volumes::VolumeApi;

pub mod config;
pub mod error;
pub mod grpc;
pub mod list;
pub mod quota;
pub mod storage;
pub mod store;
pub mod volume;
pub mod volumes;

const CONVENTIONS: Conventions = Conventions {
    domain: "cinder",
    error_body: ErrorBody::Faults { over_quota: StatusCode::PAYLOAD_TOO_LARGE },
    compute_request_id: false,
};

/// Everything cinder-svc serves on `base`.
#[must_use]
pub fn service(volumes: VolumeApi, base: &Base) -> Service {
    let routes = grpc::routes(volumes, base.options.limits.message);
    Service {
        metrics: |registry| {
            chassis::data::register_metrics(registry);
            peers::glance::register_metrics(registry);
        },
        ..Service::new(base, CONVENTIONS, proto::cinder::DESCRIPTORS, grpc::NAMES, routes)
    }
}
