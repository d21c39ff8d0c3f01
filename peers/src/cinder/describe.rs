//! How an answer that the volume service did not give looks to a caller of ours.

use std::time::Duration;

use chassis::status::{Code, Description, RETRY_AFTER};

use super::{Error, Resource};
use crate::retry_after;

/// The longest time that a caller is told to wait, whatever cinder-svc says.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

impl Error {
    /// How it looks to a caller, who may try again unless cinder-svc refuses for good.
    #[must_use]
    pub fn describe(&self) -> Description {
        match self {
            Self::NotFound { resource, id } => {
                let (reason, name) = match resource {
                    Resource::Volume => ("VOLUME_NOT_FOUND", "volume_id"),
                    Resource::Snapshot => ("SNAPSHOT_NOT_FOUND", "snapshot_id"),
                    Resource::Attachment => ("ATTACHMENT_NOT_FOUND", "attachment_id"),
                };
                Description::precondition(reason, reason, name, id)
            }
            Self::Unavailable(_) => {
                let delay = self.retry_after().unwrap_or(RETRY_AFTER);
                Description::retry(Code::Unavailable, "CINDER_UNAVAILABLE", delay)
            }
            Self::Timeout(milliseconds) => {
                Description::retry(Code::DeadlineExceeded, "CINDER_TIMEOUT", RETRY_AFTER)
                    .with("timeout_ms", milliseconds)
            }
            Self::Answer(_) => Description::retry(Code::Unavailable, "CINDER_BAD_ANSWER", RETRY_AFTER),
            Self::Caller(error) => error.describe(),
            Self::Refused { reason, problem } => Description::new(Code::FailedPrecondition, "VOLUME_REFUSED")
                .with("cause", reason)
                .with("problem", problem),
        }
    }

    /// When to try again, if cinder-svc says so, within reason.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let Self::Unavailable(Some(status)) = self else { return None };
        retry_after(status).map(|delay| delay.clamp(Duration::from_millis(1), LONGEST_RETRY))
    }
}
