//! The history of an image: the difference of two states, and a state rebuilt from differences.

use chassis::caller::Actor;
use chrono::{DateTime, Utc};
pub use common::image::change::{Change, Subject};
use common::{
    id::Id,
    image::{Properties, change::property_changes},
};

use super::{Attribute, Image, Status};

/// What was done to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was registered.
    Create,
    /// Attributes or properties changed.
    Update,
    /// It was deleted.
    Delete,
}

/// A revision: everything that changed at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The image.
    pub image_id: Id,
    /// The image's revision after the change.
    pub revision: i64,
    /// When it was made.
    pub create_time: DateTime<Utc>,
    /// Who made it.
    pub actor: Actor,
    /// What was done.
    pub action: Action,
    /// What changed, sorted by name.
    pub changes: Vec<Change>,
}

/// A revision, and who owned the image before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The revision.
    pub revision: Revision,
    /// The project that owned the image before this revision, or empty.
    pub owner_before: String,
}

impl Action {
    /// Its name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// The action of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete].into_iter().find(|action| action.as_str() == name)
    }
}

impl Revision {
    /// The part of it for callers who must not see the image as it was before.
    #[must_use]
    pub fn without_before(mut self) -> Self {
        self.changes.retain(|change| change.new.is_some());
        for change in &mut self.changes {
            change.old = None;
        }
        self
    }
}

/// The deletion of an image.
#[must_use]
pub fn deletion(status: Status) -> Change {
    Change {
        subject: Subject::Attribute(Attribute::Status.name().to_owned()),
        old: Some(status.to_string()),
        new: Some(Status::Deleted.to_string()),
    }
}

/// The changes from `image`, or from nothing, to `next`: attributes, then properties, each sorted by name.
#[must_use]
pub fn changes(image: Option<&Image>, next: &Image) -> Vec<Change> {
    let attributes = Attribute::ALL.into_iter().filter_map(|attribute| {
        let old = image.and_then(|image| attribute.read(image));
        Change::of_attribute(attribute.name(), old, attribute.read(next))
    });
    let none = Properties::new();
    let before = image.map_or(&none, |image| &image.properties);
    attributes.chain(property_changes(before, &next.properties)).collect()
}

/// Applies `revision` to the image `before` it, which is `None` for the first revision. Returns `None` if a change is
/// malformed.
#[must_use]
pub fn replay(before: Option<Image>, revision: &Revision) -> Option<Image> {
    let mut image = before.unwrap_or_else(|| Image::blank(revision.image_id, revision.create_time));
    for change in &revision.changes {
        match &change.subject {
            Subject::Attribute(name) => {
                Attribute::from_name(name)?.write(&mut image, change.new.as_deref())?;
            }
            Subject::Property(name) => match &change.new {
                Some(value) => drop(image.properties.insert(name.clone(), value.clone())),
                None => drop(image.properties.remove(name)),
            },
        }
    }
    image.revision = revision.revision;
    image.update_time = revision.create_time;
    Some(image)
}
