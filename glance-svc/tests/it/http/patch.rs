//! Changing an image: both patch formats, and that a patch is all or nothing.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::support::{Answer, Http, V20, Who, World, id_of};

on_both_databases!(
    changes_what_it_names_and_nothing_else,
    the_older_format_does_the_same,
    an_existing_property_is_overwritten_or_refused,
    what_is_missing_is_neither_replaced_nor_removed,
    operations_see_what_those_before_them_did,
    a_refused_patch_changes_nothing,
    a_patch_that_changes_nothing_is_no_change,
);

/// An image with two properties.
pub(super) async fn image(http: &Http) -> Value {
    http.create(json!({"name": "cirros", "k": "v", "l": "w", "tags": ["t"]})).await
}

/// Sends a patch in the older format.
pub(super) async fn older(http: &Http, id: &str, body: Value) -> Answer {
    let path = format!("/v2/images/{id}");
    http.call("PATCH", &path).header("content-type", V20).text(&body.to_string()).send().await
}

async fn changes_what_it_names_and_nothing_else(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let mut expected = image(&http).await;
    let id = id_of(&expected);
    let patch = json!([
        {"op": "add", "path": "/new", "value": "n"},
        {"op": "replace", "path": "/k", "value": "x"},
        {"op": "remove", "path": "/l"},
        {"op": "replace", "path": "/name", "value": "other"},
        {"op": "add", "path": "/min_ram", "value": 64},
        {"op": "replace", "path": "/tags", "value": ["b", "a"]},
    ]);
    let answer = http.patch(&id, patch).await.is(200);
    let changed = answer.json();
    expected.as_object_mut().unwrap().remove("l");
    for (name, value) in [
        ("new", json!("n")),
        ("k", json!("x")),
        ("name", json!("other")),
        ("min_ram", json!(64)),
        ("tags", json!(["a", "b"])),
    ] {
        expected[name] = value;
    }
    expected["updated_at"] = changed["updated_at"].clone();
    assert_eq!(changed, expected);
    assert_eq!(http.show(&id).await, expected);
    assert!(!answer.header("etag").is_empty());
}

async fn the_older_format_does_the_same(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = id_of(&image(&http).await);
    let patch = json!([
        {"add": "/new", "value": "n"},
        {"replace": "/k", "value": "x"},
        {"remove": "/l"},
        {"replace": "/name", "value": "other"},
    ]);
    let changed = older(&http, &id, patch).await.is(200).json();
    assert_eq!(
        (&changed["new"], &changed["k"], &changed["name"]),
        (&json!("n"), &json!("x"), &json!("other"))
    );
    assert_eq!(changed.get("l"), None);
    assert_eq!(http.show(&id).await, changed);
}

async fn an_existing_property_is_overwritten_or_refused(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = id_of(&image(&http).await);
    let added = http.patch(&id, json!([{"op": "add", "path": "/k", "value": "x"}])).await.is(200);
    assert_eq!(added.json()["k"], "x");
    for name in ["k", "name", "tags"] {
        let value = if name == "tags" { json!([]) } else { json!("y") };
        let refused = older(&http, &id, json!([{"add": format!("/{name}"), "value": value}])).await;
        assert_eq!(refused.error(409, "PROPERTY_EXISTS")["property"], name);
    }
    assert_eq!(http.show(&id).await["k"], "x");
}

async fn what_is_missing_is_neither_replaced_nor_removed(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = id_of(&image(&http).await);
    for patch in [
        json!([{"op": "replace", "path": "/none", "value": "x"}]),
        json!([{"op": "remove", "path": "/none"}]),
    ] {
        assert_eq!(http.patch(&id, patch).await.error(409, "PROPERTY_NOT_FOUND")["property"], "none");
    }
    for patch in [json!([{"replace": "/none", "value": "x"}]), json!([{"remove": "/none"}])] {
        older(&http, &id, patch).await.error(409, "PROPERTY_NOT_FOUND");
    }
    // Names differ by case.
    http.patch(&id, json!([{"op": "remove", "path": "/K"}])).await.error(409, "PROPERTY_NOT_FOUND");
}

async fn operations_see_what_those_before_them_did(db: TestDb) {
    let http = World::start(db).await.http(Who::OWNER);
    let id = id_of(&image(&http).await);
    let patch = json!([
        {"op": "add", "path": "/new", "value": "1"},
        {"op": "replace", "path": "/new", "value": "2"},
        {"op": "remove", "path": "/k"},
        {"op": "add", "path": "/k", "value": "again"},
        {"op": "remove", "path": "/l"},
    ]);
    let changed = http.patch(&id, patch).await.is(200).json();
    assert_eq!((&changed["new"], &changed["k"], changed.get("l")), (&json!("2"), &json!("again"), None));
    let twice = json!([{"op": "remove", "path": "/new"}, {"op": "remove", "path": "/new"}]);
    http.patch(&id, twice).await.error(409, "PROPERTY_NOT_FOUND");
    let twice = json!([{"add": "/other", "value": "1"}, {"add": "/other", "value": "2"}]);
    older(&http, &id, twice).await.error(409, "PROPERTY_EXISTS");
    assert_eq!(http.show(&id).await, changed);
}

async fn a_refused_patch_changes_nothing(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let before =
        http.create(json!({"name": "cirros", "k": "v", "container_format": "bare", "tags": ["t"]})).await;
    let id = id_of(&before);
    let good = [
        json!({"op": "add", "path": "/new", "value": "n"}),
        json!({"op": "remove", "path": "/k"}),
        json!({"op": "replace", "path": "/name", "value": "other"}),
        json!({"op": "replace", "path": "/tags", "value": []}),
    ];
    for (bad, status) in [
        (json!({"op": "replace", "path": "/none", "value": "x"}), 409),
        (json!({"op": "remove", "path": "/k"}), 409),
        (json!({"op": "replace", "path": "/status", "value": "active"}), 403),
        (json!({"op": "replace", "path": "/visibility", "value": "public"}), 403),
        (json!({"op": "replace", "path": "/owner", "value": "stranger"}), 403),
        (json!({"op": "add", "path": "/k", "value": 1}), 400),
        (json!({"op": "replace", "path": "/disk_format", "value": "nonsense"}), 400),
        (json!({"op": "add", "path": "/a/b", "value": "x"}), 400),
        (json!({"op": "test", "path": "/l", "value": "w"}), 400),
    ] {
        let patch = Value::Array(good.iter().cloned().chain([bad.clone()]).collect());
        http.patch(&id, patch).await.is(status);
        assert_eq!(http.show(&id).await, before, "{bad}");
    }
    assert_eq!(world.get(&id).await.unwrap().revision, 1);
    assert_eq!(world.revisions(&id).await.len(), 1);
}

async fn a_patch_that_changes_nothing_is_no_change(db: TestDb) {
    let world = World::start(db).await;
    let http = world.http(Who::OWNER);
    let id = id_of(&image(&http).await);
    let before = world.get(&id).await.unwrap();
    for patch in [
        json!([]),
        json!([{"op": "replace", "path": "/k", "value": "v"}]),
        json!([{"op": "add", "path": "/name", "value": "cirros"}, {"op": "replace", "path": "/tags", "value": ["t", "t"]}]),
        json!([{"op": "add", "path": "/new", "value": "n"}, {"op": "remove", "path": "/new"}]),
        json!([{"op": "replace", "path": "/visibility", "value": "shared"}]),
        json!([{"op": "replace", "path": "/owner", "value": "owner"}]),
    ] {
        let answer = http.patch(&id, patch.clone()).await.is(200);
        assert_eq!(answer.header("etag"), format!("\"{}\"", before.etag), "{patch}");
    }
    assert_eq!(world.get(&id).await.unwrap(), before, "its time of change, too");
    assert_eq!(world.revisions(&id).await.len(), 1);
}
