//! Everything that can go wrong in this service, named for what the caller may do about it.

use chassis::{caller, db, error_conversions, quota::Shortage, scope::NotPermitted, status::Failure as _};
use common::{id::Id, image::properties::Excess, text::clip, violations::Violations};
use peers::glance;

use crate::volume::{Operation, SnapshotStatus, Status, TaskState};

mod attachment;
mod data;
mod describe;
mod volume_type;

pub use attachment::AttachmentError;
pub use data::DataError;
pub use volume_type::VolumeTypeError;

/// Why a request failed.
#[derive(Debug, Clone, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the values of the sentence")]
pub enum Error {
    /// The request is wrong in itself.
    #[error(transparent)]
    Invalid(#[from] Violations),
    /// The caller cannot be identified.
    #[error(transparent)]
    Caller(#[from] caller::Error),
    /// The caller may not do that.
    #[error(transparent)]
    NotPermitted(#[from] NotPermitted),
    /// There is no such volume, or the caller must not see it.
    #[error("there is no volume {0}")]
    VolumeNotFound(Id),
    /// The volume had no such revision.
    #[error("volume {id} has no revision {revision}")]
    RevisionNotFound { id: Id, revision: i64 },
    /// There is no such snapshot, or the caller must not see it.
    #[error("there is no snapshot {0}")]
    SnapshotNotFound(Id),
    /// There is no such transfer, or the caller must not see it.
    #[error("there is no transfer {0}")]
    TransferNotFound(Id),
    /// The image does not exist, or the caller must not see it.
    #[error("image_id: there is no image {0}")]
    NoSuchImage(Id),
    /// The image had no such revision.
    #[error("image_revision: image {id} has no revision {revision}")]
    NoSuchImageRevision { id: Id, revision: i64 },
    /// The snapshot that a volume is to be made from does not exist.
    #[error("snapshot_id: there is no snapshot {0}")]
    NoSuchSnapshot(Id),
    /// The volume that a volume is to be made from does not exist.
    #[error("source_volume_id: there is no volume {0}")]
    NoSuchSourceVolume(Id),
    /// The availability zone is not one of the configured ones.
    #[error("availability_zone: there is no zone {}; there are {}", quoted(.zone), .zones.join(", "))]
    NoSuchAvailabilityZone { zone: String, zones: Vec<String> },
    /// The image has no data, or must not be used.
    #[error("image {id} must be ACTIVE, but is {status}")]
    ImageNotActive { id: Id, status: &'static str },
    /// The image's data is encrypted with a key that a volume cannot have.
    #[error("image {0} has a cinder_encryption_key_id: encrypted images are not supported")]
    ImageEncrypted(Id),
    /// The data does not fit.
    #[error("image {id} has {needed} bytes of data, which do not fit on a volume of {size_gib} GiB")]
    VolumeSmallerThanImage { id: Id, needed: i64, size_gib: i32 },
    /// The volume is smaller than the image says it must be.
    #[error("image {id} requires a disk of {needed} GiB, the volume would have {size_gib} GiB")]
    VolumeSmallerThanMinDisk { id: Id, needed: i64, size_gib: i32 },
    /// The disk that the data describes does not fit.
    #[error(
        "image {id} describes a disk of {needed} bytes, which does not fit on a volume of {size_gib} GiB"
    )]
    VolumeSmallerThanVirtualSize { id: Id, needed: i64, size_gib: i32 },
    /// The volume is smaller than its source.
    #[error("size_gib: {size_gib} GiB is smaller than the source, which has {needed} GiB")]
    VolumeSmallerThanSource { needed: i32, size_gib: i32 },
    /// The snapshot has no data that could be copied.
    #[error("snapshot {id} must be AVAILABLE, but is {status}")]
    SnapshotNotAvailable { id: Id, status: SnapshotStatus },
    /// The snapshot is being made or deleted.
    #[error(
        "snapshot {id} is {status}, but DeleteSnapshot needs AVAILABLE or ERROR; wait until that is over"
    )]
    SnapshotBusy { id: Id, status: SnapshotStatus },
    /// The snapshot is being copied.
    #[error("snapshot {0} is being copied; wait until that is done")]
    SnapshotBeingCopied(Id),
    /// A report is about a status that the snapshot is not in.
    #[error("snapshot {id} is {status}, which is not what the report saw; read it again")]
    SnapshotChanged { id: Id, status: SnapshotStatus },
    /// The files of the volume may be written while they are copied.
    #[error(
        "volume {0} is attached, and its files cannot be copied while an instance may write to them; detach it \
         first, or set quiesced while no instance writes"
    )]
    VolumeNotQuiesced(Id),
    /// The volume has no data that could be copied now.
    #[error("volume {id} must be AVAILABLE or IN_USE to be copied, but is {status}{}", during(*.task_state))]
    SourceNotAvailable { id: Id, status: Status, task_state: Option<TaskState> },
    /// The project would use more than it may.
    #[error(transparent)]
    QuotaExceeded(#[from] Shortage),
    /// The id of the request was used for a different one.
    #[error("request_id {} was used for a different request; each request needs an id of its own", quoted(.0))]
    RequestIdTaken(String),
    /// glance-svc gave no usable answer.
    #[error("{0}; nothing was written, try again")]
    Glance(#[source] glance::Error),
    /// glance-svc will not do what an operation needs.
    #[error("glance-svc refused image {id}: {}; nothing was changed", clip(.problem, 600))]
    GlanceRefused { id: Id, problem: String },
    /// An upload has begun, but glance-svc keeps its image from being registered for now.
    #[error(
        "UploadVolumeToImage of volume {id} has begun and will go on by itself, but image {image_id} may not be registered \
         yet ({}); repeat the request with the same request_id, or read the volume",
        .cause.describe().reason
    )]
    Begun {
        id: Id,
        image_id: Id,
        #[source]
        cause: Box<Self>,
    },
    /// The status of the volume does not allow the operation, or another one is in progress.
    #[error(
        "volume {id} is {status}{}, but {} needs {}; allowed now: {}",
        during(*.task_state), .operation.name(), statuses(.needed), operations(.allowed)
    )]
    WrongState {
        id: Id,
        operation: Operation,
        status: Status,
        task_state: Option<TaskState>,
        needed: &'static [Status],
        allowed: Vec<Operation>,
    },
    /// The volume has changed since the caller read it.
    #[error("{kind} {id} has changed: its etag is {current} now, not {}; read it again", quoted(.given))]
    StaleEtag { kind: &'static str, id: Id, given: String, current: String },
    /// A report is about a status that the volume is not in.
    #[error("volume {id} is {status}{}, which is not what the report saw; read it again", during(*.task_state))]
    StateChanged { id: Id, status: Status, task_state: Option<TaskState> },
    /// The volume still has snapshots.
    #[error("volume {id} has {count} snapshots; delete them first, or set cascade")]
    VolumeHasSnapshots { id: Id, count: i64 },
    /// The volume still has snapshots, and is to be offered without.
    #[error("volume {id} has {count} snapshots; delete them first, or offer it with them")]
    OfferedWithoutSnapshots { id: Id, count: i64 },
    /// The key is not the one that was shown when the volume was offered.
    #[error("transfer {0} needs another auth_key: the one that CreateTransfer answered with")]
    WrongAuthKey(Id),
    /// The volume is being copied.
    #[error("volume {0} is being copied; wait until that is done")]
    VolumeBeingCopied(Id),
    /// A volume can only become larger.
    #[error("size_gib: volume {id} has {size_gib} GiB, and can only become larger; not {requested} GiB")]
    NotLarger { id: Id, size_gib: i32, requested: i32 },
    /// Only the latest snapshot of a volume can be restored.
    #[error("snapshot_id: snapshot {snapshot_id} is not the latest one of volume {id}, which is {latest}")]
    NotLatestSnapshot { id: Id, snapshot_id: Id, latest: Id },
    /// The volume has been made larger since the snapshot was taken.
    #[error(
        "snapshot {snapshot_id} has {snapshot_gib} GiB, volume {id} has {size_gib} GiB; they must be equal"
    )]
    SnapshotSize { id: Id, snapshot_id: Id, snapshot_gib: i32, size_gib: i32 },
    /// A volume would have more properties than an image may have.
    #[error("{} {} are too many; a volume may have at most {}", .0.attempted, .0.resource, .0.maximum)]
    PropertyLimit(Excess),
    /// It fails because of an attachment.
    #[error(transparent)]
    Attachment(#[from] AttachmentError),
    /// It fails because of data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// It fails because of a volume type.
    #[error(transparent)]
    VolumeType(#[from] VolumeTypeError),
    /// Other requests keep changing it.
    #[error("{kind} {id} keeps being changed by other requests; try again")]
    Contended { kind: &'static str, id: Id },
    /// Other requests with the same id keep being begun and refused.
    #[error("request_id {} keeps being used by other requests; try again", quoted(.0))]
    RequestContended(String),
    /// The database failed or is unavailable.
    #[error(transparent)]
    Database(#[from] db::Error),
    /// What the database holds makes no sense.
    #[error("{0} is stored in a form that this service does not understand")]
    Corrupt(Id),
}

error_conversions!(Error);

impl From<glance::Error> for Error {
    fn from(error: glance::Error) -> Self {
        match error {
            glance::Error::NotFound(id) => Self::NoSuchImage(id),
            glance::Error::Refused { id, problem } => Self::GlanceRefused { id, problem },
            glance::Error::Caller(error) => Self::Caller(error),
            glance::Error::Lost(lost) => Self::Database(lost.into()),
            error => Self::Glance(error),
        }
    }
}

impl From<Excess> for Error {
    fn from(excess: Excess) -> Self {
        Self::PropertyLimit(excess)
    }
}

/// Refuses a request about the resource `id`, such as a `volume`, with the etag `given` if that is not the `current` one;
/// without an etag, it is about any revision.
pub(crate) fn check_etag(kind: &'static str, id: Id, given: &str, current: String) -> Result<(), Error> {
    if given.is_empty() || given == current {
        return Ok(());
    }
    Err(Error::StaleEtag { kind, id, given: given.to_owned(), current })
}

/// A value as a sentence shows it: sentences travel in headers, of which many clients accept 8 KiB. The whole
/// value stands in the metadata.
fn quoted(value: &str) -> String {
    format!("{:?}", clip(value, 200))
}

/// The task of a volume, as sentences show it.
fn during(task_state: Option<TaskState>) -> String {
    task_state.map(|state| format!(" ({state})")).unwrap_or_default()
}

fn statuses(statuses: &[Status]) -> String {
    statuses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn operations(operations: &[Operation]) -> String {
    operations.iter().map(|operation| operation.name()).collect::<Vec<_>>().join(", ")
}
