//! What a peer's status means: whether it is final, and if not, when to ask again.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The reason of an error that is never final, whatever else it carries.
const RATE_LIMITED: &str = "RATE_LIMITED";

/// The codes that mean that a change will never be made.
pub(crate) const OF_A_CHANGE: &[Code] = &[
    Code::InvalidArgument,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::FailedPrecondition,
    Code::ResourceExhausted,
    Code::Unauthenticated,
];

/// The codes that mean that an image is protected from deletion, or belongs to another owner.
pub(crate) const OF_A_DELETION: &[Code] = &[Code::PermissionDenied, Code::FailedPrecondition];

/// Why a peer refuses for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Its reason.
    pub(crate) reason: String,
    /// What is wrong, in its own words.
    pub(crate) problem: String,
}

/// Why the peer whose reasons belong to `domain` refuses for good: the error comes from the peer itself (a proxy in
/// between does not name its domain), has one of `codes`, and does not say when to retry.
pub(crate) fn refusal(status: &Status, domain: &str, codes: &[Code]) -> Option<Refusal> {
    let info = status.get_details_error_info().filter(|info| info.domain == domain)?;
    let may_pass = info.reason == RATE_LIMITED || retry_after(status).is_some();
    let is_final = codes.contains(&status.code()) && !may_pass;
    let text = |text: &str| text.replace('\0', "\u{fffd}");
    is_final.then(|| Refusal { reason: text(&info.reason), problem: text(status.message()) })
}

/// When to ask again, if the status says so.
#[must_use]
pub fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    fn status(code: Code, domain: &str, reason: &str, delay: Option<Duration>) -> Status {
        let mut details = ErrorDetails::with_error_info(reason, domain, []);
        if delay.is_some() {
            details.set_retry_info(delay);
        }
        Status::with_error_details(code, "the quota is used up", details)
    }

    #[test]
    fn only_its_own_last_word_is_a_refusal() {
        let exhausted = |domain, reason, delay| {
            refusal(&status(Code::ResourceExhausted, domain, reason, delay), "glance", OF_A_CHANGE).is_some()
        };
        assert!(exhausted("glance", "IMAGE_QUOTA_EXCEEDED", None));
        assert!(!exhausted("glance", "RATE_LIMITED", None));
        assert!(!exhausted("glance", "OVERLOADED", Some(Duration::from_secs(1))));
        assert!(!exhausted("envoy", "IMAGE_QUOTA_EXCEEDED", None));
        assert_eq!(refusal(&Status::resource_exhausted("a proxy's"), "glance", OF_A_CHANGE), None);
        let invalid = status(Code::InvalidArgument, "glance", "INVALID_REQUEST", None);
        let (reason, problem) = ("INVALID_REQUEST".to_owned(), "the quota is used up".to_owned());
        assert_eq!(refusal(&invalid, "glance", OF_A_CHANGE), Some(Refusal { reason, problem }));
        assert_eq!(refusal(&invalid, "glance", OF_A_DELETION), None);
        let late = status(Code::DeadlineExceeded, "glance", "DEADLINE_EXCEEDED", None);
        assert_eq!(refusal(&late, "glance", OF_A_CHANGE), None);
    }
}
