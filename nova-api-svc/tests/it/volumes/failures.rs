//! Creates that fail, or whose process dies: nothing is left.

use proto::{
    cinder::v1::{VolumeFailure, attachment::Status as Attached, volume::Status as Is},
    nova::v1::instance::State,
};

use super::*;
use crate::{
    cinder::Mood,
    support::{assert_retry, of},
};

on_both_databases!(
    a_create_that_is_refused_leaves_nothing,
    a_create_beyond_the_quota_leaves_nothing,
    what_nobody_heard_of_is_taken_back,
    a_create_that_dies_is_taken_back,
    a_create_that_dies_after_its_reservations_is_taken_back,
    a_create_that_dies_at_any_write_leaves_no_reservation,
    a_retry_gets_what_the_first_one_created,
    an_unavailable_service_is_said_so,
    an_instance_waits_for_its_volumes,
    an_instance_whose_volume_fails_is_in_error,
    a_reservation_that_lapsed_is_made_again,
);

async fn a_create_that_is_refused_leaves_nothing(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let image = world.nova.glance.with(&[]);
    let bad = BlockDeviceMapping { volume_type: "none".to_owned(), ..blank(1) };
    let disks = vec![blank(1), disk(existing(&world.cinder.add(Volume::default()))), bad];
    let request = CreateInstanceRequest { block_device_mapping: disks, ..of(&image) };
    let refused = world.refuse(request).await;
    let values = assert_error(&refused, Code::FailedPrecondition, "VOLUME_REFUSED");
    assert_eq!((&values["cause"], &values["problem"]), ("VOLUME_TYPE_NOT_FOUND", "its own words"));
    assert_eq!(world.cinder.state().created.len(), 1);
}

async fn a_create_beyond_the_quota_leaves_nothing(db: TestDb) {
    let quota = nova_api_svc::quota::Quota { instances: Some(2), ..Default::default() };
    let world = World::start_with(db, Settings { quota, ..Settings::default() }).await;
    let image = world.nova.glance.with(&[]);
    let request = |min_count, max_count| CreateInstanceRequest {
        min_count,
        max_count,
        block_device_mapping: vec![blank(1)],
        ..of(&image)
    };
    let refused = world.refuse(request(3, 3)).await;
    assert_error(&refused, Code::ResourceExhausted, "QUOTA_EXCEEDED");
    assert_eq!(world.nova.create(request(1, 3)).await.unwrap().instances.len(), 2);
    assert_eq!(world.jobs().await, 0);
    assert_eq!(world.cinder.state().volumes.len(), 2);
}

async fn what_nobody_heard_of_is_taken_back(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let request = CreateInstanceRequest {
        block_device_mapping: vec![blank(1), blank(2)],
        ..of(&world.nova.glance.with(&[]))
    };
    world.cinder.be(Mood::Unheard);
    let unheard = world.nova.create(request).await.unwrap_err();
    assert_retry(&unheard, Code::Unavailable, "CINDER_UNAVAILABLE");
    world.cinder.be(Mood::Well);
    assert_eq!(world.work().await, 0);
    world.assert_nothing_is_left().await;
}

async fn a_create_that_dies_is_taken_back(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let request =
        CreateInstanceRequest { block_device_mapping: vec![blank(1)], ..of(&world.nova.glance.with(&[])) };
    // What a process leaves that dies once the volume was created: a job like that of a request that was refused later.
    world.cinder.be(Mood::Unheard);
    world.nova.create(request).await.unwrap_err();
    world.cinder.be(Mood::Failing(Status::unavailable("SECRET")));
    assert_eq!(world.work().await, 1);
    assert_eq!(world.cinder.state().volumes.len(), 1);
    world.cinder.be(Mood::Well);
    assert_eq!(world.work().await, 0);
    world.assert_nothing_is_left().await;
}

async fn a_create_that_dies_after_its_reservations_is_taken_back(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let request = CreateInstanceRequest {
        block_device_mapping: vec![blank(1), blank(2)],
        ..of(&world.nova.glance.with(&[]))
    };
    let created = world.create(request).await;
    // As if its process had died before the instance was written.
    let (requests, instance_id) = (world.cinder.state().created.clone(), &created.id);
    let removals: Vec<_> = requests.iter().map(|(request, _)| removal(request)).collect();
    let sql = format!(
        "DELETE FROM instances; INSERT INTO volume_jobs (id, instance_id, action, volumes, user_id, project_id, \
         roles, create_time, attempts, next_try) VALUES ('{IMAGE}', '{instance_id}', 'remove', '[{}]', 'alice', \
         'demo', 'member', '2026-01-01T00:00:00+00:00', 1, 0)",
        removals.join(",")
    );
    execute(&world.nova.db.url, &sql).await;
    assert_eq!(world.work().await, 0);
    world.assert_nothing_is_left().await;
}

async fn a_create_that_dies_at_any_write_leaves_no_reservation(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let (volume, data) = (world.bootable(), world.cinder.add(Volume::default()));
    let request = || with([root(existing(&volume)), blank(1), disk(existing(&data))]);
    let mut created = 0;
    // Three volumes are reserved and confirmed, of which one is created.
    for writes in 1..=7 {
        world.cinder.be(Mood::Dying(writes));
        let answer = world.nova.create(request()).await;
        world.cinder.be(Mood::Well);
        assert_eq!(world.work().await, 0, "after {writes} writes");
        let Ok(answer) = answer else {
            world.assert_nothing_is_left().await;
            assert_eq!(world.cinder.volume(&volume.id), Some(volume.clone()), "after {writes} writes");
            continue;
        };
        created += 1;
        let instance = world.nova.get(&answer.instances[0].id).await.unwrap();
        for device in instance.block_devices {
            let reserved = world.cinder.attached(&device.volume_id);
            assert_eq!(reserved, [(Attached::Reserved, true)], "after {writes} writes");
        }
        world.nova.delete(&instance.id).await.unwrap();
        assert_eq!(world.work().await, 0);
        let ours = [&volume.id, &data.id];
        world.cinder.state().volumes.retain(|id, _| ours.contains(&id));
    }
    assert_eq!(created, 3);
}

/// How the removal of a new blank volume is stored, of which only its request is known.
fn removal(request: &proto::cinder::v1::CreateVolumeRequest) -> String {
    let (request_id, size) = (&request.request_id, request.size_gib.unwrap());
    let mapping = format!(
        r#"{{"source":"blank","destination":"volume","boot_index":null,"size_gib":{size},"volume_type":"",
        "delete_on_termination":false,"tag":"","device_name":"","disk_bus":"","device_type":"","guest_format":""}}"#
    );
    format!(
        r#"{{"volume":{{"requested":{{"request_id":"{request_id}","mapping":{mapping},"image_revision":0}}}},
        "attachment_id":null,"delete":true}}"#
    )
}

async fn a_retry_gets_what_the_first_one_created(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let volume = world.bootable();
    let request =
        CreateInstanceRequest { request_id: "r1".to_owned(), ..with([root(existing(&volume)), blank(1)]) };
    let (first, second) =
        tokio::join!(world.nova.create(request.clone()), world.nova.create(request.clone()));
    let first = first.unwrap().instances.remove(0);
    assert_eq!(second.unwrap().instances[0].id, first.id);
    assert_eq!(world.nova.create_one(request).await, first);
    assert_eq!(world.work().await, 0);
    assert_eq!(world.cinder.state().volumes.len(), 2);
    assert_eq!(world.cinder.attached(&volume.id), [(Attached::Reserved, true)]);
}

async fn an_unavailable_service_is_said_so(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let volume = world.bootable();
    world.cinder.be(Mood::Failing(Status::unavailable("SECRET")));
    let away = world.nova.create(with([root(existing(&volume))])).await.unwrap_err();
    assert_retry(&away, Code::Unavailable, "CINDER_UNAVAILABLE");
    world.cinder.be(Mood::Failing(Status::internal("SECRET")));
    let away = world.nova.create(with([root(existing(&volume))])).await.unwrap_err();
    assert_retry(&away, Code::Unavailable, "CINDER_BAD_ANSWER");
    world.assert_nothing_is_left().await;
}

async fn an_instance_waits_for_its_volumes(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    world.cinder.be(Mood::Slow);
    let snapshot = world.bootable_snapshot();
    let instance = world.create(with([root(Source::SnapshotId(snapshot.id))])).await;
    assert_eq!(instance.block_devices[0].attachment_id, "");
    assert_eq!(world.work().await, 1);
    world.cinder.change(&instance.root_volume_id, |volume| volume.set_status(Is::Available));
    assert_eq!(world.work().await, 0);
    let built = world.nova.get(&instance.id).await.unwrap();
    assert_ne!(built.block_devices[0].attachment_id, "");
    assert_eq!((built.state(), built.revision), (State::Building, 2));
    assert_eq!(world.cinder.attached(&instance.root_volume_id), [(Attached::Reserved, true)]);
}

async fn an_instance_whose_volume_fails_is_in_error(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    world.cinder.be(Mood::Slow);
    let snapshot = world.bootable_snapshot();
    let request = BlockDeviceMapping { delete_on_termination: true, ..root(Source::SnapshotId(snapshot.id)) };
    let instance = world.create(with([request])).await;
    world.cinder.change(&instance.root_volume_id, |volume| {
        volume.set_status(Is::Error);
        let message = "the disk is full".to_owned();
        volume.last_failure = Some(VolumeFailure { message, ..VolumeFailure::default() });
    });
    assert_eq!(world.work().await, 0);
    let failed = world.nova.get(&instance.id).await.unwrap();
    assert_eq!(failed.state(), State::Error);
    let history = world.history(&instance.id).await;
    assert!(history[0].message.ends_with("is in ERROR: the disk is full"), "{history:?}");
    assert_eq!(history[0].volume_id, instance.root_volume_id);
    world.nova.delete(&instance.id).await.unwrap();
    assert_eq!(world.work().await, 0);
    world.assert_nothing_is_left().await;
}

async fn a_reservation_that_lapsed_is_made_again(db: TestDb) {
    let world = World::start(db, Compute::Agent).await;
    let volume = world.bootable();
    let instance = world.create(with([root(existing(&volume))])).await;
    // As if nobody had confirmed it.
    let job = format!(
        "INSERT INTO volume_jobs (id, instance_id, action, volumes, user_id, project_id, roles, create_time, \
         attempts, next_try) VALUES ('{IMAGE}', '{}', 'attach', '[]', 'alice', 'demo', 'member', \
         '2026-01-01T00:00:00+00:00', 1, 0)",
        instance.id
    );
    execute(&world.nova.db.url, &job).await;
    world.cinder.disconnect(&volume.id);
    assert_eq!(world.work().await, 0);
    let again = world.nova.get(&instance.id).await.unwrap();
    assert_ne!(again.block_devices[0].attachment_id, instance.block_devices[0].attachment_id);
    assert_eq!(world.cinder.attached(&volume.id), [(Attached::Reserved, true)]);
}
