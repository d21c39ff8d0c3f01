//! The checks of a new volume, in Cinder's order (`flows/api/create_volume.py`, VOL 1.5).

use std::collections::BTreeMap;

use common::{
    image::{GIB, Image, Properties, inheritance::is_encryption_key, update::PropertyUpdate},
    metadata::{METADATA_LIMIT, item_violations},
    violations::Violations,
    volume_image_metadata::{VolumeImageMetadata, edited, volume_image_metadata_from_image},
};

use super::VolumeType;
use crate::error::{Error, VolumeTypeError};

/// The image property that names the volume type of volumes made from the image.
const VOLUME_TYPE_PROPERTY: &str = "cinder_img_volume_type";

/// What is wrong with metadata.
#[must_use]
pub fn metadata_violations(metadata: &BTreeMap<String, String>) -> Violations {
    let mut violations = Violations::default();
    if metadata.len() > METADATA_LIMIT {
        violations
            .add("metadata", format!("has {} items, at most {METADATA_LIMIT} are allowed", metadata.len()));
    }
    violations.append(item_violations(metadata));
    violations
}

/// Refuses an image that no volume can be made from.
pub fn check_image(image: &Image) -> Result<(), Error> {
    if image.status != "ACTIVE" {
        return Err(Error::ImageNotActive { id: image.id, status: image.status });
    }
    if image.meta.properties.keys().any(|name| is_encryption_key(name)) {
        return Err(Error::ImageEncrypted(image.id));
    }
    Ok(())
}

/// Refuses a volume that is too small for an image: for its data, for `min_disk`, or for the disk that the data
/// describes.
pub fn check_size_for_image(image: &Image, size_gib: i32) -> Result<(), Error> {
    let (id, available) = (image.id, i64::from(size_gib));
    let bytes = available * GIB;
    if let Some(needed) = image.size.filter(|needed| *needed > bytes) {
        return Err(Error::VolumeSmallerThanImage { id, needed, size_gib });
    }
    if let Some(needed) = image.meta.min_disk.filter(|needed| *needed > available) {
        return Err(Error::VolumeSmallerThanMinDisk { id, needed, size_gib });
    }
    if let Some(needed) = image.virtual_size.filter(|needed| *needed > bytes) {
        return Err(Error::VolumeSmallerThanVirtualSize { id, needed, size_gib });
    }
    Ok(())
}

/// Refuses a size that a volume type does not allow.
pub fn check_size_for_type(volume_type: &VolumeType, size_gib: i32) -> Result<(), Error> {
    let (minimum, maximum) = volume_type.sizes();
    let is_allowed =
        minimum.is_none_or(|least| size_gib >= least) && maximum.is_none_or(|most| size_gib <= most);
    if is_allowed {
        return Ok(());
    }
    Err(VolumeTypeError::Size { volume_type: volume_type.name.clone(), size_gib, minimum, maximum }.into())
}

/// The volume type that an image asks for.
#[must_use]
pub fn volume_type_of(properties: &Properties) -> Option<&str> {
    properties.get(VOLUME_TYPE_PROPERTY).map(String::as_str).filter(|name| !name.is_empty())
}

/// What a volume remembers of an image, with properties `added`.
pub fn metadata_of_image(image: &Image, added: &Properties) -> Result<VolumeImageMetadata, Error> {
    with_properties(&volume_image_metadata_from_image(image), added)
}

/// `metadata` with properties `added`, which are not more than an image may have.
pub fn with_properties(
    metadata: &VolumeImageMetadata,
    added: &Properties,
) -> Result<VolumeImageMetadata, Error> {
    let update = PropertyUpdate { set: added.clone(), ..PropertyUpdate::default() };
    Ok(edited(metadata, &update)?)
}
