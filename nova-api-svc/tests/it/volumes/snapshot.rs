//! Images made from instances on volumes, and instances made from such images.

use common::image::devices::{root_snapshot, snapshot_devices};
use proto::{
    cinder::v1::{attachment::Status as Attached, snapshot::Status as Taken},
    glance::v1::{Image, image::Status as Is},
    nova::v1::{
        SnapshotInstanceRequest, SnapshotInstanceResponse,
        instance::State,
        instance_history_entry::{Operation, Step},
    },
};

use super::*;
use crate::{
    cinder::Mood,
    support::{assert_retry, made_by, of},
};

on_both_databases!(
    an_image_stands_for_snapshots_of_all_volumes,
    instances_are_made_from_the_snapshots,
    what_the_request_adds_goes_with_the_volumes_of_the_image,
    a_snapshot_that_is_refused_leaves_nothing,
    an_image_that_is_refused_leaves_no_snapshots,
    an_image_waits_for_its_snapshots,
    an_instance_deleted_meanwhile_leaves_nothing,
    a_snapshot_that_dies_at_any_write_goes_on,
    an_image_whose_snapshot_is_gone_is_refused,
);

impl World {
    async fn snapshot(&self, request_id: &str, id: &str) -> Result<SnapshotInstanceResponse, Status> {
        let request = SnapshotInstanceRequest {
            id: id.to_owned(),
            name: "golden".to_owned(),
            metadata: map(&[("flavour", "vanilla")]),
            request_id: request_id.to_owned(),
            ..Default::default()
        };
        Ok(self.nova.instances().snapshot_instance(made_by("alice", "demo", request)).await?.into_inner())
    }

    /// Does all image jobs, as if their pauses and leases were over; returns how many are left.
    async fn register(&self) -> i64 {
        execute(&self.nova.db.url, "UPDATE image_jobs SET next_try = 0").await;
        self.worker.do_due_jobs().await.unwrap();
        self.nova.sql::<(i64,)>("SELECT COUNT(*) FROM image_jobs").await[0].0
    }

    /// An instance on a volume, with a data volume and a blank disk on the host.
    async fn on_volumes(&self) -> (Instance, Volume, Volume) {
        let (volume, data) = (self.bootable(), self.cinder.add(Volume { size_gib: 3, ..Volume::default() }));
        let named = BlockDeviceMapping { device_name: "/dev/vdb".to_owned(), ..disk(existing(&data)) };
        let root = BlockDeviceMapping { delete_on_termination: true, ..root(existing(&volume)) };
        (self.create(with([root, named])).await, volume, data)
    }

    fn image(&self, id: &str) -> Option<Image> {
        self.nova.glance.find(id)
    }
}

async fn an_image_stands_for_snapshots_of_all_volumes(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let (instance, volume, data) = world.on_volumes().await;
    let made = world.snapshot("r1", &instance.id).await.unwrap();
    let answered = made.instance.clone().unwrap();
    assert_eq!((answered.state(), answered.task), (State::Active, None));
    let image = world.image(&made.image_id).unwrap();
    assert_eq!((image.status(), image.size, image.disk_format.as_str()), (Is::Active, Some(0), ""));
    assert_eq!((image.min_disk, image.min_ram), (1, 64));
    let properties = &image.properties;
    assert_eq!((&*properties["hw_disk_bus"], &*properties["flavour"]), ("scsi", "vanilla"));
    assert_eq!((&*properties["bdm_v2"], &*properties["image_type"]), ("True", "snapshot"));
    let devices = snapshot_devices(properties).unwrap().unwrap();
    assert_eq!((devices.len(), made.volume_snapshots.len()), (2, 2));
    for ((device, taken), volume) in devices.iter().zip(&made.volume_snapshots).zip([&volume, &data]) {
        assert_eq!(
            (device.snapshot_id.to_string(), &taken.volume_id),
            (taken.snapshot_id.clone(), &volume.id)
        );
        assert_eq!(
            (device.device.volume_size, taken.volume_size_gib),
            (Some(volume.size_gib), volume.size_gib)
        );
        let snapshot = world.cinder.state().snapshots[&taken.snapshot_id].clone();
        assert_eq!((&snapshot.volume_id, snapshot.name.as_str()), (&volume.id, "snapshot for golden"));
    }
    assert_eq!((made.volume_snapshots[0].boot_index, made.volume_snapshots[1].boot_index), (Some(0), None));
    assert_eq!(made.volume_snapshots[1].device_name, "/dev/vdb");
    assert!(made.volume_snapshots[0].delete_on_termination);
    assert!(world.cinder.state().taken.iter().all(|(request, _)| request.quiesced), "nothing runs it");
    let history = world.history(&instance.id).await;
    assert_eq!((history[0].operation(), history[0].step()), (Operation::Snapshot, Step::Finished));
    assert_eq!(history[1].volume_snapshots, made.volume_snapshots);
    assert_eq!(world.snapshot("r1", &instance.id).await.unwrap(), made);
    assert_eq!(world.cinder.state().snapshots.len(), 2);
}

async fn instances_are_made_from_the_snapshots(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let (instance, ..) = world.on_volumes().await;
    let made = world.snapshot("", &instance.id).await.unwrap();
    let copy = world.create(of(&world.image(&made.image_id).unwrap())).await;
    assert_eq!((copy.image_id.as_str(), copy.image_revision), (made.image_id.as_str(), 1));
    assert_eq!((copy.block_devices.len(), copy.state()), (2, State::Active));
    for (device, snapshot) in copy.block_devices.iter().zip(&made.volume_snapshots) {
        let mapping = device.mapping.as_ref().unwrap();
        assert_eq!(mapping.source, Some(Source::SnapshotId(snapshot.snapshot_id.clone())));
        assert_eq!(
            (mapping.boot_index, mapping.volume_size_gib),
            (snapshot.boot_index, snapshot.volume_size_gib)
        );
        assert_eq!(world.cinder.attached(&device.volume_id), [(Attached::Attached, true)]);
    }
    assert_eq!(copy.root_volume_id, copy.block_devices[0].volume_id);
    let remembered = &copy.system_metadata;
    assert_eq!((&*remembered["image_hw_disk_bus"], &*remembered["image_flavour"]), ("scsi", "vanilla"));
    assert_eq!(remembered["image_base_image_ref"], IMAGE);
    // What is made of that again stands for snapshots of its own.
    let again = world.snapshot("", &copy.id).await.unwrap();
    assert_ne!(again.volume_snapshots, made.volume_snapshots);
    assert_eq!(world.cinder.state().snapshots.len(), 4);
}

async fn what_the_request_adds_goes_with_the_volumes_of_the_image(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let (instance, ..) = world.on_volumes().await;
    let made = world.snapshot("", &instance.id).await.unwrap();
    let request = |disks: Vec<BlockDeviceMapping>| CreateInstanceRequest {
        block_device_mapping: disks,
        ..of(&world.image(&made.image_id).unwrap())
    };
    let other = BlockDeviceMapping { device_name: "/dev/vdb".to_owned(), ..blank(7) };
    let more = BlockDeviceMapping { boot_index: Some(1), ..blank(5) };
    let created = world.create(request(vec![other, more])).await;
    let sizes: Vec<_> =
        created.block_devices.iter().map(|device| device.mapping.as_ref().unwrap().volume_size_gib).collect();
    assert_eq!(sizes, [1, 7, 5], "/dev/vdb of the request takes the place of the image's");
    let gap = BlockDeviceMapping { boot_index: Some(2), ..blank(5) };
    let refused = world.nova.create(request(vec![gap])).await.unwrap_err();
    assert_eq!(violations(&refused)[0].0, "block_device_mapping");
}

async fn a_snapshot_that_is_refused_leaves_nothing(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let (instance, _, data) = world.on_volumes().await;
    let instance = world.activate(&instance).await;
    let mark = |volume: &mut Volume| drop(volume.metadata.insert("no snapshots".to_owned(), "1".to_owned()));
    world.cinder.change(&data.id, mark);
    for _ in 0..2 {
        let refused = world.snapshot("r1", &instance.id).await.unwrap_err();
        let values = assert_error(&refused, Code::FailedPrecondition, "VOLUME_REFUSED");
        assert_eq!((&values["cause"], &values["problem"]), ("QUOTA_EXCEEDED", "its own words"));
    }
    assert!(!world.cinder.state().taken[0].0.quiesced, "something may be writing");
    assert_eq!(world.register().await, 0);
    assert_eq!(world.cinder.state().snapshots.len(), 0);
    let after = world.nova.get(&instance.id).await.unwrap();
    assert_eq!((after.state(), &after.task), (State::Active, &None));
    let history = world.history(&instance.id).await;
    assert_eq!((history[0].step(), history[0].message.as_str()), (Step::Failed, "its own words"));
}

async fn an_image_that_is_refused_leaves_no_snapshots(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let (instance, ..) = world.on_volumes().await;
    let status = crate::operations::told(Code::ResourceExhausted, "IMAGE_QUOTA_EXCEEDED", None);
    world.nova.glance.be(crate::glance::Mood::Failing(status));
    let refused = world.snapshot("", &instance.id).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "IMAGE_REFUSED");
    assert_eq!(world.cinder.state().taken.len(), 2);
    assert_eq!(world.register().await, 0);
    assert_eq!(world.cinder.state().snapshots.len(), 0);
}

async fn an_image_waits_for_its_snapshots(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let (instance, ..) = world.on_volumes().await;
    world.cinder.be(Mood::Slow);
    let begun = world.snapshot("r1", &instance.id).await.unwrap_err();
    assert_retry(&begun, Code::Unavailable, "OPERATION_BEGUN");
    assert_eq!(world.register().await, 1);
    world.cinder.state().snapshots.values_mut().for_each(|one| one.set_status(Taken::Available));
    assert_eq!(world.register().await, 0);
    let made = world.snapshot("r1", &instance.id).await.unwrap();
    assert_eq!((made.volume_snapshots.len(), world.cinder.state().snapshots.len()), (2, 2));
    assert_eq!(world.image(&made.image_id).unwrap().status(), Is::Active);
}

async fn an_instance_deleted_meanwhile_leaves_nothing(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let (instance, ..) = world.on_volumes().await;
    world.cinder.be(Mood::Slow);
    world.snapshot("r1", &instance.id).await.unwrap_err();
    world.nova.delete(&instance.id).await.unwrap();
    assert_eq!(world.register().await, 1, "they are still being taken");
    world.cinder.state().snapshots.values_mut().for_each(|one| one.set_status(Taken::Available));
    assert_eq!((world.register().await, world.cinder.state().snapshots.len()), (0, 0));
}

async fn a_snapshot_that_dies_at_any_write_goes_on(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let (instance, ..) = world.on_volumes().await;
    for writes in 1..=3 {
        world.cinder.be(Mood::Dying(writes));
        let request_id = format!("r{writes}");
        let first = world.snapshot(&request_id, &instance.id).await;
        assert_eq!(first.is_ok(), writes == 3);
        world.cinder.be(Mood::Well);
        assert_eq!(world.register().await, 0);
        let made = world.snapshot(&request_id, &instance.id).await.unwrap();
        let image = world.image(&made.image_id).unwrap();
        assert!(root_snapshot(&image.properties).is_some());
        assert_eq!(world.cinder.state().snapshots.len(), 2 * writes, "after {writes} writes");
    }
}

async fn an_image_whose_snapshot_is_gone_is_refused(db: TestDb) {
    let world = World::start(db, Compute::None).await;
    let (instance, ..) = world.on_volumes().await;
    let made = world.snapshot("", &instance.id).await.unwrap();
    world.cinder.state().snapshots.clear();
    let refused = world.nova.create(of(&world.image(&made.image_id).unwrap())).await.unwrap_err();
    assert_error(&refused, Code::InvalidArgument, "SNAPSHOT_NOT_FOUND");
    let mapping = r#"[{"source_type": "snapshot", "snapshot_id": "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11",
        "boot_index": 0}, {"source_type": "volume", "volume_id": "x"}]"#;
    let odd = world.nova.glance.with(&[("block_device_mapping", mapping)]);
    let refused = world.nova.create(of(&odd)).await.unwrap_err();
    assert_eq!(violations(&refused)[0].0, "image_id");
}
