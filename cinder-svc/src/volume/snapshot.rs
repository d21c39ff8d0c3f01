//! Snapshots of volumes.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use common::{id::Id, named};
use serde::{Deserialize, Serialize};

use super::{Record, Storage, Volume, VolumeFailure};
use crate::error::{Error, check_etag};

mod request;

pub use request::{CreateSnapshot, NewSnapshot, SnapshotReport, SnapshotUpdate};

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

    /// Refuses a request that is about another revision.
    pub fn check_etag(&self, given: &str) -> Result<(), Error> {
        check_etag("snapshot", self.id, given, self.etag())
    }

    /// The time of a change made `now`: never before the last change, which a machine whose clock is ahead may have made.
    #[must_use]
    pub fn later(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.update_time.max(now)
    }

    /// Refuses to copy what has no data.
    pub fn check_copied(&self) -> Result<(), Error> {
        match self.status {
            SnapshotStatus::Available => Ok(()),
            status => Err(Error::SnapshotNotAvailable { id: self.id, status }),
        }
    }

    /// Refuses to revert a volume to it unless it is the `latest` one, has data, and has the volume's size.
    pub fn check_reverted_to(&self, volume: &Volume, latest: Id) -> Result<(), Error> {
        let (id, snapshot_id) = (volume.id, self.id);
        if latest != snapshot_id {
            return Err(Error::NotLatestSnapshot { id, snapshot_id, latest });
        }
        self.check_copied()?;
        if self.size_gib == volume.size_gib {
            return Ok(());
        }
        let (snapshot_gib, size_gib) = (self.size_gib, volume.size_gib);
        Err(Error::SnapshotSize { id, snapshot_id, snapshot_gib, size_gib })
    }

    /// Refuses to delete a snapshot that is being made or deleted.
    pub fn check_deletion(&self) -> Result<(), Error> {
        match self.status {
            SnapshotStatus::Available | SnapshotStatus::Error => Ok(()),
            status => Err(Error::SnapshotBusy { id: self.id, status }),
        }
    }

    /// The snapshot with that status; the last failure is over unless there is a new one.
    #[must_use]
    pub fn with_status(&self, status: SnapshotStatus, last_failure: Option<VolumeFailure>) -> Self {
        Self { status, last_failure, ..self.clone() }
    }
}

impl Volume {
    /// Refuses a snapshot of a volume that has no data now, or whose data change while somebody copies them: only whoever
    /// runs a backend can copy what is in use. `quiesced` means that whoever writes to it has stopped meanwhile.
    pub fn check_snapshot(&self, quiesced: bool) -> Result<(), Error> {
        self.check_copied()?;
        let is_written = !self.attachments.is_empty() && !quiesced;
        if is_written && self.storage.is_own() {
            return Err(Error::VolumeNotQuiesced(self.id));
        }
        Ok(())
    }
}
