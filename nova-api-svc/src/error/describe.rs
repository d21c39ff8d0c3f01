//! How each error looks to a caller: its code, its reason and every value of its sentence.

use std::time::Duration;

use chassis::status::{Code, Description, Detail, Failure};
use common::{id::Id, image::properties::Excess, violations::Violation};
use peers::retry_after;
use tonic::Status as GrpcStatus;

use super::{Error, ImageUse, operations, states};

/// What a caller is told to wait before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The longest that a caller is told to wait, whatever glance-svc says.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

impl Failure for Error {
    const DOMAIN: &'static str = "nova";

    fn describe(&self) -> Description {
        let new = Description::new;
        match self {
            Self::Invalid(violations) => Description::invalid(violations),
            Self::Caller(error) => error.describe(),
            Self::NotPermitted { action, needs } => {
                new(Code::PermissionDenied, "NOT_PERMITTED").with("action", action).with("needs", needs)
            }
            Self::InstanceNotFound(id) => new(Code::NotFound, "INSTANCE_NOT_FOUND")
                .with("instance_id", id)
                .detail(Detail::Resource { kind: "nova.v1.Instance", name: id.to_string() }),
            Self::FlavorNotFound(id) => {
                new(Code::NotFound, "FLAVOR_NOT_FOUND").with("flavor_id", id).detail(flavor(id))
            }
            Self::NoSuchFlavor(id) => new(Code::InvalidArgument, "FLAVOR_NOT_FOUND")
                .with("flavor_id", id)
                .detail(self.bad_field("flavor_id")),
            Self::FlavorExists { field, value } => new(Code::AlreadyExists, "FLAVOR_EXISTS")
                .with("field", field)
                .with("value", value)
                .detail(flavor(value)),
            Self::NoSuchImage { usage, id } => self.describe_missing_image(*usage, id),
            Self::ImageNotActive { id, status } => {
                refused("IMAGE_NOT_ACTIVE", id).with("status", status).with("needed", "ACTIVE")
            }
            Self::MemoryTooSmall { id, flavor_id, needed, available } => {
                let sizes = [("needed_mb", *needed), ("available_mb", i64::from(*available))];
                too_small("FLAVOR_MEMORY_TOO_SMALL", id, flavor_id, sizes)
            }
            Self::DiskSmallerThanImage { id, flavor_id, needed, available } => {
                let sizes = [("needed_bytes", *needed), ("available_bytes", *available)];
                too_small("FLAVOR_DISK_SMALLER_THAN_IMAGE", id, flavor_id, sizes)
            }
            Self::DiskSmallerThanMinDisk { id, flavor_id, needed, available } => {
                let sizes = [("needed_gb", *needed), ("available_gb", i64::from(*available))];
                too_small("FLAVOR_DISK_SMALLER_THAN_MIN_DISK", id, flavor_id, sizes)
            }
            Self::AutoDiskConfigDisabled(id) => refused("AUTO_DISK_CONFIG_DISABLED", id),
            Self::MetadataLimit { attempted, maximum } => {
                new(Code::ResourceExhausted, "METADATA_LIMIT_EXCEEDED")
                    .with("attempted", attempted)
                    .with("maximum", maximum)
                    .detail(Detail::Quota { subject: "instance metadata".to_owned() })
            }
            Self::QuotaExceeded(shortage) => new(Code::ResourceExhausted, "QUOTA_EXCEEDED")
                .with("resource", shortage.resource)
                .with("requested", shortage.requested)
                .with("used", shortage.used)
                .with("limit", shortage.limit)
                .detail(Detail::Quota { subject: format!("project {}", shortage.resource) }),
            Self::RequestIdTaken(id) => new(Code::AlreadyExists, "REQUEST_ID_TAKEN")
                .with("request_id", id)
                .detail(Detail::Resource { kind: "nova.v1.CreateInstanceRequest", name: id.clone() }),
            Self::GlanceUnavailable(status) => Description::new(Code::Unavailable, "GLANCE_UNAVAILABLE")
                .detail(Detail::Retry(told(status.as_ref()).unwrap_or(RETRY_AFTER))),
            Self::GlanceTimeout(milliseconds) => {
                retry(Code::DeadlineExceeded, "GLANCE_TIMEOUT").with("timeout_ms", milliseconds)
            }
            Self::GlanceAnswer(_) => retry(Code::Unavailable, "GLANCE_BAD_ANSWER"),
            Self::GlanceRefused { id, problem } => refused("IMAGE_REFUSED", id).with("problem", problem),
            Self::Begun { id, operation, image_id, cause } => {
                let cause = cause.describe();
                new(Code::Unavailable, "OPERATION_BEGUN")
                    .with("instance_id", id)
                    .with("operation", operation.name())
                    .with("image_id", image_id)
                    .with("cause", cause.reason)
                    .detail(cause.detail)
            }
            Self::WrongState { id, operation, state, task_state, needed, allowed } => {
                precondition("WRONG_STATE", id)
                    .with("operation", operation.name())
                    .with("state", state)
                    .with("task_state", task_state.map(|state| state.to_string()).unwrap_or_default())
                    .with("needed", states(needed))
                    .with("allowed", operations(allowed))
            }
            Self::StaleEtag { id, given, current } => new(Code::Aborted, "STALE_ETAG")
                .with("instance_id", id)
                .with("given_etag", given)
                .with("etag", current),
            Self::StateChanged { id, state, task_state } => new(Code::Aborted, "STATE_CHANGED")
                .with("instance_id", id)
                .with("state", state)
                .with("task_state", task_state.map(|state| state.to_string()).unwrap_or_default()),
            Self::SameFlavor { id, flavor_id } => new(Code::InvalidArgument, "SAME_FLAVOR")
                .with("instance_id", id)
                .with("flavor_id", flavor_id)
                .detail(self.bad_field("flavor_id")),
            Self::CannotResizeDisk { id, flavor_id, root_gb } => {
                precondition("CANNOT_RESIZE_DISK", id).with("flavor_id", flavor_id).with("root_gb", root_gb)
            }
            Self::PropertyLimit(excess) => too_many_properties(excess),
            Self::Contended(id) => retry(Code::Aborted, "CONTENDED").with("instance_id", id),
            Self::RequestContended(id) => retry(Code::Aborted, "CONTENDED").with("request_id", id),
            Self::Database(error) => error.describe(),
            Self::Corrupt(_) => new(Code::Internal, "INTERNAL"),
        }
    }
}

impl Error {
    fn describe_missing_image(&self, usage: ImageUse, id: &str) -> Description {
        let description = if usage.is_property() {
            Description::new(Code::FailedPrecondition, "IMAGE_NOT_FOUND")
                .detail(Detail::Precondition { rule: "IMAGE_EXISTS", subject: format!("image/{id}") })
        } else {
            Description::new(Code::InvalidArgument, "IMAGE_NOT_FOUND").detail(self.bad_field(usage.field()))
        };
        description.with("image_id", id).with("field", usage.field())
    }

    /// Whether the same may well succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self.describe().detail, Detail::Retry(_))
    }

    /// When to try again, if glance-svc says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::GlanceUnavailable(status) => told(status.as_ref()),
            _ => None,
        }
    }

    /// The whole error as the problem of one field.
    fn bad_field(&self, field: &str) -> Detail {
        Detail::BadRequest(vec![Violation { field: field.to_owned(), problem: self.to_string() }])
    }
}

/// The instance does not allow it.
fn precondition(reason: &'static str, id: &Id) -> Description {
    Description::new(Code::FailedPrecondition, reason)
        .with("instance_id", id)
        .detail(Detail::Precondition { rule: reason, subject: format!("instance/{id}") })
}

fn flavor(name: &str) -> Detail {
    Detail::Resource { kind: "nova.v1.Flavor", name: name.to_owned() }
}

/// The image, or flavor and image together, do not allow it.
fn refused(reason: &'static str, image_id: &Id) -> Description {
    Description::new(Code::FailedPrecondition, reason)
        .with("image_id", image_id)
        .detail(Detail::Precondition { rule: reason, subject: format!("image/{image_id}") })
}

/// When to try again, as glance-svc says, within reason.
fn told(status: Option<&GrpcStatus>) -> Option<Duration> {
    status.and_then(retry_after).map(|told| told.clamp(Duration::from_millis(1), LONGEST_RETRY))
}

fn retry(code: Code, reason: &'static str) -> Description {
    Description::new(code, reason).detail(Detail::Retry(RETRY_AFTER))
}

/// The flavor is too small for the image.
fn too_small(
    reason: &'static str,
    image_id: &Id,
    flavor_id: &str,
    sizes: [(&'static str, i64); 2],
) -> Description {
    let description = refused(reason, image_id).with("flavor_id", flavor_id);
    sizes.into_iter().fold(description, |description, (name, size)| description.with(name, size))
}

fn too_many_properties(excess: &Excess) -> Description {
    Description::new(Code::ResourceExhausted, "PROPERTY_LIMIT_EXCEEDED")
        .with("resource", excess.resource)
        .with("attempted", excess.attempted)
        .with("maximum", excess.maximum)
        .detail(Detail::Quota { subject: "instance image properties".to_owned() })
}
