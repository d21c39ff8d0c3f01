//! The disks that an image stands for, which was made from an instance on a volume: it has no data, and instances that are
//! made from it get volumes made from snapshots. In an image they are property `block_device_mapping`, as Nova writes it.

use serde::{Deserialize, Serialize};

use super::Properties;
use crate::id::Id;

/// A disk, beside where its data comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its place in the order in which an instance tries to boot from its disks; `None` for never.
    pub boot_index: Option<usize>,
    /// Size of its volume, in GiB; that of the snapshot if `None`.
    pub volume_size: Option<i32>,
    /// Whether its volume is deleted together with the instance.
    pub delete_on_termination: bool,
    /// Its name; may be empty.
    pub device_name: String,
    /// Its bus; may be empty.
    pub disk_bus: String,
    /// Its kind; may be empty.
    pub device_type: String,
}

/// A disk of the instances that are made from an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotDevice {
    /// The snapshot that its volume is made from.
    pub snapshot_id: Id,
    /// The disk.
    pub device: Device,
}

/// A snapshot that is taken of a volume of an instance for an image that is made from it. Its serialized form is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSnapshot {
    /// The volume.
    pub volume_id: Id,
    /// The snapshot, once it has been taken.
    pub snapshot_id: Option<Id>,
    /// Whether nothing writes to the volume meanwhile.
    pub quiesced: bool,
    /// The disk that is made from it.
    pub device: Device,
}

/// An entry of the property. Nova writes every key; an entry of another kind of source is none of ours.
#[derive(Serialize, Deserialize)]
struct Entry {
    source_type: String,
    destination_type: Option<String>,
    snapshot_id: Option<String>,
    boot_index: Option<i64>,
    volume_size: Option<i32>,
    delete_on_termination: Option<bool>,
    device_name: Option<String>,
    disk_bus: Option<String>,
    device_type: Option<String>,
    image_id: Option<String>,
    volume_id: Option<String>,
    guest_format: Option<String>,
    no_device: Option<bool>,
}

/// The properties by which an image stands for the snapshots that have been taken (Nova, `snapshot_volume_backed`).
#[must_use]
pub fn properties(snapshots: &[DeviceSnapshot]) -> Properties {
    let entries: Vec<_> = snapshots.iter().filter_map(DeviceSnapshot::entry).collect();
    let mapping = serde_json::to_string(&entries).expect("entries are plain data");
    [("block_device_mapping".to_owned(), mapping), ("bdm_v2".to_owned(), "True".to_owned())].into()
}

impl DeviceSnapshot {
    fn entry(&self) -> Option<Entry> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let device = &self.device;
        Some(Entry {
            source_type: SNAPSHOT.to_owned(),
            destination_type: Some("volume".to_owned()),
            snapshot_id: Some(self.snapshot_id?.to_string()),
            boot_index: device.boot_index.and_then(|index| i64::try_from(index).ok()),
            volume_size: device.volume_size,
            delete_on_termination: Some(device.delete_on_termination),
            device_name: text(&device.device_name),
            disk_bus: text(&device.disk_bus),
            device_type: text(&device.device_type),
            image_id: None,
            volume_id: None,
            guest_format: None,
            no_device: None,
        })
    }
}

/// The kind of source of a disk that is made from a snapshot.
const SNAPSHOT: &str = "snapshot";

/// The disks of instances that are made from an image, if that stands for volumes ([`root_snapshot`]): its disks made from
/// snapshots, or why one of them cannot be made. Swap and other disks on the host are the flavor's; current releases of
/// Nova leave them out of the property.
#[must_use]
pub fn snapshot_devices(properties: &Properties) -> Option<Result<Vec<SnapshotDevice>, String>> {
    root_snapshot(properties)?;
    let entries: Vec<serde_json::Value> =
        serde_json::from_str(properties.get("block_device_mapping")?).ok()?;
    let entries = entries.into_iter().enumerate();
    Some(entries.filter_map(|(index, entry)| device(index, entry).transpose()).collect())
}

fn device(index: usize, entry: serde_json::Value) -> Result<Option<SnapshotDevice>, String> {
    let problem = |problem: &str| format!("its block_device_mapping[{index}] {problem}");
    let entry: Entry = serde_json::from_value(entry).map_err(|_| problem("makes no sense"))?;
    match entry.source_type.as_str() {
        SNAPSHOT => {}
        "blank" if entry.destination_type.as_deref() != Some("volume") => return Ok(None),
        _ => return Err(problem("is not made from a snapshot")),
    }
    let snapshot_id = entry.snapshot_id.and_then(|id| id.parse().ok());
    Ok(Some(SnapshotDevice {
        snapshot_id: snapshot_id.ok_or_else(|| problem("names no snapshot"))?,
        device: Device {
            boot_index: entry.boot_index.and_then(|index| usize::try_from(index).ok()),
            volume_size: entry.volume_size,
            delete_on_termination: entry.delete_on_termination.unwrap_or(false),
            device_name: entry.device_name.unwrap_or_default(),
            disk_bus: entry.disk_bus.unwrap_or_default(),
            device_type: entry.device_type.unwrap_or_default(),
        },
    }))
}

/// An entry, as far as it says which snapshot of a volume an instance boots from.
#[derive(Deserialize)]
struct Root {
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
    let devices = devices.into_iter().filter_map(|device| serde_json::from_value::<Root>(device).ok());
    let mut roots = devices.filter(|device| device.source_type == SNAPSHOT && device.boot_index == Some(0));
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

    fn taken(snapshot_id: &str, device: Device) -> DeviceSnapshot {
        let snapshot_id = Some(snapshot_id.parse().unwrap());
        DeviceSnapshot { volume_id: Id::random(), snapshot_id, quiesced: true, device }
    }

    #[test]
    fn what_is_written_as_nova_does_is_read_again() {
        let root = Device {
            boot_index: Some(0),
            volume_size: Some(2),
            delete_on_termination: true,
            device_name: "/dev/vda".to_owned(),
            disk_bus: "virtio".to_owned(),
            device_type: "disk".to_owned(),
        };
        let taken = [taken(SNAPSHOT, root), taken("7e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11", Device::default())];
        let written = properties(&taken);
        assert_eq!((written.len(), written["bdm_v2"].as_str()), (2, "True"));
        let expected = taken
            .clone()
            .map(|taken| SnapshotDevice { snapshot_id: taken.snapshot_id.unwrap(), device: taken.device });
        assert_eq!(snapshot_devices(&written), Some(Ok(expected.to_vec())));
        let pending = DeviceSnapshot { snapshot_id: None, ..taken[0].clone() };
        assert_eq!(properties(&[pending])["block_device_mapping"], "[]");
    }

    #[test]
    fn disks_that_are_not_made_from_snapshots_are_refused_or_the_flavors() {
        let devices = |more: &str| {
            let root =
                format!(r#"{{"source_type": "snapshot", "snapshot_id": "{SNAPSHOT}", "boot_index": 0}}"#);
            let mapping = format!("[{root}, {more}]");
            let properties = Properties::from([("block_device_mapping".to_owned(), mapping)]);
            snapshot_devices(&properties).unwrap().map(|devices| devices.len())
        };
        assert_eq!(devices(r#"{"source_type": "blank", "destination_type": "local"}"#), Ok(1));
        for (more, problem) in [
            (r#"{"source_type": "volume", "volume_id": "x"}"#, "is not made from a snapshot"),
            (r#"{"source_type": "blank", "destination_type": "volume"}"#, "is not made from a snapshot"),
            (r#"{"source_type": "snapshot", "snapshot_id": "x"}"#, "names no snapshot"),
            ("1", "makes no sense"),
        ] {
            assert_eq!(devices(more), Err(format!("its block_device_mapping[1] {problem}")));
        }
        assert_eq!(snapshot_devices(&Properties::new()), None);
    }
}
