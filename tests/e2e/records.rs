//! Images of instances with the largest possible record: whatever can be created can also be shelved.

use std::collections::BTreeMap;

use chassis::{on_both_databases, testing::TestDb};
use proto::{
    glance::v1::{CreateImageRequest, GetImageRequest, Image},
    nova::v1::{
        CreateInstanceRequest, ShelveInstanceRequest, SnapshotInstanceRequest, UnshelveInstanceRequest,
        UpdateInstanceImagePropertiesRequest,
    },
};

use crate::world::{World, create};

on_both_databases!(an_instance_of_the_fullest_image_is_made_an_image);

/// Names that used to be fields of an image in this API only.
const NAMES: [&str; 7] =
    ["properties", "is_public", "revision", "etag", "create_time", "update_time", "members"];

async fn an_instance_of_the_fullest_image_is_made_an_image(db: TestDb) {
    let world = World::start_with(db, "none").await;
    let properties: BTreeMap<_, _> = (0..121)
        .map(|number| (format!("{number:0255}"), "v".repeat(255)))
        .chain(NAMES.map(|name| (name.to_owned(), "1".to_owned())))
        .collect();
    let image = Image { name: "full".into(), size: Some(1), properties, ..Image::default() };
    let mut images = world.images().await;
    let request = CreateImageRequest { image: Some(image) };
    let image = images.create_image(request).await.unwrap().into_inner();
    let mut nova = world.instances().await;
    let request = CreateInstanceRequest { name: "n".repeat(255), ..create(&image, 1) };
    let id = nova.create_instance(request).await.unwrap().into_inner().instances.remove(0).id;
    let set = NAMES.map(|name| (name.to_owned(), "2".to_owned())).into();
    let request = UpdateInstanceImagePropertiesRequest { id: id.clone(), set, ..Default::default() };
    nova.update_instance_image_properties(request).await.unwrap();

    let request = SnapshotInstanceRequest { id: id.clone(), name: "backup".to_owned(), ..Default::default() };
    let made = nova.snapshot_instance(request).await.unwrap().into_inner().image_id;
    let made = images.get_image(GetImageRequest { id: made, revision: 0 }).await.unwrap().into_inner();
    assert_eq!(made.properties.len(), 133);
    assert!(NAMES.iter().all(|name| made.properties[*name] == "2"), "{:?}", made.properties);

    let shelved = nova.shelve_instance(ShelveInstanceRequest { id: id.clone(), ..Default::default() });
    let shelved = shelved.await.unwrap().into_inner();
    let request = GetImageRequest { id: shelved.system_metadata["shelved_image_id"].clone(), revision: 0 };
    let made = images.get_image(request).await.unwrap().into_inner();
    assert_eq!(made.name, format!("{}-shelved", "n".repeat(247)));
    nova.unshelve_instance(UnshelveInstanceRequest { id, ..Default::default() }).await.unwrap();
}
