//! An error on its way to the caller.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tonic::Status;

use super::Form;
use crate::{
    caller::{self, AUTH_URL},
    status::{self, Code, Description, Failure, tell},
};
use common::violations::Violations;

/// The stable reason of an error, for programs that do not ask for JSON.
const ERROR_REASON: HeaderName = HeaderName::from_static("x-error-reason");

/// How callers should identify themselves, in keystonemiddleware's form: whoever stands in front knows where Keystone
/// is, if this service does not.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Keystone");

/// An error on its way to the edge, which renders it as the caller can read it.
#[derive(Debug, Clone)]
pub struct Problem {
    pub(super) sentence: Box<str>,
    pub(super) description: Description,
    /// An additional header of its answer.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    /// An error that no [`Failure`] stands for.
    pub fn new(sentence: impl Into<String>, description: Description) -> Self {
        Self { sentence: sentence.into().into_boxed_str(), description, header: None }
    }

    /// The error of a path that the API does not have.
    #[must_use]
    pub fn no_such_resource() -> Self {
        let description = Description::new(Code::NotFound, "METHOD_NOT_FOUND");
        Self::new("there is no such resource in this API", description)
    }

    /// What a caller is told about a failure.
    pub fn of<F: Failure>(failure: &F) -> Self {
        let description = failure.describe();
        Self::new(tell(failure, &description), description)
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

impl<F: Failure> From<F> for Problem {
    fn from(failure: F) -> Self {
        Self::of(&failure)
    }
}

impl From<caller::Error> for Problem {
    fn from(error: caller::Error) -> Self {
        let description = error.describe();
        Self::new(tell(&error, &description), description)
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

/// Gives an error its body.
pub(crate) fn render(mut response: Response, domain: &'static str, form: Form) -> Response {
    let status = response.status();
    let problem = response.extensions_mut().remove::<Problem>().unwrap_or_else(|| unexplained(status));
    let status = form.status(&problem, status);
    let body = form.render(&problem, status, domain);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    headers.insert(ERROR_REASON, HeaderValue::from_static(problem.description.reason));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, challenge(&problem.description));
    }
    if let Some(seconds) = form.retry_after(&problem) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    headers.extend(problem.header.map(|header| *header));
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
        StatusCode::NOT_FOUND => return Problem::no_such_resource(),
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
