//! How each error looks to a caller: its code, its reason and every value of its sentence.

use chassis::status::{Code, Description, Detail, Failure, RETRY_AFTER, StatusCode};
use common::{id::Id, image::properties::Excess, violations::Violation};

use super::{Error, operations, statuses};
use crate::volume::{Operation, TaskState, attachment::ATTACHMENT_LIMIT, volume_type::VOLUME_TYPE_LIMIT};

/// Types of resources.
const ATTACHMENT: &str = "cinder.v1.Attachment";
const SNAPSHOT: &str = "cinder.v1.Snapshot";
const TRANSFER: &str = "cinder.v1.Transfer";
const VOLUME: &str = "cinder.v1.Volume";
const VOLUME_TYPE: &str = "cinder.v1.VolumeType";
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
            Self::AttachmentNotFound(id) => {
                Description::not_found("ATTACHMENT_NOT_FOUND", ATTACHMENT, "attachment_id", id)
            }
            Self::TransferNotFound(id) => {
                Description::not_found("TRANSFER_NOT_FOUND", TRANSFER, "transfer_id", id)
            }
            Self::VolumeTypeNotFound(name) => {
                Description::not_found("VOLUME_TYPE_NOT_FOUND", VOLUME_TYPE, "volume_type", name)
            }
            Self::DefaultVolumeTypeNotFound(name) => volume_type("DEFAULT_VOLUME_TYPE_NOT_FOUND", name),
            Self::VolumeTypeExists(name) => {
                Description::already_exists("VOLUME_TYPE_EXISTS", VOLUME_TYPE, "volume_type", name)
            }
            Self::TooManyVolumeTypes => {
                let (reason, limit) = ("VOLUME_TYPE_LIMIT_EXCEEDED", VOLUME_TYPE_LIMIT);
                Description::limit_exceeded(reason, "volume types", limit + 1, limit)
            }
            Self::VolumeTypeInUse(name) => volume_type("VOLUME_TYPE_IN_USE", name),
            Self::VolumeTypeIsDefault(name) => volume_type("VOLUME_TYPE_IS_DEFAULT", name),
            Self::NoSuchVolumeType(name) => self
                .bad_field("VOLUME_TYPE_NOT_FOUND", "volume_type")
                .http(StatusCode::NOT_FOUND)
                .with("volume_type", name),
            Self::NoVolumeTypeOfImage { image_id, volume_type } => {
                image("VOLUME_TYPE_NOT_FOUND", image_id).with("volume_type", volume_type)
            }
            Self::NoSuchImage(id) => self.bad_field("IMAGE_NOT_FOUND", "image_id").with("image_id", id),
            Self::NoSuchImageRevision { id, revision } => self
                .bad_field("IMAGE_REVISION_NOT_FOUND", "image_revision")
                .with("image_id", id)
                .with("image_revision", revision),
            Self::NoSuchSnapshot(id) => self
                .bad_field("SNAPSHOT_NOT_FOUND", "snapshot_id")
                .http(StatusCode::NOT_FOUND)
                .with("snapshot_id", id),
            Self::NoSuchSourceVolume(id) => self
                .bad_field("VOLUME_NOT_FOUND", "source_volume_id")
                .http(StatusCode::NOT_FOUND)
                .with("volume_id", id),
            Self::NoSuchAvailabilityZone { zone, zones } => self
                .bad_field("AVAILABILITY_ZONE_NOT_FOUND", "availability_zone")
                .with("availability_zone", zone)
                .with("zones", zones.join(", ")),
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
            Self::VolumeSmallerThanSource { needed, size_gib } => self
                .bad_field("VOLUME_SMALLER_THAN_SOURCE", "size_gib")
                .with("needed_gib", needed)
                .with("size_gib", size_gib),
            Self::VolumeTypeSize { volume_type, size_gib, minimum, maximum } => self
                .bad_field("VOLUME_TYPE_SIZE", "size_gib")
                .with("volume_type", volume_type)
                .with("size_gib", size_gib)
                .with("minimum_gib", limit(*minimum))
                .with("maximum_gib", limit(*maximum)),
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
            Self::VolumeReserved { id, attachment_id, instance_id } => {
                held("VOLUME_RESERVED", id, attachment_id, *instance_id)
            }
            Self::VolumeInUse { id, attachment_id, instance_id } => {
                held("VOLUME_IN_USE", id, attachment_id, *instance_id)
            }
            Self::VolumeReadOnly(id) => volume("VOLUME_READ_ONLY", id),
            Self::AttachmentLimit(id) => {
                let (subject, maximum) = (format!("volume/{id}"), ATTACHMENT_LIMIT);
                Description::limit_exceeded("ATTACHMENT_LIMIT_EXCEEDED", subject, maximum + 1, maximum)
                    .with("volume_id", id)
            }
            Self::WrongAttachmentStatus { id, operation, status, needed } => {
                let reason = "WRONG_ATTACHMENT_STATUS";
                Description::precondition(reason, reason, "attachment_id", id)
                    .with("operation", operation)
                    .with("status", status)
                    .with("needed", needed)
            }
            Self::WrongAuthKey(id) => {
                Description::new(Code::PermissionDenied, "WRONG_AUTH_KEY").with("transfer_id", id)
            }
            Self::VolumeHasSnapshots { id, count } | Self::OfferedWithoutSnapshots { id, count } => {
                volume("VOLUME_HAS_SNAPSHOTS", id).with("snapshots", count)
            }
            Self::VolumeBeingCopied(id) => volume("VOLUME_BEING_COPIED", id),
            Self::NotLarger { id, size_gib, requested } => self
                .bad_field("NOT_LARGER", "size_gib")
                .with("volume_id", id)
                .with("size_gib", size_gib)
                .with("requested_gib", requested),
            Self::SameVolumeType { id, volume_type } => self
                .bad_field("SAME_VOLUME_TYPE", "volume_type")
                .with("volume_id", id)
                .with("volume_type", volume_type),
            Self::MultiattachInUse { id, volume_type } => {
                volume("MULTIATTACH_IN_USE", id).with("volume_type", volume_type)
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
            Self::ImageUnusable(problem) => Description::new(Code::FailedPrecondition, problem.reason()),
            Self::NoData { id, storage } => {
                volume("VOLUME_HAS_NO_DATA", id).with("storage", storage.as_str().to_uppercase())
            }
            Self::UploadNotSupported(id) => volume("UPLOAD_NOT_SUPPORTED", id),
            Self::NotReadable { id, status } => volume("VOLUME_NOT_READABLE", id).with("status", status),
            Self::Range { size } => {
                Description::new(Code::OutOfRange, "RANGE_OUTSIDE_DATA").with("size", size)
            }
            Self::WriteBroken => Description::new(Code::Aborted, "UPLOAD_BROKEN"),
            Self::DataHash => Description::new(Code::InvalidArgument, "DATA_HASH_MISMATCH"),
            Self::DataTooLarge(limit) => Description::new(Code::ResourceExhausted, "DATA_TOO_LARGE")
                .with("limit_bytes", limit)
                .detail(Detail::Quota { subject: "bytes of data".to_owned() }),
            Self::DataStoreFull => Description::new(Code::ResourceExhausted, "DATA_STORE_FULL"),
            Self::DataStore(_) | Self::DataAway { .. } => {
                Description::retry(Code::Unavailable, "DATA_STORE_UNAVAILABLE", RETRY_AFTER)
            }
            Self::DataMissing(id) => Description::new(Code::DataLoss, "DATA_MISSING").with("data_id", id),
            Self::TaskLost => Description::retry(Code::Aborted, "TASK_LOST", RETRY_AFTER),
            Self::Contended { kind, id } => contended().with(id_of(kind), id),
            Self::RequestContended(id) => contended().with("request_id", id),
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

    /// The whole error as the problem of one field.
    fn bad_field(&self, reason: &'static str, field: &str) -> Description {
        let violation = Violation { field: field.to_owned(), problem: self.to_string() };
        Description::new(Code::InvalidArgument, reason).detail(Detail::BadRequest(vec![violation]))
    }
}

/// The name of the id of a resource of that kind.
fn id_of(kind: &str) -> &'static str {
    match kind {
        "snapshot" => "snapshot_id",
        "attachment" => "attachment_id",
        "transfer" => "transfer_id",
        "volume type" => "volume_type_id",
        _ => "volume_id",
    }
}

/// The volume does not allow it.
fn volume(reason: &'static str, id: &Id) -> Description {
    Description::precondition(reason, reason, "volume_id", id)
}

/// Somebody else has the volume.
fn held(reason: &'static str, id: &Id, attachment_id: &Id, instance_id: Option<Id>) -> Description {
    let instance_id = instance_id.map(|id| id.to_string()).unwrap_or_default();
    volume(reason, id).with("attachment_id", attachment_id).with("instance_id", instance_id)
}

/// The snapshot does not allow it.
fn snapshot(reason: &'static str, id: &Id) -> Description {
    Description::precondition(reason, reason, "snapshot_id", id)
}

/// The volume type does not allow it.
fn volume_type(reason: &'static str, name: &str) -> Description {
    Description::precondition(reason, reason, "volume_type", name)
}

/// The image does not allow it.
fn image(reason: &'static str, id: &Id) -> Description {
    Description::precondition(reason, reason, "image_id", id)
}

fn contended() -> Description {
    Description::retry(Code::Aborted, "CONTENDED", RETRY_AFTER)
}

fn limit(size: Option<i32>) -> String {
    size.map(|size| size.to_string()).unwrap_or_default()
}

fn name_of(task_state: Option<TaskState>) -> String {
    task_state.map(|state| state.to_string()).unwrap_or_default()
}
