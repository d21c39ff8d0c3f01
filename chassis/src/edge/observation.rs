//! What is counted of a request, and which protocol its answer is in.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use tonic::Code;
use tracing::Span;

use super::Methods;
use crate::{
    http::{self as openstack, ErrorBody, Form, Problem},
    metrics::{Answered, METRICS},
    status, telemetry,
};

/// The protocol of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Protocol {
    Grpc,
    Http(Form),
}

impl Protocol {
    pub(super) fn of(headers: &HeaderMap, errors: ErrorBody) -> Self {
        if openstack::is_grpc(headers) {
            return Self::Grpc;
        }
        Self::http(headers, errors)
    }

    /// HTTP, whatever the headers say about gRPC.
    pub(super) fn http(headers: &HeaderMap, errors: ErrorBody) -> Self {
        Self::Http(errors.form(headers))
    }

    pub(super) fn refuse(self, problem: Problem, domain: &'static str) -> Response {
        match self {
            Self::Grpc => problem.into_status(domain).into_http(),
            Self::Http(form) => openstack::render(problem.into_response(), domain, form),
        }
    }
}

/// What is counted of a request.
#[derive(Debug)]
pub(super) struct Observation {
    pub(super) protocol: Protocol,
    /// The gRPC method, or the HTTP method; none if it is not known.
    method: Option<String>,
    started: Instant,
    /// For the log of what should not have happened.
    uri: Uri,
    request_id: Option<HeaderValue>,
}

impl Observation {
    pub(super) fn new(request: &Request, protocol: Protocol, methods: &Methods) -> Self {
        let method = match protocol {
            Protocol::Grpc => methods.at(request.uri().path()),
            Protocol::Http(_) => HTTP.iter().find(|method| *method == request.method()).map(Method::as_str),
        };
        let method = method.map(str::to_owned);
        let request_id = request.headers().get("x-request-id").cloned();
        Self { protocol, method, started: Instant::now(), uri: request.uri().clone(), request_id }
    }

    /// Logs what should not have happened to the request, which may have no span.
    pub(super) fn report(&self, what: &str) {
        let id = self.request_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
        tracing::error!(method = self.method.as_deref(), path = self.uri.path(), request_id = id, "{what}");
    }

    fn is_internal(&self, response: &Response) -> bool {
        match self.protocol {
            Protocol::Grpc => {
                let status = response.headers().get("grpc-status");
                status.is_some_and(|code| Code::from_bytes(code.as_bytes()) == Code::Internal)
            }
            Protocol::Http { .. } => response.status() == StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Counts the request, once.
    pub(super) fn count(&mut self, response: &Response, span: &Span) {
        if self.is_internal(response) {
            self.report("the request was answered with an internal error");
        }
        let method = self.method.take();
        let (protocol, method, code) = match self.protocol {
            Protocol::Grpc => {
                let status = response.headers().get("grpc-status");
                let code = status.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
                ("grpc", method, status::code_name(code).to_owned())
            }
            Protocol::Http(_) => {
                let path = response.extensions().get::<MatchedPath>();
                let path = path.filter(|_| response.status() != StatusCode::METHOD_NOT_ALLOWED);
                let method = method.zip(path).map(|(method, path)| format!("{method} {}", path.as_str()));
                ("http", method, response.status().as_str().to_owned())
            }
        };
        let method = method.unwrap_or_else(|| OTHER.to_owned());
        let (duration, trace_id) = (self.started.elapsed(), telemetry::trace_id(span));
        METRICS.answered(Answered { protocol, method, code, duration, trace_id });
    }
}

/// The HTTP methods that routes may have.
const HTTP: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// The name of whatever is not served: callers must not be able to create names in the metrics.
const OTHER: &str = "other";
