//! The image catalogue: images, their properties, the history of both, and their data.
//!
//! `grpc` and `http` (the edges) → `images` (use cases) → `store` (SQL) and `data` (object store); `image` holds
//! the rules and knows none of them.

use common::{caller::Identity, db::Db, server};
use proto::glance::v1::image_service_server::SERVICE_NAME;
use tonic::service::Routes;

use images::Images;

pub mod config;
pub mod data;
pub mod error;
pub mod grpc;
pub mod http;
pub mod image;
pub mod images;
pub mod list;
pub mod store;

/// Everything glance-svc serves: both edges on `images`, on one port.
#[must_use]
pub fn service(images: Images, identity: Identity, public_endpoint: Option<&str>, db: Db) -> server::Service {
    let grpc = Routes::new(grpc::image_service(images.clone(), identity)).into_axum_router();
    let router = http::Api::new(images, identity, public_endpoint).beside(grpc);
    server::Service {
        program: "glance-svc",
        is_transfer: |request| {
            let path = request.uri().path();
            ["/UploadImageData", "/DownloadImageData", "/file"].iter().any(|end| path.ends_with(end))
        },
        metrics: |_| {},
        domain: "glance",
        descriptors: proto::glance::DESCRIPTORS,
        names: &[SERVICE_NAME],
        routes: Routes::from(router),
        db,
    }
}
