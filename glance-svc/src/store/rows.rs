//! Rows as the database gives them, and what they mean.

use std::collections::BTreeSet;

use chassis::caller::Actor;
use chrono::{DateTime, Utc};
use common::{id::Id, image::Properties};
use serde_json::value::RawValue;
use sqlx::types::Json;

use super::HistoryAccess;
use crate::{
    error::Error,
    image::{
        Image, Status, Visibility,
        history::{Action, Change, Entry, Revision, replay},
        listed::ListedImage,
        member::{Member, MemberStatus},
    },
};

/// A row of `image_records`.
#[derive(sqlx::FromRow)]
pub(super) struct ImageRow {
    id: Id,
    name: String,
    status: String,
    visibility: String,
    owner: String,
    protected: bool,
    os_hidden: bool,
    disk_format: String,
    container_format: String,
    min_ram: i64,
    min_disk: i64,
    size: Option<i64>,
    virtual_size: Option<i64>,
    checksum: String,
    os_hash_algo: String,
    os_hash_value: String,
    data_id: Option<Id>,
    revision: i64,
    create_time: DateTime<Utc>,
    update_time: DateTime<Utc>,
    /// None where they were too large to be read.
    properties: Option<Json<Box<RawValue>>>,
    tags: Json<BTreeSet<String>>,
}

impl ImageRow {
    /// Its id.
    pub(super) const fn id(&self) -> Id {
        self.id
    }

    /// Its revision.
    pub(super) const fn revision(&self) -> i64 {
        self.revision
    }

    /// Whether its properties were read.
    pub(super) const fn is_whole(&self) -> bool {
        self.properties.is_some()
    }

    /// The image without its properties.
    pub(super) fn rest(self) -> Result<Image, Error> {
        Ok(self.parts()?.0)
    }

    /// The image without its properties, and those.
    fn parts(self) -> Result<(Image, Option<Box<RawValue>>), Error> {
        let row = self;
        let corrupt = || Error::Corrupt(row.id);
        let rest = Image {
            id: row.id,
            name: row.name,
            status: Status::from_name(&row.status).ok_or_else(corrupt)?,
            visibility: Visibility::from_name(&row.visibility).ok_or_else(corrupt)?,
            owner: row.owner,
            protected: row.protected,
            os_hidden: row.os_hidden,
            disk_format: row.disk_format,
            container_format: row.container_format,
            min_ram: row.min_ram,
            min_disk: row.min_disk,
            size: row.size,
            virtual_size: row.virtual_size,
            checksum: row.checksum,
            os_hash_algo: row.os_hash_algo,
            os_hash_value: row.os_hash_value,
            data: row.data_id,
            tags: row.tags.0,
            properties: Properties::new(),
            revision: row.revision,
            create_time: row.create_time,
            update_time: row.update_time,
        };
        Ok((rest, row.properties.map(|properties| properties.0)))
    }
}

impl TryFrom<ImageRow> for Image {
    type Error = Error;

    fn try_from(row: ImageRow) -> Result<Self, Error> {
        ListedImage::try_from(row)?.image()
    }
}

impl TryFrom<ImageRow> for ListedImage {
    type Error = Error;

    fn try_from(row: ImageRow) -> Result<Self, Error> {
        let id = row.id;
        let (rest, properties) = row.parts()?;
        // Whoever wants the whole image has read it.
        Ok(Self { rest, properties: properties.ok_or(Error::Corrupt(id))? })
    }
}

/// A row of `image_records`, and whether the image is shared with a project.
#[derive(sqlx::FromRow)]
pub(super) struct SeenRow {
    #[sqlx(flatten)]
    pub(super) image: ImageRow,
    pub(super) is_member: bool,
}

/// A row of `image_members`.
#[derive(sqlx::FromRow)]
pub(super) struct MemberRow {
    image_id: Id,
    member_id: String,
    status: String,
    create_time: DateTime<Utc>,
    update_time: DateTime<Utc>,
}

impl TryFrom<MemberRow> for Member {
    type Error = Error;

    fn try_from(row: MemberRow) -> Result<Self, Error> {
        Ok(Self {
            image_id: row.image_id,
            member_id: row.member_id,
            status: MemberStatus::from_name(&row.status).ok_or(Error::Corrupt(row.image_id))?,
            create_time: row.create_time,
            update_time: row.update_time,
        })
    }
}

/// A row of `image_history`.
#[derive(sqlx::FromRow)]
pub(super) struct RevisionRow {
    image_id: Id,
    revision: i64,
    create_time: DateTime<Utc>,
    user_id: String,
    project_id: String,
    action: String,
    /// None where they were too large to be read.
    changes: Option<Json<Vec<Change>>>,
    owner_before: String,
}

impl RevisionRow {
    /// Whether its changes were read.
    pub(super) const fn is_whole(&self) -> bool {
        self.changes.is_some()
    }
}

impl TryFrom<RevisionRow> for Entry {
    type Error = Error;

    fn try_from(row: RevisionRow) -> Result<Self, Error> {
        let revision = Revision {
            image_id: row.image_id,
            revision: row.revision,
            create_time: row.create_time,
            actor: Actor { user_id: row.user_id, project_id: row.project_id },
            action: Action::from_name(&row.action).ok_or(Error::Corrupt(row.image_id))?,
            changes: row.changes.ok_or(Error::Corrupt(row.image_id))?.0,
        };
        Ok(Self { revision, owner_before: row.owner_before })
    }
}

/// A row of [`HistoryAccess`]; one of a deleted image has no visibility.
#[derive(sqlx::FromRow)]
pub(super) struct PastRow {
    image_id: Id,
    owner: String,
    visibility: Option<String>,
    shared_since: Option<i64>,
}

impl TryFrom<PastRow> for HistoryAccess {
    type Error = Error;

    fn try_from(row: PastRow) -> Result<Self, Error> {
        let known = |name: String| Visibility::from_name(&name).ok_or(Error::Corrupt(row.image_id));
        let visibility = row.visibility.map(known).transpose()?;
        Ok(Self { owner: row.owner, visibility, shared_since: row.shared_since })
    }
}

/// A row of `image_bases`.
#[derive(sqlx::FromRow)]
pub(super) struct BaseRow {
    image_id: Id,
    revision: i64,
    create_time: DateTime<Utc>,
    update_time: DateTime<Utc>,
    changes: Json<Vec<Change>>,
}

impl TryFrom<BaseRow> for Image {
    type Error = Error;

    fn try_from(row: BaseRow) -> Result<Self, Error> {
        let first = Revision {
            image_id: row.image_id,
            revision: row.revision,
            create_time: row.create_time,
            actor: Actor::default(),
            action: Action::Create,
            changes: row.changes.0,
        };
        let image = replay(None, &first).ok_or(Error::Corrupt(row.image_id))?;
        Ok(Self { update_time: row.update_time, ..image })
    }
}
