//! Everything that can go wrong in this service, named for what the caller can do about it.

use chassis::{
    caller, data, db, error_conversions,
    http::{conditions, range},
    status::{Code, Description, Detail, Failure, RETRY_AFTER, StatusCode},
};
use common::{id::Id, image::properties::Excess, violations::Violations};

use crate::{
    data::generic,
    image::{Attribute, Status},
};

/// The type of an image in `google.rpc.ResourceInfo`.
const KIND: &str = "glance.v1.Image";

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the values of the sentence")]
pub enum Error {
    /// The request is invalid.
    #[error(transparent)]
    Invalid(#[from] Violations),
    /// A patch is invalid; with the number of each violation's operation.
    #[error("{violations}")]
    InvalidPatch { violations: Violations, operations: Vec<usize> },
    /// The caller cannot be identified.
    #[error(transparent)]
    Caller(#[from] caller::Error),
    /// The caller's roles do not allow the action; it sees the image, if the action is on one.
    #[error("not permitted to {action}: that needs {needs}")]
    NotPermitted { action: String, needs: &'static str },
    /// There is no such image, or it has been deleted, or the caller must not see it.
    #[error("no image {0}")]
    NotFound(Id),
    /// The image never had, or does not yet have, that revision.
    #[error("image {id} has no revision {revision}")]
    RevisionNotFound { id: Id, revision: i64 },
    /// The id is or once was in use.
    #[error("the id {0} is taken; leave it out to get a new one")]
    IdTaken(Id),
    /// The image has changed since the caller read it.
    #[error("image {id} has changed: its etag is {current:?} now, not {given:?}; read it again")]
    StaleEtag { id: Id, given: String, current: String },
    /// A precondition of a request over HTTP does not hold.
    #[error(transparent)]
    Condition(#[from] conditions::Unmet),
    /// The update would exceed a limit.
    #[error("{attempted} {resource} are more than the {maximum} an image may have")]
    Quota { resource: &'static str, attempted: usize, maximum: usize },
    /// The image is protected from deletion.
    #[error("image {0} is protected; set protected to false before you delete it")]
    Protected(Id),
    /// The status cannot make that transition.
    #[error("image {id} is {from} and cannot become {to}; allowed: {}", allowed(*.from))]
    StatusMove { id: Id, from: Status, to: Status },
    /// The status locks the attribute.
    #[error(
        "{} of image {id} cannot be changed while it is {status}, only while it is {}",
        .attribute.name(),
        names(.allowed)
    )]
    Locked { id: Id, attribute: Attribute, status: Status, allowed: &'static [Status] },
    /// A patch adds something that exists.
    #[error("{0:?} already exists; replace it, or use the media type of version 2.1")]
    PropertyExists(String),
    /// A patch replaces or removes a property that does not exist.
    #[error("there is no property {0:?}; add it")]
    PropertyMissing(String),
    /// A request sets something that only the service sets.
    #[error("{} cannot be set or removed: read-only, reserved, or part of every image", .0.join(", "))]
    ReadOnly(Vec<String>),
    /// The image is not shared.
    #[error("image {0} is not shared: only an image whose visibility is shared has members")]
    NotShared(Id),
    /// The project is not a member of the image, or the caller must not see that it is.
    #[error("{member_id:?} is not a member of image {id}")]
    MemberNotFound { id: Id, member_id: String },
    /// The project is already a member of the image.
    #[error("{member_id:?} is already a member of image {id}")]
    MemberExists { id: Id, member_id: String },
    /// The image has no such tag.
    #[error("image {id} has no tag {tag:?}")]
    TagNotFound { id: Id, tag: String },
    /// The image has no data, or its data is stored elsewhere.
    #[error("image {id} is {status} and has no data here")]
    NoData { id: Id, status: Status },
    /// The data is in the database but not in the data store.
    #[error("the data of image {0} is missing from the data store")]
    DataMissing(Id),
    /// The requested range is outside the data.
    #[error("the data has {size} bytes: request a range that begins before its end")]
    Range { size: u64 },
    /// The data does not have the announced size.
    #[error("{announced} bytes were announced but {received} arrived; nothing was kept, upload it again")]
    SizeMismatch { announced: u64, received: u64 },
    /// The data is larger than an image's may be.
    #[error("the data has more than the {limit} bytes an image may have; nothing was kept")]
    DataTooLarge { limit: u64 },
    /// The sender stopped in the middle.
    #[error("the upload broke off after {received} bytes; nothing was kept, upload it again")]
    UploadBroken { received: u64 },
    /// The image was deleted or changed during the upload.
    #[error("image {0} was deleted or changed during the upload; nothing was kept")]
    UploadLost(Id),
    /// The data store is full.
    #[error("the data store is full; nothing was kept")]
    DataStoreFull,
    /// The data store is unavailable or refuses.
    #[error("the data store is not available; try again")]
    DataStore(#[source] object_store::Error),
    /// The data folder is missing, or another one is in its place.
    #[error("the data folder is missing, or another one is in its place; nothing was done, try again")]
    DataAway { expected: Option<Id> },
    /// The database failed or is unavailable.
    #[error(transparent)]
    Database(#[from] db::Error),
    /// A row of the database is malformed.
    #[error("image {0} is stored in a form that this service does not understand")]
    Corrupt(Id),
}

impl Error {
    /// Puts `prefix` before the names of the invalid fields, for a message that is part of another.
    #[must_use]
    pub fn within(self, prefix: &str) -> Self {
        match self {
            Self::Invalid(violations) => Self::Invalid(violations.within(prefix)),
            other => other,
        }
    }
}

error_conversions!(Error);

impl From<data::Error> for Error {
    fn from(error: data::Error) -> Self {
        match error {
            data::Error::Away { expected } => Self::DataAway { expected },
            data::Error::Folder(error) => Self::DataStore(generic(error)),
            data::Error::Database(error) => Self::Database(error),
        }
    }
}

impl From<Excess> for Error {
    fn from(Excess { resource, attempted, maximum }: Excess) -> Self {
        Self::Quota { resource, attempted, maximum }
    }
}

impl From<range::Error> for Error {
    fn from(error: range::Error) -> Self {
        match error {
            range::Error::Several(violations) => Self::Invalid(violations),
            range::Error::Outside { size } => Self::Range { size },
        }
    }
}

impl Failure for Error {
    const DOMAIN: &'static str = "glance";

    fn describe(&self) -> Description {
        let new = Description::new;
        let not_found = |reason, id: &Id| Description::not_found(reason, KIND, "image_id", id);
        let precondition = |reason, rule, id: &Id| Description::precondition(reason, rule, "image_id", id);
        match self {
            Self::Invalid(violations) => Description::invalid(violations),
            Self::InvalidPatch { violations, operations } => at_fault(violations, operations),
            Self::Caller(error) => error.describe(),
            Self::NotPermitted { action, needs } => Description::not_permitted(action, needs),
            Self::NotFound(id) => not_found("IMAGE_NOT_FOUND", id),
            Self::RevisionNotFound { id, revision } => {
                not_found("IMAGE_REVISION_NOT_FOUND", id).with("revision", revision)
            }
            Self::IdTaken(id) => Description::already_exists("IMAGE_ID_TAKEN", KIND, "image_id", id),
            Self::StaleEtag { id, given, current } => {
                Description::stale_etag("image_id", id, given, current).http(StatusCode::PRECONDITION_FAILED)
            }
            Self::Condition(unmet) => unmet.describe(),
            Self::Quota { resource, attempted, maximum } => {
                let (reason, subject) = ("IMAGE_QUOTA_EXCEEDED", format!("image {resource}"));
                Description::limit_exceeded(reason, subject, *attempted, *maximum).with("resource", resource)
            }
            Self::Protected(id) => {
                precondition("IMAGE_PROTECTED", "NOT_PROTECTED", id).http(StatusCode::FORBIDDEN)
            }
            Self::StatusMove { id, from, to } => precondition("ILLEGAL_STATUS_MOVE", "STATUS", id)
                .with("from", from)
                .with("to", to)
                .with("allowed", allowed(*from))
                .http(StatusCode::CONFLICT),
            Self::Locked { id, attribute, status, allowed } => precondition("ATTRIBUTE_LOCKED", "STATUS", id)
                .with("attribute", attribute.name())
                .with("status", status)
                .with("allowed", names(allowed))
                .http(StatusCode::FORBIDDEN),
            Self::PropertyExists(name) => new(Code::AlreadyExists, "PROPERTY_EXISTS").with("property", name),
            Self::PropertyMissing(name) => {
                new(Code::NotFound, "PROPERTY_NOT_FOUND").with("property", name).http(StatusCode::CONFLICT)
            }
            Self::ReadOnly(attributes) => {
                new(Code::PermissionDenied, "ATTRIBUTE_READ_ONLY").with("attributes", attributes.join(", "))
            }
            Self::NotShared(id) => precondition("IMAGE_NOT_SHARED", "SHARED", id).http(StatusCode::FORBIDDEN),
            Self::MemberNotFound { id, member_id } => {
                new(Code::NotFound, "MEMBER_NOT_FOUND").with("image_id", id).with("member_id", member_id)
            }
            Self::MemberExists { id, member_id } => {
                new(Code::AlreadyExists, "MEMBER_EXISTS").with("image_id", id).with("member_id", member_id)
            }
            Self::TagNotFound { id, tag } => {
                new(Code::NotFound, "TAG_NOT_FOUND").with("image_id", id).with("tag", tag)
            }
            Self::NoData { id, status } => precondition("IMAGE_HAS_NO_DATA", "HAS_DATA", id)
                .with("status", status)
                .http(StatusCode::NO_CONTENT),
            Self::DataMissing(id) => new(Code::DataLoss, "DATA_MISSING").with("image_id", id),
            Self::Range { size } => new(Code::OutOfRange, "RANGE_OUTSIDE_DATA").with("size", size),
            Self::SizeMismatch { announced, received } => new(Code::InvalidArgument, "SIZE_MISMATCH")
                .with("announced", announced)
                .with("received", received),
            Self::DataTooLarge { limit } => new(Code::ResourceExhausted, "DATA_TOO_LARGE")
                .with("limit_bytes", limit)
                .detail(Detail::Quota { subject: "bytes of data".to_owned() }),
            Self::UploadBroken { received } => {
                new(Code::Aborted, "UPLOAD_BROKEN").with("received", received).http(StatusCode::BAD_REQUEST)
            }
            Self::UploadLost(id) => {
                new(Code::Aborted, "UPLOAD_LOST").with("image_id", id).http(StatusCode::GONE)
            }
            Self::DataStoreFull => new(Code::ResourceExhausted, "DATA_STORE_FULL"),
            Self::DataStore(_) | Self::DataAway { .. } => {
                Description::retry(Code::Unavailable, "DATA_STORE_UNAVAILABLE", RETRY_AFTER)
            }
            Self::Database(error) => error.describe(),
            Self::Corrupt(_) => new(Code::Internal, "INTERNAL"),
        }
    }
}

/// The violations of a patch, and the numbers of their operations.
fn at_fault(violations: &Violations, operations: &[usize]) -> Description {
    let operations: Vec<_> = operations.iter().take(100).map(ToString::to_string).collect();
    Description::invalid(violations).with("operations", operations.join(", "))
}

fn allowed(from: Status) -> String {
    let next = from.next();
    if next.is_empty() { "nothing but its deletion".to_owned() } else { names(next) }
}

fn names(statuses: &[Status]) -> String {
    statuses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
