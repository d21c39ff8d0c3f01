//! The image as instances and volumes need to know it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::devices::DeviceSnapshot;
use crate::{id::Id, named};

pub mod change;
pub mod devices;
pub mod inheritance;
pub mod properties;
pub mod update;

named! {
    /// Who may see an image.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    Visibility {
        /// Everybody.
        Public = "public",
        /// The owner.
        Private = "private",
        /// The owner and the members.
        Shared = "shared",
        /// Everybody who asks for it by id.
        Community = "community",
    }
}

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
    /// A better hash of the data, where it is known.
    pub hash: Option<DataHash>,
    /// What goes into system metadata.
    pub meta: ImageMeta,
}

/// A hash of an image's data (Glance, `os_hash_algo` and `os_hash_value`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataHash {
    /// The algorithm, such as `sha512`.
    pub algorithm: String,
    /// The hash, in hexadecimal.
    pub value: String,
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
    /// Who may see it.
    #[serde(default = "private")]
    pub visibility: Visibility,
    /// Whether it is protected from deletion.
    #[serde(default)]
    pub protected: bool,
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
    /// The snapshots that it stands for instead of having data; they are taken before it is registered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<DeviceSnapshot>,
}

/// The visibility of images that were to be registered when they had none.
const fn private() -> Visibility {
    Visibility::Private
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
                hash: None,
                meta: ImageMeta { min_disk, ..ImageMeta::default() },
            };
            assert_eq!(image.min_volume_gib(), expected, "{size:?} {virtual_size:?} {min_disk:?}");
        }
    }

    #[test]
    fn an_image_to_be_registered_is_read_as_earlier_releases_wrote_it() {
        let written = r#"{"name":"a","owner":"p","min_ram":1,"min_disk":2,"disk_format":"raw","container_format":"bare","properties":{}}"#;
        let image: NewImage = serde_json::from_str(written).unwrap();
        assert_eq!((image.visibility, image.protected), (Visibility::Private, false));
        let public = NewImage { visibility: Visibility::Public, protected: true, ..image };
        let written = serde_json::to_string(&public).unwrap();
        assert!(written.contains(r#""visibility":"public","protected":true"#), "{written}");
        assert_eq!(serde_json::from_str::<NewImage>(&written).unwrap(), public);
    }
}
