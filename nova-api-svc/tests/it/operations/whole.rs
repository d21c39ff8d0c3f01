//! Truncated values in a record: images made from the instance have the whole values, or say that they do not.

use super::*;
use crate::glance::Mood;

on_both_databases!(
    a_snapshot_has_the_whole_values_of_its_revision,
    what_cannot_be_had_whole_is_named,
    an_instance_is_put_away_with_whole_values_later,
    devices_of_the_first_boot_are_not_inherited,
);

fn json() -> String {
    format!("{{\"a\": \"{}\"}}", "y".repeat(300))
}

async fn a_snapshot_has_the_whole_values_of_its_revision(db: TestDb) {
    let nova = alone(db).await;
    let image = nova.glance.with(&[("meta", &json()), ("notes", &"ä".repeat(256)), ("n", "1")]);
    let instance = nova.active(&image).await;
    nova.glance.change(&image.id, |image| drop(image.properties.insert("meta".into(), "z".repeat(400))));
    nova.glance.forget(&image);
    let done = nova.snapshot(named(&instance.id, "")).await.unwrap();
    assert_eq!(done.truncated_properties, [""; 0]);
    let made = nova.glance.find(&done.image_id).unwrap();
    assert_eq!((&made.properties["meta"], &made.properties["notes"]), (&json(), &"ä".repeat(256)));

    // What was put in its place is not a part of anything.
    let set = map(&[("meta", "mine")]);
    nova.edit(UpdateInstanceImagePropertiesRequest { id: instance.id.clone(), set, ..Default::default() })
        .await
        .unwrap();
    let metadata = map(&[("notes", "others")]);
    let request = SnapshotInstanceRequest { metadata, ..named(&instance.id, "") };
    nova.glance.lose(&image);
    let done = nova.snapshot(request).await.unwrap();
    assert_eq!(done.truncated_properties, [""; 0]);
    let made = nova.glance.find(&done.image_id).unwrap();
    assert_eq!((made.properties["meta"].as_str(), made.properties["notes"].as_str()), ("mine", "others"));
}

async fn what_cannot_be_had_whole_is_named(db: TestDb) {
    let nova = alone(db).await;
    let image = nova.glance.with(&[("meta", &json()), ("notes", &"n".repeat(256))]);
    let instance = nova.active(&image).await;
    nova.glance.lose(&image);
    // A catalogue that tells another past: one value is not the beginning's, one is.
    let properties = map(&[("meta", &"x".repeat(300)), ("notes", &"n".repeat(300))]);
    nova.glance.add(Image { properties, ..image.clone() });
    for _ in 0..2 {
        let done = nova.snapshot(named(&instance.id, "other past")).await.unwrap();
        assert_eq!(done.truncated_properties, ["meta"]);
        let made = nova.glance.find(&done.image_id).unwrap();
        assert_eq!((made.properties["meta"].len(), made.properties["notes"].len()), (255, 300));
    }
    nova.glance.lose(&image);
    for _ in 0..2 {
        let done = nova.snapshot(named(&instance.id, "gone")).await.unwrap();
        assert_eq!(done.truncated_properties, ["meta", "notes"]);
    }
    let shelved = nova.shelve(&instance.id).await.unwrap();
    let made = nova.glance.find(&shelved.system_metadata["shelved_image_id"]).unwrap();
    assert_eq!(made.properties["meta"], json()[..255]);
    let history = nova.history(&instance.id).await;
    let named: Vec<_> = history.iter().map(|entry| entry.truncated_properties.join(",")).collect();
    // The creation, then each operation as it begins and as it ends.
    assert_eq!(named, ["", "meta", "", "meta,notes", "", "meta,notes", ""]);
}

async fn an_instance_is_put_away_with_whole_values_later(db: TestDb) {
    let (nova, worker) = idle(db, Compute::None).await;
    let image = nova.glance.with(&[("meta", &json())]);
    let instance = nova.active(&image).await;
    nova.glance.be(Mood::Failing(Status::unavailable("SECRET")));
    let away = nova.shelve(&instance.id).await.unwrap_err();
    let image_id = assert_begun(&away, "ShelveInstance", "GLANCE_UNAVAILABLE");
    nova.glance.be(Mood::Well);
    assert_eq!((worker.work_later().await, nova.jobs().await), (1, 0));
    assert_eq!(nova.glance.find(&image_id).unwrap().properties["meta"], json());
    assert_eq!(nova.get(&instance.id).await.unwrap().state(), State::ShelvedOffloaded);
}

async fn devices_of_the_first_boot_are_not_inherited(db: TestDb) {
    let nova = alone(db).await;
    let devices = format!("[{}]", [r#"{"virtual": "root", "device": "/dev/vda"}"#; 9].join(", "));
    let image = nova.glance.with(&[
        ("mappings", &devices),
        ("block_device_mapping", &devices),
        ("img_mappings", &devices),
        ("img_block_device_mapping", &devices),
        ("bdm_v2", "True"),
        ("root_device_name", "/dev/vda"),
    ]);
    let instance = nova.active(&image).await;
    let done = nova.snapshot(named(&instance.id, "")).await.unwrap();
    assert_eq!(done.truncated_properties, [""; 0]);
    let made = nova.glance.find(&done.image_id).unwrap().properties;
    let of_image: Vec<_> = made.keys().filter(|name| image.properties.contains_key(*name)).collect();
    assert_eq!(of_image, ["bdm_v2", "root_device_name"]);
}
