//! The system metadata of an instance.

use std::collections::BTreeMap;

use chassis::{on_both_databases, testing::TestDb};
use proto::{
    glance::v1::Image,
    nova::v1::{CreateInstanceRequest, Instance},
};

use crate::{
    glance::map,
    support::{Nova, of},
};

on_both_databases!(
    base_attributes_win_over_properties_of_the_same_name,
    a_property_names_another_base_image,
    the_larger_min_disk_is_remembered,
    a_vhd_remembers_the_root_disk_of_the_flavor,
    long_values_are_cut_at_code_points_and_reported,
    a_base_attribute_over_a_long_property_is_not_reported,
    the_longest_names_fit,
    an_image_without_properties_and_one_with_128,
    odd_values_survive,
    an_instance_keeps_what_it_remembers_when_the_image_changes,
    a_property_cannot_pass_for_a_flavor,
    the_rows_are_what_the_answer_says,
);

async fn stamped(nova: &Nova, image: Image) -> Instance {
    let image = nova.glance.add(image);
    let instance = nova.create_one(of(&image)).await;
    assert_eq!(nova.get(&instance.id).await.unwrap(), instance);
    instance
}

fn with(properties: &[(&str, &str)]) -> Image {
    Image { properties: map(properties), ..Image::default() }
}

async fn base_attributes_win_over_properties_of_the_same_name(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = Image {
        min_ram: 64,
        min_disk: 1,
        disk_format: "raw".to_owned(),
        ..with(&[
            ("min_ram", "junk"),
            ("min_disk", "junk"),
            ("disk_format", "junk"),
            ("container_format", "left"),
        ])
    };
    let remembered = stamped(&nova, image).await.system_metadata;
    assert_eq!(remembered["image_min_ram"], "64");
    assert_eq!(remembered["image_min_disk"], "20");
    assert_eq!(remembered["image_disk_format"], "raw");
    // The image has no container format, so that the property stays.
    assert_eq!(remembered["image_container_format"], "left");
}

async fn a_property_names_another_base_image(db: TestDb) {
    let nova = Nova::start(db).await;
    let other = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";
    let instance = stamped(&nova, with(&[("base_image_ref", other)])).await;
    assert_eq!(instance.system_metadata["image_base_image_ref"], other);
    assert_ne!(instance.image_id, other);
    // Icehouse's setdefault: there is a property, even an empty one.
    let instance = stamped(&nova, with(&[("base_image_ref", "")])).await;
    assert_eq!(instance.system_metadata["image_base_image_ref"], "");
}

async fn the_larger_min_disk_is_remembered(db: TestDb) {
    let nova = Nova::start(db).await;
    nova.flavor("diskless", 512, 1, 0).await;
    for (flavor_id, min_disk, expected) in [("2", 5, "20"), ("2", 20, "20"), ("diskless", 30, "30")] {
        let image = nova.glance.add(Image { min_disk, disk_format: "qcow2".to_owned(), ..Image::default() });
        let request = CreateInstanceRequest { flavor_id: flavor_id.to_owned(), ..of(&image) };
        assert_eq!(nova.create_one(request).await.system_metadata["image_min_disk"], expected);
    }
}

async fn a_vhd_remembers_the_root_disk_of_the_flavor(db: TestDb) {
    let nova = Nova::start(db).await;
    nova.flavor("diskless", 512, 1, 0).await;
    for (flavor_id, disk_format, expected) in
        [("diskless", "vhd", "0"), ("2", "vhd", "20"), ("diskless", "vhdx", "15"), ("2", "vhdx", "20")]
    {
        let image =
            nova.glance.add(Image { min_disk: 15, disk_format: disk_format.to_owned(), ..Image::default() });
        let request = CreateInstanceRequest { flavor_id: flavor_id.to_owned(), ..of(&image) };
        let remembered = nova.create_one(request).await.system_metadata;
        assert_eq!(remembered["image_min_disk"], expected, "{disk_format} on {flavor_id}");
    }
}

async fn long_values_are_cut_at_code_points_and_reported(db: TestDb) {
    let nova = Nova::start(db).await;
    let (whole, long) = ("名".repeat(255), "🎉".repeat(256));
    let combining = "e\u{301}".repeat(128);
    let image = with(&[
        ("ascii", &"x".repeat(65_535)),
        ("combining", &combining),
        ("long", &long),
        ("whole", &whole),
        ("short", "x"),
    ]);
    let instance = stamped(&nova, image).await;
    assert_eq!(instance.system_metadata["image_ascii"], "x".repeat(255));
    assert_eq!(instance.system_metadata["image_combining"], format!("{}e", "e\u{301}".repeat(127)));
    assert_eq!(instance.system_metadata["image_long"], "🎉".repeat(255));
    assert_eq!(instance.system_metadata["image_whole"], whole);
    assert_eq!(instance.truncated_keys, ["image_ascii", "image_combining", "image_long"]);
    let truncated =
        nova.sql::<(String,)>("SELECT key FROM instance_system_metadata WHERE truncated ORDER BY key");
    assert!(truncated.await.into_iter().map(|(key,)| key).eq(instance.truncated_keys));
}

async fn a_base_attribute_over_a_long_property_is_not_reported(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = stamped(&nova, with(&[("min_ram", &"1".repeat(300))])).await;
    assert_eq!(instance.system_metadata["image_min_ram"], "0");
    assert_eq!(instance.truncated_keys, [""; 0]);
}

async fn the_longest_names_fit(db: TestDb) {
    let nova = Nova::start(db).await;
    let (ascii, wide) = ("k".repeat(255), "🎉".repeat(255));
    let instance = stamped(&nova, with(&[(&ascii, "1"), (&wide, &"2".repeat(256))])).await;
    assert_eq!(instance.system_metadata[&format!("image_{ascii}")], "1");
    assert_eq!(instance.system_metadata[&format!("image_{wide}")], "2".repeat(255));
    assert_eq!(instance.truncated_keys, [format!("image_{wide}")]);
}

async fn an_image_without_properties_and_one_with_128(db: TestDb) {
    let nova = Nova::start(db).await;
    let none = stamped(&nova, with(&[])).await;
    assert_eq!(none.system_metadata.len(), 13);
    let properties: BTreeMap<_, _> =
        (0..128).map(|number| (format!("p{number}"), format!("value {number}"))).collect();
    let all = stamped(&nova, Image { properties: properties.clone(), ..Image::default() }).await;
    assert_eq!(all.system_metadata.len(), 13 + 128);
    for (name, value) in properties {
        assert_eq!(all.system_metadata[&format!("image_{name}")], value);
    }
}

async fn odd_values_survive(db: TestDb) {
    let nova = Nova::start(db).await;
    let odd = [
        ("", "empty name"),
        ("empty", ""),
        ("none", "None"),
        ("blank", " \t\n"),
        ("control", "\u{1}\u{7f}\u{85}"),
        ("quote'\"\\", "'); DROP TABLE instances; --"),
        ("not a character", "\u{ffff}\u{fffe}\u{10ffff}\u{e000}"),
        ("right to left", "\u{202e}abc\u{feff}"),
        ("image_", "image_"),
        ("ſ", "ß"),
        ("A", "upper"),
        ("a", "lower"),
        ("%s", "$1 {} %(x)s"),
    ];
    let instance = stamped(&nova, with(&odd)).await;
    for (name, value) in odd {
        assert_eq!(instance.system_metadata[&format!("image_{name}")], value, "{name:?}");
    }
    assert_eq!(instance.system_metadata.len(), 13 + odd.len());
}

async fn an_instance_keeps_what_it_remembers_when_the_image_changes(db: TestDb) {
    let nova = Nova::start(db).await;
    let before = nova.glance.with(&[("hw_disk_bus", "ide")]);
    let first = nova.create_one(of(&before)).await;
    let after =
        nova.glance.add(Image { revision: 2, properties: map(&[("hw_disk_bus", "scsi")]), ..before.clone() });
    let second = nova.create_one(of(&after)).await;
    nova.glance.forget(&after);
    let bus_and_revision =
        |instance: Instance| (instance.system_metadata["image_hw_disk_bus"].clone(), instance.image_revision);
    assert_eq!(bus_and_revision(nova.get(&first.id).await.unwrap()), ("ide".to_owned(), 1));
    assert_eq!(bus_and_revision(nova.get(&second.id).await.unwrap()), ("scsi".to_owned(), 2));
}

async fn a_property_cannot_pass_for_a_flavor(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = stamped(&nova, with(&[("instance_type_memory_mb", "1"), ("type_id", "9")])).await;
    assert_eq!(instance.system_metadata["instance_type_memory_mb"], "2048");
    assert_eq!(instance.system_metadata["image_instance_type_memory_mb"], "1");
    assert_eq!(instance.flavor.unwrap().memory_mb, 2048);
}

async fn the_rows_are_what_the_answer_says(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = stamped(&nova, with(&[("hw_disk_bus", "ide"), ("größe", "名")])).await;
    let rows = nova.sql::<(String, String)>("SELECT key, value FROM instance_system_metadata").await;
    assert_eq!(rows.len(), instance.system_metadata.len());
    assert_eq!(rows.into_iter().collect::<BTreeMap<_, _>>(), instance.system_metadata);
}
