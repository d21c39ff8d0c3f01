//! The image catalogue: images, their properties, the history of both, and their data.
//!
//! `grpc` and `http` (the edges) → `images` (use cases) → `store` (SQL) and `data` (object store); `image` has the rules
//! and depends on none of them.

use chassis::server::{Base, Service};
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

/// Whether a path is one of image data, over either edge.
fn is_transfer(path: &str) -> bool {
    let data = path.strip_prefix("/v2/images/").and_then(|path| path.strip_suffix("/file"));
    let method = path.strip_prefix('/').and_then(|path| path.strip_prefix(SERVICE_NAME));
    data.is_some_and(|image| !image.is_empty() && !image.contains('/'))
        || matches!(method, Some("/UploadImageData" | "/DownloadImageData"))
}

/// Everything glance-svc serves on `base`: both edges on `images`, on one port. `public_endpoint` is the URL at which
/// callers reach it, if that is not the host that their requests name.
#[must_use]
pub fn service(images: Images, public_endpoint: Option<&str>, base: &Base) -> Service {
    let memory = images.memory().clone();
    let grpc = grpc::image_service(images.clone()).max_decoding_message_size(base.options.limits.message);
    let api = http::Api::new(images, public_endpoint, base);
    let routes = Routes::from(api.beside(Routes::new(grpc).into_axum_router()));
    Service {
        is_transfer: |request| is_transfer(request.uri().path()),
        path: http::path,
        memory,
        metrics: chassis::data::register_metrics,
        ..Service::new(base, http::CONVENTIONS, proto::glance::DESCRIPTORS, &[SERVICE_NAME], routes)
    }
}

#[cfg(test)]
mod tests {
    use super::is_transfer;

    #[test]
    fn data_of_images_alone_take_as_long_as_they_like() {
        for path in [
            "/v2/images/x/file",
            "/glance.v1.ImageService/UploadImageData",
            "/glance.v1.ImageService/DownloadImageData",
        ] {
            assert!(is_transfer(path), "{path}");
        }
        for path in [
            "/file",
            "/v2/file",
            "/v2/images/file",
            "/v2/images//file",
            "/v2/images/x/tags/file",
            "/v2/images/x/members/file",
            "/x/UploadImageData",
            "/glance.v1.ImageService/x/UploadImageData",
        ] {
            assert!(!is_transfer(path), "{path}");
        }
    }
}
