//! Images over HTTP.

use std::{collections::BTreeSet, sync::Arc};

use axum::http::{Method, StatusCode};
use chassis::testing::TestDb;
use harness::service::Service;
use serde_json::{Value, json};

use super::{Peaks, at_once, glance, properties};
use crate::http::{Answer, Http};

/// Bytes of a body that is as large as a body may be.
const LARGEST: usize = 4 << 20;

const JSON: &str = "application/json";

/// Calls that are made in this order, each with what was made by those before it.
const CALLS: [(&str, &str); 38] = [
    ("POST", "/v2/images"),
    ("GET", "/v2/images"),
    ("GET", "/v2/images/{image_id}"),
    ("PATCH", "/v2/images/{image_id}"),
    ("PUT", "/v2/images/{image_id}/file"),
    ("GET", "/v2/images/{image_id}/file"),
    ("POST", "/v2/images/{image_id}/actions/deactivate"),
    ("POST", "/v2/images/{image_id}/actions/reactivate"),
    ("PUT", "/v2/images/{image_id}/tags/{tag}"),
    ("DELETE", "/v2/images/{image_id}/tags/{tag}"),
    ("POST", "/v2/images/{image_id}/members"),
    ("GET", "/v2/images/{image_id}/members"),
    ("GET", "/v2/images/{image_id}/members/{member_id}"),
    ("PUT", "/v2/images/{image_id}/members/{member_id}"),
    ("DELETE", "/v2/images/{image_id}/members/{member_id}"),
    ("GET", "/v2/images/{image_id}/locations"),
    ("POST", "/v2/images/{image_id}/locations"),
    ("PUT", "/v2/images/{image_id}/stage"),
    ("POST", "/v2/images/{image_id}/import"),
    ("GET", "/v2/images/{image_id}/tasks"),
    ("DELETE", "/v2/stores/{store_id}/{image_id}"),
    ("GET", "/v2/tasks"),
    ("POST", "/v2/tasks"),
    ("GET", "/v2/tasks/{task_id}"),
    ("DELETE", "/v2/tasks/{task_id}"),
    ("GET", "/v2/info/import"),
    ("GET", "/v2/info/stores"),
    ("GET", "/v2/info/stores/detail"),
    ("GET", "/v2/info/usage"),
    ("GET", "/v2/schemas/{name}"),
    ("GET", "/openapi.json"),
    ("GET", "/healthcheck"),
    ("GET", "/"),
    ("GET", "/versions"),
    ("GET", "/versions/"),
    ("GET", "/v2"),
    ("GET", "/v2/"),
    ("DELETE", "/v2/images/{image_id}"),
];

pub(super) async fn the_largest_calls_over_http_fit_into_memory(db: TestDb) {
    let glance = glance(&db);
    let http = Arc::new(Http::with_token(&glance, "root:demo:admin"));
    let mut peaks = Peaks(&glance, Vec::new());
    let mut ids = vec![String::new(); at_once()];
    for (method, path) in CALLS {
        let name = format!("{method} {path}");
        // What is refused first, while there is something that it could be about.
        if reads_json(method, path) {
            let media_type = body(method, path, 0).0;
            let refused = |number: usize| {
                let body = (media_type, many_objects());
                send(&http, method, at(path, &ids[number]), body, |status| status == StatusCode::BAD_REQUEST)
            };
            peaks.of(&format!("{name}, with very many objects"), refused).await;
        }
        let call = |number: usize| {
            send(&http, method, at(path, &ids[number]), body(method, path, number), |status| {
                status.is_success() || !path.starts_with("/v2/images") || is_absent(path)
            })
        };
        let answers = peaks.of(&name, call).await;
        if name == "POST /v2/images" {
            ids = answers.iter().map(|answer| answer.json()["id"].as_str().unwrap().to_owned()).collect();
        }
    }
    let documented = documented(&glance).await;
    peaks.check(&documented);
}

/// The calls that the service says it has.
async fn documented(glance: &Service) -> BTreeSet<String> {
    let openapi = Http::with_token(glance, "x").get("/openapi.json").await.json();
    let paths = openapi["paths"].as_object().unwrap();
    let methods = |(path, calls): (&String, &Value)| {
        let path = path.clone();
        let names: Vec<_> = calls.as_object().unwrap().keys().map(|name| name.to_uppercase()).collect();
        names.into_iter().map(move |name| format!("{name} {path}"))
    };
    paths.iter().flat_map(methods).collect()
}

/// Whether the call reads a body that is JSON.
fn reads_json(method: &str, path: &str) -> bool {
    let of_members = path.ends_with("/members") || path.ends_with("/{member_id}");
    match method {
        "PATCH" => true,
        "POST" => of_members || path == "/v2/images" || path.ends_with("/import"),
        "PUT" => of_members,
        _ => false,
    }
}

fn is_absent(path: &str) -> bool {
    ["locations", "stage", "import", "tasks"].iter().any(|end| path.ends_with(end))
}

/// The path about this image.
fn at(path: &str, id: &str) -> String {
    let path = if path == "/v2/images" { "/v2/images?limit=1000" } else { path };
    let tag = "t".repeat(255);
    [
        ("{image_id}", id),
        ("{tag}", &tag),
        ("{member_id}", &tag),
        ("{name}", "image"),
        ("{task_id}", "1"),
        ("{store_id}", "s"),
    ]
    .iter()
    .fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// The largest body of a call, and its type.
fn body(method: &str, path: &str, number: usize) -> (&'static str, String) {
    let body = match (method, path) {
        ("POST", "/v2/images") => {
            let mut image =
                json!({"name": "n".repeat(255), "disk_format": "raw", "container_format": "bare"});
            image["visibility"] = "shared".into();
            let properties = properties("x", number).into_iter().map(|(name, value)| (name, value.into()));
            image.as_object_mut().unwrap().extend(properties);
            image
        }
        ("PATCH", _) => {
            let change = |(name, value)| json!({"op": "replace", "path": format!("/{name}"), "value": value});
            let changes: Vec<_> = properties("y", number + 100).into_iter().map(change).collect();
            return ("application/openstack-images-v2.1-json-patch", Value::from(changes).to_string());
        }
        ("PUT", path) if path.ends_with("/file") => {
            return ("application/octet-stream", "d".repeat(LARGEST));
        }
        ("POST", path) if path.ends_with("/members") => json!({"member": "t".repeat(255)}),
        ("PUT", path) if path.ends_with("/{member_id}") => json!({"status": "accepted"}),
        ("POST" | "PUT", path) if is_absent(path) => json!({"method": {"name": "x".repeat(LARGEST / 2)}}),
        _ => return (JSON, String::new()),
    };
    (JSON, body.to_string())
}

/// As many objects as a body can have.
fn many_objects() -> String {
    let object = r#"{"":0},"#;
    format!("[{}0]", object.repeat(LARGEST / object.len() - 1))
}

fn send(
    http: &Arc<Http>,
    method: &str,
    path: String,
    (media_type, body): (&'static str, String),
    is_expected: impl Fn(StatusCode) -> bool + Send + 'static,
) -> impl Future<Output = Result<Answer, Answer>> + Send + 'static {
    let (http, method) = (Arc::clone(http), method.parse::<Method>().unwrap());
    async move {
        let answer = http.send(method, &path, [("content-type", media_type)], body).await;
        if is_expected(answer.status) { Ok(answer) } else { Err(answer) }
    }
}
