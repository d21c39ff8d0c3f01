//! Whether the disks of a request go together, and with the image of the request (Nova, `_validate_bdm` and
//! `_check_and_transform_bdm`).

use std::collections::BTreeSet;

use common::{id::Id, image::devices::SnapshotDevice, violations::Violations};

use super::{Destination, Mapping, NewBlockDevice, NewSource, SWAP, Source};

/// Maximum number of volumes of all instances of a request.
const VOLUME_LIMIT: usize = 100;

/// Maximum number of disks on the host (Nova, `max_local_block_devices`).
pub(super) const LOCAL_LIMIT: usize = 3;

/// The disks of a request for up to `count` instances of an image that stands for volumes: first those of the image, except
/// those whose place a disk of the request takes (Nova, by name of the device).
pub fn with_devices_of_image(
    devices: Vec<SnapshotDevice>,
    requested: Vec<Mapping>,
    count: usize,
) -> Result<Vec<Mapping>, Violations> {
    let (mut problems, mut mappings) = (Violations::default(), Vec::new());
    for (index, device) in devices.into_iter().enumerate() {
        let mut of_device = Violations::default();
        mappings.extend(new_device(device).check(&mut of_device));
        problems.append(of_device.within(&format!("image_id.block_device_mapping[{index}].")));
    }
    problems.check()?;
    let is_replaced = |mapping: &Mapping| {
        let has_name =
            |other: &Mapping| !other.device_name.is_empty() && other.device_name == mapping.device_name;
        !mapping.is_root() && requested.iter().any(has_name)
    };
    mappings.retain(|mapping| !is_replaced(mapping));
    let inherited = mappings.len();
    mappings.extend(requested);
    let mut violations = Violations::default();
    check_together(&mappings, inherited, None, count, &mut violations);
    violations.check()?;
    Ok(mappings)
}

/// A disk of an image as a request would ask for it.
fn new_device(SnapshotDevice { snapshot_id, device }: SnapshotDevice) -> NewBlockDevice {
    NewBlockDevice {
        source: Some(NewSource::Snapshot(snapshot_id.to_string())),
        destination: Some(Destination::Volume),
        boot_index: device.boot_index.and_then(|index| i32::try_from(index).ok()),
        size_gib: device.volume_size.unwrap_or(0),
        delete_on_termination: device.delete_on_termination,
        device_name: device.device_name,
        disk_bus: device.disk_bus,
        device_type: device.device_type,
        ..NewBlockDevice::default()
    }
}

/// The field of a disk, of which the first `inherited` are those of the image.
fn field(index: usize, inherited: usize, name: &str) -> String {
    match index.checked_sub(inherited) {
        Some(index) => format!("block_device_mapping[{index}].{name}"),
        None => "image_id".to_owned(),
    }
}

/// Whether disks, of which the first `inherited` are those of the image, go together, and with the image of the request.
pub(super) fn check_together(
    mappings: &[Mapping],
    inherited: usize,
    image_id: Option<Id>,
    count: usize,
    violations: &mut Violations,
) {
    check_boot_order(mappings, inherited, image_id, violations);
    check_unique(mappings, inherited, violations);
    let volumes = mappings.iter().filter(|mapping| mapping.destination == Destination::Volume).count();
    if volumes * count > VOLUME_LIMIT {
        let problem = format!("needs {} volumes, at most {VOLUME_LIMIT} are allowed", volumes * count);
        violations.add("block_device_mapping", problem);
    }
    if mappings.len() - volumes > LOCAL_LIMIT {
        let problem = format!("has more than {LOCAL_LIMIT} disks that are LOCAL");
        violations.add("block_device_mapping", problem);
    }
    for (index, mapping) in mappings.iter().enumerate() {
        if count > 1 && matches!(mapping.source, Source::Volume(_)) {
            let field = field(index, inherited, "volume_id");
            violations.add(field, "cannot be attached to several instances");
        }
    }
}

/// Boot indexes must be 0, 1, 2 and so on (Nova, `InvalidBDMBootSequence`). An image of the request is the first, unless a
/// disk is that image.
fn check_boot_order(
    mappings: &[Mapping],
    inherited: usize,
    image_id: Option<Id>,
    violations: &mut Violations,
) {
    let field = |index: usize, name: &str| field(index, inherited, name);
    let local = mappings.iter().position(|mapping| {
        mapping.destination == Destination::Local && matches!(mapping.source, Source::Image(_))
    });
    if let Some(index) = local
        && image_id.map(Source::Image) != Some(mappings[index].source)
    {
        violations.add(field(index, "image_id"), "must be image_id of the request, if it is LOCAL");
    }
    let mut taken = BTreeSet::new();
    if image_id.is_some() && local.is_none() {
        taken.insert(0);
    }
    for (index, mapping) in mappings.iter().enumerate() {
        let Some(boot_index) = mapping.boot_index else { continue };
        if !taken.insert(boot_index) {
            let by_image = boot_index == 0 && image_id.is_some();
            let owner = if by_image { "image_id of the request" } else { "another disk" };
            violations.add(field(index, "boot_index"), format!("{boot_index} is that of {owner}"));
        }
    }
    if taken.is_empty() {
        let problem = "must be given, or a disk of block_device_mapping must have boot_index 0";
        violations.add("image_id", problem);
    } else if let Some(missing) = (0..taken.len()).find(|index| !taken.contains(index)) {
        let problem = format!("has no disk with boot_index {missing}, but one with a higher boot_index");
        violations.add("block_device_mapping", problem);
    }
}

/// No volume, tag or device name may be there twice, nor swap space.
fn check_unique(mappings: &[Mapping], inherited: usize, violations: &mut Violations) {
    let mut taken = BTreeSet::new();
    for (index, mapping) in mappings.iter().enumerate() {
        let volume = match mapping.source {
            Source::Volume(id) => id.to_string(),
            _ => String::new(),
        };
        let swap = if mapping.is_swap() { SWAP.to_owned() } else { String::new() };
        let values = [
            ("volume_id", volume),
            ("tag", mapping.tag.clone()),
            ("device_name", mapping.device_name.clone()),
            ("guest_format", swap),
        ];
        for (name, value) in values.into_iter().filter(|(_, value)| !value.is_empty()) {
            if !taken.insert((name, value)) {
                violations.add(field(index, inherited, name), "is already that of another disk");
            }
        }
    }
}
