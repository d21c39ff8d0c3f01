//! Snapshots of volumes.

use chassis::{caller::Caller, deadline::Deadline};
use common::{id::Id, volume_image_metadata::VolumeImageMetadata};
use proto::cinder::v1 as pb;

use super::{Cinder, Error, Resource, Services, read};

/// A snapshot of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub id: Id,
    /// Its volume.
    pub volume_id: Id,
    /// Size of the volume at that moment, in GiB.
    pub size_gib: i32,
    /// Its status, such as `AVAILABLE`.
    pub status: &'static str,
    /// Whether the volume was bootable.
    pub bootable: bool,
    /// What the volume remembered of its image at that moment.
    pub image_metadata: VolumeImageMetadata,
}

/// A snapshot to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSnapshot {
    /// The volume.
    pub volume_id: Id,
    /// The snapshot's name; may be empty.
    pub name: String,
    /// Whether whoever writes to the volume has stopped meanwhile.
    pub quiesced: bool,
    /// Makes a retry safe.
    pub request_id: String,
}

impl Cinder {
    /// A snapshot.
    pub async fn snapshot(
        &self,
        id: Id,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Snapshot, Error> {
        let message = pb::GetSnapshotRequest { id: id.to_string() };
        let method = |mut to: Services, request| async move { to.snapshots.get_snapshot(request).await };
        let answer = self.call((Resource::Snapshot, id), message, caller, deadline, method).await?;
        let snapshot = read::snapshot(answer).filter(|snapshot| snapshot.id == id);
        snapshot.ok_or(Error::Answer(None))
    }

    /// Takes a snapshot, or returns the one that an earlier call with the same request id took.
    pub async fn create_snapshot(
        &self,
        new: &NewSnapshot,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Snapshot, Error> {
        let message = pb::CreateSnapshotRequest {
            volume_id: new.volume_id.to_string(),
            name: new.name.clone(),
            quiesced: new.quiesced,
            request_id: new.request_id.clone(),
            ..pb::CreateSnapshotRequest::default()
        };
        let method = |mut to: Services, request| async move { to.snapshots.create_snapshot(request).await };
        let about = (Resource::Volume, new.volume_id);
        read::snapshot(self.call(about, message, caller, deadline, method).await?).ok_or(Error::Answer(None))
    }

    /// Deletes a snapshot; [`Error::NotFound`] if it is gone.
    pub async fn delete_snapshot(
        &self,
        id: Id,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<(), Error> {
        let message =
            pb::DeleteSnapshotRequest { id: id.to_string(), ..pb::DeleteSnapshotRequest::default() };
        let method = |mut to: Services, request| async move { to.snapshots.delete_snapshot(request).await };
        self.call((Resource::Snapshot, id), message, caller, deadline, method).await
    }
}
