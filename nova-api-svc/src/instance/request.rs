//! The request to create instances, as plain data that has been checked.

use std::collections::BTreeMap;

use common::id::Id;
use serde::Serialize;

/// Most instances of one request.
pub const COUNT_LIMIT: usize = 1000;

/// About how many bytes an instance takes on its way to the database, beside its name.
const ROW: usize = 1024;

/// A request to create instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreateInstance {
    /// Display name, without blanks around it.
    pub name: String,
    /// The image to boot.
    pub image_id: Id,
    /// The flavor.
    pub flavor_id: String,
    /// At least this many, or none.
    pub min_count: usize,
    /// At most this many.
    pub max_count: usize,
    /// The caller's own metadata.
    pub metadata: BTreeMap<String, String>,
    /// What stands in place of the image's kernel.
    pub kernel_id: Option<String>,
    /// What stands in place of the image's ramdisk.
    pub ramdisk_id: Option<String>,
    /// What stands in place of the image's property.
    pub auto_disk_config: Option<bool>,
    /// Makes a retry safe.
    #[serde(skip)]
    pub request_id: Option<String>,
    /// Whether nothing must be written.
    #[serde(skip)]
    pub validate_only: bool,
}

impl CreateInstance {
    /// About how many bytes it has written: a name for each instance, its metadata once for all.
    #[must_use]
    pub fn size(&self) -> usize {
        let metadata: usize = self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        self.max_count * (ROW + self.name.len()) + metadata
    }
}
