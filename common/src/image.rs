//! The image as instances and volumes need to know it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::Id;

pub mod change;
pub mod devices;
pub mod inheritance;
pub mod properties;
pub mod update;

/// Free-form properties of an image, by name.
pub type Properties = BTreeMap<String, String>;

/// The parts of an image that go into the system metadata of an instance: its properties and four base attributes.
///
/// The shape of Nova's `image_meta` dictionary; an attribute that is `None` is absent from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageMeta {
    /// Free-form properties.
    pub properties: Properties,
    /// Memory that an instance needs, in MiB.
    pub min_ram: Option<i64>,
    /// Root disk that an instance needs, in GiB.
    pub min_disk: Option<i64>,
    /// Format of the data, such as `qcow2`.
    pub disk_format: Option<String>,
    /// Format of the container around the data, such as `bare`.
    pub container_format: Option<String>,
}

/// An image, as far as instances and volumes are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: Id,
    /// Its revision.
    pub revision: i64,
    /// Its name; empty if it has none.
    pub name: String,
    /// Its status, such as `ACTIVE`.
    pub status: &'static str,
    /// Size of its data, in bytes.
    pub size: Option<i64>,
    /// Size of the disk that the data describes, in bytes, where it is known.
    pub virtual_size: Option<i64>,
    /// MD5 of the data, where it is known.
    pub checksum: Option<String>,
    /// What goes into system metadata.
    pub meta: ImageMeta,
}

impl Image {
    /// The smallest volume that can be created from the image, in GiB: one that has room for its data and for the disk
    /// that the data describes, and at least `min_disk` and 1 (Cinder, `check_image_metadata`).
    ///
    /// Cinder requires a size with every image; here this is the default.
    #[must_use]
    pub fn min_volume_gib(&self) -> i64 {
        let sizes = [self.size, self.virtual_size].into_iter().flatten().map(gib);
        sizes.chain(self.meta.min_disk).fold(1, i64::max)
    }
}

/// Bytes of a GiB.
pub const GIB: i64 = 1 << 30;

/// Bytes in GiB, rounded up.
fn gib(bytes: i64) -> i64 {
    bytes / GIB + i64::from(bytes % GIB > 0)
}

/// An image to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewImage {
    /// Its name.
    pub name: String,
    /// The project that owns it.
    pub owner: String,
    /// Memory that an instance needs, in MiB.
    pub min_ram: i64,
    /// Root disk that an instance needs, in GiB.
    pub min_disk: i64,
    /// Format of the data, or empty.
    pub disk_format: String,
    /// Format of the container around the data, or empty.
    pub container_format: String,
    /// Its properties.
    pub properties: Properties,
    /// The properties of which only the beginning of the value is here, because the instance remembers no more.
    #[serde(default)]
    pub truncated: Vec<String>,
    /// The image and revision that have the whole values; `None` once they have been fetched.
    #[serde(default)]
    pub whole_in: Option<(Id, i64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_as_large_as_the_data_the_disk_in_them_and_min_disk_need() {
        for (size, virtual_size, min_disk, expected) in [
            (None, None, None, 1),
            (Some(0), Some(0), Some(0), 1),
            (Some(GIB), None, Some(1), 1),
            (Some(GIB + 1), None, None, 2),
            (Some(1), Some(5 * GIB - 1), Some(2), 5),
            (Some(1), Some(GIB), Some(7), 7),
            (Some(i64::MAX), None, None, 1 << 33),
        ] {
            let image = Image {
                id: Id::from(crate::id::NIL),
                revision: 1,
                name: String::new(),
                status: "ACTIVE",
                size,
                virtual_size,
                checksum: None,
                meta: ImageMeta { min_disk, ..ImageMeta::default() },
            };
            assert_eq!(image.min_volume_gib(), expected, "{size:?} {virtual_size:?} {min_disk:?}");
        }
    }
}
