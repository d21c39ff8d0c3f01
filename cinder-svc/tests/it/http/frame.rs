//! What holds for every call: versions, both forms of paths, errors.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::support::Cinder;

on_both_databases!(
    versions_are_discovered,
    a_request_chooses_its_version,
    a_path_may_name_the_callers_project,
    an_operator_without_a_project_works_in_the_one_of_the_path,
    errors_are_faults,
    zones_and_limits_are_shown,
    volumes_are_summarized,
    services_are_listed_for_admins,
);

async fn versions_are_discovered(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member").speaking(None);
    let choices = alice.get("/").await.is(300).json();
    let version = &choices["versions"][0];
    assert_eq!((&version["id"], &version["status"]), (&json!("v3.0"), &json!("CURRENT")));
    assert_eq!((&version["version"], &version["min_version"]), (&json!("3.71"), &json!("3.0")));
    let address = version["links"][0]["href"].as_str().unwrap();
    assert!(address.starts_with("http://127.0.0.1:") && address.ends_with("/v3/"), "{address}");
    assert_eq!(alice.get("/v3").await.is(302).header("location"), address);
    assert_eq!(version["media-types"][0]["type"], "application/vnd.openstack.volume+json;version=3");
    assert_eq!(alice.get("/v3/").await.is(200).json(), choices);
}

async fn a_request_chooses_its_version(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    for (asked, spoken) in [
        (None, "volume 3.0"),
        (Some("volume 3.12"), "volume 3.12"),
        (Some("compute 2.1, volume latest"), "volume 3.71"),
    ] {
        let answer = alice.speaking(asked).get("/v3/volumes").await.is(200);
        assert_eq!(answer.header("openstack-api-version"), spoken);
        assert_eq!(answer.header("vary"), "openstack-api-version");
        assert_eq!(answer.header("x-compute-request-id"), answer.header("x-openstack-request-id"));
    }
    let refused = alice.speaking(Some("volume 3.99")).get("/v3/volumes").await;
    refused.fault(406, "computeFault", "MICROVERSION_NOT_SUPPORTED");
    let refused = alice.speaking(Some("volume three")).get("/v3/volumes").await;
    refused.fault(400, "badRequest", "INVALID_REQUEST");
}

async fn a_path_may_name_the_callers_project(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let created = alice.post("/v3/demo/volumes", json!({"volume": {"size": 1}})).await.is(202).json();
    let id = created["volume"]["id"].as_str().unwrap();
    let shown = alice.get(&format!("/v3/demo/volumes/{id}")).await.is(200).json();
    let link = shown["volume"]["links"][0]["href"].as_str().unwrap();
    assert!(link.ends_with(&format!("/v3/demo/volumes/{id}")), "{link}");
    alice.get(&format!("/v3/volumes/{id}")).await.is(200);
    let refused = alice.get("/v3/other/volumes").await.fault(400, "badRequest", "INVALID_REQUEST");
    assert!(refused.contains("the caller's project"), "{refused}");
    alice.get("/v3/demo/nothing").await.fault(404, "itemNotFound", "METHOD_NOT_FOUND");
}

async fn an_operator_without_a_project_works_in_the_one_of_the_path(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let operator = cinder.http("root", "", "admin");
    let created = operator.post("/v3/demo/volumes", json!({"volume": {"size": 1}})).await.is(202).json();
    let path = format!("/v3/demo/volumes/{}", created["volume"]["id"].as_str().unwrap());
    let shown = operator.get(&path).await.is(200).json();
    assert_eq!(shown["volume"]["os-vol-tenant-attr:tenant_id"], "demo");
    // Cinder adds it where volumes are shown, and Tempest refuses it elsewhere.
    assert_eq!(created["volume"].get("os-vol-tenant-attr:tenant_id"), None);
    let listed = operator.get("/v3/other/volumes").await.is(200).json();
    assert_eq!(listed["volumes"], json!([]));
}

async fn errors_are_faults(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    alice.get("/v3/volumes/nonsense").await.fault(404, "itemNotFound", "VOLUME_NOT_FOUND");
    alice.get("/nothing").await.fault(404, "itemNotFound", "METHOD_NOT_FOUND");
    alice.call("PATCH", "/v3/volumes", None).await.fault(405, "badMethod", "METHOD_NOT_FOUND");
    let body = json!({"volume": {"size": "large"}});
    let refused = alice.post("/v3/volumes", body).await.fault(400, "badRequest", "INVALID_REQUEST");
    assert_eq!(refused, "volume.size: must be a whole number");
    let body = json!({"volume": {"size": 0, "name": "x".repeat(256), "backup_id": "b"}});
    let refused = alice.post("/v3/volumes", body).await.fault(400, "badRequest", "INVALID_REQUEST");
    for field in ["volume.size", "volume.name", "volume.backup_id"] {
        assert!(refused.contains(field), "{refused}");
    }
    cinder
        .http("rita", "demo", "reader")
        .delete("/v3/volumes/5f1f1f5e-0000-4000-8000-000000000000")
        .await
        .is(404);
}

async fn zones_and_limits_are_shown(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let alice = cinder.http("alice", "demo", "member");
    let zones = alice.get("/v3/os-availability-zone").await.is(200).json();
    assert_eq!(
        zones["availabilityZoneInfo"],
        json!([{"zoneName": "nova", "zoneState": {"available": true}}])
    );
    alice.create(json!({"size": 3})).await;
    let root = cinder.http("root", "admin", "admin");
    let quota = json!({"quota_set": {"tenant_id": "demo", "volumes": "2", "gigabytes": 4, "force": true}});
    let set = root.put("/v3/os-quota-sets/demo", quota).await.is(200).json();
    assert_eq!((&set["quota_set"]["volumes"], &set["quota_set"]["snapshots"]), (&json!(2), &json!(-1)));
    let limits = alice.get("/v3/limits").await.is(200).json()["limits"]["absolute"].clone();
    assert_eq!([&limits["maxTotalVolumes"], &limits["totalVolumesUsed"]], [2, 1]);
    assert_eq!([&limits["maxTotalVolumeGigabytes"], &limits["totalGigabytesUsed"]], [4, 3]);
    let used = alice.get("/v3/os-quota-sets/demo?usage=True").await.is(200).json();
    assert_eq!(used["quota_set"]["gigabytes"], json!({"limit": 4, "in_use": 3, "reserved": 0}));
    let refused = alice.post("/v3/volumes", json!({"volume": {"size": 2}})).await;
    assert_eq!(refused.header("retry-after"), "0");
    refused.fault(413, "overLimit", "QUOTA_EXCEEDED");
    root.delete("/v3/os-quota-sets/demo").await.is(200);
    let defaults = alice.get("/v3/os-quota-sets/demo/defaults").await.is(200).json();
    assert_eq!([&defaults["quota_set"]["volumes"], &defaults["quota_set"]["backups"]], [-1, 0]);
    alice.create(json!({"size": 2})).await;
    alice.get("/v3/os-quota-sets/other").await.fault(403, "forbidden", "NOT_PERMITTED");
    let refused =
        root.put("/v3/os-quota-sets/demo", json!({"quota_set": {"cores": 1, "volumes": "x"}})).await;
    refused.fault(400, "badRequest", "INVALID_REQUEST");
}

async fn volumes_are_summarized(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (root, alice) = (cinder.http("root", "admin", "admin"), cinder.http("alice", "demo", "member"));
    let empty = json!({"total_count": 0, "total_size": 0, "metadata": {}});
    assert_eq!(alice.get("/v3/volumes/summary").await.is(200).json(), json!({"volume-summary": empty}));
    for (size, a) in [(1, "x"), (2, "y"), (4, "x")] {
        alice.create(json!({"size": size, "metadata": {"a": a}})).await;
    }
    let expected = json!({"total_count": 3, "total_size": 7, "metadata": {"a": ["x", "y"]}});
    assert_eq!(alice.get("/v3/volumes/summary").await.json()["volume-summary"], expected);
    assert_eq!(root.get("/v3/volumes/summary").await.json()["volume-summary"], empty);
    let all = "/v3/volumes/summary?all_tenants=True";
    assert_eq!(root.get(all).await.json()["volume-summary"], expected);
    let mallory = cinder.http("mallory", "tea", "member");
    assert_eq!(mallory.get(all).await.json()["volume-summary"], empty);
    let old = alice.speaking(Some("volume 3.35")).get("/v3/volumes/summary").await.json();
    assert_eq!(old["volume-summary"], json!({"total_count": 3, "total_size": 7}));
    let before = alice.speaking(Some("volume 3.11")).get("/v3/volumes/summary").await;
    before.fault(404, "itemNotFound", "METHOD_NOT_FOUND");
}

async fn services_are_listed_for_admins(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let (root, alice) = (cinder.http("root", "admin", "admin"), cinder.http("alice", "demo", "member"));
    alice.get("/v3/os-services").await.fault(403, "forbidden", "NOT_PERMITTED");
    let listed = async |query: &str| {
        root.get(&format!("/v3/os-services{query}")).await.is(200).json()["services"].clone()
    };
    let service = listed("?binary=cinder-volume&host=cinder-svc").await[0].clone();
    assert_eq!([&service["zone"], &service["state"]], ["nova", "up"]);
    assert_eq!(listed("?binary=cinder-backup").await, json!([]));
}
