//! Whatever runs the backend sees what is to be done, and reports on it.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::{Value, json};

use super::{CREATE, Catalogue, FAILED_PRECONDITION, GET, UPDATE_PROPERTIES};
use crate::world::grpcurl_with;

on_both_databases!(
    a_volume_is_what_the_report_of_its_task_says,
    a_reimage_changes_everything_at_once_or_nothing
);

const REIMAGE: &str = "cinder.v1.VolumeService/ReimageVolume";

impl Catalogue {
    /// Reports on a volume as it is, as the agent.
    fn report(&self, volume: &Value, report: &Value) -> Value {
        let mut report = report.clone();
        report["id"] = volume["id"].clone();
        report["seen_status"] = volume["status"].clone();
        if let Some(state) = volume["task"].get("state") {
            report["seen_task_state"] = state.clone();
        }
        let headers = ["x-user-id: agent", "x-project-id: service", "x-roles: service"];
        let method = "cinder.v1.VolumeService/ReportVolumeState";
        let output = grpcurl_with(&headers, &self.cinder, method, &report);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

async fn a_volume_is_what_the_report_of_its_task_says(db: TestDb) {
    let world = Catalogue::start(db, "agent").await;
    let image_id = world.image();
    let volume = world.call(CREATE, &json!({"image_id": image_id}));
    assert_eq!(volume["status"], "CREATING");
    assert_eq!(volume["task"]["imageId"], image_id);
    assert_eq!(volume["task"]["imageRevision"], "2");
    // What is remembered describes data that are still being written.
    let edit = json!({"id": volume["id"], "set": {"hw_disk_bus": "scsi"}});
    let said = world.refused(UPDATE_PROPERTIES, &edit, FAILED_PRECONDITION);
    assert!(said.contains("WRONG_STATE"), "{said}");

    let volume = world.report(&volume, &json!({"result": "SUCCEEDED", "host": "host@lvm#pool"}));
    assert_eq!((&volume["status"], &volume["task"]), (&json!("AVAILABLE"), &Value::Null));
    let failed = world.call(CREATE, &json!({"image_id": image_id}));
    let failed = world.report(&failed, &json!({"result": "FAILED", "message": "the pool is full"}));
    assert_eq!(failed["status"], "ERROR");
    assert_eq!(failed["lastFailure"]["message"], "the pool is full");
    assert_eq!(failed["imageProperties"], volume["imageProperties"]);
}

async fn a_reimage_changes_everything_at_once_or_nothing(db: TestDb) {
    let world = Catalogue::start(db, "agent").await;
    let volume = world.call(CREATE, &json!({"image_id": world.image(), "size_gib": 20}));
    world.report(&volume, &json!({"result": "SUCCEEDED"}));
    let edit = json!({"id": volume["id"], "set": {"os_admin_user": "root"}});
    let before = world.call(UPDATE_PROPERTIES, &edit);

    let other = world.image_with(&json!({"os_type": "windows"}));
    let reimage = json!({"id": volume["id"], "image_id": other});
    let reimaging = world.call(REIMAGE, &reimage);
    assert_eq!(reimaging["task"]["imageProperties"], json!({"os_type": "windows"}));
    for part in ["status", "image", "imageProperties"] {
        assert_eq!(reimaging[part], before[part], "{part} stays until the data is there");
    }
    let failed = world.report(&reimaging, &json!({"result": "FAILED", "message": "no such format"}));
    assert_eq!(failed["lastFailure"]["taskState"], "REIMAGING");
    for part in ["status", "image", "imageProperties", "bootable"] {
        assert_eq!(failed[part], before[part], "{part} is as it was");
    }

    let reimaging = world.call(REIMAGE, &reimage);
    let after = world.report(&reimaging, &json!({"result": "SUCCEEDED"}));
    assert_eq!(after["status"], "AVAILABLE");
    assert_eq!((&after["image"]["id"], &after["imageProperties"]), (&other, &json!({"os_type": "windows"})));
    assert_eq!(after["lastFailure"], Value::Null);
    // What was edited on the volume went with the data, and can still be read.
    let then = world.call(GET, &json!({"id": volume["id"], "revision": before["revision"]}));
    assert_eq!(then["imageProperties"], before["imageProperties"]);
}
