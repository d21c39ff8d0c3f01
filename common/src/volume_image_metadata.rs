//! Image ⇄ the image metadata of a volume (Cinder's `volume_glance_metadata`), as pure functions.
//!
//! The rules are those of Cinder's current release: `get_volume_image_metadata` in `cinder/volume/volume_utils.py`.
//! Cinder stores one flat list of strings, in which base attributes overwrite properties; here attributes have their
//! own fields, and the flat list is a view ([`VolumeImageMetadata::flat`]).
//!
//! | rule | applies to | where |
//! |---|---|---|
//! | copied unchanged | every property, whatever its name, with its whole value | [`volume_image_metadata_from_image`] |
//! | separate fields | the eight base attributes under Cinder's names | [`SourceImage`], [`ATTRIBUTES`] |
//! | not copied, as in Cinder | visibility, protected, owner, tags, `os_hidden`, `os_hash_*`, `virtual_size`, status, stores | |
//! | not copied, unlike Cinder | `cinder_encryption_key_*` | [`is_encryption_key`] |
//! | not added, unlike Cinder | `signature_verified`, since no signature is verified | |
//! | collisions | a property with the name of an attribute is hidden from the flat list, but not lost | [`Flat::hidden`] |

use serde::{Deserialize, Serialize};

use crate::{
    id::Id,
    image::{Image, Properties, inheritance::is_encryption_key},
};

mod boot;
mod changes;
mod edit;
mod flat;
mod upload;

pub use boot::{Need, image_meta_from_volume, system_metadata_from_volume, unmet_needs};
pub use changes::changes;
pub use edit::{check_update, edited, set_flat, unset_flat};
pub use flat::{ATTRIBUTES, Flat};
pub use upload::{ImageOfVolume, image_from_volume};

/// What a volume or a snapshot remembers of the image that its data came from.
///
/// It follows the data: a snapshot or a clone has the metadata that its source had at that moment, whether or not the
/// source is bootable. A volume without an image can have properties, too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeImageMetadata {
    /// The image; `None` if the data did not come from an image.
    pub image: Option<SourceImage>,
    /// Free-form properties.
    pub properties: Properties,
}

/// The image that the data came from, as it was then. It only changes together with the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceImage {
    /// Its id.
    pub id: Id,
    /// Its revision: `GetImage` with it returns the image as it was. 0 if unknown, for metadata written by Cinder.
    pub revision: i64,
    /// Its name; may be empty.
    pub name: String,
    /// Format of the image's data; that of the volume's data may differ.
    pub disk_format: Option<String>,
    /// Format of the container around the data.
    pub container_format: Option<String>,
    /// MD5 of the image's data.
    pub checksum: Option<String>,
    /// Root disk that an instance needs, in GiB.
    pub min_disk: Option<i64>,
    /// Memory that an instance needs, in MiB.
    pub min_ram: Option<i64>,
    /// Size of the image's data, in bytes.
    pub size: Option<i64>,
}

/// Cinder's `get_volume_image_metadata`: the image metadata of a volume that is created from `image`.
///
/// Every property is copied, whatever its name, with its whole value as the image has it; Cinder turns `mappings` and
/// `block_device_mapping` into the text of Python lists, which nothing can parse. Base attributes are kept separately,
/// so that they never overwrite a property.
#[must_use]
pub fn volume_image_metadata_from_image(image: &Image) -> VolumeImageMetadata {
    let properties = image.meta.properties.iter().filter(|(name, _)| !is_encryption_key(name));
    VolumeImageMetadata {
        properties: properties.map(|(name, value)| (name.clone(), value.clone())).collect(),
        image: Some(SourceImage {
            id: image.id,
            revision: image.revision,
            name: image.name.clone(),
            disk_format: image.meta.disk_format.clone(),
            container_format: image.meta.container_format.clone(),
            checksum: image.checksum.clone(),
            min_disk: image.meta.min_disk,
            min_ram: image.meta.min_ram,
            size: image.size,
        }),
    }
}

#[cfg(test)]
mod tests;
