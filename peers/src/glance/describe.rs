//! How an answer that the catalogue did not give looks to a caller of ours.

use std::time::Duration;

use chassis::status::{Code, Description, RETRY_AFTER};
use tonic::Status;

use super::Error;
use crate::retry_after;

/// The longest time that a caller is told to wait, whatever glance-svc says.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

impl Error {
    /// How it looks to a caller, who may try again unless glance-svc refuses for good.
    #[must_use]
    pub fn describe(&self) -> Description {
        match self {
            Self::NotFound(id) => {
                Description::precondition("IMAGE_NOT_FOUND", "IMAGE_EXISTS", "image_id", id)
            }
            Self::Unavailable(status) => {
                let delay = delay_of(status.as_ref()).unwrap_or(RETRY_AFTER);
                Description::retry(Code::Unavailable, "GLANCE_UNAVAILABLE", delay)
            }
            Self::Timeout(milliseconds) => {
                Description::retry(Code::DeadlineExceeded, "GLANCE_TIMEOUT", RETRY_AFTER)
                    .with("timeout_ms", milliseconds)
            }
            Self::Answer(_) => Description::retry(Code::Unavailable, "GLANCE_BAD_ANSWER", RETRY_AFTER),
            Self::Caller(error) => error.describe(),
            Self::Refused { id, problem } => {
                Description::precondition("IMAGE_REFUSED", "IMAGE_REFUSED", "image_id", id)
                    .with("problem", problem)
            }
            Self::Lost(_) => Description::new(Code::Internal, "INTERNAL"),
        }
    }
}

/// How long to wait, as glance-svc says, within reason.
fn delay_of(status: Option<&Status>) -> Option<Duration> {
    status.and_then(retry_after).map(|delay| delay.clamp(Duration::from_millis(1), LONGEST_RETRY))
}
