//! The image made from a volume by an upload.

use std::collections::BTreeMap;

use super::VolumeImageMetadata;
use crate::image::{
    Properties,
    inheritance::{LeftOut, left_out},
};

/// What an image inherits from the volume that it is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOfVolume {
    /// Memory that an instance needs, in MiB: that of the volume's own image. Cinder loses it.
    pub min_ram: i64,
    /// Root disk that an instance needs, in GiB: at least the size of the volume. Cinder sets 0.
    pub min_disk: i64,
    /// The properties of the image.
    pub properties: Properties,
    /// Properties of the volume that the image does not inherit, with the reason.
    pub left_out: BTreeMap<String, LeftOut>,
}

/// Cinder's `_merge_volume_image_meta`: the image made from a volume of `size_gib`. The properties of the request,
/// `given`, which [`crate::image::update::check`] has accepted, override those of the volume.
///
/// Properties are inherited unless [`left_out`] has a reason. Cinder also leaves out the attributes of the volume's
/// image (`glance_core_properties`), which describe other data; here they are not among the properties. The formats of
/// the image are those of the upload.
#[must_use]
pub fn image_from_volume(volume: &VolumeImageMetadata, size_gib: i64, given: &Properties) -> ImageOfVolume {
    let (mut properties, mut left_behind) = (Properties::new(), BTreeMap::new());
    for (name, value) in volume.properties.iter().filter(|(name, _)| !given.contains_key(*name)) {
        match left_out(name, value) {
            Some(reason) => drop(left_behind.insert(name.clone(), reason)),
            None => drop(properties.insert(name.clone(), value.clone())),
        }
    }
    properties.extend(given.clone());
    let image = volume.image.as_ref();
    ImageOfVolume {
        min_ram: image.and_then(|image| image.min_ram).unwrap_or(0),
        min_disk: image.and_then(|image| image.min_disk).unwrap_or(0).max(size_gib),
        properties,
        left_out: left_behind,
    }
}
