//! Snapshots over HTTP.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::support::{Cinder, Http};

on_both_databases!(
    a_snapshot_is_taken_changed_and_deleted,
    a_volume_of_a_snapshot_remembers_the_image_and_can_be_reverted,
    snapshots_are_listed,
    operators_reset_a_snapshot,
);

async fn snapshot(http: &Http, volume: &Value, name: &str) -> Value {
    // As openstackclient sends it.
    let body = json!({"name": name, "metadata": null, "volume_id": volume["id"], "description": null});
    http.post("/v3/snapshots", json!({ "snapshot": body })).await.is(202).json()["snapshot"].clone()
}

fn path(snapshot: &Value) -> String {
    format!("/v3/snapshots/{}", snapshot["id"].as_str().unwrap())
}

async fn a_snapshot_is_taken_changed_and_deleted(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (alice, rita) = (cinder.http("alice", "demo", "member"), cinder.http("rita", "demo", "reader"));
    let volume = alice.create(json!({"size": 2})).await;
    let taken = snapshot(&alice, &volume, "s").await;
    let shown = rita.get(&path(&taken)).await.is(200).json()["snapshot"].clone();
    assert_eq!([&shown["status"], &shown["name"]], ["available", "s"]);
    assert_eq!((&shown["size"], &shown["volume_id"]), (&json!(2), &volume["id"]));
    assert_eq!(shown["os-extended-snapshot-attributes:progress"], "100%");
    assert_eq!((&shown["user_id"], &shown["consumes_quota"]), (&json!("alice"), &json!(true)));
    let old = alice.speaking(None).get(&path(&taken)).await.is(200).json()["snapshot"].clone();
    assert!(old.get("user_id").is_none() && old.get("consumes_quota").is_none());
    let changed = alice.put(&path(&taken), json!({"snapshot": {"name": "t", "description": "d"}})).await;
    assert_eq!(changed.is(200).json()["snapshot"]["name"], "t");
    let metadata = format!("{}/metadata", path(&taken));
    alice.post(&metadata, json!({"metadata": {"a": "1", "b": "2"}})).await.is(200);
    alice.delete(&format!("{metadata}/a")).await.is(200);
    alice.delete(&format!("{metadata}/a")).await.fault(404, "itemNotFound", "METADATA_NOT_FOUND");
    assert_eq!(alice.get(&metadata).await.is(200).json(), json!({"metadata": {"b": "2"}}));
    let replaced = alice.put(&metadata, json!({"metadata": {"c": "3"}})).await.is(200).json();
    assert_eq!(replaced, json!({"metadata": {"c": "3"}}));
    let item = alice.put(&format!("{metadata}/d"), json!({"meta": {"d": "4"}})).await.is(200).json();
    assert_eq!(item["meta"], json!({"d": "4"}));
    assert_eq!(alice.get(&format!("{metadata}/d")).await.is(200).json(), item);
    alice.get(&format!("{metadata}/a")).await.fault(404, "itemNotFound", "METADATA_NOT_FOUND");
    let wrong = alice.post(&metadata, json!({"metadata": {"a": "x".repeat(256)}})).await;
    assert!(wrong.fault(400, "badRequest", "INVALID_REQUEST").starts_with("metadata[\"a\"]"));
    rita.delete(&path(&taken)).await.fault(403, "forbidden", "NOT_PERMITTED");
    let mallory = cinder.http("mallory", "tea", "member");
    mallory.get(&path(&taken)).await.fault(404, "itemNotFound", "SNAPSHOT_NOT_FOUND");
    let volume_path = format!("/v3/volumes/{}", volume["id"].as_str().unwrap());
    alice.delete(&volume_path).await.fault(400, "badRequest", "VOLUME_HAS_SNAPSHOTS");
    alice.delete(&path(&taken)).await.is(202);
    alice.get(&path(&taken)).await.is(404);
    alice.delete(&volume_path).await.is(202);
    let gone = alice.post("/v3/snapshots", json!({"snapshot": {"volume_id": volume["id"]}})).await;
    gone.is(404);
    let wrong = alice.post("/v3/snapshots", json!({"snapshot": {"volume_id": "x"}})).await;
    assert!(wrong.fault(400, "badRequest", "INVALID_REQUEST").starts_with("snapshot.volume_id"));
}

async fn a_volume_of_a_snapshot_remembers_the_image_and_can_be_reverted(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let image = cinder.glance.with(&[("os_distro", "debian")]);
    let volume = alice.create(json!({"imageRef": image.id, "size": 50})).await;
    let taken = snapshot(&alice, &volume, "s").await;
    let copy = alice.create(json!({"snapshot_id": taken["id"]})).await;
    assert_eq!((&copy["size"], &copy["snapshot_id"]), (&json!(50), &taken["id"]));
    assert_eq!(copy["volume_image_metadata"]["os_distro"], "debian");
    let set = json!({"os-set_image_metadata": {"metadata": {"os_distro": "arch"}}});
    alice.act(&volume, set).await.is(200);
    let revert = json!({"revert": {"snapshot_id": taken["id"]}});
    alice.speaking(Some("volume 3.39")).act(&volume, revert.clone()).await.is(404);
    alice.act(&volume, revert).await.is(202);
    assert_eq!(alice.show(&volume).await["volume_image_metadata"]["os_distro"], "debian");
}

async fn snapshots_are_listed(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let (one, two) = (alice.create(json!({"size": 1})).await, alice.create(json!({"size": 1})).await);
    for (volume, name) in [(&one, "a"), (&two, "b"), (&one, "c")] {
        snapshot(&alice, volume, name).await;
    }
    let names = async |query: &str| {
        let listed = alice.get(&format!("/v3/snapshots/detail?{query}")).await.is(200).json();
        let snapshots = listed["snapshots"].as_array().unwrap().iter();
        snapshots.map(|shown| shown["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["c", "b", "a"]);
    assert_eq!(names("sort=name:asc&all_tenants=False").await, ["a", "b", "c"]);
    assert_eq!(names(&format!("volume_id={}", one["id"].as_str().unwrap())).await, ["c", "a"]);
    assert_eq!(names("name=b&status=available").await, ["b"]);
    let page = alice.get("/v3/snapshots?limit=2").await.is(200).json();
    let next = page["snapshots_links"][0]["href"].as_str().unwrap().to_owned();
    assert_eq!(names(&next[next.find('?').unwrap() + 1..]).await, ["a"]);
    alice.get("/v3/snapshots?nothing=1").await.is(400);
    alice.get("/v3/snapshots?marker=x").await.is(404);
    let mallory = cinder.http("mallory", "tea", "member");
    assert_eq!(mallory.get("/v3/snapshots?all_tenants=1").await.is(200).json()["snapshots"], json!([]));
}

async fn operators_reset_a_snapshot(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (root, alice) = (cinder.http("root", "admin", "admin"), cinder.http("alice", "demo", "member"));
    let volume = alice.create(json!({"size": 1})).await;
    let taken = snapshot(&alice, &volume, "s").await;
    let action = format!("{}/action", path(&taken));
    let reset = json!({"os-reset_status": {"status": "error"}});
    alice.post(&action, reset.clone()).await.fault(403, "forbidden", "NOT_PERMITTED");
    root.post(&action, reset).await.is(202);
    assert_eq!(alice.get(&path(&taken)).await.json()["snapshot"]["status"], "error");
    root.post(&action, json!({"os-reset_status": {"status": "x"}})).await.is(400);
    alice.post(&action, json!({"os-force_delete": null})).await.fault(403, "forbidden", "NOT_PERMITTED");
    root.post(&action, json!({"os-force_delete": null})).await.is(202);
    alice.get(&path(&taken)).await.is(404);
}
