//! What can go wrong with attachments.

use chassis::status::Description;
use common::id::Id;

use super::describe::volume;
use crate::volume::{AttachmentStatus, attachment::ATTACHMENT_LIMIT};

/// Why a request failed that is about attachments.
#[derive(Debug, Clone, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the values of the sentence")]
pub enum AttachmentError {
    /// There is no such attachment, or the caller must not see it.
    #[error("there is no attachment {0}")]
    NotFound(Id),
    /// The volume is reserved for another instance, and is not for several.
    #[error(
        "volume {id} is reserved for {} by attachment {attachment_id}, and is not multiattach",
        user(*.instance_id)
    )]
    VolumeReserved { id: Id, attachment_id: Id, instance_id: Option<Id> },
    /// The volume is used by another instance, and is not for several.
    #[error(
        "volume {id} is in use by {} with attachment {attachment_id}, and is not multiattach",
        user(*.instance_id)
    )]
    VolumeInUse { id: Id, attachment_id: Id, instance_id: Option<Id> },
    /// The volume must not be written.
    #[error("volume {0} is read-only: only attachments with the mode READ_ONLY are possible")]
    VolumeReadOnly(Id),
    /// The volume has as many attachments as one may have.
    #[error("volume {0} has {ATTACHMENT_LIMIT} attachments, and cannot have more")]
    Limit(Id),
    /// The status of the attachment does not allow what is to be done with it.
    #[error("attachment {id} is {status}, but {operation} needs {needed}")]
    WrongStatus { id: Id, operation: &'static str, status: AttachmentStatus, needed: AttachmentStatus },
}

/// Whoever has an attachment.
fn user(instance_id: Option<Id>) -> String {
    instance_id.map_or_else(|| "something else".to_owned(), |id| format!("instance {id}"))
}

impl AttachmentError {
    pub(super) fn describe(&self) -> Description {
        match self {
            Self::NotFound(id) => {
                Description::not_found("ATTACHMENT_NOT_FOUND", "cinder.v1.Attachment", "attachment_id", id)
            }
            Self::VolumeReserved { id, attachment_id, instance_id } => {
                held("VOLUME_RESERVED", id, attachment_id, *instance_id)
            }
            Self::VolumeInUse { id, attachment_id, instance_id } => {
                held("VOLUME_IN_USE", id, attachment_id, *instance_id)
            }
            Self::VolumeReadOnly(id) => volume("VOLUME_READ_ONLY", id),
            Self::Limit(id) => {
                let (subject, maximum) = (format!("volume/{id}"), ATTACHMENT_LIMIT);
                Description::limit_exceeded("ATTACHMENT_LIMIT_EXCEEDED", subject, maximum + 1, maximum)
                    .with("volume_id", id)
            }
            Self::WrongStatus { id, operation, status, needed } => {
                let reason = "WRONG_ATTACHMENT_STATUS";
                Description::precondition(reason, reason, "attachment_id", id)
                    .with("operation", operation)
                    .with("status", status)
                    .with("needed", needed)
            }
        }
    }
}

/// Somebody else has the volume.
fn held(reason: &'static str, id: &Id, attachment_id: &Id, instance_id: Option<Id>) -> Description {
    let instance_id = instance_id.map(|id| id.to_string()).unwrap_or_default();
    volume(reason, id).with("attachment_id", attachment_id).with("instance_id", instance_id)
}
