//! What each request passes through on its way in and out.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use pin_project_lite::pin_project;
use tonic::Status;
use tower::{Layer, Service};

use super::{ErrorBody, Form, render};

/// The id of a request, as set by the layers around every service.
const REQUEST_ID: &str = "x-request-id";

/// The id of a request, as OpenStack's clients show it.
const OPENSTACK_REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// The same, as Nova named it first.
const COMPUTE_REQUEST_ID: HeaderName = HeaderName::from_static("x-compute-request-id");

/// Gives every answer its request id, and every error a body in the form that its caller reads.
///
/// A service instead of a function (`from_fn`), which would box the future of each request.
#[derive(Debug, Clone, Copy)]
pub struct Conventions {
    /// Domain of the reasons.
    pub domain: &'static str,
    /// What errors look like.
    pub error_body: ErrorBody,
    /// Whether answers have the request id as `x-compute-request-id` too, as Nova's and Cinder's have.
    pub compute_request_id: bool,
}

/// A service with its [`Conventions`].
#[derive(Debug, Clone)]
pub struct ConventionsService<S> {
    inner: S,
    conventions: Conventions,
}

impl<S> Layer<S> for Conventions {
    type Service = ConventionsService<S>;

    fn layer(&self, inner: S) -> ConventionsService<S> {
        ConventionsService { inner, conventions: *self }
    }
}

impl<S: Service<Request, Response = Response, Error = Infallible>> Service<Request>
    for ConventionsService<S>
{
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> ResponseFuture<S::Future> {
        let headers = request.headers();
        let (id, is_grpc) = (request_id(headers), is_grpc(headers));
        let form = self.conventions.error_body.form(headers);
        let path = request.extensions().get::<MatchedPath>().cloned();
        let inner = (!is_grpc).then(|| self.inner.call(request));
        ResponseFuture { inner, id, path, form, conventions: self.conventions }
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
        conventions: Conventions,
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
            response = render(response, this.conventions.domain, *this.form);
        }
        if let Some(id) = this.id.take() {
            if this.conventions.compute_request_id {
                response.headers_mut().insert(COMPUTE_REQUEST_ID, id.clone());
            }
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
