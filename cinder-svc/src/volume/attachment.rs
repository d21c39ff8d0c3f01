//! Attachments: who uses a volume, from the reservation to the end (docs/decisions/0011).

use chrono::{DateTime, TimeDelta, Utc};
use common::{id::Id, named};
use serde::{Deserialize, Serialize};

use crate::error::{AttachmentError, Error, check_etag};

mod of_volume;
mod request;

pub(super) use of_volume::status_of;
pub use request::{AttachmentReport, AttachmentUpdate, Connector, CreateAttachment, NewAttachment};

/// Maximum number of attachments of a volume, all of which are read with it.
pub const ATTACHMENT_LIMIT: usize = 128;

/// How long a reservation lasts unless the caller says otherwise.
pub const DEFAULT_LEASE: TimeDelta = TimeDelta::minutes(10);

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
    /// Starts at 1; each change adds 1.
    pub revision: i64,
    /// When it was created.
    pub create_time: DateTime<Utc>,
    /// When it was first used.
    pub attach_time: Option<DateTime<Utc>>,
}

/// How a host and the data of a volume are connected, each side a JSON object of at most 64 KiB. A volume is read without
/// that of its attachments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// What the host says of itself (os-brick's connector).
    pub connector: Option<String>,
    /// How it reaches the data.
    pub connection_info: Option<String>,
}

/// What is done with an attachment that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Its host is named. RESERVED.
    Connect {
        /// The host.
        connector: Connector,
        /// The device of the instance; unchanged if empty.
        mountpoint: String,
    },
    /// The reservation lasts for so long from now on. RESERVED.
    Renew(TimeDelta),
    /// The instance exists: the reservation no longer ends by itself. RESERVED; in any other status it does not anyway.
    Confirm,
    /// The instance uses the volume. ATTACHING.
    Complete {
        /// The device of the instance; unchanged if empty.
        mountpoint: String,
        /// The instance, if it was reserved for none.
        instance_id: Option<Id>,
    },
    /// The instance is about to stop using it. ATTACHED.
    BeginDetaching,
    /// It does not stop after all. DETACHING.
    RollDetaching,
    /// Whatever runs the backend has exported the data. ATTACHING.
    Export {
        /// How the host reaches them: a JSON object.
        connection_info: String,
    },
    /// It could not. ATTACHING.
    Fail {
        /// Why.
        message: String,
    },
}

use AttachmentStatus::{Attached, Attaching, Detaching, Reserved};

impl Move {
    /// The name of the RPC.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connect { .. } | Self::Renew(_) | Self::Confirm => "UpdateAttachment",
            Self::Complete { .. } => "CompleteAttachment",
            Self::BeginDetaching => "BeginDetaching",
            Self::RollDetaching => "RollDetaching",
            Self::Export { .. } | Self::Fail { .. } => "ReportAttachment",
        }
    }

    /// The one status that it is allowed in.
    const fn from(&self) -> AttachmentStatus {
        match self {
            Self::Connect { .. } | Self::Renew(_) | Self::Confirm => Reserved,
            Self::Complete { .. } | Self::Export { .. } | Self::Fail { .. } => Attaching,
            Self::BeginDetaching => Attached,
            Self::RollDetaching => Detaching,
        }
    }

    /// Whether it is refused while the volume has a task, because somebody begins or ends to use its data.
    #[must_use]
    pub const fn needs_no_task(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::Complete { .. } | Self::BeginDetaching | Self::RollDetaching
        )
    }
}

impl Attachment {
    /// The etag of this revision, for preconditions (AIP-154).
    #[must_use]
    pub fn etag(&self) -> String {
        format!("{:x}-{}", self.id.as_uuid().as_u64_pair().1, self.revision)
    }

    /// Refuses a request that is about another revision.
    pub fn check_etag(&self, given: &str) -> Result<(), Error> {
        check_etag("attachment", self.id, given, self.etag())
    }

    /// Whether its reservation is over.
    #[must_use]
    pub fn is_lapsed(&self, now: DateTime<Utc>) -> bool {
        self.lease_time.is_some_and(|end| end <= now)
    }

    /// The attachment after a move, or why its status does not allow that; with the same revision if nothing changes.
    /// `now` is the time by the database's clock.
    pub fn moved(&self, change: &Move, now: DateTime<Utc>) -> Result<Self, Error> {
        let needed = change.from();
        if self.status != needed && *change != Move::Confirm {
            let (id, operation, status) = (self.id, change.name(), self.status);
            return Err(AttachmentError::WrongStatus { id, operation, status, needed }.into());
        }
        let mut after = self.after(change, now);
        if after != *self || matches!(change, Move::Export { .. }) {
            after.revision += 1;
        }
        Ok(after)
    }

    fn after(&self, change: &Move, now: DateTime<Utc>) -> Self {
        let mut after = self.clone();
        match change {
            Move::Connect { connector, .. } => {
                (after.status, after.lease_time) = (Attaching, None);
                after.host.clone_from(&connector.host);
            }
            Move::Renew(lease) => after.lease_time = self.lease_time.map(|_| now + *lease),
            Move::Confirm => after.lease_time = None,
            Move::Complete { instance_id, .. } => {
                (after.status, after.attach_time) = (Attached, Some(now));
                after.instance_id = self.instance_id.or(*instance_id);
            }
            Move::BeginDetaching => after.status = Detaching,
            Move::RollDetaching => after.status = Attached,
            Move::Export { .. } => {}
            Move::Fail { .. } => {
                (after.status, after.host) = (Reserved, String::new());
                after.lease_time = Some(now + TimeDelta::microseconds(self.lease_micros));
            }
        }
        if let Move::Connect { mountpoint, .. } | Move::Complete { mountpoint, .. } = change
            && !mountpoint.is_empty()
        {
            after.mountpoint.clone_from(mountpoint);
        }
        after
    }
}

#[cfg(test)]
mod tests;
