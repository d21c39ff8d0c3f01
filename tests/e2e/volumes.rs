//! Volumes remember the image that they were made from: real programs, called with the real grpcurl.

use chassis::{on_both_databases, testing::TestDb};
use harness::service::Service;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{GRPCURL_RPC_ERROR, call, grpcurl, start_cinder, start_glance};

mod access;
mod agent;

on_both_databases!(
    a_volume_remembers_its_image_at_its_revision,
    a_retry_after_a_crash_answers_with_the_volume_that_was_created,
    what_is_wrong_with_a_request_is_told_at_once,
    a_change_that_is_refused_leaves_the_volume_as_it_was,
    properties_follow_the_data_of_a_volume_that_is_not_bootable,
    while_the_catalogue_is_away_nothing_is_written_and_a_retry_is_possible
);

const CREATE: &str = "cinder.v1.VolumeService/CreateVolume";
const GET: &str = "cinder.v1.VolumeService/GetVolume";

const LIST: &str = "cinder.v1.VolumeService/ListVolumes";
const UPDATE_PROPERTIES: &str = "cinder.v1.VolumeService/UpdateVolumeImageProperties";

// Codes of gRPC.
const INVALID_ARGUMENT: i32 = 3;
const ALREADY_EXISTS: i32 = 6;
const FAILED_PRECONDITION: i32 = 9;
const ABORTED: i32 = 10;
const UNAVAILABLE: i32 = 14;

/// An image catalogue and a volume service, each on a database of its own.
struct Catalogue {
    glance: Service,
    cinder: Service,
    cinder_db: TestDb,
    glance_db: TestDb,
    data: TempDir,
}

impl Catalogue {
    /// Starts both; `storage` keeps the data of volumes.
    async fn start(db: TestDb, storage: &str) -> Self {
        let (glance_db, data) = (db.another().await, tempfile::tempdir().unwrap());
        let glance = start_glance(&glance_db.url, data.path(), "127.0.0.1:0");
        let cinder = start_cinder(&db.url, &glance.endpoint(), storage);
        Self { glance, cinder, cinder_db: db, glance_db, data }
    }

    /// The id of an image that needs 10 GiB; its disk bus is changed afterwards, which is its revision 2.
    fn image(&self) -> Value {
        let image = json!({
            "name": "ubuntu", "size": "2361393152", "disk_format": "qcow2", "container_format": "bare",
            "min_ram": 512, "min_disk": 10,
            "properties": {"os_distro": "ubuntu", "os_type": "linux", "hw_disk_bus": "ide"}
        });
        let image = call(&self.glance, "glance.v1.ImageService/CreateImage", &json!({"image": image}));
        let id = image["id"].clone();
        assert_eq!(self.change_image(&id, "virtio")["revision"], "2");
        id
    }

    fn change_image(&self, id: &Value, disk_bus: &str) -> Value {
        let change = json!({"image_id": id, "set": {"hw_disk_bus": disk_bus}});
        call(&self.glance, "glance.v1.ImageService/UpdateImageProperties", &change)
    }

    /// The id of an image with these properties.
    fn image_with(&self, properties: &Value) -> Value {
        let image = json!({"name": "image", "size": 1, "properties": properties});
        let image = call(&self.glance, "glance.v1.ImageService/CreateImage", &json!({"image": image}));
        image["id"].clone()
    }

    /// A call of cinder-svc that succeeds.
    fn call(&self, method: &str, request: &Value) -> Value {
        call(&self.cinder, method, request)
    }

    /// What grpcurl says about a call of cinder-svc that is refused with this code.
    fn refused(&self, method: &str, request: &Value, code: i32) -> String {
        let output = grpcurl(&self.cinder, method, request);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(GRPCURL_RPC_ERROR + code), "{said}");
        said
    }
}

async fn a_volume_remembers_its_image_at_its_revision(db: TestDb) {
    let world = Catalogue::start(db, "none").await;
    let image_id = world.image();
    let created = world.call(CREATE, &json!({"name": "root", "image_id": image_id}));
    let properties = json!({"os_distro": "ubuntu", "os_type": "linux", "hw_disk_bus": "virtio"});
    assert_eq!(created["status"], "AVAILABLE");
    assert_eq!(created["sizeGib"], 10, "the image's min_disk is more than its data needs");
    assert_eq!(created["bootable"], true);
    assert_eq!(created["projectId"], "demo");
    assert_eq!(created["imageProperties"], properties);
    let expected = json!({
        "id": image_id, "revision": "2", "name": "ubuntu", "diskFormat": "qcow2", "containerFormat": "bare",
        "minDisk": "10", "minRam": "512", "size": "2361393152"
    });
    assert_eq!(created["image"], expected);

    // The image changes, and then it is gone; the volume stays what it is.
    let id = &created["id"];
    world.change_image(&image_id, "scsi");
    let compared = world.call("cinder.v1.VolumeService/CompareVolume", &json!({"id": id}));
    assert_eq!(compared["currentRevision"], "3");
    let difference = json!([
        {"property": "hw_disk_bus", "kind": "CHANGED", "volumeValue": "virtio", "imageValue": "scsi"}
    ]);
    assert_eq!(compared["current"], difference);
    call(&world.glance, "glance.v1.ImageService/DeleteImage", &json!({"id": image_id}));
    assert_eq!(world.call(GET, &json!({"id": id})), created);

    // A copy remembers the same.
    let clone = world.call(CREATE, &json!({"name": "copy", "source_volume_id": id}));
    assert_eq!((&clone["image"], &clone["imageProperties"]), (&created["image"], &properties));
    let filter =
        format!("image_id = {} AND image_properties.hw_disk_bus = virtio", image_id.as_str().unwrap());
    let listed = world.call(LIST, &json!({"filter": filter}));
    assert_eq!(listed["volumes"], json!([clone, created]));
}

async fn a_retry_after_a_crash_answers_with_the_volume_that_was_created(db: TestDb) {
    let mut world = Catalogue::start(db, "none").await;
    let request = json!({"name": "root", "image_id": world.image(), "request_id": "once"});
    let created = world.call(CREATE, &request);

    world.cinder.kill().unwrap();
    // Not even the image catalogue is needed: the answer is in the database.
    world.glance.kill().unwrap();
    world.cinder = start_cinder(&world.cinder_db.url, &world.glance.endpoint(), "none");
    assert_eq!(world.call(CREATE, &request), created);
    assert_eq!(world.call(GET, &json!({"id": created["id"]})), created);
    let listed = world.call(LIST, &json!({}));
    assert_eq!(listed["volumes"], json!([created]));

    let mut other = request;
    other["name"] = "other".into();
    assert!(world.refused(CREATE, &other, ALREADY_EXISTS).contains("REQUEST_ID_TAKEN"));
}

async fn what_is_wrong_with_a_request_is_told_at_once(db: TestDb) {
    let world = Catalogue::start(db, "none").await;
    let wrong =
        json!({"image_id": "x", "size_gib": 0, "image_properties": {"": "x"}, "name": "n".repeat(256)});
    let said = world.refused(CREATE, &wrong, INVALID_ARGUMENT);
    for part in ["INVALID_REQUEST", "name", "image_id", "size_gib", "image_properties"] {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
    let nothing = "00000000-0000-4000-8000-000000000000";
    let absent = world.refused(CREATE, &json!({"image_id": nothing}), INVALID_ARGUMENT);
    assert!(absent.contains("IMAGE_NOT_FOUND"), "{absent}");
    let small = json!({"image_id": world.image(), "size_gib": 4});
    let said = world.refused(CREATE, &small, FAILED_PRECONDITION);
    assert!(said.contains("VOLUME_SMALLER_THAN_MIN_DISK") && said.contains("10 GiB"), "{said}");
    let typed = world.image_with(&json!({"cinder_img_volume_type": "fast"}));
    let said = world.refused(CREATE, &json!({"image_id": typed}), FAILED_PRECONDITION);
    assert!(said.contains("VOLUME_TYPE_NOT_FOUND") && said.contains("cinder_img_volume_type"), "{said}");
    assert_eq!(world.call(LIST, &json!({})), json!({}));
}

async fn a_change_that_is_refused_leaves_the_volume_as_it_was(db: TestDb) {
    let world = Catalogue::start(db, "none").await;
    let created = world.call(CREATE, &json!({"name": "root", "image_id": world.image()}));
    let edit = json!({"id": created["id"], "set": {"hw_disk_bus": "scsi"}, "etag": created["etag"]});
    let edited = world.call(UPDATE_PROPERTIES, &edit);
    assert_eq!(edited["imageProperties"]["hw_disk_bus"], "scsi");
    assert_eq!(edited["image"], created["image"]);

    let said = world.refused(UPDATE_PROPERTIES, &edit, ABORTED);
    assert!(said.contains("STALE_ETAG"), "{said}");
    let extend = json!({"id": created["id"], "size_gib": 10});
    let said = world.refused("cinder.v1.VolumeService/ExtendVolume", &extend, INVALID_ARGUMENT);
    assert!(said.contains("NOT_LARGER"), "{said}");
    assert_eq!(world.call(GET, &json!({"id": created["id"]})), edited);

    let history = world.call("cinder.v1.VolumeService/GetVolumeHistory", &json!({"id": created["id"]}));
    let operations: Vec<_> =
        history["entries"].as_array().unwrap().iter().map(|entry| &entry["operation"]).collect();
    assert_eq!(operations, ["UPDATE_IMAGE_PROPERTIES", "CREATE"]);
}

async fn properties_follow_the_data_of_a_volume_that_is_not_bootable(db: TestDb) {
    let world = Catalogue::start(db, "none").await;
    let image_id = world.image_with(&json!({"hw_disk_bus": "virtio"}));
    let added = json!({"hw_disk_bus": "scsi", "hw_firmware_type": "uefi"});
    let request = json!({"image_id": image_id, "image_properties": added});
    let id = world.call(CREATE, &request)["id"].clone();
    let update = json!({"volume": {"id": id, "bootable": false}, "update_mask": {"paths": ["bootable"]}});
    let changed = world.call("cinder.v1.VolumeService/UpdateVolume", &update);
    assert_eq!((&changed["bootable"], &changed["imageProperties"]), (&Value::Null, &added));

    let clone = world.call(CREATE, &json!({"source_volume_id": id}));
    assert_eq!((&clone["bootable"], &clone["imageProperties"]), (&Value::Null, &added));
    assert_eq!(clone["image"], changed["image"]);
    // A blank volume remembers nothing, and a copy of it is no different.
    let blank = world.call(CREATE, &json!({"size_gib": 1}));
    let clone = world.call(CREATE, &json!({"source_volume_id": blank["id"]}));
    assert_eq!((&clone["image"], &clone["imageProperties"]), (&Value::Null, &Value::Null));
}

async fn while_the_catalogue_is_away_nothing_is_written_and_a_retry_is_possible(db: TestDb) {
    let mut world = Catalogue::start(db, "none").await;
    let request = json!({"image_id": world.image(), "request_id": "again"});
    world.glance.kill().unwrap();
    let said = world.refused(CREATE, &request, UNAVAILABLE);
    assert!(said.contains("GLANCE_UNAVAILABLE") && said.contains("RetryInfo"), "{said}");
    assert_eq!(world.call(LIST, &json!({})), json!({}));

    let address = world.glance.address().to_string();
    world.glance = start_glance(&world.glance_db.url, world.data.path(), &address);
    let created = world.call(CREATE, &request);
    assert_eq!(world.call(LIST, &json!({}))["volumes"], json!([created]));
}
