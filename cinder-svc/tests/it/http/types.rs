//! Volume types over HTTP.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::support::{Cinder, Http};

on_both_databases!(
    a_type_is_made_changed_and_deleted,
    extra_specs_are_set_and_unset,
    a_private_type_has_projects,
    types_are_listed,
);

async fn create(root: &Http, volume_type: Value) -> Value {
    let created = root.post("/v3/types", json!({ "volume_type": volume_type })).await;
    created.is(200).json()["volume_type"].clone()
}

fn path(volume_type: &Value) -> String {
    format!("/v3/types/{}", volume_type["id"].as_str().unwrap())
}

async fn a_type_is_made_changed_and_deleted(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (root, alice) = (cinder.http("root", "admin", "admin"), cinder.http("alice", "demo", "member"));
    // As openstackclient sends it.
    let ssd = create(&root, json!({"name": "ssd", "description": null})).await;
    let expected = json!({
        "id": ssd["id"], "name": "ssd", "description": null, "is_public": true, "extra_specs": {},
        "os-volume-type-access:is_public": true,
    });
    assert_eq!(ssd, expected);
    let shown = alice.get(&path(&ssd)).await.is(200).json()["volume_type"].clone();
    assert_eq!((&shown["name"], shown.get("qos_specs_id")), (&json!("ssd"), Some(&Value::Null)));
    let taken = root.post("/v3/types", json!({"volume_type": {"name": "ssd"}})).await;
    taken.fault(409, "conflictingRequest", "VOLUME_TYPE_EXISTS");
    let update = json!({"volume_type": {"name": "nvme", "is_public": "False"}});
    let changed = root.put(&path(&ssd), update).await.is(200).json()["volume_type"].clone();
    assert_eq!((&changed["name"], &changed["is_public"]), (&json!("nvme"), &json!(false)));
    alice.get(&path(&ssd)).await.fault(404, "itemNotFound", "VOLUME_TYPE_NOT_FOUND");
    alice.delete(&path(&ssd)).await.fault(403, "forbidden", "NOT_PERMITTED");
    root.delete(&path(&ssd)).await.is(202);
    // A name is no id.
    root.get("/v3/types/nvme").await.fault(404, "itemNotFound", "VOLUME_TYPE_NOT_FOUND");
    let default = alice.get("/v3/types/default").await.is(200).json()["volume_type"].clone();
    assert_eq!(default["name"], "__DEFAULT__");
    root.delete(&path(&default)).await.fault(400, "badRequest", "VOLUME_TYPE_IS_DEFAULT");
}

async fn extra_specs_are_set_and_unset(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (root, alice) = (cinder.http("root", "admin", "admin"), cinder.http("alice", "demo", "member"));
    let ssd = create(&root, json!({"name": "ssd", "extra_specs": {"multiattach": "<is> True"}})).await;
    let specs = format!("{}/extra_specs", path(&ssd));
    let added = root.post(&specs, json!({"extra_specs": {"a": "1", "b": "2"}})).await.is(200).json();
    assert_eq!(added["extra_specs"], json!({"a": "1", "b": "2"}));
    root.put(&format!("{specs}/a"), json!({"a": "3"})).await.is(200);
    root.put(&format!("{specs}/a"), json!({"b": "3"})).await.fault(400, "badRequest", "INVALID_REQUEST");
    assert_eq!(root.get(&format!("{specs}/a")).await.is(200).json(), json!({"a": "3"}));
    root.delete(&format!("{specs}/b")).await.is(202);
    root.delete(&format!("{specs}/b")).await.is(404);
    let all = root.get(&specs).await.is(200).json();
    assert_eq!(all["extra_specs"], json!({"a": "3", "multiattach": "<is> True"}));
    let seen = alice.get(&specs).await.is(200).json();
    assert_eq!(seen["extra_specs"], json!({"multiattach": "<is> True"}));
    alice.post(&specs, json!({"extra_specs": {"c": "1"}})).await.fault(403, "forbidden", "NOT_PERMITTED");
    let volume = alice.create(json!({"size": 1, "volume_type": "ssd"})).await;
    assert_eq!((&volume["multiattach"], &volume["volume_type_id"]), (&json!(true), &ssd["id"]));
    root.delete(&path(&ssd)).await.fault(400, "badRequest", "VOLUME_TYPE_IN_USE");
}

async fn a_private_type_has_projects(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (root, alice) = (cinder.http("root", "admin", "admin"), cinder.http("alice", "demo", "member"));
    let private = create(&root, json!({"name": "private", "os-volume-type-access:is_public": false})).await;
    let (action, access) =
        (format!("{}/action", path(&private)), format!("{}/os-volume-type-access", path(&private)));
    alice.post("/v3/volumes", json!({"volume": {"size": 1, "volume_type": "private"}})).await.is(404);
    root.post(&action, json!({"addProjectAccess": {"project": "demo"}})).await.is(202);
    let projects = root.get(&access).await.is(200).json();
    let expected = json!([{"volume_type_id": private["id"], "project_id": "demo"}]);
    assert_eq!(projects["volume_type_access"], expected);
    alice.create(json!({"size": 1, "volume_type": "private"})).await;
    root.post(&action, json!({"removeProjectAccess": {"project": "demo"}})).await.is(202);
    alice.get(&path(&private)).await.is(404);
    let public = create(&root, json!({"name": "public"})).await;
    root.get(&format!("{}/os-volume-type-access", path(&public))).await.is(404);
    let refused =
        root.post(&format!("{}/action", path(&public)), json!({"addProjectAccess": {"project": "a"}})).await;
    refused.fault(400, "badRequest", "INVALID_REQUEST");
}

async fn types_are_listed(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (root, alice) = (cinder.http("root", "admin", "admin"), cinder.http("alice", "demo", "member"));
    for (name, is_public) in [("a", true), ("b", false), ("c", true)] {
        create(&root, json!({"name": name, "os-volume-type-access:is_public": is_public})).await;
    }
    let names = async |http: &Http, query: &str| {
        let listed = http.get(&format!("/v3/types{query}")).await.is(200).json();
        let types = listed["volume_types"].as_array().unwrap().iter();
        types.map(|volume_type| volume_type["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&alice, "").await, ["c", "a", "__DEFAULT__"]);
    assert_eq!(names(&alice, "?is_public=none").await, ["c", "a", "__DEFAULT__"]);
    assert_eq!(names(&root, "").await, ["c", "a", "__DEFAULT__"]);
    assert_eq!(names(&root, "?is_public=None").await, ["c", "b", "a", "__DEFAULT__"]);
    assert_eq!(names(&root, "?is_public=False").await, ["b"]);
    let page = alice.get("/v3/types?limit=2").await.is(200).json();
    let next = page["volume_type_links"][0]["href"].as_str().unwrap().to_owned();
    let query = &next[next.find('?').unwrap()..];
    assert_eq!(names(&alice, query).await, ["__DEFAULT__"]);
}
