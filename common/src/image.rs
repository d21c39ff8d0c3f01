//! The image as instances need to know it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::Id;

pub mod change;
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

/// An image, as far as instances are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: Id,
    /// Its revision.
    pub revision: i64,
    /// Its status, such as `ACTIVE`.
    pub status: &'static str,
    /// Size of its data, in bytes.
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
