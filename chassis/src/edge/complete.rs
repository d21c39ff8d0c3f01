//! Statuses that the gRPC library produces by itself get the reason and the domain that every error has.

use axum::{http::HeaderMap, response::Response};
use tonic::{Code, Status};

use super::Shared;
use crate::status::{self, Description};

impl Shared {
    /// The answer, with everything that belongs to its status.
    pub(super) fn complete(&self, response: Response) -> Response {
        match incomplete(response.headers()) {
            Some(status) => self.explain(&status).into_http(),
            None => response,
        }
    }

    fn explain(&self, status: &Status) -> Status {
        let Self { domain, message, .. } = self;
        let (description, sentence) = match status.code() {
            // The library calls what it cannot decode an internal error; it is the caller's.
            Code::Internal => (
                Description::new(Code::InvalidArgument, "MALFORMED_MESSAGE"),
                "the request is not a valid message of its type: broken wire format, compression or UTF-8"
                    .to_owned(),
            ),
            Code::InvalidArgument if let Some(fields) = fields(status) => (
                Description::new(Code::InvalidArgument, "TOO_MANY_FIELDS").with("fields", fields),
                status.message().to_owned(),
            ),
            Code::OutOfRange => (
                Description::new(Code::ResourceExhausted, "MESSAGE_TOO_LARGE").with("limit_bytes", message),
                format!("the request is larger than {message} bytes"),
            ),
            // The library has no words for an unknown method, but some for a compression that it lacks.
            Code::Unimplemented if !status.message().is_empty() => (
                Description::new(Code::Unimplemented, "COMPRESSION_NOT_SUPPORTED"),
                "this service takes no compressed messages".to_owned(),
            ),
            Code::Unimplemented => (
                Description::new(Code::Unimplemented, "METHOD_NOT_FOUND"),
                "this service has no such method; its reflection lists those it has".to_owned(),
            ),
            code => (Description::new(code, reason(code)), status.message().to_owned()),
        };
        status::status(domain, &sentence, description)
    }
}

/// The status of an answer that failed without a description of ours.
fn incomplete(headers: &HeaderMap) -> Option<Status> {
    if headers.get("grpc-status")? == "0" || headers.contains_key("grpc-status-details-bin") {
        return None;
    }
    Status::from_header_map(headers)
}

/// Status header: the message has this many fields, so it was not decoded.
const FIELDS: &str = "x-message-fields";

/// How many fields the message has that was not decoded.
fn fields(status: &Status) -> Option<&str> {
    status.metadata().get(FIELDS)?.to_str().ok()
}

const fn reason(code: Code) -> &'static str {
    match code {
        Code::Cancelled => "CANCELLED",
        Code::InvalidArgument => "MALFORMED_REQUEST",
        Code::NotFound => "NOT_FOUND",
        Code::Unavailable => "UNAVAILABLE",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        _ => "REQUEST_FAILED",
    }
}
