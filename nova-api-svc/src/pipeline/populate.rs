//! What an instance is at its creation: a pure function of request, image and flavor.

use std::collections::BTreeMap;

use common::{
    id::{Id, NIL},
    image::Properties,
    system_metadata::{BASE_IMAGE_REF, SystemMetadata, first_characters, system_metadata_from_image},
};
use serde::Deserialize;

use super::provision::Plan;
use crate::instance::{
    Inherited, Needs, Record,
    names::{hostname, hostname_of_several},
};

/// Nova's `_populate_instance_for_create`: the record of the instances of a request, the image's properties
/// in its system metadata.
#[must_use]
pub fn populate_instance_for_create(plan: &Plan) -> Record {
    Record {
        id: Id::from(NIL),
        image_id: plan.image.id,
        image_revision: plan.image.revision,
        flavor: plan.flavor.clone(),
        kernel_id: plan.boot.kernel_id(),
        ramdisk_id: plan.boot.ramdisk_id(),
        inherited: inherit_properties_from_image(&plan.image.meta.properties, plan.request.auto_disk_config),
        system_metadata: system_metadata(plan),
        needs: Some(Needs::from(&*plan.image)),
    }
    .with_id()
}

/// Nova's `_populate_instance_names`: display name and host name of the instance at `index` of `count`.
#[must_use]
pub fn populate_instance_names(plan: &Plan, id: Id, index: usize, count: usize) -> (String, String) {
    let requested = &plan.request.name;
    if count == 1 {
        return (requested.clone(), hostname(requested, id));
    }
    let name = plan.template.apply(requested, id, index + 1);
    let hostname = hostname_of_several(&name, requested, id);
    (name, hostname)
}

/// What the instance remembers: the flavor, then the image, then the image it goes back to.
fn system_metadata(plan: &Plan) -> SystemMetadata {
    let mut system_metadata = system_metadata_from_image(&plan.image.meta, Some(&plan.flavor));
    system_metadata.entries.extend(plan.flavor.system_metadata());
    // In case the image names no base of its own; a property base_image_ref wins.
    system_metadata.set_default(BASE_IMAGE_REF, &plan.image.id.to_string());
    system_metadata
}

/// Nova's `_inherit_properties_from_image`, and the root device it finds before. Nova's columns hold 255
/// characters; here a longer value is cut where its entry of system metadata is.
#[must_use]
pub fn inherit_properties_from_image(properties: &Properties, auto_disk_config: Option<bool>) -> Inherited {
    let property = |name: &str| properties.get(name).map(String::as_str).unwrap_or_default();
    let kept = |value: &str| first_characters(value).to_owned();
    Inherited {
        os_type: kept(property("os_type")),
        architecture: kept(property("architecture")),
        vm_mode: kept(property("vm_mode")),
        root_device_name: kept(&root_device_name(properties).unwrap_or_default()),
        auto_disk_config: auto_disk_config.unwrap_or_else(|| is_true(property("auto_disk_config"))),
    }
}

/// One entry of property `mappings`, EC2's block device mapping.
#[derive(Deserialize)]
struct Mapping {
    #[serde(rename = "virtual")]
    name: String,
    device: String,
}

/// Property `root_device_name`, else the device of the last mapping of "root". Mappings that are no list of
/// such entries name no root device, nor does a NUL, which JSON can spell and PostgreSQL cannot keep.
fn root_device_name(properties: &Properties) -> Option<String> {
    let mapped = || {
        let entries: Vec<BTreeMap<String, serde_json::Value>> =
            serde_json::from_str(properties.get("mappings")?).ok()?;
        let mut mappings = entries
            .into_iter()
            .filter_map(|entry| serde_json::from_value::<Mapping>(entry.into_iter().collect()).ok())
            .filter(|mapping| !mapping.device.contains('\0'));
        Some(mappings.rfind(|mapping| mapping.name == "root")?.device)
    };
    properties.get("root_device_name").cloned().or_else(mapped)
}

/// OpenStack's `bool_from_string`: whatever is not one of these words is false.
fn is_true(text: &str) -> bool {
    matches!(text.trim().to_lowercase().as_str(), "1" | "t" | "true" | "on" | "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(entries: &[(&str, &str)]) -> Properties {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_root_device_is_the_property_else_the_last_mapping_of_root() {
        let mappings = r#"[{"virtual": "ami", "device": "/dev/sda"}, {"virtual": "root", "device": "/dev/sdb"},
                           {"virtual": "root", "device": "/dev/sdc"}, {"virtual": "swap"}]"#;
        assert_eq!(root_device_name(&properties(&[("mappings", mappings)])).as_deref(), Some("/dev/sdc"));
        let both = properties(&[("mappings", mappings), ("root_device_name", "/dev/vda")]);
        assert_eq!(root_device_name(&both).as_deref(), Some("/dev/vda"));
        for none in ["", "root", "{}", "[1]", "[]"] {
            assert_eq!(root_device_name(&properties(&[("mappings", none)])), None);
        }
        assert_eq!(root_device_name(&Properties::new()), None);
    }

    #[test]
    fn only_some_words_are_true() {
        for word in ["1", " True ", "YES", "on", "t", "y"] {
            assert!(is_true(word), "{word}");
        }
        for word in ["", "0", "maybe", "disabled", "false", "enabled"] {
            assert!(!is_true(word), "{word}");
        }
    }
}
