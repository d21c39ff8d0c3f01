//! Properties of the conversion that hold for every image and every volume.

use std::collections::BTreeMap;

use proptest::{collection::btree_map, option, prelude::*, sample::select};

use crate::{
    id::Id,
    image::{
        Image, ImageMeta, Properties,
        properties::{check_name, check_reserved, check_value},
        update::PropertyUpdate,
    },
    volume_image_metadata::{
        ATTRIBUTES, VolumeImageMetadata, changes, edited, image_from_volume, image_meta_from_volume,
        set_flat, volume_image_metadata_from_image,
    },
};

/// Names of attributes, names of each class that is not inherited, and any others.
fn names() -> impl Strategy<Value = String> {
    let known =
        ["signature_verified", "img_signature", "mappings", "cinder_encryption_key_id", "visibility", "id"];
    let known: Vec<_> = ATTRIBUTES.into_iter().chain(known).collect();
    prop_oneof![select(known).prop_map(str::to_owned), ".{0,30}"]
}

fn values() -> impl Strategy<Value = String> {
    prop_oneof![any::<i64>().prop_map(|number| number.to_string()), ".{0,20}", Just("-0".to_owned())]
}

fn entries() -> impl Strategy<Value = Properties> {
    btree_map(names(), values(), 0..10)
}

fn images() -> impl Strategy<Value = Image> {
    let numbers = || option::of(0..=i64::from(i32::MAX));
    let texts = || option::of("[a-z0-9]{1,8}");
    let attributes = (numbers(), numbers(), numbers(), numbers());
    (entries(), attributes, texts(), texts(), texts(), ".{0,20}", any::<u128>()).prop_map(
        |(
            properties,
            (size, virtual_size, min_ram, min_disk),
            disk_format,
            container_format,
            checksum,
            name,
            id,
        )| {
            Image {
                id: Id::from(uuid::Uuid::from_u128(id)),
                revision: 3,
                name,
                status: "ACTIVE",
                size,
                virtual_size,
                checksum,
                hash: None,
                meta: ImageMeta { properties, min_ram, min_disk, disk_format, container_format },
            }
        },
    )
}

/// Flat lists as Cinder stores them: any entries, often with the id of an image.
fn stored() -> impl Strategy<Value = BTreeMap<String, String>> {
    (entries(), option::of(any::<u128>())).prop_map(|(mut entries, id)| {
        if let Some(id) = id {
            entries.insert("image_id".into(), uuid::Uuid::from_u128(id).to_string());
        }
        entries
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_volume_loses_nothing_of_its_image(image in images()) {
        let volume = volume_image_metadata_from_image(&image);
        for (name, value) in &image.meta.properties {
            let is_key = name.starts_with("cinder_encryption_key_");
            prop_assert_eq!(volume.properties.get(name), Some(value).filter(|_| !is_key));
        }
        let source = volume.image.as_ref().unwrap();
        prop_assert_eq!((source.id, source.revision, &source.name), (image.id, image.revision, &image.name));
        prop_assert_eq!((source.size, source.min_disk), (image.size, image.meta.min_disk));
        prop_assert!(changes(&volume, &volume_image_metadata_from_image(&image)).is_empty());
    }

    #[test]
    fn the_flat_list_shows_everything_that_is_not_hidden(image in images()) {
        let volume = volume_image_metadata_from_image(&image);
        let flat = volume.flat();
        for (name, value) in &volume.properties {
            prop_assert_eq!(flat.entries.get(name) != Some(value), flat.hidden.contains(name));
        }
        prop_assert!(flat.hidden.iter().all(|name| ATTRIBUTES.contains(&name.as_str())));
    }

    #[test]
    fn a_volume_comes_back_from_its_flat_list_unless_properties_were_hidden(image in images()) {
        let mut volume = volume_image_metadata_from_image(&image);
        volume.properties.retain(|name, _| !ATTRIBUTES.contains(&name.as_str()));
        let back = VolumeImageMetadata::from_flat(&volume.flat().entries, 3);
        prop_assert_eq!(back, volume);
    }

    #[test]
    fn a_list_stored_by_cinder_comes_back_unchanged(stored in stored()) {
        let flat = VolumeImageMetadata::from_flat(&stored, 0).flat();
        prop_assert_eq!(flat.entries, stored);
        prop_assert!(flat.hidden.is_empty());
    }

    #[test]
    fn the_flat_list_sent_back_changes_nothing(image in images()) {
        let volume = volume_image_metadata_from_image(&image);
        let update = set_flat(&volume, &volume.flat().entries).unwrap();
        prop_assert_eq!(edited(&volume, &update), Ok(volume));
    }

    #[test]
    fn an_upload_inherits_each_property_or_has_a_reason(image in images(), given in entries(), size in 1..100_i64) {
        let volume = volume_image_metadata_from_image(&image);
        let upload = image_from_volume(&volume, size, &given);
        for (name, value) in &volume.properties {
            let is_kept = upload.properties.get(name) == Some(given.get(name).unwrap_or(value));
            prop_assert!(is_kept != upload.left_out.contains_key(name), "{}", name);
        }
        for (name, value) in upload.properties.iter().filter(|(name, _)| !given.contains_key(*name)) {
            prop_assert!(check_name(name).is_ok() && check_value(value).is_ok());
        }
        prop_assert!(upload.min_disk >= size && upload.min_disk >= image.meta.min_disk.unwrap_or(0));
        prop_assert_eq!(upload.min_ram, image.meta.min_ram.unwrap_or(0));
    }

    #[test]
    fn an_instance_has_each_property_that_an_image_can_have(image in images()) {
        let volume = volume_image_metadata_from_image(&image);
        let mut expected = volume.properties.clone();
        expected.retain(|name, _| check_reserved(name).is_ok());
        prop_assert_eq!(image_meta_from_volume(&volume).properties, expected);
    }

    #[test]
    fn changes_are_exactly_what_differs(old in entries(), new in entries()) {
        let volume = |properties: &Properties| VolumeImageMetadata { image: None, properties: properties.clone() };
        let listed = changes(&volume(&old), &volume(&new));
        let mut replayed = old.clone();
        for change in &listed {
            let update = match &change.new {
                Some(value) => PropertyUpdate {
                    set: [(change.property().unwrap().clone(), value.clone())].into(),
                    ..PropertyUpdate::default()
                },
                None => PropertyUpdate {
                    remove: [change.property().unwrap().clone()].into(),
                    ..PropertyUpdate::default()
                },
            };
            prop_assert!(change.old != change.new);
            update.apply(&mut replayed);
        }
        prop_assert_eq!(replayed, new);
    }
}
