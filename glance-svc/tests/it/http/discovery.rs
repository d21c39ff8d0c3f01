//! Version discovery, schemas, and the answers to unknown paths.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::support::{Settings, Who, World};

on_both_databases!(
    tells_its_versions,
    versions_point_to_the_host_of_the_request,
    versions_point_to_the_authority_of_http_2,
    versions_point_to_the_public_endpoint,
    needs_no_caller_to_tell_its_versions,
    outside_of_the_api_every_path_is_a_choice,
    every_version_is_the_second_one,
    unknown_paths_of_the_api_are_not_found,
    a_wrong_method_names_the_right_ones,
    describes_itself_to_programs,
    what_is_not_there_is_answered_as_if_switched_off,
);

const NO_IMAGE: &str = "00000000-0000-4000-8000-000000000000";

fn ids(document: &Value) -> Vec<&str> {
    let versions = document["versions"].as_array().unwrap().iter();
    versions.map(|version| version["id"].as_str().unwrap()).collect()
}

async fn every_version_is_the_second_one(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    for prefix in ["/v2.0", "/v2.17", "//v2", "///v2.9", "/v2/"] {
        let page = http.get(&format!("{prefix}/images?name=cirros&limit=1")).await.is(200).json();
        assert_eq!(
            (&page["images"][0]["id"], page["images"].as_array().unwrap().len()),
            (&json!(id), 1),
            "{prefix}"
        );
        assert_eq!(
            http.get(&format!("{prefix}/images/{id}")).await.is(200).json()["self"],
            format!("/v2/images/{id}")
        );
        http.get(&format!("{prefix}/nonsense")).await.error(404, "METHOD_NOT_FOUND");
    }
    let file = format!("//v2.1/images/{id}/file");
    let call = http.call("PUT", &file).header("content-type", "application/octet-stream");
    call.text("hello").send().await.is(204);
    assert_eq!(http.get(&file).await.is(200).text(), "hello");
    for other in ["/v2.8/images", "/v2.99/images", "/v1/images", "/v2.0images"] {
        http.get(other).await.is(300);
    }
}

async fn tells_its_versions(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::STRANGER);
    let root = http.get("/").await.is(300).json();
    let known = ["v2.17", "v2.15", "v2.9", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0"];
    assert_eq!(ids(&root), known);
    let href = format!("http://{}/v2/", world.address);
    for (index, version) in root["versions"].as_array().unwrap().iter().enumerate() {
        let status = if index == 0 { "CURRENT" } else { "SUPPORTED" };
        assert_eq!(version["status"], status);
        assert_eq!(version["links"], json!([{"rel": "self", "href": href}]));
    }
    for path in ["/versions", "/versions/", "/v2", "/v2/"] {
        assert_eq!(http.get(path).await.is(200).json(), root, "{path}");
    }
}

async fn versions_point_to_the_host_of_the_request(db: TestDb) {
    let world = World::start(db).await;
    let call = world.http(Who::NOBODY).call("GET", "/versions").header("host", "glance.example.org:80");
    let versions = call.send().await.is(200).json();
    assert_eq!(versions["versions"][0]["links"][0]["href"], "http://glance.example.org:80/v2/");
}

async fn versions_point_to_the_authority_of_http_2(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER).http_2();
    let versions = http.get("/versions").await.is(200).json();
    assert_eq!(versions["versions"][0]["links"][0]["href"], format!("http://{}/v2/", world.address));
    let created = http.post("/v2/images", json!({"name": "cirros"})).await.is(201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("http://{}/v2/images/{id}", world.address));
}

async fn versions_point_to_the_public_endpoint(db: TestDb) {
    let settings = Settings { public_endpoint: Some("https://images.example.org/"), ..Settings::default() };
    let world = World::start_with(db, settings).await;
    let http = world.http(Who::OWNER);
    let versions = http.get("/").await.is(300).json();
    assert_eq!(versions["versions"][0]["links"][0]["href"], "https://images.example.org/v2/");
    let created = http.post("/v2/images", json!({"name": "cirros"})).await.is(201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("https://images.example.org/v2/images/{id}"));
}

async fn needs_no_caller_to_tell_its_versions(db: TestDb) {
    let settings = Settings { identity: chassis::caller::Identity::Proxy, ..Settings::default() };
    let http = World::start_with(db, settings).await.http(Who::NOBODY);
    for (path, status) in [("/", 300), ("/versions", 200), ("/v2/", 200), ("/nonsense", 300)] {
        assert_eq!(ids(&http.get(path).await.is(status).json()).len(), 11, "{path}");
    }
    assert_eq!(http.get("/healthcheck").await.is(200).text(), "OK");
    http.get("/openapi.json").await.is(200);
    http.get("/v2/images").await.error(401, "UNAUTHENTICATED");
}

async fn outside_of_the_api_every_path_is_a_choice(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let root = http.get("/").await.is(300).json();
    for path in ["/v1", "/v1/images", "/v3", "/nonsense", "/v2.18/images", "/images", "/%00", "/v2images"] {
        assert_eq!(http.get(path).await.is(300).json(), root, "{path}");
    }
    for method in ["POST", "DELETE", "PURGE"] {
        assert_eq!(http.call(method, "/nonsense").send().await.is(300).json(), root, "{method}");
    }
}

async fn unknown_paths_of_the_api_are_not_found(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let image = format!("/v2/images/{NO_IMAGE}");
    for path in
        ["/v2/nonsense", "/v2/images/", "/v2/metadefs/namespaces", "/v2/cache", "/v2/schemas/nonsense"]
    {
        http.get(path).await.error(404, "METHOD_NOT_FOUND");
    }
    for path in [format!("{image}/nonsense"), format!("{image}/file/x"), format!("{image}/tags")] {
        http.get(&path).await.error(404, "METHOD_NOT_FOUND");
    }
    for id in ["nonsense", "6e1f4a525c5f4c399d0c6f7d0a3a4f11", "%20", "%F0%9F%A6%80"] {
        let metadata = http.get(&format!("/v2/images/{id}")).await.error(404, "IMAGE_NOT_FOUND");
        assert!(metadata["image_id"].is_string());
    }
}

async fn a_wrong_method_names_the_right_ones(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let image = format!("/v2/images/{NO_IMAGE}");
    for (method, path, allowed) in [
        ("PUT", "/v2/images".to_owned(), &["GET", "POST"][..]),
        ("FOO", "/v2/images".to_owned(), &["GET", "POST"]),
        ("POST", image.clone(), &["DELETE", "GET", "PATCH"]),
        ("PUT", image.clone(), &["DELETE", "GET", "PATCH"]),
        ("POST", format!("{image}/file"), &["GET", "PUT"]),
        ("GET", format!("{image}/tags/x"), &["DELETE", "PUT"]),
        ("PUT", format!("{image}/members"), &["GET", "POST"]),
        ("PATCH", format!("{image}/members/x"), &["DELETE", "GET", "PUT"]),
        ("GET", format!("{image}/actions/deactivate"), &["POST"]),
        ("POST", "/v2/schemas/image".to_owned(), &["GET"]),
    ] {
        let answer = http.call(method, &path).send().await;
        answer.error(405, "METHOD_NOT_FOUND");
        let mut named: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
        named.retain(|method| *method != "HEAD");
        named.sort_unstable();
        assert_eq!(named, allowed, "{method} {path}");
    }
}

async fn describes_itself_to_programs(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let document = http.get("/openapi.json").await.is(200).json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."), "{}", document["openapi"]);
    for (method, path) in glance_svc::http::calls() {
        let operation = &document["paths"][&path][method.as_str().to_lowercase()];
        assert!(operation["responses"].is_object(), "{method} {path} is not described");
    }
}

async fn what_is_not_there_is_answered_as_if_switched_off(db: TestDb) {
    let world = World::start(db).await;
    let (http, admin) = (world.http(Who::OWNER), world.http(Who::ADMIN));
    let image = format!("/v2/images/{}", http.queued().await);
    let methods = http.get("/v2/info/import").await.is(200).json();
    assert_eq!(methods["import-methods"]["value"], json!([]));
    assert_eq!(http.get("/v2/info/usage").await.is(200).json(), json!({"usage": {}}));
    for path in ["/v2/info/stores", "/v2/info/stores/detail"] {
        http.get(path).await.error(404, "NOT_SUPPORTED");
    }
    http.delete(&format!("/v2/stores/file/{NO_IMAGE}")).await.error(404, "NOT_SUPPORTED");
    http.put(&format!("{image}/stage"), json!({})).await.error(404, "NOT_SUPPORTED");
    http.post(&format!("{image}/import"), json!({})).await.violation("method.name", "must be there");
    let import = json!({"method": {"name": "web-download"}});
    http.post(&format!("{image}/import"), import).await.violation("method.name", "\"web-download\"");
    http.get(&format!("{image}/locations")).await.error(403, "NOT_SUPPORTED");
    assert_eq!(http.get(&format!("{image}/tasks")).await.is(200).json(), json!({"tasks": []}));
    http.get(&format!("/v2/images/{NO_IMAGE}/tasks")).await.error(404, "IMAGE_NOT_FOUND");
    for (path, there) in [("/v2/tasks", 200), ("/v2/tasks/x", 404)] {
        http.get(path).await.error(403, "NOT_PERMITTED");
        admin.get(path).await.is(there);
    }
    http.post("/v2/tasks", json!({})).await.error(403, "NOT_PERMITTED");
    admin.post("/v2/tasks", json!({"type": "import"})).await.violation("type", "no tasks");
}
