//! The image as an instance needs to know it.

use std::collections::BTreeMap;

pub mod properties;

/// Free properties of an image, by name.
pub type Properties = BTreeMap<String, String>;

/// What of an image goes into the system metadata of an instance: its properties and four base attributes.
///
/// The shape of Nova's `image_meta` dictionary; an attribute that is `None` is absent from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageMeta {
    /// Free properties.
    pub properties: Properties,
    /// Memory that an instance needs, MiB.
    pub min_ram: Option<i64>,
    /// Root disk that an instance needs, GiB.
    pub min_disk: Option<i64>,
    /// Format of the data, such as `qcow2`.
    pub disk_format: Option<String>,
    /// Format of what contains the data, such as `bare`.
    pub container_format: Option<String>,
}
