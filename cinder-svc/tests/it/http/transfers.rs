//! Transfers over HTTP.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::support::Cinder;

on_both_databases!(a_volume_changes_hands, an_offer_is_withdrawn);

async fn a_volume_changes_hands(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (alice, mallory) = (cinder.http("alice", "demo", "member"), cinder.http("mallory", "tea", "member"));
    let volume = alice.create(json!({"size": 1})).await;
    let offer = json!({"transfer": {"volume_id": volume["id"], "name": "gift"}});
    let offered = alice.post("/v3/volume-transfers", offer).await.is(202).json()["transfer"].clone();
    assert_eq!((&offered["name"], &offered["accepted"]), (&json!("gift"), &json!(false)));
    assert_eq!(alice.show(&volume).await["status"], "awaiting-transfer");
    let path = format!("/v3/volume-transfers/{}", offered["id"].as_str().unwrap());
    let shown = alice.get(&path).await.is(200).json()["transfer"].clone();
    assert_eq!((shown.get("auth_key"), &shown["volume_id"]), (None, &volume["id"]));
    mallory.get(&path).await.fault(404, "itemNotFound", "TRANSFER_NOT_FOUND");
    let accept = |key: &Value| json!({"accept": {"auth_key": key}});
    assert!(mallory.post(&format!("{path}/accept"), accept(&json!("wrong"))).await.status >= 400);
    let taken = mallory.post(&format!("{path}/accept"), accept(&offered["auth_key"])).await.is(202).json();
    assert_eq!(taken["transfer"]["accepted"], true);
    assert_eq!(mallory.show(&volume).await["os-vol-tenant-attr:tenant_id"], "tea");
    alice.get(&path).await.is(404);
}

async fn an_offer_is_withdrawn(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member").speaking(None);
    let volume = alice.create(json!({"size": 1})).await;
    // The path of older clients.
    let offer = json!({"transfer": {"volume_id": volume["id"], "name": null}});
    let offered = alice.post("/v3/os-volume-transfer", offer).await.is(202).json()["transfer"].clone();
    assert_eq!((offered.get("no_snapshots"), offered.get("accepted")), (None, None));
    let listed = alice.get("/v3/os-volume-transfer/detail").await.is(200).json();
    assert_eq!(listed["transfers"][0]["id"], offered["id"]);
    let path = format!("/v3/os-volume-transfer/{}", offered["id"].as_str().unwrap());
    alice.delete(&path).await.is(202);
    assert_eq!(alice.show(&volume).await["status"], "available");
    alice.delete(&path).await.fault(404, "itemNotFound", "TRANSFER_NOT_FOUND");
    let wrong = alice.post("/v3/volume-transfers", json!({"transfer": {"volume_id": "x"}})).await;
    assert!(wrong.fault(400, "badRequest", "INVALID_REQUEST").starts_with("transfer.volume_id"));
}
