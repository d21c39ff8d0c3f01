use std::collections::BTreeMap;

use super::*;
use crate::image::{ImageMeta, inheritance::LeftOut, update::PropertyUpdate};

mod generated;
mod instance;

const IMAGE_ID: &str = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";

fn properties(entries: &[(&str, &str)]) -> Properties {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An image with these properties and every attribute.
fn image(entries: &[(&str, &str)]) -> Image {
    Image {
        id: IMAGE_ID.parse().unwrap(),
        revision: 7,
        name: "jammy".into(),
        status: "ACTIVE",
        size: Some(1024),
        virtual_size: Some(4096),
        checksum: Some("ea0c2a3b".into()),
        hash: None,
        meta: ImageMeta {
            properties: properties(entries),
            min_ram: Some(512),
            min_disk: Some(3),
            disk_format: Some("qcow2".into()),
            container_format: Some("bare".into()),
        },
    }
}

fn volume(entries: &[(&str, &str)]) -> VolumeImageMetadata {
    volume_image_metadata_from_image(&image(entries))
}

fn set(entries: &[(&str, &str)]) -> PropertyUpdate {
    PropertyUpdate { set: properties(entries), ..PropertyUpdate::default() }
}

#[test]
fn the_flat_list_has_the_eight_attributes_as_text() {
    let expected = properties(&[
        ("image_id", IMAGE_ID),
        ("image_name", "jammy"),
        ("checksum", "ea0c2a3b"),
        ("container_format", "bare"),
        ("disk_format", "qcow2"),
        ("min_disk", "3"),
        ("min_ram", "512"),
        ("size", "1024"),
        ("os_distro", "ubuntu"),
    ]);
    let flat = volume(&[("os_distro", "ubuntu")]).flat();
    assert_eq!((flat.entries, flat.hidden.len()), (expected, 0));
    assert!(ATTRIBUTES.is_sorted());
}

#[test]
fn absent_attributes_are_absent_from_the_flat_list() {
    let bare =
        Image { name: String::new(), size: None, checksum: None, meta: ImageMeta::default(), ..image(&[]) };
    let flat = volume_image_metadata_from_image(&bare).flat();
    assert_eq!(flat.entries, properties(&[("image_id", IMAGE_ID)]));
}

#[test]
fn the_volume_knows_which_revision_of_the_image_it_was_made_from() {
    let source = volume(&[]).image.unwrap();
    assert_eq!((source.id.to_string().as_str(), source.revision), (IMAGE_ID, 7));
}

#[test]
fn a_property_named_like_an_attribute_is_hidden_but_kept() {
    let volume = volume(&[("image_id", "mine"), ("image_name", "jammy"), ("size", "large")]);
    let flat = volume.flat();
    assert_eq!((flat.entries["image_id"].as_str(), flat.entries["size"].as_str()), (IMAGE_ID, "1024"));
    // One with the same value is not hidden.
    assert_eq!(flat.hidden.into_iter().collect::<Vec<_>>(), ["image_id", "size"]);
    assert_eq!(volume.properties["image_id"], "mine");
    let kept = image_from_volume(&volume, 1, &Properties::new());
    assert_eq!(kept.properties["image_id"], "mine");
}

#[test]
fn names_and_values_are_copied_as_the_image_has_them() {
    let (wide, long) = ("名".repeat(255), "x".repeat(60_000));
    let mappings = r#"[{"virtual": "root", "device": "/dev/sda"}]"#;
    let odd = [
        ("A a/b?", ""),
        (wide.as_str(), "é 🦀"),
        ("long", long.as_str()),
        ("mappings", mappings),
        ("block_device_mapping", "no JSON at all"),
    ];
    assert_eq!(volume(&odd).properties, properties(&odd));
}

#[test]
fn signature_verified_is_a_property_like_any_other_and_never_invented() {
    assert_eq!(volume(&[("signature_verified", "True")]).properties["signature_verified"], "True");
    assert!(!volume(&[]).flat().entries.contains_key("signature_verified"));
}

#[test]
fn encryption_keys_are_never_properties_of_a_volume() {
    let keys = [("cinder_encryption_key_id", "k"), ("cinder_encryption_key_deletion_policy", "p")];
    assert_eq!(volume(&keys).properties, Properties::new());
    let problem = check_update(&set(&keys[..1])).to_string();
    assert!(problem.contains("names an encryption key"), "{problem}");
}

#[test]
fn no_image_is_an_empty_map() {
    let blank = VolumeImageMetadata::default();
    assert_eq!(blank.flat(), Flat::default());
    let image = image_from_volume(&blank, 2, &Properties::new());
    assert_eq!((image.min_ram, image.min_disk, image.properties.len()), (0, 2, 0));
    assert_eq!(changes(&blank, &blank), []);
}

#[test]
fn a_list_stored_by_cinder_is_read() {
    let stored = properties(&[
        ("image_id", IMAGE_ID),
        ("image_name", "jammy"),
        ("min_disk", "007"),
        ("min_ram", "-1"),
        ("size", "1024"),
        ("signature_verified", "False"),
    ]);
    let volume = VolumeImageMetadata::from_flat(&stored, 0);
    let source = volume.image.as_ref().unwrap();
    assert_eq!((source.min_disk, source.min_ram, source.size), (None, None, Some(1024)));
    assert_eq!(volume.properties["min_disk"], "007");
    assert_eq!(volume.flat().entries, stored);
    // Set by a user on a blank volume.
    let orphan = properties(&[("min_disk", "5"), ("image_id", "jammy")]);
    let volume = VolumeImageMetadata::from_flat(&orphan, 0);
    assert_eq!((volume.image, volume.properties), (None, orphan));
}

#[test]
fn edits_follow_the_rules_of_images_and_attributes_are_read_only() {
    let long = "x".repeat(65_536);
    for (name, value) in [
        ("min_disk", "9"),
        ("image_id", IMAGE_ID),
        ("image_name", "mine"),
        ("visibility", "public"),
        ("os_glance_x", "1"),
        ("", "1"),
        ("a", &long),
        ("a", "\0"),
    ] {
        assert_eq!(check_update(&set(&[(name, value)])).len(), 1, "{name:?}");
    }
    // Cinder refuses non-ASCII names though images have them.
    assert!(check_update(&set(&[("名", "é"), ("a b/c", "")])).is_empty());
    let remove = PropertyUpdate { remove: ["image_id".into()].into(), ..PropertyUpdate::default() };
    assert!(check_update(&remove).is_empty());
}

#[test]
fn one_edit_sets_removes_and_purges() {
    let before = volume(&[("a", "1"), ("b", "1")]);
    let update = PropertyUpdate { remove: ["b".into()].into(), ..set(&[("c", "1")]) };
    let after = edited(&before, &update).unwrap();
    assert_eq!(after.properties, properties(&[("a", "1"), ("c", "1")]));
    assert_eq!(after.image, before.image);
    let purge = PropertyUpdate { purge: true, ..set(&[("d", "1")]) };
    assert_eq!(edited(&after, &purge).unwrap().properties, properties(&[("d", "1")]));
}

#[test]
fn edits_grow_to_the_limits_of_images_and_no_further() {
    let many = PropertyUpdate {
        set: (0..129).map(|number| (number.to_string(), String::new())).collect(),
        ..PropertyUpdate::default()
    };
    let excess = edited(&volume(&[]), &many).unwrap_err();
    assert_eq!((excess.attempted, excess.maximum), (129, 128));
}

#[test]
fn the_flat_list_can_be_sent_back_but_its_attributes_not_changed() {
    let before = volume(&[("a", "1")]);
    let mut entries = before.flat().entries;
    entries.insert("b".into(), "2".into());
    let update = set_flat(&before, &entries).unwrap();
    assert_eq!(update.set, properties(&[("b", "2")]));
    for (name, value) in [("min_disk", "9"), ("image_id", "mine"), ("size", "1")] {
        set_flat(&before, &properties(&[(name, value)])).unwrap_err();
        unset_flat(&before, name).unwrap_err();
    }
    assert_eq!(unset_flat(&before, "b").unwrap(), None);
    let before = edited(&before, &update).unwrap();
    let removed = edited(&before, &unset_flat(&before, "a").unwrap().unwrap()).unwrap();
    assert_eq!(removed.properties, properties(&[("b", "2")]));
}

#[test]
fn an_upload_keeps_what_instances_need() {
    for (size_gib, min_disk) in [(1, 3), (3, 3), (10, 10)] {
        let image = image_from_volume(&volume(&[]), size_gib, &Properties::new());
        assert_eq!((image.min_disk, image.min_ram), (min_disk, 512));
    }
}

#[test]
fn an_upload_says_what_it_leaves_out_and_why_and_never_fails_for_a_name() {
    let volume = VolumeImageMetadata {
        properties: properties(&[
            ("os_distro", "ubuntu"),
            ("visibility", "public"),
            ("id", "chosen"),
            ("self", "x"),
            ("os_glance_import_task", "x"),
            ("img_signature", "x"),
            ("block_device_mapping", "[]"),
            ("a\n", "x"),
        ]),
        ..volume(&[])
    };
    let image = image_from_volume(&volume, 1, &Properties::new());
    assert_eq!(image.properties, properties(&[("os_distro", "ubuntu")]));
    let expected = BTreeMap::from([
        ("visibility".to_owned(), LeftOut::BaseAttribute),
        ("id".to_owned(), LeftOut::BaseAttribute),
        ("self".to_owned(), LeftOut::BaseAttribute),
        ("os_glance_import_task".to_owned(), LeftOut::Reserved),
        ("img_signature".to_owned(), LeftOut::Signature),
        ("block_device_mapping".to_owned(), LeftOut::DeviceMapping),
        ("a\n".to_owned(), LeftOut::Invalid),
    ]);
    assert_eq!(image.left_out, expected);
}

#[test]
fn an_upload_takes_the_properties_it_is_given() {
    let given = properties(&[("os_distro", "debian"), ("hw_firmware_type", "uefi")]);
    let image = image_from_volume(&volume(&[("os_distro", "ubuntu"), ("a", "1")]), 1, &given);
    let expected = properties(&[("os_distro", "debian"), ("hw_firmware_type", "uefi"), ("a", "1")]);
    assert_eq!((image.properties, image.left_out.len()), (expected, 0));
}

#[test]
fn a_comparison_distinguishes_attributes_from_properties() {
    let then = volume(&[("image_id", "mine"), ("os_distro", "ubuntu")]);
    let mut now = image(&[("os_distro", "debian")]);
    (now.revision, now.name) = (9, String::new());
    let listed: Vec<_> = changes(&then, &volume_image_metadata_from_image(&now))
        .into_iter()
        .map(|change| serde_json::to_string(&change).unwrap())
        .collect();
    let expected = [
        r#"{"attribute":"image_name","old":"jammy"}"#,
        r#"{"attribute":"image_revision","old":"7","new":"9"}"#,
        r#"{"property":"image_id","old":"mine"}"#,
        r#"{"property":"os_distro","old":"ubuntu","new":"debian"}"#,
    ];
    assert_eq!(listed, expected);
}
