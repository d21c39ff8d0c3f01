//! The article's flow with the real grpcurl: register, change, create, read; and the same rows in SQL.

use chassis::{on_both_databases, testing::TestDb};
use serde_json::json;

use crate::world::{World, call};

on_both_databases!(an_images_properties_arrive_in_system_metadata, what_was_cut_is_reported);

async fn an_images_properties_arrive_in_system_metadata(db: TestDb) {
    let world = World::start(db).await;
    let image = call(
        &world.glance,
        "glance.v1.ImageService/CreateImage",
        &json!({"image": {
            "name": "ubuntu", "size": "2361393152", "disk_format": "qcow2", "container_format": "bare",
            "min_ram": 512, "min_disk": 10,
            "properties": {"os_distro": "ubuntu", "os_type": "linux", "hw_disk_bus": "ide"}
        }}),
    );
    let image_id = image["id"].as_str().unwrap();
    let updated = call(
        &world.glance,
        "glance.v1.ImageService/UpdateImageProperties",
        &json!({"image_id": image_id, "set": {"hw_disk_bus": "virtio"}}),
    );
    assert_eq!(updated["revision"], "2");

    let created = call(
        &world.nova,
        "nova.v1.InstanceService/CreateInstance",
        &json!({"name": "web", "image_id": image_id, "flavor_id": "2"}),
    );
    let id = &created["instances"][0]["id"];
    let instance = call(&world.nova, "nova.v1.InstanceService/GetInstance", &json!({"id": id}));
    assert_eq!(instance, created["instances"][0]);
    assert_eq!(instance["state"], "BUILDING");
    assert_eq!(instance["imageRevision"], "2");
    assert_eq!(instance["osType"], "linux");
    assert_eq!(instance["projectId"], "demo");
    let expected = json!({
        "image_base_image_ref": image_id,
        "image_container_format": "bare",
        "image_disk_format": "qcow2",
        "image_hw_disk_bus": "virtio",
        "image_min_disk": "20",
        "image_min_ram": "512",
        "image_os_distro": "ubuntu",
        "image_os_type": "linux",
        "instance_type_ephemeral_gb": "0",
        "instance_type_flavorid": "2",
        "instance_type_id": "2",
        "instance_type_memory_mb": "2048",
        "instance_type_name": "m1.small",
        "instance_type_root_gb": "20",
        "instance_type_rxtx_factor": "1.0",
        "instance_type_swap": "0",
        "instance_type_vcpu_weight": "",
        "instance_type_vcpus": "1",
    });
    assert_eq!(instance["systemMetadata"], expected);
    assert_eq!(json!(world.system_metadata_rows().await), expected);

    // The instance says which state of the image it was made from, and that state can still be read.
    let then = json!({"id": image_id, "revision": instance["imageRevision"]});
    let stamped = call(&world.glance, "glance.v1.ImageService/GetImage", &then);
    assert_eq!(stamped["properties"]["hw_disk_bus"], "virtio");
}

async fn what_was_cut_is_reported(db: TestDb) {
    let world = World::start(db).await;
    let long = "名".repeat(300);
    let image = world.image(&[("description", &long), ("short", "名")]).await;
    let created = call(
        &world.nova,
        "nova.v1.InstanceService/CreateInstance",
        &json!({"name": "web", "image_id": image.id, "flavor_id": "1"}),
    );
    let instance = &created["instances"][0];
    assert_eq!(instance["truncatedKeys"], json!(["image_description"]));
    assert_eq!(instance["systemMetadata"]["image_description"], "名".repeat(255));
    assert_eq!(instance["systemMetadata"]["image_short"], "名");
}
