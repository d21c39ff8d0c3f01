//! How errors look that every service has.

use std::time::Duration;

use common::violations::Violation;

use super::{Code, Description, Detail};

/// How long a caller is told to wait before it tries again, if nobody says otherwise.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Description {
    /// The whole error as the problem of one field of the request.
    #[must_use]
    pub fn bad_field(reason: &'static str, field: &str, error: &impl std::error::Error) -> Self {
        let violation = Violation { field: field.to_owned(), problem: error.to_string() };
        Self::new(Code::InvalidArgument, reason).detail(Detail::BadRequest(vec![violation]))
    }

    /// The caller may not do that; it would need another role or project.
    #[must_use]
    pub fn not_permitted(action: &str, needs: &str) -> Self {
        Self::new(Code::PermissionDenied, "NOT_PERMITTED").with("action", action).with("needs", needs)
    }

    /// There is no such resource, or the caller must not see it. `name` is what the metadata calls its id, such as
    /// `image_id`, and `kind` its type, such as `glance.v1.Image`.
    #[must_use]
    pub fn not_found(
        reason: &'static str,
        kind: &'static str,
        name: &'static str,
        id: impl ToString,
    ) -> Self {
        Self::about(Code::NotFound, reason, kind, name, id)
    }

    /// Something that is unique is in use already; otherwise as [`Description::not_found`].
    #[must_use]
    pub fn already_exists(
        reason: &'static str,
        kind: &'static str,
        name: &'static str,
        value: impl ToString,
    ) -> Self {
        Self::about(Code::AlreadyExists, reason, kind, name, value)
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers pass references and numbers alike")]
    fn about(
        code: Code,
        reason: &'static str,
        kind: &'static str,
        name: &'static str,
        value: impl ToString,
    ) -> Self {
        let value = value.to_string();
        Self::new(code, reason).with(name, &value).detail(Detail::Resource { kind, name: value })
    }

    /// The resource whose id is called `name`, such as `image_id`, must fulfil `rule` first.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "callers pass references and numbers alike")]
    pub fn precondition(
        reason: &'static str,
        rule: &'static str,
        name: &'static str,
        id: impl ToString,
    ) -> Self {
        let id = id.to_string();
        let subject = format!("{}/{id}", name.trim_end_matches("_id"));
        Self::new(Code::FailedPrecondition, reason)
            .with(name, id)
            .detail(Detail::Precondition { rule, subject })
    }

    /// The resource has changed since the caller read it: its etag is `current`, not the `given` one.
    #[must_use]
    pub fn stale_etag(name: &'static str, id: impl ToString, given: &str, current: &str) -> Self {
        Self::new(Code::Aborted, "STALE_ETAG").with(name, id).with("given_etag", given).with("etag", current)
    }

    /// More of something than `subject` may have.
    #[must_use]
    pub fn limit_exceeded(
        reason: &'static str,
        subject: impl Into<String>,
        attempted: usize,
        maximum: usize,
    ) -> Self {
        Self::new(Code::ResourceExhausted, reason)
            .with("attempted", attempted)
            .with("maximum", maximum)
            .detail(Detail::Quota { subject: subject.into() })
    }

    /// The same request may well succeed later, after `delay`.
    #[must_use]
    pub fn retry(code: Code, reason: &'static str, delay: Duration) -> Self {
        Self::new(code, reason).detail(Detail::Retry(delay))
    }
}

/// What a service's error, which has a variant `Database(db::Error)`, turns into: a status, or the error of a transaction
/// that may be tried again.
#[macro_export]
macro_rules! error_conversions {
    ($error:ty) => {
        impl $crate::db::Transient for $error {
            fn database(&self) -> Option<&$crate::db::Error> {
                match self {
                    Self::Database(error) => Some(error),
                    _ => None,
                }
            }
        }

        impl From<$error> for tonic::Status {
            fn from(error: $error) -> Self {
                $crate::status::to_status(&error)
            }
        }
    };
}
