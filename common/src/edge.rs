//! What every request passes on its way in and out: its deadline, and answers that are always complete.

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use tonic::{Code, Status};

use crate::{
    deadline::Deadline,
    status::{self, Description},
};

/// Largest request message, bytes.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// Notes the deadline of a request, ends the request when it has passed, and completes the statuses that the
/// gRPC library makes by itself with the reason and domain that every error has.
pub async fn edge(State(domain): State<&'static str>, mut request: Request, next: Next) -> Response {
    let Some(deadline) = Deadline::from_headers(request.headers()) else {
        return complete(next.run(request).await, domain);
    };
    // Nothing is begun for a caller who has stopped waiting.
    if deadline.remaining().is_zero() {
        return expired(domain);
    }
    request.extensions_mut().insert(deadline);
    match tokio::time::timeout_at(deadline.instant(), next.run(request)).await {
        Ok(response) => complete(response, domain),
        Err(_) => expired(domain),
    }
}

fn expired(domain: &'static str) -> Response {
    let description = Description::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    status::status(domain, "the request took longer than its caller allows", description).into_http()
}

fn complete(response: Response, domain: &'static str) -> Response {
    match incomplete(response.headers()) {
        Some(status) => explain(&status, domain).into_http(),
        None => response,
    }
}

/// The status of an answer that failed without a word of ours.
fn incomplete(headers: &HeaderMap) -> Option<Status> {
    if headers.get("grpc-status")? == "0" || headers.contains_key("grpc-status-details-bin") {
        return None;
    }
    Status::from_header_map(headers)
}

fn explain(status: &Status, domain: &'static str) -> Status {
    let (description, sentence) = match status.code() {
        // The library calls what it cannot decode an internal error; it is the caller's.
        Code::Internal => (
            Description::new(Code::InvalidArgument, "MALFORMED_MESSAGE"),
            "the request is no valid message of its type: broken wire format, compression or UTF-8"
                .to_owned(),
        ),
        Code::OutOfRange => (
            Description::new(Code::ResourceExhausted, "MESSAGE_TOO_LARGE").with("limit_bytes", MAX_MESSAGE),
            format!("the request is larger than {MAX_MESSAGE} bytes"),
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
