//! The request to create instances, before and after it was checked.

use std::collections::BTreeMap;

use common::{id::Id, metadata::item_violations, text, violations::Violations};
use serde::Serialize;

use super::{
    block_device::{self, Mapping, NewBlockDevice, Source},
    checks::NULL_KERNEL,
};

/// Maximum number of instances of one request.
pub const COUNT_LIMIT: usize = 1000;

/// About how many bytes an instance takes on its way to the database, beside its name.
const ROW: usize = 1024;

/// Instances to be created, as they were requested.
#[derive(Debug, Clone, Default)]
pub struct NewInstances {
    /// Display name; blanks around it are removed.
    pub name: String,
    /// The image to boot; empty to boot from a disk of `block_device_mapping`.
    pub image_id: String,
    /// The flavor.
    pub flavor_id: String,
    /// At least this many, or none: 1 if `None`.
    pub min_count: Option<i64>,
    /// At most this many: as many as at least if `None`.
    pub max_count: Option<i64>,
    /// The caller's own metadata.
    pub metadata: BTreeMap<String, String>,
    /// Overrides the image's kernel; `nokernel` for neither kernel nor ramdisk.
    pub kernel_id: Option<String>,
    /// Overrides the image's ramdisk.
    pub ramdisk_id: Option<String>,
    /// Overrides the image's property.
    pub auto_disk_config: Option<bool>,
    /// Makes a retry safe.
    pub request_id: Option<String>,
    /// Whether nothing is to be written.
    pub validate_only: bool,
    /// The disks of each instance.
    pub block_device_mapping: Vec<NewBlockDevice>,
}

/// A request to create instances that has been checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreateInstance {
    /// Display name, without blanks around it.
    pub name: String,
    /// The image to boot; `None` to boot from a disk of `block_device_mapping`.
    pub image_id: Option<Id>,
    /// The flavor.
    pub flavor_id: String,
    /// At least this many, or none.
    pub min_count: usize,
    /// At most this many.
    pub max_count: usize,
    /// The caller's own metadata.
    pub metadata: BTreeMap<String, String>,
    /// Overrides the image's kernel.
    pub kernel_id: Option<String>,
    /// Overrides the image's ramdisk.
    pub ramdisk_id: Option<String>,
    /// Overrides the image's property.
    pub auto_disk_config: Option<bool>,
    /// Makes a retry safe.
    #[serde(skip)]
    pub request_id: Option<String>,
    /// Whether nothing is to be written.
    #[serde(skip)]
    pub validate_only: bool,
    /// The disks of each instance. Without any, a request is told from others as by earlier releases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block_device_mapping: Vec<Mapping>,
}

impl NewInstances {
    /// The request, or everything that is wrong with it. Metadata alone is checked later, where Nova checks it, after
    /// the image ([`check_metadata`](super::checks::check_metadata)); a request that is refused here is told of it here.
    pub fn check(self) -> Result<CreateInstance, Violations> {
        let mut violations = Violations::default();
        let name = self.name.trim().to_owned();
        violations.take("name", text::name(&name));
        let names_image = !self.image_id.is_empty() || self.block_device_mapping.is_empty();
        let image_id =
            if names_image { violations.take("image_id", self.image_id.parse::<Id>()) } else { None };
        violations.take("flavor_id", text::name(&self.flavor_id));
        let (min_count, max_count) = self.counts(&mut violations);
        let block_device_mapping = match self.block_device_mapping {
            none if none.is_empty() => Vec::new(),
            devices => block_device::check(devices, image_id, max_count, &mut violations),
        };
        if self.kernel_id.as_deref() != Some(NULL_KERNEL) {
            check_id("kernel_id", self.kernel_id.as_ref(), &mut violations);
        }
        check_id("ramdisk_id", self.ramdisk_id.as_ref(), &mut violations);
        violations.take("request_id", text::optional_name(self.request_id.as_deref().unwrap_or_default()));
        if !violations.is_empty() {
            violations.append(item_violations(&self.metadata));
        }
        violations.check()?;
        Ok(CreateInstance {
            name,
            image_id,
            flavor_id: self.flavor_id,
            min_count,
            max_count,
            metadata: self.metadata,
            kernel_id: self.kernel_id,
            ramdisk_id: self.ramdisk_id,
            auto_disk_config: self.auto_disk_config,
            request_id: self.request_id,
            validate_only: self.validate_only,
            block_device_mapping,
        })
    }

    /// At least and at most how many instances.
    fn counts(&self, violations: &mut Violations) -> (usize, usize) {
        let mut count = |field, value: Option<i64>, default| {
            let Some(value) = value else { return default };
            match usize::try_from(value) {
                Ok(count) if (1..=COUNT_LIMIT).contains(&count) => count,
                _ => {
                    violations.add(field, format!("{value} is out of range: 1 to {COUNT_LIMIT}"));
                    default
                }
            }
        };
        let min_count = count("min_count", self.min_count, 1);
        let max_count = count("max_count", self.max_count, min_count);
        if min_count > max_count {
            violations.add("min_count", format!("{min_count} must not be more than max_count, {max_count}"));
        }
        (min_count, max_count)
    }
}

fn check_id(field: &str, id: Option<&String>, violations: &mut Violations) {
    if let Some(id) = id {
        violations.take(field, id.parse::<Id>());
    }
}

impl CreateInstance {
    /// About how many bytes it has written: a name for each instance, its metadata once for all.
    #[must_use]
    pub fn size(&self) -> usize {
        let metadata: usize = self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        let devices = self.block_device_mapping.len() * ROW;
        self.max_count * (ROW + self.name.len() + devices) + metadata
    }

    /// The disk that instances boot from, unless it is the image that the request itself names.
    #[must_use]
    pub fn root(&self) -> Option<&Mapping> {
        let root = self.block_device_mapping.iter().find(|mapping| mapping.is_root());
        root.filter(|_| self.image_id.is_none())
    }

    /// The image that instances boot from, or whose data their root volumes get.
    #[must_use]
    pub fn source_image(&self) -> Option<Id> {
        match self.root().map(|root| root.source) {
            Some(Source::Image(id)) => Some(id),
            Some(_) => None,
            None => self.image_id,
        }
    }
}
