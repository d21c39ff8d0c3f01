//! The differences in image metadata between two states of a volume, or between a volume and its image.

use super::VolumeImageMetadata;
use crate::image::change::{Change, property_changes};

/// The differences from `old` to `new`: attributes, by their names in the flat list and `image_revision`, then
/// properties, each sorted by name.
///
/// To compare a volume with an image, use [`super::volume_image_metadata_from_image`] of the image.
#[must_use]
pub fn changes(old: &VolumeImageMetadata, new: &VolumeImageMetadata) -> Vec<Change> {
    let (before, after) = (attributes(old), attributes(new));
    let names = NAMES.into_iter().zip(before.into_iter().zip(after));
    let changed = names.filter_map(|(name, (old, new))| Change::of_attribute(name, old, new));
    changed.chain(property_changes(&old.properties, &new.properties)).collect()
}

/// The attributes that can change, sorted.
const NAMES: [&str; 9] = [
    "checksum",
    "container_format",
    "disk_format",
    "image_id",
    "image_name",
    "image_revision",
    "min_disk",
    "min_ram",
    "size",
];

fn attributes(metadata: &VolumeImageMetadata) -> [Option<String>; 9] {
    let revision = metadata.image.as_ref().map(|image| image.revision.to_string());
    let flat = metadata.image.as_ref().map(super::SourceImage::attributes);
    NAMES.map(|name| match &flat {
        _ if name == "image_revision" => revision.clone(),
        Some(flat) => flat.iter().find(|(of, _)| *of == name).and_then(|(_, value)| value.clone()),
        None => None,
    })
}
