//! The single mapping from a failure to what a caller sees.

use std::{collections::HashMap, time::Duration};

pub use axum::http::StatusCode;
pub use tonic::Code;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use common::{
    text::clip,
    violations::{Violation, Violations},
};

mod shared;

pub use shared::RETRY_AFTER;

/// Maximum length of a sentence, and of each value, in bytes: an answer's headers, which carry both, may have 8 KiB
/// in total.
const SENTENCE_BYTES: usize = 600;
const VALUE_BYTES: usize = 300;

/// An error that a service answers with.
pub trait Failure: std::error::Error + 'static {
    /// Domain of the reasons, such as `glance`.
    const DOMAIN: &'static str;

    /// How the error looks to a caller; its sentence is the error's `Display`.
    fn describe(&self) -> Description;
}

/// How an error looks to a caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The gRPC code.
    pub code: Code,
    /// The HTTP status, if it is not the one that belongs to the code: OpenStack's answers have their own.
    pub http: Option<StatusCode>,
    /// The stable, machine-readable reason, `UPPER_SNAKE_CASE` (AIP-193). Never renamed.
    pub reason: &'static str,
    /// Every value of the sentence, by name.
    pub metadata: Vec<(&'static str, String)>,
    /// What belongs to the code.
    pub detail: Detail,
}

/// The detail that belongs to a code.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// Nothing beyond reason and metadata.
    None,
    /// `google.rpc.BadRequest`: the fields at fault.
    BadRequest(Vec<Violation>),
    /// `google.rpc.ResourceInfo`: the resource that is missing or in the way.
    Resource {
        /// Type of the resource, such as `glance.v1.Image`.
        kind: &'static str,
        /// Its id.
        name: String,
    },
    /// `google.rpc.PreconditionFailure`: what must be true first.
    Precondition {
        /// The rule, such as `MIN_RAM`.
        rule: &'static str,
        /// What it is about, such as `image/6e1f…`.
        subject: String,
    },
    /// `google.rpc.QuotaFailure`: whose limit was reached.
    Quota {
        /// What it limits, such as `project cores`.
        subject: String,
    },
    /// `google.rpc.RetryInfo`: when to retry.
    Retry(Duration),
}

impl Description {
    /// A description with no values and no detail yet.
    #[must_use]
    pub const fn new(code: Code, reason: &'static str) -> Self {
        Self { code, http: None, reason, metadata: Vec::new(), detail: Detail::None }
    }

    /// Everything that is wrong with a request.
    #[must_use]
    pub fn invalid(violations: &Violations) -> Self {
        let description =
            Self::new(Code::InvalidArgument, "INVALID_REQUEST").with("fields", violations.fields());
        let description = match violations.only_problem() {
            Some(problem) => description.with("problem", problem),
            None => description.with("violations", violations.len()),
        };
        description.detail(Detail::BadRequest(violations.listed()))
    }

    /// Sets the HTTP status.
    #[must_use]
    pub const fn http(mut self, status: StatusCode) -> Self {
        self.http = Some(status);
        self
    }

    /// The HTTP status: its own, or the one that belongs to the code.
    #[must_use]
    pub fn http_status(&self) -> StatusCode {
        self.http.unwrap_or(match self.code {
            Code::InvalidArgument | Code::FailedPrecondition => StatusCode::BAD_REQUEST,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
            Code::ResourceExhausted => StatusCode::PAYLOAD_TOO_LARGE,
            Code::OutOfRange => StatusCode::RANGE_NOT_SATISFIABLE,
            Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        })
    }

    /// Adds a value of the sentence.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "callers pass references and numbers alike")]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.metadata.push((name, value.to_string()));
        self
    }

    /// Sets the detail.
    #[must_use]
    pub fn detail(mut self, detail: Detail) -> Self {
        self.detail = detail;
        self
    }
}

/// Turns a failure into a status.
pub fn to_status<F: Failure>(failure: &F) -> Status {
    let description = failure.describe();
    status(F::DOMAIN, &tell(failure, &description), description)
}

/// What a caller is told about an error that looks so. Internal failures are logged here, once, and answered with a
/// fixed sentence, so that no driver's text leaves the process.
pub fn tell(error: &(dyn std::error::Error + 'static), description: &Description) -> String {
    if description.code == Code::Unavailable {
        tracing::warn!(error, "request failed for now");
    }
    if description.code == Code::Internal {
        tracing::error!(error, "request failed");
        return "internal error; the service's log says more".to_owned();
    }
    error.to_string()
}

/// Builds the status of a description.
#[must_use]
pub fn status(domain: &str, sentence: &str, description: Description) -> Status {
    let sentence = &clip(sentence, SENTENCE_BYTES);
    let metadata: HashMap<String, String> = description
        .metadata
        .into_iter()
        .map(|(name, value)| (name.to_owned(), clip(&value, VALUE_BYTES)))
        .collect();
    let mut details = ErrorDetails::with_error_info(description.reason, domain, metadata);
    match description.detail {
        Detail::None => {}
        Detail::BadRequest(violations) => {
            for Violation { field, problem } in violations {
                details.add_bad_request_violation(field, problem);
            }
        }
        Detail::Resource { kind, name } => {
            details.set_resource_info(kind, clip(&name, VALUE_BYTES), "", sentence);
        }
        Detail::Precondition { rule, subject } => {
            details.add_precondition_failure_violation(rule, subject, sentence);
        }
        Detail::Quota { subject } => {
            details.add_quota_failure_violation(subject, sentence);
        }
        Detail::Retry(delay) => {
            details.set_retry_info(Some(delay));
        }
    }
    Status::with_error_details(description.code, sentence, details)
}

/// The name of a code, as spelled in gRPC's documentation.
#[must_use]
pub const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
