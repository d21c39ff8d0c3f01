//! How each error looks to a caller: its code, its reason and every value of its sentence.

use chassis::status::{Code, Description, Detail, Failure, RETRY_AFTER};
use common::{id::Id, image::properties::Excess};

use super::{Error, ImageUse, operations, states};
use crate::instance::TaskState;

/// Types of resources.
const FLAVOR: &str = "nova.v1.Flavor";
const INSTANCE: &str = "nova.v1.Instance";
const REQUEST: &str = "nova.v1.CreateInstanceRequest";

impl Failure for Error {
    const DOMAIN: &'static str = "nova";

    fn describe(&self) -> Description {
        match self {
            Self::Invalid(violations) => Description::invalid(violations),
            Self::Caller(error) => error.describe(),
            Self::NotPermitted(refused) => Description::not_permitted(&refused.action, refused.needs),
            Self::InstanceNotFound(id) => {
                Description::not_found("INSTANCE_NOT_FOUND", INSTANCE, "instance_id", id)
            }
            Self::FlavorNotFound(id) => Description::not_found("FLAVOR_NOT_FOUND", FLAVOR, "flavor_id", id),
            Self::NoSuchFlavor(id) => {
                Description::bad_field("FLAVOR_NOT_FOUND", "flavor_id", self).with("flavor_id", id)
            }
            Self::FlavorExists { field, value } => {
                Description::already_exists("FLAVOR_EXISTS", FLAVOR, "value", value).with("field", field)
            }
            Self::NoSuchImage { usage, id } => self.describe_missing_image(*usage, id),
            Self::ImageNotActive { id, status } => {
                image("IMAGE_NOT_ACTIVE", id).with("status", status).with("needed", "ACTIVE")
            }
            Self::MemoryTooSmall { id, flavor_id, needed, available } => {
                let needed = ("needed_mb", *needed);
                too_small("FLAVOR_MEMORY_TOO_SMALL", id, flavor_id, needed).with("available_mb", available)
            }
            Self::DiskSmallerThanImage { id, flavor_id, needed, available } => {
                let description =
                    too_small("FLAVOR_DISK_SMALLER_THAN_IMAGE", id, flavor_id, ("needed_bytes", *needed));
                description.with("available_bytes", available)
            }
            Self::DiskSmallerThanMinDisk { id, flavor_id, needed, available } => {
                let description =
                    too_small("FLAVOR_DISK_SMALLER_THAN_MIN_DISK", id, flavor_id, ("needed_gb", *needed));
                description.with("available_gb", available)
            }
            Self::AutoDiskConfigDisabled(id) => image("AUTO_DISK_CONFIG_DISABLED", id),
            Self::MetadataLimit { attempted, maximum } => {
                let (reason, subject) = ("METADATA_LIMIT_EXCEEDED", "instance metadata");
                Description::limit_exceeded(reason, subject, *attempted, *maximum)
            }
            Self::QuotaExceeded(shortage) => shortage.describe(),
            Self::RequestIdTaken(id) => {
                Description::already_exists("REQUEST_ID_TAKEN", REQUEST, "request_id", id)
            }
            Self::Glance(error) => error.describe(),
            Self::GlanceRefused { id, problem } => image("IMAGE_REFUSED", id).with("problem", problem),
            Self::Volume(error) => error.describe(),
            Self::Begun { id, operation, image_id, cause } => {
                let cause = cause.describe();
                Description::new(Code::Unavailable, "OPERATION_BEGUN")
                    .with("instance_id", id)
                    .with("operation", operation.name())
                    .with("image_id", image_id)
                    .with("cause", cause.reason)
                    .detail(cause.detail)
            }
            Self::WrongState { id, operation, state, task_state, needed, allowed } => {
                instance("WRONG_STATE", id)
                    .with("operation", operation.name())
                    .with("state", state)
                    .with("task_state", name_of(*task_state))
                    .with("needed", states(needed))
                    .with("allowed", operations(allowed))
            }
            Self::StaleEtag { id, given, current } => {
                Description::stale_etag("instance_id", id, given, current)
            }
            Self::StateChanged { id, state, task_state } => Description::new(Code::Aborted, "STATE_CHANGED")
                .with("instance_id", id)
                .with("state", state)
                .with("task_state", name_of(*task_state)),
            Self::SameFlavor { id, flavor_id } => Description::bad_field("SAME_FLAVOR", "flavor_id", self)
                .with("instance_id", id)
                .with("flavor_id", flavor_id),
            Self::CannotResizeDisk { id, flavor_id, root_gb } => {
                instance("CANNOT_RESIZE_DISK", id).with("flavor_id", flavor_id).with("root_gb", root_gb)
            }
            Self::PropertyLimit(Excess { resource, attempted, maximum }) => {
                let (reason, subject) = ("PROPERTY_LIMIT_EXCEEDED", "instance image properties");
                Description::limit_exceeded(reason, subject, *attempted, *maximum).with("resource", resource)
            }
            Self::Contended(id) => contended().with("instance_id", id),
            Self::RequestContended(id) => contended().with("request_id", id),
            Self::Database(error) => error.describe(),
            Self::Corrupt(_) => Description::new(Code::Internal, "INTERNAL"),
        }
    }
}

impl Error {
    fn describe_missing_image(&self, usage: ImageUse, id: &str) -> Description {
        const REASON: &str = "IMAGE_NOT_FOUND";
        let description = if usage.is_property() {
            Description::precondition(REASON, "IMAGE_EXISTS", "image_id", id)
        } else {
            Description::bad_field(REASON, usage.field(), self).with("image_id", id)
        };
        description.with("field", usage.field())
    }

    /// Whether the same request may well succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self.describe().detail, Detail::Retry(_))
    }
}

/// The instance does not allow it.
pub(super) fn instance(reason: &'static str, id: &Id) -> Description {
    Description::precondition(reason, reason, "instance_id", id)
}

/// The image, or flavor and image together, do not allow it.
pub(super) fn image(reason: &'static str, id: &Id) -> Description {
    Description::precondition(reason, reason, "image_id", id)
}

/// The flavor is too small for the image, which needs more of something.
fn too_small(reason: &'static str, id: &Id, flavor_id: &str, needed: (&'static str, i64)) -> Description {
    image(reason, id).with("flavor_id", flavor_id).with(needed.0, needed.1)
}

fn contended() -> Description {
    Description::retry(Code::Aborted, "CONTENDED", RETRY_AFTER)
}

fn name_of(task_state: Option<TaskState>) -> String {
    task_state.map(|state| state.to_string()).unwrap_or_default()
}
