//! The HTTP edge: OpenStack's Image API v2, read and rendered; what it does is in `images`.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, Method},
    routing::any,
};
use chassis::{
    http::{
        self, Authenticated, Conventions, Endpoint, ErrorBody, Problem,
        body::{self, JSON, Limits},
        conditions::{self, Stale},
        openapi::{alias, calls as described_calls},
    },
    server::Base,
    status::{Code, Description},
};
use common::id::Id;
use serde_json::Value;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{error::Error, images::Images};

mod absent;
mod attribute;
mod data;
mod discovery;
mod images;
mod list;
mod members;
mod openapi;
pub mod patch;
pub mod query;
mod render;
mod tags;

pub use discovery::path;
use openapi::Frame;
pub use openapi::document;

/// What is Glance's about the edge.
pub const CONVENTIONS: Conventions =
    Conventions { domain: "glance", error_body: ErrorBody::ByAccept, compute_request_id: false };

/// What every handler needs.
#[derive(Debug)]
pub struct Api {
    images: Images,
    /// Where callers reach this service.
    endpoint: Endpoint,
    /// Largest body that is no data of an image, bytes.
    message: usize,
    /// The description of the API for programs, as JSON.
    openapi: Bytes,
}

impl Api {
    /// The API on `images`; version discovery points to the public endpoint, or to the host a request names.
    #[must_use]
    pub fn new(images: Images, public_endpoint: Option<&str>, base: &Base) -> Self {
        let endpoint = Endpoint::new(public_endpoint, base.identity);
        let openapi = Bytes::from(document().to_string());
        Self { images, endpoint, message: base.options.limits.message, openapi }
    }

    /// Everything the API answers; `grpc` gets what is called as gRPC.
    pub fn beside(self, grpc: Router) -> Router {
        let (router, api) = (Router::from(routes()), Arc::new(self));
        let unknown = any(discovery::unknown).with_state(Arc::clone(&api));
        http::beside(grpc, router.with_state(api), unknown, CONVENTIONS)
    }
}

/// The calls of the API, as method and path.
#[must_use]
pub fn calls() -> Vec<(Method, String)> {
    described_calls(&routes().into_openapi())
}

/// Every call of the API: its description, which has its method and its path, and what answers it.
fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(Frame::openapi())
        .routes(routes!(discovery::choices))
        .routes(routes!(discovery::versions))
        .routes(alias("/versions/", "listVersionsSlash", routes!(discovery::versions)))
        .routes(alias("/v2", "listVersionsV2", routes!(discovery::versions)))
        .routes(alias("/v2/", "listVersionsV2Slash", routes!(discovery::versions)))
        .routes(routes!(discovery::health))
        .routes(routes!(discovery::openapi))
        .routes(routes!(discovery::schema))
        .routes(routes!(list::list, images::create))
        .routes(routes!(images::show, images::update, images::delete))
        .routes(routes!(images::deactivate))
        .routes(routes!(images::reactivate))
        .routes(routes!(data::download, data::upload))
        .routes(routes!(tags::add, tags::remove))
        .routes(routes!(members::list, members::add))
        .routes(routes!(members::show, members::update, members::remove))
        .routes(routes!(absent::locations, absent::add_location))
        .routes(routes!(absent::stage))
        .routes(routes!(absent::import))
        .routes(routes!(absent::image_tasks))
        .routes(routes!(absent::tasks, absent::create_task))
        .routes(routes!(absent::task, absent::delete_task))
        .routes(routes!(absent::import_methods))
        .routes(routes!(absent::stores))
        .routes(alias("/v2/info/stores/detail", "listStoresDetail", routes!(absent::stores)))
        .routes(routes!(absent::delete_from_store))
        .routes(routes!(absent::usage))
}

/// The image that a path names; a text that is no id names none.
fn image_id(text: &str) -> Result<Id, Problem> {
    text.parse().map_err(|_| {
        let description = Description::new(Code::NotFound, "IMAGE_NOT_FOUND");
        let text = common::text::clip(text, 100);
        Problem::new(format!("no image {text}"), description.with("image_id", text))
    })
}

/// Whether a read of that image, or of its data, is to be answered with it: not if the caller has it already.
fn check_read(headers: &HeaderMap, id: Id, etag: &str) -> Result<bool, Error> {
    conditions::of_read(headers, etag).map_err(|Stale(given)| Error::StaleEtag {
        id,
        given,
        current: etag.to_owned(),
    })
}

impl Api {
    /// The JSON of a body that says that it is JSON.
    async fn json(&self, request: Request) -> Result<Value, Problem> {
        body::check_type(request.headers(), JSON)?;
        self.read_json(request).await
    }

    /// The JSON of a body whose type has been checked.
    async fn read_json(&self, request: Request) -> Result<Value, Problem> {
        body::json(request, Limits { bytes: self.message, values: proto::MOST_FIELDS }).await
    }
}

/// The state of a handler.
type ApiState = State<Arc<Api>>;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The page that says of each call what becomes of it.
    const COMPATIBILITY: &str = include_str!("../../docs/compatibility.md");

    #[test]
    fn every_call_is_documented_and_every_documented_call_exists() {
        let calls: BTreeSet<_> =
            super::calls().iter().map(|(method, path)| format!("{method} {path}")).collect();
        let (image_api, _) = COMPATIBILITY.split_once("\n## Block Storage API").unwrap();
        let rows = image_api.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let is_known =
            |kind: &str| ["supported ", "accepted ", "refused "].iter().any(|known| kind.starts_with(known));
        let documented: BTreeSet<_> =
            rows.filter(|(_, kind)| is_known(kind)).map(|(call, _)| call.to_owned()).collect();
        assert_eq!(documented, calls);
    }
}
