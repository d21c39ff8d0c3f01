//! The HTTP edge: OpenStack's Image API v2, read and rendered; what it does is in `images`.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, Method},
    routing::{MethodRouter, any, delete, get, patch as on_patch, post, put},
};
use chassis::{
    http::{
        self, Authenticated, Conventions, Endpoint, ErrorBody, Problem,
        body::{self, JSON, Limits},
        conditions::{self, Stale},
    },
    server::Base,
    status::{Code, Description},
};
use common::id::Id;
use serde_json::Value;

use crate::{error::Error, images::Images};

mod absent;
mod attribute;
mod data;
mod discovery;
mod images;
mod members;
pub mod patch;
pub mod query;
mod render;
mod tags;

pub use discovery::path;

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
}

/// A call of the API: its method, its path, and what answers it.
type Route = (Method, &'static str, MethodRouter<Arc<Api>>);

impl Api {
    /// The API on `images`; version discovery points to the public endpoint, or to the host a request names.
    #[must_use]
    pub fn new(images: Images, public_endpoint: Option<&str>, base: &Base) -> Self {
        let endpoint = Endpoint::new(public_endpoint, base.identity);
        Self { images, endpoint, message: base.options.limits.message }
    }

    /// Everything the API answers; `grpc` gets what is called as gRPC.
    pub fn beside(self, grpc: Router) -> Router {
        let mut router = Router::new();
        for (_, path, handler) in routes() {
            router = router.route(path, handler);
        }
        let api = Arc::new(self);
        let unknown = any(discovery::unknown).with_state(Arc::clone(&api));
        http::beside(grpc, router.with_state(api), unknown, CONVENTIONS)
    }
}

/// The calls of the API, as method and path.
pub fn calls() -> impl Iterator<Item = (Method, &'static str)> {
    routes().into_iter().map(|(method, path, _)| (method, path))
}

fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        (M::GET, "/", get(discovery::choices)),
        (M::GET, "/versions", get(discovery::versions)),
        (M::GET, "/versions/", get(discovery::versions)),
        (M::GET, "/v2", get(discovery::versions)),
        (M::GET, "/v2/", get(discovery::versions)),
        (M::GET, "/healthcheck", get(discovery::health)),
        (M::GET, "/openapi.json", get(discovery::openapi)),
        (M::GET, "/v2/schemas/{name}", get(discovery::schema)),
        (M::GET, "/v2/images", get(images::list)),
        (M::POST, "/v2/images", post(images::create)),
        (M::GET, "/v2/images/{image_id}", get(images::show)),
        (M::PATCH, "/v2/images/{image_id}", on_patch(images::update)),
        (M::DELETE, "/v2/images/{image_id}", delete(images::delete)),
        (M::POST, "/v2/images/{image_id}/actions/deactivate", post(images::deactivate)),
        (M::POST, "/v2/images/{image_id}/actions/reactivate", post(images::reactivate)),
        (M::GET, "/v2/images/{image_id}/file", get(data::download)),
        (M::PUT, "/v2/images/{image_id}/file", put(data::upload)),
        (M::PUT, "/v2/images/{image_id}/tags/{tag}", put(tags::add)),
        (M::DELETE, "/v2/images/{image_id}/tags/{tag}", delete(tags::remove)),
        (M::GET, "/v2/images/{image_id}/members", get(members::list)),
        (M::POST, "/v2/images/{image_id}/members", post(members::add)),
        (M::GET, "/v2/images/{image_id}/members/{member_id}", get(members::show)),
        (M::PUT, "/v2/images/{image_id}/members/{member_id}", put(members::update)),
        (M::DELETE, "/v2/images/{image_id}/members/{member_id}", delete(members::remove)),
        (M::GET, "/v2/images/{image_id}/locations", get(absent::locations)),
        (M::POST, "/v2/images/{image_id}/locations", post(absent::locations)),
        (M::PUT, "/v2/images/{image_id}/stage", put(absent::stage)),
        (M::POST, "/v2/images/{image_id}/import", post(absent::import)),
        (M::GET, "/v2/images/{image_id}/tasks", get(absent::image_tasks)),
        (M::GET, "/v2/tasks", get(absent::tasks)),
        (M::POST, "/v2/tasks", post(absent::create_task)),
        (M::GET, "/v2/tasks/{task_id}", get(absent::task)),
        (M::DELETE, "/v2/tasks/{task_id}", delete(absent::task)),
        (M::GET, "/v2/info/import", get(absent::import_methods)),
        (M::GET, "/v2/info/stores", get(absent::stores)),
        (M::GET, "/v2/info/stores/detail", get(absent::stores)),
        (M::GET, "/v2/info/usage", get(absent::usage)),
        (M::DELETE, "/v2/stores/{store_id}/{image_id}", delete(absent::stores)),
    ]
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
        let calls: BTreeSet<_> = super::calls().map(|(method, path)| format!("{method} {path}")).collect();
        let rows = COMPATIBILITY.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let is_known =
            |kind: &str| ["supported ", "accepted ", "refused "].iter().any(|known| kind.starts_with(known));
        let documented: BTreeSet<_> =
            rows.filter(|(_, kind)| is_known(kind)).map(|(call, _)| call.to_owned()).collect();
        assert_eq!(documented, calls);
    }
}
