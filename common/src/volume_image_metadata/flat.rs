//! The flat list of strings that Cinder stores, and shows as `volume_image_metadata`.

use std::collections::{BTreeMap, BTreeSet};

use super::{SourceImage, VolumeImageMetadata};
use crate::image::Properties;

/// The names of base attributes in the flat list, sorted.
pub const ATTRIBUTES: [&str; 8] =
    ["checksum", "container_format", "disk_format", "image_id", "image_name", "min_disk", "min_ram", "size"];

/// The image metadata of a volume as Cinder's API shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flat {
    /// Attributes and properties, all as text.
    pub entries: BTreeMap<String, String>,
    /// Names of properties that are not shown, because an attribute with a different value has the same name. The
    /// volume still has them; Cinder overwrites them.
    pub hidden: BTreeSet<String>,
}

impl VolumeImageMetadata {
    /// The flat list: properties and base attributes, which take precedence over properties of the same name. Absent
    /// attributes and an empty name have no entry, nor has the revision, for which Cinder has no name.
    #[must_use]
    pub fn flat(&self) -> Flat {
        let mut flat = Flat { entries: self.properties.clone(), hidden: BTreeSet::new() };
        let attributes = self.image.as_ref().map(SourceImage::attributes).into_iter().flatten();
        for (name, value) in attributes {
            let Some(value) = value else { continue };
            let property = flat.entries.insert(name.to_owned(), value.clone());
            if property.is_some_and(|property| property != value) {
                flat.hidden.insert(name.to_owned());
            }
        }
        flat
    }

    /// Reads a flat list, as stored by Cinder or returned by [`VolumeImageMetadata::flat`], of an image at `revision`
    /// (0 if unknown). An entry with the name of an attribute but not a valid value stays a property, so that nothing
    /// is lost and [`VolumeImageMetadata::flat`] returns `entries` again. Without a valid `image_id`, all entries are
    /// properties.
    #[must_use]
    pub fn from_flat(entries: &BTreeMap<String, String>, revision: i64) -> Self {
        let id = entries.get("image_id").and_then(|text| {
            let id: crate::id::Id = text.parse().ok()?;
            (id.to_string() == *text).then_some(id)
        });
        let Some(id) = id else { return Self { image: None, properties: entries.clone() } };
        let mut properties = entries.clone();
        properties.remove("image_id");
        let image = SourceImage {
            id,
            revision,
            name: take_name(&mut properties),
            disk_format: properties.remove("disk_format"),
            container_format: properties.remove("container_format"),
            checksum: properties.remove("checksum"),
            min_disk: take_number(&mut properties, "min_disk"),
            min_ram: take_number(&mut properties, "min_ram"),
            size: take_number(&mut properties, "size"),
        };
        Self { image: Some(image), properties }
    }
}

impl SourceImage {
    /// The attributes, by their names in the flat list.
    pub(super) fn attributes(&self) -> [(&'static str, Option<String>); 8] {
        let number = |number: Option<i64>| number.map(|number| number.to_string());
        [
            ("checksum", self.checksum.clone()),
            ("container_format", self.container_format.clone()),
            ("disk_format", self.disk_format.clone()),
            ("image_id", Some(self.id.to_string())),
            ("image_name", Some(self.name.clone()).filter(|name| !name.is_empty())),
            ("min_disk", number(self.min_disk)),
            ("min_ram", number(self.min_ram)),
            ("size", number(self.size)),
        ]
    }
}

/// Removes and returns the name. An empty entry stays a property, since an empty name has no entry.
fn take_name(entries: &mut Properties) -> String {
    let is_empty = entries.get("image_name").is_some_and(String::is_empty);
    if is_empty { None } else { entries.remove("image_name") }.unwrap_or_default()
}

/// Removes and returns an entry that is a number in the form in which `flat` writes it.
fn take_number(entries: &mut Properties, name: &str) -> Option<i64> {
    let number: i64 = entries.get(name)?.parse().ok()?;
    if number < 0 || number.to_string() != entries[name] {
        return None;
    }
    entries.remove(name);
    Some(number)
}
