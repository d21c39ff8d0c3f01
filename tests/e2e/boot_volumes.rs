//! Instances boot from volumes: three real programs, called with the real grpcurl.

use std::time::Duration;

use chassis::{on_both_databases, testing::TestDb};
use harness::service::Service;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

use crate::world::{call, grpcurl, start_cinder, start_glance, start_nova_with};

on_both_databases!(
    instance_volume_and_image_remember_the_same,
    a_volume_goes_with_its_instance,
    an_instance_on_a_volume_is_shelved_rebuilt_and_made_into_an_image,
    a_snapshot_whose_process_is_killed_goes_on,
    a_create_whose_process_is_killed_leaves_nothing
);

const CREATE: &str = "nova.v1.InstanceService/CreateInstance";
const GET_VOLUME: &str = "cinder.v1.VolumeService/GetVolume";

/// All services, each on a database of its own.
struct World {
    glance: Service,
    cinder: Service,
    nova: Service,
    nova_db: TestDb,
    _others: (TestDb, TestDb, TempDir),
}

impl World {
    /// Starts all of them; nobody keeps the data of volumes.
    async fn start(nova_db: TestDb) -> Self {
        let (glance_db, cinder_db) = (nova_db.another().await, nova_db.another().await);
        let data = tempfile::tempdir().unwrap();
        let glance = start_glance(&glance_db.url, data.path(), "127.0.0.1:0");
        let cinder = start_cinder(&cinder_db.url, &glance.endpoint(), "none");
        let nova = start(&nova_db, &glance, &cinder);
        Self { glance, cinder, nova, nova_db, _others: (glance_db, cinder_db, data) }
    }

    /// The id of an image that needs 2 GiB, at its revision 2.
    fn image(&self) -> Value {
        let image = json!({
            "name": "ubuntu", "size": "1024", "disk_format": "qcow2", "container_format": "bare", "min_disk": 2,
            "properties": {"os_distro": "ubuntu", "hw_disk_bus": "ide"}
        });
        let image = call(&self.glance, "glance.v1.ImageService/CreateImage", &json!({"image": image}));
        let change = json!({"image_id": image["id"], "set": {"hw_disk_bus": "virtio"}});
        call(&self.glance, "glance.v1.ImageService/UpdateImageProperties", &change);
        image["id"].clone()
    }

    /// The only instance of a request with these disks.
    fn create(&self, disks: &Value) -> Value {
        let request = json!({"name": "web", "flavor_id": "2", "block_device_mapping": disks});
        call(&self.nova, CREATE, &request)["instances"][0].clone()
    }

    fn volume(&self, id: &Value) -> Value {
        call(&self.cinder, GET_VOLUME, &json!({"id": id}))
    }

    fn compare(&self, instance: &Value) -> Value {
        call(&self.nova, "nova.v1.InstanceService/CompareInstance", &json!({"id": instance["id"]}))
    }

    /// The ids of all volumes, and how many attachments there are.
    fn left(&self) -> (Vec<String>, usize) {
        let all = json!({"page_size": 1000});
        let volumes = call(&self.cinder, "cinder.v1.VolumeService/ListVolumes", &all);
        let attachments = call(&self.cinder, "cinder.v1.AttachmentService/ListAttachments", &all);
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut ids: Vec<_> =
            list(&volumes["volumes"]).iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        (ids, list(&attachments["attachments"]).len())
    }

    /// Lets jobs be done at once that wait for somebody else to do them.
    async fn hurry(&self) {
        let sql = "UPDATE volume_jobs SET next_try = 0";
        if self.nova_db.url.starts_with("sqlite") {
            SqliteConnection::connect(&self.nova_db.url).await.unwrap().execute(sql).await.unwrap();
        } else {
            PgConnection::connect(&self.nova_db.url).await.unwrap().execute(sql).await.unwrap();
        }
    }

    /// Waits until something is so.
    async fn until(&self, is_so: impl Fn() -> bool) {
        let waiting = async {
            while !is_so() {
                self.hurry().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), waiting).await.expect("it comes to be so");
    }
}

fn start(nova_db: &TestDb, glance: &Service, cinder: &Service) -> Service {
    start_nova_with(&nova_db.url, &glance.endpoint(), "none", &["--cinder-endpoint", &cinder.endpoint()])
}

async fn instance_volume_and_image_remember_the_same(db: TestDb) {
    let world = World::start(db).await;
    let image_id = world.image();
    let instance = world.create(&json!([{"image_id": image_id, "boot_index": 0}]));
    let volume = world.volume(&instance["rootVolumeId"]);
    assert_eq!((&instance["imageId"], &instance["imageRevision"]), (&image_id, &json!("2")));
    assert_eq!((&volume["image"]["id"], &volume["image"]["revision"]), (&image_id, &json!("2")));
    assert_eq!((&volume["sizeGib"], &volume["status"]), (&json!(2), &json!("IN_USE")));
    assert_eq!(volume["attachments"][0]["instanceId"], instance["id"]);
    assert_eq!(volume["attachments"][0]["id"], instance["blockDevices"][0]["attachmentId"]);
    assert_eq!(instance["systemMetadata"]["image_hw_disk_bus"], "virtio");

    // The volume is edited after a snapshot of it: both see their own moment.
    let snapshot = json!({"volume_id": volume["id"], "name": "before"});
    let snapshot = call(&world.cinder, "cinder.v1.SnapshotService/CreateSnapshot", &snapshot);
    let edit = json!({"id": volume["id"], "set": {"hw_disk_bus": "scsi"}});
    call(&world.cinder, "cinder.v1.VolumeService/UpdateVolumeImageProperties", &edit);
    let compared = world.compare(&instance);
    let expected = json!([{"property": "hw_disk_bus", "kind": "CHANGED", "instanceValue": "virtio", "imageValue": "scsi"}]);
    assert_eq!(compared["rootVolume"]["differences"], expected);
    assert_eq!((&compared["current"], &compared["atRevision"]), (&Value::Null, &Value::Null));

    call(&world.glance, "glance.v1.ImageService/DeleteImage", &json!({"id": image_id}));
    let copy = world.create(&json!([{"snapshot_id": snapshot["id"], "boot_index": 0}]));
    assert_eq!(copy["systemMetadata"]["image_hw_disk_bus"], "virtio");
    assert_eq!(world.compare(&copy)["rootVolume"]["differences"], Value::Null);
    assert_eq!(world.volume(&copy["rootVolumeId"])["imageProperties"]["hw_disk_bus"], "virtio");
}

async fn a_volume_goes_with_its_instance(db: TestDb) {
    let world = World::start(db).await;
    let image_id = world.image();
    let data = call(&world.cinder, "cinder.v1.VolumeService/CreateVolume", &json!({"size_gib": 1}));
    let disks = json!([{"image_id": image_id, "boot_index": 0, "delete_on_termination": true}]);
    let instance = world.create(&disks);
    let attach = json!({"id": instance["id"], "volume_id": data["id"], "device_name": "/dev/vdb"});
    call(&world.nova, "nova.v1.InstanceService/AttachVolume", &attach);
    assert_eq!(world.volume(&data["id"])["status"], "IN_USE");
    let reserved = json!({"volume_id": data["id"]});
    let taken = grpcurl(&world.cinder, "cinder.v1.AttachmentService/CreateAttachment", &reserved);
    assert!(String::from_utf8_lossy(&taken.stderr).contains("VOLUME_IN_USE"), "{taken:?}");
    let detach = json!({"id": instance["id"], "volume_id": data["id"]});
    let detached = call(&world.nova, "nova.v1.InstanceService/DetachVolume", &detach);
    assert_eq!(detached["blockDevices"].as_array().unwrap().len(), 1);
    assert_eq!(world.volume(&data["id"])["status"], "AVAILABLE");
    call(&world.nova, "nova.v1.InstanceService/AttachVolume", &attach);

    call(&world.nova, "nova.v1.InstanceService/DeleteInstance", &json!({"id": instance["id"]}));
    let kept = vec![data["id"].as_str().unwrap().to_owned()];
    world.until(|| world.left() == (kept.clone(), 0)).await;
}

async fn an_instance_on_a_volume_is_shelved_rebuilt_and_made_into_an_image(db: TestDb) {
    let world = World::start(db).await;
    let image_id = world.image();
    let root = json!({"image_id": image_id, "boot_index": 0, "device_name": "/dev/vda"});
    let instance = world.create(&json!([root, {"blank": true, "volume_size_gib": 1}]));
    let volume_of =
        |instance: &Value, index: usize| world.volume(&instance["blockDevices"][index]["volumeId"]);
    let about = json!({"id": instance["id"]});

    let shelved = call(&world.nova, "nova.v1.InstanceService/ShelveInstance", &about);
    assert_eq!(shelved["state"], "SHELVED_OFFLOADED");
    assert_eq!(
        (&volume_of(&shelved, 0)["status"], &volume_of(&shelved, 1)["status"]),
        (&json!("RESERVED"), &json!("RESERVED"))
    );
    let back = call(&world.nova, "nova.v1.InstanceService/UnshelveInstance", &about);
    assert_eq!((&back["state"], &back["systemMetadata"]), (&json!("ACTIVE"), &instance["systemMetadata"]));
    assert_eq!(
        (&volume_of(&back, 0)["status"], &volume_of(&back, 1)["status"]),
        (&json!("IN_USE"), &json!("IN_USE"))
    );

    let change = json!({"image_id": image_id, "set": {"hw_disk_bus": "scsi"}});
    call(&world.glance, "glance.v1.ImageService/UpdateImageProperties", &change);
    let rebuilt = call(&world.nova, "nova.v1.InstanceService/RebuildInstance", &about);
    let volume = volume_of(&rebuilt, 0);
    assert_eq!((&rebuilt["imageRevision"], &volume["image"]["revision"]), (&json!("3"), &json!("3")));
    assert_eq!(
        (&volume["status"], &volume["imageProperties"]["hw_disk_bus"]),
        (&json!("IN_USE"), &json!("scsi"))
    );
    assert_eq!(world.compare(&rebuilt)["rootVolume"]["differences"], Value::Null);

    let snapshot = json!({"id": instance["id"], "name": "golden", "metadata": {"os_version": "24.04"}});
    let made = call(&world.nova, "nova.v1.InstanceService/SnapshotInstance", &snapshot);
    let golden = call(&world.glance, "glance.v1.ImageService/GetImage", &json!({"id": made["imageId"]}));
    assert_eq!((&golden["status"], &golden["size"]), (&json!("ACTIVE"), &json!("0")));
    let devices: Value =
        serde_json::from_str(golden["properties"]["block_device_mapping"].as_str().unwrap()).unwrap();
    assert_eq!(devices[0]["snapshot_id"], made["volumeSnapshots"][0]["snapshotId"]);
    assert_eq!((&devices[0]["device_name"], &devices[0]["volume_size"]), (&json!("/dev/vda"), &json!(2)));

    call(&world.glance, "glance.v1.ImageService/DeleteImage", &json!({"id": image_id}));
    let request = json!({"name": "copy", "flavor_id": "2", "image_id": made["imageId"]});
    let copy = call(&world.nova, CREATE, &request)["instances"][0].clone();
    assert_eq!(copy["systemMetadata"]["image_os_version"], "24.04");
    let (volume, data) = (volume_of(&copy, 0), volume_of(&copy, 1));
    assert_eq!((&volume["image"]["id"], &volume["sizeGib"]), (&image_id, &json!(2)));
    assert_eq!((&volume["status"], &data["status"]), (&json!("IN_USE"), &json!("IN_USE")));
    assert_eq!(volume["snapshotId"], made["volumeSnapshots"][0]["snapshotId"]);
}

async fn a_snapshot_whose_process_is_killed_goes_on(db: TestDb) {
    let mut world = World::start(db).await;
    let image_id = world.image();
    let blank = json!({"blank": true, "volume_size_gib": 1});
    let root = json!({"image_id": image_id, "boot_index": 0});
    let instance = world.create(&json!([root, blank, blank, blank]));
    let snapshots = |world: &World| {
        let all = json!({"page_size": 1000});
        let listed = call(&world.cinder, "cinder.v1.SnapshotService/ListSnapshots", &all);
        listed["snapshots"].as_array().map_or(0, Vec::len)
    };
    for (round, killed_at) in [1, 2, 4].into_iter().enumerate() {
        let request = json!({"id": instance["id"], "name": "golden", "request_id": format!("r{round}")});
        let nova = &world.nova;
        std::thread::scope(|scope| {
            scope.spawn(|| grpcurl(nova, "nova.v1.InstanceService/SnapshotInstance", &request));
            while snapshots(&world) < 4 * round + killed_at {}
            nova.signal("KILL").unwrap();
        });
        world.nova = start(&world.nova_db, &world.glance, &world.cinder);
        let made = call(&world.nova, "nova.v1.InstanceService/SnapshotInstance", &request);
        assert_eq!(made["volumeSnapshots"].as_array().unwrap().len(), 4);
        assert_eq!(snapshots(&world), 4 * (round + 1));
        let golden = call(&world.glance, "glance.v1.ImageService/GetImage", &json!({"id": made["imageId"]}));
        assert_eq!((&golden["status"], &made["instance"]["state"]), (&json!("ACTIVE"), &json!("ACTIVE")));
    }
}

async fn a_create_whose_process_is_killed_leaves_nothing(db: TestDb) {
    let mut world = World::start(db).await;
    let image_id = world.image();
    let request = json!({
        "name": "web", "flavor_id": "2", "min_count": 10, "image_id": image_id,
        "block_device_mapping": [{"blank": true, "volume_size_gib": 1}, {"blank": true, "volume_size_gib": 1}]
    });
    for volumes in [1, 8, 19] {
        let nova = &world.nova;
        std::thread::scope(|scope| {
            scope.spawn(|| grpcurl(nova, CREATE, &request));
            while world.left().0.len() < volumes {}
            nova.signal("KILL").unwrap();
        });
        world.nova = start(&world.nova_db, &world.glance, &world.cinder);
        let list = json!({"page_size": 1000});
        let created = call(&world.nova, "nova.v1.InstanceService/ListInstances", &list)["instances"].clone();
        let created = created.as_array().cloned().unwrap_or_default();
        let devices =
            created.iter().flat_map(|one| one["blockDevices"].as_array().cloned().unwrap_or_default());
        let mut used: Vec<_> = devices.map(|one| one["volumeId"].as_str().unwrap().to_owned()).collect();
        used.sort();
        let attachments = used.len();
        world.until(|| world.left() == (used.clone(), attachments)).await;
        for instance in &created {
            call(&world.nova, "nova.v1.InstanceService/DeleteInstance", &json!({"id": instance["id"]}));
        }
        // Its volumes stay: nobody asked for them to be deleted.
        for id in &used {
            world.until(|| world.volume(&json!(id))["status"] == "AVAILABLE").await;
            call(&world.cinder, "cinder.v1.VolumeService/DeleteVolume", &json!({"id": id}));
        }
    }
}
