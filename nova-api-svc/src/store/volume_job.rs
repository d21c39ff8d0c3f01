//! A volume job as plain data, and as a row.

use std::time::Duration;

use chassis::caller::Caller;
use chrono::{DateTime, Utc};
use common::id::Id;
use serde::{Deserialize, Serialize};

use super::job::caller;
use crate::{error::Error, instance::block_device::Mapping};

pub(super) const ATTACH: &str = "attach";
pub(super) const REMOVE: &str = "remove";

/// Something that cinder-svc has to do for an instance.
#[derive(Debug, Clone)]
pub struct VolumeJob {
    /// Its id.
    pub id: Id,
    /// The instance, which may have been deleted, or may never come to be.
    pub instance_id: Id,
    /// What is to be done.
    pub action: VolumeAction,
    /// On whose behalf.
    pub caller: Caller,
    /// When it became necessary.
    pub create_time: DateTime<Utc>,
    /// How often it was begun, including by whoever writes it.
    pub attempts: i64,
    /// How long others leave it alone after it was written.
    pub lease: Duration,
}

/// A volume job that nobody is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct DueVolumeJob {
    /// Its id.
    pub id: Id,
    /// How often it was begun.
    pub attempts: i64,
}

/// What cinder-svc has to do for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeAction {
    /// Hold the volumes of the instance for it, and end those attachments that are being detached.
    Attach,
    /// Take back what was created and reserved for it.
    Remove(Vec<Removal>),
}

/// A volume that an instance no longer uses. Its serialized form is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// The volume.
    pub volume: RemovedVolume,
    /// The attachment to be ended.
    pub attachment_id: Option<Id>,
    /// Whether the volume is to be deleted.
    pub delete: bool,
}

/// A volume to be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovedVolume {
    /// It exists, or did.
    Known(Id),
    /// It may have been created by this request.
    Requested(Box<VolumeRequest>),
}

/// A request to create a volume. Repeating it gives the same volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRequest {
    /// Its id.
    pub request_id: String,
    /// The disk that the volume is for.
    pub mapping: Mapping,
    /// The revision of the image, if that is the source.
    pub image_revision: i64,
}

impl VolumeAction {
    pub(super) fn columns(&self) -> (&'static str, String) {
        let volumes = |volumes: &[Removal]| serde_json::to_string(volumes).expect("volumes are plain data");
        match self {
            Self::Attach => (ATTACH, volumes(&[])),
            Self::Remove(removals) => (REMOVE, volumes(removals)),
        }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct VolumeJobRow {
    id: Id,
    instance_id: Id,
    action: String,
    volumes: String,
    user_id: String,
    project_id: String,
    roles: String,
    create_time: DateTime<Utc>,
    attempts: i64,
}

impl VolumeJobRow {
    pub(super) fn job(self) -> Result<VolumeJob, Error> {
        let corrupt = |_| Error::Corrupt(self.instance_id);
        let action = match self.action.as_str() {
            ATTACH => VolumeAction::Attach,
            REMOVE => VolumeAction::Remove(serde_json::from_str(&self.volumes).map_err(corrupt)?),
            _ => return Err(Error::Corrupt(self.instance_id)),
        };
        Ok(VolumeJob {
            id: self.id,
            instance_id: self.instance_id,
            action,
            caller: caller(self.user_id, self.project_id, &self.roles),
            create_time: self.create_time,
            attempts: self.attempts,
            lease: Duration::ZERO,
        })
    }
}
