//! An image and its rules; no gRPC, no SQL.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use common::{id::Id, image::Properties};

pub mod access;
pub mod attribute;
pub mod cached;
pub mod history;
pub mod listed;
pub mod member;
pub mod patch;
pub mod properties;
pub mod status;
pub mod update;

pub use attribute::Attribute;
pub use common::image::Visibility;
pub use status::Status;

/// Disk formats (Glance, current release).
pub const DISK_FORMATS: [&str; 11] =
    ["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"];

/// Container formats (Glance, current release).
pub const CONTAINER_FORMATS: [&str; 8] = ["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"];

/// Maximum number of tags of an image (Glance, `image_tag_quota`).
pub const TAG_LIMIT: usize = 128;

/// An image: base attributes with a fixed meaning, and free properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The id, which never changes.
    pub id: Id,
    /// At most 255 characters; empty if it has none.
    pub name: String,
    /// Its status.
    pub status: Status,
    /// Who may see it.
    pub visibility: Visibility,
    /// The owning project, or empty.
    pub owner: String,
    /// Whether it is protected from deletion.
    pub protected: bool,
    /// Whether it is hidden: only lists of hidden images show it.
    pub os_hidden: bool,
    /// One of [`DISK_FORMATS`], or empty.
    pub disk_format: String,
    /// One of [`CONTAINER_FORMATS`], or empty.
    pub container_format: String,
    /// Memory that an instance needs, in MiB.
    pub min_ram: i64,
    /// Root disk that an instance needs, in GiB.
    pub min_disk: i64,
    /// Size of the data, in bytes; `None` while there is no data.
    pub size: Option<i64>,
    /// Size of the virtual disk that the data describes, in bytes, if it is known.
    pub virtual_size: Option<i64>,
    /// MD5 of the data, or empty.
    pub checksum: String,
    /// Algorithm of `os_hash_value`, such as `sha512`, or empty.
    pub os_hash_algo: String,
    /// Hash of the data in hexadecimal, or empty.
    pub os_hash_value: String,
    /// Id of the data in the data store; `None` if there is no data, or if it is stored elsewhere.
    pub data: Option<Id>,
    /// The tags.
    pub tags: BTreeSet<String>,
    /// The free properties.
    pub properties: Properties,
    /// Starts at 1; each change adds 1.
    pub revision: i64,
    /// When it was registered.
    pub create_time: DateTime<Utc>,
    /// When it last changed.
    pub update_time: DateTime<Utc>,
}

impl Image {
    /// Approximate size, in bytes: that of its properties and tags.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let properties = self.properties.iter().map(|(name, value)| name.len() + value.len());
        properties.chain(self.tags.iter().map(String::len)).sum()
    }

    /// An image with nothing but an id, at revision 1.
    #[must_use]
    pub fn blank(id: Id, now: DateTime<Utc>) -> Self {
        Self {
            id,
            name: String::new(),
            status: Status::Queued,
            visibility: Visibility::Shared,
            owner: String::new(),
            protected: false,
            os_hidden: false,
            disk_format: String::new(),
            container_format: String::new(),
            min_ram: 0,
            min_disk: 0,
            size: None,
            virtual_size: None,
            checksum: String::new(),
            os_hash_algo: String::new(),
            os_hash_value: String::new(),
            data: None,
            tags: BTreeSet::new(),
            properties: Properties::new(),
            revision: 1,
            create_time: now,
            update_time: now,
        }
    }

    /// Clears everything that describes the data: a QUEUED image has none.
    pub fn forget_data(&mut self) {
        self.size = None;
        self.virtual_size = None;
        self.checksum = String::new();
        self.os_hash_algo = String::new();
        self.os_hash_value = String::new();
        self.data = None;
    }

    /// The etag, which callers send back to change only the state that they have seen (AIP-154).
    #[must_use]
    pub fn etag(&self) -> String {
        etag(self.id, self.revision)
    }
}

/// The etag of an image at a revision. An id is never reused, so the two together identify one state.
#[must_use]
pub fn etag(id: Id, revision: i64) -> String {
    format!("{:x}-{revision}", id.as_uuid().as_fields().0)
}
