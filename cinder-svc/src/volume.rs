//! A volume and what it remembers of its image; no gRPC, no SQL.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use common::{id::Id, named};
use serde::{Deserialize, Serialize};

use crate::error::{Error, check_etag};

pub mod access;
pub mod attachment;
pub mod checks;
pub mod history;
mod operation;
mod record;
pub(crate) mod request;
pub mod snapshot;
mod task;
mod transfer;
pub mod volume_type;

pub use attachment::{Attachment, AttachmentStatus, Connection, Mode};
pub use operation::{Operation, Step, TaskState};
pub use record::Record;
pub use request::{CreateVolume, NewVolume, Source};
pub use snapshot::{Snapshot, SnapshotStatus};
pub use task::{Target, Task};
pub use transfer::Transfer;
pub use volume_type::VolumeType;

named! {
    /// What a volume is: whether there is data, and who uses it.
    #[derive(Serialize, Deserialize)]
    Status {
        /// Recorded, without data yet.
        Creating = "creating",
        /// Its data is complete, and nothing uses it.
        Available = "available",
        /// It has attachments, none of which is in use yet.
        Reserved = "reserved",
        /// Something uses it.
        InUse = "in_use",
        /// Offered to another project.
        AwaitingTransfer = "awaiting_transfer",
        /// Could not be created, or its data is no longer usable.
        Error = "error",
        /// Its data is being removed.
        Deleting = "deleting",
    }
}

named! {
    /// Who keeps the data of volumes and snapshots.
    #[derive(Default)]
    Storage {
        /// cinder-svc, as a file in a folder.
        Directory = "directory",
        /// cinder-svc, as objects in a bucket.
        Objects = "objects",
        /// Whatever runs the backend, with `ReportVolumeState`.
        Agent = "agent",
        /// Nobody: there is no data, and each operation completes at once.
        #[default]
        None = "none",
    }
}

impl Storage {
    /// Whether cinder-svc keeps the data itself.
    #[must_use]
    pub const fn is_own(self) -> bool {
        matches!(self, Self::Directory | Self::Objects)
    }

    /// The id of data that is to be made, if cinder-svc keeps it.
    pub(crate) fn new_data(self) -> Option<Id> {
        self.is_own().then(Id::random)
    }
}

/// A volume: its own fields, and the record that it shares with all volumes and snapshots that remember the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    /// Its id.
    pub id: Id,
    /// Its name; may be empty.
    pub name: String,
    /// Its description; may be empty.
    pub description: String,
    /// The project it belongs to.
    pub project_id: String,
    /// The user who created it.
    pub user_id: String,
    /// Size in GiB.
    pub size_gib: i32,
    /// Its volume type.
    pub volume_type_id: Id,
    /// The name of its volume type, as that is now.
    pub volume_type: Arc<str>,
    /// Availability zone.
    pub availability_zone: String,
    /// The owner's own metadata.
    pub metadata: BTreeMap<String, String>,
    /// What it is.
    pub status: Status,
    /// The task in progress.
    pub task: Option<Task>,
    /// The most recent failure, until an operation succeeds.
    pub last_failure: Option<VolumeFailure>,
    /// What it remembers of its image.
    pub record: Arc<Record>,
    /// Whether instances can boot from it.
    pub bootable: bool,
    /// The snapshot that it was created from.
    pub snapshot_id: Option<Id>,
    /// The volume that it is a clone of.
    pub source_volume_id: Option<Id>,
    /// Who uses it, oldest first.
    pub attachments: Vec<Attachment>,
    /// Whether several instances may use it at a time.
    pub multiattach: bool,
    /// Whether instances may only read it.
    pub read_only: bool,
    /// Who keeps its data.
    pub storage: Storage,
    /// Where its data is, as last reported.
    pub host: String,
    /// Its data, where cinder-svc keeps it.
    pub data_id: Option<Id>,
    /// Starts at 1; each change adds 1.
    pub revision: i64,
    /// When it was created.
    pub create_time: DateTime<Utc>,
    /// When it last changed.
    pub update_time: DateTime<Utc>,
}

/// An operation that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeFailure {
    /// The kind of operation; `None` for an attachment.
    pub task_state: Option<TaskState>,
    /// Why, as the reason of an error.
    pub reason: String,
    /// Why, as a sentence, or the message of a report.
    pub message: String,
    /// When.
    pub create_time: DateTime<Utc>,
}

impl Volume {
    /// The etag of this revision, for preconditions (AIP-154).
    #[must_use]
    pub fn etag(&self) -> String {
        format!("{:x}-{}", self.id.as_uuid().as_u64_pair().1, self.revision)
    }

    /// Refuses a request that is about another revision.
    pub fn check_etag(&self, given: &str) -> Result<(), Error> {
        check_etag("volume", self.id, given, self.etag())
    }

    /// The time of a change made `now`: never before the last change, which a machine whose clock is ahead may have made.
    #[must_use]
    pub fn later(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.update_time.max(now)
    }

    /// The task in progress.
    #[must_use]
    pub fn task_state(&self) -> Option<TaskState> {
        self.task.as_ref().map(|task| task.state)
    }

    /// Refuses a volume whose data cannot be copied now: there are none, or they are being replaced.
    pub(crate) fn check_copied(&self) -> Result<(), Error> {
        use TaskState::{Reimaging, Reverting, Writing};
        let has_data = matches!(self.status, Status::Available | Status::InUse);
        let is_replaced = matches!(self.task_state(), Some(Reimaging | Reverting | Writing));
        if has_data && !is_replaced {
            return Ok(());
        }
        Err(Error::SourceNotAvailable { id: self.id, status: self.status, task_state: self.task_state() })
    }

    /// What its status is by its attachments alone: [`Status::Available`], [`Status::Reserved`] or [`Status::InUse`].
    #[must_use]
    pub fn status_by_attachments(&self) -> Status {
        attachment::status_of(&self.attachments)
    }
}
