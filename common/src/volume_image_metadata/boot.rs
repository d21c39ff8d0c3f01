//! The system metadata of an instance that boots from a volume, and what it needs.

use super::VolumeImageMetadata;
use crate::{
    flavor::Flavor,
    image::{ImageMeta, properties::check_reserved},
    system_metadata::{BASE_IMAGE_REF, SystemMetadata, system_metadata_from_image},
};

/// A requirement of the volume's image that an instance does not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Memory, in MiB.
    Memory {
        /// What the volume's image requires.
        needed: i64,
        /// What the flavor has.
        available: i64,
    },
    /// A root disk, in GiB.
    Disk {
        /// What the volume's image requires.
        needed: i64,
        /// What the volume has.
        available: i64,
    },
}

/// Nova's `get_image_metadata_from_volume`: the image of an instance that boots from a volume, or from a snapshot, with
/// this metadata.
///
/// It has the volume's properties, and `min_ram` and `min_disk` of the volume's image, 0 if unknown. The formats are
/// absent, since they describe the image's data and not the volume's. Nova removes eight attributes from the properties
/// (`VIM_IMAGE_ATTRIBUTES`); here only metadata written by Cinder can have properties with such names, and those that no
/// image can have are left out.
#[must_use]
pub fn image_meta_from_volume(volume: &VolumeImageMetadata) -> ImageMeta {
    let image = volume.image.as_ref();
    let properties = volume.properties.iter().filter(|(name, _)| check_reserved(name).is_ok());
    ImageMeta {
        properties: properties.map(|(name, value)| (name.clone(), value.clone())).collect(),
        min_ram: Some(image.and_then(|image| image.min_ram).unwrap_or(0)),
        min_disk: Some(image.and_then(|image| image.min_disk).unwrap_or(0)),
        disk_format: None,
        container_format: None,
    }
}

/// The system metadata of an instance that boots from a volume: [`system_metadata_from_image`] of
/// [`image_meta_from_volume`].
///
/// As in Nova, `image_min_disk` is the larger of the image's `min_disk` and the flavor's root disk, although the volume
/// has neither. `image_base_image_ref` is the property `base_image_ref` or, without one, the image that the volume was
/// created from, which Nova leaves out; empty if there is no image either.
#[must_use]
pub fn system_metadata_from_volume(volume: &VolumeImageMetadata, flavor: &Flavor) -> SystemMetadata {
    let mut system_metadata = system_metadata_from_image(&image_meta_from_volume(volume), Some(flavor));
    let image_id = volume.image.as_ref().map(|image| image.id.to_string());
    system_metadata.set_default(BASE_IMAGE_REF, &image_id.unwrap_or_default());
    system_metadata
}

/// All requirements of the volume's image that an instance of `flavor` would not meet if it booted from the volume,
/// which has `size_gib`.
///
/// These are Nova's checks of a root disk that is a volume: memory (which Nova did not check in resizes until 2024),
/// and the size of the volume (which Nova checks only for volumes that it creates). The flavor's root disk is not used,
/// so a `root_gb` of 0 does not skip anything. The image's status is irrelevant, since the image is no longer needed.
#[must_use]
pub fn unmet_needs(volume: &VolumeImageMetadata, flavor: &Flavor, size_gib: i64) -> Vec<Need> {
    let ImageMeta { min_ram, min_disk, .. } = image_meta_from_volume(volume);
    let (memory, disk) = (min_ram.unwrap_or(0), min_disk.unwrap_or(0));
    let available = i64::from(flavor.memory_mb);
    let memory = (memory > available).then_some(Need::Memory { needed: memory, available });
    let disk = (disk > size_gib).then_some(Need::Disk { needed: disk, available: size_gib });
    memory.into_iter().chain(disk).collect()
}
