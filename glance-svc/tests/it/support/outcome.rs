//! What came of a call, said the same way for both edges.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::Answer;

/// The way a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    Http,
    Grpc,
}

pub(crate) const EDGES: [Edge; 2] = [Edge::Http, Edge::Grpc];

/// What is said of a call that was done; of others, the reason of the error.
pub(crate) const DONE: &str = "DONE";

/// The status of each reason, over HTTP and over gRPC.
const STATUSES: [(&str, u16, Code); 9] = [
    ("IMAGE_HAS_NO_DATA", 204, Code::FailedPrecondition),
    ("IMAGE_NOT_FOUND", 404, Code::NotFound),
    ("IMAGE_NOT_SHARED", 403, Code::FailedPrecondition),
    ("IMAGE_QUOTA_EXCEEDED", 413, Code::ResourceExhausted),
    ("ILLEGAL_STATUS_MOVE", 409, Code::FailedPrecondition),
    ("MEMBER_EXISTS", 409, Code::AlreadyExists),
    ("MEMBER_NOT_FOUND", 404, Code::NotFound),
    ("NOT_PERMITTED", 403, Code::PermissionDenied),
    ("UNAUTHENTICATED", 401, Code::Unauthenticated),
];

/// What came of a call over HTTP.
#[track_caller]
pub(crate) fn over_http(answer: &Answer) -> String {
    let reason = answer.header("x-error-reason");
    if reason.is_empty() {
        assert!(answer.status < 300, "{answer:?}");
        return DONE.to_owned();
    }
    let known = STATUSES.iter().find(|(known, _, _)| *known == reason);
    assert_eq!(Some(answer.status), known.map(|(_, status, _)| *status), "{reason}");
    reason.to_owned()
}

/// What came of a call over gRPC.
#[track_caller]
pub(crate) fn over_grpc<T>(answer: Result<T, Status>) -> String {
    let Err(status) = answer else { return DONE.to_owned() };
    let reason = status.get_details_error_info().unwrap().reason;
    let known = STATUSES.iter().find(|(known, _, _)| *known == reason);
    assert_eq!(Some(status.code()), known.map(|(_, _, code)| *code), "{reason}");
    reason
}
