//! What every request passes on its way in and out: its deadline, and answers that are always complete.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{extract::Request, http::HeaderMap, response::Response};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::{
    deadline::Deadline,
    status::{self, Description},
};

/// Largest request message, bytes.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// Notes the deadline of a request, ends the request when it has passed, and completes the statuses that the
/// gRPC library makes by itself with the reason and domain that every error has.
///
/// A service and no function (`from_fn`), which would put the way of each request into boxes.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    /// Domain of the reasons.
    pub domain: &'static str,
}

/// A service with its [`Edge`].
#[derive(Debug, Clone)]
pub struct Edged<S> {
    inner: S,
    domain: &'static str,
}

impl<S> Layer<S> for Edge {
    type Service = Edged<S>;

    fn layer(&self, inner: S) -> Edged<S> {
        Edged { inner, domain: self.domain }
    }
}

impl<S: Service<Request, Response = Response, Error = Infallible>> Service<Request> for Edged<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Answer<S::Future> {
        let deadline = Deadline::from_headers(request.headers());
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(deadline);
        }
        // Nothing is begun for a caller who has stopped waiting.
        let is_in_time = deadline.is_none_or(|deadline| !deadline.remaining().is_zero());
        Answer {
            inner: is_in_time.then(|| self.inner.call(request)),
            timer: deadline.map(|deadline| Box::pin(sleep_until(deadline.instant()))),
            domain: self.domain,
        }
    }
}

pin_project! {
    /// An answer in time.
    #[derive(Debug)]
    pub struct Answer<F> {
        // None where there is no time for one.
        #[pin]
        inner: Option<F>,
        timer: Option<Pin<Box<Sleep>>>,
        domain: &'static str,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Answer<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(answer) = this.inner.as_mut().as_pin_mut() {
            if let Poll::Ready(answered) = answer.poll(context) {
                return Poll::Ready(answered.map(|response| complete(response, this.domain)));
            }
            let timer = this.timer.as_mut().map(|timer| timer.as_mut().poll(context));
            if timer.is_none_or(|timer| timer.is_pending()) {
                return Poll::Pending;
            }
            this.inner.set(None);
        }
        Poll::Ready(Ok(expired(this.domain)))
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
