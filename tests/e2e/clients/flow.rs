//! OpenStack's clients and grpcurl work on the same images, and what they set arrives in instances.

use chassis::{on_both_databases, testing::TestDb};
use harness::identity::Identity;
use proto::glance::v1::DownloadImageDataRequest;
use serde_json::json;

use crate::{
    clients::{data, terminal_of},
    world::{World, call},
};

on_both_databases!(what_one_client_sets_the_others_see);

async fn what_one_client_sets_the_others_see(db: TestDb) {
    let world = World::start(db).await;
    let identity = Identity::start(&world.glance.endpoint()).unwrap();
    let terminal = terminal_of("demo", &identity.url());
    terminal.write("data.img", data());
    let formats = "--disk-format raw --container-format bare --file data.img";
    let line = format!("glance image-create --name ubuntu {formats} --property hw_disk_bus=ide");
    let created = terminal.table(&line);
    let id = created.value("id");
    terminal.run(&format!("glance image-update {id} --property hw_disk_bus=virtio"));

    // grpcurl sees what glance set.
    let image = call(&world.glance, "glance.v1.ImageService/GetImage", &json!({"id": id}));
    assert_eq!([&image["name"], &image["status"], &image["owner"]], ["ubuntu", "ACTIVE", "demo"]);
    assert_eq!(image["properties"], json!({"hw_disk_bus": "virtio"}));
    assert!(download(&world, id).await == data(), "the data differ");

    // openstack sees what grpcurl sets.
    let change = json!({"image_id": id, "set": {"os_type": "linux"}});
    let updated = call(&world.glance, "glance.v1.ImageService/UpdateImageProperties", &change);
    let shown = terminal.json(&format!("openstack image show {id} -f json"));
    assert_eq!(shown["checksum"], created.value("checksum"));
    assert_eq!(shown["properties"]["os_type"], "linux");
    assert_eq!(shown["properties"]["hw_disk_bus"], "virtio");

    // An instance has both, as they are now.
    let instance = json!({"name": "web", "image_id": id, "flavor_id": "1"});
    let created = call(&world.nova, "nova.v1.InstanceService/CreateInstance", &instance);
    assert_eq!(created["instances"][0]["imageRevision"], updated["revision"]);
    let rows = world.system_metadata_rows().await;
    for (key, value) in [("image_hw_disk_bus", "virtio"), ("image_os_type", "linux")] {
        assert_eq!(rows.get(key).map(String::as_str), Some(value), "{key}");
    }
    authors_are_remembered(&world, id);
}

/// The image's history has everybody who changed it, whatever client they used.
fn authors_are_remembered(world: &World, id: &str) {
    let history = json!({"image_id": id});
    let history = call(&world.glance, "glance.v1.ImageService/ListImageRevisions", &history);
    let author = |property: &str| {
        let revisions = history["revisions"].as_array().unwrap();
        let made = revisions.iter().find(|revision| revision["changes"].to_string().contains(property));
        made.unwrap_or_else(|| panic!("{property}: {history}"))["userId"].clone()
    };
    assert_eq!([author("virtio"), author("os_type")], ["demo", "alice"]);
}

/// The data of an image, over gRPC.
async fn download(world: &World, id: &str) -> Vec<u8> {
    let request = DownloadImageDataRequest { id: id.to_owned(), ..DownloadImageDataRequest::default() };
    let mut chunks = world.images().await.download_image_data(request).await.unwrap().into_inner();
    let mut data = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        data.extend_from_slice(&chunk.data);
    }
    data
}
