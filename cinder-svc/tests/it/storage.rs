//! Volumes of the time before cinder-svc was started with another `--storage`.

use chassis::{on_both_databases, testing::TestDb};
use cinder_svc::volume::Storage;
use peers::testing::glance::map;
use proto::{
    cinder::v1::{
        CreateSnapshotRequest, CreateVolumeRequest, DeleteSnapshotRequest, DeleteVolumeRequest,
        ExtendVolumeRequest, GetSnapshotRequest, ReimageVolumeRequest, ReportVolumeStateRequest,
        RetypeVolumeRequest, RevertVolumeRequest, Snapshot, UpdateVolumeImagePropertiesRequest,
        UploadVolumeToImageRequest, Volume, create_volume_request::Source,
        report_volume_state_request::Result as Outcome, snapshot::Status as SnapshotStatus,
        snapshot_service_client::SnapshotServiceClient, volume_service_client::VolumeServiceClient,
    },
    glance::v1::Image,
};
use tonic::{Code, Status, transport::Channel};

use crate::support::{Cinder, Settings, as_admin, as_alice, as_service, assert_error, fields};

on_both_databases!(
    what_nobody_would_do_is_refused,
    what_has_no_data_completes_at_once,
    nobody_reports_what_cinder_does_itself,
);

fn from(source: Source) -> CreateVolumeRequest {
    CreateVolumeRequest { source: Some(source), ..CreateVolumeRequest::default() }
}

/// What each operation that begins a task answers, on a volume with a snapshot.
async fn every_task(channel: &Channel, volume: &Volume, snapshot: &Snapshot, image: &Image) -> Vec<Status> {
    let id = || volume.id.clone();
    let mut volumes = VolumeServiceClient::new(channel.clone());
    let mut snapshots = SnapshotServiceClient::new(channel.clone());
    let extend = ExtendVolumeRequest { id: id(), size_gib: 9, ..Default::default() };
    let retype = RetypeVolumeRequest { id: id(), volume_type: "other".to_owned(), ..Default::default() };
    let reimage = ReimageVolumeRequest { id: id(), image_id: image.id.clone(), ..Default::default() };
    let revert = RevertVolumeRequest { id: id(), snapshot_id: snapshot.id.clone(), ..Default::default() };
    let upload = UploadVolumeToImageRequest { id: id(), name: "golden".to_owned(), ..Default::default() };
    let delete = |force| DeleteVolumeRequest { id: id(), cascade: true, force, ..Default::default() };
    let take = CreateSnapshotRequest { volume_id: id(), ..Default::default() };
    let forget = DeleteSnapshotRequest { id: snapshot.id.clone(), ..Default::default() };
    let copies = [Source::SourceVolumeId(id()), Source::SnapshotId(snapshot.id.clone())].map(from);
    let mut refused = vec![
        volumes.extend_volume(as_alice(extend)).await.unwrap_err(),
        volumes.retype_volume(as_alice(retype)).await.unwrap_err(),
        volumes.reimage_volume(as_alice(reimage)).await.unwrap_err(),
        volumes.revert_volume(as_alice(revert)).await.unwrap_err(),
        volumes.upload_volume_to_image(as_alice(upload)).await.unwrap_err(),
        volumes.delete_volume(as_alice(delete(false))).await.unwrap_err(),
        volumes.delete_volume(as_admin(delete(true))).await.unwrap_err(),
        snapshots.create_snapshot(as_alice(take)).await.unwrap_err(),
        snapshots.delete_snapshot(as_alice(forget)).await.unwrap_err(),
    ];
    for copy in copies {
        refused.push(volumes.create_volume(as_alice(copy)).await.unwrap_err());
    }
    refused
}

/// A snapshot of a volume, once it has been taken.
async fn snapshot(cinder: &Cinder, volume: &Volume) -> Snapshot {
    let request = CreateSnapshotRequest { volume_id: volume.id.clone(), ..Default::default() };
    let id = cinder.snapshots().create_snapshot(as_alice(request)).await.unwrap().into_inner().id;
    loop {
        let request = as_alice(GetSnapshotRequest { id: id.clone() });
        let found = cinder.snapshots().get_snapshot(request).await.unwrap().into_inner();
        if found.status() == SnapshotStatus::Available {
            return found;
        }
    }
}

async fn what_nobody_would_do_is_refused(db: TestDb) {
    let folder = tempfile::tempdir().unwrap();
    let cinder = Cinder::directory(db, &folder).await;
    let image = cinder.glance.with(&[]);
    let volume = cinder.settled(&cinder.volume().await).await;
    let snapshot = snapshot(&cinder, &volume).await;
    for storage in [Storage::None, Storage::Agent] {
        let replica = cinder.replica(&Settings { storage, ..Settings::default() }).await;
        for refused in every_task(&replica, &volume, &snapshot, &image).await {
            let values = assert_error(&refused, Code::FailedPrecondition, "OTHER_STORAGE");
            let current = storage.as_str().to_uppercase();
            assert_eq!((&values["storage"], &values["current"]), ("DIRECTORY", current.as_str()));
        }
        let (id, set) = (volume.id.clone(), map(&[("edited", storage.as_str())]));
        let edit = UpdateVolumeImagePropertiesRequest { id, set, ..Default::default() };
        VolumeServiceClient::new(replica).update_volume_image_properties(as_alice(edit)).await.unwrap();
    }
    assert_eq!(cinder.get(&volume.id).await.unwrap().task, None);
    assert_eq!(cinder.count("SELECT COUNT(*) FROM image_jobs").await, 0);
}

async fn what_has_no_data_completes_at_once(db: TestDb) {
    let folder = tempfile::tempdir().unwrap();
    let cinder = Cinder::start(db).await;
    let (volume, image) = (cinder.volume().await, cinder.glance.with(&[]));
    let folder = Some(folder.path().to_owned());
    let settings = Settings { storage: Storage::Directory, folder, ..Settings::default() };
    let replica = cinder.replica(&settings).await;
    let mut volumes = VolumeServiceClient::new(replica.clone());
    let copy = as_alice(from(Source::SourceVolumeId(volume.id.clone())));
    let refused = volumes.create_volume(copy).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "OTHER_STORAGE");

    let extend = ExtendVolumeRequest { id: volume.id.clone(), size_gib: 2, ..Default::default() };
    let extended = volumes.extend_volume(as_alice(extend)).await.unwrap().into_inner();
    assert_eq!((extended.size_gib, extended.task), (2, None));
    let (id, image_id) = (volume.id.clone(), image.id.clone());
    let reimage = ReimageVolumeRequest { id, image_id, ..Default::default() };
    let reimaged = volumes.reimage_volume(as_alice(reimage)).await.unwrap().into_inner();
    assert_eq!((reimaged.image.unwrap().id, reimaged.task), (image.id, None));
    let take = CreateSnapshotRequest { volume_id: volume.id.clone(), ..Default::default() };
    let taken = SnapshotServiceClient::new(replica).create_snapshot(as_alice(take)).await.unwrap();
    assert_eq!(taken.into_inner().status(), SnapshotStatus::Available);
    let delete = DeleteVolumeRequest { id: volume.id.clone(), cascade: true, ..Default::default() };
    volumes.delete_volume(as_alice(delete)).await.unwrap();
    assert_eq!(cinder.get(&volume.id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(cinder.count("SELECT COUNT(*) FROM volume_data").await, 0);
}

async fn nobody_reports_what_cinder_does_itself(db: TestDb) {
    // Without a folder, nobody does the task.
    let settings = Settings { storage: Storage::Directory, ..Settings::default() };
    let cinder = Cinder::start_with(db, settings).await;
    let creating = cinder.volume().await;
    let report = |result: Outcome| ReportVolumeStateRequest {
        id: creating.id.clone(),
        seen_status: creating.status,
        seen_task_state: creating.task.as_ref().unwrap().state,
        result: result.into(),
        ..Default::default()
    };
    let succeeded = as_service(report(Outcome::Succeeded));
    let refused = cinder.volumes().report_volume_state(succeeded).await.unwrap_err();
    assert_eq!(fields(&refused), ["result"]);
    let failed = cinder.volumes().report_volume_state(as_service(report(Outcome::Failed))).await.unwrap();
    assert_eq!(failed.into_inner().task, None);
}
