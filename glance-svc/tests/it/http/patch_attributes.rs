//! Base attributes in a patch.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::support::{Who, World};

on_both_databases!(
    changes_every_attribute_that_callers_set,
    null_is_no_value_where_there_may_be_none,
    refuses_values_that_an_attribute_cannot_have,
    formats_are_locked_once_there_are_data,
    visibility_and_owner_need_an_operator,
    an_operator_gives_an_image_away,
);

async fn changes_every_attribute_that_callers_set(db: TestDb) {
    let http = World::start(db).await.http(Who::ADMIN);
    let id = http.queued().await;
    for (name, value) in [
        ("name", json!("other")),
        ("visibility", json!("community")),
        ("visibility", json!("public")),
        ("visibility", json!("private")),
        ("protected", json!(true)),
        ("protected", json!(false)),
        ("os_hidden", json!(true)),
        ("disk_format", json!("iso")),
        ("container_format", json!("ovf")),
        ("min_ram", json!(2_147_483_647)),
        ("min_disk", json!(7)),
        ("tags", json!(["a", "b"])),
        ("tags", json!([])),
        ("owner", json!("stranger")),
    ] {
        for operation in ["add", "replace"] {
            let patch = json!([{"op": operation, "path": format!("/{name}"), "value": value}]);
            assert_eq!(http.patch(&id, patch).await.is(200).json()[name], value, "{operation} {name}");
        }
    }
    assert_eq!(http.show(&id).await["owner"], "stranger");
}

async fn null_is_no_value_where_there_may_be_none(db: TestDb) {
    let http = World::start(db).await.http(Who::ADMIN);
    let id = http.queued().await;
    for name in ["name", "disk_format", "container_format", "owner"] {
        assert_eq!(http.set(&id, name, json!(null)).await.is(200).json()[name], Value::Null, "{name}");
        assert_eq!(http.show(&id).await[name], Value::Null);
    }
    for name in ["visibility", "protected", "os_hidden", "min_ram", "min_disk", "tags"] {
        http.set(&id, name, json!(null)).await.violation(name, "must be");
    }
}

async fn refuses_values_that_an_attribute_cannot_have(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    let before = http.show(&id).await;
    let long = "x".repeat(256);
    for (name, values) in [
        ("name", json!([1, true, [], {}, long, "a\nb"])),
        ("owner", json!([1, true, [], long])),
        ("disk_format", json!(["", "nonsense", "RAW", 1])),
        ("container_format", json!(["", "nonsense", 1])),
        ("visibility", json!(["", "all", "Public", 1])),
        ("protected", json!(["true", 1, 0])),
        ("os_hidden", json!(["false", 1])),
        ("min_ram", json!([-1, "1", 1.5, 2_147_483_648_u64, true, i64::MAX, u64::MAX])),
        ("min_disk", json!([-1, "1", 1.5, 2_147_483_648_u64, true])),
        ("tags", json!(["a", 1, {}, [1], [null], [""], [long], ["a\nb"]])),
    ] {
        for value in values.as_array().unwrap() {
            let found = http.set(&id, name, value.clone()).await.violations();
            assert!(found.len() == 1 && found[0].0.starts_with(name), "{name} {value}: {found:?}");
        }
    }
    assert_eq!(http.show(&id).await, before);
}

async fn formats_are_locked_once_there_are_data(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = http.queued().await;
    http.upload(&id, "hello").await.is(204);
    for (name, value) in
        [("disk_format", json!("iso")), ("container_format", json!("ovf")), ("disk_format", json!(null))]
    {
        let metadata = http.set(&id, name, value).await.error(403, "ATTRIBUTE_LOCKED");
        assert_eq!((&metadata["attribute"], &metadata["status"]), (&json!(name), &json!("ACTIVE")));
    }
    // The others are not.
    for (name, value) in [
        ("name", json!("n")),
        ("min_ram", json!(1)),
        ("visibility", json!("private")),
        ("tags", json!(["t"])),
    ] {
        http.set(&id, name, value).await.is(200);
    }
    let shown = http.show(&id).await;
    assert_eq!((&shown["disk_format"], &shown["container_format"]), (&json!("raw"), &json!("bare")));
}

async fn visibility_and_owner_need_an_operator(db: TestDb) {
    let world = World::start(db).await;
    let (http, admin) = (world.http(Who::OWNER), world.http(Who::ADMIN));
    let id = http.queued().await;
    http.set(&id, "visibility", json!("public")).await.error(403, "NOT_PERMITTED");
    http.set(&id, "owner", json!("stranger")).await.error(403, "NOT_PERMITTED");
    http.set(&id, "owner", json!(null)).await.error(403, "NOT_PERMITTED");
    admin.set(&id, "visibility", json!("public")).await.is(200);
    // Once it is public, its owner changes it, and may take it back.
    assert_eq!(http.set(&id, "k", json!("v")).await.is(200).json()["visibility"], "public");
    http.set(&id, "visibility", json!("shared")).await.is(200);
    http.set(&id, "visibility", json!("public")).await.error(403, "NOT_PERMITTED");
    // Nobody gets round it with one operation before the other.
    let patch = json!([
        {"op": "replace", "path": "/visibility", "value": "public"},
        {"op": "add", "path": "/k", "value": "w"},
        {"op": "replace", "path": "/owner", "value": "owner"},
    ]);
    http.patch(&id, patch).await.error(403, "NOT_PERMITTED");
    assert_eq!(http.show(&id).await["k"], "v");
}

async fn an_operator_gives_an_image_away(db: TestDb) {
    let world = World::start(db).await;
    let (owner, stranger) = (world.http(Who::OWNER), world.http(Who::STRANGER));
    let id = owner.queued().await;
    world.http(Who::ADMIN).set(&id, "owner", json!("stranger")).await.is(200);
    owner.get(&format!("/v2/images/{id}")).await.error(404, "IMAGE_NOT_FOUND");
    assert_eq!(stranger.set(&id, "k", json!("v")).await.is(200).json()["owner"], "stranger");
}
