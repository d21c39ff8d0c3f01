//! Images made from volumes whose data cinder-svc keeps in a folder.

use std::fs;

use proto::glance::v1::image::Status as ImageStatus;

use super::*;

on_both_databases!(
    the_data_is_uploaded_once_the_image_is_registered,
    what_an_earlier_attempt_uploaded_counts,
    an_image_that_got_other_data_is_left_alone,
    an_upload_without_data_leaves_no_image,
);

const SIZE: i64 = 1 << 30;

async fn an_upload(cinder: &Cinder) -> (Volume, Volume, Image) {
    let volume = cinder.settled(&cinder.volume().await).await;
    cinder.glance.be(Mood::Unheard);
    let request = UploadVolumeToImageRequest { protected: true, ..of(&volume) };
    let begun = upload(cinder, as_alice(request)).await.unwrap_err();
    assert_error(&begun, Code::Unavailable, "OPERATION_BEGUN");
    let uploading = cinder.get(&volume.id).await.unwrap();
    assert_eq!(uploading.task.as_ref().unwrap().state(), TaskState::Uploading);
    let image = made(cinder).remove(0);
    assert_eq!(image.status(), ImageStatus::Queued);
    (volume, uploading, image)
}

/// Does the jobs that are left once the pause after their first attempt is over.
async fn do_jobs(cinder: &Cinder) {
    cinder.glance.be(Mood::Well);
    let due = chassis::db::ByDialect {
        sqlite: "UPDATE image_jobs SET next_try = 0",
        postgres: "UPDATE image_jobs SET next_try = 0",
    };
    cinder.execute(due).await;
    assert_eq!(cinder.api().await.do_due_jobs().await.unwrap(), 1);
}

async fn the_data_is_uploaded_once_the_image_is_registered(db: TestDb) {
    let folder = tempfile::tempdir().unwrap();
    let cinder = Cinder::directory(db, &folder).await;
    let (volume, uploading, image) = an_upload(&cinder).await;
    assert_eq!(cinder.glance.data(&image.id), None);
    do_jobs(&cinder).await;
    let uploaded = cinder.settled(&volume).await;
    assert_eq!((uploaded.status(), uploaded.last_failure), (VolumeStatus::Available, None));
    assert_eq!(uploaded.revision, uploading.revision + 1);
    let image = cinder.glance.find(&image.id).unwrap();
    assert_eq!((image.status(), image.size), (ImageStatus::Active, Some(SIZE)));
    assert_eq!(cinder.glance.data(&image.id), Some(vec![0; 4096]));
    assert_eq!(cinder.history(&volume.id).await[0].image_id, image.id);
    assert_eq!(cinder.count("SELECT COUNT(*) FROM image_jobs").await, 0);
}

async fn what_an_earlier_attempt_uploaded_counts(db: TestDb) {
    let folder = tempfile::tempdir().unwrap();
    let cinder = Cinder::directory(db, &folder).await;
    let (volume, _, image) = an_upload(&cinder).await;
    let active = ImageStatus::Active.into();
    cinder.glance.change(&image.id, |image| (image.status, image.size) = (active, Some(SIZE)));
    do_jobs(&cinder).await;
    assert_eq!(cinder.settled(&volume).await.last_failure, None);
    assert_eq!((made(&cinder).len(), cinder.glance.data(&image.id)), (1, None));
}

async fn an_image_that_got_other_data_is_left_alone(db: TestDb) {
    let folder = tempfile::tempdir().unwrap();
    let cinder = Cinder::directory(db, &folder).await;
    let (volume, _, image) = an_upload(&cinder).await;
    let active = ImageStatus::Active.into();
    cinder.glance.change(&image.id, |image| (image.status, image.size) = (active, Some(7)));
    do_jobs(&cinder).await;
    let refused = cinder.settled(&volume).await;
    assert_eq!(refused.status(), VolumeStatus::Available);
    assert_eq!(refused.last_failure.unwrap().reason, "IMAGE_REFUSED");
    do_jobs(&cinder).await;
    assert_eq!(made(&cinder).len(), 1);
}

async fn an_upload_without_data_leaves_no_image(db: TestDb) {
    let folder = tempfile::tempdir().unwrap();
    let cinder = Cinder::directory(db, &folder).await;
    let (volume, ..) = an_upload(&cinder).await;
    for entry in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        let _ = fs::remove_file(entry.path().join("data"));
    }
    do_jobs(&cinder).await;
    let failed = cinder.settled(&volume).await;
    assert_eq!(failed.status(), VolumeStatus::Available);
    assert_eq!(failed.last_failure.unwrap().reason, "DATA_MISSING");
    do_jobs(&cinder).await;
    assert!(made(&cinder).is_empty(), "although it was to be protected");
    assert_eq!(cinder.count("SELECT COUNT(*) FROM image_jobs").await, 0);
}
