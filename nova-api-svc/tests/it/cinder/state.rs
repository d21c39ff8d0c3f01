//! What it keeps, and how that changes.

use std::collections::{BTreeMap, BTreeSet};

use common::id::Id;
use proto::cinder::v1::{
    self as pb, Attachment, Snapshot, Volume, attachment::Status as Attached, create_volume_request::Source,
    snapshot::Status as Taken, volume::Status as Is,
};
use tonic::{Code, Status};

use super::{Mood, gone, refused};

/// The volumes, snapshots and attachments of the service, by their ids.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
    pub(crate) attachments: BTreeMap<String, Attachment>,
    /// Every request to create a volume, and the volume that it created.
    pub(crate) created: Vec<(pb::CreateVolumeRequest, String)>,
    /// Attachments by the ids of their requests.
    reserved: BTreeMap<String, String>,
    /// Every request to take a snapshot, and the snapshot.
    pub(crate) taken: Vec<(pb::CreateSnapshotRequest, String)>,
    /// The ids of requests to reimage a volume.
    reimaged: BTreeSet<String>,
    pub(super) mood: Mood,
}

impl State {
    pub(super) fn add(&mut self, mut volume: Volume) -> Volume {
        if volume.id.is_empty() {
            volume.id = Id::random().to_string();
        }
        (volume.revision, volume.size_gib) = (volume.revision.max(1), volume.size_gib.max(1));
        if volume.status() == Is::Unspecified {
            volume.set_status(Is::Available);
        }
        self.volumes.insert(volume.id.clone(), volume.clone());
        volume
    }

    /// Makes the status of a volume follow from its attachments.
    pub(super) fn settle(&mut self, volume_id: &str) {
        let uses: Vec<_> = self
            .attachments
            .values()
            .filter(|attachment| attachment.volume_id == volume_id)
            .map(Attachment::status)
            .collect();
        let status = match uses.as_slice() {
            [] => Is::Available,
            uses if uses.iter().any(|status| matches!(status, Attached::Attached | Attached::Detaching)) => {
                Is::InUse
            }
            _ => Is::Reserved,
        };
        if let Some(volume) = self.volumes.get_mut(volume_id) {
            volume.set_status(status);
        }
    }

    pub(super) fn create(&mut self, request: pb::CreateVolumeRequest) -> Result<Volume, Status> {
        let before = self.created.iter().find(|(before, _)| before.request_id == request.request_id);
        if let Some((_, id)) = before {
            return self.volumes.get(id).cloned().ok_or_else(gone);
        }
        if request.volume_type == "none" {
            return Err(refused(Code::InvalidArgument, "VOLUME_TYPE_NOT_FOUND"));
        }
        let mut volume = Volume { volume_type: "lvm".to_owned(), ..Volume::default() };
        volume.size_gib = request.size_gib.unwrap_or(1);
        if let Some(Source::SnapshotId(id)) = &request.source {
            let snapshot = self.snapshots.get(id).ok_or_else(gone)?;
            volume.size_gib = volume.size_gib.max(snapshot.size_gib);
        }
        if matches!(self.mood, Mood::Slow) {
            volume.set_status(Is::Creating);
        }
        let volume = self.add(volume);
        self.created.push((request, volume.id.clone()));
        Ok(volume)
    }

    /// Takes a snapshot, or says that it is doing so.
    pub(super) fn snapshot(&mut self, request: pb::CreateSnapshotRequest) -> Result<Snapshot, Status> {
        if let Some((_, id)) = self.taken.iter().find(|(before, _)| before.request_id == request.request_id) {
            return self.snapshots.get(id).cloned().ok_or_else(gone);
        }
        let volume = self.volumes.get(&request.volume_id).ok_or_else(gone)?;
        if volume.metadata.contains_key("no snapshots") {
            return Err(refused(Code::ResourceExhausted, "QUOTA_EXCEEDED"));
        }
        let status = if matches!(self.mood, Mood::Slow) { Taken::Creating } else { Taken::Available };
        let snapshot = Snapshot {
            id: Id::random().to_string(),
            volume_id: volume.id.clone(),
            name: request.name.clone(),
            size_gib: volume.size_gib,
            bootable: volume.bootable,
            image: volume.image.clone(),
            image_properties: volume.image_properties.clone(),
            status: status.into(),
            ..Snapshot::default()
        };
        self.snapshots.insert(snapshot.id.clone(), snapshot.clone());
        self.taken.push((request, snapshot.id.clone()));
        Ok(snapshot)
    }

    /// Gives a volume the data of an image, or says that it is doing so.
    pub(super) fn reimage(&mut self, request: &pb::ReimageVolumeRequest) -> Result<Volume, Status> {
        let is_slow = matches!(self.mood, Mood::Slow);
        let volume = self.volumes.get_mut(&request.id).ok_or_else(gone)?;
        if self.reimaged.contains(&request.request_id) {
            return Ok(volume.clone());
        }
        if !matches!(volume.status(), Is::Available | Is::Reserved | Is::Error) {
            return Err(refused(Code::FailedPrecondition, "WRONG_STATE"));
        }
        self.reimaged.insert(request.request_id.clone());
        if is_slow {
            volume.task = Some(pb::VolumeTask::default());
            return Ok(volume.clone());
        }
        volume.revision += 1;
        (volume.last_failure, volume.image_properties) = (None, BTreeMap::new());
        let (id, revision) = (request.image_id.clone(), request.image_revision);
        volume.image = Some(pb::SourceImage { id, revision, ..pb::SourceImage::default() });
        Ok(volume.clone())
    }

    pub(super) fn reserve(&mut self, request: &pb::CreateAttachmentRequest) -> Result<Attachment, Status> {
        if let Some(id) = self.reserved.get(&request.request_id) {
            return self.attachments.get(id).cloned().ok_or_else(gone);
        }
        let volume = self.volumes.get(&request.volume_id).ok_or_else(gone)?;
        let mut others = self.attachments.values().filter(|one| one.volume_id == request.volume_id);
        let is_taken = others.any(|other| other.instance_id != request.instance_id);
        if is_taken || !matches!(volume.status(), Is::Available | Is::Reserved | Is::InUse) {
            return Err(refused(Code::FailedPrecondition, "VOLUME_RESERVED"));
        }
        let attachment = Attachment {
            id: Id::random().to_string(),
            volume_id: request.volume_id.clone(),
            instance_id: request.instance_id.clone(),
            status: Attached::Reserved.into(),
            expire_time: Some(prost_types::Timestamp::default()),
            ..Attachment::default()
        };
        self.attachments.insert(attachment.id.clone(), attachment.clone());
        self.reserved.insert(request.request_id.clone(), attachment.id.clone());
        self.settle(&request.volume_id);
        Ok(attachment)
    }
}
