//! Attaching and detaching volumes.

use proto::{
    cinder::v1::attachment::Status as Attached,
    nova::v1::{
        AttachVolumeRequest, DetachVolumeRequest, GetInstanceHistoryRequest, InstanceHistoryEntry,
        ListVolumeAttachmentsRequest, ReportInstanceStateRequest,
        instance::State,
        instance_history_entry::{Operation, Step},
    },
};

use super::*;
use crate::{
    cinder::Mood,
    support::{made_as, made_by, of},
};

on_both_databases!(
    a_volume_is_attached_and_detached,
    a_volume_in_use_is_detached_once_the_host_says_so,
    an_attachment_that_is_refused_leaves_no_reservation,
    what_cannot_be_detached_is_refused,
);

impl World {
    pub(super) async fn history(&self, id: &str) -> Vec<InstanceHistoryEntry> {
        let request = GetInstanceHistoryRequest { id: id.to_owned(), ..Default::default() };
        self.nova.instances().get_instance_history(request).await.unwrap().into_inner().entries
    }

    /// A running instance of an image.
    async fn active(&self) -> Instance {
        let created = self.nova.create_one(of(&self.nova.glance.with(&[]))).await;
        self.activate(&created).await
    }

    pub(super) async fn activate(&self, instance: &Instance) -> Instance {
        if instance.state() == State::Active {
            return instance.clone();
        }
        let report = ReportInstanceStateRequest {
            id: instance.id.clone(),
            seen_state: instance.state,
            state: State::Active.into(),
            ..Default::default()
        };
        let report = made_as("agent", "service", "service", report);
        self.nova.instances().report_instance_state(report).await.unwrap().into_inner()
    }

    pub(super) async fn attach(&self, id: &str, volume_id: &str) -> Result<Instance, Status> {
        let (id, volume_id) = (id.to_owned(), volume_id.to_owned());
        let request = AttachVolumeRequest { id, volume_id, ..Default::default() };
        Ok(self.nova.instances().attach_volume(made_by("alice", "demo", request)).await?.into_inner())
    }

    async fn detach(&self, id: &str, volume_id: &str) -> Result<Instance, Status> {
        let (id, volume_id) = (id.to_owned(), volume_id.to_owned());
        let request = DetachVolumeRequest { id, volume_id, ..Default::default() };
        Ok(self.nova.instances().detach_volume(made_by("alice", "demo", request)).await?.into_inner())
    }

    async fn volumes(&self, id: &str) -> Vec<String> {
        let request = ListVolumeAttachmentsRequest { id: id.to_owned() };
        let listed = self.nova.instances().list_volume_attachments(request).await.unwrap().into_inner();
        listed.volume_attachments.into_iter().map(|device| device.volume_id).collect()
    }
}

async fn a_volume_is_attached_and_detached(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let (instance, volume) = (world.active().await, world.cinder.add(Volume::default()));
    let attached = world.attach(&instance.id, &volume.id).await.unwrap();
    assert_eq!((attached.block_devices.len(), attached.revision), (1, 2));
    assert_eq!(world.volumes(&instance.id).await, [volume.id.as_str()]);
    assert_eq!(world.cinder.attached(&volume.id), [(Attached::Attached, true)]);
    let again = world.attach(&instance.id, &volume.id).await.unwrap_err();
    assert_error(&again, Code::FailedPrecondition, "VOLUME_ATTACHED");
    let detached = world.detach(&instance.id, &volume.id).await.unwrap();
    assert_eq!(detached.block_devices, []);
    assert_eq!((world.cinder.attached(&volume.id), world.jobs().await), (vec![], 0));
    let history = world.history(&instance.id).await;
    let done: Vec<_> = history.iter().map(|entry| (entry.operation(), entry.step())).collect();
    let expected = [
        (Operation::DetachVolume, Step::Finished),
        (Operation::DetachVolume, Step::Started),
        (Operation::AttachVolume, Step::Finished),
        (Operation::Create, Step::Finished),
    ];
    assert_eq!(done, expected);
    assert!(history[..3].iter().all(|entry| entry.volume_id == volume.id));
}

async fn a_volume_in_use_is_detached_once_the_host_says_so(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let (instance, volume) = (world.active().await, world.cinder.add(Volume::default()));
    world.attach(&instance.id, &volume.id).await.unwrap();
    assert_eq!(world.cinder.attached(&volume.id), [(Attached::Reserved, true)]);
    world.cinder.connect(&volume.id);
    let detaching = world.detach(&instance.id, &volume.id).await.unwrap();
    assert!(detaching.block_devices[0].detaching);
    assert_eq!(world.cinder.attached(&volume.id), [(Attached::Detaching, true)]);
    assert_eq!(world.work().await, 1, "something may be writing");
    assert_eq!(world.volumes(&instance.id).await, [volume.id.as_str()]);
    world.cinder.disconnect(&volume.id);
    assert_eq!((world.work().await, world.volumes(&instance.id).await), (0, vec![]));
}

async fn an_attachment_that_is_refused_leaves_no_reservation(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let (instance, volume) = (world.active().await, world.cinder.add(Volume::default()));
    let request = AttachVolumeRequest {
        id: instance.id.clone(),
        volume_id: volume.id.clone(),
        etag: "stale".to_owned(),
        ..Default::default()
    };
    let stale = world.nova.instances().attach_volume(made_by("alice", "demo", request)).await.unwrap_err();
    assert_error(&stale, Code::Aborted, "STALE_ETAG");
    let unknown = world.attach(&instance.id, IMAGE).await.unwrap_err();
    assert_error(&unknown, Code::InvalidArgument, "VOLUME_NOT_FOUND");
    world.cinder.be(Mood::Failing(crate::cinder::refused(Code::FailedPrecondition, "WRONG_STATE")));
    let refused = world.attach(&instance.id, &volume.id).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "VOLUME_REFUSED");
    world.cinder.be(Mood::Well);
    assert_eq!((world.cinder.attached(&volume.id), world.jobs().await), (vec![], 0));
    assert_eq!(world.nova.get(&instance.id).await.unwrap(), instance);
}

async fn what_cannot_be_detached_is_refused(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let volume = world.bootable();
    let instance = world.create(with([root(existing(&volume))])).await;
    let refused = world.detach(&instance.id, &volume.id).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "ROOT_VOLUME");
    let refused = world.detach(&instance.id, IMAGE).await.unwrap_err();
    assert_error(&refused, Code::InvalidArgument, "VOLUME_NOT_ATTACHED");
}
