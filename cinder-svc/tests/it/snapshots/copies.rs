//! Volumes that are made from snapshots, or made what they were.

use proto::cinder::v1::UpdateVolumeRequest;

use super::*;

on_both_databases!(
    a_volume_from_a_snapshot_remembers_the_same,
    a_volume_is_made_what_it_was,
    a_volume_is_not_reverted_to_just_any_snapshot,
);

async fn a_volume_from_a_snapshot_remembers_the_same(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.data_volume(&[("hw_disk_bus", "scsi")]).await;
    let snapshot = cinder.snapshot(of(&volume)).await.unwrap();
    cinder.set(&volume, "hw_disk_bus", "ide").await;
    let copy = cinder.create(from_snapshot(&snapshot)).await.unwrap();
    assert_eq!((&copy.image, &copy.image_properties), (&snapshot.image, &snapshot.image_properties));
    assert_eq!((copy.bootable, copy.size_gib), (false, 1));
    assert_eq!((&copy.snapshot_id, &copy.source_volume_id), (&snapshot.id, &String::new()));
    assert_eq!(copy.status(), VolumeStatus::Available);
    let smaller = CreateVolumeRequest { size_gib: Some(0), ..from_snapshot(&snapshot) };
    assert_violation(&cinder.create(smaller).await.unwrap_err(), "size_gib", "1 to");
    // What it was made from may go.
    cinder.delete_snapshot(delete(&snapshot)).await.unwrap();
    assert_eq!(cinder.get(&copy.id).await.unwrap().snapshot_id, snapshot.id);
    let gone = cinder.create(from_snapshot(&snapshot)).await.unwrap_err();
    assert_error(&gone, Code::InvalidArgument, "SNAPSHOT_NOT_FOUND");
    // A copy of the volume remembers what that does now.
    let source = Some(Source::SourceVolumeId(volume.id.clone()));
    let clone = cinder.create(CreateVolumeRequest { source, ..Default::default() }).await.unwrap();
    assert_eq!(clone.image_properties["hw_disk_bus"], "ide");
    assert_eq!((&clone.image, clone.bootable), (&volume.image, false));
}

async fn a_volume_is_made_what_it_was(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.data_volume(&[("hw_disk_bus", "scsi")]).await;
    let snapshot = cinder.snapshot(of(&volume)).await.unwrap();
    cinder.set(&volume, "hw_disk_bus", "ide").await;
    let update = UpdateVolumeRequest {
        volume: Some(Volume { id: volume.id.clone(), bootable: true, ..Default::default() }),
        ..Default::default()
    };
    cinder.volumes().update_volume(as_alice(update)).await.unwrap();
    let request = RevertVolumeRequest {
        id: volume.id.clone(),
        snapshot_id: snapshot.id.clone(),
        request_id: "r".to_owned(),
        ..Default::default()
    };
    let reverted = cinder.volumes().revert_volume(as_alice(request.clone())).await.unwrap().into_inner();
    assert_eq!((&reverted.image, &reverted.image_properties), (&volume.image, &volume.image_properties));
    assert_eq!((reverted.bootable, reverted.status()), (false, VolumeStatus::Available));
    let again = cinder.volumes().revert_volume(as_alice(request)).await.unwrap().into_inner();
    assert_eq!(again, reverted);
    let history = cinder.history(&volume.id).await;
    let changed: Vec<_> = history[0].changes.iter().map(|change| change.new_value().to_owned()).collect();
    assert_eq!(changed, ["false", "scsi"]);
}

async fn a_volume_is_not_reverted_to_just_any_snapshot(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = cinder.volume().await;
    let first = cinder.snapshot(of(&volume)).await.unwrap();
    let latest = cinder.snapshot(of(&volume)).await.unwrap();
    let revert = async |snapshot: &Snapshot| {
        let (id, snapshot_id) = (volume.id.clone(), snapshot.id.clone());
        let request = RevertVolumeRequest { id, snapshot_id, ..Default::default() };
        cinder.volumes().revert_volume(as_alice(request)).await
    };
    let refused = revert(&first).await.unwrap_err();
    let values = assert_error(&refused, Code::FailedPrecondition, "NOT_LATEST_SNAPSHOT");
    assert_eq!(&values["latest_snapshot_id"], latest.id.as_str());
    let others = cinder.snapshot(of(&cinder.volume().await)).await.unwrap();
    assert_error(&revert(&others).await.unwrap_err(), Code::InvalidArgument, "SNAPSHOT_NOT_FOUND");
    let extend = ExtendVolumeRequest { id: volume.id.clone(), size_gib: 2, ..Default::default() };
    cinder.volumes().extend_volume(as_alice(extend)).await.unwrap();
    assert_error(&revert(&latest).await.unwrap_err(), Code::FailedPrecondition, "SNAPSHOT_SIZE");
    let larger = cinder.snapshot(of(&volume)).await.unwrap();
    revert(&larger).await.unwrap();
}
