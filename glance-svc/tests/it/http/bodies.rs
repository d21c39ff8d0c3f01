//! The media type and the content coding of bodies.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::{Who, World, file_path, image_path};

on_both_databases!(types_are_compared_without_case, a_type_is_said_once, coded_bodies_are_refused);

async fn types_are_compared_without_case(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    for (kind, value) in [
        ("Application/OpenStack-Images-V2.1-Json-Patch; charset=utf-8", "1"),
        ("APPLICATION/OPENSTACK-IMAGES-V2.1-JSON-PATCH", "2"),
        ("application/openstack-images-v2.1-json-patch ;charset=\"UTF-8\"", "3"),
    ] {
        let patch = json!([{"op": "add", "path": "/k", "value": value}]).to_string();
        let call = http.call("PATCH", &image_path(&id)).header("content-type", kind).text(&patch);
        assert_eq!(call.send().await.is(200).json()["k"], value, "{kind}");
    }
    let json = http.call("POST", "/v2/images").header("content-type", "Application/Json;Charset=utf-8");
    json.text("{\"name\": \"a\"}").send().await.is(201);
    let upload = http.call("PUT", &file_path(&id)).header("content-type", "Application/Octet-Stream; x=y");
    upload.text("hello").send().await.is(204);
    let kind = "application/openstack-images-v2.1-json-patchx";
    let patch = http.call("PATCH", &image_path(&id)).header("content-type", kind).text("[]").send().await;
    patch.error(415, "UNSUPPORTED_MEDIA_TYPE");
    assert!(patch.header("accept-patch").contains("v2.1-json-patch"), "{patch:?}");
}

async fn a_type_is_said_once(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let twice = http
        .call("POST", "/v2/images")
        .header("content-type", "application/json")
        .header("content-type", "text/plain");
    twice.text("{}").send().await.error(415, "UNSUPPORTED_MEDIA_TYPE");
}

async fn coded_bodies_are_refused(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let (id, patch) = (http.queued().await, "application/openstack-images-v2.1-json-patch");
    let (json, octets) = ("application/json", "application/octet-stream");
    let members = format!("{}/members", image_path(&id));
    for (method, path, kind, body, good) in [
        ("POST", "/v2/images", json, "{\"name\": \"a\"}", 201),
        ("PATCH", &image_path(&id), patch, "[]", 200),
        ("POST", &members, json, "{\"member\": \"p\"}", 200),
        ("PUT", &file_path(&id), octets, "hello", 204),
    ] {
        let send = |codings: &[&str]| {
            let call = http.call(method, path).header("content-type", kind).text(body);
            codings.iter().fold(call, |call, coding| call.header("content-encoding", coding)).send()
        };
        for codings in [
            &["gzip"][..],
            &["x-gzip"],
            &["deflate"],
            &["nonsense"],
            &["identity, gzip"],
            &["identity", "br"],
        ] {
            let refused = send(codings).await;
            refused.error(415, "UNSUPPORTED_CONTENT_ENCODING");
            assert_eq!(refused.header("accept-encoding"), "identity", "{method} {path} {codings:?}");
        }
        send(&["Identity"]).await.is(good);
    }
    assert_eq!(http.download(&id).await.is(200).text(), "hello");
}
