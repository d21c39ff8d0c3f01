//! The HTTP edge: OpenStack's Image API v2, read and rendered; what it does is in `images`.

use std::{error::Error as _, sync::Arc};

use axum::{
    Router,
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, Method, header, request::Parts},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, any, delete, get, patch as on_patch, post, put},
};
use chassis::{
    caller::{Caller, Identity},
    http::{self, Problem},
    identity,
    status::{Code, Description},
};
use common::{id::Id, violations::Violations};
use http_body_util::LengthLimitError;
use serde_json::Value;

use crate::{Terms, error::Error, images::Images};

mod absent;
mod attribute;
mod conditions;
mod data;
mod discovery;
mod forwarded;
mod images;
mod json;
mod members;
pub mod patch;
pub mod query;
mod range;
mod render;
mod tags;

pub use discovery::path;

/// Domain of the reasons of its errors.
const DOMAIN: &str = "glance";

/// The type of most bodies.
const JSON: &str = "application/json";

/// What every handler needs.
#[derive(Debug)]
pub struct Api {
    images: Images,
    /// Where callers reach this service, if not where their request says.
    public_endpoint: Option<String>,
    /// Largest body that is no data of an image, bytes.
    message: usize,
    /// Where callers are known from.
    identity: Identity,
}

/// A call of the API: its method, its path, and what answers it.
type Route = (Method, &'static str, MethodRouter<Arc<Api>>);

impl Api {
    /// The API on `images`; version discovery points to the public endpoint, or to the host a request names.
    #[must_use]
    pub fn new(images: Images, terms: Terms<'_>) -> Self {
        let Terms { public_endpoint, message, identity } = terms;
        let public_endpoint = public_endpoint.map(|url| url.trim_end_matches('/').to_owned());
        Self { images, public_endpoint, message, identity }
    }

    /// Everything the API answers; `grpc` gets what is called as gRPC.
    pub fn beside(self, grpc: Router) -> Router {
        let mut router = Router::new();
        for (_, path, handler) in routes() {
            router = router.route(path, handler);
        }
        let (api, edge) = (Arc::new(self), http::Edge { domain: DOMAIN });
        let unknown = any(discovery::unknown).with_state(Arc::clone(&api)).layer(edge);
        grpc.merge(router.with_state(api).layer(edge)).fallback_service(unknown)
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

/// Who is calling.
struct Authenticated(Arc<Caller>);

impl FromRequestParts<Arc<Api>> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, Problem> {
        Ok(Self(identity::caller(&parts.extensions).map_err(Error::from)?))
    }
}

/// The image that a path names; a text that is no id names none.
fn image_id(text: &str) -> Result<Id, Problem> {
    text.parse().map_err(|_| {
        let description = Description::new(Code::NotFound, "IMAGE_NOT_FOUND");
        let text = common::text::clip(text, 100);
        Problem::new(format!("no image {text}"), description.with("image_id", text))
    })
}

impl Api {
    /// The body of a request, which is small, and JSON. It must say so: of any other type, a web page can have a browser
    /// send it. A PATCH has types of its own, which have been looked at.
    async fn json(&self, request: Request) -> Result<Value, Problem> {
        let given = media_type(request.headers());
        if request.method() != Method::PATCH && !given.eq_ignore_ascii_case(JSON) {
            return Err(unsupported_media_type(given, JSON));
        }
        check_coding(request.headers())?;
        let body = axum::body::to_bytes(request.into_body(), self.message).await;
        let body = body.map_err(|error| self.unread(&error))?;
        json::read(&body).map_err(Problem::from)
    }

    /// Why a body could not be read.
    fn unread(&self, error: &axum::Error) -> Problem {
        let is_too_large = error.source().is_some_and(<dyn std::error::Error>::is::<LengthLimitError>);
        if !is_too_large {
            return Violations::one("body", "broke off, or is not framed as its headers say").into();
        }
        let description = Description::new(Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
        let sentence = format!("the body is larger than {} bytes", self.message);
        Problem::new(sentence, description.with("limit_bytes", self.message))
    }
}

/// An answer without a body.
fn no_content() -> Response {
    axum::http::StatusCode::NO_CONTENT.into_response()
}

/// The type of a request's body, without its parameters; empty where it is not said, or twice.
fn media_type(headers: &HeaderMap) -> &str {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let value = values.next().filter(|_| values.next().is_none());
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Refuses a body that is coded: it would be taken for what it is the code of.
fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut codings =
        values.flat_map(|value| value.to_str().unwrap_or("unreadable").split(',')).map(str::trim);
    match codings.find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(PLAIN)) {
        None => Ok(()),
        Some(coding) => {
            let description = Description::new(Code::InvalidArgument, "UNSUPPORTED_CONTENT_ENCODING")
                .with("given", common::text::clip(coding, 100))
                .http(axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE);
            let sentence = "the body must be sent as it is, without a Content-Encoding";
            let plain = HeaderValue::from_static(PLAIN);
            Err(Problem::new(sentence, description).with_header(header::ACCEPT_ENCODING, plain))
        }
    }
}

/// The name of no coding at all.
const PLAIN: &str = "identity";

/// The answer to a body of a type that a call does not take.
fn unsupported_media_type(given: &str, expected: &str) -> Problem {
    let description = Description::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE")
        .with("given", common::text::clip(given, 100))
        .with("expected", expected)
        .http(axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE);
    Problem::new(format!("the body must be of type {expected}"), description)
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
