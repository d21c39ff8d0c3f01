//! What an instance inherits from its image's properties into fields of its own.

use std::collections::BTreeMap;

use common::{image::Properties, system_metadata::first_characters};
use serde::Deserialize;

use super::Inherited;

/// Nova's `_inherit_properties_from_image`, and the root device, which Nova determines before. Nova's columns have 255
/// characters; here a longer value is cut where its entry of system metadata is.
#[must_use]
pub fn inherit_properties_from_image(properties: &Properties, auto_disk_config: Option<bool>) -> Inherited {
    let property = |name: &str| properties.get(name).map(String::as_str).unwrap_or_default();
    let column = |value: &str| first_characters(value).to_owned();
    Inherited {
        os_type: column(property("os_type")),
        architecture: column(property("architecture")),
        vm_mode: column(property("vm_mode")),
        root_device_name: column(&root_device_name(properties).unwrap_or_default()),
        auto_disk_config: auto_disk_config.unwrap_or_else(|| is_true(property("auto_disk_config"))),
    }
}

/// An entry of the property `mappings`, EC2's block device mapping.
#[derive(Deserialize)]
struct Mapping {
    #[serde(rename = "virtual")]
    name: String,
    device: String,
}

/// The property `root_device_name`, else the device of the last mapping of "root". Malformed mappings are ignored, and so
/// are devices with a NUL, which JSON can express and PostgreSQL cannot store.
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

/// Whether a property is a boolean and true; whatever is not a boolean counts as false.
fn is_true(text: &str) -> bool {
    common::text::boolean(text).unwrap_or(false)
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
