//! The image that is made from an instance: a pure function of the instance, never of the live image.

use std::{collections::BTreeMap, convert::Infallible, str::FromStr};

use super::Instance;
use common::{
    image::{
        ImageMeta, NewImage, Properties, Visibility,
        devices::{Device, DeviceSnapshot},
        inheritance::{self, left_out},
    },
    system_metadata::{BASE_IMAGE_REF, IMAGE_PREFIX, first_characters, image_from_system_metadata},
};

/// An image to be registered, with truncated values replaced by the whole ones where `whole` has them.
#[must_use]
pub fn completed(mut image: NewImage, whole: &Properties) -> NewImage {
    let NewImage { properties, truncated, whole_in, .. } = &mut image;
    *whole_in = None;
    truncated.retain(|name| match (properties.get_mut(name), whole.get(name)) {
        (Some(cut), Some(whole)) if first_characters(whole) == cut => {
            cut.clone_from(whole);
            false
        }
        _ => true,
    });
    image
}

/// Properties that images of instances do not inherit, in addition to those that [`left_out`] names: names separated by
/// commas, in which a final `*` matches any suffix (Nova, `non_inheritable_image_properties`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonInheritable(Vec<String>);

impl FromStr for NonInheritable {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(Self(names.map(str::to_owned).collect()))
    }
}

impl NonInheritable {
    fn matches(&self, property: &str) -> bool {
        self.0.iter().any(|pattern| inheritance::matches(pattern, property))
    }
}

/// The image made from an instance for a user and a project (Nova, `create_image` and `_create_image` of the API, and
/// what the libvirt driver adds). `metadata` overrides the record.
#[must_use]
pub fn image_of(
    instance: &Instance,
    name: String,
    (user_id, project_id): (&str, &str),
    metadata: &BTreeMap<String, String>,
    non_inheritable: &NonInheritable,
) -> NewImage {
    let record = &instance.record;
    let ImageMeta { mut properties, min_ram, min_disk, disk_format, container_format } =
        image_from_system_metadata(&record.system_metadata.entries);
    properties.retain(|name, value| !non_inheritable.matches(name) && left_out(name, value).is_none());
    // As libvirt's driver did in Icehouse: whoever asked, the image is the owner's. What nobody owns, everybody sees.
    let owner = if instance.project_id.is_empty() { project_id } else { &instance.project_id };
    let base = record.system_metadata.entries.get(BASE_IMAGE_REF).cloned();
    let kernels = [("kernel_id", &record.kernel_id), ("ramdisk_id", &record.ramdisk_id)];
    let kernels = kernels.into_iter().filter(|(_, id)| !id.is_empty());
    properties.extend(kernels.map(|(name, id)| (name.to_owned(), id.clone())));
    let added = [
        (
            BASE_IMAGE_REF.trim_start_matches(IMAGE_PREFIX),
            base.unwrap_or_else(|| record.image_id.to_string()),
        ),
        ("instance_uuid", instance.id.to_string()),
        ("image_type", "snapshot".to_owned()),
        ("user_id", user_id.to_owned()),
        ("owner_id", owner.to_owned()),
    ];
    properties.extend(added.map(|(name, value)| (name.to_owned(), value)));
    properties.extend(metadata.clone());
    let truncated = truncated(instance, &properties);
    NewImage {
        whole_in: (!truncated.is_empty()).then_some((record.image_id, record.image_revision)),
        truncated,
        name,
        owner: owner.to_owned(),
        visibility: Visibility::Private,
        protected: false,
        min_ram: min_ram.unwrap_or(0),
        min_disk: min_disk.unwrap_or(0),
        disk_format: disk_format.unwrap_or_default(),
        container_format: container_format.unwrap_or_default(),
        properties,
        snapshots: Vec::new(),
    }
}

/// The image that is made from an instance on a volume: it has no data, and stands for snapshots of all its volumes (Nova,
/// `snapshot_volume_backed`). `is_written` says whether something may write to them. Nova keeps `min_disk`, which is the
/// flavor's root disk where that is larger: no instance could be made from the image with a smaller volume.
#[must_use]
pub fn without_data(image: NewImage, instance: &Instance, is_written: bool) -> NewImage {
    let volumes = instance.block_devices.iter().filter(|device| !device.detaching);
    let snapshots = volumes.filter_map(|device| {
        let mapping = &device.mapping;
        Some(DeviceSnapshot {
            volume_id: device.volume_id?,
            snapshot_id: None,
            quiesced: !is_written,
            device: Device {
                boot_index: mapping.boot_index,
                volume_size: mapping.size_gib,
                delete_on_termination: mapping.delete_on_termination,
                device_name: mapping.device_name.clone(),
                disk_bus: mapping.disk_bus.clone(),
                device_type: mapping.device_type.clone(),
            },
        })
    });
    let mut properties = image.properties;
    let name = &instance.record.inherited.root_device_name;
    if !name.is_empty() {
        properties.entry("root_device_name".to_owned()).or_insert_with(|| name.clone());
    }
    NewImage {
        min_disk: instance.record.needs().min_disk,
        disk_format: String::new(),
        container_format: String::new(),
        snapshots: snapshots.collect(),
        properties,
        ..image
    }
}

/// The properties whose values come from the record and are only the beginnings of the image's.
fn truncated(instance: &Instance, properties: &Properties) -> Vec<String> {
    let recorded = &instance.record.system_metadata;
    let of_record = recorded.truncated.iter().filter_map(|key| {
        let (name, value) = (key.strip_prefix(IMAGE_PREFIX)?, recorded.entries.get(key)?);
        (properties.get(name) == Some(value)).then(|| name.to_owned())
    });
    of_record.collect()
}
