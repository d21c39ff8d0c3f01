//! Snapshots of instances.

use super::*;
use crate::{glance::Mood, support::fields};

on_both_databases!(
    a_snapshot_is_made_of_the_record,
    metadata_that_no_image_can_have_is_refused,
    an_agent_uploads_a_snapshot,
    a_snapshot_that_is_refused_leaves_the_instance_as_it_was,
    a_snapshot_is_not_lost_when_the_catalogue_is_away,
);

async fn a_snapshot_is_made_of_the_record(db: TestDb) {
    let nova = alone(db).await;
    let image = nova.glance.add(Image {
        min_ram: 64,
        disk_format: "vhd".to_owned(),
        container_format: "bare".to_owned(),
        properties: map(&[
            ("os_distro", "ubuntu"),
            ("cache_in_nova", "yes"),
            ("bittorrent", "yes"),
            ("img_signature", "s"),
            ("img_signature_hash_method", "s"),
            ("signature_verified", "True"),
            ("signature_verified_by", "carol"),
            ("cinder_encryption_key_id", "k"),
            ("os_glance_import", "x"),
            ("visibility", "public"),
            ("a\nb", "v"),
            ("base_image_ref", "another"),
            ("user_id", "bob"),
        ]),
        ..Image::default()
    });
    let instance = nova.active(&image).await;
    nova.glance.change(&image.id, |image| drop(image.properties.insert("os_distro".into(), "debian".into())));
    nova.glance.forget(&image);
    let metadata = map(&[("purpose", "backup"), ("image_type", "mine")]);
    let request = SnapshotInstanceRequest { metadata, ..named(&instance.id, "") };
    let done = nova.snapshot(request).await.unwrap();
    let made = nova.glance.find(&done.image_id).unwrap();
    let expected = map(&[
        ("base_image_ref", "another"),
        ("image_type", "mine"),
        ("instance_uuid", &instance.id),
        ("os_distro", "ubuntu"),
        ("owner_id", "demo"),
        ("purpose", "backup"),
        ("signature_verified_by", "carol"),
        ("user_id", "alice"),
    ]);
    assert_eq!(made.properties, expected);
    assert_eq!((made.name.as_str(), made.owner.as_str()), ("backup", "demo"));
    assert_eq!((made.min_ram, made.min_disk), (64, 20));
    assert_eq!((made.disk_format.as_str(), made.container_format.as_str()), ("vhd", "bare"));
    assert_eq!(content(&done.instance.unwrap()), content(&instance));
}

async fn metadata_that_no_image_can_have_is_refused(db: TestDb) {
    let nova = alone(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let long = "x".repeat(65_536);
    let metadata =
        map(&[("a", long.as_str()), ("b", "\0"), ("os_glance_x", ""), ("revision", ""), ("status", "")]);
    let request = SnapshotInstanceRequest { metadata, ..named(&instance.id, "") };
    let refused = nova.snapshot(request).await.unwrap_err();
    let expected =
        [r#"metadata["a"]"#, r#"metadata["b"]"#, r#"metadata["os_glance_x"]"#, r#"metadata["status"]"#];
    assert_eq!(fields(&refused), expected);
    assert_eq!(nova.get(&instance.id).await.unwrap(), instance);
}

async fn an_agent_uploads_a_snapshot(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let done = nova.snapshot(named(&instance.id, "")).await.unwrap();
    let waiting = done.instance.unwrap();
    assert_eq!(waiting.task.as_ref().unwrap().snapshot_image_id, done.image_id);
    assert!(nova.glance.find(&done.image_id).is_some());
    assert_wrong_state(&nova.shelve(&instance.id).await.unwrap_err(), "ACTIVE", "IMAGE_SNAPSHOT");
    let ended = nova.end(&waiting, Outcome::Succeeded).await;
    assert_eq!(content(&ended), content(&instance));
    let waiting = nova.snapshot(named(&instance.id, "")).await.unwrap();
    let ended = nova.end(&waiting.instance.unwrap(), Outcome::Failed).await;
    assert_eq!(content(&ended), content(&instance));
    assert_eq!(nova.glance.find(&waiting.image_id), None);
}

async fn a_snapshot_that_is_refused_leaves_the_instance_as_it_was(db: TestDb) {
    let nova = alone(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    nova.glance.be(Mood::Failing(told(Code::ResourceExhausted, "IMAGE_QUOTA_EXCEEDED", None)));
    for _ in 0..2 {
        let refused = nova.snapshot(named(&instance.id, "r1")).await.unwrap_err();
        assert_error(&refused, Code::FailedPrecondition, "IMAGE_REFUSED");
    }
    nova.glance.be(Mood::Well);
    assert_eq!(content(&nova.get(&instance.id).await.unwrap()), content(&instance));
    assert_eq!(nova.glance.all().len(), 1);
}

async fn a_snapshot_is_not_lost_when_the_catalogue_is_away(db: TestDb) {
    let nova = alone(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    nova.glance.be(Mood::Failing(Status::unavailable("SECRET")));
    let away = nova.snapshot(named(&instance.id, "r1")).await.unwrap_err();
    assert_begun(&away, "SnapshotInstance", "GLANCE_UNAVAILABLE");
    assert_wrong_state(
        &nova.snapshot(named(&instance.id, "r2")).await.unwrap_err(),
        "ACTIVE",
        "IMAGE_SNAPSHOT",
    );
    nova.glance.be(Mood::Well);
    let done = nova.snapshot(named(&instance.id, "r1")).await.unwrap();
    assert_eq!(nova.snapshot(named(&instance.id, "r1")).await.unwrap(), done);
    assert_eq!(content(&done.instance.unwrap()), content(&instance));
    assert_eq!(nova.glance.all().len(), 2);
    let other = SnapshotInstanceRequest { name: "other".to_owned(), ..named(&instance.id, "r1") };
    let taken = nova.snapshot(other).await.unwrap_err();
    assert_error(&taken, Code::AlreadyExists, "REQUEST_ID_TAKEN");
}
