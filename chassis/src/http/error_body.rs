//! The bodies of errors, in the forms that OpenStack's services have.

use std::fmt::Write as _;

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::Problem;
use crate::status::Detail;
use common::violations::Violation;

/// What the errors of a service look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorBody {
    /// HTML, JSON with every detail, or plain text, as `Accept` asks for: Glance's, of which its clients read the HTML.
    ByAccept,
    /// Nova's and Cinder's JSON, whatever is asked for: `{"itemNotFound": {"code": 404, "message": "…"}}`.
    Faults {
        /// The status when a quota is exceeded: 403 in Nova, 413 in Cinder.
        over_quota: StatusCode,
    },
}

impl ErrorBody {
    /// The form for a caller that sends these headers.
    pub(crate) fn form(self, headers: &HeaderMap) -> Form {
        match self {
            Self::ByAccept => Form::accepted(headers),
            Self::Faults { over_quota } => Form::Fault { over_quota },
        }
    }
}

/// The form in which a caller reads errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Html,
    Json,
    Plain,
    Fault { over_quota: StatusCode },
}

impl Form {
    /// The form that `Accept` asks for: HTML before JSON before plain text. HTML if it asks for nothing: openstacksdk
    /// sends an empty `Accept` with a PATCH, and shows no message from plain text.
    fn accepted(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let (html, json) = (quality(accept, "text", "html"), quality(accept, "application", "json"));
        match () {
            () if html > 0.0 && html >= json => Self::Html,
            () if json > 0.0 => Self::Json,
            () if quality(accept, "text", "plain") > 0.0 => Self::Plain,
            () => Self::Html,
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=UTF-8",
            Self::Json | Self::Fault { .. } => "application/json",
            Self::Plain => "text/plain; charset=UTF-8",
        }
    }

    /// The status of an answer whose own would be `status`.
    pub(super) const fn status(self, problem: &Problem, status: StatusCode) -> StatusCode {
        match (self, &problem.description.detail) {
            (Self::Fault { over_quota }, Detail::Quota { .. }) => over_quota,
            _ => status,
        }
    }

    /// After how many seconds to try again, if the answer says so.
    pub(super) fn retry_after(self, problem: &Problem) -> Option<u64> {
        match (self, &problem.description.detail) {
            (_, Detail::Retry(delay)) => Some(delay.as_secs().max(1)),
            // When there will be room is not known; Cinder says 0.
            (Self::Fault { over_quota: StatusCode::PAYLOAD_TOO_LARGE }, Detail::Quota { .. }) => Some(0),
            _ => None,
        }
    }

    pub(super) fn render(self, problem: &Problem, status: StatusCode, domain: &str) -> String {
        match self {
            Self::Fault { .. } => as_fault(problem, status, self.retry_after(problem)),
            Self::Html => as_html(problem, status),
            Self::Json => as_json(problem, status, domain),
            Self::Plain => as_text(problem, status),
        }
    }
}

/// How much a type is wanted, 0 to 1, according to the most specific range that includes it (RFC 9110, `Accept`).
fn quality(accept: &str, kind: &str, subtype: &str) -> f32 {
    let mut found = (0, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let Some((main, sub)) = parts.next().and_then(|range| range.split_once('/')) else { continue };
        let exactness = match (main, sub) {
            ("*", "*") => 1,
            (main, "*") if main.eq_ignore_ascii_case(kind) => 2,
            (main, sub) if main.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) => 3,
            _ => continue,
        };
        let wanted = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(1.0));
        if exactness > found.0 {
            found = (exactness, wanted);
        }
    }
    found.1
}

fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

fn as_json(problem: &Problem, status: StatusCode, domain: &str) -> String {
    let Problem { sentence, description, .. } = problem;
    let metadata: serde_json::Map<_, _> =
        description.metadata.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let mut error = json!({
        "code": status.as_u16(),
        "title": title(status),
        "message": sentence,
        "reason": description.reason,
        "domain": domain,
        "metadata": metadata,
    });
    if let Detail::BadRequest(violations) = &description.detail {
        let violations: Vec<_> = violations
            .iter()
            .map(|violation| json!({"field": violation.field, "description": violation.problem}))
            .collect();
        error["violations"] = json!(violations);
    }
    json!({ "error": error }).to_string()
}

/// The body that Nova and Cinder answer with, in whose message stands whatever else there is to say.
fn as_fault(problem: &Problem, status: StatusCode, retry_after: Option<u64>) -> String {
    let mut message = problem.sentence.to_string();
    for violation in several_violations(problem) {
        let _ = write!(message, "\n{}: {}", violation.field, violation.problem);
    }
    let mut fault = json!({"code": status.as_u16(), "message": message});
    let name = fault_name(status);
    if let Some(seconds) = retry_after.filter(|_| name == OVER_LIMIT) {
        fault["retryAfter"] = json!(seconds.to_string());
    }
    json!({ name: fault }).to_string()
}

/// The name of the fault that tells when to try again.
const OVER_LIMIT: &str = "overLimit";

/// Nova's and Cinder's name of the fault with that status.
const fn fault_name(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "badRequest",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "itemNotFound",
        405 => "badMethod",
        409 => "conflictingRequest",
        413 | 429 => OVER_LIMIT,
        415 => "badMediaType",
        501 => "notImplemented",
        503 => "serviceUnavailable",
        _ => "computeFault",
    }
}

/// The body that OpenStack's services answer with; its clients parse it line by line.
fn as_html(problem: &Problem, status: StatusCode) -> String {
    let heading = format!("{} {}", status.as_u16(), title(status));
    let mut text = escape(&problem.sentence);
    for violation in several_violations(problem) {
        let (field, problem) = (escape(&violation.field), escape(&violation.problem));
        let _ = write!(text, "<br />\n  {field}: {problem}");
    }
    format!(
        "<html>\n <head>\n  <title>{heading}</title>\n </head>\n <body>\n  <h1>{heading}</h1>\n  \
         {text}<br /><br />\n\n\n\n </body>\n</html>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Like [`as_html`], without the markup.
fn as_text(problem: &Problem, status: StatusCode) -> String {
    let mut text = format!("{} {}\n\n{}\n", status.as_u16(), title(status), problem.sentence);
    for violation in several_violations(problem) {
        let _ = writeln!(text, "  {}: {}", violation.field, violation.problem);
    }
    text
}

/// The violations that the sentence only counts: a single one is the sentence.
fn several_violations(problem: &Problem) -> &[Violation] {
    match &problem.description.detail {
        Detail::BadRequest(violations) if violations.len() > 1 => violations,
        _ => &[],
    }
}

#[cfg(test)]
mod tests;
