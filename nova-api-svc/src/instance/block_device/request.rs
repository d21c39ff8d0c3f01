//! The checks of requested disks that need nothing but the request (Nova, `BlockDeviceDict._validate` and
//! `_validate_bdm`), all at once.

use common::{
    id::Id,
    text::{self, NAME_LIMIT},
    violations::Violations,
};

use super::{Destination, Mapping, Source, together::check_together};

/// Maximum number of disks of a request.
const DEVICE_LIMIT: usize = 32;

/// Longest tag, in characters.
const TAG_LIMIT: usize = 60;

/// The buses that Nova knows.
const BUSES: [&str; 9] = ["fdc", "ide", "sata", "scsi", "usb", "virtio", "xen", "lxc", "uml"];

/// The kinds of devices that Nova knows.
const DEVICE_TYPES: [&str; 4] = ["disk", "cdrom", "floppy", "lun"];

/// Where the data of a requested disk comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewSource {
    /// The image with this id.
    Image(String),
    /// The volume with this id.
    Volume(String),
    /// The snapshot with this id.
    Snapshot(String),
    /// Nowhere, if that is true.
    Blank(bool),
}

/// A disk as it was requested.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewBlockDevice {
    /// Where its data comes from.
    pub source: Option<NewSource>,
    /// Where it is; `None` for a place that does not exist.
    pub destination: Option<Destination>,
    /// Its place in the boot order; negative for never.
    pub boot_index: Option<i32>,
    /// Size in GiB; 0 if not given.
    pub size_gib: i32,
    /// Name or id of the type of a new volume.
    pub volume_type: String,
    /// Whether its volume is deleted together with the instance.
    pub delete_on_termination: bool,
    /// How the guest recognizes it.
    pub tag: String,
    /// Name of its device.
    pub device_name: String,
    /// Its bus.
    pub disk_bus: String,
    /// Kind of its device.
    pub device_type: String,
    /// Its format.
    pub guest_format: String,
}

/// The disks of a request for up to `count` instances that boot from `image_id`, unless that is `None`. Whatever is wrong
/// goes to `violations`; disks that are wrong are left out.
pub fn check(
    devices: Vec<NewBlockDevice>,
    image_id: Option<Id>,
    count: usize,
    violations: &mut Violations,
) -> Vec<Mapping> {
    let requested = devices.len();
    if requested > DEVICE_LIMIT {
        violations.add(
            "block_device_mapping",
            format!("has {requested} disks, at most {DEVICE_LIMIT} are allowed"),
        );
        return Vec::new();
    }
    let mut mappings = Vec::with_capacity(requested);
    for (index, device) in devices.into_iter().enumerate() {
        let mut problems = Violations::default();
        mappings.extend(device.check(&mut problems));
        violations.append(problems.within(&format!("block_device_mapping[{index}].")));
    }
    if mappings.len() == requested {
        check_together(&mappings, 0, image_id, count, violations);
    }
    mappings
}

impl NewBlockDevice {
    /// The disk; `None` if it has no source, or no place.
    pub(super) fn check(self, problems: &mut Violations) -> Option<Mapping> {
        let source = source(self.source.as_ref(), problems);
        for (field, name) in [("volume_type", &self.volume_type), ("guest_format", &self.guest_format)] {
            problems.take(field, text::optional_name(name));
        }
        problems.take("tag", check_tag(&self.tag));
        problems.take("device_name", check_device_name(&self.device_name));
        problems.take("disk_bus", one_of(&self.disk_bus, &BUSES));
        problems.take("device_type", one_of(&self.device_type, &DEVICE_TYPES));
        if self.size_gib < 0 {
            problems.add("volume_size_gib", format!("{} must not be negative", self.size_gib));
        }
        if self.destination.is_none() {
            problems.add("destination", "must be VOLUME or LOCAL");
        }
        let mapping = Mapping {
            source: source?,
            destination: self.destination?,
            boot_index: self.boot_index.and_then(|index| usize::try_from(index).ok()),
            size_gib: Some(self.size_gib).filter(|size| *size > 0),
            volume_type: self.volume_type,
            delete_on_termination: self.delete_on_termination,
            tag: self.tag,
            device_name: self.device_name,
            disk_bus: self.disk_bus,
            device_type: self.device_type,
            guest_format: self.guest_format,
        };
        mapping.check(problems);
        Some(mapping)
    }
}

impl Mapping {
    /// Whether its fields go together.
    fn check(&self, problems: &mut Violations) {
        let is_local = self.destination == Destination::Local;
        match self.source {
            Source::Volume(_) | Source::Snapshot(_) if is_local => {
                problems.add("destination", "must be VOLUME for a volume or a snapshot");
            }
            Source::Image(_) if is_local && !self.is_root() => {
                problems.add("destination", "must be VOLUME for an image, unless its boot_index is 0");
            }
            Source::Blank if !is_local && self.size_gib.is_none() => {
                problems.add("volume_size_gib", "must be given for a blank volume");
            }
            Source::Blank if self.is_root() => problems.add("boot_index", "must not be 0: the disk is blank"),
            _ => {}
        }
        let is_new = self.is_new_volume();
        let is_sized = is_new || is_local && self.source == Source::Blank && !self.is_swap();
        if self.size_gib.is_some() && !is_sized {
            problems.add("volume_size_gib", "must not be given: it is that of the volume, or of the flavor");
        }
        if !self.volume_type.is_empty() && !is_new {
            problems.add("volume_type", "must not be given: no volume is created");
        }
        let is_local_blank = is_local && self.source == Source::Blank;
        if !self.guest_format.is_empty() && !is_local_blank {
            problems.add("guest_format", "must not be given, except for a blank disk that is LOCAL");
        }
    }
}

fn source(source: Option<&NewSource>, problems: &mut Violations) -> Option<Source> {
    let mut id = |field: &str, text: &String| problems.take(field, text.parse::<Id>());
    match source {
        Some(NewSource::Image(text)) => id("image_id", text).map(Source::Image),
        Some(NewSource::Volume(text)) => id("volume_id", text).map(Source::Volume),
        Some(NewSource::Snapshot(text)) => id("snapshot_id", text).map(Source::Snapshot),
        Some(NewSource::Blank(true)) => Some(Source::Blank),
        Some(NewSource::Blank(false)) => {
            problems.add("blank", "must be true, or another source must be given");
            None
        }
        None => {
            problems.add("source", "must be given: image_id, volume_id, snapshot_id or blank");
            None
        }
    }
}

/// The problem with the tag of a device.
pub fn check_tag(tag: &str) -> Result<(), String> {
    let length = tag.chars().count();
    if length > TAG_LIMIT {
        return Err(format!("has {length} characters, at most {TAG_LIMIT} are allowed"));
    }
    if tag.contains([',', '/']) || tag.chars().any(char::is_control) {
        return Err("must not contain commas, slashes and control characters".to_owned());
    }
    Ok(())
}

/// The problem with the name of a device.
pub fn check_device_name(name: &str) -> Result<(), String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
    if name.len() <= NAME_LIMIT && name.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(format!("must have at most {NAME_LIMIT} letters, digits, `.`, `_`, `/` and `-`"))
}

fn one_of(value: &str, known: &[&str]) -> Result<(), String> {
    if value.is_empty() || known.contains(&value) {
        return Ok(());
    }
    Err(format!("must be one of {}", known.join(", ")))
}

#[cfg(test)]
mod tests;
