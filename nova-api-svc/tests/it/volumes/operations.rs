//! What happens to instances on volumes, and to the volumes, after their creation.

use proto::{
    cinder::v1::attachment::Status as Attached,
    nova::v1::{CompareInstanceRequest, ConfirmResizeRequest, ResizeInstanceRequest, instance::State},
};

use super::*;
use crate::support::made_by;

on_both_databases!(
    volumes_go_with_the_instance_if_that_was_requested,
    a_volume_in_use_goes_once_the_host_says_so,
    a_resize_ignores_the_root_disk_of_the_flavor,
    record_root_volume_and_image_are_compared,
);

async fn volumes_go_with_the_instance_if_that_was_requested(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let (volume, kept, busy) =
        (world.bootable(), world.cinder.add(Volume::default()), world.cinder.add(Volume::default()));
    world
        .cinder
        .change(&busy.id, |volume| drop(volume.metadata.insert("snapshots".to_owned(), "1".to_owned())));
    let gone = |source| BlockDeviceMapping { delete_on_termination: true, ..disk(source) };
    let disks = [
        BlockDeviceMapping { boot_index: Some(0), ..gone(existing(&volume)) },
        disk(existing(&kept)),
        gone(existing(&busy)),
        BlockDeviceMapping { delete_on_termination: true, ..blank(1) },
    ];
    let instance = world.create(with(disks)).await;
    world.nova.delete(&instance.id).await.unwrap();
    assert_eq!(world.work().await, 0);
    assert_eq!(world.cinder.state().attachments.len(), 0);
    let left: Vec<_> = world.cinder.state().volumes.keys().cloned().collect();
    let mut expected = vec![kept.id, busy.id];
    expected.sort();
    assert_eq!(left, expected);
}

async fn a_volume_in_use_goes_once_the_host_says_so(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let volume = world.bootable();
    let mapping = BlockDeviceMapping { delete_on_termination: true, ..root(existing(&volume)) };
    let instance = world.create(with([mapping])).await;
    world.cinder.connect(&volume.id);
    world.nova.delete(&instance.id).await.unwrap();
    assert_eq!(world.work().await, 1);
    assert_eq!(world.cinder.attached(&volume.id), [(Attached::Detaching, true)]);
    world.cinder.disconnect(&volume.id);
    assert_eq!((world.work().await, world.cinder.volume(&volume.id)), (0, None));
}

async fn a_resize_ignores_the_root_disk_of_the_flavor(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let image = Some(SourceImage { min_disk: 10, min_ram: 512, ..remembered() });
    let volume = Volume { bootable: true, size_gib: 10, image, ..Volume::default() };
    let instance = world.create(with([root(existing(&world.cinder.add(volume)))])).await;
    world.nova.flavor("diskless", 1024, 1, 0).await;
    world.nova.flavor("little", 256, 1, 100).await;
    let resize = |flavor: &str| {
        let request = ResizeInstanceRequest {
            id: instance.id.clone(),
            flavor_id: flavor.to_owned(),
            ..Default::default()
        };
        made_by("alice", "demo", request)
    };
    let refused = world.nova.instances().resize_instance(resize("little")).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "FLAVOR_MEMORY_TOO_SMALL");
    let resized = world.nova.instances().resize_instance(resize("diskless")).await.unwrap().into_inner();
    assert_eq!((resized.state(), &resized.block_devices), (State::Resized, &instance.block_devices));
    let confirm = ConfirmResizeRequest { id: instance.id.clone(), ..Default::default() };
    let confirmed = world.nova.instances().confirm_resize(made_by("alice", "demo", confirm)).await.unwrap();
    assert_eq!(confirmed.into_inner().root_volume_id, instance.root_volume_id);
}

async fn record_root_volume_and_image_are_compared(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let volume = world.bootable();
    let instance = world.create(with([root(existing(&volume))])).await;
    let compare = || async {
        let request = CompareInstanceRequest { id: instance.id.clone() };
        world.nova.instances().compare_instance(made_by("alice", "demo", request)).await.unwrap().into_inner()
    };
    let compared = compare().await;
    let same = compared.root_volume.unwrap();
    assert_eq!((&same.volume_id, same.volume_revision, same.differences), (&volume.id, 1, vec![]));
    assert_eq!((same.image_id.as_str(), same.image_revision), (IMAGE, 7));
    assert_eq!((compared.current_revision, compared.has_revision), (0, false), "the image is gone");

    world.cinder.change(&volume.id, |volume| {
        volume.revision = 2;
        volume.image_properties = map(&[("hw_disk_bus", "ide"), ("os_type", "linux")]);
    });
    let image = proto::glance::v1::Image {
        id: IMAGE.to_owned(),
        revision: 7,
        min_ram: 64,
        min_disk: 1,
        disk_format: "qcow2".to_owned(),
        container_format: "bare".to_owned(),
        properties: map(&[("hw_disk_bus", "scsi"), ("os_type", "linux")]),
        ..Default::default()
    };
    world.nova.glance.add(image);
    let compared = compare().await;
    assert_eq!((compared.current, compared.at_revision, compared.has_revision), (vec![], vec![], true));
    let edited = compared.root_volume.unwrap();
    assert_eq!((edited.volume_revision, edited.differences.len()), (2, 1));
    let difference = &edited.differences[0];
    assert_eq!(difference.property, "hw_disk_bus");
    assert_eq!((difference.instance_value(), difference.image_value()), ("scsi", "ide"));
    world.cinder.state().volumes.clear();
    assert_eq!(compare().await.root_volume.unwrap().volume_revision, 0);
}
