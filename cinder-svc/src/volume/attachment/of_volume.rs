//! What attachments mean for their volume.

use chrono::{DateTime, Utc};
use common::id::Id;

use super::{ATTACHMENT_LIMIT, Attachment, AttachmentStatus, Mode};
use crate::{
    error::{AttachmentError, Error},
    volume::{Operation, Status, Volume},
};

/// The status of a volume with these attachments, if it has data: used, only reserved, or neither.
#[must_use]
pub(in crate::volume) fn status_of(attachments: &[Attachment]) -> Status {
    use AttachmentStatus::{Attached, Detaching};
    let is_used = |attachment: &Attachment| matches!(attachment.status, Attached | Detaching);
    if attachments.iter().any(is_used) {
        Status::InUse
    } else if attachments.is_empty() {
        Status::Available
    } else {
        Status::Reserved
    }
}

impl Volume {
    /// The volume with these attachments, and the status that follows from them, if any does.
    #[must_use]
    pub fn with_attachments(&self, attachments: Vec<Attachment>) -> Self {
        let status = match self.status {
            Status::Available | Status::Reserved | Status::InUse => status_of(&attachments),
            other => other,
        };
        Self { status, attachments, ..self.clone() }
    }

    /// The volume with this attachment, in the place of the one with its id if there is one.
    #[must_use]
    pub fn with_attachment(&self, attachment: Attachment) -> Self {
        let mut attachments = self.attachments.clone();
        match attachments.iter_mut().find(|old| old.id == attachment.id) {
            Some(old) => *old = attachment,
            None => attachments.push(attachment),
        }
        self.with_attachments(attachments)
    }

    /// The volume without the attachment of that id.
    #[must_use]
    pub fn without_attachment(&self, id: Id) -> Self {
        let others = self.attachments.iter().filter(|attachment| attachment.id != id);
        self.with_attachments(others.cloned().collect())
    }

    /// The volume without the reservations that are over, and these.
    #[must_use]
    pub fn without_lapsed(&self, now: DateTime<Utc>) -> (Self, Vec<Attachment>) {
        let (lapsed, others) =
            self.attachments.iter().cloned().partition(|attachment| attachment.is_lapsed(now));
        (self.with_attachments(others), lapsed)
    }

    /// What an attachment for that instance may do with the volume, or why there can be none. Attachments of the same
    /// instance are no obstacle, as live migration needs it; one without an instance is nobody else's.
    pub fn reservable(&self, instance_id: Option<Id>, mode: Option<Mode>) -> Result<Mode, Error> {
        Operation::Attachment.check(self, None)?;
        let is_other = |other: &&Attachment| instance_id.is_none() || other.instance_id != instance_id;
        if let Some(holder) = self.attachments.iter().find(is_other).filter(|_| !self.multiattach) {
            return Err(self.held_by(holder).into());
        }
        if self.attachments.len() >= ATTACHMENT_LIMIT {
            return Err(AttachmentError::Limit(self.id).into());
        }
        match (mode, self.read_only) {
            (Some(Mode::ReadWrite), true) => Err(AttachmentError::VolumeReadOnly(self.id).into()),
            (Some(mode), _) => Ok(mode),
            (None, true) => Ok(Mode::ReadOnly),
            (None, false) => Ok(Mode::ReadWrite),
        }
    }

    fn held_by(&self, holder: &Attachment) -> AttachmentError {
        let (id, attachment_id, instance_id) = (self.id, holder.id, holder.instance_id);
        if self.status == Status::InUse {
            AttachmentError::VolumeInUse { id, attachment_id, instance_id }
        } else {
            AttachmentError::VolumeReserved { id, attachment_id, instance_id }
        }
    }
}
