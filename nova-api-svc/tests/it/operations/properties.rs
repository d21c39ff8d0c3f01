//! Properties of an instance's copy, edited by hand.

use proto::nova::v1::instance_service_client::InstanceServiceClient;

use super::*;
use crate::support::{connect, fields, serve};

on_both_databases!(
    only_the_named_properties_change,
    an_edit_can_be_made_to_depend_on_what_was_seen,
    what_no_image_has_cannot_be_set,
    names_of_fields_of_an_image_are_properties,
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
