//! Editing the image properties in an instance's record.

use std::collections::BTreeMap;

use proto::nova::v1::instance_service_client::InstanceServiceClient;

use super::*;
use crate::{
    glance::Mood,
    support::{connect, fields, serve},
};

on_both_databases!(
    only_the_named_properties_change,
    an_edit_can_be_made_to_depend_on_what_was_seen,
    what_no_image_has_cannot_be_set,
    names_of_fields_of_an_image_are_properties,
    a_record_holds_no_more_than_an_image,
    kernel_and_ramdisk_are_derived_again,
    a_kernel_that_is_not_there_is_refused,
    edits_at_once_through_two_replicas_all_survive,
);

fn edit_of(
    instance: &Instance,
    set: &[(&str, &str)],
    remove: &[&str],
) -> UpdateInstanceImagePropertiesRequest {
    UpdateInstanceImagePropertiesRequest {
        id: instance.id.clone(),
        set: map(set),
        remove: remove.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    }
}

async fn only_the_named_properties_change(db: TestDb) {
    let nova = alone(db).await;
    let image = nova.glance.with(&[("hw_disk_bus", "ide"), ("os_type", "linux"), ("long", &"x".repeat(300))]);
    let (instance, other) = (nova.active(&image).await, nova.active(&image).await);
    nova.glance.forget(&image);
    let set = [("hw_disk_bus", "virtio"), ("long", "y"), ("trait:X", "required")];
    let edited = nova.edit(edit_of(&instance, &set, &["os_type", "nothing"])).await.unwrap();
    let mut expected = instance.clone();
    expected.system_metadata.extend(map(&[
        ("image_hw_disk_bus", "virtio"),
        ("image_long", "y"),
        ("image_trait:X", "required"),
    ]));
    expected.system_metadata.remove("image_os_type");
    expected.truncated_keys.clear();
    expected.os_type.clear();
    assert_eq!(content(&edited), content(&expected));
    assert_eq!(edited.revision, 2);
    assert_eq!(nova.get(&other.id).await.unwrap(), other);
    let again = nova.edit(edit_of(&instance, &set, &["os_type"])).await.unwrap();
    assert_eq!(again, edited);
}

async fn an_edit_can_be_made_to_depend_on_what_was_seen(db: TestDb) {
    let nova = alone(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let request = |etag: &str| UpdateInstanceImagePropertiesRequest {
        etag: etag.to_owned(),
        ..edit_of(&instance, &[("a", etag)], &[])
    };
    let edited = nova.edit(request(&instance.etag)).await.unwrap();
    let stale = nova.edit(request(&instance.etag)).await.unwrap_err();
    let values = assert_error(&stale, Code::Aborted, "STALE_ETAG");
    assert_eq!((&values["given_etag"], &values["etag"]), (&*instance.etag, &*edited.etag));
    nova.edit(request(&edited.etag)).await.unwrap();
}

async fn what_no_image_has_cannot_be_set(db: TestDb) {
    let nova = alone(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let long = "x".repeat(256);
    let set = [("a", long.as_str()), ("min_disk", "1"), ("os_glance_x", "1"), ("owner", "1"), ("b", "\0")];
    let refused = nova.edit(edit_of(&instance, &set, &["disk_format", "b"])).await.unwrap_err();
    let expected = [
        r#"set["a"]"#,
        r#"set["b"]"#,
        r#"set["b"]"#,
        r#"set["min_disk"]"#,
        r#"set["os_glance_x"]"#,
        r#"set["owner"]"#,
        "remove[0]",
    ];
    assert_eq!(fields(&refused), expected);
    assert_eq!(fields(&nova.edit(edit_of(&instance, &[], &[])).await.unwrap_err()), ["set"]);
    assert_eq!(nova.get(&instance.id).await.unwrap(), instance);
}

async fn names_of_fields_of_an_image_are_properties(db: TestDb) {
    let nova = alone(db).await;
    let instance = nova.active(&nova.glance.with(&[("revision", "abc")])).await;
    assert_eq!(instance.system_metadata["image_revision"], "abc");
    let set = map(&[
        ("properties", "1"),
        ("is_public", "2"),
        ("revision", "3"),
        ("etag", "4"),
        ("create_time", "5"),
        ("update_time", "6"),
        ("members", "7"),
    ]);
    let edited = nova.edit(UpdateInstanceImagePropertiesRequest {
        id: instance.id.clone(),
        set: set.clone(),
        ..Default::default()
    });
    assert_eq!(edited.await.unwrap().image_revision, instance.image_revision);
    let request =
        SnapshotInstanceRequest { id: instance.id, name: "backup".to_owned(), ..Default::default() };
    let made = nova.glance.find(&nova.snapshot(request).await.unwrap().image_id).unwrap();
    assert!(set.iter().all(|(name, value)| made.properties.get(name) == Some(value)), "{made:?}");
}

async fn edits_at_once_through_two_replicas_all_survive(db: TestDb) {
    let nova = alone(db).await;
    let settings = Settings { compute: Compute::None, ..Settings::default() };
    let address = serve(&nova.db.url, &nova.glance.endpoint(), &settings).await;
    let replicas = [nova.instances(), InstanceServiceClient::new(connect(address).await)];
    let instance = nova.active(&nova.glance.with(&[])).await;
    let editing: Vec<_> = (0..10)
        .map(|number| {
            let mut replica = replicas[number % 2].clone();
            let request = edit_of(&instance, &[(&format!("p{number}"), "1")], &[]);
            tokio::spawn(async move { replica.update_instance_image_properties(request).await })
        })
        .collect();
    for edit in editing {
        edit.await.unwrap().unwrap();
    }
    let edited = nova.get(&instance.id).await.unwrap();
    assert_eq!(edited.revision, 11);
    assert!((0..10).all(|number| edited.system_metadata.contains_key(&format!("image_p{number}"))));
    assert_eq!(nova.history(&instance.id).await.len(), 11);
}

async fn a_record_holds_no_more_than_an_image(db: TestDb) {
    let nova = alone(db).await;
    let set = |names: std::ops::Range<usize>| -> BTreeMap<_, _> {
        names.map(|number| (format!("{number:0255}"), "é".repeat(255))).collect()
    };
    let instance = nova.active(&nova.glance.with(&[])).await;
    let edit = async |set: BTreeMap<String, String>, remove: &[&str]| {
        nova.edit(UpdateInstanceImagePropertiesRequest { set, ..edit_of(&instance, &[], remove) }).await
    };
    let full = edit(set(0..128), &[]).await.unwrap();
    for more in [set(128..129), set(128..5000)] {
        let attempted = (128 + more.len()).to_string();
        let refused = edit(more, &[]).await.unwrap_err();
        let values = assert_error(&refused, Code::ResourceExhausted, "PROPERTY_LIMIT_EXCEEDED");
        assert_eq!((&values["resource"], &values["attempted"]), ("properties", &*attempted));
        assert_eq!(&values["maximum"], "128");
    }
    assert_eq!(nova.get(&instance.id).await.unwrap(), full);
    // What a service adds to an image does not count, and a full record can change and shrink.
    edit(map(&[("user_id", "alice")]), &[]).await.unwrap();
    let name = format!("{:0255}", 0);
    edit(map(&[("another", "1")]), &[&name]).await.unwrap();
    edit(map(&[(&format!("{:0255}", 1), "short")]), &["another"]).await.unwrap();

    // An image of an operator who allows more: its instance can shrink, and not grow.
    let properties: Vec<_> = (0..150).map(|number| format!("k{number}")).collect();
    let properties: Vec<_> = properties.iter().map(|name| (name.as_str(), "v")).collect();
    let instance = nova.active(&nova.glance.with(&properties)).await;
    let refused = nova.edit(edit_of(&instance, &[("new", "1")], &[])).await.unwrap_err();
    assert_error(&refused, Code::ResourceExhausted, "PROPERTY_LIMIT_EXCEEDED");
    nova.edit(edit_of(&instance, &[("new", "1")], &["k0"])).await.unwrap();
}

async fn kernel_and_ramdisk_are_derived_again(db: TestDb) {
    let nova = alone(db).await;
    let [a, b, c] = [(); 3].map(|()| nova.glance.with(&[]).id);
    let image = nova.glance.with(&[("kernel_id", &a), ("ramdisk_id", &b)]);
    let instance = nova.active(&image).await;
    nova.glance.forget(&image);
    let edit = async |set: &[(&str, &str)], remove: &[&str]| {
        let edited = nova.edit(edit_of(&instance, set, remove)).await.unwrap();
        assert_eq!(nova.get(&instance.id).await.unwrap(), edited);
        (edited.kernel_id, edited.ramdisk_id)
    };
    let ids = |kernel: &str, ramdisk: &str| (kernel.to_owned(), ramdisk.to_owned());
    assert_eq!(edit(&[("kernel_id", &c)], &[]).await, ids(&c, &b));
    assert_eq!(edit(&[("a", "1")], &[]).await, ids(&c, &b));
    assert_eq!(edit(&[("kernel_id", "nokernel")], &[]).await, ids("", ""));
    assert_eq!(edit(&[("ramdisk_id", &c)], &[]).await, ids("", ""));
    assert_eq!(edit(&[("kernel_id", &a)], &[]).await, ids(&a, &c));
    assert_eq!(edit(&[], &["ramdisk_id"]).await, ids(&a, ""));
    assert_eq!(edit(&[("ramdisk_id", &b)], &["kernel_id"]).await, ids("", &b));
    // What stays is not asked for: an operation does not need the images that it keeps.
    nova.glance.be(Mood::Failing(Status::unavailable("SECRET")));
    assert_eq!(edit(&[("ramdisk_id", &b), ("b", "1")], &[]).await, ids("", &b));
    let away = nova.edit(edit_of(&instance, &[("ramdisk_id", &a)], &[])).await.unwrap_err();
    assert_error(&away, Code::Unavailable, "GLANCE_UNAVAILABLE");
}

async fn a_kernel_that_is_not_there_is_refused(db: TestDb) {
    let nova = alone(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    for bad in ["nonsense", "6a0e8e1c-6b0b-4b3b-8f0e-1c6b0b4b3b8f"] {
        for name in ["kernel_id", "ramdisk_id"] {
            let refused = nova.edit(edit_of(&instance, &[(name, bad)], &[])).await.unwrap_err();
            let values = assert_error(&refused, Code::InvalidArgument, "IMAGE_NOT_FOUND");
            assert_eq!(&values["image_id"], bad);
            assert_eq!(values["field"], format!("set[\"{name}\"]"));
        }
    }
    assert_eq!(nova.get(&instance.id).await.unwrap(), instance);
}
