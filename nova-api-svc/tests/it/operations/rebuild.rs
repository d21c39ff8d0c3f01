//! Rebuilding instances.

use super::*;

on_both_databases!(
    a_rebuild_changes_all_that_comes_from_the_image,
    a_rebuild_that_fails_changes_nothing,
    a_rebuild_needs_what_a_create_needs,
);

async fn a_rebuild_changes_all_that_comes_from_the_image(db: TestDb) {
    let nova = alone(db).await;
    let old = nova.glance.with(&[("os_type", "linux"), ("hw_disk_bus", "ide"), ("long", &"x".repeat(300))]);
    let new = nova.glance.add(Image {
        min_ram: 128,
        disk_format: "qcow2".to_owned(),
        properties: map(&[("os_type", "windows"), ("vm_mode", "hvm"), ("auto_disk_config", "true")]),
        ..Image::default()
    });
    let instance = nova.active(&old).await;
    let rebuilt = nova.rebuild(&instance.id, &new.id).await.unwrap();
    let fresh = nova.active(&new).await;
    let expected = Instance {
        id: rebuilt.id.clone(),
        hostname: rebuilt.hostname.clone(),
        reservation_id: rebuilt.reservation_id.clone(),
        create_time: rebuilt.create_time,
        ..fresh
    };
    assert_eq!(content(&rebuilt), content(&expected));
    assert_eq!(nova.get(&instance.id).await.unwrap(), rebuilt);
    nova.glance.change(&new.id, |image| drop(image.properties.insert("hw_disk_bus".into(), "virtio".into())));
    let refreshed = nova.rebuild(&instance.id, "").await.unwrap();
    assert_eq!((refreshed.image_id.as_str(), refreshed.image_revision), (new.id.as_str(), 2));
    assert_eq!(refreshed.system_metadata["image_hw_disk_bus"], "virtio");
}

async fn a_rebuild_that_fails_changes_nothing(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = nova.active(&nova.glance.with(&[("os_type", "linux")])).await;
    let new = nova.glance.with(&[("os_type", "windows")]);
    let begun = nova.rebuild(&instance.id, &new.id).await.unwrap();
    assert_eq!(begun.system_metadata, instance.system_metadata);
    let task = begun.task.as_ref().unwrap();
    assert_eq!((task.image_id.as_str(), task.image_revision), (new.id.as_str(), 1));
    assert_eq!(task.system_metadata["image_os_type"], "windows");
    let failed = nova.end(&begun, Outcome::Failed).await;
    assert_eq!(content(&failed), content(&instance));
    let begun = nova.rebuild(&instance.id, &new.id).await.unwrap();
    let report = ReportInstanceStateRequest {
        result: Outcome::Failed.into(),
        state: State::Error.into(),
        message: "no space left".to_owned(),
        ..seen(&begun)
    };
    let failed = nova.report(report).await.unwrap();
    assert_eq!(content(&failed), Instance { state: State::Error.into(), ..content(&instance) });
    let begun = nova.rebuild(&instance.id, &new.id).await.unwrap();
    let rebuilt = nova.end(&begun, Outcome::Succeeded).await;
    assert_eq!((rebuilt.state(), rebuilt.image_id.as_str()), (State::Active, new.id.as_str()));
}

async fn a_rebuild_needs_what_a_create_needs(db: TestDb) {
    let nova = alone(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let large = nova.glance.add(Image { min_ram: 4096, ..Image::default() });
    let refused = nova.rebuild(&instance.id, &large.id).await.unwrap_err();
    assert_error(&refused, Code::FailedPrecondition, "FLAVOR_MEMORY_TOO_SMALL");
    let unknown = nova.rebuild(&instance.id, "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11").await.unwrap_err();
    assert_error(&unknown, Code::InvalidArgument, "IMAGE_NOT_FOUND");
    assert_eq!(nova.get(&instance.id).await.unwrap(), instance);
}
