//! What every description has, whatever its handlers say.

use axum::{Router, http::StatusCode};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::*;
use crate::http::ErrorBody;

/// Show a server
#[utoipa::path(
    get, path = "/servers/{id}", operation_id = "showServer",
    params(("id" = String, Path)),
    responses((status = 200, description = "The server.", body = String, headers(("ETag" = String))), Refused::<404>)
)]
async fn show() {}

/// Create a server
#[utoipa::path(
    post, path = "/servers", operation_id = "createServer", request_body = String,
    responses((status = 202, description = "The server.", body = String))
)]
async fn create() {}

/// List versions
#[utoipa::path(
    get, path = "/", operation_id = "listVersions", security(()),
    responses((status = 200, description = "The versions."))
)]
async fn versions() {}

fn document(error_body: ErrorBody) -> Value {
    let (_, api): (Router, _) = OpenApiRouter::new()
        .routes(routes!(versions))
        .routes(alias("/v2.1", "listVersionsV21", routes!(versions)))
        .routes(routes!(create))
        .routes(routes!(show))
        .split_for_parts();
    let conventions = Conventions { domain: "nova", error_body, compute_request_id: true };
    let mut document = complete(&api, conventions, &[(400, "Wrong."), (404, "Not there."), (503, "Away.")]);
    link(&mut document, "/paths/~1servers/post/responses/202", &[("id", "server/id")], &["showServer"]);
    document
}

/// The statuses that an operation may answer with.
fn statuses(operation: &Value) -> Vec<&str> {
    operation["responses"].as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn every_call_may_fail_as_calls_do() {
    let document = document(ErrorBody::ByAccept);
    let paths = &document["paths"];
    assert_eq!(statuses(&paths["/servers/{id}"]["get"]), ["200", "400", "401", "404", "500", "503"]);
    assert_eq!(statuses(&paths["/servers"]["post"]), ["202", "400", "401", "413", "415", "500", "503"]);
    assert_eq!(statuses(&paths["/"]["get"]), ["200"]);
}

#[test]
fn every_answer_has_its_request_id_and_requires_its_headers() {
    let document = document(ErrorBody::ByAccept);
    let shown = &document["paths"]["/servers/{id}"]["get"]["responses"]["200"]["headers"];
    assert_eq!(shown["ETag"]["required"], true);
    assert_eq!(
        shown["x-openstack-request-id"],
        json!({"$ref": "#/components/headers/x-openstack-request-id"})
    );
    let unavailable = &document["components"]["responses"]["ServiceUnavailable"];
    assert!(unavailable["headers"]["Retry-After"].is_object(), "{unavailable}");
}

#[test]
fn errors_are_described_as_the_service_renders_them() {
    let by_accept = document(ErrorBody::ByAccept);
    let forms = &by_accept["components"]["responses"]["NotFound"]["content"];
    let forms: Vec<_> = forms.as_object().unwrap().keys().collect();
    assert_eq!(forms, ["application/json", "text/html", "text/plain"]);
    let faults = document(ErrorBody::Faults { over_quota: StatusCode::FORBIDDEN });
    let schema = &faults["components"]["responses"]["NotFound"]["content"]["application/json"]["schema"];
    assert_eq!(schema["$ref"], "#/components/schemas/Fault");
    assert!(faults["components"]["schemas"]["Fault"].is_object());
}

#[test]
fn answers_lead_to_calls_and_aliases_are_calls_of_their_own() {
    let document = document(ErrorBody::ByAccept);
    let link = &document["paths"]["/servers"]["post"]["responses"]["202"]["links"]["showServer"];
    let expected = json!({"operationId": "showServer", "parameters": {"id": "$response.body#/server/id"}});
    assert_eq!(*link, expected);
    assert_eq!(document["paths"]["/v2.1"]["get"]["operationId"], "listVersionsV21");
}
