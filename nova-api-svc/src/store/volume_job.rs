//! A volume job as plain data, and as a row.

use std::time::Duration;

use chassis::{
    caller::Caller,
    db,
    outbox::{DueJob, Job},
};
use chrono::{DateTime, Utc};
use common::id::Id;
use serde::{Deserialize, Serialize};

use crate::instance::block_device::Mapping;

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
    /// Another one, whose place that was to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_attachment_id: Option<Id>,
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
    /// It is somebody's, and may have been reserved by this request.
    Reserved {
        /// The volume.
        volume_id: Id,
        /// The id of the request.
        request_id: String,
    },
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

    fn read(action: &str, volumes: &str) -> Option<Self> {
        match action {
            ATTACH => Some(Self::Attach),
            REMOVE => Some(Self::Remove(serde_json::from_str(volumes).ok()?)),
            _ => None,
        }
    }
}

impl VolumeJob {
    /// A job for an instance. Whoever writes it does it within `lease`, if there is one.
    #[must_use]
    pub fn new(
        instance_id: Id,
        action: VolumeAction,
        caller: &Caller,
        create_time: DateTime<Utc>,
        lease: Duration,
    ) -> Self {
        let (id, caller, attempts) = (Id::random(), caller.clone(), i64::from(!lease.is_zero()));
        Self { id, instance_id, action, caller, create_time, attempts, lease }
    }

    /// As a [`DueJob`] names it.
    #[must_use]
    pub const fn due(&self) -> DueJob {
        DueJob { id: self.id, attempts: self.attempts }
    }
}

impl Job for VolumeJob {
    type Row = (Id, Id, String, String, String, String, String, DateTime<Utc>, i64);

    fn read(row: Self::Row) -> Result<Self, db::Error> {
        let (id, instance_id, action, volumes, user_id, project_id, roles, create_time, attempts) = row;
        let action = VolumeAction::read(&action, &volumes)
            .ok_or_else(|| db::Error::decode(format!("volume job {id} makes no sense")))?;
        let (caller, lease) = (Caller::stored(user_id, project_id, &roles), Duration::ZERO);
        Ok(Self { id, instance_id, action, caller, create_time, attempts, lease })
    }
}
