//! The HTTP edge: OpenStack's Block Storage API v3, read and rendered; what it does is in `volumes`.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::Method,
    middleware::from_fn_with_state,
    routing::any,
};
use chassis::{
    http::{
        self, Conventions, Endpoint, ErrorBody, Problem,
        body::{self, JSON, Limits},
        microversion::{Microversion, Microversions, Range, negotiate},
        openapi::{alias, calls as described_calls},
    },
    server::Base,
    status::{Code, Description, StatusCode},
};
use common::{id::Id, text::clip, violations::Violations};
use serde::de::DeserializeOwned;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::volumes::VolumeApi;

mod attachments;
mod call;
mod discovery;
mod limits;
mod list;
mod metadata;
mod openapi;
mod path;
mod quota_sets;
mod render;
mod services;
mod snapshots;
mod transfers;
mod types;
mod values;
mod volumes;
mod zones;

pub use openapi::document;
pub use path::path;

use call::Call;
use openapi::Frame;

/// What is Cinder's about the edge.
pub const CONVENTIONS: Conventions = Conventions {
    domain: "cinder",
    error_body: ErrorBody::Faults { over_quota: StatusCode::PAYLOAD_TOO_LARGE },
    compute_request_id: true,
};

/// The versions that requests can choose from.
pub static MICROVERSIONS: Microversions = Microversions {
    service: "volume",
    legacy_header: None,
    min: Microversion::new(3, 0),
    max: Microversion::new(3, 71),
};

/// From version 3.`minor` on.
const fn since(minor: u16) -> Range {
    Range::since(Microversion::new(3, minor))
}

/// What every handler needs.
#[derive(Debug)]
pub struct Api {
    volumes: VolumeApi,
    /// Where callers reach this service.
    endpoint: Endpoint,
    /// Largest body, bytes.
    message: usize,
    /// The description of the API for programs, as JSON.
    openapi: Bytes,
}

impl Api {
    /// The API on `volumes`; links lead to the public endpoint, or to the host that a request names.
    #[must_use]
    pub fn new(volumes: VolumeApi, public_endpoint: Option<&str>, base: &Base) -> Self {
        let endpoint = Endpoint::new(public_endpoint, base.identity);
        let openapi = Bytes::from(document().to_string());
        Self { volumes, endpoint, message: base.options.limits.message, openapi }
    }

    /// Everything the API answers; `grpc` gets what is called as gRPC.
    pub fn beside(self, grpc: Router) -> Router {
        let router = Router::from(routes()).with_state(Arc::new(self));
        let router = router.layer(from_fn_with_state(Arc::new(MICROVERSIONS.clone()), negotiate));
        http::beside(grpc, router, any(http::unknown), CONVENTIONS)
    }

    /// The JSON of a body, as the plain data that a call takes.
    async fn body<T: DeserializeOwned>(&self, request: Request) -> Result<T, Problem> {
        body::check_type(request.headers(), JSON)?;
        let json = body::json(request, Limits { bytes: self.message, values: proto::MOST_FIELDS }).await?;
        Ok(serde_path_to_error::deserialize(json).map_err(|error| {
            let (path, problem) = (error.path().to_string(), error.into_inner().to_string());
            Violations::one(if path == "." { "body" } else { &path }, problem)
        })?)
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
        .routes(routes!(discovery::redirect))
        .routes(routes!(discovery::versions))
        .routes(routes!(discovery::health))
        .routes(routes!(discovery::openapi))
        .routes(routes!(volumes::list::list, volumes::create))
        .routes(routes!(volumes::list::detail))
        .routes(routes!(volumes::summary::show))
        .routes(routes!(volumes::show, volumes::update, volumes::delete))
        .routes(routes!(volumes::metadata::list, volumes::metadata::add, volumes::metadata::replace))
        .routes(routes!(volumes::metadata::show, volumes::metadata::set, volumes::metadata::remove))
        .routes(routes!(volumes::actions::run_action))
        .routes(routes!(snapshots::list::list, snapshots::create))
        .routes(alias("/v3/snapshots/detail", "listSnapshotsDetail", routes!(snapshots::list::list)))
        .routes(routes!(snapshots::show, snapshots::update, snapshots::delete))
        .routes(routes!(snapshots::actions::run_action))
        .routes(routes!(snapshots::metadata::list, snapshots::metadata::add, snapshots::metadata::replace))
        .routes(routes!(snapshots::metadata::show, snapshots::metadata::set, snapshots::metadata::remove))
        .routes(routes!(attachments::list::list, attachments::create))
        .routes(routes!(attachments::list::detail))
        .routes(routes!(attachments::show, attachments::update, attachments::delete))
        .routes(routes!(attachments::complete))
        .routes(routes!(transfers::list, transfers::create))
        .routes(alias("/v3/volume-transfers/detail", "listTransfersDetail", routes!(transfers::list)))
        .routes(routes!(transfers::show, transfers::delete))
        .routes(routes!(transfers::accept))
        .routes(routes!(types::list::list, types::create))
        .routes(routes!(types::default))
        .routes(routes!(types::show, types::update, types::delete))
        .routes(routes!(types::specs::list, types::specs::add))
        .routes(routes!(types::specs::show, types::specs::set, types::specs::remove))
        .routes(routes!(types::access::list))
        .routes(routes!(types::access::change))
        .routes(routes!(quota_sets::show, quota_sets::update, quota_sets::reset))
        .routes(routes!(quota_sets::defaults))
        .routes(routes!(limits::show))
        .routes(routes!(services::list))
        .routes(routes!(zones::list))
        .routes(alias("/v3/os-availability-zone/detail", "listAvailabilityZonesDetail", routes!(zones::list)))
}

/// The resource that a path names by its id; a text that is no id names none.
fn id_of(text: &str, reason: &'static str, noun: &str) -> Result<Id, Problem> {
    text.parse().map_err(|_| no_such(text, reason, noun))
}

fn no_such(text: &str, reason: &'static str, noun: &str) -> Problem {
    let text = clip(text, 100);
    let description = Description::new(Code::NotFound, reason).with("id", &text);
    Problem::new(format!("there is no {noun} {text}"), description)
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
        let (_, block_storage_api) = COMPATIBILITY.split_once("\n## Block Storage API").unwrap();
        let rows = block_storage_api.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let is_known =
            |kind: &str| ["supported ", "accepted ", "refused "].iter().any(|known| kind.starts_with(known));
        let documented: BTreeSet<_> =
            rows.filter(|(_, kind)| is_known(kind)).map(|(call, _)| call.to_owned()).collect();
        assert_eq!(documented, calls);
    }
}
