//! How much an image may have.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Map, Value, json};

use crate::support::{Settings, Who, World, id_of};

on_both_databases!(
    texts_have_a_longest,
    values_have_a_largest,
    properties_and_tags_have_a_quota,
    the_quota_refuses_growth_alone,
    everything_together_has_a_limit,
);

/// As many properties.
fn properties(names: std::ops::Range<usize>) -> Value {
    Value::Object(names.map(|number| (format!("k{number}"), json!("v"))).collect::<Map<_, _>>())
}

fn tags(count: usize) -> Value {
    json!((0..count).map(|number| format!("t{number:03}")).collect::<Vec<_>>())
}

async fn texts_have_a_longest(db: TestDb) {
    let http = World::start(db).await.http(Who::ADMIN);
    for letter in ["x", "名", "🦀"] {
        let (longest, longer) = (letter.repeat(255), letter.repeat(256));
        let image =
            http.create(json!({"name": longest, "owner": longest, "tags": [longest], &longest: "v"})).await;
        let shown = http.show(&id_of(&image)).await;
        assert_eq!(shown["name"], longest);
        assert_eq!((&shown["owner"], &shown["tags"][0]), (&json!(longest), &json!(longest)));
        assert_eq!(shown[&longest], "v");
        for (image, field) in [
            (json!({"name": longer}), "name"),
            (json!({"owner": longer}), "owner"),
            (json!({"tags": [longer]}), "tags["),
            (json!({&longer: "v"}), "properties["),
        ] {
            let (found, problem) = http.post("/v2/images", image).await.violations().remove(0);
            assert!(found.starts_with(field) && problem.contains("has 256 characters"), "{found}: {problem}");
        }
    }
}

async fn values_have_a_largest(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    for (letter, count) in [("x", 65_535), ("é", 32_767), ("🦀", 16_383)] {
        let largest = letter.repeat(count);
        let image = http.create(json!({"k": largest})).await;
        assert_eq!(http.show(&id_of(&image)).await["k"], largest);
        let refused = http.post("/v2/images", json!({"k": letter.repeat(count + 1)})).await;
        refused.violation("properties[\"k\"]", "at most 65535 are allowed");
    }
}

async fn properties_and_tags_have_a_quota(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let full = id_of(&http.create(properties(0..128)).await);
    let metadata = http.post("/v2/images", properties(0..129)).await.error(413, "IMAGE_QUOTA_EXCEEDED");
    assert_eq!(metadata, json!({"resource": "properties", "attempted": "129", "maximum": "128"}));
    http.set(&full, "one_more", json!("v")).await.error(413, "IMAGE_QUOTA_EXCEEDED");
    // What counts is what comes out of the whole patch.
    let swap = json!([
        {"op": "add", "path": "/one_more", "value": "v"},
        {"op": "remove", "path": "/k0"},
    ]);
    http.patch(&full, swap).await.is(200);

    let tagged = id_of(&http.create(json!({"tags": tags(128)})).await);
    let metadata =
        http.post("/v2/images", json!({"tags": tags(129)})).await.error(413, "IMAGE_QUOTA_EXCEEDED");
    assert_eq!((&metadata["resource"], &metadata["maximum"]), (&json!("tags"), &json!("128")));
    http.set(&tagged, "tags", tags(129)).await.error(413, "IMAGE_QUOTA_EXCEEDED");
    let one_more = format!("/v2/images/{tagged}/tags/one_more");
    http.put(&one_more, json!(null)).await.error(413, "IMAGE_QUOTA_EXCEEDED");
    http.put(&format!("/v2/images/{tagged}/tags/t000"), json!(null)).await.is(204);
    assert_eq!(http.show(&tagged).await["tags"], tags(128));
}

async fn the_quota_refuses_growth_alone(db: TestDb) {
    let world = World::start_with(db, Settings { quota: 3, ..Settings::default() }).await;
    let http = world.http(Who::OWNER);
    http.post("/v2/images", properties(0..4)).await.error(413, "IMAGE_QUOTA_EXCEEDED");
    let id = id_of(&http.create(properties(0..3)).await);
    let large = world.beside(10).await;
    let set = crate::support::setting(&id, &[("k3", "v"), ("k4", "v")]);
    large.clone().update_image_properties(set).await.unwrap();
    http.set(&id, "k4", json!("w")).await.is(200);
    http.patch(&id, json!([{"op": "remove", "path": "/k0"}])).await.is(200);
    http.set(&id, "k0", json!("v")).await.error(413, "IMAGE_QUOTA_EXCEEDED");
    let unlimited =
        World::start_with(world.db.another().await, Settings { quota: -1, ..Settings::default() }).await;
    unlimited.http(Who::OWNER).create(properties(0..500)).await;
}

async fn everything_together_has_a_limit(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let large = |count: usize| {
        let value = "x".repeat(65_000);
        Value::Object((0..count).map(|number| (format!("k{number}"), json!(value))).collect::<Map<_, _>>())
    };
    let metadata = http.post("/v2/images", large(25)).await.error(413, "IMAGE_QUOTA_EXCEEDED");
    assert_eq!(metadata["resource"], "bytes of properties");
    let id = id_of(&http.create(large(24)).await);
    http.set(&id, "k24", json!("x".repeat(65_000))).await.error(413, "IMAGE_QUOTA_EXCEEDED");
    http.set(&id, "k23", json!("x")).await.is(200);
}
