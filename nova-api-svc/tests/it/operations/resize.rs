//! Instances that get another flavor.

use super::*;

on_both_databases!(
    a_resize_keeps_both_flavors_until_it_is_confirmed,
    a_resize_that_is_reverted_leaves_exactly_what_was,
    an_agent_resizes,
    a_flavor_must_have_what_the_record_asks_for,
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

async fn a_flavor_must_have_what_the_record_asks_for(db: TestDb) {
    let nova = alone(db).await;
    let image = nova.glance.add(Image { min_ram: 1024, ..Image::default() });
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
