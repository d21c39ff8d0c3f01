//! Rebuilds of instances on volumes: the volume gets the data of the image, and record and volume change together.

use proto::{
    cinder::v1::{VolumeFailure, attachment::Status as Attached},
    glance::v1::Image,
    nova::v1::{
        RebuildInstanceRequest,
        instance::State,
        instance_history_entry::{Operation, Step},
        report_instance_state_request::Result as Outcome,
    },
};

use super::*;
use crate::{cinder::Mood, support::made_by};

on_both_databases!(
    record_and_volume_change_together,
    a_reimage_that_fails_changes_nothing,
    a_volume_in_use_is_reimaged_once_the_host_says_so,
    a_rebuild_that_dies_at_any_write_goes_on,
    what_does_not_fit_the_volume_is_refused,
);

impl World {
    async fn rebuild(&self, id: &str, image_id: &str) -> Result<Instance, Status> {
        self.rebuild_as("", id, image_id).await
    }

    async fn rebuild_as(&self, request_id: &str, id: &str, image_id: &str) -> Result<Instance, Status> {
        let (id, image_id, request_id) = (id.to_owned(), image_id.to_owned(), request_id.to_owned());
        let request = RebuildInstanceRequest { id, image_id, request_id, ..Default::default() };
        Ok(self.nova.instances().rebuild_instance(made_by("alice", "demo", request)).await?.into_inner())
    }

    /// The image that a volume remembers, and its revision.
    fn stamp(&self, volume_id: &str) -> (String, i64) {
        let image = self.cinder.volume(volume_id).unwrap().image.unwrap();
        (image.id, image.revision)
    }
}

/// The image that an instance remembers, and its revision.
fn of(instance: &Instance) -> (String, i64) {
    (instance.image_id.clone(), instance.image_revision)
}

async fn record_and_volume_change_together(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let (volume, data) = (world.bootable(), world.cinder.add(Volume::default()));
    let instance = world.create(with([root(existing(&volume)), disk(existing(&data))])).await;
    let image = world.nova.glance.with(&[("hw_disk_bus", "ide")]);
    let rebuilt = world.rebuild(&instance.id, &image.id).await.unwrap();
    assert_eq!((of(&rebuilt), rebuilt.state(), &rebuilt.task), ((image.id.clone(), 1), State::Active, &None));
    assert_eq!((world.stamp(&volume.id), world.jobs().await), ((image.id.clone(), 1), 0));
    assert_eq!(rebuilt.system_metadata["image_hw_disk_bus"], "ide");
    assert!(!rebuilt.system_metadata.contains_key("image_os_type"));
    for (volume, device) in [&volume, &data].into_iter().zip(&rebuilt.block_devices) {
        assert_eq!(world.cinder.attached(&volume.id), [(Attached::Attached, true)]);
        assert!(world.cinder.state().attachments.contains_key(&device.attachment_id));
    }
    // The same revision once more: the data is replaced all the same.
    let again = world.rebuild(&instance.id, "").await.unwrap();
    assert_eq!((of(&again), world.cinder.volume(&volume.id).unwrap().revision), ((image.id, 1), 3));
}

async fn a_reimage_that_fails_changes_nothing(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let volume = world.bootable();
    let instance = world.create(with([root(existing(&volume))])).await;
    let image = world.nova.glance.with(&[]);
    world.cinder.be(Mood::Slow);
    let begun = world.rebuild_as("r1", &instance.id, &image.id).await.unwrap();
    assert!(begun.task.is_some());
    assert_eq!((of(&begun), world.work().await), ((IMAGE.to_owned(), 7), 1));
    world.cinder.change(&volume.id, |volume| {
        volume.task = None;
        let message = "the disk is full".to_owned();
        volume.last_failure = Some(VolumeFailure { message, ..VolumeFailure::default() });
    });
    assert_eq!(world.work().await, 0);
    let failed = world.nova.get(&instance.id).await.unwrap();
    assert_eq!((failed.state(), &failed.task), (State::Active, &None));
    assert_eq!(failed.system_metadata, instance.system_metadata);
    assert_eq!(world.cinder.attached(&volume.id), [(Attached::Attached, true)]);
    let refused = world.rebuild_as("r1", &instance.id, &image.id).await.unwrap_err();
    let values = assert_error(&refused, Code::FailedPrecondition, "VOLUME_NOT_REIMAGED");
    assert_eq!(&values["problem"], "the disk is full");
    let history = world.history(&instance.id).await;
    let ended = history.iter().find(|entry| entry.operation() == Operation::Rebuild).unwrap();
    assert_eq!((ended.step(), ended.message.as_str()), (Step::Failed, "the disk is full"));
    assert_eq!(ended.volume_id, volume.id);
    world.cinder.be(Mood::Well);
    let rebuilt = world.rebuild_as("r2", &instance.id, &image.id).await.unwrap();
    assert_eq!((of(&rebuilt), world.stamp(&volume.id)), ((image.id.clone(), 1), (image.id.clone(), 1)));
    assert_eq!(world.rebuild_as("r2", &instance.id, &image.id).await.unwrap(), rebuilt);
}

async fn a_volume_in_use_is_reimaged_once_the_host_says_so(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let volume = world.bootable();
    let instance = world.activate(&world.create(with([root(existing(&volume))])).await).await;
    world.cinder.connect(&volume.id);
    let image = world.nova.glance.with(&[]);
    let begun = world.rebuild(&instance.id, &image.id).await.unwrap();
    let task = begun.task.as_ref().unwrap();
    assert_eq!((&task.image_id, task.image_revision), (&image.id, 1));
    assert_eq!((world.stamp(&volume.id), world.jobs().await), ((IMAGE.to_owned(), 7), 1));
    for outcome in [Outcome::Succeeded, Outcome::Failed] {
        let refused = world.report(&begun, outcome).await.unwrap_err();
        assert_eq!(violations(&refused)[0].0, "result");
    }
    world.cinder.detach(&volume.id);
    assert_eq!(world.work().await, 0);
    let rebuilt = world.nova.get(&instance.id).await.unwrap();
    assert_eq!((of(&rebuilt), &rebuilt.task), ((image.id.clone(), 1), &None));
    assert_eq!(world.stamp(&volume.id), (image.id, 1));
    assert_eq!(world.cinder.attached(&volume.id), [(Attached::Reserved, true)], "a host can use it again");
}

async fn a_rebuild_that_dies_at_any_write_goes_on(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let volume = world.bootable();
    let instance = world.create(with([root(existing(&volume))])).await;
    // It is reserved, its attachment ends, the reservation is confirmed, it gets its data, and it is attached again.
    for writes in 1..=7 {
        let image = world.nova.glance.with(&[]);
        world.cinder.be(Mood::Dying(writes));
        world.rebuild(&instance.id, &image.id).await.unwrap();
        world.cinder.be(Mood::Well);
        assert_eq!(world.work().await, 0);
        let rebuilt = world.nova.get(&instance.id).await.unwrap();
        assert_eq!((of(&rebuilt), &rebuilt.task), ((image.id.clone(), 1), &None), "after {writes} writes");
        assert_eq!(world.stamp(&volume.id), (image.id, 1), "after {writes} writes");
        assert_eq!(world.cinder.attached(&volume.id), [(Attached::Attached, true)], "after {writes} writes");
    }
}

async fn what_does_not_fit_the_volume_is_refused(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let volume = world.bootable();
    let instance = world.create(with([root(existing(&volume))])).await;
    let large = world.nova.glance.add(Image { min_disk: 2, ..Image::default() });
    let refused = world.rebuild(&instance.id, &large.id).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "VOLUME_SMALLER_THAN_MIN_DISK");
    let large = world.nova.glance.add(Image { min_ram: 4096, ..Image::default() });
    let refused = world.rebuild(&instance.id, &large.id).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "FLAVOR_MEMORY_TOO_SMALL");
    let blank = world.cinder.add(Volume { bootable: true, ..Volume::default() });
    let nameless = world.create(with([root(existing(&blank))])).await;
    let refused = world.rebuild(&nameless.id, "").await.unwrap_err();
    assert_eq!(violations(&refused)[0].0, "image_id");
    assert_eq!(world.nova.get(&instance.id).await.unwrap(), instance);
}
