//! What is counted of a request, and how its answer is read.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderValue, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use tonic::Code;
use tracing::Span;

use crate::{
    http::{self as openstack, Form, Problem},
    metrics::{Answered, METRICS},
    status, telemetry,
};

/// How an answer is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Grpc,
    Http(Form),
}

impl Way {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if openstack::is_grpc(headers) {
            return Self::Grpc;
        }
        Self::http(headers)
    }

    /// HTTP, whatever the headers say of gRPC.
    pub(super) fn http(headers: &HeaderMap) -> Self {
        Self::Http(Form::of(headers))
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
pub(super) struct Seen {
    pub(super) way: Way,
    /// The path of a gRPC method, or the method of HTTP.
    method: String,
    started: Instant,
    /// For the log of what should not have happened.
    uri: Uri,
    request_id: Option<HeaderValue>,
}

impl Seen {
    pub(super) fn new(request: &Request, way: Way) -> Self {
        let method = match way {
            Way::Grpc => request.uri().path().trim_start_matches('/').to_owned(),
            Way::Http(_) => request.method().as_str().to_owned(),
        };
        let request_id = request.headers().get("x-request-id").cloned();
        Self { way, method, started: Instant::now(), uri: request.uri().clone(), request_id }
    }

    /// Logs what should not have happened to the request, which need not have a span.
    pub(super) fn report(&self, what: &str) {
        let id = self.request_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
        tracing::error!(method = self.method, path = self.uri.path(), request_id = id, "{what}");
    }

    fn is_internal(&self, response: &Response) -> bool {
        match self.way {
            Way::Grpc => {
                let said = response.headers().get("grpc-status");
                said.is_some_and(|code| Code::from_bytes(code.as_bytes()) == Code::Internal)
            }
            Way::Http { .. } => response.status() == StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Counts the request, once.
    pub(super) fn count(&mut self, response: &Response, span: &Span) {
        if self.is_internal(response) {
            self.report("the request was answered with an internal error");
        }
        let method = std::mem::take(&mut self.method);
        let (protocol, method, code) = match self.way {
            Way::Grpc => {
                let said = response.headers().get("grpc-status");
                let code = said.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
                // What nobody serves has any name that callers think of.
                let method = if code == Code::Unimplemented { OTHER.to_owned() } else { method };
                ("grpc", method, status::code_name(code).to_owned())
            }
            Way::Http(_) => {
                let path = response.extensions().get::<MatchedPath>();
                let path = path.filter(|_| response.status() != StatusCode::METHOD_NOT_ALLOWED);
                let method =
                    path.map_or_else(|| OTHER.to_owned(), |path| format!("{method} {}", path.as_str()));
                ("http", method, response.status().as_str().to_owned())
            }
        };
        let (duration, trace_id) = (self.started.elapsed(), telemetry::trace_id(span));
        METRICS.answered(Answered { protocol, method, code, duration, trace_id });
    }
}

/// The name of whatever is not served, so that callers cannot make up names to be counted.
const OTHER: &str = "other";
