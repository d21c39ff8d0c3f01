//! Edits of the image metadata of a volume: properties follow the rules of images, attributes are read-only.

use super::{VolumeImageMetadata, flat::ATTRIBUTES};
use crate::{
    image::{
        Properties,
        inheritance::is_encryption_key,
        properties::{COUNT_LIMIT, Excess, check_growth, check_name},
        update::PropertyUpdate,
    },
    text,
    violations::Violations,
};

/// Everything that is wrong with an update of the properties of a volume: whatever would be wrong for an image, and
/// setting one of [`ATTRIBUTES`] or an encryption key. A property of such a name that came from the image can be
/// removed.
#[must_use]
pub fn check_update(update: &PropertyUpdate) -> Violations {
    let mut violations = update.check();
    // Names that are reserved in images as well have been reported already.
    for name in update.set.keys().filter(|name| check_name(name).is_ok()) {
        violations.take(&text::map_key("set", name), editable(name));
    }
    violations
}

/// The metadata after `update`. Refuses only growth beyond the limits of an image.
pub fn edited(before: &VolumeImageMetadata, update: &PropertyUpdate) -> Result<VolumeImageMetadata, Excess> {
    let mut after = before.clone();
    update.apply(&mut after.properties);
    check_growth(&before.properties, &after.properties, Some(COUNT_LIMIT))?;
    Ok(after)
}

/// Cinder's `os-set_image_metadata`: the update that sets `entries` of the flat list. Entries that are unchanged are
/// ignored, whatever their names, so that clients can send back the whole list; an attribute cannot get another value,
/// which Cinder allows.
pub fn set_flat(before: &VolumeImageMetadata, entries: &Properties) -> Result<PropertyUpdate, Violations> {
    let shown = before.flat().entries;
    let set = entries.iter().filter(|(name, value)| shown.get(*name) != Some(value));
    let set = set.map(|(name, value)| (name.clone(), value.clone())).collect();
    let update = PropertyUpdate { set, ..PropertyUpdate::default() };
    check_update(&update).check().map(|()| update)
}

/// Cinder's `os-unset_image_metadata`: the update that removes entry `key` of the flat list; `None` if there is no such
/// entry.
pub fn unset_flat(before: &VolumeImageMetadata, key: &str) -> Result<Option<PropertyUpdate>, Violations> {
    let is_attribute = |image: &super::SourceImage| {
        image.attributes().iter().any(|(name, value)| *name == key && value.is_some())
    };
    if before.image.as_ref().is_some_and(is_attribute) {
        return Err(Violations::one(text::map_key("key", key), READ_ONLY));
    }
    let is_there = before.properties.contains_key(key);
    let remove = [key.to_owned()].into();
    Ok(is_there.then(|| PropertyUpdate { remove, ..PropertyUpdate::default() }))
}

const READ_ONLY: &str = "is an attribute of the image that the data came from, and cannot be changed";

fn editable(name: &str) -> Result<(), &'static str> {
    if ATTRIBUTES.contains(&name) {
        return Err(READ_ONLY);
    }
    if is_encryption_key(name) {
        return Err("names an encryption key, which cannot be a property of a volume");
    }
    Ok(())
}
