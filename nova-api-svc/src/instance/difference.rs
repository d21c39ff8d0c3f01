//! The difference between a record and its image: a pure function of both.

use std::collections::BTreeSet;

use common::{
    image::Image,
    system_metadata::{BASE_IMAGE_REF, IMAGE_PREFIX, system_metadata_from_image},
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

/// Whether the `min_disk` of a record from an earlier release may come from the root disk of an earlier flavor.
const fn is_min_disk_unknown(record: &Record) -> bool {
    record.needs.is_none() && record.flavor.root_gb == 0
}

/// The differences from `record` to a record made from `image` now, by name.
#[must_use]
pub fn differences(record: &Record, image: &Image) -> Vec<Difference> {
    let mut fresh = system_metadata_from_image(&image.meta, Some(&record.flavor));
    fresh.set_default(BASE_IMAGE_REF, &image.id.to_string());
    let recorded = &record.system_metadata.entries;
    let keys: BTreeSet<_> =
        recorded.keys().filter(|key| key.starts_with(IMAGE_PREFIX)).chain(fresh.entries.keys()).collect();
    keys.into_iter()
        .filter(|key| !(key.as_str() == MIN_DISK && is_min_disk_unknown(record)))
        .filter_map(|key| {
            let property = key.strip_prefix(IMAGE_PREFIX)?.to_owned();
            let (old, new) = (recorded.get(key).cloned(), fresh.entries.get(key).cloned());
            let is_cut = fresh.truncated.contains(key);
            let kind = match (&old, &new) {
                (None, _) => Kind::Added,
                (_, None) => Kind::Removed,
                (old, new) if old != new => Kind::Changed,
                _ if is_cut => Kind::Truncated,
                _ => return None,
            };
            let whole = image.meta.properties.get(&property).cloned().filter(|_| kind == Kind::Truncated);
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
