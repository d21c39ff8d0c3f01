//! Everything that can go wrong in this service, named for what the caller may do about it.

use chassis::{caller, db, status::Failure as _};
use common::{id::Id, image::properties::Excess, text::clip, violations::Violations};
use peers::glance;
use tonic::Status as GrpcStatus;

use crate::{
    instance::{Operation, State, TaskState},
    quota::Shortage,
};

mod describe;

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
    /// Nobody knows who is calling.
    #[error(transparent)]
    Caller(#[from] caller::Error),
    /// The caller must not do that.
    #[error("you may not {action}; it needs {needs}")]
    NotPermitted { action: String, needs: &'static str },
    /// There is no such instance, or the caller must not see it.
    #[error("no instance {0}")]
    InstanceNotFound(Id),
    /// There is no such flavor.
    #[error("no flavor {}", quoted(.0))]
    FlavorNotFound(String),
    /// The flavor to create an instance with does not exist.
    #[error("flavor_id: no flavor {}; ListFlavors lists those there are", quoted(.0))]
    NoSuchFlavor(String),
    /// The id or the name of a new flavor is in use.
    #[error("a flavor with the {field} {} exists already", quoted(.value))]
    FlavorExists { field: &'static str, value: String },
    /// An image that is needed does not exist.
    #[error("{}: no image {id:?}", .usage.field())]
    NoSuchImage { usage: ImageUse, id: String },
    /// The image has no data, or must not be used.
    #[error("image {id} is {status} and must be ACTIVE")]
    ImageNotActive { id: Id, status: &'static str },
    /// The flavor has too little memory.
    #[error("image {id} needs {needed} MiB of memory, flavor {} has {available}", quoted(.flavor_id))]
    MemoryTooSmall { id: Id, flavor_id: String, needed: i64, available: i32 },
    /// The data does not fit on the flavor's root disk.
    #[error("image {id} has {needed} bytes, the root disk of flavor {} {available}", quoted(.flavor_id))]
    DiskSmallerThanImage { id: Id, flavor_id: String, needed: i64, available: i64 },
    /// The flavor's root disk is smaller than the image says it must be.
    #[error("image {id} needs a root disk of {needed} GiB, flavor {} has {available}", quoted(.flavor_id))]
    DiskSmallerThanMinDisk { id: Id, flavor_id: String, needed: i64, available: i32 },
    /// The image forbids what the request asks for.
    #[error("image {0} disables auto_disk_config; do not ask for it")]
    AutoDiskConfigDisabled(Id),
    /// Too much metadata.
    #[error("{attempted} items of metadata are more than the {maximum} allowed")]
    MetadataLimit { attempted: usize, maximum: usize },
    /// The project may not use that much.
    #[error(
        "quota of {}: {} requested, {} of {} used",
        .0.resource, .0.requested, .0.used, .0.limit
    )]
    QuotaExceeded(Shortage),
    /// The id of a request was used for another request.
    #[error("request_id {} was used for another request; give each request an id of its own", quoted(.0))]
    RequestIdTaken(String),
    /// glance-svc cannot be reached.
    #[error("glance-svc is not available; nothing was written, try again")]
    GlanceUnavailable(#[source] Option<GrpcStatus>),
    /// glance-svc did not answer in time.
    #[error("glance-svc did not answer within {0} ms; nothing was written, try again")]
    GlanceTimeout(u128),
    /// glance-svc answered what no image catalogue should.
    #[error("glance-svc gave no usable answer; nothing was written, try again")]
    GlanceAnswer(#[source] Option<GrpcStatus>),
    /// glance-svc will not do what an operation needs.
    #[error("glance-svc refuses image {id}: {}; nothing was changed", clip(.problem, 600))]
    GlanceRefused { id: Id, problem: String },
    /// An operation was begun and goes on, but glance-svc does not let it come to its end for now.
    #[error(
        "{} of instance {id} has begun and goes on by itself, but nobody knows image {image_id} to be registered \
         yet ({}); send it again with the same request_id, or read the instance",
        .operation.name(), .cause.describe().reason
    )]
    Begun {
        id: Id,
        operation: Operation,
        image_id: Id,
        #[source]
        cause: Box<Self>,
    },
    /// The instance is somewhere else, or something is being done with it.
    #[error(
        "instance {id} is {state}{}; {} needs {}; now it allows {}",
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
    /// Somebody else changed the instance meanwhile.
    #[error("instance {id} was changed meanwhile: its etag is {current}, not {}; read it again", quoted(.given))]
    StaleEtag { id: Id, given: String, current: String },
    /// A report is about a state that the instance is not in.
    #[error("instance {id} is {state}{}, and not where the report saw it; read it again", during(*.task_state))]
    StateChanged { id: Id, state: State, task_state: Option<TaskState> },
    /// The instance has that flavor.
    #[error("flavor_id: instance {id} has flavor {} already", quoted(.flavor_id))]
    SameFlavor { id: Id, flavor_id: String },
    /// The flavor has no root disk, and the instance has one.
    #[error(
        "resize to zero disk flavor is not allowed: instance {id} has a root disk of {root_gb} GiB, flavor {} none",
        quoted(.flavor_id)
    )]
    CannotResizeDisk { id: Id, flavor_id: String, root_gb: i32 },
    /// The record of an instance would have more properties than an image may have.
    #[error("{} {} are more than the {} an instance may have", .0.attempted, .0.resource, .0.maximum)]
    PropertyLimit(Excess),
    /// Others change an instance again and again.
    #[error("instance {0} is being changed by others again and again; try again")]
    Contended(Id),
    /// Other requests with the same id are begun and refused, again and again.
    #[error("request_id {} is being used by other requests again and again; try again", quoted(.0))]
    RequestContended(String),
    /// The database failed or is away.
    #[error(transparent)]
    Database(#[from] db::Error),
    /// What the database holds makes no sense.
    #[error("instance {0} is kept in a form this service does not know")]
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

impl db::Transient for Error {
    fn database(&self) -> Option<&db::Error> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl From<glance::Error> for Error {
    fn from(error: glance::Error) -> Self {
        match error {
            glance::Error::NotFound(id) => Self::NoSuchImage { usage: ImageUse::Boot, id: id.to_string() },
            glance::Error::Unavailable(status) => Self::GlanceUnavailable(status),
            glance::Error::Timeout(milliseconds) => Self::GlanceTimeout(milliseconds),
            glance::Error::Answer(status) => Self::GlanceAnswer(status),
            glance::Error::Refused { id, problem } => Self::GlanceRefused { id, problem },
            glance::Error::Caller(error) => Self::Caller(error),
            glance::Error::Lost(lost) => Self::Database(lost.into()),
        }
    }
}

impl From<Excess> for Error {
    fn from(excess: Excess) -> Self {
        Self::PropertyLimit(excess)
    }
}

impl From<Error> for GrpcStatus {
    fn from(error: Error) -> Self {
        chassis::status::to_status(&error)
    }
}

/// A value as a sentence shows it: sentences travel in headers, of which many clients accept 8 KiB. The whole
/// value stands in the metadata.
fn quoted(value: &str) -> String {
    format!("{:?}", clip(value, 200))
}

/// What is being done with an instance, as a sentence says it.
fn during(task_state: Option<TaskState>) -> String {
    task_state.map(|state| format!(" ({state})")).unwrap_or_default()
}

fn states(states: &[State]) -> String {
    states.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn operations(operations: &[Operation]) -> String {
    operations.iter().map(|operation| operation.name()).collect::<Vec<_>>().join(", ")
}
