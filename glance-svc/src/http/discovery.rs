//! Version discovery, schemas, and what is answered where nothing is.

use axum::{
    Json,
    extract::{Path, Request},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chassis::http::{
    Problem,
    openapi::Refused,
    versions::{self, Version, Versions},
};
use serde_json::{Value, json};

use super::{
    Api, ApiState, Authenticated,
    openapi::{
        self,
        parameters::SchemaName,
        schema::{Health, JsonSchema},
    },
};

/// The minor versions of a Glance without several stores and without a cache; the first one is the current one.
const VERSIONS: [Version; 11] = [
    Version { status: versions::Status::Current, ..supported("v2.17") },
    supported("v2.15"),
    supported("v2.9"),
    supported("v2.7"),
    supported("v2.6"),
    supported("v2.5"),
    supported("v2.4"),
    supported("v2.3"),
    supported("v2.2"),
    supported("v2.1"),
    supported("v2.0"),
];

const fn supported(id: &'static str) -> Version {
    Version {
        id,
        status: versions::Status::Supported,
        path: "/v2/",
        microversions: None,
        updated: None,
        media_type: None,
    }
}

/// The path as the router has it: Glance takes each of its versions for the second one, and any number of slashes around
/// it for one.
#[must_use]
pub fn path(path: &str) -> Option<String> {
    let (version, rest) = path.trim_start_matches('/').split_once('/')?;
    let is_known = version == "v2" || VERSIONS.iter().any(|known| known.id == version);
    let meant = format!("/v2/{}", rest.trim_start_matches('/'));
    (is_known && meant != path).then_some(meant)
}

/// What images, members and tasks look like, as clients ask for it (warlock's draft of JSON Schema).
const IMAGE: &str = include_str!("schemas/image.json");
const MEMBER: &str = include_str!("schemas/member.json");
const TASK: &str = include_str!("schemas/task.json");

/// List the versions of the API
///
/// For clients that look for the API at the root of the service. Needs no token.
#[utoipa::path(
    get,
    path = "/",
    operation_id = "chooseVersion",
    tag = openapi::VERSIONS,
    security(()),
    responses((status = 300, description = "The versions to choose from.", body = Versions)),
)]
pub(super) async fn choices(api: ApiState, request: Request) -> Response {
    (StatusCode::MULTIPLE_CHOICES, document(&api, &request)).into_response()
}

/// List the versions of the API
///
/// Needs no token.
#[utoipa::path(
    get,
    path = "/versions",
    operation_id = "listVersions",
    tag = openapi::VERSIONS,
    security(()),
    responses((status = 200, description = "The versions.", body = Versions)),
)]
pub(super) async fn versions(api: ApiState, request: Request) -> Json<Versions> {
    document(&api, &request)
}

/// Ask whether the service runs
///
/// Needs no token.
#[utoipa::path(
    get,
    path = "/healthcheck",
    operation_id = "checkHealth",
    tag = openapi::VERSIONS,
    security(()),
    responses((status = 200, description = "It runs.", body = inline(Health), content_type = "text/plain")),
)]
pub(super) async fn health() -> &'static str {
    "OK"
}

/// Get this document
///
/// Needs no token.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getOpenapi",
    tag = openapi::VERSIONS,
    security(()),
    responses(
        (status = 200, description = "This document.", body = Object, content_type = "application/json"),
    ),
)]
pub(super) async fn openapi(api: ApiState) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.openapi.clone()).into_response()
}

/// Get a JSON Schema
///
/// What images, members and tasks look like, for clients that build their models from it.
#[utoipa::path(
    get,
    path = "/v2/schemas/{name}",
    operation_id = "getSchema",
    tag = openapi::VERSIONS,
    params(SchemaName),
    responses((status = 200, description = "The schema.", body = inline(JsonSchema)), Refused::<404>),
)]
pub(super) async fn schema(
    Authenticated(_): Authenticated,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let read = |text: &str| -> Value { serde_json::from_str(text).expect("a schema is JSON") };
    let list = |name: &str, item: &str, links: Value| {
        let items = json!({"type": "array", "items": read(item)});
        let properties = json!({name: items, "schema": {"type": "string"}});
        json!({"name": name, "properties": properties, "links": links})
    };
    let described_by = json!({"rel": "describedby", "href": "{schema}"});
    let paged = json!([{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}, described_by]);
    let mut schema = match name.as_str() {
        "image" => read(IMAGE),
        "member" => read(MEMBER),
        "task" => read(TASK),
        "images" => list("images", IMAGE, paged.clone()),
        "tasks" => list("tasks", TASK, paged.clone()),
        "members" => list("members", MEMBER, json!([described_by])),
        _ => return Err(Problem::no_such_resource()),
    };
    if schema["links"] == paged {
        for link in ["first", "next"] {
            schema["properties"][link] = json!({"type": "string"});
        }
    }
    Ok(Json(schema))
}

/// Answers every path that has no handler; outside of the API, with its versions.
pub(super) async fn unknown(api: ApiState, request: Request) -> Response {
    if request.uri().path().starts_with("/v2/") {
        return Problem::no_such_resource().into_response();
    }
    choices(api, request).await
}

fn document(api: &Api, request: &Request) -> Json<Versions> {
    Json(Versions::at(&api.endpoint.of(request), &VERSIONS))
}
