//! The image as an instance needs to know it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::Id;

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

/// An image, as far as instances are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: Id,
    /// Its revision.
    pub revision: i64,
    /// Its status, such as `ACTIVE`.
    pub status: &'static str,
    /// Size of its data, bytes.
    pub size: Option<i64>,
    /// What goes into system metadata.
    pub meta: ImageMeta,
}

/// An image to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewImage {
    /// Its name.
    pub name: String,
    /// The project that owns it.
    pub owner: String,
    /// Memory that an instance needs, MiB.
    pub min_ram: i64,
    /// Root disk that an instance needs, GiB.
    pub min_disk: i64,
    /// Format of the data, or empty.
    pub disk_format: String,
    /// Format of what contains the data, or empty.
    pub container_format: String,
    /// Its properties.
    pub properties: Properties,
    /// Those of them that have but the beginning of their values, because the instance remembers no more.
    #[serde(default)]
    pub truncated: Vec<String>,
    /// The image and its revision that have the whole values; `None` once they were asked for.
    #[serde(default)]
    pub whole_in: Option<(Id, i64)>,
}
