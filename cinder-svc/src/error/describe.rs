//! How each error looks to a caller: its code, its reason and every value of its sentence.

use chassis::status::{Code, Description, Detail, Failure, RETRY_AFTER, StatusCode};
use common::{id::Id, image::properties::Excess};

use super::{Error, operations, statuses};
use crate::volume::{Operation, TaskState};

/// Types of resources.
const SNAPSHOT: &str = "cinder.v1.Snapshot";
const TRANSFER: &str = "cinder.v1.Transfer";
const VOLUME: &str = "cinder.v1.Volume";
const REQUEST: &str = "cinder.v1.CreateVolumeRequest";

impl Failure for Error {
    const DOMAIN: &'static str = "cinder";

    #[expect(clippy::too_many_lines, reason = "a table: one row for each error")]
    fn describe(&self) -> Description {
        match self {
            Self::Invalid(violations) => Description::invalid(violations),
            Self::Caller(error) => error.describe(),
            Self::NotPermitted(refused) => Description::not_permitted(&refused.action, refused.needs),
            Self::VolumeNotFound(id) => Description::not_found("VOLUME_NOT_FOUND", VOLUME, "volume_id", id),
            Self::RevisionNotFound { id, revision } => {
                Description::not_found("REVISION_NOT_FOUND", VOLUME, "volume_id", id)
                    .with("revision", revision)
            }
            Self::SnapshotNotFound(id) => {
                Description::not_found("SNAPSHOT_NOT_FOUND", SNAPSHOT, "snapshot_id", id)
            }
            Self::TransferNotFound(id) => {
                Description::not_found("TRANSFER_NOT_FOUND", TRANSFER, "transfer_id", id)
            }
            Self::NoSuchImage(id) => {
                Description::bad_field("IMAGE_NOT_FOUND", "image_id", self).with("image_id", id)
            }
            Self::NoSuchImageRevision { id, revision } => {
                Description::bad_field("IMAGE_REVISION_NOT_FOUND", "image_revision", self)
                    .with("image_id", id)
                    .with("image_revision", revision)
            }
            Self::NoSuchSnapshot(id) => Description::bad_field("SNAPSHOT_NOT_FOUND", "snapshot_id", self)
                .http(StatusCode::NOT_FOUND)
                .with("snapshot_id", id),
            Self::NoSuchSourceVolume(id) => {
                Description::bad_field("VOLUME_NOT_FOUND", "source_volume_id", self)
                    .http(StatusCode::NOT_FOUND)
                    .with("volume_id", id)
            }
            Self::NoSuchAvailabilityZone { zone, zones } => {
                Description::bad_field("AVAILABILITY_ZONE_NOT_FOUND", "availability_zone", self)
                    .with("availability_zone", zone)
                    .with("zones", zones.join(", "))
            }
            Self::ImageNotActive { id, status } => {
                image("IMAGE_NOT_ACTIVE", id).with("status", status).with("needed", "ACTIVE")
            }
            Self::ImageEncrypted(id) => image("IMAGE_ENCRYPTED", id),
            Self::VolumeSmallerThanImage { id, needed, size_gib } => {
                image("VOLUME_SMALLER_THAN_IMAGE", id).with("needed_bytes", needed).with("size_gib", size_gib)
            }
            Self::VolumeSmallerThanMinDisk { id, needed, size_gib } => {
                image("VOLUME_SMALLER_THAN_MIN_DISK", id)
                    .with("needed_gib", needed)
                    .with("size_gib", size_gib)
            }
            Self::VolumeSmallerThanVirtualSize { id, needed, size_gib } => {
                image("VOLUME_SMALLER_THAN_VIRTUAL_SIZE", id)
                    .with("needed_bytes", needed)
                    .with("size_gib", size_gib)
            }
            Self::VolumeSmallerThanSource { needed, size_gib } => {
                Description::bad_field("VOLUME_SMALLER_THAN_SOURCE", "size_gib", self)
                    .with("needed_gib", needed)
                    .with("size_gib", size_gib)
            }
            Self::SnapshotNotAvailable { id, status } => {
                snapshot("SNAPSHOT_NOT_AVAILABLE", id).with("status", status)
            }
            Self::SnapshotBusy { id, status } => {
                snapshot("SNAPSHOT_BUSY", id).with("status", status).with("needed", "AVAILABLE, ERROR")
            }
            Self::SnapshotBeingCopied(id) => snapshot("SNAPSHOT_BEING_COPIED", id),
            Self::SnapshotChanged { id, status } => Description::new(Code::Aborted, "STATE_CHANGED")
                .with("snapshot_id", id)
                .with("status", status),
            Self::VolumeNotQuiesced(id) => volume("VOLUME_NOT_QUIESCED", id),
            Self::SourceNotAvailable { id, status, task_state } => {
                volume("SOURCE_NOT_AVAILABLE", id).with("status", status).with("task", name_of(*task_state))
            }
            Self::QuotaExceeded(shortage) => shortage.describe(),
            Self::RequestIdTaken(id) => {
                Description::already_exists("REQUEST_ID_TAKEN", REQUEST, "request_id", id)
            }
            Self::Glance(error) => error.describe(),
            Self::GlanceRefused { id, problem } => image("IMAGE_REFUSED", id).with("problem", problem),
            Self::Begun { id, image_id, cause } => {
                let cause = cause.describe();
                Description::new(Code::Unavailable, "OPERATION_BEGUN")
                    .with("volume_id", id)
                    .with("operation", Operation::UploadToImage.name())
                    .with("image_id", image_id)
                    .with("cause", cause.reason)
                    .detail(cause.detail)
            }
            Self::WrongState { id, operation, status, task_state, needed, allowed } => {
                volume("WRONG_STATE", id)
                    .with("operation", operation.name())
                    .with("status", status)
                    .with("task", name_of(*task_state))
                    .with("needed", statuses(needed))
                    .with("allowed", operations(allowed))
            }
            Self::StaleEtag { kind, id, given, current } => {
                Description::stale_etag(id_of(kind), id, given, current)
            }
            Self::StateChanged { id, status, task_state } => Description::new(Code::Aborted, "STATE_CHANGED")
                .with("volume_id", id)
                .with("status", status)
                .with("task", name_of(*task_state)),
            Self::WrongAuthKey(id) => {
                Description::new(Code::PermissionDenied, "WRONG_AUTH_KEY").with("transfer_id", id)
            }
            Self::VolumeHasSnapshots { id, count } | Self::OfferedWithoutSnapshots { id, count } => {
                volume("VOLUME_HAS_SNAPSHOTS", id).with("snapshots", count)
            }
            Self::VolumeBeingCopied(id) => volume("VOLUME_BEING_COPIED", id),
            Self::NotLarger { id, size_gib, requested } => {
                Description::bad_field("NOT_LARGER", "size_gib", self)
                    .with("volume_id", id)
                    .with("size_gib", size_gib)
                    .with("requested_gib", requested)
            }
            Self::NotLatestSnapshot { id, snapshot_id, latest } => volume("NOT_LATEST_SNAPSHOT", id)
                .with("snapshot_id", snapshot_id)
                .with("latest_snapshot_id", latest),
            Self::SnapshotSize { id, snapshot_id, snapshot_gib, size_gib } => volume("SNAPSHOT_SIZE", id)
                .with("snapshot_id", snapshot_id)
                .with("snapshot_gib", snapshot_gib)
                .with("size_gib", size_gib),
            Self::PropertyLimit(Excess { resource, attempted, maximum }) => {
                let (reason, subject) = ("PROPERTY_LIMIT_EXCEEDED", "volume image properties");
                Description::limit_exceeded(reason, subject, *attempted, *maximum).with("resource", resource)
            }
            Self::Contended { kind, id } => contended().with(id_of(kind), id),
            Self::RequestContended(id) => contended().with("request_id", id),
            Self::Attachment(error) => error.describe(),
            Self::Data(error) => error.describe(),
            Self::VolumeType(error) => error.describe(),
            Self::Database(error) => error.describe(),
            Self::Corrupt(_) => Description::new(Code::Internal, "INTERNAL"),
        }
    }
}

impl Error {
    /// Whether the same request may well succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self.describe().detail, Detail::Retry(_))
    }
}

/// The name of the id of a resource of that kind.
pub(super) fn id_of(kind: &str) -> &'static str {
    match kind {
        "snapshot" => "snapshot_id",
        "attachment" => "attachment_id",
        "transfer" => "transfer_id",
        "volume type" => "volume_type_id",
        _ => "volume_id",
    }
}

/// The volume does not allow it.
pub(super) fn volume(reason: &'static str, id: &Id) -> Description {
    Description::precondition(reason, reason, "volume_id", id)
}

/// The snapshot does not allow it.
fn snapshot(reason: &'static str, id: &Id) -> Description {
    Description::precondition(reason, reason, "snapshot_id", id)
}

/// The image does not allow it.
pub(super) fn image(reason: &'static str, id: &Id) -> Description {
    Description::precondition(reason, reason, "image_id", id)
}

fn contended() -> Description {
    Description::retry(Code::Aborted, "CONTENDED", RETRY_AFTER)
}

fn name_of(task_state: Option<TaskState>) -> String {
    task_state.map(|state| state.to_string()).unwrap_or_default()
}
