//! What a volume was at each revision, and what changed from one to the next.

use std::{collections::BTreeMap, sync::Arc};

use common::{
    id::Id,
    image::change::{Change, Subject},
    volume_image_metadata::{VolumeImageMetadata, changes as image_changes},
};
use serde::{Deserialize, Serialize};

use super::{Record, Status, Storage, Volume};

/// A volume's own attributes and metadata at a revision. Its serialized form is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the field of Volume with that name")]
pub struct Attributes {
    pub name: String,
    pub description: String,
    pub project_id: String,
    pub user_id: String,
    pub size_gib: i32,
    pub volume_type_id: Id,
    pub volume_type: Arc<str>,
    pub availability_zone: String,
    pub metadata: BTreeMap<String, String>,
    pub bootable: bool,
    pub multiattach: bool,
    pub read_only: bool,
    pub snapshot_id: Option<Id>,
    pub source_volume_id: Option<Id>,
    pub storage: String,
}

/// A volume at a revision.
#[derive(Debug, Clone, PartialEq)]
pub struct PastVolume {
    /// Its own attributes and metadata.
    pub attributes: Attributes,
    /// What it was.
    pub status: Status,
    /// What it remembered of its image.
    pub record: Arc<Record>,
}

/// The change of one attribute, item of metadata or image property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeChange {
    /// What changed.
    pub subject: VolumeSubject,
    /// The value before, if there was one.
    pub old: Option<String>,
    /// The value after, if there is one.
    pub new: Option<String>,
}

/// What of a volume changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeSubject {
    /// An attribute, by the name of its field in `cinder.v1.Volume`.
    Attribute(String),
    /// An item of metadata.
    Metadata(String),
    /// An image property.
    ImageProperty(String),
}

impl From<&Volume> for Attributes {
    fn from(volume: &Volume) -> Self {
        Self {
            name: volume.name.clone(),
            description: volume.description.clone(),
            project_id: volume.project_id.clone(),
            user_id: volume.user_id.clone(),
            size_gib: volume.size_gib,
            volume_type_id: volume.volume_type_id,
            volume_type: Arc::clone(&volume.volume_type),
            availability_zone: volume.availability_zone.clone(),
            metadata: volume.metadata.clone(),
            bootable: volume.bootable,
            multiattach: volume.multiattach,
            read_only: volume.read_only,
            snapshot_id: volume.snapshot_id,
            source_volume_id: volume.source_volume_id,
            storage: volume.storage.as_str().to_owned(),
        }
    }
}

impl Attributes {
    /// Who kept its data.
    #[must_use]
    pub fn storage(&self) -> Storage {
        Storage::from_name(&self.storage).unwrap_or_default()
    }

    /// The attributes that can change, by name; one that is empty is absent.
    fn named(&self) -> BTreeMap<&'static str, String> {
        let optional = |id: Option<Id>| id.map(|id| id.to_string()).unwrap_or_default();
        let named = BTreeMap::from([
            ("availability_zone", self.availability_zone.clone()),
            ("bootable", self.bootable.to_string()),
            ("description", self.description.clone()),
            ("multiattach", self.multiattach.to_string()),
            ("name", self.name.clone()),
            ("project_id", self.project_id.clone()),
            ("read_only", self.read_only.to_string()),
            ("size_gib", self.size_gib.to_string()),
            ("snapshot_id", optional(self.snapshot_id)),
            ("source_volume_id", optional(self.source_volume_id)),
            ("user_id", self.user_id.clone()),
            ("volume_type", self.volume_type.to_string()),
        ]);
        named.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }
}

/// What changed from `old`, which is `None` for a creation, to `new`: attributes, then metadata, then image properties,
/// each sorted by name.
#[must_use]
pub fn changes(old: Option<&PastVolume>, new: &PastVolume) -> Vec<VolumeChange> {
    let nothing = BTreeMap::new();
    let attributes = |volume: &PastVolume| -> BTreeMap<String, String> {
        let named = volume.attributes.named();
        named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    let before = old.map(attributes).unwrap_or_default();
    let own = differences(&before, &attributes(new), VolumeSubject::Attribute);
    let metadata = old.map_or(&nothing, |old| &old.attributes.metadata);
    let metadata = differences(metadata, &new.attributes.metadata, VolumeSubject::Metadata);
    let unknown = VolumeImageMetadata::default();
    let remembered = old.map_or(&unknown, |old| &old.record.metadata);
    let (mut attributes, properties): (Vec<_>, Vec<_>) = image_changes(remembered, &new.record.metadata)
        .into_iter()
        .map(VolumeChange::from)
        .partition(|change| matches!(change.subject, VolumeSubject::Attribute(_)));
    attributes.extend(own);
    attributes.sort_by(|a, b| a.name().cmp(b.name()));
    attributes.into_iter().chain(metadata).chain(properties).collect()
}

/// The entries that differ, sorted by key.
fn differences(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    subject: fn(String) -> VolumeSubject,
) -> Vec<VolumeChange> {
    let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let change = |key: &String| {
        let (old, new) = (old.get(key).cloned(), new.get(key).cloned());
        (old != new).then(|| VolumeChange { subject: subject(key.clone()), old, new })
    };
    keys.into_iter().filter_map(change).collect()
}

impl VolumeChange {
    fn name(&self) -> &str {
        match &self.subject {
            VolumeSubject::Attribute(name)
            | VolumeSubject::Metadata(name)
            | VolumeSubject::ImageProperty(name) => name,
        }
    }
}

impl From<Change> for VolumeChange {
    fn from(Change { subject, old, new }: Change) -> Self {
        let subject = match subject {
            Subject::Attribute(name) => VolumeSubject::Attribute(name),
            Subject::Property(name) => VolumeSubject::ImageProperty(name),
        };
        Self { subject, old, new }
    }
}
