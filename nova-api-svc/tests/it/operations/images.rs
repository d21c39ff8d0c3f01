//! What happens to images of instances when the instances are deleted.

use proto::glance::v1::{
    CreateImageRequest, image::Status as ImageStatus, image_service_client::ImageServiceClient,
};

use super::*;
use crate::glance::Mood;

on_both_databases!(
    an_unfinished_image_goes_with_its_instance,
    a_snapshot_that_has_its_data_stays,
    what_was_not_registered_never_is,
    what_is_put_away_goes_with_its_instance,
);

async fn an_unfinished_image_goes_with_its_instance(db: TestDb) {
    let (nova, worker) = idle(db, Compute::Agent).await;
    let image = nova.glance.with(&[]);
    for status in [ImageStatus::Queued, ImageStatus::Saving] {
        let instance = nova.active(&image).await;
        let begun = nova.snapshot(named(&instance.id, "")).await.unwrap();
        nova.glance.change(&begun.image_id, |image| image.set_status(status));
        nova.delete(&instance.id).await.unwrap();
        assert_eq!((worker.work().await, nova.jobs().await), (1, 0));
        assert_eq!(nova.glance.find(&begun.image_id), None);
    }
    for status in [ImageStatus::Queued, ImageStatus::Active] {
        let instance = nova.active(&image).await;
        let begun = nova.shelve(&instance.id).await.unwrap();
        let image_id = begun.task.unwrap().snapshot_image_id;
        nova.glance.change(&image_id, |image| image.set_status(status));
        nova.delete(&instance.id).await.unwrap();
        assert_eq!((worker.work().await, nova.jobs().await), (1, 0));
        assert_eq!(nova.glance.find(&image_id), None);
    }
}

async fn a_snapshot_that_has_its_data_stays(db: TestDb) {
    let (nova, worker) = idle(db, Compute::Agent).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let begun = nova.snapshot(named(&instance.id, "")).await.unwrap();
    nova.end(&begun.instance.unwrap(), Outcome::Succeeded).await;
    let uploaded = nova.snapshot(named(&instance.id, "")).await.unwrap();
    nova.glance.change(&uploaded.image_id, |image| image.set_status(ImageStatus::Active));
    nova.delete(&instance.id).await.unwrap();
    assert_eq!((worker.work().await, nova.jobs().await), (1, 0));
    for image_id in [begun.image_id, uploaded.image_id] {
        assert!(nova.glance.find(&image_id).is_some());
    }
}

async fn what_was_not_registered_never_is(db: TestDb) {
    let (nova, worker) = idle(db, Compute::Agent).await;
    let image = nova.glance.with(&[]);
    for (shelves, is_deleted) in [(false, true), (true, true), (false, false), (true, false)] {
        let instance = nova.active(&image).await;
        nova.glance.be(Mood::Failing(Status::unavailable("SECRET")));
        let image_id = if shelves {
            let away = nova.shelve(&instance.id).await.unwrap_err();
            assert_begun(&away, "ShelveInstance", "GLANCE_UNAVAILABLE")
        } else {
            let away = nova.snapshot(named(&instance.id, "")).await.unwrap_err();
            assert_begun(&away, "SnapshotInstance", "GLANCE_UNAVAILABLE")
        };
        nova.glance.be(Mood::Well);
        if is_deleted {
            nova.delete(&instance.id).await.unwrap();
            assert_eq!(worker.work().await, 1);
        } else {
            let begun = nova.get(&instance.id).await.unwrap();
            nova.end(&begun, Outcome::Failed).await;
        }
        assert_eq!((nova.glance.find(&image_id), nova.jobs().await), (None, 0));
        // The first request may still be on its way: it comes too late.
        let late = Image { id: image_id.clone(), ..Image::default() };
        let mut images = ImageServiceClient::connect(nova.glance.endpoint()).await.unwrap();
        let late = images.create_image(CreateImageRequest { image: Some(late) }).await.unwrap_err();
        assert_eq!(late.code(), Code::AlreadyExists);
    }
}

async fn what_is_put_away_goes_with_its_instance(db: TestDb) {
    let (nova, worker) = idle(db, Compute::Agent).await;
    let image = nova.glance.with(&[]);
    for is_coming_back in [false, true] {
        let instance = nova.active(&image).await;
        let begun = nova.shelve(&instance.id).await.unwrap();
        let shelved = nova.end(&begun, Outcome::Succeeded).await;
        if is_coming_back {
            nova.unshelve(&instance.id).await.unwrap();
        }
        let image_id = &shelved.system_metadata["shelved_image_id"];
        assert!(nova.glance.find(image_id).is_some());
        nova.delete(&instance.id).await.unwrap();
        assert_eq!((worker.work().await, nova.jobs().await), (1, 0));
        assert_eq!(nova.glance.find(image_id), None);
    }
}
