//! The disks of an instance: plain data and rules (Nova, `nova/block_device.py`).

use std::sync::Arc;

use common::{flavor::Flavor, id::Id, violations::Violations};
use serde::{Deserialize, Serialize};

mod request;
mod together;

pub use request::{NewBlockDevice, NewSource, check, check_device_name, check_tag};
pub use together::with_devices_of_image;

/// Where the data of a disk comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// An image.
    Image(Id),
    /// A volume, which is used itself.
    Volume(Id),
    /// A snapshot of a volume.
    Snapshot(Id),
    /// Nowhere: it is empty.
    Blank,
}

/// Where a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// A volume.
    Volume,
    /// The host of the instance.
    Local,
}

/// A disk as it was requested (Nova, a row of `block_device_mapping`), after it was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Where its data comes from.
    pub source: Source,
    /// Where it is.
    pub destination: Destination,
    /// Its place in the order in which the instance tries to boot from its disks; `None` for never.
    pub boot_index: Option<usize>,
    /// Size in GiB; `None` as long as nobody has chosen one.
    pub size_gib: Option<i32>,
    /// Name or id of the type of its volume; may be empty.
    pub volume_type: String,
    /// Whether its volume is deleted together with the instance.
    pub delete_on_termination: bool,
    /// How the guest recognizes it; may be empty.
    pub tag: String,
    /// Name of its device; may be empty.
    pub device_name: String,
    /// Its bus; may be empty.
    pub disk_bus: String,
    /// Kind of its device; may be empty.
    pub device_type: String,
    /// Its format; may be empty.
    pub guest_format: String,
}

/// A disk of an instance. Its serialized form is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockDevice {
    /// Its volume; `None` for a disk on the host.
    pub volume_id: Option<Id>,
    /// The attachment by which the volume is held for the instance; `None` as long as the volume is being created.
    pub attachment_id: Option<Id>,
    /// The attachment whose place that one takes, until it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_attachment_id: Option<Id>,
    /// Whether it is being detached.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detaching: bool,
    /// What was requested.
    pub mapping: Mapping,
}

/// The disks of an instance that are not what its image and its flavor say.
pub type BlockDevices = Arc<[BlockDevice]>;

impl BlockDevice {
    /// A disk that nothing is attached to yet.
    #[must_use]
    pub const fn new(volume_id: Option<Id>, mapping: Mapping) -> Self {
        Self { volume_id, attachment_id: None, former_attachment_id: None, detaching: false, mapping }
    }
}

/// The volume that an instance boots from.
#[must_use]
pub fn root_volume(devices: &[BlockDevice]) -> Option<Id> {
    devices.iter().find(|device| device.mapping.is_root()).and_then(|device| device.volume_id)
}

impl Mapping {
    /// Whether an instance boots from it.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.boot_index == Some(0)
    }

    /// Whether it is a volume.
    #[must_use]
    pub fn is_volume(&self) -> bool {
        self.destination == Destination::Volume
    }

    /// Whether a volume is to be created for it.
    #[must_use]
    pub fn is_new_volume(&self) -> bool {
        self.is_volume() && !matches!(self.source, Source::Volume(_))
    }

    /// Whether it is swap space.
    fn is_swap(&self) -> bool {
        self.guest_format == SWAP
    }

    /// A volume that is attached to an instance that exists.
    #[must_use]
    pub const fn attached(
        volume_id: Id,
        size_gib: i32,
        device_name: String,
        tag: String,
        delete_on_termination: bool,
    ) -> Self {
        Self {
            source: Source::Volume(volume_id),
            destination: Destination::Volume,
            boot_index: None,
            size_gib: Some(size_gib),
            volume_type: String::new(),
            delete_on_termination,
            tag,
            device_name,
            disk_bus: String::new(),
            device_type: String::new(),
            guest_format: String::new(),
        }
    }
}

/// The format of swap space.
const SWAP: &str = "swap";

/// Refuses disks on the host that the flavor has no room for (Nova, `InvalidBDMEphemeralSize` and `InvalidBDMSwapSize`).
pub fn check_local(mappings: &[Mapping], flavor: &Flavor) -> Result<(), Violations> {
    let (mut violations, mut left) = (Violations::default(), i64::from(flavor.ephemeral_gb));
    let is_blank = |mapping: &Mapping| mapping.source == Source::Blank;
    let local = |mapping: &Mapping| mapping.destination == Destination::Local && is_blank(mapping);
    for (index, mapping) in mappings.iter().enumerate().filter(|(_, mapping)| local(mapping)) {
        if mapping.is_swap() {
            if flavor.swap == 0 {
                let problem = format!("flavor {:?} has no swap", flavor.flavorid);
                violations.add(format!("block_device_mapping[{index}].guest_format"), problem);
            }
            continue;
        }
        let size = mapping.size_gib.map_or(left.max(1), i64::from);
        if size > left {
            let problem = format!(
                "flavor {:?} has {} GiB for blank disks on the host, of which {left} are left",
                flavor.flavorid, flavor.ephemeral_gb
            );
            violations.add(format!("block_device_mapping[{index}].volume_size_gib"), problem);
        }
        left = (left - size).max(0);
    }
    violations.check()
}
