//! Images as they are read for a batch, and the rows that it writes.

use std::collections::BTreeSet;

use chassis::db::{Many, as_text};
use chrono::{DateTime, Utc};
use common::{id::Id, image::Properties};
use serde::Serialize;
use sqlx::types::Json;

use super::{
    super::rows::ImageRow,
    drafts::{Base, Draft, Drafts},
};
use crate::image::{
    Image,
    history::{Change, Revision},
};

/// A row of `image_records` that is locked.
#[derive(sqlx::FromRow)]
pub(super) struct LockedRow {
    #[sqlx(flatten)]
    pub(super) image: ImageRow,
    /// The projects it is shared with, of those that were asked for.
    pub(super) members: Json<BTreeSet<String>>,
    locked_revision: i64,
}

impl LockedRow {
    /// Whether the image changed after it was read and before it was locked.
    pub(super) const fn is_outdated(&self) -> bool {
        self.image.revision() != self.locked_revision
    }
}

/// All that a batch writes. What several edits made of an image is written once, but for its history.
pub(super) struct Rows<'a> {
    /// The images that change.
    pub(super) ids: Many<Id>,
    /// Their new revisions.
    pub(super) images: Vec<ImageTo<'a>>,
    /// The attributes of those whose attributes change.
    pub(super) attributes: Vec<AttributesTo<'a>>,
    /// Properties that get a value.
    pub(super) set: Vec<PropertyTo<'a>>,
    /// Properties that go.
    pub(super) removed: Vec<PropertyTo<'a>>,
    /// Tags that come.
    pub(super) tagged: Vec<TagTo<'a>>,
    /// Tags that go.
    pub(super) untagged: Vec<TagTo<'a>>,
    /// History.
    pub(super) revisions: Vec<RevisionTo<'a>>,
    /// Whole images beside it.
    pub(super) bases: Vec<BaseTo<'a>>,
}

/// The part of a row of `images` that every edit changes, and the row of `image_documents`.
#[derive(Serialize)]
pub(super) struct ImageTo<'a> {
    id: &'a Id,
    revision: i64,
    properties: &'a Properties,
    #[serde(serialize_with = "as_text")]
    update_time: DateTime<Utc>,
}

/// The rest of a row of `images`, but for what never changes.
#[derive(Serialize)]
pub(super) struct AttributesTo<'a> {
    id: &'a Id,
    name: &'a str,
    status: &'static str,
    visibility: &'static str,
    owner: &'a str,
    protected: bool,
    os_hidden: bool,
    disk_format: &'a str,
    container_format: &'a str,
    min_ram: i64,
    min_disk: i64,
    size: Option<i64>,
    virtual_size: Option<i64>,
    checksum: &'a str,
    os_hash_algo: &'a str,
    os_hash_value: &'a str,
    data_id: Option<Id>,
}

/// A row of `image_properties`; one that goes has no value.
#[derive(Serialize)]
pub(super) struct PropertyTo<'a> {
    image_id: &'a Id,
    name: &'a str,
    value: Option<&'a str>,
    #[serde(serialize_with = "as_text")]
    image_create_time: DateTime<Utc>,
}

impl<'a> PropertyTo<'a> {
    fn of(image: &'a Image, name: &'a str, value: Option<&'a str>) -> Self {
        Self { image_id: &image.id, name, value, image_create_time: image.create_time }
    }
}

/// A row of `image_tags`.
#[derive(Serialize)]
pub(super) struct TagTo<'a> {
    image_id: &'a Id,
    tag: &'a str,
    #[serde(serialize_with = "as_text")]
    image_create_time: DateTime<Utc>,
}

impl<'a> TagTo<'a> {
    fn of(image: &'a Image, tag: &'a str) -> Self {
        Self { image_id: &image.id, tag, image_create_time: image.create_time }
    }
}

/// A row of `image_revisions`.
#[derive(Serialize)]
pub(super) struct RevisionTo<'a> {
    image_id: &'a Id,
    revision: i64,
    #[serde(serialize_with = "as_text")]
    create_time: DateTime<Utc>,
    user_id: &'a str,
    project_id: &'a str,
    action: &'static str,
    changes: &'a [Change],
}

/// A row of `image_bases`.
#[derive(Serialize)]
pub(super) struct BaseTo<'a> {
    image_id: &'a Id,
    revision: i64,
    #[serde(serialize_with = "as_text")]
    create_time: DateTime<Utc>,
    #[serde(serialize_with = "as_text")]
    update_time: DateTime<Utc>,
    changes: &'a [Change],
}

impl<'a> Rows<'a> {
    pub(super) fn of(drafts: &'a Drafts) -> Self {
        let with_attributes = drafts.changed().filter(|draft| draft.has_new_attributes);
        Self {
            ids: Many(drafts.changed().map(|draft| draft.image.id).collect()),
            images: drafts.changed().map(ImageTo::from).collect(),
            attributes: with_attributes.map(AttributesTo::from).collect(),
            set: drafts.changed().flat_map(PropertyTo::set).collect(),
            removed: drafts.changed().flat_map(PropertyTo::removed).collect(),
            tagged: drafts.changed().flat_map(TagTo::added).collect(),
            untagged: drafts.changed().flat_map(TagTo::removed).collect(),
            revisions: drafts.revisions.iter().map(RevisionTo::from).collect(),
            bases: drafts.bases.iter().map(BaseTo::from).collect(),
        }
    }
}

impl<'a> From<&'a Base> for BaseTo<'a> {
    fn from(Base { image, changes }: &'a Base) -> Self {
        let Image { id, revision, create_time, update_time, .. } = image;
        Self {
            image_id: id,
            revision: *revision,
            create_time: *create_time,
            update_time: *update_time,
            changes,
        }
    }
}

impl<'a> From<&'a Draft> for ImageTo<'a> {
    fn from(Draft { image, .. }: &'a Draft) -> Self {
        let Image { id, revision, update_time, properties, .. } = image;
        Self { id, revision: *revision, update_time: *update_time, properties }
    }
}

impl<'a> From<&'a Draft> for AttributesTo<'a> {
    fn from(Draft { image, .. }: &'a Draft) -> Self {
        Self {
            id: &image.id,
            name: &image.name,
            status: image.status.as_str(),
            visibility: image.visibility.as_str(),
            owner: &image.owner,
            protected: image.protected,
            os_hidden: image.os_hidden,
            disk_format: &image.disk_format,
            container_format: &image.container_format,
            min_ram: image.min_ram,
            min_disk: image.min_disk,
            size: image.size,
            virtual_size: image.virtual_size,
            checksum: &image.checksum,
            os_hash_algo: &image.os_hash_algo,
            os_hash_value: &image.os_hash_value,
            data_id: image.data,
        }
    }
}

impl<'a> PropertyTo<'a> {
    fn set(Draft { before, image, .. }: &'a Draft) -> impl Iterator<Item = Self> {
        let is_new = |(name, value): &(&String, &String)| before.properties.get(*name) != Some(*value);
        let row = |(name, value): (&'a String, &'a String)| Self::of(image, name, Some(value));
        image.properties.iter().filter(is_new).map(row)
    }

    fn removed(Draft { before, image, .. }: &'a Draft) -> impl Iterator<Item = Self> {
        let gone = before.properties.keys().filter(|name| !image.properties.contains_key(*name));
        gone.map(|name| Self::of(image, name, None))
    }
}

impl<'a> TagTo<'a> {
    fn added(Draft { before, image, .. }: &'a Draft) -> impl Iterator<Item = Self> {
        image.tags.difference(&before.tags).map(|tag| Self::of(image, tag))
    }

    fn removed(Draft { before, image, .. }: &'a Draft) -> impl Iterator<Item = Self> {
        before.tags.difference(&image.tags).map(|tag| Self::of(image, tag))
    }
}

impl<'a> From<&'a Revision> for RevisionTo<'a> {
    fn from(revision: &'a Revision) -> Self {
        Self {
            image_id: &revision.image_id,
            revision: revision.revision,
            create_time: revision.create_time,
            user_id: &revision.actor.user_id,
            project_id: &revision.actor.project_id,
            action: revision.action.as_str(),
            changes: &revision.changes,
        }
    }
}
