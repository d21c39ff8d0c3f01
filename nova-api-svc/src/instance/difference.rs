//! The difference between a record and its image: a pure function of both.

use std::collections::BTreeSet;

use common::{
    image::Properties,
    system_metadata::{IMAGE_PREFIX, SystemMetadata},
};

use super::Record;

/// A property, or a base attribute, that differs between instance and image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name, without the prefix.
    pub property: String,
    /// The kind of difference.
    pub kind: Kind,
    /// The instance's value.
    pub instance_value: Option<String>,
    /// The image's value.
    pub image_value: Option<String>,
}

/// The kind of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The image has it, but not the instance.
    Added,
    /// The instance has it, but not the image.
    Removed,
    /// Both have it, with different values.
    Changed,
    /// The instance has the truncated value of the image, which is not drift.
    Truncated,
}

/// The entry that a resize changes.
const MIN_DISK: &str = "image_min_disk";

/// The entries that describe the data of an image, and not that of a volume: what was made from a volume has none.
const FORMATS: [&str; 2] = ["image_disk_format", "image_container_format"];

/// Whether the `min_disk` of a record from an earlier release may come from the root disk of an earlier flavor.
const fn is_min_disk_unknown(record: &Record) -> bool {
    record.needs.is_none() && record.flavor.root_gb == 0
}

/// The differences from `record` to a record made now from an image, or from what a volume remembers of one: to its part of
/// the system metadata, and the whole values of its properties, by name.
#[must_use]
pub fn differences(record: &Record, fresh: &SystemMetadata, properties: &Properties) -> Vec<Difference> {
    let recorded = &record.system_metadata.entries;
    let keys: BTreeSet<_> =
        recorded.keys().filter(|key| key.starts_with(IMAGE_PREFIX)).chain(fresh.entries.keys()).collect();
    keys.into_iter()
        .filter(|key| !(key.as_str() == MIN_DISK && is_min_disk_unknown(record)))
        .filter_map(|key| {
            let property = key.strip_prefix(IMAGE_PREFIX)?.to_owned();
            let (old, new) = (recorded.get(key).cloned(), fresh.entries.get(key).cloned());
            if FORMATS.contains(&key.as_str()) && (old.is_none() || new.is_none()) {
                return None;
            }
            let is_cut = fresh.truncated.contains(key);
            let kind = match (&old, &new) {
                (None, _) => Kind::Added,
                (_, None) => Kind::Removed,
                (old, new) if old != new => Kind::Changed,
                _ if is_cut => Kind::Truncated,
                _ => return None,
            };
            let whole = properties.get(&property).cloned().filter(|_| kind == Kind::Truncated);
            Some(Difference { property, kind, instance_value: old, image_value: whole.or(new) })
        })
        .collect()
}

/// An entry of system metadata that differs between two records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryChange<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its value in the record before; `None` if that lacks it.
    pub old: Option<&'a str>,
    /// Its value in the record after; `None` if that lacks it.
    pub new: Option<&'a str>,
}

/// The entries of system metadata that differ between two records, sorted by key.
#[must_use]
pub fn entry_changes<'a>(old: Option<&'a Record>, new: Option<&'a Record>) -> Vec<EntryChange<'a>> {
    let value = |record: Option<&'a Record>, key: &str| {
        record.and_then(|record| record.system_metadata.entries.get(key)).map(String::as_str)
    };
    let keys: BTreeSet<&'a str> = [old, new]
        .into_iter()
        .flatten()
        .flat_map(|record| record.system_metadata.entries.keys())
        .map(String::as_str)
        .collect();
    keys.into_iter()
        .map(|key| EntryChange { key, old: value(old, key), new: value(new, key) })
        .filter(|change| change.old != change.new)
        .collect()
}
