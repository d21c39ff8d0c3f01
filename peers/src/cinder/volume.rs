//! Volumes.

use chassis::{caller::Caller, deadline::Deadline};
use common::{
    id::{Id, NIL},
    volume_image_metadata::VolumeImageMetadata,
};
use proto::cinder::v1::{self as pb, create_volume_request};

use super::{Cinder, Error, Resource, Services, read};

/// A volume, as far as instances are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its id.
    pub id: Id,
    /// Its revision.
    pub revision: i64,
    /// Its size, in GiB.
    pub size_gib: i32,
    /// Its status, such as `AVAILABLE`.
    pub status: &'static str,
    /// Whether something is being done with it.
    pub is_busy: bool,
    /// Why the last operation on it failed, in cinder-svc's words; empty if none did.
    pub last_failure: String,
    /// Whether instances can boot from it.
    pub bootable: bool,
    /// Whether several instances may use it at a time.
    pub multiattach: bool,
    /// Name of its volume type.
    pub volume_type: String,
    /// What it remembers of its image.
    pub image_metadata: VolumeImageMetadata,
}

/// Where the data of a new volume comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An image, at the revision that has been read and checked.
    Image {
        /// The image.
        id: Id,
        /// Its revision.
        revision: i64,
    },
    /// A snapshot.
    Snapshot(Id),
    /// Nowhere: it has none.
    Blank,
}

/// A volume to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVolume {
    /// Its name; may be empty.
    pub name: String,
    /// Where its data comes from.
    pub source: Source,
    /// Its size in GiB; that of the source if `None`.
    pub size_gib: Option<i32>,
    /// Name or id of its volume type; cinder-svc chooses one if it is empty.
    pub volume_type: String,
    /// Makes a retry safe.
    pub request_id: String,
}

/// New data for a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reimage {
    /// The image.
    pub image_id: Id,
    /// Its revision.
    pub image_revision: i64,
    /// Makes a retry safe.
    pub request_id: String,
}

impl Cinder {
    /// A volume as it is now.
    pub async fn volume(&self, id: Id, caller: &Caller, deadline: Option<Deadline>) -> Result<Volume, Error> {
        self.volume_at(id, 0, caller, deadline).await
    }

    /// A volume as it was at `revision`, even if it has been deleted since; 0 for now.
    pub async fn volume_at(
        &self,
        id: Id,
        revision: i64,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Volume, Error> {
        let message = pb::GetVolumeRequest { id: id.to_string(), revision };
        let method = |mut to: Services, request| async move { to.volumes.get_volume(request).await };
        let answer = self.call((Resource::Volume, id), message, caller, deadline, method).await?;
        let volume = read::volume(answer).filter(|volume| volume.id == id);
        volume.ok_or(Error::Answer(None))
    }

    /// Creates a volume, or returns the one that an earlier call with the same request id created. It may still be
    /// `CREATING`.
    pub async fn create_volume(
        &self,
        new: &NewVolume,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Volume, Error> {
        let about = match new.source {
            Source::Snapshot(id) => (Resource::Snapshot, id),
            _ => (Resource::Volume, Id::from(NIL)),
        };
        let method = |mut to: Services, request| async move { to.volumes.create_volume(request).await };
        let answer = self.call(about, create_request(new), caller, deadline, method).await?;
        read::volume(answer).ok_or(Error::Answer(None))
    }

    /// Deletes a volume; [`Error::NotFound`] if it is gone.
    pub async fn delete_volume(
        &self,
        id: Id,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<(), Error> {
        let message = pb::DeleteVolumeRequest { id: id.to_string(), ..pb::DeleteVolumeRequest::default() };
        let method = |mut to: Services, request| async move { to.volumes.delete_volume(request).await };
        self.call((Resource::Volume, id), message, caller, deadline, method).await
    }

    /// Replaces the data of an `AVAILABLE` or `RESERVED` volume, and what it remembers of its image, by those of an image.
    pub async fn reimage_volume(
        &self,
        id: Id,
        reimage: &Reimage,
        caller: &Caller,
        deadline: Option<Deadline>,
    ) -> Result<Volume, Error> {
        let message = pb::ReimageVolumeRequest {
            id: id.to_string(),
            image_id: reimage.image_id.to_string(),
            image_revision: reimage.image_revision,
            reimage_reserved: true,
            request_id: reimage.request_id.clone(),
            ..pb::ReimageVolumeRequest::default()
        };
        let method = |mut to: Services, request| async move { to.volumes.reimage_volume(request).await };
        let answer = self.call((Resource::Volume, id), message, caller, deadline, method).await?;
        read::volume(answer).ok_or(Error::Answer(None))
    }
}

fn create_request(new: &NewVolume) -> pb::CreateVolumeRequest {
    use create_volume_request::Source as Message;
    let (source, image_revision) = match new.source {
        Source::Image { id, revision } => (Some(Message::ImageId(id.to_string())), revision),
        Source::Snapshot(id) => (Some(Message::SnapshotId(id.to_string())), 0),
        Source::Blank => (None, 0),
    };
    pb::CreateVolumeRequest {
        name: new.name.clone(),
        size_gib: new.size_gib,
        source,
        image_revision,
        volume_type: new.volume_type.clone(),
        request_id: new.request_id.clone(),
        ..pb::CreateVolumeRequest::default()
    }
}
