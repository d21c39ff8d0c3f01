//! Version discovery, and what describes the service itself.

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chassis::http::versions::{Status, Version, Versions};

use super::{Api, ApiState, MICROVERSIONS, openapi::VERSIONS};

/// The only version.
static V3: Version = Version {
    id: "v3.0",
    status: Status::Current,
    path: "/v3/",
    microversions: Some(&MICROVERSIONS),
    updated: Some("2023-08-31T00:00:00Z"),
    media_type: Some("application/vnd.openstack.volume+json;version=3"),
};

/// List the versions of the API
///
/// For clients that look for the API at the root of the service. Needs no token.
#[utoipa::path(
    get,
    path = "/",
    operation_id = "chooseVersion",
    tag = VERSIONS,
    security(()),
    responses((status = 300, description = "The versions to choose from.", body = Versions)),
)]
pub(super) async fn choices(api: ApiState, request: Request) -> Response {
    (StatusCode::MULTIPLE_CHOICES, document(&api, &request)).into_response()
}

/// Go to the version
///
/// Needs no token.
#[utoipa::path(
    get,
    path = "/v3",
    operation_id = "redirectToVersion",
    tag = VERSIONS,
    security(()),
    responses((status = 302, description = "The version is at `/v3/`.", headers(("Location" = String)))),
)]
pub(super) async fn redirect(api: ApiState, request: Request) -> Response {
    let location = format!("{}/v3/", api.endpoint.of(&request));
    let location = HeaderValue::try_from(location).unwrap_or(HeaderValue::from_static("/v3/"));
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

/// Show the version
///
/// Needs no token.
#[utoipa::path(
    get,
    path = "/v3/",
    operation_id = "showVersion",
    tag = VERSIONS,
    security(()),
    responses((status = 200, description = "The version, in a list.", body = Versions)),
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
    tag = VERSIONS,
    security(()),
    responses((status = 200, description = "It runs.", body = String, content_type = "text/plain")),
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
    tag = VERSIONS,
    security(()),
    responses(
        (status = 200, description = "This document.", body = Object, content_type = "application/json"),
    ),
)]
pub(super) async fn openapi(api: ApiState) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.openapi.clone()).into_response()
}

fn document(api: &Api, request: &Request) -> Json<Versions> {
    Json(Versions::at(&api.endpoint.of(request), &[V3]))
}
