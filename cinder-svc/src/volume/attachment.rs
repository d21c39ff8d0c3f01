//! Attachments: who uses a volume, from the reservation to the end (docs/decisions/0011).

use chrono::{DateTime, Utc};
use common::{id::Id, named};
use serde::{Deserialize, Serialize};

use super::Status;

named! {
    /// How far an attachment is.
    #[derive(Serialize, Deserialize)]
    AttachmentStatus {
        /// The volume is held for it.
        Reserved = "reserved",
        /// Its host is known, and is being connected.
        Attaching = "attaching",
        /// It is used.
        Attached = "attached",
        /// It is about to be no longer used.
        Detaching = "detaching",
    }
}

named! {
    /// What may be done with the volume.
    #[derive(Serialize, Deserialize)]
    Mode {
        /// Read and write.
        ReadWrite = "read_write",
        /// Only read.
        ReadOnly = "read_only",
    }
}

/// A use of a volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Attachment {
    /// Its id.
    pub id: Id,
    /// The volume.
    pub volume_id: Id,
    /// The instance, if it is one that uses the volume.
    pub instance_id: Option<Id>,
    /// How far it is.
    pub status: AttachmentStatus,
    /// What may be done with the volume.
    pub mode: Mode,
    /// The host that uses it; empty before it is known.
    pub host: String,
    /// The device of the instance, such as `/dev/vda`, or empty.
    pub mountpoint: String,
    /// Who reserved it.
    pub user_id: String,
    /// For which project.
    pub project_id: String,
    /// How long its reservation lasts when it begins anew, in microseconds.
    pub lease_micros: i64,
    /// When a reservation ends by itself, by the database's clock; `None` once it is confirmed or used.
    pub lease_time: Option<DateTime<Utc>>,
    /// What the host says of itself: a JSON object.
    pub connector: Option<String>,
    /// How the host reaches the data: a JSON object.
    pub connection_info: Option<String>,
    /// Starts at 1; each change adds 1.
    pub revision: i64,
    /// When it was created.
    pub create_time: DateTime<Utc>,
    /// When it was first used.
    pub attach_time: Option<DateTime<Utc>>,
}

impl Attachment {
    /// The etag of this revision, for preconditions (AIP-154).
    #[must_use]
    pub fn etag(&self) -> String {
        format!("{:x}-{}", self.id.as_uuid().as_u64_pair().1, self.revision)
    }
}

/// The status of a volume with these attachments, if it has data: used, only reserved, or neither.
#[must_use]
pub(super) fn status_of(attachments: &[Attachment]) -> Status {
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
