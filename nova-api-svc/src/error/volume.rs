//! What can go wrong with the volumes of instances.

use chassis::status::{Code, Description, RETRY_AFTER};
use common::{id::Id, text::clip};
use peers::cinder::{self, Resource};

use super::describe::{image, instance};

/// Why a request failed that is about volumes.
#[derive(Debug, Clone, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the values of the sentence")]
pub enum VolumeError {
    /// The service was started without a volume service.
    #[error("there are no volumes here: nova-api-svc was started without --cinder-endpoint")]
    NoService,
    /// The volume or the snapshot that the request names does not exist.
    #[error("{0}_id: there is no {0} {id}", .resource.name())]
    NotFound { resource: Resource, id: Id },
    /// The volume or the snapshot has no data, or something else uses it.
    #[error("{} {id} must be AVAILABLE, but is {status}", .resource.name())]
    NotAvailable { resource: Resource, id: Id, status: &'static str },
    /// No instance can boot from the volume or the snapshot.
    #[error("{} {id} is not bootable; UpdateVolume of cinder-svc can change that", .resource.name())]
    NotBootable { resource: Resource, id: Id },
    /// The volume is smaller than the image says it must be.
    #[error("image {id} requires a disk of {needed} GiB; the volume has {size_gib} GiB")]
    SmallerThanMinDisk { id: Id, needed: i64, size_gib: i64 },
    /// The image was made from an instance on a volume, and has no data of its own.
    #[error(
        "image {id} has no data: it stands for snapshot {snapshot_id}; CreateInstance makes an instance from it"
    )]
    ImageOfVolume { id: Id, snapshot_id: Id },
    /// cinder-svc gave no usable answer.
    #[error("{0}; nothing was written, try again")]
    Cinder(#[source] cinder::Error),
    /// cinder-svc will not do what a request needs.
    #[error("cinder-svc refused that: {}; nothing was changed", clip(.problem, 500))]
    Refused { cause: String, problem: String },
    /// The volume that an instance boots from was not given the data of another image.
    #[error("instance {id} was not rebuilt: {}; instance and root volume are as before", clip(.problem, 500))]
    NotReimaged { id: Id, problem: String },
    /// The volumes of a request were given up, since it took too long.
    #[error("the volumes took too long and were given up; nothing was changed, try again")]
    GivenUp,
    /// The instance does not have that volume.
    #[error(
        "volume {volume_id} is not attached to instance {id}; ListVolumeAttachments lists those that are"
    )]
    NotAttached { id: Id, volume_id: Id },
    /// The instance has that volume already.
    #[error("volume {volume_id} is attached to instance {id} already")]
    Attached { id: Id, volume_id: Id },
    /// The instance boots from that volume.
    #[error("instance {id} boots from volume {volume_id}, which cannot be detached")]
    Root { id: Id, volume_id: Id },
    /// A snapshot has no data yet.
    #[error("snapshot {0} has no data yet")]
    SnapshotCreating(Id),
}

impl From<cinder::Error> for VolumeError {
    fn from(error: cinder::Error) -> Self {
        match error {
            cinder::Error::NotFound { resource, id } => Self::NotFound { resource, id },
            cinder::Error::Refused { reason, problem } => Self::Refused { cause: reason, problem },
            error => Self::Cinder(error),
        }
    }
}

impl VolumeError {
    pub(super) fn describe(&self) -> Description {
        match self {
            Self::NoService => Description::new(Code::FailedPrecondition, "NO_VOLUME_SERVICE"),
            Self::NotFound { resource: Resource::Volume, id } => {
                Description::bad_field("VOLUME_NOT_FOUND", "volume_id", self).with("volume_id", id)
            }
            Self::NotFound { resource: Resource::Snapshot, id } => {
                Description::bad_field("SNAPSHOT_NOT_FOUND", "snapshot_id", self).with("snapshot_id", id)
            }
            // Nobody asked for one.
            Self::NotFound { resource: Resource::Attachment, .. } => {
                Description::retry(Code::Unavailable, "CINDER_BAD_ANSWER", RETRY_AFTER)
            }
            Self::NotAvailable { resource, id, status } => about("VOLUME_NOT_AVAILABLE", *resource, id)
                .with("status", status)
                .with("needed", "AVAILABLE"),
            Self::NotBootable { resource, id } => about("VOLUME_NOT_BOOTABLE", *resource, id),
            Self::SmallerThanMinDisk { id, needed, size_gib } => image("VOLUME_SMALLER_THAN_MIN_DISK", id)
                .with("needed_gib", needed)
                .with("size_gib", size_gib),
            Self::ImageOfVolume { id, snapshot_id } => {
                image("IMAGE_HAS_NO_DATA", id).with("snapshot_id", snapshot_id)
            }
            Self::Cinder(error) => error.describe(),
            Self::Refused { cause, problem } => Description::new(Code::FailedPrecondition, "VOLUME_REFUSED")
                .with("cause", cause)
                .with("problem", problem),
            Self::NotReimaged { id, problem } => instance("VOLUME_NOT_REIMAGED", id).with("problem", problem),
            Self::GivenUp => Description::retry(Code::Aborted, "VOLUMES_GIVEN_UP", RETRY_AFTER),
            Self::NotAttached { id, volume_id } => {
                Description::bad_field("VOLUME_NOT_ATTACHED", "volume_id", self)
                    .with("instance_id", id)
                    .with("volume_id", volume_id)
            }
            Self::Attached { id, volume_id } => instance("VOLUME_ATTACHED", id).with("volume_id", volume_id),
            Self::Root { id, volume_id } => instance("ROOT_VOLUME", id).with("volume_id", volume_id),
            Self::SnapshotCreating(id) => {
                Description::retry(Code::Unavailable, "SNAPSHOT_CREATING", RETRY_AFTER)
                    .with("snapshot_id", id)
            }
        }
    }
}

/// The volume or the snapshot does not allow it.
fn about(reason: &'static str, resource: Resource, id: &Id) -> Description {
    let name = if resource == Resource::Snapshot { "snapshot_id" } else { "volume_id" };
    Description::precondition(reason, reason, name, id)
}
