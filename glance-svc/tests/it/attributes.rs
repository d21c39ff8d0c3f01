//! `UpdateImage`: masks, locks, etags.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{
    Image, UpdateImageRequest,
    image::{Status, Visibility},
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{
    Glance, assert_error, assert_not_found, assert_violation, change_of, fields, named, violations,
};

on_both_databases!(
    changes_what_the_mask_names,
    changes_what_is_set_when_there_is_no_mask,
    an_empty_mask_is_none,
    a_star_changes_everything,
    a_mask_empties_attributes,
    refuses_unknown_paths,
    refuses_unknown_paths_beside_a_star,
    refuses_properties,
    refuses_what_create_refuses,
    refuses_an_update_without_an_image,
    makes_no_revision_when_nothing_changes,
    locks_size_and_checksum_once_the_data_is_there,
    a_locked_attribute_may_be_repeated,
    takes_the_current_etag_only,
    does_not_find_what_is_not_there,
    never_moves_the_update_time_back,
);

async fn changes_what_the_mask_names(db: TestDb) {
    let glance = Glance::start(db).await;
    let before = glance.create(Image { min_ram: 1, min_disk: 1, ..named("old") }).await.unwrap();
    let change = Image { min_ram: 2, min_disk: 2, name: "new".to_owned(), ..change_of(&before.id) };
    let after = glance.update(change, &["min_ram", "name", "min_ram"]).await.unwrap();
    assert_ne!(after.etag, before.etag);
    assert!(after.update_time.unwrap().seconds >= before.update_time.unwrap().seconds);
    let Image { etag, update_time, .. } = after.clone();
    let expected = Image { min_ram: 2, name: "new".to_owned(), revision: 2, etag, update_time, ..before };
    assert_eq!(after, expected);
    assert_eq!(glance.get(&after.id).await.unwrap(), after);
}

async fn changes_what_is_set_when_there_is_no_mask(db: TestDb) {
    let glance = Glance::start(db).await;
    let before = glance.create(Image { min_ram: 1, owner: "demo".into(), ..named("old") }).await.unwrap();
    let change = Image {
        visibility: Visibility::Public.into(),
        protected: true,
        disk_format: "raw".to_owned(),
        container_format: "bare".to_owned(),
        min_disk: 5,
        checksum: "c".to_owned(),
        tags: vec!["t".to_owned()],
        ..change_of(&before.id)
    };
    let after = glance.update(change.clone(), &[]).await.unwrap();
    let Image { etag, update_time, create_time, .. } = after.clone();
    let expected = Image {
        name: "old".to_owned(),
        owner: "demo".to_owned(),
        status: Status::Queued.into(),
        min_ram: 1,
        revision: 2,
        etag,
        update_time,
        create_time,
        ..change
    };
    assert_eq!(after, expected);
}

async fn an_empty_mask_is_none(db: TestDb) {
    let mut glance = Glance::start(db).await;
    let before = glance.create(Image { min_ram: 1, ..named("old") }).await.unwrap();
    let image = Image { name: "new".to_owned(), ..change_of(&before.id) };
    let request =
        UpdateImageRequest { image: Some(image), update_mask: Some(prost_types::FieldMask::default()) };
    let after = glance.client.update_image(request).await.unwrap().into_inner();
    assert_eq!((after.name.as_str(), after.min_ram), ("new", 1));
}

async fn a_star_changes_everything(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = Image {
        min_ram: 1,
        tags: vec!["a".to_owned()],
        protected: true,
        properties: [("k".to_owned(), "v".to_owned())].into(),
        owner: "demo".to_owned(),
        ..named("old")
    };
    let before = glance.create(image).await.unwrap();
    let change = Image {
        name: "new".to_owned(),
        status: Status::Queued.into(),
        visibility: Visibility::Private.into(),
        ..change_of(&before.id)
    };
    let after = glance.update(change.clone(), &["*"]).await.unwrap();
    let Image { etag, update_time, create_time, .. } = after.clone();
    let properties = before.properties;
    assert_eq!(after, Image { revision: 2, etag, update_time, create_time, properties, ..change });
}

async fn a_mask_empties_attributes(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = Image {
        protected: true,
        owner: "demo".to_owned(),
        disk_format: "raw".to_owned(),
        checksum: "c".to_owned(),
        min_ram: 1,
        tags: vec!["a".to_owned()],
        ..named("cirros")
    };
    let id = glance.create(image).await.unwrap().id;
    let mask = ["protected", "owner", "disk_format", "checksum", "min_ram", "tags"];
    let after = glance.update(change_of(&id), &mask).await.unwrap();
    assert_eq!((after.protected, after.owner.as_str(), after.disk_format.as_str()), (false, "", ""));
    assert_eq!((after.checksum.as_str(), after.min_ram, after.tags.len()), ("", 0, 0));
    let refused = glance.update(change_of(&id), &["name", "status", "visibility"]).await.unwrap_err();
    let mut found = fields(&refused);
    found.sort_unstable();
    assert_eq!(found, ["image.name", "image.status", "image.visibility"]);
}

async fn refuses_unknown_paths(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    for path in ["nonsense", "", "Name", "id", "revision", "etag", "create_time", "name.x", "tags[0]"] {
        let refused = glance.update(Image { name: "x".into(), ..change_of(&id) }, &[path]).await.unwrap_err();
        assert_violation(&refused, "update_mask", "allowed: checksum, container_format, disk_format");
    }
    let both = glance.update(change_of(&id), &["nonsense", "id"]).await.unwrap_err();
    assert_eq!(fields(&both), ["update_mask", "update_mask"]);
}

async fn refuses_unknown_paths_beside_a_star(db: TestDb) {
    let glance = Glance::start(db).await;
    let before = glance.named("cirros").await;
    for paths in [["*", "nonsense"], ["nonsense", "*"]] {
        let refused = glance.update(before.clone(), &paths).await.unwrap_err();
        assert_violation(&refused, "update_mask", "\"nonsense\" cannot be changed");
    }
}

async fn refuses_properties(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    for path in ["properties", "properties.os_distro"] {
        let refused = glance.update(change_of(&id), &[path]).await.unwrap_err();
        assert_violation(&refused, "update_mask", "UpdateImageProperties");
    }
    let properties = [("os_distro".to_owned(), "ubuntu".to_owned())].into();
    let refused = glance.update(Image { properties, ..change_of(&id) }, &[]).await.unwrap_err();
    assert_violation(&refused, "image.properties", "UpdateImageProperties");
    assert_eq!(glance.get(&id).await.unwrap().revision, 1);
}

async fn refuses_what_create_refuses(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    let change = Image {
        name: "x".repeat(256),
        status: 42,
        visibility: 42,
        disk_format: "tar".to_owned(),
        container_format: "tar".to_owned(),
        min_ram: -1,
        min_disk: 1 << 31,
        size: Some(-1),
        tags: vec!["t".repeat(256)],
        ..change_of(&id)
    };
    let found = fields(&glance.update(change, &[]).await.unwrap_err());
    assert_eq!(found.len(), 9, "{found:?}");
    let refused = glance.update(Image { id: "x".to_owned(), ..named("new") }, &[]).await.unwrap_err();
    assert_violation(&refused, "image.id", "must be a UUID");
}

async fn refuses_an_update_without_an_image(db: TestDb) {
    let mut glance = Glance::start(db).await;
    let refused = glance.client.update_image(UpdateImageRequest::default()).await.unwrap_err();
    assert_violation(&refused, "image.id", "must be a UUID");
}

async fn makes_no_revision_when_nothing_changes(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = Image { tags: vec!["a".into(), "b".into()], size: Some(1), ..named("cirros") };
    let before = glance.create(image).await.unwrap();
    let repeated = Image { tags: vec!["b".into(), "a".into(), "b".into()], ..before.clone() };
    assert_eq!(glance.update(repeated, &["*"]).await.unwrap(), before);
    assert_eq!(glance.update(change_of(&before.id), &[]).await.unwrap(), before);
    assert_eq!(glance.set(&before.id, &[]).await.unwrap(), before);
    assert_eq!(glance.get(&before.id).await.unwrap(), before);
    assert_eq!(glance.revisions(&before.id).await.len(), 1);
}

async fn locks_size_and_checksum_once_the_data_is_there(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.create(Image { size: Some(5), ..named("cirros") }).await.unwrap().id;
    for attribute in ["size", "checksum", "disk_format"] {
        let (checksum, disk_format) = ("c".to_owned(), "raw".to_owned());
        let change = Image { size: Some(6), checksum, disk_format, ..change_of(&id) };
        let refused = glance.update(change, &[attribute]).await.unwrap_err();
        let metadata = assert_error(&refused, Code::FailedPrecondition, "ATTRIBUTE_LOCKED");
        assert_eq!((metadata["attribute"].as_str(), &metadata["image_id"]), (attribute, &id));
        let failed = refused.get_details_precondition_failure().unwrap().violations;
        assert_eq!((failed[0].r#type.as_str(), failed[0].subject.clone()), ("STATUS", format!("image/{id}")));
    }
    assert_eq!(glance.get(&id).await.unwrap().revision, 1);
}

async fn a_locked_attribute_may_be_repeated(db: TestDb) {
    let glance = Glance::start(db).await;
    let image = Image { size: Some(5), disk_format: "raw".into(), checksum: "c".into(), ..named("cirros") };
    let before = glance.create(image).await.unwrap();
    let after = glance.update(Image { name: "new".to_owned(), ..before }, &["*"]).await.unwrap();
    assert_eq!((after.name.as_str(), after.revision), ("new", 2));
}

async fn takes_the_current_etag_only(db: TestDb) {
    let glance = Glance::start(db).await;
    let first = glance.named("first").await;
    let change = |name: &str, etag: &str| Image {
        name: name.to_owned(),
        etag: etag.to_owned(),
        ..change_of(&first.id)
    };
    let second = glance.update(change("second", &first.etag), &[]).await.unwrap();
    for stale in [&first.etag, "nonsense", &"🦀".repeat(1000)] {
        let refused = glance.update(change("third", stale), &[]).await.unwrap_err();
        let metadata = assert_error(&refused, Code::Aborted, "STALE_ETAG");
        assert_eq!((&metadata["etag"], &metadata["image_id"]), (&second.etag, &first.id));
    }
    assert_eq!(glance.get(&first.id).await.unwrap(), second);
    assert_eq!(glance.update(change("third", &second.etag), &[]).await.unwrap().revision, 3);
}

async fn does_not_find_what_is_not_there(db: TestDb) {
    let glance = Glance::start(db).await;
    let unknown = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";
    let refused = glance.update(Image { name: "new".into(), ..change_of(unknown) }, &[]).await.unwrap_err();
    assert_not_found(&refused, unknown);
    let nothing = glance.update(change_of(unknown), &[]).await.unwrap_err();
    assert_not_found(&nothing, unknown);
    for id in ["", "x", "6e1f4a525c5f4c399d0c6f7d0a3a4f11", "{6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11}"] {
        let malformed = glance.get(id).await.unwrap_err();
        assert_eq!(violations(&malformed)[0].0, "id");
    }
}

async fn never_moves_the_update_time_back(db: TestDb) {
    let glance = Glance::start(db).await;
    let id = glance.named("cirros").await.id;
    let mut last = glance.get(&id).await.unwrap();
    for number in 0..20 {
        let next = glance.set(&id, &[("k", &number.to_string())]).await.unwrap();
        let at = |image: &Image| image.update_time.map(|time| (time.seconds, time.nanos));
        assert!(at(&next) >= at(&last));
        assert_eq!(next.create_time, last.create_time);
        last = next;
    }
}
