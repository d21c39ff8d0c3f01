//! What a test expects of an error over gRPC.

use std::{collections::HashMap, ops::Index};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The values of an error's sentence, by name.
#[derive(Debug)]
pub struct Values(pub HashMap<String, String>);

impl Index<&str> for Values {
    type Output = str;

    #[track_caller]
    fn index(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }
}

/// Checks what every error carries and that it is this one; returns its values.
#[expect(clippy::must_use_candidate, reason = "it is called for its checks, too")]
#[track_caller]
pub fn assert_error(status: &Status, domain: &str, code: Code, reason: &str) -> Values {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!((status.code(), info.reason.as_str()), (code, reason), "{status:?}");
    assert_eq!(info.domain, domain);
    assert!(!status.message().is_empty());
    assert!(!format!("{status:?}").contains("SECRET"), "{status:?}");
    Values(info.metadata)
}

/// The reason of an error.
#[track_caller]
#[must_use]
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}")).reason
}

/// The violations of any `INVALID_ARGUMENT`: the path of each field, and what is wrong with it.
#[track_caller]
#[must_use]
pub fn bad_fields(status: &Status) -> Vec<(String, String)> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let request = status.get_details_bad_request().unwrap_or_else(|| panic!("no BadRequest in {status:?}"));
    request.field_violations.into_iter().map(|violation| (violation.field, violation.description)).collect()
}

/// The violations of a malformed request, as [`bad_fields`].
#[track_caller]
#[must_use]
pub fn violations(status: &Status) -> Vec<(String, String)> {
    assert_eq!(reason(status), "INVALID_REQUEST", "{status:?}");
    bad_fields(status)
}

/// The fields of those violations.
#[track_caller]
#[must_use]
pub fn fields(status: &Status) -> Vec<String> {
    violations(status).into_iter().map(|(field, _)| field).collect()
}

/// Checks that there is one violation, of that field, whose sentence contains `part`.
#[track_caller]
pub fn assert_violation(status: &Status, field: &str, part: &str) {
    let violations = violations(status);
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert_eq!(violations[0].0, field);
    assert!(violations[0].1.contains(part), "{part:?} is not in {:?}", violations[0].1);
}
