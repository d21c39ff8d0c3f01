//! Shelving and unshelving: volumes stay with the instance, and no host uses them meanwhile.

use proto::{
    cinder::v1::attachment::Status as Attached,
    nova::v1::{
        ReportInstanceStateRequest, ShelveInstanceRequest, UnshelveInstanceRequest, instance::State,
        instance_task, report_instance_state_request::Result as Outcome,
    },
};

use super::*;
use crate::{
    cinder::Mood,
    support::{made_as, made_by, of},
};

on_both_databases!(
    an_instance_on_a_volume_is_shelved_without_an_image,
    data_volumes_leave_the_host_with_their_instance,
    a_volume_in_use_stays_with_its_shelved_instance,
    a_shelving_that_dies_at_any_write_goes_on,
);

impl World {
    async fn shelve(&self, id: &str) -> Instance {
        let request = ShelveInstanceRequest { id: id.to_owned(), ..Default::default() };
        self.nova.instances().shelve_instance(made_by("alice", "demo", request)).await.unwrap().into_inner()
    }

    async fn unshelve(&self, id: &str) -> Instance {
        let request = UnshelveInstanceRequest { id: id.to_owned(), ..Default::default() };
        self.nova.instances().unshelve_instance(made_by("alice", "demo", request)).await.unwrap().into_inner()
    }

    /// Reports how the task of an instance ended.
    pub(super) async fn report(&self, seen: &Instance, result: Outcome) -> Result<Instance, Status> {
        let report = ReportInstanceStateRequest {
            id: seen.id.clone(),
            seen_state: seen.state,
            seen_task_state: seen.task.as_ref().map_or(0, |task| task.state),
            result: result.into(),
            ..Default::default()
        };
        let report = made_as("agent", "service", "service", report);
        Ok(self.nova.instances().report_instance_state(report).await?.into_inner())
    }
}

async fn an_instance_on_a_volume_is_shelved_without_an_image(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let (volume, data) = (world.bootable(), world.cinder.add(Volume::default()));
    let instance = world.create(with([root(existing(&volume)), disk(existing(&data))])).await;
    let shelved = world.shelve(&instance.id).await;
    assert_eq!((shelved.state(), world.jobs().await), (State::ShelvedOffloaded, 0));
    let added = |key: &&String| !instance.system_metadata.contains_key(*key);
    let added: Vec<_> = shelved.system_metadata.keys().filter(added).collect();
    assert_eq!(added, ["shelved_at", "shelved_host"]);
    for (volume, device) in [&volume, &data].into_iter().zip(&shelved.block_devices) {
        assert_eq!(world.cinder.attached(&volume.id), [(Attached::Reserved, true)]);
        assert!(world.cinder.state().attachments.contains_key(&device.attachment_id));
    }
    let back = world.unshelve(&instance.id).await;
    assert_eq!((back.state(), &back.system_metadata), (State::Active, &instance.system_metadata));
    assert_eq!(world.cinder.attached(&volume.id), [(Attached::Attached, true)]);
    assert_eq!(world.cinder.attached(&data.id), [(Attached::Attached, true)]);
}

async fn data_volumes_leave_the_host_with_their_instance(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let data = world.cinder.add(Volume::default());
    let disks = vec![disk(existing(&data))];
    let image = world.nova.glance.with(&[]);
    let instance = world.create(CreateInstanceRequest { block_device_mapping: disks, ..of(&image) }).await;
    let shelved = world.shelve(&instance.id).await;
    assert_eq!(shelved.state(), State::ShelvedOffloaded);
    assert_ne!(shelved.system_metadata["shelved_image_id"], "");
    assert_eq!(world.cinder.attached(&data.id), [(Attached::Reserved, true)]);
    let more = world.cinder.add(Volume::default());
    world.attach(&instance.id, &more.id).await.unwrap();
    assert_eq!(world.cinder.attached(&more.id), [(Attached::Reserved, true)], "no host uses it");
    world.unshelve(&instance.id).await;
    for volume in [&data, &more] {
        assert_eq!(world.cinder.attached(&volume.id), [(Attached::Attached, true)]);
    }
    assert_eq!(world.jobs().await, 0);
}

async fn a_volume_in_use_stays_with_its_shelved_instance(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let volume = world.bootable();
    let instance = world.activate(&world.create(with([root(existing(&volume))])).await).await;
    world.cinder.connect(&volume.id);
    let shelving = world.shelve(&instance.id).await;
    assert_eq!(shelving.task.as_ref().unwrap().state(), instance_task::State::Shelving);
    assert_eq!(shelving.task.as_ref().unwrap().snapshot_image_id, "");
    assert_eq!(world.cinder.attached(&volume.id), [(Attached::Attached, true)], "the host still uses it");
    let shelved = world.report(&shelving, Outcome::Succeeded).await.unwrap();
    assert_eq!(shelved.state(), State::ShelvedOffloaded);
    assert_eq!(world.work().await, 1, "something may be writing");
    assert_eq!(world.cinder.attached(&volume.id).len(), 2);
    world.cinder.detach(&volume.id);
    assert_eq!(world.work().await, 0);
    assert_eq!(world.cinder.attached(&volume.id), [(Attached::Reserved, true)]);

    let unshelving = world.unshelve(&instance.id).await;
    world.cinder.connect(&volume.id);
    let failed = world.report(&unshelving, Outcome::Failed).await.unwrap();
    assert_eq!((failed.state(), world.work().await), (State::ShelvedOffloaded, 1));
    world.nova.delete(&instance.id).await.unwrap();
    world.work().await;
    world.cinder.detach(&volume.id);
    assert_eq!((world.work().await, world.cinder.attached(&volume.id)), (0, vec![]));
}

async fn a_shelving_that_dies_at_any_write_goes_on(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let (volume, data) = (world.bootable(), world.cinder.add(Volume::default()));
    let instance = world.create(with([root(existing(&volume)), disk(existing(&data))])).await;
    // Each volume is reserved, its attachment ends, and the reservation is confirmed.
    for writes in 1..=6 {
        world.cinder.be(Mood::Dying(writes));
        world.shelve(&instance.id).await;
        world.cinder.be(Mood::Well);
        assert_eq!(world.work().await, 0);
        for volume in [&volume, &data] {
            let reserved = world.cinder.attached(&volume.id);
            assert_eq!(reserved, [(Attached::Reserved, true)], "after {writes} writes");
        }
        world.cinder.be(Mood::Dying(writes));
        world.unshelve(&instance.id).await;
        world.cinder.be(Mood::Well);
        assert_eq!(world.work().await, 0);
        for volume in [&volume, &data] {
            let attached = world.cinder.attached(&volume.id);
            assert_eq!(attached, [(Attached::Attached, true)], "after {writes} writes");
        }
    }
}
