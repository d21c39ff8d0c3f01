//! What an instance inherits from its image's properties in addition to system metadata.

use chassis::{on_both_databases, testing::TestDb};
use proto::nova::v1::CreateInstanceRequest;

use crate::support::{Nova, of, several};

on_both_databases!(
    properties_are_inherited_as_they_are,
    the_root_device_comes_from_the_property_else_from_the_mappings,
    auto_disk_config_is_as_the_request_says_else_as_the_property,
    a_property_that_disables_auto_disk_config_forbids_to_ask_for_it_only,
    a_long_property_is_inherited_as_far_as_it_is_remembered,
);

async fn properties_are_inherited_as_they_are(db: TestDb) {
    let nova = Nova::start(db).await;
    let image =
        nova.glance.with(&[("os_type", " Windows "), ("architecture", "whatever 名"), ("vm_mode", "")]);
    let instance = nova.create_one(of(&image)).await;
    assert_eq!(instance.os_type, " Windows ");
    assert_eq!(instance.architecture, "whatever 名");
    assert_eq!(instance.vm_mode, "");
    assert_eq!(instance.system_metadata["image_vm_mode"], "");
}

async fn the_root_device_comes_from_the_property_else_from_the_mappings(db: TestDb) {
    let nova = Nova::start(db).await;
    let mappings = r#"[{"virtual": "root", "device": "/dev/sda"}, {"virtual": "swap", "device": "/dev/sdb"},
                       {"virtual": "root", "device": "/dev/sdc"}, {"virtual": "ami"}]"#;
    for (properties, expected) in [
        (vec![("mappings", mappings)], "/dev/sdc"),
        (vec![("mappings", mappings), ("root_device_name", "/dev/vda")], "/dev/vda"),
        (vec![("mappings", "no JSON")], ""),
        (vec![("mappings", r#"[{"virtual": "root", "device": 5}]"#)], ""),
        (vec![("mappings", r#"[{"virtual": "root", "device": "/dev/sda\u0000"}]"#)], ""),
        (vec![("mappings", r#"{"virtual": "root", "device": "/dev/sda"}"#)], ""),
        (
            vec![("mappings", r#"[{"virtual": "root", "device": "/dev/sda"}, {"device": "/dev/sdb"}]"#)],
            "/dev/sda",
        ),
        (vec![], ""),
    ] {
        let image = nova.glance.with(&properties);
        assert_eq!(nova.create_one(of(&image)).await.root_device_name, expected, "{properties:?}");
    }
}

async fn auto_disk_config_is_as_the_request_says_else_as_the_property(db: TestDb) {
    let nova = Nova::start(db).await;
    for (property, requested, expected) in [
        (None, None, false),
        (None, Some(true), true),
        (Some("true"), None, true),
        (Some(" YES "), None, true),
        (Some("1"), None, true),
        (Some("maybe"), None, false),
        (Some(""), None, false),
        (Some("true"), Some(false), false),
        (Some("false"), Some(true), true),
    ] {
        let properties: Vec<_> = property.iter().map(|value| ("auto_disk_config", *value)).collect();
        let image = nova.glance.with(&properties);
        let request = CreateInstanceRequest { auto_disk_config: requested, ..of(&image) };
        let instance = nova.create_one(request).await;
        assert_eq!(instance.auto_disk_config, expected, "property {property:?}, request {requested:?}");
    }
}

async fn a_property_that_disables_auto_disk_config_forbids_to_ask_for_it_only(db: TestDb) {
    let nova = Nova::start(db).await;
    let image = nova.glance.with(&[("auto_disk_config", " Disabled ")]);
    for requested in [None, Some(false)] {
        let request = CreateInstanceRequest { auto_disk_config: requested, ..of(&image) };
        assert!(!nova.create_one(request).await.auto_disk_config);
    }
}

async fn a_long_property_is_inherited_as_far_as_it_is_remembered(db: TestDb) {
    let nova = Nova::start(db).await;
    let long = "名".repeat(20_000);
    let device = format!("[{{\"virtual\": \"root\", \"device\": \"{}\"}}]", "x".repeat(60_000));
    let image = nova.glance.with(&[
        ("os_type", &long),
        ("architecture", &long),
        ("vm_mode", &long),
        ("mappings", &device),
    ]);
    // A thousand as well: the answer is one that clients accept, although the full one would be too large.
    let created = nova.create(several(&image, 1000)).await.unwrap();
    let instance = nova.get(&created.instances[617].id).await.unwrap();
    let kept = "名".repeat(255);
    assert_eq!([&instance.os_type, &instance.architecture, &instance.vm_mode], [&kept; 3]);
    assert_eq!(instance.root_device_name, "x".repeat(255));
    assert_eq!(
        instance.truncated_keys,
        ["image_architecture", "image_mappings", "image_os_type", "image_vm_mode"]
    );
}
