//! The devices that an image describes in property `block_device_mapping` (Nova).

use serde::Deserialize;

use super::Properties;
use crate::id::Id;

/// An entry, as far as it says which snapshot of a volume an instance boots from.
#[derive(Deserialize)]
struct Device {
    source_type: String,
    boot_index: Option<i64>,
    snapshot_id: Option<String>,
}

/// The snapshot of the root volume, if the image was made from a volume-backed instance: such an image has no data, and
/// a volume that is created from it is created from the snapshot (Cinder, `_get_image_snapshot`).
///
/// `None` for everything else, including a property that is not a list of devices, with which Cinder refuses to create
/// anything from the image.
#[must_use]
pub fn root_snapshot(properties: &Properties) -> Option<Id> {
    let devices: Vec<serde_json::Value> =
        serde_json::from_str(properties.get("block_device_mapping")?).ok()?;
    let devices = devices.into_iter().filter_map(|device| serde_json::from_value::<Device>(device).ok());
    let mut roots = devices.filter(|device| device.source_type == "snapshot" && device.boot_index == Some(0));
    roots.find_map(|root| root.snapshot_id?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNAPSHOT: &str = "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11";

    fn root(mapping: &str) -> Option<String> {
        let properties = Properties::from([("block_device_mapping".to_owned(), mapping.to_owned())]);
        root_snapshot(&properties).map(|id| id.to_string())
    }

    #[test]
    fn the_root_is_the_snapshot_with_boot_index_0() {
        let data = r#"{"source_type": "snapshot", "snapshot_id": "x", "boot_index": 1}"#;
        let swap = r#"{"source_type": "blank", "boot_index": -1, "guest_format": "swap"}"#;
        let root_device = format!(
            r#"{{"source_type": "snapshot", "snapshot_id": "{SNAPSHOT}", "boot_index": 0, "volume_size": 1}}"#
        );
        assert_eq!(root(&format!("[{data}, {swap}, {root_device}]")).as_deref(), Some(SNAPSHOT));
        assert_eq!(root(&format!("[{data}, {swap}]")), None);
    }

    #[test]
    fn anything_else_names_no_snapshot() {
        for mapping in [
            "",
            "[]",
            "{}",
            "[1, null]",
            "[{'source_type': 'snapshot'}]",
            r#"[{"source_type": "snapshot", "boot_index": 0}]"#,
            r#"[{"source_type": "snapshot", "boot_index": 0, "snapshot_id": "jammy"}]"#,
            r#"[{"source_type": "snapshot", "boot_index": null, "snapshot_id": null}]"#,
        ] {
            assert_eq!(root(mapping), None, "{mapping}");
        }
        assert_eq!(root_snapshot(&Properties::new()), None);
    }
}
