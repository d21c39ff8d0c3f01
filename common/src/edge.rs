//! What every request passes on its way in and out: limits, its deadline, and answers that are always complete.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{self, HeaderMap},
    response::Response,
};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Span;

use crate::{
    deadline::Deadline,
    http::Problem,
    status::{self, Description},
    telemetry,
};

mod limits;
mod seen;

pub use limits::Limits;

use limits::{Admission, Place};
use seen::{Seen, Way};

/// Largest request message, bytes.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// Lets a request in or refuses it, notes its deadline, ends it when that has passed, and completes the statuses that
/// the gRPC library makes by itself with the reason and domain that every error has. Counts every answer.
///
/// A service and no function (`from_fn`), which would put the way of each request into boxes.
#[derive(Debug, Clone)]
pub struct Edge(Arc<Shared>);

/// Whether a request brings or fetches data, which may take as long as it takes.
pub type IsTransfer = fn(&Request) -> bool;

#[derive(Debug)]
struct Shared {
    /// Domain of the reasons.
    domain: &'static str,
    admission: Admission,
    deadline: Duration,
    is_transfer: IsTransfer,
}

impl Edge {
    /// An edge whose errors have reasons of `domain`.
    #[must_use]
    pub fn new(domain: &'static str, limits: &Limits, is_transfer: IsTransfer) -> Self {
        let admission = Admission::new(limits);
        Self(Arc::new(Shared { domain, admission, deadline: limits.deadline, is_transfer }))
    }

    /// Forgets what need not be remembered; to be called from time to time.
    pub fn tidy(&self) {
        self.0.admission.tidy();
    }
}

/// A service with its [`Edge`].
#[derive(Debug, Clone)]
pub struct Edged<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Layer<S> for Edge {
    type Service = Edged<S>;

    fn layer(&self, inner: S) -> Edged<S> {
        Edged { inner, shared: Arc::clone(&self.0) }
    }
}

impl<S: Service<Request, Response = Response, Error = Infallible>> Service<Request> for Edged<S> {
    type Response = http::Response<Held>;
    type Error = Infallible;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Answer<S::Future> {
        let way = Way::of(request.headers());
        let seen = Seen::new(&request, way);
        let span = telemetry::span(&request);
        // Health and reflection are answered whatever else there is to do.
        let is_ours = !request.uri().path().starts_with("/grpc.");
        let is_transfer = (self.shared.is_transfer)(&request);
        let deadline = self.shared.deadline(&request, is_ours && !is_transfer);
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(deadline);
        }
        let admitted = match deadline {
            // Nothing is begun for a caller who has stopped waiting.
            Some(deadline) if deadline.remaining().is_zero() => Err(expired()),
            _ if is_ours => self.shared.admission.admit(&request, is_transfer).map(Some),
            _ => Ok(None),
        };
        let (place, refusal) = match admitted {
            Ok(place) => (place, None),
            Err(problem) => (None, Some(problem)),
        };
        Answer {
            inner: refusal.is_none().then(|| span.in_scope(|| self.inner.call(request))),
            refusal,
            timer: deadline.map(|deadline| Box::pin(sleep_until(deadline.instant()))),
            place,
            seen,
            span,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Shared {
    /// When the answer must have been sent: as the caller says, and not later than is allowed.
    fn deadline(&self, request: &Request, is_limited: bool) -> Option<Deadline> {
        let said = Deadline::from_headers(request.headers());
        if is_limited { Deadline::earlier(said, self.deadline) } else { said }
    }
}

pin_project! {
    /// An answer in time.
    #[derive(Debug)]
    pub struct Answer<F> {
        // None where the request is refused.
        #[pin]
        inner: Option<F>,
        refusal: Option<Problem>,
        timer: Option<Pin<Box<Sleep>>>,
        place: Option<Place>,
        seen: Seen,
        span: Span,
        shared: Arc<Shared>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Answer<F> {
    type Output = Result<http::Response<Held>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let domain = this.shared.domain;
        let mut refusal = this.refusal.take();
        let response = match this.inner.as_mut().as_pin_mut() {
            None => None,
            Some(answer) => match this.span.in_scope(|| answer.poll(context)) {
                Poll::Ready(Ok(response)) => Some(complete(response, domain)),
                Poll::Pending => {
                    let timer = this.timer.as_mut().map(|timer| timer.as_mut().poll(context));
                    if timer.is_none_or(|timer| timer.is_pending()) {
                        return Poll::Pending;
                    }
                    this.inner.set(None);
                    refusal = Some(expired());
                    None
                }
            },
        };
        let response = response.unwrap_or_else(|| {
            let problem = refusal.unwrap_or_else(expired);
            this.seen.way.refuse(problem, domain)
        });
        this.seen.count(&response, this.span);
        let place = this.place.take();
        Poll::Ready(Ok(response.map(|body| Held { body, place })))
    }
}

pin_project! {
    /// The body of an answer, which is in flight until it has been sent.
    #[derive(Debug)]
    pub struct Held {
        #[pin]
        body: Body,
        place: Option<Place>,
    }
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn expired() -> Problem {
    let description = Description::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    Problem::new("the request took longer than its caller or this service allows", description)
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
