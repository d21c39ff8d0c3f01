//! Everything that can go wrong in this service, named for what the caller may do about it.

use common::{
    db,
    id::Id,
    status::{Code, Description, Detail, Failure},
    violations::Violations,
};
use tonic::Status as GrpcStatus;

use crate::image::{Attribute, Status};

/// The type of an image in `google.rpc.ResourceInfo`.
const KIND: &str = "glance.v1.Image";

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the values of the sentence")]
pub enum Error {
    /// The request is wrong in itself.
    #[error(transparent)]
    Invalid(#[from] Violations),
    /// There is no such image, or not any more.
    #[error("no image {0}")]
    NotFound(Id),
    /// The image never had, or does not yet have, that revision.
    #[error("image {id} has no revision {revision}")]
    RevisionNotFound { id: Id, revision: i64 },
    /// The id is in use, or was once.
    #[error("the id {0} is taken; leave it out to get a new one")]
    IdTaken(Id),
    /// Somebody else changed the image meanwhile.
    #[error("image {id} has changed: its etag is {current:?} now, not {given:?}; read it again")]
    StaleEtag { id: Id, given: String, current: String },
    /// The update would exceed a limit.
    #[error("{attempted} {resource} are more than the {maximum} an image may have")]
    Quota { resource: &'static str, attempted: usize, maximum: usize },
    /// The image must not be deleted.
    #[error("image {0} is protected; set protected to false before you delete it")]
    Protected(Id),
    /// The status cannot make that move.
    #[error("image {id} is {from} and cannot become {to}; allowed: {}", allowed(*.from))]
    StatusMove { id: Id, from: Status, to: Status },
    /// The status locks the attribute.
    #[error(
        "{} of image {id} cannot be changed while it is {status}, only while it is {}",
        .attribute.name(),
        names(.allowed)
    )]
    Locked { id: Id, attribute: Attribute, status: Status, allowed: &'static [Status] },
    /// The database failed or is away.
    #[error(transparent)]
    Database(#[from] db::Error),
    /// What the database holds makes no sense.
    #[error("image {0} is kept in a form this service does not know")]
    Corrupt(Id),
}

impl Error {
    /// Puts `prefix` before the fields at fault, for a message that is part of another.
    #[must_use]
    pub fn within(self, prefix: &str) -> Self {
        match self {
            Self::Invalid(violations) => Self::Invalid(violations.within(prefix)),
            other => other,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Failure for Error {
    const DOMAIN: &'static str = "glance";

    fn describe(&self) -> Description {
        let new = Description::new;
        let resource = |id: &Id| Detail::Resource { kind: KIND, name: id.to_string() };
        let precondition = |rule, id: &Id| Detail::Precondition { rule, subject: format!("image/{id}") };
        match self {
            Self::Invalid(violations) => violations.describe(),
            Self::NotFound(id) => {
                new(Code::NotFound, "IMAGE_NOT_FOUND").with("image_id", id).detail(resource(id))
            }
            Self::RevisionNotFound { id, revision } => new(Code::NotFound, "IMAGE_REVISION_NOT_FOUND")
                .with("image_id", id)
                .with("revision", revision)
                .detail(resource(id)),
            Self::IdTaken(id) => {
                new(Code::AlreadyExists, "IMAGE_ID_TAKEN").with("image_id", id).detail(resource(id))
            }
            Self::StaleEtag { id, given, current } => new(Code::Aborted, "STALE_ETAG")
                .with("image_id", id)
                .with("etag", current)
                .with("given_etag", given),
            Self::Quota { resource, attempted, maximum } => {
                new(Code::ResourceExhausted, "IMAGE_QUOTA_EXCEEDED")
                    .with("resource", resource)
                    .with("attempted", attempted)
                    .with("maximum", maximum)
                    .detail(Detail::Quota { subject: format!("image {resource}") })
            }
            Self::Protected(id) => new(Code::FailedPrecondition, "IMAGE_PROTECTED")
                .with("image_id", id)
                .detail(precondition("NOT_PROTECTED", id)),
            Self::StatusMove { id, from, to } => new(Code::FailedPrecondition, "ILLEGAL_STATUS_MOVE")
                .with("image_id", id)
                .with("from", from)
                .with("to", to)
                .with("allowed", allowed(*from))
                .detail(precondition("STATUS", id)),
            Self::Locked { id, attribute, status, allowed } => {
                new(Code::FailedPrecondition, "ATTRIBUTE_LOCKED")
                    .with("image_id", id)
                    .with("attribute", attribute.name())
                    .with("status", status)
                    .with("allowed", names(allowed))
                    .detail(precondition("STATUS", id))
            }
            Self::Database(error) => error.describe(),
            Self::Corrupt(_) => new(Code::Internal, "INTERNAL"),
        }
    }
}

impl From<Error> for GrpcStatus {
    fn from(error: Error) -> Self {
        common::status::to_status(&error)
    }
}

fn allowed(from: Status) -> String {
    let next = from.next();
    if next.is_empty() { "nothing but its deletion".to_owned() } else { names(next) }
}

fn names(statuses: &[Status]) -> String {
    statuses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
