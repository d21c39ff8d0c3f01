//! Attachments over HTTP, as Nova uses them.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::support::Cinder;

on_both_databases!(
    a_volume_is_reserved_connected_used_and_let_go,
    a_reservation_has_no_lease,
    attachments_are_listed,
    a_version_before_attachments_has_none,
);

const SERVER: &str = "5f1f1f5e-0000-4000-8000-000000000001";

fn path(attachment: &Value) -> String {
    format!("/v3/attachments/{}", attachment["id"].as_str().unwrap())
}

async fn a_volume_is_reserved_connected_used_and_let_go(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (nova, alice) = (cinder.http("nova", "service", "service"), cinder.http("alice", "demo", "member"));
    let volume = alice.create(json!({"size": 1})).await;
    let reserve = json!({"attachment": {"volume_uuid": volume["id"], "instance_uuid": SERVER}});
    let reserved = alice.post("/v3/attachments", reserve).await.is(200).json()["attachment"].clone();
    let expected = json!({
        "id": reserved["id"], "instance": SERVER, "volume_id": volume["id"], "status": "reserved",
        "attach_mode": "rw", "attached_at": null, "detached_at": null, "connection_info": null,
    });
    assert_eq!(reserved, expected);
    let shown = alice.show(&volume).await;
    assert_eq!((&shown["status"], &shown["attachments"]), (&json!("reserved"), &json!([])));
    // Another server does not get it.
    let other = json!({"attachment": {"volume_uuid": volume["id"], "instance_uuid": volume["id"]}});
    alice.post("/v3/attachments", other).await.fault(400, "badRequest", "VOLUME_RESERVED");
    let connector = json!({"attachment": {"connector": {"host": "compute-1", "ip": "10.0.0.1"}}});
    nova.put(&path(&reserved), connector).await.is(200);
    assert_eq!(alice.show(&volume).await["status"], "attaching");
    nova.post(&format!("{}/action", path(&reserved)), json!({"os-complete": null})).await.is(204);
    let used = alice.show(&volume).await;
    assert_eq!(used["status"], "in-use");
    let attachment = &used["attachments"][0];
    assert_eq!((&attachment["id"], &attachment["server_id"]), (&volume["id"], &json!(SERVER)));
    assert_eq!((&attachment["attachment_id"], &attachment["host_name"]), (&reserved["id"], &Value::Null));
    assert_eq!(nova.show(&volume).await["attachments"][0]["host_name"], "compute-1");
    let volume_path = format!("/v3/volumes/{}", volume["id"].as_str().unwrap());
    alice.delete(&volume_path).await.fault(400, "badRequest", "WRONG_STATE");
    // Only who knows that nothing uses it any more may end it.
    alice.delete(&path(&reserved)).await.is(403);
    let left = nova.delete(&path(&reserved)).await.is(200).json();
    assert_eq!(left["attachments"], json!([]));
    assert_eq!(alice.show(&volume).await["status"], "available");
    alice.get(&path(&reserved)).await.fault(404, "itemNotFound", "ATTACHMENT_NOT_FOUND");
}

async fn a_reservation_has_no_lease(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let volume = alice.create(json!({"size": 1})).await;
    let reserve = json!({"attachment": {"volume_uuid": volume["id"], "mode": "ro"}});
    let reserved = alice.post("/v3/attachments", reserve).await.is(200).json()["attachment"].clone();
    assert_eq!(reserved["attach_mode"], "ro");
    let leases = "SELECT COUNT(*) FROM attachments WHERE lease_time IS NOT NULL";
    assert_eq!(cinder.count(leases).await, 0);
    let wrong =
        json!({"attachment": {"volume_uuid": "x", "instance_uuid": "y", "mode": "z", "connector": {}}});
    let told = alice.post("/v3/attachments", wrong).await.fault(400, "badRequest", "INVALID_REQUEST");
    for field in
        ["attachment.volume_uuid", "attachment.instance_uuid", "attachment.mode", "attachment.connector"]
    {
        assert!(told.contains(field), "{told}");
    }
}

async fn attachments_are_listed(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let mut ids = Vec::new();
    for _ in 0..3 {
        let volume = alice.create(json!({"size": 1})).await;
        let reserve = json!({"attachment": {"volume_uuid": volume["id"]}});
        let reserved = alice.post("/v3/attachments", reserve).await.is(200).json()["attachment"].clone();
        ids.push((reserved["id"].clone(), volume["id"].clone()));
    }
    let listed = async |query: &str| -> Vec<Value> {
        let page = alice.get(&format!("/v3/attachments/detail?{query}")).await.is(200).json();
        page["attachments"].as_array().unwrap().iter().map(|shown| shown["id"].clone()).collect()
    };
    assert_eq!(listed("all_tenants=False").await.len(), 3);
    let of_volume = format!("volume_id={}", ids[1].1.as_str().unwrap());
    assert_eq!(listed(&of_volume).await, [ids[1].0.clone()]);
    assert_eq!(listed("status=attached").await.len(), 0);
    let first = alice.get("/v3/attachments?limit=2").await.is(200).json();
    assert_eq!(first["attachments"][0].as_object().unwrap().len(), 4);
    let next = first["attachments_links"][0]["href"].as_str().unwrap();
    assert_eq!(listed(&next[next.find('?').unwrap() + 1..]).await.len(), 1);
}

async fn a_version_before_attachments_has_none(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member").speaking(Some("volume 3.26"));
    alice.get("/v3/attachments").await.fault(404, "itemNotFound", "METHOD_NOT_FOUND");
}
