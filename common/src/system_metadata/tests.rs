use proptest::prelude::*;

use super::*;

fn properties(entries: &[(&str, &str)]) -> Properties {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn flavor(root_gb: i32) -> Flavor {
    Flavor {
        instance_type_id: 2,
        flavorid: "1".into(),
        name: "m1.tiny".into(),
        memory_mb: 512,
        vcpus: 1,
        root_gb,
        ephemeral_gb: 0,
        swap: 0,
        rxtx_factor: 1.0,
        vcpu_weight: None,
    }
}

fn entries(image: &ImageMeta, flavor: Option<&Flavor>) -> BTreeMap<String, String> {
    system_metadata_from_image(image, flavor).entries
}

#[test]
fn prefixes_properties_and_adds_the_four_base_attributes() {
    let image = ImageMeta {
        properties: properties(&[("os_distro", "ubuntu"), ("kernel_id", "")]),
        min_ram: Some(512),
        min_disk: Some(10),
        disk_format: Some("qcow2".into()),
        container_format: Some("bare".into()),
    };
    let expected = properties(&[
        ("image_os_distro", "ubuntu"),
        ("image_kernel_id", ""),
        ("image_min_ram", "512"),
        ("image_min_disk", "20"),
        ("image_disk_format", "qcow2"),
        ("image_container_format", "bare"),
    ]);
    assert_eq!(entries(&image, Some(&flavor(20))), expected);
}

#[test]
fn leaves_absent_attributes_out() {
    assert_eq!(entries(&ImageMeta::default(), None), BTreeMap::new());
    // Only min_disk, which the flavor has.
    assert_eq!(entries(&ImageMeta::default(), Some(&flavor(1))), properties(&[("image_min_disk", "1")]));
}

#[test]
fn min_disk_is_the_flavors_for_vhd_and_else_the_larger() {
    for (disk_format, image, root_gb, expected) in [
        (Some("vhd"), Some(50), 20, 20),
        (Some("vhd"), None, 20, 20),
        (Some("qcow2"), Some(50), 20, 50),
        (Some("qcow2"), Some(10), 20, 20),
        (None, None, 20, 20),
        (None, None, -1, -1),
        (None, Some(0), 0, 0),
        (Some("VHD"), Some(50), 20, 50),
    ] {
        assert_eq!(min_disk(disk_format, image, root_gb), expected, "{disk_format:?} {image:?} {root_gb}");
    }
}

#[test]
fn base_attributes_win_over_properties_of_the_same_name() {
    let long = "x".repeat(300);
    let image = ImageMeta {
        properties: properties(&[("min_ram", &long), ("disk_format", "raw"), ("min_disk", "7")]),
        min_ram: Some(64),
        ..ImageMeta::default()
    };
    let stamped = system_metadata_from_image(&image, None);
    let expected =
        properties(&[("image_min_ram", "64"), ("image_disk_format", "raw"), ("image_min_disk", "7")]);
    assert_eq!(stamped.entries, expected);
    // What was overwritten was not truncated.
    assert!(stamped.truncated.is_empty());
}

#[test]
fn cuts_values_to_255_code_points_and_says_so() {
    let chinese = "名".repeat(255);
    let longer = "名".repeat(256);
    let image =
        ImageMeta { properties: properties(&[("fits", &chinese), ("cut", &longer)]), ..ImageMeta::default() };
    let stamped = system_metadata_from_image(&image, None);
    assert_eq!(stamped.entries["image_fits"], chinese);
    assert_eq!(stamped.entries["image_cut"], chinese);
    assert_eq!(stamped.truncated, BTreeSet::from(["image_cut".to_owned()]));
}

#[test]
fn keys_of_255_characters_keep_their_prefix() {
    let name = "🦀".repeat(255);
    let image = ImageMeta { properties: properties(&[(&name, "v")]), ..ImageMeta::default() };
    assert_eq!(entries(&image, None)[&format!("image_{name}")], "v");
}

#[test]
fn the_way_back_leaks_no_internal_entry() {
    let mut stored = entries(
        &ImageMeta { properties: properties(&[("a", "1")]), min_ram: Some(5), ..ImageMeta::default() },
        Some(&flavor(3)),
    );
    stored.extend(flavor(3).system_metadata());
    stored.extend(properties(&[
        ("network_allocated", "True"),
        ("owner_user_name", "alice"),
        ("imagex", "y"),
    ]));
    let image = image_from_system_metadata(&stored);
    assert_eq!(image.properties, properties(&[("a", "1")]));
    assert_eq!((image.min_ram, image.min_disk), (Some(5), Some(3)));
}

#[test]
fn a_base_attribute_that_is_no_number_goes_back_to_its_property() {
    for text in ["", "abc", "007", "+5", "99999999999999999999"] {
        let stored = properties(&[("image_min_ram", text)]);
        let image = image_from_system_metadata(&stored);
        assert_eq!(image.min_ram, None);
        assert_eq!(entries(&image, None), stored);
    }
}

#[test]
fn the_flavor_has_ten_entries_and_comes_back() {
    let flavor = flavor(1);
    let stored: BTreeMap<_, _> = flavor.system_metadata().into();
    let expected = properties(&[
        ("instance_type_ephemeral_gb", "0"),
        ("instance_type_flavorid", "1"),
        ("instance_type_id", "2"),
        ("instance_type_memory_mb", "512"),
        ("instance_type_name", "m1.tiny"),
        ("instance_type_root_gb", "1"),
        ("instance_type_rxtx_factor", "1.0"),
        ("instance_type_swap", "0"),
        ("instance_type_vcpu_weight", ""),
        ("instance_type_vcpus", "1"),
    ]);
    assert_eq!(stored, expected);
    assert_eq!(Flavor::from_system_metadata(&stored), Some(flavor));
    assert_eq!(Flavor::from_system_metadata(&BTreeMap::new()), None);
}

/// Names that collide with base attributes, defaults and prefixes as well as any others.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "min_ram",
            "min_disk",
            "disk_format",
            "container_format",
            "base_image_ref",
            "image_",
            "image_x",
            "instance_type_id",
            "kernel_id",
            "",
            "x",
        ])
        .prop_map(str::to_owned),
        ".{0,40}",
    ]
}

/// Values of every plane, short and long, and numbers.
fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        ".{0,20}",
        proptest::collection::vec(any::<char>(), 250..300)
            .prop_map(|characters| characters.into_iter().collect()),
    ]
}

fn images() -> impl Strategy<Value = ImageMeta> {
    let numbers = || proptest::option::of(0..=i64::from(i32::MAX));
    let formats = || proptest::option::of("[a-z0-9]{0,8}");
    let properties = proptest::collection::btree_map(names(), values(), 0..12);
    (properties, numbers(), numbers(), formats(), formats()).prop_map(
        |(properties, min_ram, min_disk, disk_format, container_format)| ImageMeta {
            properties,
            min_ram,
            min_disk,
            disk_format,
            container_format,
        },
    )
}

/// Whether `image` has a base attribute that is written over a property called `name`.
fn overrides(image: &ImageMeta, name: &str) -> bool {
    match name {
        "min_ram" => image.min_ram.is_some(),
        "min_disk" => image.min_disk.is_some(),
        "disk_format" => image.disk_format.is_some(),
        "container_format" => image.container_format.is_some(),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_image_whose_names_and_values_fit_comes_back_unchanged(image in images()) {
        let mut image = image;
        let base = ["min_ram", "min_disk", "disk_format", "container_format"];
        image.properties.retain(|name, value| {
            *value = value.chars().take(VALUE_LIMIT).collect();
            !base.contains(&name.as_str())
        });
        let back = image_from_system_metadata(&entries(&image, None));
        prop_assert_eq!(back, image);
    }

    #[test]
    fn stamping_what_came_back_changes_nothing(image in images(), root_gb in proptest::option::of(0..100)) {
        let flavor = root_gb.map(flavor);
        let stored = entries(&image, flavor.as_ref());
        let back = image_from_system_metadata(&stored);
        prop_assert_eq!(&entries(&back, None), &stored);
        prop_assert_eq!(&entries(&back, flavor.as_ref()), &stored);
    }

    #[test]
    fn every_entry_is_a_prefix_of_its_property_and_cuts_are_reported(image in images()) {
        let stamped = system_metadata_from_image(&image, None);
        for (key, value) in &stamped.entries {
            prop_assert!(value.chars().count() <= VALUE_LIMIT);
            let name = key.strip_prefix(IMAGE_PREFIX).unwrap();
            if overrides(&image, name) {
                prop_assert!(!stamped.truncated.contains(key));
                continue;
            }
            let whole = &image.properties[name];
            prop_assert!(whole.starts_with(value.as_str()));
            prop_assert_eq!(stamped.truncated.contains(key), value != whole);
        }
        prop_assert!(stamped.truncated.iter().all(|key| stamped.entries.contains_key(key)));
        for name in image.properties.keys() {
            let key = format!("image_{name}");
            prop_assert!(stamped.entries.contains_key(&key));
        }
    }
}
