//! What is counted of a request, and how its answer is read.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use tonic::Code;
use tracing::Span;

use crate::{
    http::{self as openstack, Problem},
    metrics::{Answered, METRICS},
    status, telemetry,
};

/// How an answer is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Grpc,
    Http { wants_json: bool },
}

impl Way {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if openstack::is_grpc(headers) {
            return Self::Grpc;
        }
        Self::Http { wants_json: openstack::wants_json(headers) }
    }

    pub(super) fn refuse(self, problem: Problem, domain: &'static str) -> Response {
        match self {
            Self::Grpc => problem.into_status(domain).into_http(),
            Self::Http { wants_json } => openstack::render(problem.into_response(), domain, wants_json),
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
}

impl Seen {
    pub(super) fn new(request: &Request, way: Way) -> Self {
        let method = match way {
            Way::Grpc => request.uri().path().trim_start_matches('/').to_owned(),
            Way::Http { .. } => request.method().as_str().to_owned(),
        };
        Self { way, method, started: Instant::now() }
    }

    /// Counts the request, once.
    pub(super) fn count(&mut self, response: &Response, span: &Span) {
        let method = std::mem::take(&mut self.method);
        let (protocol, method, code) = match self.way {
            Way::Grpc => {
                let said = response.headers().get("grpc-status");
                let code = said.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
                // What nobody serves has any name that callers think of.
                let method = if code == Code::Unimplemented { OTHER.to_owned() } else { method };
                ("grpc", method, status::code_name(code).to_owned())
            }
            Way::Http { .. } => {
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
