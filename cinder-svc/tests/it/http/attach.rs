//! How clients used volumes before there were attachments.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::support::{Cinder, Settings};
use cinder_svc::volume::Storage;

on_both_databases!(
    a_volume_is_reserved_for_anybody_and_free_again,
    a_reserved_volume_is_attached_and_detached,
    a_volume_is_attached_without_a_reservation,
    a_host_is_told_how_it_reaches_the_data,
    what_is_wrong_with_an_attach_is_told_at_once,
);

const SERVER: &str = "5f1f1f5e-0000-4000-8000-000000000001";

fn attach(mountpoint: &str) -> Value {
    json!({"os-attach": {"instance_uuid": SERVER, "mountpoint": mountpoint}})
}

async fn a_volume_is_reserved_for_anybody_and_free_again(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let volume = alice.create(json!({"size": 1})).await;
    alice.act(&volume, json!({"os-reserve": {}})).await.is(202);
    assert_eq!(alice.show(&volume).await["status"], "attaching");
    alice.act(&volume, json!({"os-reserve": null})).await.fault(400, "badRequest", "VOLUME_RESERVED");
    let leases = "SELECT COUNT(*) FROM attachments WHERE lease_time IS NOT NULL";
    assert_eq!(cinder.count(leases).await, 0);
    for _ in 0..2 {
        alice.act(&volume, json!({"os-unreserve": {}})).await.is(202);
        assert_eq!(alice.show(&volume).await["status"], "available");
    }
    // What is reserved for an instance is not anybody's.
    let reserve = json!({"attachment": {"volume_uuid": volume["id"], "instance_uuid": SERVER}});
    alice.post("/v3/attachments", reserve).await.is(200);
    alice.act(&volume, json!({"os-unreserve": {}})).await.is(202);
    assert_eq!(alice.show(&volume).await["status"], "reserved");
    let mallory = cinder.http("mallory", "tea", "member");
    mallory.act(&volume, json!({"os-reserve": {}})).await.fault(404, "itemNotFound", "VOLUME_NOT_FOUND");
    let rita = cinder.http("rita", "demo", "reader");
    rita.act(&volume, json!({"os-reserve": {}})).await.fault(403, "forbidden", "NOT_PERMITTED");
}

async fn a_reserved_volume_is_attached_and_detached(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (nova, alice) = (cinder.http("nova", "service", "service"), cinder.http("alice", "demo", "member"));
    let volume = alice.create(json!({"size": 1})).await;
    alice.act(&volume, json!({"os-begin_detaching": {}})).await.fault(400, "badRequest", "NOT_ATTACHED");
    alice.act(&volume, json!({"os-reserve": {}})).await.is(202);
    alice.act(&volume, attach("/dev/vdc")).await.is(202);
    let used = alice.show(&volume).await;
    assert_eq!((&used["status"], used["attachments"].as_array().unwrap().len()), (&json!("in-use"), 1));
    let attachment = &used["attachments"][0];
    assert_eq!((&attachment["server_id"], &attachment["device"]), (&json!(SERVER), &json!("/dev/vdc")));
    let begin = json!({"os-begin_detaching": {}});
    alice.act(&volume, begin.clone()).await.is(202);
    assert_eq!(alice.show(&volume).await["status"], "detaching");
    alice.act(&volume, json!({"os-roll_detaching": {}})).await.is(202);
    assert_eq!(alice.show(&volume).await["status"], "in-use");
    alice.act(&volume, begin).await.is(202);
    // Only who knows that nothing uses it any more may end it.
    alice.act(&volume, json!({"os-detach": {}})).await.fault(403, "forbidden", "NOT_PERMITTED");
    let other = json!({"os-detach": {"attachment_id": SERVER}});
    nova.act(&volume, other).await.fault(404, "itemNotFound", "ATTACHMENT_NOT_FOUND");
    for _ in 0..2 {
        nova.act(&volume, json!({"os-detach": null})).await.is(202);
        assert_eq!(alice.show(&volume).await["status"], "available");
    }
}

async fn a_volume_is_attached_without_a_reservation(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (root, alice) = (cinder.http("root", "admin", "admin"), cinder.http("alice", "demo", "member"));
    let volume = alice.create(json!({"size": 1})).await;
    let host = json!({"os-attach": {"host_name": "c1", "mountpoint": "/dev/sdb", "mode": "ro"}});
    alice.act(&volume, host).await.is(202);
    let used = root.show(&volume).await;
    assert_eq!((&used["status"], &used["attachments"][0]["host_name"]), (&json!("in-use"), &json!("c1")));
    alice.act(&volume, attach("/dev/vdc")).await.fault(400, "badRequest", "VOLUME_IN_USE");
    let attachment_id = &used["attachments"][0]["attachment_id"];
    root.act(&volume, json!({"os-detach": {"attachment_id": attachment_id}})).await.is(202);
    assert_eq!(alice.show(&volume).await["status"], "available");
}

async fn a_host_is_told_how_it_reaches_the_data(db: TestDb) {
    let settings = Settings { storage: Storage::Agent, ..Settings::default() };
    let cinder = Cinder::start_with(db, settings).await;
    let (nova, alice) = (cinder.http("nova", "service", "service"), cinder.http("alice", "demo", "member"));
    let volume = alice.create(json!({"size": 1})).await;
    let root = cinder.http("root", "admin", "admin");
    for status in ["error", "available"] {
        root.act(&volume, json!({"os-reset_status": {"status": status}})).await.is(202);
    }
    let of = |action: &str| json!({ action: {"connector": {"host": "c1"}} });
    let begin = of("os-initialize_connection");
    alice.act(&volume, begin.clone()).await.fault(403, "forbidden", "NOT_PERMITTED");
    nova.act(&volume, begin.clone()).await.fault(503, "serviceUnavailable", "NO_CONNECTION");
    assert_eq!(alice.show(&volume).await["status"], "attaching");
    // Again, nothing changes.
    nova.act(&volume, begin).await.fault(503, "serviceUnavailable", "NO_CONNECTION");
    assert_eq!(cinder.count("SELECT COUNT(*) FROM attachments").await, 1);
    nova.act(&volume, of("os-terminate_connection")).await.is(202);
    assert_eq!(alice.show(&volume).await["status"], "available");
}

async fn what_is_wrong_with_an_attach_is_told_at_once(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (nova, alice) = (cinder.http("nova", "service", "service"), cinder.http("alice", "demo", "member"));
    let volume = alice.create(json!({"size": 1})).await;
    let wrong = json!({"os-attach": {"instance_uuid": "x", "host_name": "", "mountpoint": "", "mode": "z"}});
    let told = alice.act(&volume, wrong).await.fault(400, "badRequest", "INVALID_REQUEST");
    for field in ["", ".instance_uuid", ".host_name", ".mountpoint", ".mode"] {
        assert!(told.contains(&format!("os-attach{field}: ")), "{told}");
    }
    let connector = json!({"os-initialize_connection": {"connector": {"host": "c1"}}});
    nova.act(&volume, connector).await.fault(400, "badRequest", "NO_CONNECTION");
    assert_eq!(alice.show(&volume).await["status"], "available");
}
