//! OpenStack over HTTP: what each request passes through on its way in and out of an API other than gRPC, and errors
//! in the form that its clients read.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use pin_project_lite::pin_project;
use tonic::Status;
use tower::{Layer, Service};

use crate::{
    caller::AUTH_URL,
    status::{self, Code, Description, Detail, Failure, tell},
};
use common::violations::Violations;

mod form;

pub(crate) use form::Form;

/// The id of a request, as set by the layers around every service.
const REQUEST_ID: &str = "x-request-id";

/// The id of a request, as OpenStack's clients show it.
const OPENSTACK_REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// The stable reason of an error, for programs that do not ask for JSON.
const ERROR_REASON: HeaderName = HeaderName::from_static("x-error-reason");

/// How callers should identify themselves, in keystonemiddleware's form: whoever stands in front knows where Keystone
/// is, if this service does not.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Keystone");

/// An error on its way to the edge, which renders it as the caller can read it.
#[derive(Debug, Clone)]
pub struct Problem {
    sentence: Box<str>,
    description: Description,
    /// An additional header of its answer.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    /// An error that no [`Failure`] stands for.
    pub fn new(sentence: impl Into<String>, description: Description) -> Self {
        Self { sentence: sentence.into().into_boxed_str(), description, header: None }
    }

    /// What a caller is told about a failure.
    pub fn of<F: Failure>(failure: &F) -> Self {
        let (sentence, description) = tell(failure);
        Self::new(sentence, description)
    }

    /// The same error with another HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.description = self.description.http(status);
        self
    }

    /// The same error, whose answer over HTTP has this header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }
}

impl Problem {
    /// The error as gRPC has it.
    #[must_use]
    pub fn into_status(self, domain: &str) -> Status {
        status::status(domain, &self.sentence, self.description)
    }
}

impl From<Violations> for Problem {
    fn from(violations: Violations) -> Self {
        Self::new(violations.to_string(), Description::invalid(&violations))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.description.http_status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives every answer its request id, and every error a body in the form that its caller reads.
///
/// A service instead of a function (`from_fn`), which would box the future of each request.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    /// Domain of the reasons.
    pub domain: &'static str,
}

/// A service with its [`Edge`].
#[derive(Debug, Clone)]
pub struct EdgeService<S> {
    inner: S,
    domain: &'static str,
}

impl<S> Layer<S> for Edge {
    type Service = EdgeService<S>;

    fn layer(&self, inner: S) -> EdgeService<S> {
        EdgeService { inner, domain: self.domain }
    }
}

impl<S: Service<Request, Response = Response, Error = Infallible>> Service<Request> for EdgeService<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> ResponseFuture<S::Future> {
        let headers = request.headers();
        let (id, form, is_grpc) = (request_id(headers), Form::of(headers), is_grpc(headers));
        let path = request.extensions().get::<MatchedPath>().cloned();
        let inner = (!is_grpc).then(|| self.inner.call(request));
        ResponseFuture { inner, id, path, form, domain: self.domain }
    }
}

pin_project! {
    /// An answer in the form that OpenStack's clients read.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        // None where a gRPC method was called: no path of this API is one.
        #[pin]
        inner: Option<F>,
        id: Option<HeaderValue>,
        path: Option<MatchedPath>,
        form: Form,
        domain: &'static str,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for ResponseFuture<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(answer) = this.inner.as_pin_mut() else {
            return Poll::Ready(Ok(Status::unimplemented("").into_http()));
        };
        let Ok(mut response) = ready!(answer.poll(context));
        if response.status().is_client_error() || response.status().is_server_error() {
            response = render(response, this.domain, *this.form);
        }
        if let Some(id) = this.id.take() {
            response.headers_mut().insert(OPENSTACK_REQUEST_ID, id);
        }
        // Requests are counted by it.
        if let Some(path) = this.path.take() {
            response.extensions_mut().insert(path);
        }
        Poll::Ready(Ok(response))
    }
}

pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let Some((kind, rest)) = content_type.split_at_checked(GRPC.len()) else { return false };
    kind.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
}

/// The media type of gRPC messages, which may be followed by `+proto`.
const GRPC: &[u8] = b"application/grpc";

fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    HeaderValue::try_from(format!("req-{}", id.trim_start_matches("req-"))).ok()
}

/// Gives an error its body.
pub(crate) fn render(mut response: Response, domain: &'static str, form: Form) -> Response {
    let status = response.status();
    let problem = response.extensions_mut().remove::<Problem>().unwrap_or_else(|| unexplained(status));
    let body = form.render(&problem, status, domain);
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    headers.insert(ERROR_REASON, HeaderValue::from_static(problem.description.reason));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, challenge(&problem.description));
    }
    headers.extend(problem.header.map(|header| *header));
    if let Detail::Retry(delay) = problem.description.detail {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
    }
    *response.body_mut() = Body::from(body);
    response
}

fn challenge(description: &Description) -> HeaderValue {
    let url = description.metadata.iter().find(|(name, _)| *name == AUTH_URL);
    let challenge = url.map(|(_, url)| HeaderValue::try_from(format!("Keystone uri=\"{url}\"")));
    challenge.and_then(Result::ok).unwrap_or(CHALLENGE)
}

/// An error from the router, which does not explain it.
fn unexplained(status: StatusCode) -> Problem {
    let (sentence, code, reason) = match status {
        StatusCode::NOT_FOUND => {
            ("there is no such resource in this API", Code::Unimplemented, "METHOD_NOT_FOUND")
        }
        StatusCode::METHOD_NOT_ALLOWED => (
            "the resource has no such method; Allow names those it has",
            Code::Unimplemented,
            "METHOD_NOT_FOUND",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("the body of the request is too large", Code::ResourceExhausted, "MESSAGE_TOO_LARGE")
        }
        status if status.is_client_error() => {
            ("the request cannot be understood", Code::InvalidArgument, "MALFORMED_REQUEST")
        }
        _ => ("internal error; the service's log says more", Code::Internal, "INTERNAL"),
    };
    Problem::new(sentence, Description::new(code, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_one_media_type() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("Application/GRPC", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpcx", false),
            ("application/gr", false),
            ("", false),
        ] {
            let headers =
                HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
            assert_eq!(is_grpc(&headers), expected, "{content_type}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn a_request_id_has_one_prefix() {
        for (given, shown) in [("abc", "req-abc"), ("req-abc", "req-abc")] {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static(REQUEST_ID),
                HeaderValue::from_static(given),
            )]);
            assert_eq!(request_id(&headers).unwrap(), shown);
        }
    }
}
