//! Everything that can go wrong in this service, named for what the caller may do about it.

use chassis::{caller, db, error_conversions, quota::Shortage, scope::NotPermitted, status::Failure as _};
use common::{id::Id, image::properties::Excess, text::clip, violations::Violations};
use peers::{cinder, glance};

use crate::instance::{Operation, State, TaskState};

mod describe;
mod volume;

pub use volume::VolumeError;

/// What an image was wanted for; it decides whose fault its absence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageUse {
    /// `image_id` of the request.
    Boot,
    /// `kernel_id` of the request.
    Kernel,
    /// `ramdisk_id` of the request.
    Ramdisk,
    /// Property `kernel_id` of the image.
    KernelOfImage,
    /// Property `ramdisk_id` of the image.
    RamdiskOfImage,
    /// Property `kernel_id` that the request sets.
    KernelOfEdit,
    /// Property `ramdisk_id` that the request sets.
    RamdiskOfEdit,
}

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
    /// There is no such instance, or the caller must not see it.
    #[error("there is no instance {0}")]
    InstanceNotFound(Id),
    /// There is no such flavor.
    #[error("there is no flavor {}", quoted(.0))]
    FlavorNotFound(String),
    /// The flavor that the request names does not exist.
    #[error("flavor_id: there is no flavor {}; ListFlavors lists them all", quoted(.0))]
    NoSuchFlavor(String),
    /// The id or the name of a new flavor is in use.
    #[error("a flavor with the {field} {} already exists", quoted(.value))]
    FlavorExists { field: &'static str, value: String },
    /// An image that is needed does not exist.
    #[error("{}: there is no image {id:?}", .usage.field())]
    NoSuchImage { usage: ImageUse, id: String },
    /// The image has no data, or must not be used.
    #[error("image {id} must be ACTIVE, but is {status}")]
    ImageNotActive { id: Id, status: &'static str },
    /// The flavor has too little memory.
    #[error("image {id} requires {needed} MiB of memory; flavor {} has {available} MiB", quoted(.flavor_id))]
    MemoryTooSmall { id: Id, flavor_id: String, needed: i64, available: i32 },
    /// The data does not fit on the flavor's root disk.
    #[error("image {id} has {needed} bytes of data; the root disk of flavor {} holds {available}", quoted(.flavor_id))]
    DiskSmallerThanImage { id: Id, flavor_id: String, needed: i64, available: i64 },
    /// The flavor's root disk is smaller than the image says it must be.
    #[error("image {id} requires a root disk of {needed} GiB; flavor {} has {available} GiB", quoted(.flavor_id))]
    DiskSmallerThanMinDisk { id: Id, flavor_id: String, needed: i64, available: i32 },
    /// The image forbids what is requested.
    #[error("image {0} disables auto_disk_config; request the instance without it")]
    AutoDiskConfigDisabled(Id),
    /// Too much metadata.
    #[error("{attempted} items of metadata are too many; at most {maximum} are allowed")]
    MetadataLimit { attempted: usize, maximum: usize },
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
    /// It fails because of volumes.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// An operation has begun, but glance-svc keeps it from being completed for now.
    #[error(
        "{} of instance {id} has begun and will go on by itself, but image {image_id} may not be registered yet ({}); \
         repeat the request with the same request_id, or read the instance",
        .operation.name(), .cause.describe().reason
    )]
    Begun {
        id: Id,
        operation: Operation,
        image_id: Id,
        #[source]
        cause: Box<Self>,
    },
    /// The state of the instance does not allow the operation, or another one is in progress.
    #[error(
        "instance {id} is {state}{}, but {} needs {}; allowed now: {}",
        during(*.task_state), .operation.name(), states(.needed), operations(.allowed)
    )]
    WrongState {
        id: Id,
        operation: Operation,
        state: State,
        task_state: Option<TaskState>,
        needed: &'static [State],
        allowed: Vec<Operation>,
    },
    /// The instance has changed since the caller read it.
    #[error("instance {id} has changed: its etag is {current} now, not {}; read it again", quoted(.given))]
    StaleEtag { id: Id, given: String, current: String },
    /// A report is about a state that the instance is not in.
    #[error("instance {id} is {state}{}, which is not what the report saw; read it again", during(*.task_state))]
    StateChanged { id: Id, state: State, task_state: Option<TaskState> },
    /// The instance already has that flavor.
    #[error("flavor_id: instance {id} already has flavor {}", quoted(.flavor_id))]
    SameFlavor { id: Id, flavor_id: String },
    /// The flavor has no root disk, but the instance has one.
    #[error(
        "resize to zero disk flavor is not allowed: instance {id} has a root disk of {root_gb} GiB, flavor {} has none",
        quoted(.flavor_id)
    )]
    CannotResizeDisk { id: Id, flavor_id: String, root_gb: i32 },
    /// The record of an instance would have more properties than an image may have.
    #[error("{} {} are too many; an instance may have at most {}", .0.attempted, .0.resource, .0.maximum)]
    PropertyLimit(Excess),
    /// Other requests keep changing the instance.
    #[error("instance {0} keeps being changed by other requests; try again")]
    Contended(Id),
    /// Other requests with the same id keep being begun and refused.
    #[error("request_id {} keeps being used by other requests; try again", quoted(.0))]
    RequestContended(String),
    /// The database failed or is unavailable.
    #[error(transparent)]
    Database(#[from] db::Error),
    /// What the database holds makes no sense.
    #[error("instance {0} is stored in a form that this service does not understand")]
    Corrupt(Id),
}

impl ImageUse {
    /// The field, or the property, that names the image.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Boot => "image_id",
            Self::Kernel => "kernel_id",
            Self::Ramdisk => "ramdisk_id",
            Self::KernelOfImage => "property kernel_id of the image",
            Self::RamdiskOfImage => "property ramdisk_id of the image",
            Self::KernelOfEdit => r#"set["kernel_id"]"#,
            Self::RamdiskOfEdit => r#"set["ramdisk_id"]"#,
        }
    }

    /// Whether the image, and not the request, names it.
    const fn is_property(self) -> bool {
        matches!(self, Self::KernelOfImage | Self::RamdiskOfImage)
    }
}

error_conversions!(Error);

impl From<glance::Error> for Error {
    fn from(error: glance::Error) -> Self {
        match error {
            glance::Error::NotFound(id) => Self::NoSuchImage { usage: ImageUse::Boot, id: id.to_string() },
            glance::Error::Refused { id, problem } => Self::GlanceRefused { id, problem },
            glance::Error::Caller(error) => Self::Caller(error),
            glance::Error::Lost(lost) => Self::Database(lost.into()),
            error => Self::Glance(error),
        }
    }
}

impl From<cinder::Error> for Error {
    fn from(error: cinder::Error) -> Self {
        match error {
            cinder::Error::Caller(error) => Self::Caller(error),
            error => VolumeError::from(error).into(),
        }
    }
}

impl From<Excess> for Error {
    fn from(excess: Excess) -> Self {
        Self::PropertyLimit(excess)
    }
}

/// A value as a sentence shows it: sentences travel in headers, of which many clients accept 8 KiB. The whole
/// value stands in the metadata.
fn quoted(value: &str) -> String {
    format!("{:?}", clip(value, 200))
}

/// The task of an instance, as sentences show it.
fn during(task_state: Option<TaskState>) -> String {
    task_state.map(|state| format!(" ({state})")).unwrap_or_default()
}

fn states(states: &[State]) -> String {
    states.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn operations(operations: &[Operation]) -> String {
    operations.iter().map(|operation| operation.name()).collect::<Vec<_>>().join(", ")
}
