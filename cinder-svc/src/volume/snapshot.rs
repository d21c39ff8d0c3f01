//! Snapshots of volumes.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use common::{id::Id, named};
use serde::{Deserialize, Serialize};

use super::{Record, Storage, VolumeFailure};

named! {
    /// What a snapshot is.
    #[derive(Serialize, Deserialize)]
    SnapshotStatus {
        /// Recorded, without data yet.
        Creating = "creating",
        /// Its data is complete.
        Available = "available",
        /// Could not be taken, or its data is no longer usable.
        Error = "error",
        /// Its data is being removed.
        Deleting = "deleting",
    }
}

/// A snapshot of a volume, with what the volume remembered of its image at that moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Its id.
    pub id: Id,
    /// Its volume.
    pub volume_id: Id,
    /// Its name; may be empty.
    pub name: String,
    /// Its description; may be empty.
    pub description: String,
    /// The project it belongs to.
    pub project_id: String,
    /// The user who created it.
    pub user_id: String,
    /// Size of the volume at that moment, in GiB.
    pub size_gib: i32,
    /// The volume's type at that moment.
    pub volume_type_id: Id,
    /// The owner's own metadata.
    pub metadata: BTreeMap<String, String>,
    /// What it is.
    pub status: SnapshotStatus,
    /// The most recent failure, until an operation succeeds.
    pub last_failure: Option<VolumeFailure>,
    /// What it remembers of the image that its data came from.
    pub record: Arc<Record>,
    /// Whether the volume was bootable.
    pub bootable: bool,
    /// Who keeps its data.
    pub storage: Storage,
    /// Its data, where cinder-svc keeps it.
    pub data_id: Option<Id>,
    /// Starts at 1; each change adds 1.
    pub revision: i64,
    /// When it was created.
    pub create_time: DateTime<Utc>,
    /// When it last changed.
    pub update_time: DateTime<Utc>,
}

impl Snapshot {
    /// The etag of this revision, for preconditions (AIP-154).
    #[must_use]
    pub fn etag(&self) -> String {
        format!("{:x}-{}", self.id.as_uuid().as_u64_pair().1, self.revision)
    }
}
