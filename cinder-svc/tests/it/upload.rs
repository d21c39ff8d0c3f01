//! Images made from volumes.

use chassis::{on_both_databases, testing::TestDb};
use cinder_svc::volume::Storage;
use peers::testing::glance::{Mood, map};
use proto::{
    cinder::v1::{
        CreateVolumeRequest, ExtendVolumeRequest, ReportVolumeStateRequest, UploadVolumeToImageRequest,
        UploadVolumeToImageResponse, Volume,
        left_out_property::Reason,
        report_volume_state_request::Result as Outcome,
        upload_volume_to_image_request::Visibility as Wanted,
        volume::Status as VolumeStatus,
        volume_history_entry::{Operation, Step},
        volume_task::State as TaskState,
    },
    glance::v1::{Image, image::Visibility},
};
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::support::{
    Cinder, Settings, as_admin, as_alice, as_reader, assert_error, fields, from_image, made_as,
};

mod directory;

on_both_databases!(
    an_image_gets_what_the_volume_remembers,
    a_retry_is_answered_with_the_same_image,
    an_upload_goes_on_once_glance_is_back,
    what_glance_refuses_is_told_and_leaves_nothing,
    an_agent_uploads_the_data,
    an_upload_that_fails_leaves_no_image,
    only_operators_make_public_images,
    what_is_wrong_with_an_upload_is_told_at_once,
);

async fn volume(cinder: &Cinder) -> Volume {
    let image = cinder.glance.add(Image {
        min_ram: 512,
        min_disk: 1,
        size: Some(7),
        properties: map(&[
            ("hw_disk_bus", "scsi"),
            ("img_signature", "s"),
            ("mappings", "[]"),
            ("os_distro", "ubuntu"),
        ]),
        ..Image::default()
    });
    let request = CreateVolumeRequest { size_gib: Some(3), ..from_image(&image) };
    cinder.create(request).await.unwrap()
}

fn of(volume: &Volume) -> UploadVolumeToImageRequest {
    UploadVolumeToImageRequest { id: volume.id.clone(), name: "golden".to_owned(), ..Default::default() }
}

async fn upload(
    cinder: &Cinder,
    request: Request<UploadVolumeToImageRequest>,
) -> Result<UploadVolumeToImageResponse, Status> {
    Ok(cinder.volumes().upload_volume_to_image(request).await?.into_inner())
}

/// The images that were made from volumes.
fn made(cinder: &Cinder) -> Vec<Image> {
    cinder.glance.all().into_iter().filter(|image| image.name == "golden").collect()
}

async fn agent(db: TestDb) -> (Cinder, Volume) {
    let cinder = Cinder::start_with(db, Settings { storage: Storage::Agent, ..Settings::default() }).await;
    let creating = volume(&cinder).await;
    let volume = report(&cinder, &creating, Outcome::Succeeded).await;
    (cinder, volume)
}

async fn report(cinder: &Cinder, volume: &Volume, result: Outcome) -> Volume {
    let request = ReportVolumeStateRequest {
        id: volume.id.clone(),
        seen_status: volume.status,
        seen_task_state: volume.task.as_ref().map_or(0, |task| task.state),
        result: result.into(),
        ..Default::default()
    };
    let request = made_as("agent", "services", "service", request);
    cinder.volumes().report_volume_state(request).await.unwrap().into_inner()
}

async fn an_image_gets_what_the_volume_remembers(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = volume(&cinder).await;
    let request = UploadVolumeToImageRequest {
        image_properties: map(&[("os_distro", "debian"), ("added", "yes")]),
        visibility: Wanted::Shared.into(),
        protected: true,
        ..of(&volume)
    };
    let answer = upload(&cinder, as_alice(request)).await.unwrap();
    let left_out: Vec<_> = answer.left_out.iter().map(|one| (one.property.as_str(), one.reason())).collect();
    assert_eq!(left_out, [("img_signature", Reason::Signature), ("mappings", Reason::DeviceMapping)]);
    let after = answer.volume.unwrap();
    assert_eq!((after.status(), after.task, after.revision), (VolumeStatus::Available, None, 3));
    let image = cinder.glance.find(&answer.image_id).unwrap();
    assert_eq!((image.min_disk, image.min_ram, image.protected), (3, 512, true));
    assert_eq!((image.visibility(), image.owner.as_str()), (Visibility::Shared, "demo"));
    assert_eq!((image.disk_format.as_str(), image.container_format.as_str()), ("raw", "bare"));
    let expected = map(&[("added", "yes"), ("hw_disk_bus", "scsi"), ("os_distro", "debian")]);
    assert_eq!(image.properties, expected);
    let history = cinder.history(&volume.id).await;
    let steps: Vec<_> = history.iter().map(|entry| (entry.operation(), entry.step())).collect();
    let upload = Operation::UploadToImage;
    assert_eq!(steps[..2], [(upload, Step::Finished), (upload, Step::Started)]);
    assert_eq!(history[1].image_id, answer.image_id);
    assert_eq!(history[1].left_out_properties, ["img_signature", "mappings"]);
}

async fn a_retry_is_answered_with_the_same_image(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = volume(&cinder).await;
    let request = || as_alice(UploadVolumeToImageRequest { request_id: "r".to_owned(), ..of(&volume) });
    let first = upload(&cinder, request()).await.unwrap();
    let extend = ExtendVolumeRequest { id: volume.id.clone(), size_gib: 9, ..Default::default() };
    cinder.volumes().extend_volume(as_alice(extend)).await.unwrap();
    let again = upload(&cinder, request()).await.unwrap();
    assert_eq!((&again.image_id, again.left_out), (&first.image_id, first.left_out));
    assert_eq!(made(&cinder).len(), 1);
}

async fn an_upload_goes_on_once_glance_is_back(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = volume(&cinder).await;
    cinder.glance.be(Mood::Unheard);
    let request = || as_alice(UploadVolumeToImageRequest { request_id: "r".to_owned(), ..of(&volume) });
    let begun = upload(&cinder, request()).await.unwrap_err();
    let values = assert_error(&begun, Code::Unavailable, "OPERATION_BEGUN");
    assert_eq!((&values["volume_id"], &values["cause"]), (volume.id.as_str(), "GLANCE_UNAVAILABLE"));
    let waiting = cinder.get(&volume.id).await.unwrap();
    assert_eq!(waiting.task.unwrap().state(), TaskState::Uploading);
    cinder.glance.be(Mood::Well);
    let answer = upload(&cinder, request()).await.unwrap();
    assert_eq!(&answer.image_id, &values["image_id"]);
    assert_eq!(answer.volume.unwrap().task, None);
    assert_eq!(made(&cinder).len(), 1);
    assert_eq!(cinder.count("SELECT COUNT(*) FROM image_jobs").await, 0);
}

async fn what_glance_refuses_is_told_and_leaves_nothing(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = volume(&cinder).await;
    cinder.glance.be(Mood::Failing(refusal()));
    let request = || as_alice(UploadVolumeToImageRequest { request_id: "r".to_owned(), ..of(&volume) });
    for _ in 0..2 {
        let refused = upload(&cinder, request()).await.unwrap_err();
        assert_error(&refused, Code::FailedPrecondition, "IMAGE_REFUSED");
    }
    let after = cinder.get(&volume.id).await.unwrap();
    assert_eq!((after.status(), after.task), (VolumeStatus::Available, None));
    assert_eq!(after.last_failure.unwrap().task_state(), TaskState::Uploading);
    assert_eq!(cinder.count("SELECT COUNT(*) FROM image_jobs").await, 0);
    assert!(made(&cinder).is_empty());
}

/// What glance-svc says of an image that it will never register.
fn refusal() -> Status {
    let details = ErrorDetails::with_error_info("IMAGE_QUOTA_EXCEEDED", "glance", []);
    Status::with_error_details(Code::ResourceExhausted, "its own words", details)
}

async fn an_agent_uploads_the_data(db: TestDb) {
    let (cinder, volume) = agent(db).await;
    let answer = upload(&cinder, as_alice(of(&volume))).await.unwrap();
    let uploading = answer.volume.unwrap();
    assert_eq!(uploading.task.as_ref().unwrap().image_id, answer.image_id);
    assert_eq!(made(&cinder).len(), 1);
    let done = report(&cinder, &uploading, Outcome::Succeeded).await;
    assert_eq!((done.status(), done.task), (VolumeStatus::Available, None));
    assert_eq!(cinder.count("SELECT COUNT(*) FROM image_jobs").await, 0);
    assert_eq!(made(&cinder).len(), 1);
}

async fn an_upload_that_fails_leaves_no_image(db: TestDb) {
    let (cinder, volume) = agent(db).await;
    let answer = upload(&cinder, as_alice(of(&volume))).await.unwrap();
    report(&cinder, &answer.volume.unwrap(), Outcome::Failed).await;
    assert_eq!(cinder.api().await.do_due_jobs().await.unwrap(), 1);
    assert!(made(&cinder).is_empty());
    assert_eq!(cinder.count("SELECT COUNT(*) FROM image_jobs").await, 0);
}

async fn only_operators_make_public_images(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = volume(&cinder).await;
    let public = || UploadVolumeToImageRequest { visibility: Wanted::Public.into(), ..of(&volume) };
    for request in [as_alice(public()), as_reader(of(&volume))] {
        let refused = upload(&cinder, request).await.unwrap_err();
        assert_error(&refused, Code::PermissionDenied, "NOT_PERMITTED");
    }
    upload(&cinder, as_admin(public())).await.unwrap();
    assert_eq!(made(&cinder)[0].visibility(), Visibility::Public);
}

async fn what_is_wrong_with_an_upload_is_told_at_once(db: TestDb) {
    let cinder = Cinder::start(db).await;
    let volume = volume(&cinder).await;
    let request = UploadVolumeToImageRequest {
        name: String::new(),
        disk_format: "qcow2".to_owned(),
        container_format: "ovf".to_owned(),
        visibility: 7,
        image_properties: map(&[("status", "x")]),
        ..of(&volume)
    };
    let refused = upload(&cinder, as_alice(request)).await.unwrap_err();
    let expected = ["visibility", "name", "disk_format", "container_format", "image_properties[\"status\"]"];
    assert_eq!(fields(&refused), expected);
    assert!(made(&cinder).is_empty());
}
