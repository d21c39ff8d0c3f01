//! Resizing instances.

use proto::nova::v1::CreateInstanceRequest;

use super::*;
use crate::{glance::Mood, support::execute};

on_both_databases!(
    a_resize_keeps_both_flavors_until_it_is_confirmed,
    a_resize_that_is_reverted_leaves_exactly_what_was,
    an_agent_resizes,
    a_flavor_must_have_what_the_image_asks_for,
    a_smaller_disk_is_enough_if_the_image_fits_on_it,
    a_resize_to_no_root_disk_is_refused,
    a_record_of_an_earlier_release_learns_what_its_image_asks_for,
);

async fn a_resize_keeps_both_flavors_until_it_is_confirmed(db: TestDb) {
    let nova = alone(db).await;
    let image = nova.glance.add(Image { min_disk: 5, ..Image::default() });
    let instance = nova.active(&image).await;
    nova.glance.forget(&image);
    let resized = nova.resize(&instance.id, "3").await.unwrap();
    assert_eq!((resized.state(), resized.task.clone()), (State::Resized, None));
    assert_eq!(resized.flavor.as_ref().unwrap().id, "3");
    let entry = |key: &str| resized.system_metadata[key].as_str();
    assert_eq!(entry("instance_type_memory_mb"), "4096");
    assert_eq!(entry("old_instance_type_memory_mb"), "2048");
    assert_eq!(entry("new_instance_type_memory_mb"), "4096");
    assert_eq!((entry("old_vm_state"), entry("image_min_disk")), ("active", "40"));
    let confirmed = nova.confirm(&instance.id).await.unwrap();
    assert_eq!(confirmed.state(), State::Active);
    let mut expected = resized.system_metadata;
    expected.retain(|key, _| !key.starts_with("old_") && !key.starts_with("new_"));
    assert_eq!(confirmed.system_metadata, expected);
}

async fn a_resize_that_is_reverted_leaves_exactly_what_was(db: TestDb) {
    let nova = alone(db).await;
    let instance = nova.active(&nova.glance.with(&[("old_thing", "1")])).await;
    nova.resize(&instance.id, "4").await.unwrap();
    let wrong = nova.resize(&instance.id, "5").await.unwrap_err();
    assert_wrong_state(&wrong, "RESIZED", "");
    let reverted = nova.revert(&instance.id).await.unwrap();
    assert_eq!(content(&reverted), content(&instance));
    assert_wrong_state(&nova.revert(&instance.id).await.unwrap_err(), "ACTIVE", "");
}

async fn an_agent_resizes(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let begun = nova.resize(&instance.id, "3").await.unwrap();
    assert_eq!(begun.flavor.as_ref().unwrap().id, "2");
    assert_eq!(begun.system_metadata["new_instance_type_flavorid"], "3");
    assert_eq!(begun.task.as_ref().unwrap().flavor.as_ref().unwrap().id, "3");
    assert_eq!(content(&nova.end(&begun, Outcome::Failed).await), content(&instance));
    let begun = nova.resize(&instance.id, "3").await.unwrap();
    let resized = nova.end(&begun, Outcome::Succeeded).await;
    let begun = nova.revert(&instance.id).await.unwrap();
    assert_eq!(content(&nova.end(&begun, Outcome::Failed).await), content(&resized));
    let begun = nova.confirm(&instance.id).await.unwrap();
    assert_eq!(content(&nova.end(&begun, Outcome::Failed).await), content(&resized));
    let begun = nova.revert(&instance.id).await.unwrap();
    assert_eq!(content(&nova.end(&begun, Outcome::Succeeded).await), content(&instance));
}

async fn a_flavor_must_have_what_the_image_asks_for(db: TestDb) {
    let nova = alone(db).await;
    let image = nova.glance.add(Image { min_ram: 1024, min_disk: 11, ..Image::default() });
    let instance = nova.active(&image).await;
    let refused = nova.resize(&instance.id, "1").await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "FLAVOR_MEMORY_TOO_SMALL");
    nova.flavor("flat", 4096, 1, 10).await;
    let refused = nova.resize(&instance.id, "flat").await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "FLAVOR_DISK_SMALLER_THAN_MIN_DISK");
    let refused = nova.resize(&instance.id, "2").await.unwrap_err();
    assert_error(&refused, Code::InvalidArgument, "SAME_FLAVOR");
    let refused = nova.resize(&instance.id, "nothing").await.unwrap_err();
    assert_error(&refused, Code::InvalidArgument, "FLAVOR_NOT_FOUND");
    assert_eq!(nova.get(&instance.id).await.unwrap(), instance);
}

/// The difference between an instance and its image, which a resize must not invent.
async fn drift_of(nova: &Nova, instance: &Instance) -> Vec<String> {
    let current = nova.compare(&instance.id).await.current;
    let listed = nova.drift(ListDriftRequest::default()).await;
    let all = current.into_iter().chain(listed.into_iter().flat_map(|drift| drift.differences));
    all.map(|difference| difference.property).collect()
}

async fn a_smaller_disk_is_enough_if_the_image_fits_on_it(db: TestDb) {
    let nova = alone(db).await;
    let size = Some(6 * 1024 * 1024 * 1024);
    nova.flavor("medium", 2048, 1, 10).await;
    nova.flavor("small", 2048, 1, 7).await;
    nova.flavor("tiny", 2048, 1, 5).await;
    for (image, needs) in [
        (Image { min_disk: 6, ..Image::default() }, "FLAVOR_DISK_SMALLER_THAN_MIN_DISK"),
        (Image { size, ..Image::default() }, "FLAVOR_DISK_SMALLER_THAN_IMAGE"),
    ] {
        let image = nova.glance.add(image);
        let instance = nova.active(&image).await;
        for (flavor, min_disk) in [("3", "40"), ("2", "20"), ("medium", "10"), ("small", "7"), ("2", "20")] {
            nova.resize(&instance.id, flavor).await.unwrap();
            let resized = nova.confirm(&instance.id).await.unwrap();
            assert_eq!(resized.system_metadata["image_min_disk"], min_disk);
            assert_eq!(drift_of(&nova, &resized).await, [""; 0]);
        }
        let refused = nova.resize(&instance.id, "tiny").await.unwrap_err();
        assert_error(&refused, Code::FailedPrecondition, needs);
        let edited = nova.edit(UpdateInstanceImagePropertiesRequest {
            id: instance.id.clone(),
            set: map(&[("a", "1")]),
            ..Default::default()
        });
        edited.await.unwrap();
        let refused = nova.resize(&instance.id, "tiny").await.unwrap_err();
        assert_error(&refused, Code::FailedPrecondition, needs);
        nova.delete(&instance.id).await.unwrap();
    }
}

async fn a_resize_to_no_root_disk_is_refused(db: TestDb) {
    let nova = alone(db).await;
    nova.flavor("diskless", 2048, 1, 0).await;
    nova.flavor("another", 2048, 1, 0).await;
    let image = nova.glance.add(Image { min_disk: 5, ..Image::default() });
    let instance = nova.active(&image).await;
    let refused = nova.resize(&instance.id, "diskless").await.unwrap_err();
    let values = assert_error(&refused, Code::FailedPrecondition, "CANNOT_RESIZE_DISK");
    assert_eq!((&values["flavor_id"], &values["root_gb"]), ("diskless", "20"));
    assert!(refused.message().starts_with("resize to zero disk flavor is not allowed"), "{refused:?}");
    let request = CreateInstanceRequest { flavor_id: "diskless".to_owned(), ..of(&image) };
    let instance = nova.create_one(request).await;
    for (flavor, min_disk) in [("another", "5"), ("2", "20")] {
        nova.resize(&instance.id, flavor).await.unwrap();
        let resized = nova.confirm(&instance.id).await.unwrap();
        assert_eq!(resized.system_metadata["image_min_disk"], min_disk);
        assert_eq!(drift_of(&nova, &resized).await, [""; 0]);
    }
}

async fn a_record_of_an_earlier_release_learns_what_its_image_asks_for(db: TestDb) {
    let nova = alone(db).await;
    nova.flavor("medium", 2048, 1, 10).await;
    nova.flavor("small", 2048, 1, 5).await;
    let image = nova.glance.add(Image { min_disk: 8, ..Image::default() });
    let (instance, other) = (nova.active(&image).await, nova.active(&image).await);
    execute(&nova.db.url, "UPDATE records SET image_min_disk = NULL, image_size = NULL").await;
    let refused = nova.resize(&instance.id, "small").await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "FLAVOR_DISK_SMALLER_THAN_MIN_DISK");
    let resized = nova.resize(&instance.id, "medium").await.unwrap();
    assert_eq!(resized.system_metadata["image_min_disk"], "10");
    nova.confirm(&instance.id).await.unwrap();
    // Without the image, nothing above the root disk is certain; an operation does not need its image.
    nova.glance.be(Mood::Failing(Status::unavailable("SECRET")));
    let refused = nova.resize(&instance.id, "small").await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "FLAVOR_DISK_SMALLER_THAN_MIN_DISK");
    nova.resize(&other.id, "3").await.unwrap();
}
