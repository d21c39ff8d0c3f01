//! What instances are made from, and what is reserved for them.

use proto::{
    cinder::v1::{attachment::Status as Attached, create_volume_request, volume::Status as Is},
    glance::v1::Image,
    nova::v1::{block_device_mapping::Destination, instance::State},
};

use super::*;
use crate::support::of;

on_both_databases!(
    an_instance_on_a_volume_remembers_what_the_volume_does,
    an_instance_on_a_snapshot_remembers_what_the_snapshot_does,
    an_image_is_read_once_for_instance_and_volume,
    a_volume_that_remembers_nothing_boots_too,
    volumes_are_held_for_instances_with_local_disks,
    each_of_several_instances_gets_its_own_volumes,
    nothing_is_written_to_validate,
    everything_wrong_is_said_at_once,
    what_cannot_be_used_is_refused,
    without_a_volume_service_there_are_no_volumes,
);

async fn an_instance_on_a_volume_remembers_what_the_volume_does(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let volume = world.bootable();
    let instance = world.create(with([root(existing(&volume))])).await;
    assert_eq!((instance.state(), &instance.root_volume_id), (State::Building, &volume.id));
    assert_eq!((instance.image_id.as_str(), instance.image_revision), (IMAGE, 7));
    let metadata = &instance.system_metadata;
    let expected = [
        ("image_hw_disk_bus", Some("scsi")),
        ("image_base_image_ref", Some(IMAGE)),
        ("image_min_ram", Some("64")),
        ("image_disk_format", None),
        ("image_container_format", None),
    ];
    for (key, value) in expected {
        assert_eq!(metadata.get(key).map(String::as_str), value, "{key}");
    }
    assert_eq!(instance.os_type, "linux");
    // The image was not needed.
    assert_eq!(world.nova.glance.calls(), []);
    assert_eq!(world.cinder.attached(&volume.id), [(Attached::Reserved, true)]);
    assert_eq!(world.jobs().await, 0);
    let device = &instance.block_devices[0];
    assert_eq!(device.volume_id, volume.id);
    assert!(world.cinder.state().attachments.contains_key(&device.attachment_id));
}

async fn an_instance_on_a_snapshot_remembers_what_the_snapshot_does(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let snapshot = world.bootable_snapshot();
    let instance = world.create(with([root(Source::SnapshotId(snapshot.id.clone()))])).await;
    assert_eq!(instance.system_metadata["image_hw_disk_bus"], "virtio");
    assert_eq!((instance.state(), instance.image_revision), (State::Active, 7));
    let volume = world.cinder.volume(&instance.root_volume_id).unwrap();
    assert_eq!((volume.size_gib, volume.status()), (4, Is::InUse), "nothing runs it: it counts as used");
    assert_eq!(instance.block_devices[0].mapping.as_ref().unwrap().volume_size_gib, 4);
    let (request, _) = world.cinder.state().created[0].clone();
    assert_eq!(request.source, Some(create_volume_request::Source::SnapshotId(snapshot.id)));
}

async fn an_image_is_read_once_for_instance_and_volume(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let image = world.nova.glance.add(Image {
        revision: 3,
        min_disk: 2,
        disk_format: "qcow2".to_owned(),
        properties: map(&[("hw_disk_bus", "ide")]),
        ..Image::default()
    });
    let image_disk = BlockDeviceMapping { volume_size_gib: 5, ..root(Source::ImageId(image.id.clone())) };
    let instance = world.create(with([image_disk.clone()])).await;
    assert_eq!((&instance.image_id, instance.image_revision), (&image.id, 3));
    assert_eq!(instance.system_metadata["image_disk_format"], "qcow2");
    assert_eq!(world.nova.glance.calls().len(), 1);
    let (request, volume_id) = world.cinder.state().created[0].clone();
    assert_eq!((request.image_revision, request.size_gib), (3, Some(5)));
    assert_eq!(request.source, Some(create_volume_request::Source::ImageId(image.id.clone())));
    assert_eq!(instance.root_volume_id, volume_id);

    let small = BlockDeviceMapping { volume_size_gib: 1, ..image_disk };
    let refused = world.nova.create(with([small])).await.unwrap_err();
    let values = assert_error(&refused, Code::FailedPrecondition, "VOLUME_SMALLER_THAN_MIN_DISK");
    assert_eq!((&values["needed_gib"], &values["size_gib"]), ("2", "1"));
}

async fn a_volume_that_remembers_nothing_boots_too(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let volume = world.cinder.add(Volume { bootable: true, ..Volume::default() });
    let instance = world.create(with([root(existing(&volume))])).await;
    assert_eq!((instance.image_id.as_str(), instance.image_revision), ("", 0));
    assert_eq!(instance.system_metadata["image_base_image_ref"], "");
}

async fn volumes_are_held_for_instances_with_local_disks(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let image = world.nova.glance.with(&[]);
    let volume = world.cinder.add(Volume::default());
    let data = BlockDeviceMapping { device_name: "/dev/vdb".to_owned(), ..disk(existing(&volume)) };
    let local = BlockDeviceMapping {
        destination: Destination::Local.into(),
        ..root(Source::ImageId(image.id.clone()))
    };
    for disks in [vec![data.clone()], vec![local, data]] {
        let request = CreateInstanceRequest { block_device_mapping: disks, ..of(&image) };
        let instance = world.create(request).await;
        assert_eq!((instance.root_volume_id.as_str(), &instance.image_id), ("", &image.id));
        assert_eq!(world.cinder.attached(&volume.id), [(Attached::Reserved, true)]);
        world.nova.delete(&instance.id).await.unwrap();
        assert_eq!(world.work().await, 0);
        assert_eq!(world.cinder.attached(&volume.id), []);
        assert!(world.cinder.volume(&volume.id).is_some());
    }
}

async fn each_of_several_instances_gets_its_own_volumes(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let image = world.nova.glance.with(&[]);
    let request =
        CreateInstanceRequest { min_count: 3, block_device_mapping: vec![blank(1), blank(2)], ..of(&image) };
    let instances = world.nova.create(request).await.unwrap().instances;
    let mut volumes: Vec<_> =
        instances.iter().flat_map(|one| &one.block_devices).map(|device| device.volume_id.clone()).collect();
    volumes.sort();
    volumes.dedup();
    assert_eq!((volumes.len(), world.jobs().await), (6, 0));
    assert!(volumes.iter().all(|id| world.cinder.attached(id) == [(Attached::Reserved, true)]));
}

async fn nothing_is_written_to_validate(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let (volume, image) = (world.bootable(), world.nova.glance.with(&[]));
    let request = CreateInstanceRequest { validate_only: true, ..with([root(existing(&volume)), blank(1)]) };
    let planned = world.nova.create_one(request).await;
    assert_eq!(planned.root_volume_id, volume.id);
    assert_eq!(planned.block_devices.len(), 2);
    let disks = [root(Source::ImageId(image.id))];
    world.nova.create_one(CreateInstanceRequest { validate_only: true, ..with(disks) }).await;
    world.assert_nothing_is_left().await;
}

async fn everything_wrong_is_said_at_once(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let image = world.nova.glance.with(&[]);
    let wrong = BlockDeviceMapping {
        disk_bus: "bus".to_owned(),
        tag: "a,b".to_owned(),
        volume_type: "fast".to_owned(),
        volume_size_gib: -1,
        ..disk(existing(&world.bootable()))
    };
    let request = with([wrong, disk(Source::VolumeId("jammy".to_owned())), BlockDeviceMapping::default()]);
    let refused = world.refuse(request).await;
    let fields: Vec<_> = violations(&refused).into_iter().map(|(field, _)| field).collect();
    let expected =
        ["[0].tag", "[0].disk_bus", "[0].volume_size_gib", "[0].volume_type", "[1].volume_id", "[2].source"];
    assert_eq!(fields, expected.map(|field| format!("block_device_mapping{field}")));

    let twice = root(Source::ImageId(image.id));
    let refused = world.refuse(with([twice.clone(), twice])).await;
    assert_eq!(violations(&refused)[0].0, "block_device_mapping[1].boot_index");
    let refused = world.refuse(with([blank(1)])).await;
    assert_eq!(violations(&refused)[0].0, "image_id");
}

async fn what_cannot_be_used_is_refused(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let plain = world.cinder.add(Volume::default());
    let refused = world.refuse(with([root(existing(&plain))])).await;
    assert_error(&refused, Code::FailedPrecondition, "VOLUME_NOT_BOOTABLE");
    let busy = world.cinder.add(Volume { status: Is::InUse.into(), bootable: true, ..Volume::default() });
    let refused = world.refuse(with([root(existing(&busy))])).await;
    let values = assert_error(&refused, Code::FailedPrecondition, "VOLUME_NOT_AVAILABLE");
    assert_eq!((&values["volume_id"], &values["status"]), (busy.id.as_str(), "IN_USE"));
    let refused = world.refuse(with([root(Source::VolumeId(IMAGE.to_owned()))])).await;
    assert_error(&refused, Code::InvalidArgument, "VOLUME_NOT_FOUND");
    let refused = world.refuse(with([root(Source::SnapshotId(IMAGE.to_owned()))])).await;
    assert_error(&refused, Code::InvalidArgument, "SNAPSHOT_NOT_FOUND");
    let image = Some(SourceImage { min_ram: 1 << 20, ..remembered() });
    let greedy = world.cinder.add(Volume { bootable: true, image, ..Volume::default() });
    let refused = world.refuse(with([root(existing(&greedy))])).await;
    assert_error(&refused, Code::FailedPrecondition, "FLAVOR_MEMORY_TOO_SMALL");
}

async fn without_a_volume_service_there_are_no_volumes(db: TestDb) {
    let nova = Nova::start(db).await;
    for request in
        [with([root(Source::VolumeId(IMAGE.to_owned()))]), with([root(Source::ImageId(IMAGE.to_owned()))])]
    {
        let refused = nova.create(request).await.unwrap_err();
        assert_error(&refused, Code::FailedPrecondition, "NO_VOLUME_SERVICE");
    }
}
