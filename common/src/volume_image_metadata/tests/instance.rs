//! Instances that boot from volumes.

use super::{IMAGE_ID, VolumeImageMetadata, properties, volume};
use crate::{
    flavor::Flavor,
    system_metadata::system_metadata_from_image,
    volume_image_metadata::{Need, image_meta_from_volume, system_metadata_from_volume, unmet_needs},
};

fn flavor(memory_mb: i32, root_gb: i32) -> Flavor {
    Flavor {
        instance_type_id: 1,
        flavorid: "1".into(),
        name: "m1.tiny".into(),
        memory_mb,
        vcpus: 1,
        root_gb,
        ephemeral_gb: 0,
        swap: 0,
        rxtx_factor: 1.0,
        vcpu_weight: None,
    }
}

#[test]
fn an_instance_has_the_properties_but_no_attributes_of_the_images_data() {
    let volume = volume(&[("os_distro", "ubuntu"), ("image_id", "mine")]);
    let entries = system_metadata_from_volume(&volume, &flavor(512, 20)).entries;
    let expected = properties(&[
        ("image_os_distro", "ubuntu"),
        ("image_image_id", "mine"),
        ("image_min_ram", "512"),
        ("image_min_disk", "20"),
        ("image_base_image_ref", IMAGE_ID),
    ]);
    assert_eq!(entries, expected);
}

#[test]
fn attributes_in_a_list_stored_by_cinder_are_no_properties_of_the_instance() {
    let attributes = properties(&[
        ("checksum", "ea0c2a3b"),
        ("container_format", "bare"),
        ("disk_format", "qcow2"),
        ("min_disk", "3"),
        ("min_ram", "512"),
        ("size", "1024"),
    ]);
    let mut of_image = attributes.clone();
    of_image.extend(properties(&[
        ("image_id", IMAGE_ID),
        ("image_name", "jammy"),
        ("signature_verified", "False"),
    ]));
    let meta = image_meta_from_volume(&VolumeImageMetadata::from_flat(&of_image, 0));
    assert_eq!(meta.properties, properties(&[("signature_verified", "False")]));
    assert_eq!((meta.min_disk, meta.min_ram), (Some(3), Some(512)));
    // Attributes that a user has set on a blank volume.
    let meta = image_meta_from_volume(&VolumeImageMetadata::from_flat(&attributes, 0));
    assert_eq!((meta.properties.len(), meta.min_disk), (0, Some(0)));
}

#[test]
fn the_base_image_is_the_property_or_the_volumes_image_or_empty() {
    let base = |volume: &_| {
        system_metadata_from_volume(volume, &flavor(1, 1)).entries["image_base_image_ref"].clone()
    };
    assert_eq!(base(&volume(&[("base_image_ref", "first")])), "first");
    assert_eq!(base(&volume(&[])), IMAGE_ID);
    assert_eq!(base(&VolumeImageMetadata::default()), "");
}

#[test]
fn min_disk_is_the_larger_of_the_images_and_the_flavors() {
    for (root_gb, expected) in [(0, "3"), (3, "3"), (4, "4")] {
        let entries = system_metadata_from_volume(&volume(&[]), &flavor(512, root_gb)).entries;
        assert_eq!(entries["image_min_disk"], expected);
    }
}

#[test]
fn long_values_are_cut_as_those_of_images_are() {
    let long = "名".repeat(256);
    let stamped = system_metadata_from_volume(&volume(&[("a", &long)]), &flavor(512, 1));
    assert!(stamped.truncated.contains("image_a"));
    let whole = image_meta_from_volume(&volume(&[("a", &long)]));
    assert_eq!(whole.properties["a"], long);
    assert_eq!(system_metadata_from_image(&whole, None).entries["image_a"], stamped.entries["image_a"]);
}

#[test]
fn memory_and_the_volumes_size_are_checked_whatever_the_root_disk_of_the_flavor() {
    let (memory, disk) =
        (Need::Memory { needed: 512, available: 511 }, Need::Disk { needed: 3, available: 2 });
    for (memory_mb, size_gib, expected) in
        [(512, 3, vec![]), (511, 3, vec![memory]), (512, 2, vec![disk]), (511, 2, vec![memory, disk])]
    {
        for root_gb in [0, 1, 20] {
            assert_eq!(unmet_needs(&volume(&[]), &flavor(memory_mb, root_gb), size_gib), expected);
        }
    }
    assert_eq!(unmet_needs(&VolumeImageMetadata::default(), &flavor(1, 0), 1), []);
}
