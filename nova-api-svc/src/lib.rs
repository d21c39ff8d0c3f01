//! Instances: created from images and volumes, with the image's properties in their system metadata.
//!
//! `grpc` (the edge) → `compute` (the use cases) → `peers::glance` (the image catalogue), `peers::cinder` (volumes) and
//! `store` (SQL); `instance` holds plain data and knows none of them.

use chassis::{
    http::{Conventions, ErrorBody},
    server::{Base, Service},
};
use proto::nova::v1::{flavor_service_server, instance_service_server};

use compute::ComputeApi;

pub mod compute;
pub mod config;
pub mod error;
pub mod grpc;
pub mod instance;
pub mod list;
pub mod quota;
pub mod store;

const CONVENTIONS: Conventions =
    Conventions { domain: "nova", error_body: ErrorBody::ByAccept, compute_request_id: false };

/// Everything nova-api-svc serves on `base`.
#[must_use]
pub fn service(compute: ComputeApi, base: &Base) -> Service {
    let names = &[flavor_service_server::SERVICE_NAME, instance_service_server::SERVICE_NAME];
    let routes = grpc::routes(compute, base.options.limits.message);
    Service {
        metrics: |registry| {
            peers::glance::register_metrics(registry);
            peers::glance::jobs::register_metrics(registry);
            peers::cinder::register_metrics(registry);
            store::register_metrics(registry);
        },
        ..Service::new(base, CONVENTIONS, proto::nova::DESCRIPTORS, names, routes)
    }
}
