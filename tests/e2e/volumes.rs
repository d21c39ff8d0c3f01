//! Volumes remember the image that they were made from: real programs, called with the real grpcurl.

use chassis::{on_both_databases, testing::TestDb};
use harness::service::Service;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{GRPCURL_RPC_ERROR, call, grpcurl, start_cinder, start_glance};

on_both_databases!(
    a_volume_remembers_its_image_at_its_revision,
    a_retry_after_a_crash_answers_with_the_volume_that_was_created,
    what_is_wrong_with_a_request_is_told_at_once,
    a_change_that_is_refused_leaves_the_volume_as_it_was
);

const CREATE: &str = "cinder.v1.VolumeService/CreateVolume";
const GET: &str = "cinder.v1.VolumeService/GetVolume";

// Codes of gRPC.
const INVALID_ARGUMENT: i32 = 3;
const FAILED_PRECONDITION: i32 = 9;

/// An image catalogue and a volume service, each on a database of its own.
struct Catalogue {
    glance: Service,
    cinder: Service,
    cinder_db: TestDb,
    _glance_db: TestDb,
    _data: TempDir,
}

impl Catalogue {
    async fn start(db: TestDb) -> Self {
        let (glance_db, data) = (db.another().await, tempfile::tempdir().unwrap());
        let glance = start_glance(&glance_db.url, data.path(), "127.0.0.1:0");
        let cinder = start_cinder(&db.url, &glance.endpoint());
        Self { glance, cinder, cinder_db: db, _glance_db: glance_db, _data: data }
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
    let world = Catalogue::start(db).await;
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
    let listed = world.call("cinder.v1.VolumeService/ListVolumes", &json!({"filter": filter}));
    assert_eq!(listed["volumes"], json!([clone, created]));
}

async fn a_retry_after_a_crash_answers_with_the_volume_that_was_created(db: TestDb) {
    let mut world = Catalogue::start(db).await;
    let request = json!({"name": "root", "image_id": world.image(), "request_id": "once"});
    let created = world.call(CREATE, &request);

    world.cinder.kill().unwrap();
    // Not even the image catalogue is needed: the answer is in the database.
    world.glance.kill().unwrap();
    world.cinder = start_cinder(&world.cinder_db.url, &world.glance.endpoint());
    assert_eq!(world.call(CREATE, &request), created);
    assert_eq!(world.call(GET, &json!({"id": created["id"]})), created);
    let listed = world.call("cinder.v1.VolumeService/ListVolumes", &json!({}));
    assert_eq!(listed["volumes"], json!([created]));

    let mut other = request;
    other["name"] = "other".into();
    assert!(world.refused(CREATE, &other, 6).contains("REQUEST_ID_TAKEN"));
}

async fn what_is_wrong_with_a_request_is_told_at_once(db: TestDb) {
    let world = Catalogue::start(db).await;
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
    assert_eq!(world.call("cinder.v1.VolumeService/ListVolumes", &json!({})), json!({}));
}

async fn a_change_that_is_refused_leaves_the_volume_as_it_was(db: TestDb) {
    let world = Catalogue::start(db).await;
    let created = world.call(CREATE, &json!({"name": "root", "image_id": world.image()}));
    let edit = json!({"id": created["id"], "set": {"hw_disk_bus": "scsi"}, "etag": created["etag"]});
    let update = "cinder.v1.VolumeService/UpdateVolumeImageProperties";
    let edited = world.call(update, &edit);
    assert_eq!(edited["imageProperties"]["hw_disk_bus"], "scsi");
    assert_eq!(edited["image"], created["image"]);

    let said = world.refused(update, &edit, 10);
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
