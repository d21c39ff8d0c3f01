//! Image properties ⇄ system metadata: the heart of the system, as pure functions.
//!
//! The rules are those of Nova in Icehouse: `get_system_metadata_from_image` and
//! `get_image_from_system_metadata` in `nova/utils.py`. Where we differ, the function says so.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    flavor::Flavor,
    image::{ImageMeta, Properties},
};

/// Prefix of every entry that comes from the image (Icehouse, `SM_IMAGE_PROP_PREFIX`).
pub const IMAGE_PREFIX: &str = "image_";

/// Longest value of a property in system metadata, in code points (Icehouse cuts by code points, later releases by
/// bytes).
pub const VALUE_LIMIT: usize = 255;

/// The entry that names the image an instance derives from.
pub const BASE_IMAGE_REF: &str = "image_base_image_ref";

/// What an instance remembers, and which values are only the beginning of longer ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemMetadata {
    /// Key and value of each entry.
    pub entries: BTreeMap<String, String>,
    /// Keys of the entries whose value was cut to [`VALUE_LIMIT`].
    pub truncated: BTreeSet<String>,
}

impl SystemMetadata {
    /// Writes `key`, whose value then counts as whole.
    fn insert(&mut self, key: String, value: String) {
        self.truncated.remove(&key);
        self.entries.insert(key, value);
    }

    /// Writes `key` unless it exists (Python's `setdefault`).
    pub fn set_default(&mut self, key: &str, value: &str) {
        self.entries.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
}

/// Nova's `get_system_metadata_from_image`: what an instance remembers of its image.
///
/// Each property `k` becomes `image_k`, with its value cut to [`VALUE_LIMIT`] code points; unlike in Nova, cuts are
/// reported. Then `min_ram`, `min_disk`, `disk_format` and `container_format` override any property of the same name;
/// absent ones are left out. With a flavor, `min_disk` follows [`min_disk`].
#[must_use]
pub fn system_metadata_from_image(image: &ImageMeta, flavor: Option<&Flavor>) -> SystemMetadata {
    let mut system_metadata = SystemMetadata::default();
    for (name, value) in &image.properties {
        let key = format!("{IMAGE_PREFIX}{name}");
        let kept = first_characters(value);
        if kept.len() < value.len() {
            system_metadata.truncated.insert(key.clone());
        }
        system_metadata.entries.insert(key, kept.to_owned());
    }
    for (name, value) in inheritable_attributes(image, flavor) {
        if let Some(value) = value {
            system_metadata.insert(format!("{IMAGE_PREFIX}{name}"), value);
        }
    }
    system_metadata
}

/// Nova's `get_image_from_system_metadata`: the image as the instance remembers it.
///
/// Entries without the prefix belong to the instance, not to the image. Nova turns them into properties, which then
/// leak into snapshots; here they are left out. A base attribute's entry whose text is not a number came from a
/// property of that name and becomes that property again, so that nothing is lost and [`system_metadata_from_image`]
/// without a flavor yields the same `image_*` entries again.
#[must_use]
pub fn image_from_system_metadata(entries: &BTreeMap<String, String>) -> ImageMeta {
    let mut image = ImageMeta::default();
    // Sorted keys: everything with the prefix stands in one run.
    let of_image = entries.range(IMAGE_PREFIX.to_owned()..).map_while(|(key, value)| {
        let name = key.strip_prefix(IMAGE_PREFIX)?;
        Some((name, value))
    });
    for (name, value) in of_image {
        match name {
            "disk_format" => image.disk_format = Some(value.clone()),
            "container_format" => image.container_format = Some(value.clone()),
            "min_ram" => restore_number(name, value, &mut image.min_ram, &mut image.properties),
            "min_disk" => restore_number(name, value, &mut image.min_disk, &mut image.properties),
            _ => {
                image.properties.insert(name.to_owned(), value.clone());
            }
        }
    }
    image
}

/// The article's rule for `min_disk` with a flavor: a VHD is stretched to the flavor's root disk when it is spawned,
/// so that root disk is what a snapshot needs; otherwise it is the larger of the two, and an absent one counts as
/// smaller than anything.
#[must_use]
pub fn min_disk(disk_format: Option<&str>, image_min_disk: Option<i64>, root_gb: i32) -> i64 {
    let root_gb = i64::from(root_gb);
    match (disk_format, image_min_disk) {
        (Some("vhd"), _) | (_, None) => root_gb,
        (_, Some(min_disk)) => min_disk.max(root_gb),
    }
}

/// Icehouse's `SM_INHERITABLE_KEYS`, in its order.
fn inheritable_attributes(image: &ImageMeta, flavor: Option<&Flavor>) -> [(&'static str, Option<String>); 4] {
    let min_disk = flavor.map_or(image.min_disk, |flavor| {
        Some(min_disk(image.disk_format.as_deref(), image.min_disk, flavor.root_gb))
    });
    [
        ("min_ram", image.min_ram.map(|mib| mib.to_string())),
        ("min_disk", min_disk.map(|gib| gib.to_string())),
        ("disk_format", image.disk_format.clone()),
        ("container_format", image.container_format.clone()),
    ]
}

/// The first [`VALUE_LIMIT`] code points of `value`.
#[must_use]
pub fn first_characters(value: &str) -> &str {
    // A string of that many bytes has no more code points than that.
    if value.len() <= VALUE_LIMIT {
        return value;
    }
    value.char_indices().nth(VALUE_LIMIT).map_or(value, |(end, _)| &value[..end])
}

/// Takes `value` as a number if it is written the way we write numbers, otherwise as the property it once was.
fn restore_number(name: &str, value: &str, number: &mut Option<i64>, properties: &mut Properties) {
    match value.parse::<i64>() {
        Ok(parsed) if parsed.to_string() == value => *number = Some(parsed),
        _ => {
            properties.insert(name.to_owned(), value.to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
