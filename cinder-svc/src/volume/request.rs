//! The request to create a volume, before and after it was checked.

use std::collections::BTreeMap;

use common::{
    id::Id,
    image::{Properties, update::PropertyUpdate},
    text,
    violations::Violations,
    volume_image_metadata::check_update,
};
use serde::Serialize;

use super::checks::metadata_violations;

/// A volume to be created, as it was requested.
#[derive(Debug, Clone, Default)]
pub struct NewVolume {
    /// Its name; blanks around it are removed.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Size in GiB; as its source needs it if `None`.
    pub size_gib: Option<i64>,
    /// The image it is made from, by its id.
    pub image_id: Option<String>,
    /// The snapshot it is made from, by its id.
    pub snapshot_id: Option<String>,
    /// The volume it is made from, by its id.
    pub source_volume_id: Option<String>,
    /// The revision of the image; the newest if 0.
    pub image_revision: i64,
    /// Name or id of its volume type, or empty.
    pub volume_type: String,
    /// Its availability zone, or empty.
    pub availability_zone: String,
    /// The owner's own metadata.
    pub metadata: BTreeMap<String, String>,
    /// Image properties in addition to those of the source, or in their place.
    pub image_properties: Properties,
    /// Makes a retry safe; empty for a request that is not repeated.
    pub request_id: String,
    /// Whether nothing is to be written.
    pub validate_only: bool,
}

/// Where the data of a volume comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Source {
    /// Nowhere: all zeros.
    Blank,
    /// An image, at a revision; at the newest if 0.
    Image(Id, i64),
    /// A snapshot.
    Snapshot(Id),
    /// Another volume.
    Volume(Id),
}

/// A request to create a volume that has been checked. Its serialized form identifies a retry and is stored: it must not
/// change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreateVolume {
    /// Its name, without blanks around it.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Size in GiB; as its source needs it if `None`.
    pub size_gib: Option<i32>,
    /// Where its data comes from.
    pub source: Source,
    /// Name or id of its volume type, if requested.
    pub volume_type: Option<String>,
    /// Its availability zone, if requested.
    pub availability_zone: Option<String>,
    /// The owner's own metadata.
    pub metadata: BTreeMap<String, String>,
    /// Image properties in addition to those of the source, or in their place.
    pub image_properties: Properties,
    /// Makes a retry safe.
    #[serde(skip)]
    pub request_id: Option<String>,
    /// Whether nothing is to be written.
    #[serde(skip)]
    pub validate_only: bool,
}

impl NewVolume {
    /// The request, or everything that is wrong with it, in addition to `problems` that were found before.
    pub fn check(self, problems: Violations) -> Result<CreateVolume, Violations> {
        let mut violations = problems;
        let name = self.name.trim().to_owned();
        violations.take("name", text::optional_name(&name));
        violations.take("description", description(&self.description));
        let source = self.source(&mut violations);
        let size_gib = self.size_gib.and_then(|size| violations.take("size_gib", gib(size)));
        if source == Source::Blank && self.size_gib.is_none() {
            violations.add("size_gib", "must be given for a volume without a source");
        }
        violations.take("volume_type", text::optional_name(&self.volume_type));
        violations.take("availability_zone", text::optional_name(&self.availability_zone));
        violations.append(metadata_violations(&self.metadata));
        violations.append(added_properties(&self.image_properties));
        violations.take("request_id", text::optional_name(&self.request_id));
        violations.check()?;
        let given = |text: String| (!text.is_empty()).then_some(text);
        Ok(CreateVolume {
            name,
            description: self.description,
            size_gib,
            source,
            volume_type: given(self.volume_type),
            availability_zone: given(self.availability_zone),
            metadata: self.metadata,
            image_properties: self.image_properties,
            request_id: given(self.request_id),
            validate_only: self.validate_only,
        })
    }

    /// The only source that is named. A malformed one is a violation, and so are two: an edge may read them from
    /// fields that do not exclude each other.
    fn source(&self, violations: &mut Violations) -> Source {
        let named = [
            ("image_id", &self.image_id),
            ("snapshot_id", &self.snapshot_id),
            ("source_volume_id", &self.source_volume_id),
        ];
        let mut source = Source::Blank;
        for (field, text) in named {
            let Some(id) = text.as_ref().and_then(|text| violations.take(field, text.parse::<Id>())) else {
                continue;
            };
            if source != Source::Blank {
                violations
                    .add(field, "is a second source: name an image, a snapshot or a volume, and only one");
            }
            source = match field {
                "image_id" => Source::Image(id, self.image_revision),
                "snapshot_id" => Source::Snapshot(id),
                _ => Source::Volume(id),
            };
        }
        if self.image_revision != 0 && self.image_id.is_none() {
            violations.add("image_revision", "needs image_id");
        }
        if self.image_revision < 0 {
            violations.add("image_revision", "must be a revision, from 1; or 0 for the newest");
        }
        // A malformed source is no blank volume, for which other things would be wrong.
        let is_malformed = || named.iter().any(|(_, text)| text.is_some());
        if source == Source::Blank && is_malformed() {
            Source::Volume(Id::from(common::id::NIL))
        } else {
            source
        }
    }
}

impl CreateVolume {
    /// About how many bytes it has written.
    #[must_use]
    pub fn size(&self) -> usize {
        let entries = self.metadata.iter().chain(&self.image_properties);
        entries.map(|(key, value)| key.len() + value.len()).sum::<usize>() + ROW
    }
}

/// About how many bytes a volume takes on its way to the database, beside its metadata.
const ROW: usize = 1024;

/// The problem with a description; it may have several lines.
pub(crate) fn description(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if length > text::NAME_LIMIT {
        return Err(format!("has {length} characters, at most {} are allowed", text::NAME_LIMIT));
    }
    if text.contains('\0') { Err("must not contain NUL".to_owned()) } else { Ok(()) }
}

/// A size in GiB.
pub(crate) fn gib(size: i64) -> Result<i32, String> {
    let size = i32::try_from(size).ok().filter(|size| *size >= 1);
    size.ok_or_else(|| format!("must be 1 to {} GiB", i32::MAX))
}

/// What is wrong with image properties that are given together with a source.
pub(crate) fn added_properties(properties: &Properties) -> Violations {
    let update = PropertyUpdate { set: properties.clone(), ..PropertyUpdate::default() };
    let mut violations = Violations::default();
    for violation in check_update(&update).listed() {
        violations.add(violation.field.replacen("set[", "image_properties[", 1), violation.problem);
    }
    violations
}
