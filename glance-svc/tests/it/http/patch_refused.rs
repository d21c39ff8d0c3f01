//! What no patch may touch.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::{READ_ONLY, V20, Who, World};

on_both_databases!(
    refuses_what_only_the_service_sets,
    base_attributes_are_not_removed,
    tells_every_refused_name,
    a_patch_needs_an_image_and_its_owner,
    properties_are_strings,
);

async fn refuses_what_only_the_service_sets(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::ADMIN);
    let id = http.queued().await;
    let before = http.show(&id).await;
    for name in READ_ONLY.into_iter().chain(["id"]) {
        for patch in [
            json!([{"op": "add", "path": format!("/{name}"), "value": "x"}]),
            json!([{"op": "replace", "path": format!("/{name}"), "value": "x"}]),
            json!([{"op": "remove", "path": format!("/{name}")}]),
        ] {
            let metadata = http.patch(&id, patch).await.error(403, "ATTRIBUTE_READ_ONLY");
            assert_eq!(metadata["attributes"], name);
        }
        let older = json!([{"add": format!("/{name}"), "value": "x"}]).to_string();
        let call = http.call("PATCH", &format!("/v2/images/{id}")).header("content-type", V20).text(&older);
        call.send().await.error(403, "ATTRIBUTE_READ_ONLY");
    }
    for path in ["/locations/-", "/locations/0", "/locations/0/url"] {
        let patch = json!([{"op": "add", "path": path, "value": {"url": "http://x", "metadata": {}}}]);
        http.patch(&id, patch).await.error(403, "ATTRIBUTE_READ_ONLY");
    }
    assert_eq!(http.show(&id).await, before);
}

async fn base_attributes_are_not_removed(db: TestDb) {
    let http = World::start(db).await.http(Who::ADMIN);
    let id = http.queued().await;
    for name in [
        "name",
        "visibility",
        "protected",
        "os_hidden",
        "owner",
        "disk_format",
        "container_format",
        "min_ram",
        "min_disk",
        "tags",
    ] {
        let patch = json!([{"op": "remove", "path": format!("/{name}")}]);
        assert_eq!(http.patch(&id, patch).await.error(403, "ATTRIBUTE_READ_ONLY")["attributes"], name);
    }
}

async fn tells_every_refused_name(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let patch = json!([
        {"op": "replace", "path": "/size", "value": 1},
        {"op": "add", "path": "/k", "value": "v"},
        {"op": "remove", "path": "/name"},
    ]);
    assert_eq!(http.patch(&id, patch).await.error(403, "ATTRIBUTE_READ_ONLY")["attributes"], "size, name");
    // What cannot be understood is told first.
    let patch =
        json!([{"op": "replace", "path": "/size", "value": 1}, {"op": "add", "path": "/k", "value": 1}]);
    http.patch(&id, patch).await.violation("k", "must be a string");
}

async fn a_patch_needs_an_image_and_its_owner(db: TestDb) {
    let world = World::start(db).await;
    let id = world.http(Who::OWNER).queued().await;
    for (who, status, reason) in [
        (Who::STRANGER, 404, "IMAGE_NOT_FOUND"),
        (Who::READER, 403, "NOT_PERMITTED"),
        (Who::new("x", "", "member"), 404, "IMAGE_NOT_FOUND"),
    ] {
        world.http(who).set(&id, "k", json!("v")).await.error(status, reason);
        // Whether it would change anything or not.
        world.http(who).patch(&id, json!([])).await.error(status, reason);
    }
    let http = world.http(Who::OWNER);
    for unknown in ["00000000-0000-4000-8000-000000000000", "nonsense"] {
        http.set(unknown, "k", json!("v")).await.error(404, "IMAGE_NOT_FOUND");
    }
    http.delete(&format!("/v2/images/{id}")).await.is(204);
    http.set(&id, "k", json!("v")).await.error(404, "IMAGE_NOT_FOUND");
}

async fn properties_are_strings(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    for value in [json!(1), json!(1.5), json!(true), json!(null), json!([]), json!({}), json!(["v"])] {
        for operation in ["add", "replace"] {
            let patch = json!([{"op": operation, "path": "/k", "value": value}]);
            http.patch(&id, patch).await.violation("k", "must be a string");
        }
    }
    assert_eq!(http.set(&id, "k", json!("")).await.is(200).json()["k"], "");
    let largest = "é".repeat(32_767);
    assert_eq!(http.set(&id, "k", json!(largest)).await.is(200).json()["k"], largest);
    let refused = http.set(&id, "k", json!(format!("{largest}é"))).await;
    refused.violation("properties[\"k\"]", "at most 65535 are allowed");
}
