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

/// What the edges go by.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'config> {
    /// Who callers are.
    pub identity: Identity,
    /// Where callers reach this service, if not where their request says.
    pub public_endpoint: Option<&'config str>,
    /// Largest message, or body over HTTP, bytes.
    pub message: usize,
}

/// Everything glance-svc serves: both edges on `images`, on one port.
#[must_use]
pub fn service(images: Images, terms: Terms<'_>, db: Db) -> server::Service {
    let memory = images.memory().clone();
    let grpc = grpc::image_service(images.clone()).max_decoding_message_size(terms.message);
    let router = http::Api::new(images, terms).beside(Routes::new(grpc).into_axum_router());
    server::Service {
        program: "glance-svc",
        identity: terms.identity,
        is_transfer: |request| {
            let path = request.uri().path();
            ["/UploadImageData", "/DownloadImageData", "/file"].iter().any(|end| path.ends_with(end))
        },
        path: http::path,
        memory,
        metrics: |_| {},
        domain: "glance",
        descriptors: proto::glance::DESCRIPTORS,
        names: &[SERVICE_NAME],
        routes: Routes::from(router),
        db,
    }
}
